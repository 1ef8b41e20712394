//! The configuration document as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ApiVersion;
use super::placed::{Later, Map, Placed, Words};

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
    /// Most memory that transforms may hold, such as `2GiB`; default `1GiB`.
    #[schemars(regex(pattern = r"^[0-9]+ ?([KMGT]i?)?B$"))]
    pub(crate) memory_limit: Option<Placed<Words>>,
}

/// What the document is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) enum Kind {
    Config,
}

/// The store of runs, tokens and audit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metadata {
    /// An SQLite file, created on first use.
    Sqlite(Placed<String>),
    #[schemars(skip)]
    Postgres(Later),
}

/// The key provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keys {
    /// A folder: the root key in a file that only its owner can read, the wrapped dataset keys beside it.
    File(FileKeys),
    #[schemars(skip)]
    Pkcs11(Later),
    #[schemars(skip)]
    AwsKms(Later),
    #[schemars(skip)]
    AzureKeyVault(Later),
    #[schemars(skip)]
    GcpKms(Later),
    #[schemars(skip)]
    Vault(Later),
}

/// Keys in a folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileKeys {
    /// The folder, created on first use.
    pub(crate) path: Placed<String>,
    /// Reference to a passphrase that seals the root key file.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) passphrase: Option<Placed<String>>,
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

/// Where the daemon listens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// Address of the REST API, default `127.0.0.1:8470`; loopback addresses only.
    pub(crate) http: Option<Placed<String>>,
    #[schemars(skip)]
    pub(crate) flight: Option<Placed<Later>>,
}
