//! The daemon's doors as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::access::Roles;
use super::placed::{Later, Placed};

/// Where the daemon listens, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// Address of the REST API, default `127.0.0.1:8470`. One that other machines can reach needs `tls`.
    pub(crate) http: Option<Placed<String>>,
    /// Speak TLS, and nothing else.
    pub(crate) tls: Option<Placed<Tls>>,
    /// Take tokens and passwords unencrypted from other machines: only where a proxy in front speaks TLS and nobody
    /// else can reach the address. Default false.
    pub(crate) plaintext_allowed: Option<Placed<bool>>,
    #[schemars(skip)]
    pub(crate) flight: Option<Placed<Later>>,
}

/// TLS of the REST API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM file of the daemon's certificate, and of those between it and its authority.
    pub(crate) certificate: Placed<String>,
    /// Reference to the certificate's private key, in PEM.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) key: Placed<String>,
    /// Clients with certificates of their own.
    pub(crate) clients: Option<Placed<Clients>>,
}

/// Clients that prove who they are by a certificate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clients {
    /// PEM file of the authorities that sign their certificates.
    pub(crate) ca_file: Placed<String>,
    /// Whether every client needs one, default false: others then send a token or a password.
    pub(crate) required: Option<Placed<bool>>,
    /// What they are, by `uri:`, `dns:`, `email:` or `cn:` and that name in the certificate.
    pub(crate) roles: Option<Placed<Roles>>,
}
