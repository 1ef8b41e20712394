//! A daemon, asked over its API.

use std::path::Path;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, ClientBuilder, Identity, RequestBuilder, Response, StatusCode, redirect};
use serde_json::Value;

use super::args::Daemon;
use crate::error::{At, Error, Kind, Result};
use crate::secret::Reference;
use crate::spec::{PipelineName, Service, address};

/// Longer than a daemon lets a request wait.
const LIMIT: Duration = Duration::from_secs(40);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Far above any answer: a run of tens of thousands of streams.
pub(super) const MOST_BYTES: usize = 16 << 20;
/// Characters of a daemon's own words that are shown.
const MOST_CHARS: usize = 400;

const SERVICE: Service = Service {
    what: "URL of the daemon",
    example: "http://127.0.0.1:8470",
    rest: "leave out the path",
    secrets: "write the token in SEALIFT_TOKEN",
};

/// What became of a trigger.
pub(super) enum Triggered {
    /// The id of the run.
    Taken(String),
    /// The pipeline has a run already: `active`, where it can be told.
    Busy { active: Option<String>, error: Error },
}

/// No `Debug`: it holds a token.
pub(super) struct Remote {
    http: Client,
    url: String,
    /// What proves who asks, where it is not the certificate.
    token: Option<HeaderValue>,
}

impl Remote {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when URL, token or certificates cannot be used.
    pub(super) fn new(daemon: &Daemon) -> Result<Self> {
        let url = address(daemon.url(), &SERVICE).at(|| "SEALIFT_URL".to_owned())?;
        let mut builder = Client::builder()
            .use_rustls_tls()
            // A redirect would take the token elsewhere.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(LIMIT);
        if url.starts_with("http://") {
            // A proxy would carry what is meant for this machine in plain text.
            builder = builder.no_proxy();
        }
        if let Some(path) = &daemon.ca_file {
            builder = trusting(builder, path)?;
        }
        if let Some(path) = &daemon.client_certificate {
            builder = showing(builder, path)?;
        }
        let token = bearer(&daemon.token, daemon.client_certificate.is_some())?;
        let http = builder.build().map_err(|_| Error::invalid("TLS to the daemon cannot be set up"))?;
        Ok(Self { http, url, token })
    }

