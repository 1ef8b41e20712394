//! Dataset keys: one per dataset column (or join domain), wrapped by the root.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::destruction::Pending;
use super::purpose::split_id;
pub use super::purpose::{Domain, Purpose};
use super::records::{Folder, Record, Wrapped};
use super::root::{self, Root};
use super::{aead, durable, lock};
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
    pub(super) folder: PathBuf,
    pub(super) settings: config::Keys,
    pub(super) records: Folder,
    roots: Mutex<Roots>,
    /// Unwrapped keys by id, one per protected column at the most.
    unwrapped: Mutex<HashMap<String, DatasetKey>>,
}

/// The root keys that records may be wrapped by.
#[derive(Clone)]
struct Roots {
    /// Wraps new keys.
    current: Arc<dyn Root>,
    /// Takes its place when a renewal that is under way, or was cut short, comes to its end.
    next: Option<Arc<dyn Root>>,
    stamp: root::Stamp,
}

impl Roots {
    async fn open(settings: &config::Keys, notice: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let folder = settings.path().to_owned();
        let stamp = root::File::stamp(&folder);
        let records = Folder::new(&folder);
        blocking(move || durable::private_folder(&folder)).await?;
        let current = Arc::from(root::open(settings, &records, notice).await?);
        let next = match settings {
            config::Keys::File { path, passphrase } => root::file_next(path, passphrase.as_ref()).await?,
            _ => None,
        };
        Ok(Self { current, next, stamp })
    }

