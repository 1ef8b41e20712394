//! The operator's document: where things are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use super::access::Access;
pub use super::keys::{AwsKms, GcpKms, Keys, Pkcs11, Vault};
pub use super::listen::Listen;
pub use super::observability::{
    Address, Alert, Channel, Concern, Email, Lineage, LineageHttp, Observability, Smtp, SmtpTls, Traces,
    Webhook,
};
use super::{ConnectionName, StoreName};
use crate::secret::Reference;

/// A valid configuration document; every path in it is resolved against the document's folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// SHA-256 of the document's bytes, lower-case hex.
    pub digest: String,
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
    /// Who beside the holders of tokens is let in.
    pub access: Access,
    /// The store that gets a copy of every checkpoint of the audit trail (`audit: {checkpoints: STORE}`).
    pub audit_checkpoints: Option<StoreName>,
    /// Most bytes of memory a run or a query may hold (`memory_limit_mb`, default 1024 MB).
    pub memory_limit_bytes: u64,
    /// Who is told of runs (`alerts`, `lineage`, `traces`).
    pub observability: Observability,
    /// How many runs the daemon has.
    pub runs: Runs,
}

/// How many runs the daemon has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Most under way at once, default 2.
    pub at_once: usize,
    /// Most that wait for their turn, default 10,000.
    pub waiting: usize,
}

impl Default for Runs {
    fn default() -> Self {
        Self { at_once: 2, waiting: 10_000 }
    }
}

/// The metadata store: ledger, tokens, audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// An SQLite file, created on first use: for the processes of one machine.
    Sqlite(PathBuf),
    /// A database of PostgreSQL: several machines can share it.
    Postgres {
        /// Its address, `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`.
        url: Reference,
        /// How long a daemon's hold on a pipeline stands without being renewed, default 30 seconds: as long as others
        /// wait before they take over what a dead one left.
        lease: Duration,
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

/// Environment variables that credentials for AWS may come from. Nothing else is taken from the
/// environment: an endpoint or a bucket that is not in the configuration would be a surprise.
pub const AWS_CREDENTIAL_VARIABLES: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

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

impl Store {
    /// Which place it is, whatever it is called and whoever asks: tells any two stores apart.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::File { root } => format!("file {}", root.display()),
            Self::S3(S3 { bucket, prefix, endpoint, region, .. }) => {
                format!("s3 {} {region} {bucket}/{prefix}", endpoint.as_deref().unwrap_or("aws"))
            }
        }
    }
}

/// A named source endpoint.
#[derive(Clone, Debug)]
pub enum Connection {
    /// A PostgreSQL database.
    Postgres(Postgres),
    /// A MySQL or MariaDB server.
    Mysql(Mysql),
    /// An SQLite file.
    Sqlite(Sqlite),
    /// Any database with an ODBC driver.
    Odbc(Odbc),
    /// A folder of files.
    Files {
        /// File stream paths are relative to it and cannot leave it.
        root: PathBuf,
    },
}

impl Connection {
    /// What all reads through it together may take; files have no limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        match self {
            Self::Postgres(postgres) => postgres.limits,
            Self::Mysql(mysql) => mysql.limits,
            Self::Sqlite(sqlite) => sqlite.limits,
            Self::Odbc(odbc) => odbc.limits,
            Self::Files { .. } => Limits::default(),
        }
    }
}

/// What all reads through one connection together may take of the source, over all pipelines of
/// one process. `None` is no limit of our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most connections open at once; without it as many as this machine has cores, eight at the most.
    pub connections: Option<usize>,
    /// Rows in a second.
    pub rows_per_second: Option<u64>,
    /// Bytes (as carried in memory) in a second.
    pub bytes_per_second: Option<u64>,
    /// Runs of the daemon that read through it at once.
    pub runs: Option<usize>,
}

/// Makes reads give way when the source is under load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// A query in the source's SQL that answers one number: the load.
    pub query: String,
    /// Above this the read is slowed down.
    pub slow_above: u64,
    /// Above this it stands still until the load falls again.
    pub pause_above: u64,
    /// Time between two looks at the load, default 10 seconds.
    pub every: Duration,
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
    /// Password, where the server asks for one; without it the password file is asked.
    pub password: Option<Reference>,
    /// A password file in libpq's format; without it `PGPASSFILE`, then `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// How the connection is protected; default `verify-full`.
    pub tls: Tls,
    /// PEM file of the certificate authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// Most time one statement may take; `None` leaves the server's own.
    pub statement_timeout: Option<Duration>,
    /// What reads may take.
    pub limits: Limits,
    /// When reads give way.
    pub throttle: Option<Throttle>,
}

/// A MySQL or MariaDB server and how to reach it.
#[derive(Clone, Debug)]
pub struct Mysql {
    /// Host name or address.
    pub host: String,
    /// Port, default 3306.
    pub port: u16,
    /// Database that queries run in; tables name theirs (`database.table`).
    pub database: String,
    /// User name.
    pub user: String,
    /// Password, where the server asks for one.
    pub password: Option<Reference>,
    /// How the connection is protected; default `verify-full`.
    pub tls: Tls,
    /// PEM file of the certificate authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// Most time one statement may take; `None` leaves the server's own.
    pub statement_timeout: Option<Duration>,
    /// What reads may take.
    pub limits: Limits,
    /// When reads give way.
    pub throttle: Option<Throttle>,
}

/// An SQLite file; its tables are `main.NAME`.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// The file; it is opened for reading only.
    pub path: PathBuf,
    /// What reads may take.
    pub limits: Limits,
}

/// A database behind an ODBC driver.
#[derive(Clone, Debug)]
pub struct Odbc {
    /// `Driver={…};Server=…;…` or `DSN=…`, without user and password.
    pub connection_string: String,
    /// Sent as `UID`.
    pub user: Option<String>,
    /// Sent as `PWD`.
    pub password: Option<Reference>,
    /// Most time one statement may take; `None` leaves the driver's own.
    pub statement_timeout: Option<Duration>,
    /// What reads may take.
    pub limits: Limits,
}

/// How a database connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain TCP; accepted for loopback hosts only.
    Disable,
    /// TLS with the server's certificate and host name checked.
    VerifyFull,
}
