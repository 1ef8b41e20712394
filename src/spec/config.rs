//! The operator's document: where things are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{ConnectionName, StoreName};
use crate::secret::Reference;

/// A valid configuration document; every path in it is resolved against the document's folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// Folder of pipeline documents, searched recursively for `*.yaml` and `*.yml`.
    pub pipelines: PathBuf,
    /// The policy document.
    pub policy: PathBuf,
    /// The metadata store.
    pub metadata: Metadata,
    /// The key provider.
    pub keys: Keys,
    /// Where datasets are published.
    pub stores: BTreeMap<StoreName, Store>,
    /// Where data comes from.
    pub connections: BTreeMap<ConnectionName, Connection>,
    /// Where the daemon listens.
    pub listen: Listen,
    /// Most bytes of memory the transform stage may hold (`memory_limit`, default 1 GiB).
    pub memory_limit_bytes: u64,
}

/// The metadata store: ledger, tokens, audit.
#[derive(Clone, Debug)]
pub enum Metadata {
    /// An SQLite file, created on first use.
    Sqlite(PathBuf),
}

/// The key provider.
#[derive(Clone, Debug)]
pub enum Keys {
    /// A folder: the root key in a 0600 file, the wrapped dataset keys beside it.
    File {
        /// The folder, created on first use.
        path: PathBuf,
        /// Seals the root key file, through argon2id.
        passphrase: Option<Reference>,
    },
}

/// A place for published tables.
#[derive(Clone, Debug)]
pub enum Store {
    /// A local folder (`url: "file:../lake"`).
    File {
        /// The folder, created on first use.
        root: PathBuf,
    },
    /// S3 or a compatible store (`url: s3://bucket/prefix`).
    S3(S3),
}

/// An S3 bucket and how to reach it.
#[derive(Clone, Debug)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// Key prefix without leading or trailing slash; may be empty.
    pub prefix: String,
    /// Endpoint of an S3-compatible store; `http://` is accepted for loopback only.
    pub endpoint: Option<String>,
    /// Region, default `us-east-1`.
    pub region: String,
    /// Access key id; without one the environment's credentials are used.
    pub access_key_id: Option<Reference>,
    /// Secret access key.
    pub secret_access_key: Option<Reference>,
    /// Session token of temporary credentials.
    pub session_token: Option<Reference>,
    /// `endpoint/bucket/key` (true, default with an endpoint) or `bucket.endpoint/key`.
    pub path_style: bool,
}

/// A named source endpoint.
#[derive(Clone, Debug)]
pub enum Connection {
    /// A PostgreSQL database.
    Postgres(Postgres),
    /// A folder of files.
    Files {
        /// File stream paths are relative to it and cannot leave it.
        root: PathBuf,
    },
}

/// A PostgreSQL database and how to reach it.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Host name or address.
    pub host: String,
    /// Port, default 5432.
    pub port: u16,
    /// Database name.
    pub database: String,
    /// Role name.
    pub user: String,
    /// Password, where the server asks for one.
    pub password: Option<Reference>,
    /// How the connection is protected; default `verify-full`.
    pub tls: Tls,
    /// PEM file of the certificate authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a database connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain TCP; accepted for loopback hosts only.
    Disable,
    /// TLS with the server's certificate and host name checked.
    VerifyFull,
}

/// Where the daemon listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// REST API, default `127.0.0.1:8470`; only loopback addresses are accepted.
    pub http: SocketAddr,
}
