//! Where messages go, and how one gets there.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode, redirect, tls};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::{mail, signature};
use crate::error::{Error, Result};
use crate::govern::store::now_ms;
use crate::run::ledger::outbox::Message;
use crate::secret::Reference;
use crate::spec::config::{Address, Channel, Email, Lineage, LineageHttp, Webhook};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(10);

/// Why a message did not arrive, in our own words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may later.
    Later(String),
    /// This message is refused for good.
    Never(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Later(error.message().to_owned())
    }
}

/// A place that messages go to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Tells places apart, from start to start as long as the place is the same; says nothing of where it is.
    pub(super) id: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Webhook(Webhook),
    Email(Box<Email>),
    LineageHttp(LineageHttp),
    LineageFile(PathBuf),
}

impl Place {
    /// Where an alert goes.
    pub(super) fn of_channel(channel: &Channel) -> Self {
        match channel {
            Channel::Webhook(webhook) => {
                let Webhook { url, token, secret } = webhook;
                let place = format!("{} {token:?} {secret:?}", shown(url));
                Self { id: digest("webhook", &place), way: Way::Webhook(webhook.clone()) }
            }
            Channel::Email(email) => {
                let to: Vec<String> = email.to.iter().map(ToString::to_string).collect();
                let place =
                    format!("{}:{} {} {}", email.smtp.host, email.smtp.port, email.from, to.join(","));
                Self { id: digest("email", &place), way: Way::Email(Box::new(email.clone())) }
            }
        }
    }

    /// Where lineage goes.
    pub(super) fn of_lineage(lineage: &Lineage) -> Vec<Self> {
        let http = lineage.http.as_ref().map(|http| Self {
            id: digest("lineage_http", &shown(&http.url)),
            way: Way::LineageHttp(http.clone()),
        });
        let file = lineage.file.as_ref().map(|path| Self {
            id: digest("lineage_file", &path.display().to_string()),
            way: Way::LineageFile(path.clone()),
        });
        http.into_iter().chain(file).collect()
    }

    /// What kind of place it is: a label of metrics.
    pub(super) const fn kind(&self) -> &'static str {
        match self.way {
            Way::Webhook(_) => "webhook",
            Way::Email(_) => "email",
            Way::LineageHttp(_) => "lineage_http",
            Way::LineageFile(_) => "lineage_file",
        }
    }

    /// Whether everything that sending needs is there.
    ///
    /// # Errors
    /// `Invalid` when a secret cannot be resolved, or is not of its form.
    pub(super) fn check(&self) -> Result<()> {
        match &self.way {
            Way::Webhook(webhook) => {
                webhook.url.resolve()?;
                bearer(webhook.token.as_ref())?;
                webhook.secret.as_ref().map(signature::key).transpose().map(drop)
            }
            Way::Email(email) => mail::check(email),
            Way::LineageHttp(http) => {
                http.url.resolve()?;
                bearer(http.token.as_ref()).map(drop)
            }
            Way::LineageFile(_) => Ok(()),
        }
    }

    /// Sends a message.
    pub(super) async fn send(&self, clients: &Clients, message: &Message) -> Result<(), Failure> {
        match &self.way {
            Way::Webhook(webhook) => {
                let body = message.body.as_bytes();
                let mut request = clients.post(&webhook.url, webhook.token.as_ref(), body)?;
                let seconds = now_ms() / 1000;
                request = request
                    .header("webhook-id", &message.message_id)
                    .header("webhook-timestamp", seconds.to_string());
                if let Some(secret) = &webhook.secret {
                    let key = signature::key(secret)?;
                    let signed = signature::sign(&key, &message.message_id, seconds, body);
                    request = request.header("webhook-signature", signed);
                }
                answered(request).await
            }
            Way::LineageHttp(http) => {
                answered(clients.post(&http.url, http.token.as_ref(), message.body.as_bytes())?).await
            }
            Way::LineageFile(path) => append(path, &message.body).await,
            Way::Email(email) => mail::send(email, message).await,
        }
    }
}

/// The clients of all places.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    far: Client,
    /// A proxy would carry what is meant for this machine in plain text.
    near: Client,
}