    fn find(&self, id: &str) -> Option<Arc<dyn Root>> {
        let known = [Some(&self.current), self.next.as_ref()];
        known.into_iter().flatten().find(|root| root.id() == id).cloned()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("root", &self.roots().current.id()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens the provider; what it created on first use, it says through `notice`. Keys whose destruction is due are
    /// refused, and stay until [`Keyring::destroy_due`].
    ///
    /// # Errors
    /// Those of the provider: `Invalid` when it is set up wrongly, is not fit, or its secret is wrong;
    /// `Temporary` when it cannot be reached; `Denied` when it refuses.
    pub async fn open(settings: &config::Keys, notice: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let folder = settings.path().to_owned();
        Ok(Self {
            records: Folder::new(&folder),
            folder,
            settings: settings.clone(),
            roots: Mutex::new(Roots::open(settings, notice).await?),
            unwrapped: Mutex::default(),
        })
    }

    /// The newest version of a key, created on first use. Two processes that create the same key at
    /// once end with the same one.
    ///
    /// # Errors
    /// Those of the root provider; `Denied` when the key is to be destroyed; `Failed` when the record cannot be
    /// written durably (`Temporary` when the disk is full, or the keys are being changed).
    pub async fn current(&self, purpose: &Purpose) -> Result<DatasetKey> {
        let base = purpose.base_id();
        let id = match self.newest(&base).await? {
            None => self.create(&base, 1, purpose.key_bytes()).await?,
            Some(Record::Wrapped(newest)) => newest.id,
            Some(Record::Destroyed(gone)) => {
                let version = split_id(&gone.id).map_or(0, |(_, version)| version);
                self.create(&base, version + 1, purpose.key_bytes()).await?
            }
        };
        self.by_id(&id).await
    }

    /// The id that [`Keyring::current`] would answer with, if the key exists already.
    ///
    /// # Errors
    /// `Failed` when the records cannot be read.
    pub async fn peek(&self, purpose: &Purpose) -> Result<Option<String>> {
        match self.newest(&purpose.base_id()).await? {
            Some(Record::Wrapped(newest)) => Ok(Some(newest.id)),
            Some(Record::Destroyed(_)) | None => Ok(None),
        }
    }

    /// Whether there is a key for this purpose, or was one that is destroyed.
    ///
    /// # Errors
    /// `Failed` when the records cannot be read.
    pub async fn knows(&self, purpose: &Purpose) -> Result<bool> {
        Ok(self.newest(&purpose.base_id()).await?.is_some())
    }

    /// The key of this id.
    ///
    /// # Errors
    /// `Denied` when there is none, or it is destroyed or about to be; those of the root provider; `Failed` when
    /// the record is damaged or was wrapped by another root key.
    pub async fn by_id(&self, id: &str) -> Result<DatasetKey> {
        let record = self.usable(id).await.inspect_err(|_| {
            self.cache().remove(id);
        })?;
        if let Some(key) = self.cache().get(id) {
            return Ok(key.clone());
        }
        let secret = self.unwrap(&record).await?;
        let version = split_id(id).map_or(0, |(_, version)| version);
        let key = DatasetKey { id: id.to_owned(), version, secret };
        self.cache().insert(id.to_owned(), key.clone());
        Ok(key)
    }

    /// Ids of every key that there is, sorted; with a dataset, of its column and footer keys only.
    ///
    /// # Errors
    /// `Failed` when the records cannot be read.
    pub async fn list(&self, dataset: Option<&DatasetName>) -> Result<Vec<String>> {
        let records = self.records.clone();
        let all = blocking(move || records.all()).await?;
        let mut ids: Vec<String> = all.into_iter().filter_map(Record::into_id_of_key).collect();
        if let Some(dataset) = dataset {
            let prefix = format!("sealift:{dataset}/");
            ids.retain(|id| id.starts_with(&prefix) && !id.contains('#'));
        }
        Ok(ids)
    }

    /// Ids of what work on a dataset may use, sorted: its keys, whatever they are for, and those that sign receipts. Keys
    /// of join domains are no dataset's own.
    ///
    /// # Errors
    /// As [`Keyring::list`].
    pub async fn around(&self, dataset: &DatasetName) -> Result<Vec<String>> {
        let bases =
            [format!("sealift:{dataset}/"), format!("sealift:{dataset}#"), Purpose::Receipts.base_id()];
        let mut ids = self.list(None).await?;
        ids.retain(|id| bases.iter().any(|base| id.starts_with(base)));
        Ok(ids)
    }

    /// Ids of the keys that this process unwrapped, sorted, but for those of checkpoints: they open nothing, and every
    /// command has a look at them.
    #[must_use]
    pub fn used(&self) -> Vec<String> {
        let checkpoints = Purpose::Checkpoints.base_id();
        let mut ids: Vec<String> =
            self.cache().keys().filter(|id| !id.starts_with(&checkpoints)).cloned().collect();
        ids.sort();
        ids
    }

    /// Adds a version of a key, unless another process was first; gives its id either way.
    pub(super) async fn create(&self, base: &str, version: u32, bytes: usize) -> Result<String> {
        let id = format!("{base}@{version}");
        self.record(&id, &aead::random_secret(bytes)?).await?;
        // What is on disk counts, not what was drawn here.
        Ok(id)
    }

    /// Writes the record of a key, unless there is one of its id: the first stays.
    pub(super) async fn record(&self, id: &str, secret: &Secret) -> Result<()> {
        // Until the record is written no other process takes the root key away that wraps it.
        let adding = self.adding().await?;
        if root::File::stamp(&self.folder) != self.roots().stamp {
            self.look_again().await?;
        }
        let root = self.roots().current;
        let wrapped = STANDARD.encode(root.wrap(secret, id.as_bytes()).await?);
        let record = Wrapped::new(id, root.id(), wrapped);
        let records = self.records.clone();
        blocking(move || records.create(&record)).await?;
        drop(adding);
        Ok(())
    }

    /// Keeps other processes from changing keys, but not from adding some, until it is dropped.
    pub(super) async fn adding(&self) -> Result<lock::Lock> {
        let folder = self.folder.clone();
        blocking(move || lock::to_add(&folder)).await
    }

    /// Wipes a key from memory, if it is there.
    pub(super) fn forget(&self, id: &str) {
        self.cache().remove(id);
    }

    pub(super) async fn newest(&self, base: &str) -> Result<Option<Record>> {
        let (records, base) = (self.records.clone(), base.to_owned());
        blocking(move || match records.newest(&base)? {
            Some(version) => records.read(&format!("{base}@{version}")),
            None => Ok(None),
        })
        .await
    }

    /// The key of a record, as the root that wrapped it gives it.
    pub(super) async fn unwrap(&self, record: &Wrapped) -> Result<Secret> {
        let id = &record.id;
        let root = self.root_of(record).await?;
        let wrapped = STANDARD
            .decode(&record.wrapped)
            .map_err(|_| Error::failed(format!("the record of the key {id} is damaged")))?;
        root.unwrap(&wrapped, id.as_bytes()).await.at(|| format!("key {id}"))
    }

    /// Names the root key that wraps new keys.
    #[must_use]
    pub fn root_id(&self) -> String {
        self.root().id().to_owned()
    }

    /// The root key that wraps new keys.
    pub(super) fn root(&self) -> Arc<dyn Root> {
        self.roots().current
    }

    /// Takes the root keys as they are now: another process may have renewed them.
    pub(super) async fn look_again(&self) -> Result<()> {
        // Boxed: it is rare, and what providers wait for is large.
        let roots = Box::pin(Roots::open(&self.settings, &|_| {})).await?;
        *self.roots.lock().unwrap_or_else(PoisonError::into_inner) = roots;
        Ok(())
    }

    async fn root_of(&self, record: &Wrapped) -> Result<Arc<dyn Root>> {
        if let Some(root) = self.roots().find(&record.root) {
            return Ok(root);
        }
        self.look_again().await?;
        let roots = self.roots();
        roots.find(&record.root).ok_or_else(|| {
            Error::failed(format!(
                "the key {} was wrapped by the root key {}, and the configured one is {}",
                record.id,
                record.root,
                roots.current.id()
            ))
            .help("restore the root key that belongs to this keys folder")
        })
    }

    /// The record of a key that may be used.
    async fn usable(&self, id: &str) -> Result<Wrapped> {
        let (records, folder, wanted) = (self.records.clone(), self.folder.clone(), id.to_owned());
        blocking(move || {
            let record = records.read(&wanted)?;
            match record.ok_or_else(|| Error::denied(format!("there is no key {wanted}")))? {
                Record::Destroyed(gone) => {
                    Err(Error::denied(format!("the key {wanted} was destroyed on {}", gone.destroyed)))
                }
                Record::Wrapped(record) => match Pending::of(&folder, &wanted)? {
                    None => Ok(record),
                    Some(pending) => Err(pending.refusal()),
                },
            }
        })
        .await
    }

    fn roots(&self) -> Roots {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the record of a key is.
    #[cfg(test)]
    pub(super) fn records_place(&self, id: &str) -> PathBuf {
        self.records.place(id).unwrap()
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, HashMap<String, DatasetKey>> {
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
