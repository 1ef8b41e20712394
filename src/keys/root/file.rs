//! The root key in a file.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Root;
use crate::error::{At, Error, Result};
use crate::keys::dataset::blocking;
use crate::keys::records::Folder;
use crate::keys::{aead, durable};
use crate::secret::{Reference, Secret};

/// A root key in a file that only its owner may read: `<keys>/root.key`, 0600 in a 0700 folder.
///
/// ```text
/// plain    "SEALIFT-ROOT-1\n" | 0 | key (32) | check (8)
/// sealed   "SEALIFT-ROOT-1\n" | 1 | memory KiB u32 | passes u32 | lanes u32 | salt (16)
///                             | nonce (12) | ciphertext of (key | check), 40 | tag (16)
/// ```
///
/// Integers are big-endian. `sealed` is AES-256-GCM under the argon2id hash of the passphrase, its
/// AAD everything before the nonce. `check` is what the root id shows: the first 8 bytes of
/// SHA-256(HMAC-SHA-256(key, "sealift root id")).
pub struct File {
    id: String,
    key: Secret,
}

const FILE_NAME: &str = "root.key";
/// A root key that is about to take the other's place.
const NEXT_NAME: &str = "root.next";
const MAGIC: &[u8] = b"SEALIFT-ROOT-1\n";
const PLAIN: u8 = 0;
const SEALED: u8 = 1;
pub(in crate::keys) const SALT_BYTES: usize = 16;
const CHECK_BYTES: usize = 8;
/// Which file a root key was read from; `None` for no file.
pub(in crate::keys) type Stamp = Option<(u64, i64, i64)>;
/// Far above the size of any root key file.
const MAX_FILE_BYTES: u64 = 4_096;

/// Cost of a passphrase guess: 64 MiB and 3 passes, as RFC 9106 recommends where memory is scarce.
pub(in crate::keys) const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 4 };

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("id", &self.id).finish_non_exhaustive()
    }
}

impl File {
    /// Whether `folder` holds a root key file.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE_NAME).exists()
    }

    /// Reads the root key of `folder`, creating it first where there is none; tells whether this
    /// call created it. Two processes that create it at once end with the same key.
    ///
    /// # Errors
    /// `Invalid` when the file may be read or replaced by others, is damaged, or the passphrase is
    /// missing, wrong, or given for a file that has none; as [`std::fs`] fails, `Failed` or
    /// `Temporary` where it cannot be created.
    pub fn open(folder: &Path, passphrase: Option<&Secret>) -> Result<(Self, bool)> {
        if passphrase.is_some_and(|p| p.expose().is_empty()) {
            return Err(Error::invalid("the passphrase of the root key is empty"));
        }
        let path = folder.join(FILE_NAME);
        if let Some(bytes) = read(&path)? {
            return Ok((decode(&bytes, passphrase, &path)?, false));
        }
        Self::create(&path, passphrase)
    }

    fn create(path: &Path, passphrase: Option<&Secret>) -> Result<(Self, bool)> {
        let key = aead::random_secret(aead::KEY_BYTES)?;
        let created = durable::create(path, encode(&key, passphrase)?.expose())?;
        let bytes = read(path)?.ok_or_else(|| damaged(path))?;
        Ok((decode(&bytes, passphrase, path)?, created))
    }

    /// The root key that is about to take the other's place, where a renewal was begun.
    ///
    /// # Errors
    /// As [`File::open`].
    pub(in crate::keys) fn next(folder: &Path, passphrase: Option<&Secret>) -> Result<Option<Self>> {
        let path = folder.join(NEXT_NAME);
        read(&path)?.map(|bytes| decode(&bytes, passphrase, &path)).transpose()
    }

    /// Creates the next root key, unless a renewal that was cut short left one.
    ///
    /// # Errors
    /// As [`File::open`].
    pub(in crate::keys) fn begin_renewal(folder: &Path, passphrase: Option<&Secret>) -> Result<Self> {
        match Self::next(folder, passphrase)? {
            Some(next) => Ok(next),
            None => Ok(Self::create(&folder.join(NEXT_NAME), passphrase)?.0),
        }
    }

    /// Puts the next root key in the place of the root key, which is gone then.
    ///
    /// # Errors
    /// As [`File::open`].
    pub(in crate::keys) fn end_renewal(folder: &Path) -> Result<()> {
        durable::rename(&folder.join(NEXT_NAME), &folder.join(FILE_NAME))
    }

    /// Differs once another file is in the place of the root key.
    #[must_use]
    pub(in crate::keys) fn stamp(folder: &Path) -> Stamp {
        let metadata = std::fs::metadata(folder.join(FILE_NAME)).ok()?;
        Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
    }

    fn new(key: Secret) -> Result<Self> {
        let id = format!("file:{}", hex::encode(check(&key)?));
        Ok(Self { id, key })
    }
}

