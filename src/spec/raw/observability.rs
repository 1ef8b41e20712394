//! Alerts, lineage and traces as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::{Placed, Words};

/// Who hears of runs that need a person, and how: `webhook` or `email`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    /// What is told; without it everything.
    #[schemars(length(min = 1))]
    pub(crate) on: Option<Placed<Vec<Placed<Concern>>>>,
    /// Names of pipelines or globs over them (`crm*`); without it all.
    #[schemars(length(min = 1))]
    pub(crate) pipelines: Option<Placed<Vec<Placed<String>>>>,
    /// How long after its scheduled time a pipeline is late without a success, `1m` to `30days`, default `1h`.
    pub(crate) late_after: Option<Placed<Words>>,
    /// One HTTP request for each alert.
    pub(crate) webhook: Option<Placed<Webhook>>,
    /// One mail for each alert.
    pub(crate) email: Option<Placed<Email>>,
}

/// What a person may have to hear of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Concern {
    /// A run failed, other than by its data.
    Failed,
    /// Policy or an approval stood in the way.
    Held,
    /// The data broke its contract, or rows went to the quarantine.
    Quality,
    /// A scheduled pipeline has not succeeded in time.
    Late,
}

/// An HTTP receiver of alerts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    /// The URL, or a reference to it where it is a secret itself; `http://` for this machine only.
    #[schemars(regex(pattern = r"^(https?://|env:|file:).+$"))]
    pub(crate) url: Placed<String>,
    /// Reference to a bearer token.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) token: Option<Placed<String>>,
    /// Reference to the secret that the body is signed with: `whsec_` and base64, as Standard Webhooks has it.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) secret: Option<Placed<String>>,
}

/// A mail for each alert.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Email {
    /// The server that takes the mail.
    pub(crate) smtp: Placed<Smtp>,
    /// Who sends: `sealift@example.com`, or `Sealift <sealift@example.com>`.
    pub(crate) from: Placed<String>,
    /// Who reads.
    #[schemars(length(min = 1))]
    pub(crate) to: Placed<Vec<Placed<String>>>,
}

/// A mail server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smtp {
    /// Host name or address.
    pub(crate) host: Placed<String>,
    /// Port; default 587, 465 with `tls: implicit`, 25 with `tls: disable`.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<Placed<u64>>,
    /// How the connection is protected; default `starttls`.
    pub(crate) tls: Option<Placed<SmtpTls>>,
    /// Who logs in.
    pub(crate) user: Option<Placed<String>>,
    /// Reference to the password.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) password: Option<Placed<String>>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SmtpTls {
    /// STARTTLS, required.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all; for this machine only.
    Disable,
}

/// Where OpenLineage events go: `http`, `file`, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lineage {
    /// Namespace of the jobs, default `sealift`.
    pub(crate) namespace: Option<Placed<String>>,
    /// An OpenLineage server.
    pub(crate) http: Option<Placed<LineageHttp>>,
    /// A file, one event a line.
    pub(crate) file: Option<Placed<LineageFile>>,
}

/// An OpenLineage server, such as Marquez or DataHub.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineageHttp {
    /// Where events are posted (`https://host/api/v1/lineage`), or a reference to it; `http://` for this machine only.
    #[schemars(regex(pattern = r"^(https?://|env:|file:).+$"))]
    pub(crate) url: Placed<String>,
    /// Reference to a bearer token.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) token: Option<Placed<String>>,
}

/// A file of events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineageFile {
    /// The file, made on first use; events are added to its end.
    pub(crate) path: Placed<String>,
}

/// Where traces go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Traces {
    /// An OpenTelemetry collector, by OTLP over HTTP.
    Otlp(Otlp),
}

/// An OpenTelemetry collector.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Otlp {
    /// Scheme, host and port, such as `http://127.0.0.1:4318`; `http://` for this machine only.
    #[schemars(regex(pattern = r"^https?://.+$"))]
    pub(crate) endpoint: Placed<String>,
    /// Reference to a bearer token.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) token: Option<Placed<String>>,
}
