//! What can be typed about the daemon that a command asks.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Daemon {
    /// Where the daemon listens
    #[arg(long, value_name = "URL", env = "SEALIFT_URL", default_value = "http://127.0.0.1:8470")]
    pub(in crate::cli) url: String,
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