/// The root key that is about to take the other's place, where a renewal was begun.
///
/// # Errors
/// As [`File::open`].
pub(in crate::keys) async fn next(
    folder: &Path,
    passphrase: Option<&Reference>,
) -> Result<Option<Arc<dyn Root>>> {
    let passphrase = passphrase.map(Reference::resolve).transpose()?;
    let folder = folder.to_owned();
    let next = blocking(move || File::next(&folder, passphrase.as_ref())).await?;
    Ok(next.map(|next| -> Arc<dyn Root> { Arc::new(next) }))
}

/// The root key of a folder, created on first use, which `notice` is told.
///
/// # Errors
/// As [`File::open`]; `Invalid` when the key is gone while keys that it wrapped are still there.
pub(super) async fn open(
    folder: &Path,
    passphrase: Option<&Reference>,
    records: &Folder,
    notice: &(dyn Fn(&str) + Sync),
) -> Result<File> {
    let passphrase = passphrase.map(Reference::resolve).transpose();
    let passphrase = passphrase.at(|| "the passphrase of the root key".to_owned())?;
    let (path, records) = (folder.to_owned(), records.clone());
    let (root, created) = blocking(move || {
        // Looked at again after the records: another process may be in the middle of first use.
        if !File::exists(&path) && records.holds_any()? && !File::exists(&path) {
            return Err(Error::invalid(format!("the root key in {} is gone", path.display()))
                .help("restore root.key from its backup: a new one could not open the existing keys"));
        }
        File::open(&path, passphrase.as_ref())
    })
    .await?;
    if created {
        notice(&format!(
            "created a new root key in {}; back the folder up: without it the sealed data cannot be read",
            folder.display()
        ));
    }
    Ok(root)
}

#[async_trait]
impl Root for File {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, key: &Secret, aad: &[u8]) -> Result<Vec<u8>> {
        aead::seal(&self.key, aad, key.expose())
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret> {
        aead::open(&self.key, aad, wrapped)
    }
}

