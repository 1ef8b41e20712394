//! Keys that are destroyed, after a time in which it can be called off.
//!
//! ```text
//! <keys>/pending/<id, percent-encoded>.json
//! {"format":"sealift-pending-key/1","id":"sealift:crm.customers/ssn@1","after":"2026-12-09T08:00:00Z"}
//! ```
//!
//! A key that is to be destroyed is refused from the moment it is asked, so that whoever still needs it finds out
//! while it can be called off. Afterwards its record says only that it was there. Copies of the record elsewhere
//! (backups, snapshots of a disk) can be unwrapped as long as the root key of their time exists: a new root key
//! makes them useless too.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::dataset::blocking;
use super::records::{Record, encode, now, written};
use super::{Keyring, Purpose, durable, lock};
use crate::error::{Error, Kind, Result};

const FORMAT: &str = "sealift-pending-key/1";

/// A key that is to be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    format: String,
    /// Its id.
    pub id: String,
    /// From when on it is to be destroyed: [`Keyring::destroy_due`].
    pub after: DateTime<Utc>,
}

impl Pending {
    /// Whether a key is to be destroyed.
    pub(super) fn of(keys: &Path, id: &str) -> Result<Option<Self>> {
        read(&place(keys, id))
    }

    fn is_due(&self) -> bool {
        self.after <= now()
    }

    pub(super) fn refusal(&self) -> Error {
        let after = written(self.after);
        Error::denied(format!("the key {} is to be destroyed after {after} and not used until then", self.id))
            .help(format!("`sealift keys destroy --cancel --key {}` calls it off", self.id))
    }
}

impl Keyring {
    /// Has keys destroyed after an instant, by [`Keyring::destroy_due`]; until then they are refused, and it can be called
    /// off.
    ///
    /// # Errors
    /// `Usage` when a key is not there; `Invalid` for the key that signs receipts, without which no evidence can
    /// be checked; `Temporary` when another process changes the keys.
    pub async fn destroy_after(&self, ids: &[String], after: DateTime<Utc>) -> Result<()> {
        let (records, folder, ids) = (self.records.clone(), self.folder.clone(), ids.to_vec());
        blocking(move || {
            let _changing = lock::to_change(&folder)?;
            for id in &ids {
                may_go(id)?;
                let there = records.read(id)?.and_then(Record::into_id_of_key);
                there.ok_or_else(|| Error::new(Kind::Usage, format!("there is no key {id}")))?;
            }
            durable::private_folder(&folder.join("pending"))?;
            for id in ids {
                let path = place(&folder, &id);
                let pending = Pending { format: FORMAT.to_owned(), id, after };
                let json = serde_json::to_vec(&pending);
                durable::replace(
                    &path,
                    &json.map_err(|_| Error::failed("a record cannot be written as JSON"))?,
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Calls the destruction of keys off that are there still; gives the ids of which it was.
    ///
    /// # Errors
    /// `Temporary` when another process changes the keys; `Failed` when the folder cannot be written.
    pub async fn keep(&self, ids: &[String]) -> Result<Vec<String>> {
        let (folder, ids) = (self.folder.clone(), ids.to_vec());
        blocking(move || {
            let _changing = lock::to_change(&folder)?;
            let mut kept = Vec::new();
            for id in ids {
                if Pending::of(&folder, &id)?.is_some() {
                    durable::remove(&place(&folder, &id))?;
                    kept.push(id);
                }
            }
            Ok(kept)
        })
        .await
    }

    /// The keys that are to be destroyed, sorted.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be read.
    pub async fn pending(&self) -> Result<Vec<Pending>> {
        let folder = self.folder.clone();
        blocking(move || all(&folder)).await
    }

    /// Ids of the keys whose time has come, sorted.
    ///
    /// # Errors
    /// As [`Keyring::pending`].
    pub async fn due(&self) -> Result<Vec<String>> {
        let pending = self.pending().await?;
        Ok(pending.into_iter().filter(Pending::is_due).map(|pending| pending.id).collect())
    }

    /// Destroys those of these keys whose time has come; gives the ids of which it was.
    ///
    /// # Errors
    /// As [`Keyring::keep`].
    pub async fn destroy_due(&self, ids: &[String]) -> Result<Vec<String>> {
        let (records, folder, ids) = (self.records.clone(), self.folder.clone(), ids.to_vec());
        let gone = blocking(move || {
            let _changing = lock::to_change(&folder)?;
            // Read again: it may have been called off while the lock was waited for.
            let mut due: Vec<Pending> = all(&folder)?;
            due.retain(|pending| pending.is_due() && ids.contains(&pending.id));
            for pending in &due {
                may_go(&pending.id)?;
                if let Some(Record::Wrapped(_)) = records.read(&pending.id)? {
                    records.replace(&Record::destroyed(&pending.id))?;
                }
                durable::remove(&place(&folder, &pending.id))?;
            }
            Ok(due.into_iter().map(|pending| pending.id).collect())
        })
        .await?;
        for id in &gone {
            self.cache().remove(id);
        }
        Ok(gone)
    }
}

fn may_go(id: &str) -> Result<()> {
    for (purpose, what) in [(Purpose::Receipts, "receipts"), (Purpose::Checkpoints, "checkpoints")] {
        let base = purpose.base_id();
        if id.starts_with(&format!("{base}@")) {
            return Err(Error::invalid(format!(
                "the key {id} signs {what}, and without it none can be checked"
            ))
            .help(format!("`sealift keys rotate --key {base}` makes a new one for what is signed next")));
        }
    }
    Ok(())
}

fn place(keys: &Path, id: &str) -> PathBuf {
    keys.join("pending").join(format!("{}.json", encode(id)))
}

fn all(keys: &Path) -> Result<Vec<Pending>> {
    let folder = keys.join("pending");
    let unreadable =
        |error: &std::io::Error| Error::failed(format!("cannot read {}: {}", folder.display(), error.kind()));
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut pending = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            pending.extend(read(&path)?);
        }
    }
    pending.sort_by(|one: &Pending, other| one.id.cmp(&other.id));
    Ok(pending)
}

fn read(path: &Path) -> Result<Option<Pending>> {
    let damaged = || {
        Error::failed(format!("the record {} of a key's destruction is damaged", path.display()))
            .help("restore it from a backup, or remove it: the key is then kept")
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::failed(format!("cannot read {}: {}", path.display(), error.kind()))),
    };
    let pending: Pending = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    let is_its_own = path.file_name().is_some_and(|name| *name == *format!("{}.json", encode(&pending.id)));
    if pending.format == FORMAT && is_its_own { Ok(Some(pending)) } else { Err(damaged()) }
}

#[cfg(test)]
#[path = "destruction_tests.rs"]
mod tests;
