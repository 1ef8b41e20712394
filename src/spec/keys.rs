//! Who holds the root key.

use std::path::{Path, PathBuf};

use crate::secret::Reference;

/// The key provider: a holder of the root key, and the folder of the dataset keys that it wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// A folder: the root key in a 0600 file, the wrapped dataset keys beside it.
    File {
        /// The folder, created on first use.
        path: PathBuf,
        /// Seals the root key file, through argon2id.
        passphrase: Option<Reference>,
    },
    /// A token (a hardware security module) behind a PKCS #11 module.
    Pkcs11(Pkcs11),
    /// A key of AWS KMS.
    AwsKms(AwsKms),
    /// A key of Google Cloud KMS.
    GcpKms(GcpKms),
    /// A transit key of HashiCorp Vault or OpenBao.
    Vault(Vault),
}

impl Keys {
    /// The folder of the wrapped dataset keys, created on first use.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File { path, .. }
            | Self::Pkcs11(Pkcs11 { path, .. })
            | Self::AwsKms(AwsKms { path, .. })
            | Self::GcpKms(GcpKms { path, .. })
            | Self::Vault(Vault { path, .. }) => path,
        }
    }
}

/// A secret key in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11 {
    /// Folder of the wrapped dataset keys.
    pub path: PathBuf,
    /// The vendor's shared library.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label (`CKA_LABEL`) of the AES-256 key.
    pub key: String,
    /// The user PIN.
    pub pin: Reference,
}

/// A symmetric key of AWS KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKms {
    /// Folder of the wrapped dataset keys.
    pub path: PathBuf,
    /// Key id, `alias/NAME`, or the ARN of either.
    pub key_id: String,
    /// Region.
    pub region: String,
    /// Endpoint in place of the region's; `http://` is accepted for loopback only.
    pub endpoint: Option<String>,
    /// Access key id; without one the environment's credentials are used.
    pub access_key_id: Option<Reference>,
    /// Secret access key.
    pub secret_access_key: Option<Reference>,
    /// Session token of temporary credentials.
    pub session_token: Option<Reference>,
}

/// A symmetric key of Google Cloud KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpKms {
    /// Folder of the wrapped dataset keys.
    pub path: PathBuf,
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`, without a version.
    pub key: String,
    /// Endpoint in place of Google's own; `http://` is accepted for loopback only.
    pub endpoint: Option<String>,
    /// The JSON document of a service account's key, or of workload identity federation; without one the
    /// environment's credentials are used.
    pub credentials: Option<Reference>,
}

/// A key of the transit engine of Vault or OpenBao.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// Folder of the wrapped dataset keys.
    pub path: PathBuf,
    /// `https://host:port`; `http://` is accepted for loopback only.
    pub address: String,
    /// Where the engine is mounted, default `transit`; without slashes at its ends.
    pub mount: String,
    /// Name of the key.
    pub key: String,
    /// The token. It is read again for every request, so that a file may hold one that changes.
    pub token: Reference,
    /// PEM file of the certificate authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// Namespace (Vault Enterprise, OpenBao).
    pub namespace: Option<String>,
}
