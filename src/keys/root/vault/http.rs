//! Requests to Vault: bounded in time, size and number, over TLS, the token in no log.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, Response, StatusCode, redirect, tls};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{At, Error, Result};
use crate::secret::Reference;
use crate::spec::config;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(10);
/// Pauses before a request is sent again.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_millis(2_000)];
/// Far above any answer of the engine.
const MOST_BYTES: usize = 64 << 10;

/// A client for one server.
pub(super) struct Http {
    client: Client,
    address: String,
    token: Reference,
    namespace: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Answer<A> {
    data: A,
}

impl Http {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when `ca_file` cannot be used.
    pub(super) fn open(settings: &config::Vault) -> Result<Self> {
        let is_https = settings.address.starts_with("https://");
        let mut builder = Client::builder()
            .use_rustls_tls()
            .min_tls_version(tls::Version::TLS_1_2)
            .https_only(is_https)
            // A redirect would take the token elsewhere.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(LIMIT);
        if !is_https {
            // A proxy would carry what is meant for this machine in plain text.
            builder = builder.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            let unusable = |why: &str| {
                Error::invalid(format!("cannot use the authorities of `ca_file` {}: {why}", path.display()))
                    .help("name a PEM file of the authority that signed Vault's certificate")
            };
            let pem = std::fs::read(path).map_err(|error| unusable(&error.kind().to_string()))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|_| unusable("it is not PEM"))?;
            if authorities.is_empty() {
                return Err(unusable("it holds no certificate"));
            }
            builder = builder.tls_built_in_root_certs(false);
            builder = authorities.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let client = builder.build().map_err(|_| {
            Error::invalid("TLS to Vault cannot be set up")
                .help("check `ca_file` and this machine's authorities")
        })?;
        let namespace = settings.namespace.as_deref().map(HeaderValue::from_str).transpose();
        let namespace = namespace.map_err(|_| Error::invalid("`namespace` is no name"))?;
        Ok(Self { client, address: settings.address.clone(), token: settings.token.clone(), namespace })
    }

    /// The `data` of an answer. Passing faults are tried again a few times.
    ///
    /// # Errors
    /// `Data` when Vault does not take what was sent (400); `Denied`, `Invalid`, `Temporary` as [`by_status`].
    pub(super) async fn ask<A: for<'a> Deserialize<'a>>(
        &self,
        method: Method,
        path: &str,
        request: &(impl Serialize + Sync),
    ) -> Result<A> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.once(method.clone(), path, request).await {
                Err(error) if error.kind().meaning().retry => error,
                done => return done,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn once<A: for<'a> Deserialize<'a>>(
        &self,
        method: Method,
        path: &str,
        request: &(impl Serialize + Sync),
    ) -> Result<A> {
        let has_body = method == Method::POST;
        let mut sent =
            self.client.request(method, format!("{}/v1/{path}", self.address)).headers(self.headers()?);
        if has_body {
            sent = sent.json(request);
        }
        let answer = sent.send().await.map_err(|error| unsent(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(by_status(answer.status()));
        }
        let body = bounded(answer).await?;
        serde_json::from_slice::<Answer<A>>(&body).map(|answer| answer.data).map_err(|_| no_answer())
    }

    fn headers(&self) -> Result<HeaderMap> {
        let token = self.token.resolve().at(|| "the token of Vault".to_owned())?;
        let mut token = HeaderValue::from_bytes(token.expose())
            .map_err(|_| Error::invalid("the token of Vault holds what no header can carry"))?;
        token.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-vault-token"), token);
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if let Some(namespace) = &self.namespace {
            headers.insert(HeaderName::from_static("x-vault-namespace"), namespace.clone());
        }
        Ok(headers)
    }
}

async fn bounded(mut answer: Response) -> Result<Zeroizing<Vec<u8>>> {
    // Never grown, so that no copy of it is left behind.
    let mut body = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
    while let Some(chunk) = answer.chunk().await.map_err(|error| unsent(&error))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(no_answer());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a status means; the texts beside it are not repeated.
fn by_status(status: StatusCode) -> Error {
    match status.as_u16() {
        // Told by whoever sent it.
        400 => Error::data("Vault does not take the request (400)")
            .help("check that `mount` is a transit engine of Vault 1.9 or newer, or of OpenBao"),
        401 | 403 => Error::denied("Vault does not allow the use of the key")
            .help("give the token's policy `read` on keys/KEY and `update` on encrypt/KEY and decrypt/KEY, or renew the token"),
        404 => Error::invalid("there is no such key").help(
            "check `mount`, `key` and `namespace`; a new key: vault write -f MOUNT/keys/KEY type=aes256-gcm96",
        ),
        300..=399 => Error::invalid("Vault sends us to another server")
            .help("write the address of the active server, or of the load balancer, in `address`"),
        503 => passing("is sealed, or is just starting"),
        429 => passing("has had too many requests"),
        412 | 472 | 473 => passing("is a standby that does not answer by itself"),
        500..=599 => passing(&format!("has a fault of its own ({})", status.as_u16())),
        other => Error::failed(format!("Vault answers with status {other}"))
            .help("check that `address` is that of a Vault or OpenBao server"),
    }
}

/// Why nothing was sent or no answer came.
fn unsent(error: &reqwest::Error) -> Error {
    if is_untrusted(error) {
        return Error::invalid("Vault's certificate is not one to trust").help(
            "name the authority's PEM file in `ca_file`, and in `address` the host that the certificate is for",
        );
    }
    if error.is_timeout() { passing("does not answer in time") } else { passing("cannot be reached") }
}

/// Whether a certificate was refused, somewhere among the causes. What an I/O error holds is no source of it.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    held.is_some_and(|held| is_untrusted(held)) || error.source().is_some_and(is_untrusted)
}

fn passing(how: &str) -> Error {
    Error::temporary(format!("Vault {how}"))
        .help("check the server and the network; nothing is lost, run the same command again")
}

/// 200, and not what was asked for.
pub(super) fn no_answer() -> Error {
    Error::failed("what answers at `address` is no Vault").help("check `address` and `mount`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn each_status_has_its_kind_and_its_remedy() {
        let kinds = [
            (400, Kind::Data),
            (403, Kind::Denied),
            (404, Kind::Invalid),
            (307, Kind::Invalid),
            (405, Kind::Failed),
            (429, Kind::Temporary),
            (473, Kind::Temporary),
            (500, Kind::Temporary),
            (502, Kind::Temporary),
            (503, Kind::Temporary),
        ];
        for (status, kind) in kinds {
            let error = by_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(error.kind(), kind, "{status}");
            assert!(error.remedy().is_some(), "{status}");
        }
    }

    #[test]
    fn the_token_is_no_part_of_any_debug_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hvs.secret\n").unwrap();
        let settings = config::Vault {
            path: "keys".into(),
            address: "https://vault.example:8200".into(),
            mount: "transit".into(),
            key: "root".into(),
            token: Reference::File(file.path().to_owned()),
            ca_file: None,
            namespace: Some("team".into()),
        };
        let http = Http::open(&settings).unwrap();
        let headers = http.headers().unwrap();
        assert_eq!(headers["x-vault-token"], "hvs.secret");
        assert!(!format!("{headers:?}{settings:?}").contains("hvs.secret"));
    }
}
