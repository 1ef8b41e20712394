//! Where messages go, and how one gets there.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode, redirect, tls};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::{mail, signature};
use crate::error::{Error, Result};
use crate::govern::store::now_ms;
use crate::run::ledger::outbox::Message;
use crate::secret::Reference;
use crate::spec::config::{Address, Channel, Email, Lineage, LineageHttp, Webhook};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(10);
/// How long an attempt may take, with all that is done for it.
const LONGEST: Duration = Duration::from_secs(15);

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
    /// One of those who read it: each has an order and a pace of their own.
    Email(Box<Email>, Mailbox),
    LineageHttp(LineageHttp),
    LineageFile(Arc<Lines>),
}

/// A file of lines, of which one is written at a time.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    /// Held by who writes, for as long as the file system keeps it.
    writing: Arc<Mutex<()>>,
}

impl Place {
    /// Where an alert goes.
    pub(super) fn of_channel(channel: &Channel) -> Vec<Self> {
        match channel {
            Channel::Webhook(webhook) => {
                let Webhook { url, token, secret } = webhook;
                let place = format!("{} {token:?} {secret:?}", shown(url));
                vec![Self { id: digest("webhook", &place), way: Way::Webhook(webhook.clone()) }]
            }
            Channel::Email(email) => email.to.iter().map(|reader| Self::of_reader(email, reader)).collect(),
        }
    }

    fn of_reader(email: &Email, reader: &Mailbox) -> Self {
        let place = format!("{}:{} {} {reader}", email.smtp.host, email.smtp.port, email.from);
        Self { id: digest("email", &place), way: Way::Email(Box::new(email.clone()), reader.clone()) }
    }

    /// Where lineage goes.
    pub(super) fn of_lineage(lineage: &Lineage) -> Vec<Self> {
        let http = lineage.http.as_ref().map(|http| Self {
            id: digest("lineage_http", &shown(&http.url)),
            way: Way::LineageHttp(http.clone()),
        });
        let file = lineage.file.as_ref().map(|path| Self {
            id: digest("lineage_file", &path.display().to_string()),
            way: Way::LineageFile(Arc::new(Lines { path: path.clone(), writing: Arc::default() })),
        });
        http.into_iter().chain(file).collect()
    }

    /// What kind of place it is: a label of metrics.
    pub(super) const fn kind(&self) -> &'static str {
        match self.way {
            Way::Webhook(_) => "webhook",
            Way::Email(..) => "email",
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
            Way::Email(email, _) => mail::check(email),
            Way::LineageHttp(http) => {
                http.url.resolve()?;
                bearer(http.token.as_ref()).map(drop)
            }
            Way::LineageFile(_) => Ok(()),
        }
    }

    /// Sends a message, within a time.
    pub(super) async fn send(&self, clients: &Clients, message: &Message) -> Result<(), Failure> {
        let sent = tokio::time::timeout(LONGEST, self.attempt(clients, message)).await;
        sent.unwrap_or_else(|_| Err(Failure::Later("it takes too long".to_owned())))
    }

    async fn attempt(&self, clients: &Clients, message: &Message) -> Result<(), Failure> {
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
            Way::LineageFile(lines) => lines.append(&message.body).await,
            Way::Email(email, reader) => mail::send(email, reader, message).await,
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

/// A client for what is beyond this machine, by TLS only, or for what is on it.
///
/// # Errors
/// `Failed` when TLS cannot be set up.
pub(in crate::serve) fn client(is_far: bool, limit: Duration) -> Result<Client> {
    let builder = Client::builder()
        .use_rustls_tls()
        .min_tls_version(tls::Version::TLS_1_2)
        // A redirect would take what is sent, and the token, elsewhere.
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

impl Lines {
    /// One more line. A file system that hangs holds up one thread, however often it is tried again.
    async fn append(&self, line: &str) -> Result<(), Failure> {
        let Ok(alone) = Arc::clone(&self.writing).try_lock_owned() else {
            return Err(Failure::Later("the file system does not answer".to_owned()));
        };
        let (path, line) = (self.path.clone(), line.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            append(&path, &line)
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::Later(format!("the file cannot be written: {}", error.kind()))),
            Err(_) => Err(Failure::Later("writing the file was cut off".to_owned())),
        }
    }
}

/// A line at the end of a file, in one write, which stays. What a full disk left of an earlier one is a line of its own.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o640).open(path)?;
    let is_regular = file.metadata()?.is_file();
    let before = if is_regular && !ends_a_line(&mut file)? { "\n" } else { "" };
    file.write_all(format!("{before}{line}\n").as_bytes())?;
    if is_regular { file.sync_data() } else { Ok(()) }
}

fn ends_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
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
    async fn a_line_that_was_cut_off_spoils_no_other_and_one_that_hangs_holds_up_no_thread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/lineage.jsonl");
        let lines = Lines { path: path.clone(), writing: Arc::default() };
        lines.append("{\"a\":1}").await.unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"b\"").unwrap();
        lines.append("{\"c\":3}").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\"\n{\"c\":3}\n");
        let _hangs = Arc::clone(&lines.writing).lock_owned().await;
        assert!(matches!(lines.append("{}").await, Err(Failure::Later(_))));
    }
}
