//! Keys of single persons, derived and not stored, of which each can be destroyed by itself ("crypto-shredding").
//!
//! A column that is encrypted by subject has one [`tree`] of keys. Shredding a subject makes a new generation of it in
//! the keys folder, without that subject, sealed by a fresh key; then the key and the tree of the generation before
//! are destroyed. So what is stored grows with those who were shredded, and not with those who are known.
//!
//! 1. the tree of generation n + 1 is written, which nobody can open yet;
//! 2. the record of its key is written: from now on it is the one that counts;
//! 3. the record and the tree of generation n are overwritten and removed.
//!
//! What is cut short before 2 has changed nothing; after 2, the next shredding begins with 3. One process at a time
//! shreds in a column.

mod state;
mod tree;

use std::fs::File;
use std::path::PathBuf;

use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::{FlockOperation, flock};
use sha2::Sha256;
use zeroize::Zeroizing;

use self::state::State;
use super::dataset::blocking;
use super::purpose::split_id;
use super::records::Record;
use super::{Keyring, Purpose, aead, durable};
use crate::error::{Error, Kind, Result};
use crate::spec::DatasetName;

/// How often a generation is looked for again that was replaced between two looks.
const LOOKS: u32 = 5;

/// A subject by a keyed digest of its value: the first 96 bits of HMAC-SHA-256 of its canonical bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; Digest::BYTES]);

impl Digest {
    /// Its length.
    pub const BYTES: usize = 12;

    /// As it stands in cells.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// 24 hexadecimal digits.
impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The subject's key is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shredded;

/// The keys of a column's subjects, as they were when they were loaded. No `Debug`.
pub struct Subjects {
    id: String,
    keyed: Hmac<Sha256>,
    state: State,
}

impl Subjects {
    fn new(purpose: &Purpose, state: State) -> Result<Self> {
        let keyed = Hmac::new_from_slice(state.digest_key.as_slice())
            .map_err(|_| Error::failed("a key of subjects cannot be used"))?;
        // Generations come and go; the tree is one.
        Ok(Self { id: format!("{}@1", purpose.base_id()), keyed, state })
    }

    /// A tree in memory, under this root key.
    ///
    /// # Errors
    /// `Failed` when the key is not of 32 bytes.
    #[cfg(test)]
    pub(crate) fn for_tests(purpose: &Purpose, root: &[u8]) -> Result<Self> {
        let key = super::DatasetKey::for_tests(&format!("{}@1", purpose.base_id()), root);
        Self::new(purpose, State::fresh(&key)?)
    }

    /// Forgets in memory.
    #[cfg(test)]
    pub(crate) fn forget(&mut self, digest: Digest) {
        self.state.forget(&[digest]).unwrap();
    }

    /// The tree's id, which no shredding changes: `sealift:<ns>.<name>/<column>#subject@1`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The digest of a subject by the canonical bytes of its value.
    #[must_use]
    pub fn digest(&self, subject: &[u8]) -> Digest {
        let mac = self.keyed.clone().chain_update(subject).finalize().into_bytes();
        let mut digest = [0; Digest::BYTES];
        digest.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        Digest(digest)
    }

    /// The subject's key.
    ///
    /// # Errors
    /// [`Shredded`] once it is destroyed.
    pub fn key(&self, digest: Digest) -> Result<Zeroizing<[u8; 32]>, Shredded> {
        self.state.leaf(digest).ok_or(Shredded)
    }

    /// The key that digests are hidden with where they are stored.
    #[must_use]
    pub fn mask_key(&self) -> &[u8; 32] {
        &self.state.mask_key
    }
}

impl Keyring {
    /// The keys of a column's subjects, made on first use.
    ///
    /// # Errors
    /// As [`Keyring::current`]; `Failed` when what is kept of them is damaged or missing.
    pub async fn subjects(&self, dataset: &DatasetName, column: &str) -> Result<Subjects> {
        let purpose = purpose(dataset, column);
        if let Some((_, state)) = self.generation(&purpose).await? {
            return Subjects::new(&purpose, state);
        }
        self.current(&purpose).await?;
        let made = self.generation(&purpose).await?;
        let (_, state) = made.ok_or_else(|| missing(&purpose.base_id()))?;
        Subjects::new(&purpose, state)
    }

    /// As [`Keyring::subjects`]; `None` when the column was never encrypted by subject.
    ///
    /// # Errors
    /// As [`Keyring::subjects`].
    pub async fn known_subjects(&self, dataset: &DatasetName, column: &str) -> Result<Option<Subjects>> {
        let purpose = purpose(dataset, column);
        let found = self.generation(&purpose).await?;
        found.map(|(_, state)| Subjects::new(&purpose, state)).transpose()
    }