impl Clients {
    /// # Errors
    /// `Failed` when TLS cannot be set up.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { far: client(true, LIMIT)?, near: client(false, LIMIT)? })
    }

    fn post(&self, url: &Address, token: Option<&Reference>, body: &[u8]) -> Result<RequestBuilder> {
        let url = url.resolve()?;
        let client = if url.scheme() == "https" { &self.far } else { &self.near };
        let mut request = client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_vec());
        if let Some(token) = bearer(token)? {
            request = request.header(AUTHORIZATION, token);
        }
        Ok(request)
    }
}

/// A client for what is beyond this machine, by TLS only, or on it.
///
/// # Errors
/// `Failed` when TLS cannot be set up.
pub(in crate::serve) fn client(is_far: bool, limit: Duration) -> Result<Client> {
    let builder = Client::builder()
        .use_rustls_tls()
        .min_tls_version(tls::Version::TLS_1_2)
        // A redirect would take the token elsewhere.
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .timeout(limit)
        .user_agent(concat!("sealift/", env!("CARGO_PKG_VERSION")));
    let builder = if is_far { builder.https_only(true) } else { builder.no_proxy() };
    builder
        .build()
        .map_err(|_| Error::failed("TLS cannot be set up").help("check this machine's authorities"))
}

fn bearer(token: Option<&Reference>) -> Result<Option<HeaderValue>> {
    let Some(token) = token else { return Ok(None) };
    let token = token.resolve()?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_str()?))
        .map_err(|_| Error::invalid("a token holds what no header can carry"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

async fn answered(request: RequestBuilder) -> Result<(), Failure> {
    let answer = request.send().await.map_err(|error| {
        let why = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        Failure::Later(format!("the receiver {why}"))
    })?;
    by_status(answer.status())
}

/// What a status means; what stands beside it is not read.
fn by_status(status: StatusCode) -> Result<(), Failure> {
    let told = format!("the receiver answers {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(()),
        // Of this message, not of us.
        400 | 413 | 415 | 422 => Err(Failure::Never(told)),
        _ => Err(Failure::Later(told)),
    }
}

/// One line at the end of a file, in one write; it is on the disk then.
async fn append(path: &Path, line: &str) -> Result<(), Failure> {
    write_line(path, line)
        .await
        .map_err(|e| Failure::Later(format!("the file cannot be written: {}", e.kind())))
}

async fn write_line(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.create(true).append(true).mode(0o640).open(path).await?;
    if !file.metadata().await?.is_file() {
        // A pipe, say, has no end to look at.
        file.write_all(format!("{line}\n").as_bytes()).await?;
        return file.flush().await;
    }
    // Who may only write to it cannot look.
    let begin = if is_torn(path).await.unwrap_or_default() { "\n" } else { "" };
    file.write_all(format!("{begin}{line}\n").as_bytes()).await?;
    file.sync_data().await
}

/// Whether a file ends within a line: a disk that was full, or a crash, left a part of it.
async fn is_torn(path: &Path) -> std::io::Result<bool> {
    let mut file = tokio::fs::File::open(path).await?;
    if file.metadata().await?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1)).await?;
    Ok(file.read_u8().await? != b'\n')
}

fn shown(url: &Address) -> String {
    match url {
        Address::Written(url) => url.to_string(),
        Address::Secret(reference) => format!("{reference:?}"),
    }
}

fn digest(kind: &str, place: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("{kind} {place}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_message_is_given_up_and_all_else_is_tried_again() {
        let of = |status| by_status(StatusCode::from_u16(status).unwrap());
        assert_eq!(of(204), Ok(()));
        for status in [400, 413, 422] {
            assert!(matches!(of(status), Err(Failure::Never(_))), "{status}");
        }
        for status in [302, 401, 403, 404, 408, 429, 500, 503] {
            assert!(matches!(of(status), Err(Failure::Later(_))), "{status}");
        }
    }
    #[tokio::test]
    async fn a_line_stands_alone_whatever_stands_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lineage").join("events.jsonl");
        append(&path, "{\"a\": 1}").await.unwrap();
        std::fs::write(&path, "{\"a\": 1}\n{\"b\": ").unwrap();
        append(&path, "{\"b\": 2}").await.unwrap();
        append(&path, "{\"c\": 3}").await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"a\": 1}\n{\"b\": \n{\"b\": 2}\n{\"c\": 3}\n");
    }
}
