//! Where the daemon listens, and how.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::access::Roles;
use crate::secret::Reference;

/// Where the daemon listens, and how. An address that other machines can reach has TLS, or somebody has said in so many
/// words that it needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// REST API, default `127.0.0.1:8470`.
    pub http: SocketAddr,
    /// TLS of the REST API; without it, plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8470)), tls: None }
    }
}

impl Listen {
    /// Whether tokens and passwords come unencrypted from other machines.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tls.is_none() && !self.http.ip().is_loopback()
    }
}

/// The daemon's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the certificate, and of those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: Reference,
    /// Clients with certificates of their own.
    pub clients: Option<Clients>,
}

/// Clients that prove who they are by a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// PEM file of the authorities that sign their certificates.
    pub ca_file: PathBuf,
    /// Whether every client needs one.
    pub is_required: bool,
    /// What they are, by the kind of name (`uri:`, `dns:`, `email:`, `cn:`) and the name in the certificate.
    pub roles: Roles,
}
