//! What is kept of a subject tree, and how it lies in the keys folder.
//!
//! ```text
//! generation 1   nothing beside the record of `…#subject@1`: from that key HKDF-SHA-256 (without salt) derives
//!                  digest key   info "sealift subject digest"
//!                  mask key     info "sealift subject mask"
//!                  root         info "sealift subject root"
//! generation n   `<n>.tree` beside the record `<n>.json` of `…#subject@<n>`:
//!                  "SEALIFT-SUBJECTS-1\n" | nonce (12) | ciphertext of (digest key (32) | mask key (32) | tree) | tag (16)
//!                AES-256-GCM under that key, AAD = "sealift-subjects:" | id of that key
//! ```

use std::path::Path;

use zeroize::Zeroizing;

use super::super::{aead, durable, hkdf::Hkdf};
use super::Digest;
use super::tree::{Seed, Tree};
use crate::error::{Error, Result};
use crate::keys::DatasetKey;
use crate::secret::Secret;

const MAGIC: &[u8] = b"SEALIFT-SUBJECTS-1\n";
/// Most subjects that one tree forgets. Each adds up to 12 KB to the file, so that this bounds it to about 100 MB, and
/// the memory of whoever reads it to some three times that.
pub(super) const MOST_FORGOTTEN: usize = 10_000;
/// Above the size of any file of [`MOST_FORGOTTEN`] subjects.
const MOST_BYTES: u64 = MOST_FORGOTTEN as u64 * 12_500 + 1_000;

/// The keys of a tree and what is left of it. No `Debug`.
pub(super) struct State {
    pub(super) digest_key: Seed,
    pub(super) mask_key: Seed,
    tree: Tree,
}

impl State {
    /// Of a tree that has forgotten nobody.
    ///
    /// # Errors
    /// `Failed` when the key is not made for it.
    pub(super) fn fresh(key: &DatasetKey) -> Result<Self> {
        let secret = key.secret().expose();
        if secret.len() != 32 {
            return Err(Error::failed(format!("the key {} is not 32 bytes long", key.id())));
        }
        let derive = |info: &str| Hkdf::new(&[]).derive(secret, info.as_bytes());
        Ok(Self {
            digest_key: derive("sealift subject digest")?,
            mask_key: derive("sealift subject mask")?,
            tree: Tree::new(derive("sealift subject root")?),
        })
    }

    /// The subject's key; `None` once it is forgotten.
    pub(super) fn leaf(&self, digest: Digest) -> Option<Seed> {
        self.tree.leaf(digest)
    }

    /// Forgets subjects, and tells how many were there until now.
    ///
    /// # Errors
    /// `Failed` when it would have forgotten more than [`MOST_FORGOTTEN`].
    pub(super) fn forget(&mut self, digests: &[Digest]) -> Result<usize> {
        let mut forgotten = 0;
        for digest in digests {
            forgotten += usize::from(self.tree.forget(*digest));
            if self.tree.forgotten() > MOST_FORGOTTEN {
                return Err(Error::failed(format!(
                    "more than {MOST_FORGOTTEN} subjects of one column cannot be shredded"
                ))
                .help("publish the column under another name with `write_mode: overwrite`, which begins a new tree, and vacuum the dataset"));
            }
        }
        Ok(forgotten)
    }

    /// Writes it to `path`, sealed with `key`, which must be fresh.
    ///
    /// # Errors
    /// As [`durable::replace`].
    pub(super) fn write(&self, path: &Path, id: &str, key: &Secret) -> Result<()> {
        let tree = self.tree.encode();
        let mut plain = Zeroizing::new(Vec::with_capacity(64 + tree.expose().len()));
        plain.extend_from_slice(self.digest_key.as_slice());
        plain.extend_from_slice(self.mask_key.as_slice());
        plain.extend_from_slice(tree.expose());
        let sealed = aead::seal(key, &aad(id), &plain)?;
        durable::replace(path, &[MAGIC, &sealed].concat())
    }

    /// Reads what [`State::write`] wrote; `None` when there is no file.
    ///
    /// # Errors
    /// `Failed` when the file cannot be read, or any byte of it was altered.
    pub(super) fn read(path: &Path, key: &DatasetKey) -> Result<Option<Self>> {
        let Some(bytes) = durable::read(path, MOST_BYTES)? else { return Ok(None) };
        Self::open(&bytes, key).map(Some).ok_or_else(|| {
            Error::failed(format!("{} is damaged, or was sealed by another key", path.display()))
                .help("restore the keys folder from a backup; it must be of after the last shredding")
        })
    }

    fn open(bytes: &[u8], key: &DatasetKey) -> Option<Self> {
        let plain = aead::open(key.secret(), &aad(key.id()), bytes.strip_prefix(MAGIC)?).ok()?;
        let (digest_key, rest) = plain.expose().split_first_chunk()?;
        let (mask_key, tree) = rest.split_first_chunk()?;
        Some(Self {
            digest_key: Zeroizing::new(*digest_key),
            mask_key: Zeroizing::new(*mask_key),
            tree: Tree::decode(tree)?,
        })
    }
}

/// No id of a key begins like this, so that a state cannot stand for a wrapped key.
fn aad(id: &str) -> Vec<u8> {
    format!("sealift-subjects:{id}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_altered_byte_of_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2.tree");
        let (one, two) = ("sealift:crm.a/b#subject@1", "sealift:crm.a/b#subject@2");
        let mut state = State::fresh(&DatasetKey::for_tests(one, &[5; 32])).unwrap();
        let (gone, other) = (Digest([1; 12]), Digest([2; 12]));
        let before = state.leaf(other);
        assert_eq!(state.forget(&[gone, gone]).unwrap(), 1);
        let key = DatasetKey::for_tests(two, &[6; 32]);
        state.write(&path, two, key.secret()).unwrap();
        let read = State::read(&path, &key).unwrap().unwrap();
        assert_eq!((read.leaf(gone), read.leaf(other)), (None, before));
        assert_eq!((&read.digest_key, &read.mask_key), (&state.digest_key, &state.mask_key));

        let bytes = std::fs::read(&path).unwrap();
        // Each byte once; the long middle in steps that are prime to the size of a node.
        for at in (0..200).chain((200..bytes.len() - 40).step_by(29)).chain(bytes.len() - 40..bytes.len()) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(State::open(&altered, &key).is_none(), "byte {at}");
            assert!(State::open(&bytes[..at], &key).is_none(), "cut at {at}");
        }
        let of_another = DatasetKey::for_tests("sealift:crm.a/c#subject@2", &[6; 32]);
        assert!(State::open(&bytes, &of_another).is_none());
        assert!(State::open(&bytes, &DatasetKey::for_tests(two, &[7; 32])).is_none());
        assert!(State::read(&folder.path().join("3.tree"), &key).unwrap().is_none());
    }
}