/// The file's bytes, once it is sure that nobody else may read or replace them.
fn read(path: &Path) -> Result<Option<Secret>> {
    let unreadable = |error: &io::Error| {
        Error::invalid(format!("cannot read the root key file {}: {}", path.display(), error.kind()))
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let mode = file.metadata().map_err(|e| unreadable(&e))?.mode();
    if mode & 0o077 != 0 {
        return Err(Error::invalid(format!("the root key file {} may be read by others", path.display()))
            .help(format!("chmod 600 {}", path.display())));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    if std::fs::metadata(folder).map_err(|e| unreadable(&e))?.mode() & 0o022 != 0 {
        return Err(Error::invalid(format!("the keys folder {} may be changed by others", folder.display()))
            .help(format!("chmod 700 {}", folder.display())));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    Ok(Some(Secret::new(std::mem::take(&mut *bytes))))
}

fn encode(key: &Secret, passphrase: Option<&Secret>) -> Result<Secret> {
    let mut plain = Zeroizing::new(Vec::with_capacity(aead::KEY_BYTES + CHECK_BYTES));
    plain.extend_from_slice(key.expose());
    plain.extend_from_slice(&check(key)?);
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(MAGIC);
    let Some(passphrase) = passphrase else {
        bytes.push(PLAIN);
        bytes.extend_from_slice(&plain);
        return Ok(Secret::new(bytes));
    };
    bytes.push(SEALED);
    bytes.extend_from_slice(&COST.encode());
    let salt = aead::random::<SALT_BYTES>()?;
    bytes.extend_from_slice(&salt);
    let sealed = aead::seal(&COST.derive(passphrase, &salt)?, &bytes, &plain)?;
    bytes.extend_from_slice(&sealed);
    Ok(Secret::new(bytes))
}

fn decode(bytes: &Secret, passphrase: Option<&Secret>, path: &Path) -> Result<File> {
    let shown = path.display();
    let bytes = bytes.expose();
    let (form, body) =
        bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first).ok_or_else(|| damaged(path))?;
    match (*form, passphrase) {
        (PLAIN, None) => from_plain(body).ok_or_else(|| damaged(path)),
        (PLAIN, Some(_)) => {
            Err(Error::invalid(format!("the root key file {shown} is not sealed by a passphrase"))
                .help("remove `passphrase` from `keys` in the configuration"))
        }
        (SEALED, None) => Err(Error::invalid(format!("the root key file {shown} is sealed by a passphrase"))
            .help("add `passphrase: \"env:NAME\"` to `keys: {file: …}` in the configuration")),
        (SEALED, Some(passphrase)) => {
            let header_bytes = Cost::BYTES + SALT_BYTES;
            if body.len() <= header_bytes {
                return Err(damaged(path));
            }
            let (header, sealed) = body.split_at(header_bytes);
            let (cost, salt) = header.split_at(Cost::BYTES);
            let cost = Cost::decode(cost).ok_or_else(|| damaged(path))?;
            let aad = &bytes[..bytes.len() - sealed.len()];
            let plain = aead::open(&cost.derive(passphrase, salt)?, aad, sealed).map_err(|_| {
                Error::invalid(format!("the passphrase does not open the root key file {shown}")).help(
                    "check the passphrase; if it is right the file is damaged: restore it from its backup",
                )
            })?;
            from_plain(plain.expose()).ok_or_else(|| damaged(path))
        }
        _ => Err(damaged(path)),
    }
}

fn from_plain(plain: &[u8]) -> Option<File> {
    let (key, stored) = plain.split_at_checked(aead::KEY_BYTES)?;
    let key = Secret::new(key.to_vec());
    (check(&key).ok()? == stored).then(|| File::new(key).ok()).flatten()
}

fn check(key: &Secret) -> Result<[u8; CHECK_BYTES]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose())
        .map_err(|_| Error::failed("the root key cannot be used"))?;
    mac.update(b"sealift root id");
    let digest = Sha256::digest(mac.finalize().into_bytes());
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    Ok(check)
}

fn damaged(path: &Path) -> Error {
    Error::invalid(format!("the root key file {} is damaged", path.display()))
        .help("restore it from its backup")
}

/// How dear argon2id makes one guess; stored in the file so that it can change later.
#[derive(Clone, Copy)]
pub(in crate::keys) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    pub(in crate::keys) const BYTES: usize = 12;

    pub(in crate::keys) fn encode(self) -> Vec<u8> {
        [self.memory_kib, self.passes, self.lanes].iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    /// `None` when the numbers are out of bounds: an altered file must not take all memory.
    pub(in crate::keys) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let cost = Self { memory_kib: number(0)?, passes: number(4)?, lanes: number(8)? };
        let is_sane = (8..=1 << 20).contains(&cost.memory_kib)
            && (1..=32).contains(&cost.passes)
            && (1..=16).contains(&cost.lanes);
        is_sane.then_some(cost)
    }

    pub(in crate::keys) fn derive(self, passphrase: &Secret, salt: &[u8]) -> Result<Secret> {
        let failed = |_| Error::failed("argon2id cannot derive a key from the passphrase");
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(aead::KEY_BYTES));
        let mut key = Zeroizing::new(vec![0; aead::KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(failed)?)
            .hash_password_into(passphrase.expose(), salt, &mut key)
            .map_err(failed)?;
        Ok(Secret::new(std::mem::take(&mut *key)))
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