    /// Destroys the keys of subjects, for good, and tells how many were there until now. Whoever loaded the tree
    /// before keeps what it has in memory until its end.
    ///
    /// # Errors
    /// `Usage` when the column was never encrypted by subject; `Temporary` while another process shreds in it;
    /// `Failed` beyond the number of subjects that one tree can forget, and when the folder cannot be written.
    /// After an error of the writing the same can be asked again.
    pub async fn shred(&self, dataset: &DatasetName, column: &str, subjects: &[Digest]) -> Result<usize> {
        let purpose = purpose(dataset, column);
        let base = purpose.base_id();
        if self.peek(&purpose).await?.is_none() {
            return Err(Error::new(
                Kind::Usage,
                format!("column `{column}` of {dataset} was never encrypted by subject"),
            )
            .help("name a column of `encrypt_value: {by: …}`; `sealift keys list` shows its #subject key"));
        }
        // A root key that is renewed meanwhile would bring records back that are destroyed here.
        let _adding = self.adding().await?;
        let lock = self.records.beside(&base, "lock");
        let _lock = blocking(move || lock_of(lock)).await?;
        let found = self.generation(&purpose).await?;
        let (generation, mut state) = found.ok_or_else(|| missing(&base))?;
        self.sweep(&base, generation).await?;
        let forgotten = state.forget(subjects)?;
        if forgotten == 0 {
            return Ok(0);
        }
        let next =
            generation.checked_add(1).ok_or_else(|| Error::failed("there is no further generation"))?;
        let (id, secret) = (format!("{base}@{next}"), aead::random_secret(aead::KEY_BYTES)?);
        let (path, sealed_by, key) = (self.tree(&base, next), id.clone(), secret.clone());
        blocking(move || state.write(&path, &sealed_by, &key)).await?;
        self.record(&id, &secret).await?;
        // The tree must be the one that this key seals before the one before goes.
        let is_ours = self.by_id(&id).await?.secret().expose() == secret.expose();
        if !is_ours || self.generation(&purpose).await?.is_none_or(|(newest, _)| newest != next) {
            return Err(missing(&base));
        }
        self.sweep(&base, next).await?;
        Ok(forgotten)
    }

    /// The newest generation and its number; `None` where there is none.
    async fn generation(&self, purpose: &Purpose) -> Result<Option<(u32, State)>> {
        for _ in 0..LOOKS {
            let Some(id) = self.peek(purpose).await? else { return Ok(None) };
            let (base, generation) = split_id(&id).ok_or_else(|| missing(&id))?;
            let key = match self.by_id(&id).await {
                Ok(key) => key,
                Err(error) if error.kind() == Kind::Denied => continue,
                Err(error) => return Err(error),
            };
            if generation == 1 || self.follows_destroyed(base, generation).await? {
                return Ok(Some((generation, State::fresh(&key)?)));
            }
            (1..generation).for_each(|old| self.forget(&format!("{base}@{old}")));
            let path = self.tree(base, generation);
            if let Some(state) = blocking(move || State::read(&path, &key)).await? {
                return Ok(Some((generation, state)));
            }
        }
        Err(missing(&purpose.base_id()))
    }

    /// Whether a generation is the first of a new tree, as the one before was destroyed as a whole.
    async fn follows_destroyed(&self, base: &str, generation: u32) -> Result<bool> {
        let (records, id) = (self.records.clone(), format!("{base}@{}", generation - 1));
        let tree = self.tree(base, generation);
        blocking(move || Ok(!tree.exists() && matches!(records.read(&id)?, Some(Record::Destroyed(_))))).await
    }

    /// Destroys what is left of generations before this one.
    async fn sweep(&self, base: &str, generation: u32) -> Result<()> {
        let versions = self.records.versions_of(base)?;
        for old in versions.into_iter().filter(|old| *old < generation) {
            let id = format!("{base}@{old}");
            self.forget(&id);
            let records = self.records.clone();
            let is_left =
                blocking(move || Ok(matches!(records.read(&id)?, Some(Record::Wrapped(_))))).await?;
            for kept in ["json", "tree"].into_iter().filter(|kept| is_left || *kept == "tree") {
                let path = self.records.beside(base, &format!("{old}.{kept}"));
                blocking(move || durable::destroy(&path)).await?;
            }
        }
        // Its record may be gone already.
        let path = self.tree(base, generation.saturating_sub(1));
        blocking(move || durable::destroy(&path)).await
    }

    fn tree(&self, base: &str, generation: u32) -> PathBuf {
        self.records.beside(base, &format!("{generation}.tree"))
    }
}

fn purpose(dataset: &DatasetName, column: &str) -> Purpose {
    Purpose::Subject { dataset: dataset.clone(), column: column.to_owned() }
}

/// Held until the file is dropped; the system gives it back when the process dies.
fn lock_of(path: PathBuf) -> Result<File> {
    let unusable =
        |error: std::io::Error| Error::failed(format!("cannot lock {}: {}", path.display(), error.kind()));
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::temporary("subjects of this column are being shredded by another process")
                .help("run it again when that one is done"))
        }
        Err(error) => Err(unusable(error.into())),
    }
}

fn missing(base: &str) -> Error {
    Error::failed(format!("what is kept of the keys {base} is not complete"))
        .help("restore the keys folder from a backup; it must be of after the last shredding")
}

#[cfg(test)]
mod tests;
