//! Dataset keys: one per dataset column (or join domain), wrapped by the root.

use crate::error::Result;
use crate::secret::Secret;
use crate::spec::DatasetName;
use crate::spec::config;

/// What a dataset key is for; each purpose has a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Wraps the data keys of a column (32 bytes): `sealift:<ns>.<name>/<column>@<version>`.
    Column {
        /// The dataset.
        dataset: DatasetName,
        /// Leaf path.
        column: String,
    },
    /// Wraps the footer keys of a dataset (32 bytes): `sealift:<ns>.<name>/_footer@<version>`.
    Footer(DatasetName),
    /// Makes tokens (AES-SIV, 64 bytes): `sealift:<domain>#tokenize@<version>`, the domain being
    /// `join/<name>` or `<ns>.<name>/<column>`.
    Tokenize(Domain),
    /// Makes hashes (HMAC-SHA-256, 32 bytes): `sealift:<domain>#hash@<version>`.
    Hash(Domain),
}

/// Where equal values give equal tokens or hashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Across every column that names this join domain.
    Join(String),
    /// Inside one column of one dataset.
    Column {
        /// The dataset.
        dataset: DatasetName,
        /// Leaf path.
        column: String,
    },
}

/// An unwrapped dataset key.
#[derive(Clone, Debug)]
pub struct DatasetKey {
    id: String,
    version: u32,
    secret: Secret,
}

impl DatasetKey {
    /// Its id, the `masterKeyID` of key metadata.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its version, from 1.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The key bytes.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// The firm's dataset keys behind one root key.
pub struct Keyring;

impl Keyring {
    /// Opens the provider; creates the root key on first use and then says so through `notice`.
    ///
    /// # Errors
    /// `Invalid` when the root key file is readable by others, damaged, or its passphrase is wrong.
    pub async fn open(_settings: &config::Keys, _notice: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        todo!()
    }

    /// The newest version of a key, created on first use. Two processes that create the same key at
    /// once end with the same one.
    ///
    /// # Errors
    /// Those of the root provider; `Failed` when the record cannot be written durably.
    pub async fn current(&self, _purpose: &Purpose) -> Result<DatasetKey> {
        todo!()
    }

    /// The id that [`Keyring::current`] would answer with, if the key exists already.
    ///
    /// # Errors
    /// `Failed` when the records cannot be read.
    pub async fn peek(&self, _purpose: &Purpose) -> Result<Option<String>> {
        todo!()
    }

    /// The key of this id.
    ///
    /// # Errors
    /// `Denied` when there is none; those of the root provider.
    pub async fn by_id(&self, _id: &str) -> Result<DatasetKey> {
        todo!()
    }

    /// Ids of every key, sorted; with a dataset, of its column and footer keys only.
    ///
    /// # Errors
    /// `Failed` when the records cannot be read.
    pub async fn list(&self, _dataset: Option<&DatasetName>) -> Result<Vec<String>> {
        todo!()
    }
}
