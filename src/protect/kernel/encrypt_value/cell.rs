//! One encrypted value: what is bound to it, and how it is opened.

use aes::Aes256Enc;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _, consts::U16};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::layout::{Kind, NONCE_BYTES, Parts};
use crate::error::{Error, Result};
use crate::keys::subject::{Digest, Shredded};
use crate::keys::{DatasetKey, Hkdf, Keyring, Purpose, Subjects};
use crate::spec::DatasetName;

/// What the additional data begin with, and what keys are derived for.
const LABEL: &[u8] = b"sealift-cell-1";
const CELL_KEY: &[u8] = b"sealift-cell-1 key";
const MASK_KEY: &[u8] = b"sealift-cell-1 mask";

/// The additional data of a cell, behind what is in `out`.
pub(super) fn append_aad(key_id: &str, kind: Kind, digest: Option<&Digest>, out: &mut Vec<u8>) {
    let digest = digest.map_or(&[][..], |digest| digest.bytes());
    for part in [LABEL, key_id.as_bytes(), kind.word().as_bytes(), digest] {
        // Ids are of some hundred bytes at the most.
        out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(part);
    }
}

/// The key of the cells of one writer under this key.
pub(super) fn cell_key(writer: &Hkdf, key: &[u8]) -> Result<zeroize::Zeroizing<[u8; 32]>> {
    writer.derive(key, CELL_KEY)
}

/// Ready for use.
pub(super) fn cipher(cell_key: &[u8]) -> Result<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, cell_key)
        .map(LessSafeKey::new)
        .map_err(|_| Error::failed("a cell's key is not 32 bytes long"))
}

/// Hides the digests of subjects in the cells of one writer.
pub(super) struct Mask(Aes256Enc);

impl Mask {
    pub(super) fn new(writer: &Hkdf, mask_key: &[u8]) -> Result<Self> {
        let key = writer.derive::<32>(mask_key, MASK_KEY)?;
        let cipher = Aes256Enc::new_from_slice(key.as_slice());
        cipher.map(Self).map_err(|_| Error::failed("a mask's key is not 32 bytes long"))
    }

    /// Hides a digest, or shows it again.
    pub(super) fn applied(
        &self,
        nonce: [u8; NONCE_BYTES],
        digest: [u8; Digest::BYTES],
    ) -> [u8; Digest::BYTES] {
        let mut block = Array::<u8, U16>::default();
        block.iter_mut().zip(nonce).for_each(|(to, from)| *to = from);
        self.0.encrypt_block(&mut block);
        let mut masked = digest;
        masked.iter_mut().zip(block).for_each(|(to, mask)| *to ^= mask);
        masked
    }
}

/// What opens the cells of one column. No `Debug`: it holds keys.
pub struct Keys {
    column: Vec<DatasetKey>,
    subjects: Option<Subjects>,
}

impl Keys {
    /// Every key that cells of the column may have been encrypted with. None is created.
    ///
    /// # Errors
    /// Those of the keyring.
    pub async fn load(keyring: &Keyring, dataset: &DatasetName, column: &str) -> Result<Self> {
        let purpose = Purpose::Value { dataset: dataset.clone(), column: column.to_owned() };
        let versions = format!("{}@", purpose.base_id());
        let mut keys = Vec::new();
        for id in keyring.list(None).await?.iter().filter(|id| id.starts_with(&versions)) {
            match keyring.by_id(id).await {
                Ok(key) => keys.push(key),
                // It is to be destroyed.
                Err(error) if error.kind() == crate::error::Kind::Denied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { column: keys, subjects: keyring.known_subjects(dataset, column).await? })
    }

    #[cfg(test)]
    pub(super) fn for_tests(column: Vec<DatasetKey>, subjects: Option<Subjects>) -> Self {
        Self { column, subjects }
    }
}

/// The canonical bytes that a cell holds; `None` when the keys of its subject are destroyed.
///
/// # Errors
/// `Failed`, in the same words whatever is wrong: the text is no cell, was altered, or belongs to another column, type
/// or subject, or its key is not here.
pub fn open(cell: &str, keys: &Keys) -> Result<Option<Vec<u8>>> {
    opened(cell, keys)
        .ok_or_else(|| Error::failed("not a cell of this column, or one of a key that is not here"))
}

/// Whom a cell says it is about, whether or not their keys are destroyed; `None` for what is no cell by subject of this
/// column. Only [`open`] tells whether it is true.
#[must_use]
pub fn subject_of(cell: &str, keys: &Keys) -> Option<Digest> {
    subject(&Parts::of(cell)?, keys.subjects.as_ref()?)
}

fn subject(parts: &Parts, subjects: &Subjects) -> Option<Digest> {
    let masked = parts.masked.filter(|_| parts.version == super::TREE)?;
    let mask = Mask::new(&Hkdf::new(&parts.salt), subjects.mask_key()).ok()?;
    Some(Digest::new(mask.applied(parts.nonce, masked)))
}

#[expect(clippy::option_option, reason = "no cell and a shredded one are different things")]
fn opened(cell: &str, keys: &Keys) -> Option<Option<Vec<u8>>> {
    let parts = Parts::of(cell)?;
    let writer = Hkdf::new(&parts.salt);
    let mut aad = Vec::new();
    let key = if parts.masked.is_none() {
        let key = keys.column.iter().find(|key| key.version() == parts.version)?;
        append_aad(key.id(), parts.kind, None, &mut aad);
        cell_key(&writer, key.secret().expose()).ok()?
    } else {
        let subjects = keys.subjects.as_ref()?;
        let digest = subject(&parts, subjects)?;
        append_aad(subjects.id(), parts.kind, Some(&digest), &mut aad);
        match subjects.key(digest) {
            Ok(key) => cell_key(&writer, key.as_slice()).ok()?,
            Err(Shredded) => return Some(None),
        }
    };
    let mut sealed = parts.sealed;
    let nonce = Nonce::assume_unique_for_key(parts.nonce);
    let opened = cipher(key.as_slice()).ok()?.open_in_place(nonce, Aad::from(&aad), &mut sealed).ok()?.len();
    sealed.truncate(opened);
    Some(Some(sealed))
}
