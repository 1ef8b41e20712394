//! All that is in the keys folder in one file, sealed by a passphrase.
//!
//! ```text
//! "SEALIFT-KEYS-1\n" | memory KiB u32 | passes u32 | lanes u32 | salt (16)
//!                    | nonce (12) | ciphertext of the files | tag (16)
//! ```
//!
//! Integers are big-endian. It is AES-256-GCM under the argon2id hash of the passphrase, its AAD everything before
//! the nonce. With the `file` provider the root key is inside; of other providers only what it wraps, so that a
//! backup is of use only together with the provider.

mod contents;

use std::path::{Component, Path, PathBuf};

use zeroize::Zeroizing;

use self::contents::Files;
use super::destruction::Pending;
use super::purpose::split_id;
use super::records::{Folder, Record};
use super::root::{COST, Cost, SALT_BYTES};
use super::{aead, durable, lock};
use crate::error::{Error, Result};
use crate::secret::Secret;

const MAGIC: &[u8] = b"SEALIFT-KEYS-1\n";
/// Most bytes of a keys folder, which is held in memory for a backup: some hundred thousand keys.
const MAX_BYTES: usize = 256 << 20;
/// Most levels of folders in a keys folder.
const MAX_DEPTH: usize = 8;

/// What a backup held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files that were not there.
    pub written: usize,
    /// Files that were there as they are in the backup.
    pub same: usize,
    /// Ids of keys that are destroyed and stay so, though the backup has them.
    pub destroyed: Vec<String>,
}

/// The whole folder, sealed. Nothing else changes it meanwhile.
///
/// # Errors
/// `Invalid` for an empty passphrase or a folder without keys; `Temporary` when the keys are being changed; `Failed`
/// when the folder cannot be read or is too large.
pub fn seal(keys: &Path, passphrase: &Secret) -> Result<Vec<u8>> {
    if passphrase.expose().is_empty() {
        return Err(Error::invalid("the passphrase of a backup must not be empty"));
    }
    if !keys.is_dir() {
        return Err(Error::invalid(format!("there are no keys in {}", keys.display())));
    }
    let _changing = lock::to_change(keys)?;
    let mut files = Files::new();
    collect(keys, "", &mut files, 0)?;
    let plain = contents::encode(&files);
    let plain = plain.filter(|plain| plain.len() <= MAX_BYTES).ok_or_else(|| too_large(keys))?;
    let salt = aead::random::<SALT_BYTES>()?;
    let mut bytes = [MAGIC, &COST.encode(), &salt].concat();
    let sealed = aead::seal(&COST.derive(passphrase, &salt)?, &bytes, &plain)?;
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// Puts back what is missing in the folder. Nothing that is there is changed: a key that was destroyed stays so.
///
/// # Errors
/// `Invalid` when it is no backup, the passphrase does not open it, or a file that is there says something else
/// (another root key, above all); then nothing is written. `Temporary` when the keys are being changed.
pub fn restore(keys: &Path, backup: &[u8], passphrase: &Secret) -> Result<Restored> {
    let files = open(backup, passphrase)?;
    durable::private_folder(keys)?;
    let _changing = lock::to_change(keys)?;
    let mut restored = Restored::default();
    let mut missing = Vec::new();
    for (name, content) in &files {
        let path = inside(keys, name)?;
        if is_decided_here(keys, name, content)? {
            restored.same += 1;
            continue;
        }
        match std::fs::read(&path).map(Zeroizing::new) {
            Ok(there) if *there == content.expose() => restored.same += 1,
            Ok(there) => restored.destroyed.push(destroyed(&there).ok_or_else(|| contradicts(&path))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                match shredded(keys, content.expose())? {
                    Some(id) => restored.destroyed.push(id),
                    None => missing.push((path, content)),
                }
            }
            Err(error) => {
                return Err(Error::failed(format!("cannot read {}: {}", path.display(), error.kind())));
            }
        }
    }
    for (path, content) in missing {
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != keys);
        let folders: Vec<&Path> = folders.collect();
        folders.into_iter().rev().try_for_each(durable::private_folder)?;
        durable::create(&path, content.expose())?;
        restored.written += 1;
    }
    Ok(restored)
}

