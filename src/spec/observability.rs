//! What a deployment tells others of its runs: alerts, lineage, traces.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;

use super::PipelineName;
use super::policy::is_match;
use super::resolve::store::is_loopback;
use crate::error::{Error, Result};
use crate::secret::Reference;

/// Who is told what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observability {
    /// Who hears of runs that need a person.
    pub alerts: Vec<Alert>,
    /// Where lineage goes.
    pub lineage: Option<Lineage>,
    /// Where traces go.
    pub traces: Option<Traces>,
}

/// One receiver of alerts, and what it wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What is told, in document order, each once.
    pub on: Vec<Concern>,
    /// Globs over names of pipelines (`*` for any characters), at least one.
    pub pipelines: Vec<String>,
    /// How long after its scheduled time a pipeline is late without a success.
    pub late_after: Duration,
    /// Where it is told.
    pub channel: Channel,
}

impl Alert {
    /// Whether this is about a pipeline.
    #[must_use]
    pub fn covers(&self, pipeline: &PipelineName) -> bool {
        self.pipelines.iter().any(|glob| is_match(glob, pipeline.as_str()))
    }
}

/// What a person may have to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Concern {
    /// A run failed, other than by its data.
    Failed,
    /// Policy or an approval stood in the way.
    Held,
    /// The data broke its contract, or rows went to the quarantine.
    Quality,
    /// A scheduled pipeline has not succeeded in time.
    Late,
}

impl Concern {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Failed, Self::Held, Self::Quality, Self::Late];

    /// The word it is written and told as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Quality => "quality",
            Self::Late => "late",
        }
    }
}

/// How an alert reaches people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// One HTTP request.
    Webhook(Webhook),
    /// One mail.
    Email(Email),
}

/// An HTTP receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it listens.
    pub url: Address,
    /// Sent as bearer token.
    pub token: Option<Reference>,
    /// What the body is signed with, as Standard Webhooks 1.0 has it: `whsec_` and base64.
    pub secret: Option<Reference>,
}

/// The URL of a receiver, which may itself be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// As written; `https://`, or `http://` of this machine.
    Written(url::Url),
    /// To be found there.
    Secret(Reference),
}

impl Address {
    /// The URL.
    ///
    /// # Errors
    /// `Invalid` when the reference cannot be resolved, or what it names is no URL to send to.
    pub fn resolve(&self) -> Result<url::Url> {
        match self {
            Self::Written(url) => Ok(url.clone()),
            Self::Secret(reference) => {
                let secret = reference.resolve()?;
                Self::read(secret.expose_str()?)
            }
        }
    }

    /// Reads a URL that may be sent to. What is wrong is told without the text, which may be a secret.
    ///
    /// # Errors
    /// `Invalid` unless it is `https://`, or `http://` of this machine, and holds no user or password.
    pub fn read(text: &str) -> Result<url::Url> {
        let url = url::Url::parse(text.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Error::invalid("this is not an http or https URL").help("write it as https://host/path")
            })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid("the URL holds credentials").help("write `token: env:…` beside it"));
        }
        if url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()) {
            return Err(Error::invalid("the URL is not encrypted")
                .help("use https://; http:// is for this machine only"));
        }
        Ok(url)
    }
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// The server that takes it.
    pub smtp: Smtp,
    /// Who sends.
    pub from: Mailbox,
    /// Who reads, at least one.
    pub to: Vec<Mailbox>,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Who logs in, and with what; nobody where the server takes mail without.
    pub login: Option<(String, Reference)>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// STARTTLS, required; port 587 by default.
    Starttls,
    /// TLS from the first byte; port 465 by default.
    Implicit,
    /// Not at all, for this machine only; port 25 by default.
    Disable,
}

impl SmtpTls {
    /// The port that belongs to it.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Implicit => 465,
            Self::Disable => 25,
        }
    }
}

/// Where OpenLineage events go; at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Namespace of the jobs.
    pub namespace: String,
    /// An OpenLineage server (Marquez, DataHub, …).
    pub http: Option<LineageHttp>,
    /// A file, one event a line.
    pub file: Option<PathBuf>,
}

/// An OpenLineage server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageHttp {
    /// Where events are posted (`https://host/api/v1/lineage`).
    pub url: Address,
    /// Sent as bearer token.
    pub token: Option<Reference>,
}

/// Where traces go: an OpenTelemetry collector, by OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// Scheme, host and port; spans are posted to `/v1/traces` there.
    pub endpoint: String,
    /// Sent as bearer token.
    pub token: Option<Reference>,
}
