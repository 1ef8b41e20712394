//! The configuration document as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::ApiVersion;
use super::access::Access;
pub(crate) use super::keys::Keys;
use super::listen::Listen;
use super::observability::{Alert, Lineage, Traces};
use super::placed::{Either, Map, Placed, Words};

/// Where things are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Sealift configuration")]
#[expect(dead_code, reason = "apiVersion and kind are checked by being read")]
pub(crate) struct Config {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: Placed<ApiVersion>,
    pub(crate) kind: Placed<Kind>,
    /// Folder of pipeline documents, searched with all folders in it. Paths resolve against the folder of
    /// this file.
    pub(crate) pipelines: Placed<String>,
    /// The policy document.
    pub(crate) policy: Placed<String>,
    /// The store of runs, tokens and audit.
    pub(crate) metadata: Placed<Metadata>,
    /// The key provider.
    pub(crate) keys: Placed<Keys>,
    /// Places for published tables, by name.
    pub(crate) stores: Placed<Map<Store>>,
    /// Source endpoints, by name.
    pub(crate) connections: Placed<Map<Connection>>,
    /// Where the daemon listens.
    pub(crate) listen: Option<Placed<Listen>>,
    /// Who beside the holders of tokens is let in.
    pub(crate) access: Option<Placed<Access>>,
    /// What keeps the audit trail honest.
    pub(crate) audit: Option<Placed<Audit>>,
    /// Most memory that a run or a query may hold, in MB (10^6 bytes), 256 to 16,000,000; default 1024.
    #[schemars(range(min = 256, max = 16_000_000))]
    pub(crate) memory_limit_mb: Option<Placed<u64>>,
    /// Who hears of runs that need a person.
    pub(crate) alerts: Option<Placed<Vec<Placed<Alert>>>>,
    /// Where OpenLineage events go.
    pub(crate) lineage: Option<Placed<Lineage>>,
    /// Where OpenTelemetry traces go.
    pub(crate) traces: Option<Placed<Traces>>,
    /// How many runs the daemon has.
    pub(crate) runs: Option<Placed<Runs>>,
}

/// How many runs the daemon has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runs {
    /// Most runs under way at once, 1 to 64, default 2.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) at_once: Option<Placed<u64>>,
    /// Most runs that wait for their turn, 1 to 100,000, default 10,000; more are turned away.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) waiting: Option<Placed<u64>>,
}

/// What the document is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) enum Kind {
    Config,
}

/// What keeps the audit trail honest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// The store, of those named here, that gets a copy of every signed checkpoint.
    pub(crate) checkpoints: Option<Placed<String>>,
}

/// The store of runs, tokens and audit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metadata {
    /// An SQLite file, created on first use: for the processes of one machine.
    Sqlite(Placed<String>),
    /// A database of PostgreSQL, which several machines can share: a reference to its address, or settings.
    Postgres(Either<SecretAt, MetadataPostgres>),
}

/// A reference to a secret.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretAt(pub(crate) Placed<String>);

impl JsonSchema for SecretAt {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretAt".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(env|file):.+$"})
    }
}

/// A database of PostgreSQL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetadataPostgres {
    /// Reference to `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) url: Placed<String>,
    /// How long a daemon's hold on a pipeline stands without being renewed, `3s` to `10m`, default `30s`.
    pub(crate) lease: Option<Placed<Words>>,
}

/// A place for published tables: a folder (`file:../lake`) or S3 (`s3://bucket/prefix`). Everything but
/// `url` is for S3.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// `file:PATH` or `s3://bucket/prefix`.
    #[schemars(regex(pattern = r"^(file:|s3://).+$"))]
    pub(crate) url: Placed<String>,
    /// Endpoint of an S3-compatible store; `http://` for this machine only.
    #[schemars(regex(pattern = r"^https?://.+$"))]
    pub(crate) endpoint: Option<Placed<String>>,
    /// Region, default `us-east-1`.
    pub(crate) region: Option<Placed<String>>,
    /// Reference to the access key id; without one the environment's credentials are used.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) access_key_id: Option<Placed<String>>,
    /// Reference to the secret access key.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) secret_access_key: Option<Placed<String>>,
    /// Reference to the session token of temporary credentials.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) session_token: Option<Placed<String>>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`; default true with an endpoint.
    pub(crate) path_style: Option<Placed<bool>>,
}