/// Whether a file asks for the destruction of a key that is here: what has been decided of it since counts, above all
/// that the destruction was called off.
fn is_decided_here(keys: &Path, name: &str, content: &Secret) -> Result<bool> {
    if !name.starts_with("pending/") {
        return Ok(false);
    }
    let Ok(pending) = serde_json::from_slice::<Pending>(content.expose()) else { return Ok(false) };
    Ok(Folder::new(keys).read(&pending.id)?.is_some())
}

/// The id of a generation of subjects' keys that a later one replaced: with it the shredded could be read again.
fn shredded(keys: &Path, record: &[u8]) -> Result<Option<String>> {
    let Ok(Record::Wrapped(key)) = serde_json::from_slice(record) else { return Ok(None) };
    let Some((base, version)) = split_id(&key.id).filter(|(base, _)| base.ends_with("#subject")) else {
        return Ok(None);
    };
    let newest = Folder::new(keys).newest(base)?;
    Ok(newest.is_some_and(|newest| newest > version).then_some(key.id))
}

/// The id of a key of which a record says that it is destroyed.
fn destroyed(record: &[u8]) -> Option<String> {
    match serde_json::from_slice(record).ok()? {
        Record::Destroyed(gone) => Some(gone.id),
        Record::Wrapped(_) => None,
    }
}

fn open(backup: &[u8], passphrase: &Secret) -> Result<Files> {
    let no_backup = || Error::invalid("this is no backup of keys, or it was cut short");
    let body = backup.strip_prefix(MAGIC).ok_or_else(no_backup)?;
    let (cost, body) = body.split_at_checked(Cost::BYTES).ok_or_else(no_backup)?;
    let (salt, sealed) = body.split_at_checked(SALT_BYTES).ok_or_else(no_backup)?;
    let cost = Cost::decode(cost).ok_or_else(no_backup)?;
    let aad = backup.get(..backup.len() - sealed.len()).ok_or_else(no_backup)?;
    let plain = aead::open(&cost.derive(passphrase, salt)?, aad, sealed).map_err(|_| {
        Error::invalid("the passphrase does not open the backup, or the backup was altered")
            .help("give the passphrase that it was made with")
    })?;
    contents::decode(plain.expose()).ok_or_else(no_backup)
}

/// Every file below a folder but the lock and what was never finished.
fn collect(folder: &Path, prefix: &str, files: &mut Files, depth: usize) -> Result<()> {
    let unreadable =
        |error: &std::io::Error| Error::failed(format!("cannot read {}: {}", folder.display(), error.kind()));
    if depth > MAX_DEPTH {
        return Err(too_large(folder));
    }
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(&error))? {
        let entry = entry.map_err(|error| unreadable(&error))?;
        let name = entry.file_name().into_string();
        let name =
            name.map_err(|_| Error::failed(format!("a file in {} is none of ours", folder.display())))?;
        if name.starts_with('.') {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if entry.file_type().map_err(|error| unreadable(&error))?.is_dir() {
            collect(&entry.path(), &path, files, depth + 1)?;
        } else {
            let content = std::fs::read(entry.path()).map_err(|error| unreadable(&error))?;
            files.insert(path, Secret::new(content));
        }
    }
    Ok(())
}

/// Where a file of a backup belongs; never outside of the folder.
fn inside(keys: &Path, name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain && !name.is_empty() && path.components().count() <= MAX_DEPTH + 1 {
        Ok(keys.join(path))
    } else {
        Err(Error::invalid("the backup names a file outside of the keys folder"))
    }
}

fn contradicts(path: &Path) -> Error {
    Error::invalid(format!("{} is there and says something else than the backup", path.display()))
        .help("restore into an empty folder: name another `path` under `keys` in the configuration")
}

fn too_large(folder: &Path) -> Error {
    Error::failed(format!("the keys in {} are too many for one backup", folder.display()))
        .help("copy the folder by means of the file system")
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