    /// What the daemon answers to `GET`.
    ///
    /// # Errors
    /// `Unreachable` when there is no daemon, else as it says.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let (status, said) = self.send(self.http.get(format!("{}{path}", self.url))).await?;
        if status.is_success() { Ok(said) } else { Err(refused(status, &said)) }
    }

    /// What the daemon answers to a `POST` without a body.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(super) async fn post(&self, path: &str) -> Result<Value> {
        let (status, said) = self.send(self.http.post(format!("{}{path}", self.url))).await?;
        if status.is_success() { Ok(said) } else { Err(refused(status, &said)) }
    }

    /// Asks for a run of the pipeline, under a key.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(super) async fn trigger(&self, pipeline: &PipelineName, key: &str) -> Result<Triggered> {
        let key = HeaderValue::from_str(key)
            .map_err(|_| Error::new(Kind::Usage, "this idempotency key cannot be sent"))?;
        let url = format!("{}/v1/pipelines/{pipeline}/runs", self.url);
        let (status, said) = self.send(self.http.post(url).header("idempotency-key", key)).await?;
        let run_id = said["run_id"].as_str().map(|run_id| printable(run_id, MOST_CHARS));
        match (status, run_id) {
            (_, active) if word(&said) == Some("run-active") => {
                Ok(Triggered::Busy { active, error: refused(status, &said) })
            }
            (_, Some(run_id)) if status.is_success() => Ok(Triggered::Taken(run_id)),
            (_, None) if status.is_success() => Err(self.no_daemon(status)),
            _ => Err(refused(status, &said)),
        }
    }

    /// The answer to a `GET` that goes on for as long as `limit`; `heard` is the event that was heard last.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(super) async fn listen(&self, path: &str, heard: &str, limit: Duration) -> Result<Response> {
        let asked = self.http.get(format!("{}{path}", self.url)).header("last-event-id", heard);
        let sent = self.authorized(asked.timeout(limit)).send().await;
        let answer = sent.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.bounded(answer).await?;
        Err(refused(status, &serde_json::from_slice(&body).map_err(|_| self.no_daemon(status))?))
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Value)> {
        let sent = self.authorized(request).send().await;
        let answer = sent.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = self.bounded(answer).await?;
        let said = serde_json::from_slice(&body).map_err(|_| self.no_daemon(status))?;
        Ok((status, said))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.header(reqwest::header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    async fn bounded(&self, mut answer: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(self.no_daemon(answer.status()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let how = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        Error::new(Kind::Unreachable, format!("the daemon at {} {how}", self.url))
            .help("start it with `sealift serve`, or write its address in SEALIFT_URL")
    }

    fn no_daemon(&self, status: StatusCode) -> Error {
        let what = format!("what answers at {} is no daemon of sealift ({})", self.url, status.as_u16());
        Error::new(Kind::Unreachable, what).help("write the daemon's address in SEALIFT_URL")
    }
}

/// The header that holds the token. Where a certificate can take its place, one that is not there is not needed.
fn bearer(token: &str, has_certificate: bool) -> Result<Option<HeaderValue>> {
    let reference = Reference::parse(token, Path::new(".")).at(|| "the token of the daemon".to_owned())?;
    let secret = match reference.resolve() {
        Ok(secret) => secret,
        Err(_) if has_certificate && matches!(reference, Reference::Env(_)) => return Ok(None),
        Err(error) => return Err(error.at("the token of the daemon")),
    };
    let bearer = zeroize::Zeroizing::new(format!("Bearer {}", secret.expose_str()?.trim()));
    let mut header = HeaderValue::from_str(&bearer)
        .map_err(|_| Error::invalid("the token of the daemon holds what no header can carry"))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The same client, which trusts the authorities in the file and no others.
///
/// # Errors
/// `Invalid` when the file holds none.
pub(super) fn trusting(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder> {
    let unfit = || unusable(path, "holds no certificates in PEM");
    let authorities = Certificate::from_pem_bundle(&read(path)?).map_err(|_| unfit())?;
    if authorities.is_empty() {
        return Err(unfit());
    }
    let builder = builder.tls_built_in_root_certs(false);
    Ok(authorities.into_iter().fold(builder, ClientBuilder::add_root_certificate))
}

/// The same client, which shows the certificate in the file.
///
/// # Errors
/// `Invalid` when the file does not hold one with its key.
pub(super) fn showing(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder> {
    let pem = zeroize::Zeroizing::new(read(path)?);
    let identity = Identity::from_pem(&pem);
    let identity = identity.map_err(|_| unusable(path, "does not hold a certificate and its key in PEM"))?;
    Ok(builder.identity(identity))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| unusable(path, &format!("cannot be read: {}", e.kind())))
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::invalid(format!("the file {} {why}", path.display())).help(
        "--ca-file names the authorities of the daemon, --client-certificate a certificate with its key",
    )
}

/// The word that names a problem for programs: that of an outcome, or one that tells more than its status.
fn word(said: &Value) -> Option<&str> {
    said["type"].as_str()?.strip_prefix("urn:sealift:problem:")
}

/// A problem (RFC 9457), in the daemon's words.
fn refused(status: StatusCode, said: &Value) -> Error {
    let kind = word(said).and_then(Kind::of_outcome).unwrap_or(match status.as_u16() {
        400 | 404 | 422 => Kind::Usage,
        401 | 403 => Kind::Denied,
        // It has an active run, or is over: another time it may be otherwise.
        408 | 409 | 429 | 502..=504 => Kind::Temporary,
        _ => Kind::Failed,
    });
    let words = |name: &str| {
        said[name].as_str().map(|words| printable(words, MOST_CHARS)).filter(|words| !words.is_empty())
    };
    let message = words("detail").unwrap_or_else(|| format!("the daemon answers {}", status.as_u16()));
    let mut error = Error::new(kind, message);
    if let Some(run_id) = words("run_id") {
        error = error.help(format!("it is run {run_id}; --join takes it for the one that is wanted"));
    } else if let Some(help) = words("help") {
        error = error.help(help);
    }
    error
}

/// What a terminal can show without harm, `most` characters of it.
pub(super) fn printable(words: &str, most: usize) -> String {
    words.chars().filter(|c| !c.is_control() || *c == '\n').take(most).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_become_errors_of_their_kind() {
        let kinds = [
            (400, Kind::Usage),
            (401, Kind::Denied),
            (403, Kind::Denied),
            (404, Kind::Usage),
            (408, Kind::Temporary),
            (409, Kind::Temporary),
            (500, Kind::Failed),
            (503, Kind::Temporary),
        ];
        for (status, kind) in kinds {
            let said = json!({"detail": "no\u{1b}[31m", "help": "do"});
            let error = refused(StatusCode::from_u16(status).unwrap(), &said);
            assert_eq!(
                (error.kind(), error.message(), error.remedy()),
                (kind, "no[31m", Some("do")),
                "{status}"
            );
        }
    }

    #[test]
    fn the_word_of_a_problem_says_more_than_its_status() {
        let words = [
            (409, "held", Kind::Held),
            (409, "run-active", Kind::Temporary),
            (422, "data", Kind::Data),
            (422, "invalid", Kind::Invalid),
            (422, "key-reused", Kind::Usage),
            (502, "unreachable", Kind::Unreachable),
        ];
        for (status, word, kind) in words {
            let said = json!({"type": format!("urn:sealift:problem:{word}"), "detail": "no"});
            assert_eq!(refused(StatusCode::from_u16(status).unwrap(), &said).kind(), kind, "{word}");
        }
    }

    #[test]
    fn a_token_goes_nowhere_in_plain_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sl_token\n").unwrap();
        let reference = format!("file:{}", file.path().display());
        let remote = |url: &str| {
            let daemon = Daemon {
                url: Some(url.to_owned()),
                token: reference.clone(),
                ca_file: None,
                client_certificate: None,
            };
            Remote::new(&daemon)
        };
        remote("http://127.0.0.1:8470").ok().unwrap();
        remote("https://sealift.example.com").ok().unwrap();
        for bad in ["http://sealift.example.com", "sealift", "http://127.0.0.1/v1", "https://u:p@x.example"] {
            assert_eq!(remote(bad).err().unwrap().kind(), Kind::Invalid, "{bad}");
        }
    }
}
