//! Dataset keys: one per dataset column (or join domain), wrapped by the root.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::purpose::split_id;
pub use super::purpose::{Domain, Purpose};
use super::records::{Folder, Record};
use super::root::{self, Root};
use super::{aead, durable};
use crate::error::{At, Error, Result};
use crate::secret::Secret;
use crate::spec::DatasetName;
use crate::spec::config;

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

    #[cfg(test)]
    pub(crate) fn for_tests(id: &str, secret: &[u8]) -> Self {
        let (_, version) = split_id(id).unwrap();
        Self { id: id.to_owned(), version, secret: Secret::new(secret.to_vec()) }
    }
}

/// The firm's dataset keys behind one root key.
pub struct Keyring {
    root: Box<dyn Root>,
    records: Folder,
    /// Unwrapped keys by id, one per protected column at the most.
    unwrapped: Mutex<HashMap<String, DatasetKey>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("root", &self.root.id()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens the provider; what it created on first use, it says through `notice`.
    ///
    /// # Errors
    /// Those of the provider: `Invalid` when it is set up wrongly, is not fit, or its secret is wrong;
    /// `Temporary` when it cannot be reached; `Denied` when it refuses.
    pub async fn open(settings: &config::Keys, notice: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let (path, records) = (settings.path().to_owned(), Folder::new(settings.path()));
        blocking(move || durable::private_folder(&path)).await?;
        let root = root::open(settings, &records, notice).await?;
        Ok(Self { root, records, unwrapped: Mutex::default() })
    }

    /// The newest version of a key, created on first use. Two processes that create the same key at
    /// once end with the same one.
    ///
    /// # Errors
    /// Those of the root provider; `Failed` when the record cannot be written durably (`Temporary`
    /// when the disk is full).
    pub async fn current(&self, purpose: &Purpose) -> Result<DatasetKey> {
        if let Some(id) = self.peek(purpose).await? {
            return self.by_id(&id).await;
        }
        let id = format!("{}@1", purpose.base_id());
        let secret = aead::random_secret(purpose.key_bytes())?;
        let wrapped = STANDARD.encode(self.root.wrap(&secret, id.as_bytes()).await?);
        let record = Record::new(&id, self.root.id(), wrapped);
        let records = self.records.clone();
        blocking(move || records.create(&record)).await?;
        // What is on disk counts, not what was drawn here: another process may have been first.
        self.by_id(&id).await
    }

    /// The id that [`Keyring::current`] would answer with, if the key exists already.
    ///
    /// # Errors
    /// `Failed` when the records cannot be read.
    pub async fn peek(&self, purpose: &Purpose) -> Result<Option<String>> {
        let base = purpose.base_id();
        let records = self.records.clone();
        blocking(move || Ok(records.newest(&base)?.map(|version| format!("{base}@{version}")))).await
    }

    /// The key of this id.
    ///
    /// # Errors
    /// `Denied` when there is none; those of the root provider; `Failed` when the record is damaged
    /// or was wrapped by another root key.
    pub async fn by_id(&self, id: &str) -> Result<DatasetKey> {
        if let Some(key) = self.cache().get(id) {
            return Ok(key.clone());
        }
        let none = || Error::denied(format!("there is no key {id}"));
        let (_, version) = split_id(id).ok_or_else(none)?;
        let (records, wanted) = (self.records.clone(), id.to_owned());
        let record = blocking(move || records.read(&wanted)).await?.ok_or_else(none)?;
        if record.root != self.root.id() {
            return Err(Error::failed(format!(
                "the key {id} was wrapped by the root key {}, and the configured one is {}",
                record.root,
                self.root.id()
            ))
            .help("restore the root key that belongs to this keys folder"));
        }
        let wrapped = STANDARD
            .decode(&record.wrapped)
            .map_err(|_| Error::failed(format!("the record of the key {id} is damaged")))?;
        let secret = self.root.unwrap(&wrapped, id.as_bytes()).await.at(|| format!("key {id}"))?;
        let key = DatasetKey { id: id.to_owned(), version, secret };
        self.cache().insert(id.to_owned(), key.clone());
        Ok(key)
    }

    /// Ids of every key, sorted; with a dataset, of its column and footer keys only.
    ///
    /// # Errors
    /// `Failed` when the records cannot be read.
    pub async fn list(&self, dataset: Option<&DatasetName>) -> Result<Vec<String>> {
        let records = self.records.clone();
        let mut ids = blocking(move || records.list()).await?;
        if let Some(dataset) = dataset {
            let prefix = format!("sealift:{dataset}/");
            ids.retain(|id| id.starts_with(&prefix) && !id.contains('#'));
        }
        Ok(ids)
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<String, DatasetKey>> {
        self.unwrapped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs file work (and the slow passphrase derivation) off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::failed("reading the keys was interrupted"))?
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
