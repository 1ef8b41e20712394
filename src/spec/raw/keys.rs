//! The key provider as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::{Later, Placed};

/// The key provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keys {
    /// A folder: the root key in a file that only its owner can read, the wrapped dataset keys beside it.
    File(FileKeys),
    /// A token (a hardware security module) behind a PKCS #11 module.
    Pkcs11(Pkcs11Keys),
    /// A key of AWS KMS.
    AwsKms(Box<AwsKmsKeys>),
    /// A key of Google Cloud KMS.
    GcpKms(GcpKmsKeys),
    /// A transit key of HashiCorp Vault or OpenBao.
    Vault(Box<VaultKeys>),
    #[schemars(skip)]
    AzureKeyVault(Later),
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

/// A secret key in a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pkcs11Keys {
    /// Folder of the wrapped dataset keys, created on first use.
    pub(crate) path: Placed<String>,
    /// The vendor's shared library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub(crate) module: Placed<String>,
    /// Label of the token.
    pub(crate) token: Placed<String>,
    /// Label of the AES-256 key.
    pub(crate) key: Placed<String>,
    /// Reference to the user PIN.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) pin: Placed<String>,
}

/// A symmetric key of AWS KMS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AwsKmsKeys {
    /// Folder of the wrapped dataset keys, created on first use.
    pub(crate) path: Placed<String>,
    /// Key id, `alias/NAME`, or the ARN of either.
    pub(crate) key_id: Placed<String>,
    /// Region; an ARN says it already.
    pub(crate) region: Option<Placed<String>>,
    /// Endpoint in place of the region's; `http://` for this machine only.
    #[schemars(regex(pattern = r"^https?://.+$"))]
    pub(crate) endpoint: Option<Placed<String>>,
    /// Reference to the access key id; without one the environment's credentials are used.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) access_key_id: Option<Placed<String>>,
    /// Reference to the secret access key.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) secret_access_key: Option<Placed<String>>,
    /// Reference to the session token of temporary credentials.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) session_token: Option<Placed<String>>,
}

/// A symmetric key of Google Cloud KMS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GcpKmsKeys {
    /// Folder of the wrapped dataset keys, created on first use.
    pub(crate) path: Placed<String>,
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    #[schemars(regex(pattern = r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$"))]
    pub(crate) key: Placed<String>,
    /// Endpoint in place of Google's own; `http://` for this machine only.
    #[schemars(regex(pattern = r"^https?://.+$"))]
    pub(crate) endpoint: Option<Placed<String>>,
    /// Reference to the JSON key of a service account, or to the configuration of workload identity federation;
    /// without one the environment's credentials are used.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) credentials: Option<Placed<String>>,
}

/// A key of the transit engine of Vault or OpenBao.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VaultKeys {
    /// Folder of the wrapped dataset keys, created on first use.
    pub(crate) path: Placed<String>,
    /// `https://host:port`; `http://` for this machine only.
    #[schemars(regex(pattern = r"^https?://.+$"))]
    pub(crate) address: Placed<String>,
    /// Where the transit engine is mounted, default `transit`.
    pub(crate) mount: Option<Placed<String>>,
    /// Name of the key.
    pub(crate) key: Placed<String>,
    /// Reference to the token; it is read again for every request.
    #[schemars(regex(pattern = r"^(env|file):.+$"))]
    pub(crate) token: Placed<String>,
    /// PEM file of certificate authorities; without it the system's.
    pub(crate) ca_file: Option<Placed<String>>,
    /// Namespace (Vault Enterprise, OpenBao).
    pub(crate) namespace: Option<Placed<String>>,
}