/// A source endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Connection {
    /// A PostgreSQL database.
    Postgres(Box<Postgres>),
    /// A MySQL or MariaDB server.
    Mysql(Box<Mysql>),
    /// An SQLite file.
    Sqlite(Box<Sqlite>),
    /// Any database with an ODBC driver (SQL Server, Oracle, Db2, Teradata).
    Odbc(Box<Odbc>),
    /// A folder of CSV or Parquet files.
    Files(Files),
}

/// A PostgreSQL database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    /// Host name or address.
    pub(crate) host: Placed<String>,
    /// Port, default 5432.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<Placed<u64>>,
    /// Database name.
    pub(crate) database: Placed<String>,
    /// Role name.
    pub(crate) user: Placed<String>,
    /// Reference to the password.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) password: Option<Placed<String>>,
    /// How the connection is protected; default `verify-full`.
    pub(crate) tls: Option<Placed<Tls>>,
    /// PEM file of certificate authorities; without it the system's.
    pub(crate) ca_file: Option<Placed<String>>,
    /// A password file in libpq's format; without it `PGPASSFILE`, then `~/.pgpass`.
    pub(crate) passfile: Option<Placed<String>>,
    /// Most time one statement may take, such as `30m`.
    pub(crate) statement_timeout: Option<Placed<Words>>,
    /// What all reads through it together may take.
    pub(crate) limits: Option<Placed<Limits>>,
    /// When reads give way.
    pub(crate) throttle: Option<Placed<Throttle>>,
}

/// A MySQL or MariaDB server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mysql {
    /// Host name or address.
    pub(crate) host: Placed<String>,
    /// Port, default 3306.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<Placed<u64>>,
    /// Database that queries run in; tables name theirs (`database.table`).
    pub(crate) database: Placed<String>,
    /// User name.
    pub(crate) user: Placed<String>,
    /// Reference to the password.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) password: Option<Placed<String>>,
    /// How the connection is protected; default `verify-full`.
    pub(crate) tls: Option<Placed<Tls>>,
    /// PEM file of certificate authorities; without it the system's.
    pub(crate) ca_file: Option<Placed<String>>,
    /// Most time one statement may take, such as `30m`.
    pub(crate) statement_timeout: Option<Placed<Words>>,
    /// What all reads through it together may take.
    pub(crate) limits: Option<Placed<Limits>>,
    /// When reads give way.
    pub(crate) throttle: Option<Placed<Throttle>>,
}

/// An SQLite file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sqlite {
    /// The file; streams name its tables as `main.NAME`.
    pub(crate) path: Placed<String>,
    /// What all reads through it together may take.
    pub(crate) limits: Option<Placed<Limits>>,
}

/// A database behind an ODBC driver.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Odbc {
    /// `Driver={…};Server=…;…` or `DSN=…`, without user and password.
    pub(crate) connection_string: Placed<String>,
    /// Sent as `UID`.
    pub(crate) user: Option<Placed<String>>,
    /// Reference to what is sent as `PWD`.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) password: Option<Placed<String>>,
    /// Most time one statement may take, such as `30m`.
    pub(crate) statement_timeout: Option<Placed<Words>>,
    /// What all reads through it together may take.
    pub(crate) limits: Option<Placed<Limits>>,
}

/// What all reads through one connection together may take of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Most connections open at once, 1 to 64; without it as many as this machine has cores, eight at the most.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) connections: Option<Placed<u64>>,
    /// Most rows in a second.
    #[schemars(range(min = 1))]
    pub(crate) rows_per_second: Option<Placed<u64>>,
    /// Most bytes (as carried in memory) in a second, such as `50MB`.
    #[schemars(regex(pattern = r"^[0-9]+ ?([KMGT]i?)?B$"))]
    pub(crate) bytes_per_second: Option<Placed<Words>>,
    /// Most runs of the daemon that read through it at once, 1 to 64; without it as many as may run.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) runs: Option<Placed<u64>>,
}

/// Makes reads give way when the source is under load.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Throttle {
    /// A query in the source's SQL that answers one number: the load.
    pub(crate) query: Placed<String>,
    /// Above this the read is slowed down.
    pub(crate) slow_above: Placed<u64>,
    /// Above this it stands still until the load falls again.
    pub(crate) pause_above: Placed<u64>,
    /// Time between two looks at the load, `1s` to `1h`, default `10s`.
    pub(crate) every: Option<Placed<Words>>,
}

/// How a database connection is protected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tls {
    /// Not at all; for this machine only.
    Disable,
    /// TLS with the server's certificate and host name checked.
    VerifyFull,
}

/// A folder of files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// The folder; file streams name paths in it.
    pub(crate) root: Placed<String>,
}
