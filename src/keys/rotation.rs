//! New versions of keys, and new root keys around the same keys.
//!
//! A new version of a dataset key is for what is written from then on: files and tokens that are there keep
//! theirs. A new root key wraps every dataset key anew and touches no data file. A renewal that is cut short at
//! any point is taken up by the next one, and meanwhile every key can be read: what is wrapped already opens with
//! `root.next`, the rest with `root.key`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::dataset::blocking;
use super::purpose::split_id;
use super::records::{Record, Wrapped};
use super::root::{self, Root};
use super::{Keyring, lock};
use crate::error::{At, Error, Kind, Result};
use crate::secret::Reference;
use crate::spec::config;

/// How ids of the keys of subjects end; their versions are generations of one tree.
const SUBJECTS: &str = "#subject";

/// What a new root key wraps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// The id of the root key that wraps now.
    pub root: String,
    /// How many keys were wrapped by another one before.
    pub keys: usize,
}

impl Keyring {
    /// Makes a new version of the key with this id (its version, if there is one, does not count) and gives the
    /// new id. What is sealed from now on is sealed with it.
    ///
    /// # Errors
    /// `Usage` when there is no such key, or it is destroyed; else as [`Keyring::current`].
    pub async fn rotate(&self, id: &str) -> Result<String> {
        let base = split_id(id).map_or(id, |(base, _)| base);
        if base.ends_with(SUBJECTS) {
            return Err(Error::new(Kind::Usage, format!("the key {base} is renewed by shredding alone"))
                .help("publish the dataset once more with write_mode: overwrite to another column name for a new one"));
        }
        let Some(Record::Wrapped(newest)) = self.newest(base).await? else {
            return Err(Error::new(Kind::Usage, format!("there is no key {base} to renew"))
                .help("`sealift keys list` shows the keys; a new one is made when a column first needs it"));
        };
        let bytes = self.by_id(&newest.id).await?.secret().expose().len();
        let (_, version) = split_id(&newest.id).ok_or_else(|| Error::failed("a key has no version"))?;
        self.create(base, version + 1, bytes).await
    }

    /// Puts a new root key into the keys folder, around the same keys.
    ///
    /// # Errors
    /// `Invalid` for a provider that keeps its root key itself; `Failed` when a key cannot be unwrapped (those before
    /// it are wrapped anew by then, and the next call goes on); `Temporary` when another process changes the keys.
    pub async fn renew_root(&self) -> Result<Rewrapped> {
        let config::Keys::File { path, passphrase } = &self.settings else {
            return Err(Error::invalid(format!("the root key {} is its provider's to renew", self.root_id())).help(
                "make a new key there and name it in the configuration; then `sealift keys rotate --root --from OLD`, \
                 with the configuration of before, wraps every key with it",
            ));
        };
        let passphrase = passphrase.as_ref().map(Reference::resolve).transpose()?;
        let folder = path.clone();
        let changing = blocking(move || lock::to_change(&folder)).await?;
        self.look_again().await?;
        let old = self.root();
        let folder = path.clone();
        let next = blocking(move || root::File::begin_renewal(&folder, passphrase.as_ref())).await?;
        let next: Arc<dyn Root> = Arc::new(next);
        let keys = self.wrap_anew(&old, &next).await?;
        let folder = path.clone();
        blocking(move || root::File::end_renewal(&folder)).await?;
        self.look_again().await?;
        drop(changing);
        Ok(Rewrapped { root: next.id().to_owned(), keys })
    }

    /// Wraps every key of the folder that another provider's root key wraps with this one's.
    ///
    /// # Errors
    /// `Invalid` when the other keyring is of another folder; else as [`Keyring::renew_root`].
    pub async fn take_over(&self, other: &Self) -> Result<Rewrapped> {
        if self.folder != other.folder {
            return Err(Error::invalid(format!(
                "the keys are in {} and in {}: a root key wraps the keys of its own folder",
                other.folder.display(),
                self.folder.display()
            ))
            .help("copy the folder first, then name the same `path` in both configurations"));
        }
        let folder = self.folder.clone();
        let changing = blocking(move || lock::to_change(&folder)).await?;
        let (old, new) = (other.root(), self.root());
        let keys = self.wrap_anew(&old, &new).await?;
        drop(changing);
        Ok(Rewrapped { root: new.id().to_owned(), keys })
    }

    /// Every key that `old` wraps is wrapped by `new`; all others have to be already.
    async fn wrap_anew(&self, old: &Arc<dyn Root>, new: &Arc<dyn Root>) -> Result<usize> {
        let records = self.records.clone();
        let all = blocking(move || records.all()).await?;
        let keys = || {
            all.iter().filter_map(|record| match record {
                Record::Wrapped(key) => Some(key),
                Record::Destroyed(_) => None,
            })
        };
        if let Some(strange) = keys().find(|key| key.root != old.id() && key.root != new.id()) {
            return Err(Error::failed(format!(
                "the key {} is wrapped by the root key {}, which is neither the old one nor the new one",
                strange.id, strange.root
            ))
            .help("`sealift keys check` tells what is wrong with the keys"));
        }
        let todo: Vec<&Wrapped> = keys().filter(|key| key.root == old.id() && key.root != new.id()).collect();
        for key in &todo {
            let wrapped = STANDARD
                .decode(&key.wrapped)
                .map_err(|_| Error::failed(format!("the record of the key {} is damaged", key.id)))?;
            let secret = old.unwrap(&wrapped, key.id.as_bytes()).await.at(|| format!("key {}", key.id))?;
            let wrapped = STANDARD.encode(new.wrap(&secret, key.id.as_bytes()).await?);
            let record = Record::Wrapped(key.rewrapped(new.id(), wrapped));
            let records = self.records.clone();
            blocking(move || records.replace(&record)).await?;
        }
        Ok(todo.len())
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
