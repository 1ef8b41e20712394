//! What can be typed about the daemon that a command asks.

use std::path::PathBuf;

/// Where a daemon of this machine listens.
const HERE: &str = "http://127.0.0.1:8470";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Daemon {
    /// Where the daemon listens, if not at http://127.0.0.1:8470
    #[arg(long, value_name = "URL", env = "SEALIFT_URL")]
    pub(in crate::cli) url: Option<String>,
    /// Where its token is: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE", default_value = "env:SEALIFT_TOKEN")]
    pub(in crate::cli) token: String,
    /// PEM file of the certificate authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE", env = "SEALIFT_CA_FILE")]
    pub(in crate::cli) ca_file: Option<PathBuf>,
    /// PEM file of a client certificate and its key; with it, a token may be left out
    #[arg(long, value_name = "FILE", env = "SEALIFT_CLIENT_CERTIFICATE")]
    pub(in crate::cli) client_certificate: Option<PathBuf>,
}

impl Daemon {
    /// Where it listens: where it was said, or here.
    pub(in crate::cli) fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(HERE)
    }
}
