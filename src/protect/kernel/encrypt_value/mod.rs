//! `encrypt_value`: AES-256-GCM of each value by itself, under the column's key or that of the subject a row is about.
//! Equal values have different cells, so that cells tell nothing but their length, and no two can be compared.
//!
//! ```text
//! cell         e<key version>: base64url without padding (RFC 4648, 5) of
//!              form (1) | salt (16) | nonce (12) | [masked digest (12)] | ciphertext | tag (16)
//!
//! form         1 text, 2 binary, 3 integer, 4 decimal, 5 date, 6 timestamp, 7 timestamptz; with 128 by subject
//! salt         random, of the writer: every run of every column draws one
//! nonce        counts the cells of the writer from 0, big-endian: the deterministic construction of
//!              NIST SP 800-38D, 8.2.1, with the fixed field left out, as a key has one writer
//! masked       digest of the subject xor the first 12 bytes of AES-256(mask key of the writer, nonce | 0000), so that
//! digest       a reader finds the subject's key, and who has no key does not see which rows belong together
//! plaintext    the canonical bytes of the value, as they are tokenized
//! cell key     HKDF-SHA-256 (RFC 5869) of the column's or the subject's key, salt as above, info "sealift-cell-1 key"
//! mask key     HKDF-SHA-256 of the tree's mask key, salt as above, info "sealift-cell-1 mask"
//! AAD          "sealift-cell-1", key id, word of the type, digest of the subject (empty without), each behind its
//!              length in 4 bytes, big-endian; key id is `sealift:<ns>.<name>/<column>#value@<version>`, or `#subject@1`
//! ```
//!
//! A retry is another writer and so has other keys: no nonce is used twice with one key.

mod cell;
mod layout;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, LessSafeKey, Nonce};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use self::cell::Mask;
use self::layout::{BY_SUBJECT, Kind, NONCE_BYTES, SALT_BYTES, TAG_BYTES};
use super::cache::Cache;
use super::{canonical, text};
use crate::error::{Error, Result};
use crate::keys::subject::Digest;
use crate::keys::{DatasetKey, Hkdf, Subjects};

pub use self::cell::{Keys, open, subject_of};

/// The version of every tree of subjects: it is never replaced by another.
const TREE: u32 = 1;
/// Most cells of one writer; far below what GCM allows, and far above any table.
const MOST_CELLS: u64 = 1 << 40;
/// What a value is reckoned to take before it is seen.
const USUAL_BYTES: usize = 24;

pub(super) struct Kernel {
    path: String,
    prefix: String,
    kind: Kind,
    salt: [u8; SALT_BYTES],
    writer: Hkdf,
    /// Cells so far.
    cells: u64,
    keys: Held,
    /// One cell before base64, and its additional data.
    sealed: Vec<u8>,
    aad: Vec<u8>,
}

enum Held {
    Column { cipher: Box<LessSafeKey>, aad: Vec<u8> },
    Subjects(Box<BySubject>),
}

struct BySubject {
    subjects: Subjects,
    mask: Mask,
    /// Digest and cell key by subject.
    cache: Cache,
    by: String,
    /// The subject of the row before: rows of one often follow each other.
    last: Vec<u8>,
    of_last: Option<(Digest, LessSafeKey)>,
}

impl Kernel {
    /// Of one key for the whole column.
    ///
    /// # Errors
    /// `Failed` when the key is not made for cells, for a type without canonical form, and when the system gives no
    /// randomness.
    pub(super) fn of_column(key: &DatasetKey, carried: &DataType, path: &str) -> Result<Self> {
        let secret = key.secret().expose();
        if secret.len() != 32 {
            return Err(Error::failed(format!("the key {} is not 32 bytes long", key.id())));
        }
        Self::new(carried, path, super::prefix('e', key), |writer, kind| {
            let mut aad = Vec::new();
            cell::append_aad(key.id(), kind, None, &mut aad);
            let cipher = cell::cipher(cell::cell_key(writer, secret)?.as_slice())?;
            Ok(Held::Column { cipher: Box::new(cipher), aad })
        })
    }

    /// Of a key for each subject; `by` names the column that tells them.
    ///
    /// # Errors
    /// As [`Kernel::of_column`].
    pub(super) fn by_subject(subjects: Subjects, carried: &DataType, path: &str, by: &str) -> Result<Self> {
        Self::new(carried, path, format!("e{TREE}:"), |writer, _| {
            let mask = Mask::new(writer, subjects.mask_key())?;
            let (cache, by) = (Cache::new(), by.to_owned());
            Ok(Held::Subjects(Box::new(BySubject {
                subjects,
                mask,
                cache,
                by,
                last: Vec::new(),
                of_last: None,
            })))
        })
    }

    fn new(
        carried: &DataType,
        path: &str,
        prefix: String,
        keys: impl FnOnce(&Hkdf, Kind) -> Result<Held>,
    ) -> Result<Self> {
        let kind = Kind::of(carried)
            .ok_or_else(|| Error::failed(format!("{carried} has no canonical form to be encrypted")))?;
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(|_| Error::failed("the system gives no random bytes"))?;
        let writer = Hkdf::new(&salt);
        let keys = keys(&writer, kind)?;
        let (path, sealed, aad) = (path.to_owned(), Vec::new(), Vec::new());
        Ok(Self { path, prefix, kind, salt, writer, cells: 0, keys, sealed, aad })
    }

    /// Appends the cell of a value.
    fn append(&mut self, value: &[u8], subject: Option<&[u8]>, out: &mut Vec<u8>) -> Result<()> {
        let nonce = self.next_nonce()?;
        let Self { keys, sealed, aad, salt, kind, .. } = self;
        sealed.clear();
        let (cipher, aad): (&LessSafeKey, &[u8]) = match keys {
            Held::Column { cipher, aad } => {
                sealed.push(kind.code());
                sealed.extend_from_slice(salt);
                sealed.extend_from_slice(&nonce);
                (cipher, aad)
            }
            Held::Subjects(held) => {
                let subject = subject.ok_or_else(|| nobody(&self.path, &held.by))?;
                held.turn_to(subject, &self.writer).map_err(|error| error.of(&self.path, &held.by))?;
                let Some((digest, cipher)) = &held.of_last else {
                    return Err(Error::failed("a subject has no key"));
                };
                sealed.push(kind.code() | BY_SUBJECT);
                sealed.extend_from_slice(salt);
                sealed.extend_from_slice(&nonce);
                sealed.extend_from_slice(&held.mask.applied(nonce, *digest.bytes()));
                aad.clear();
                cell::append_aad(held.subjects.id(), *kind, Some(digest), aad);
                (cipher, aad)
            }
        };
        let failed = || Error::failed("a value could not be encrypted");
        let start = sealed.len();
        sealed.extend_from_slice(value);
        let plain = sealed.get_mut(start..).unwrap_or_default();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(aad), plain).map_err(|_| failed())?;
        sealed.extend_from_slice(tag.as_ref());
        out.extend_from_slice(self.prefix.as_bytes());
        let start = out.len();
        out.resize(start + base64::encoded_len(sealed.len(), false).ok_or_else(failed)?, 0);
        let place = out.get_mut(start..).unwrap_or_default();
        URL_SAFE_NO_PAD.encode_slice(&*sealed, place).map_err(|_| failed())?;
        Ok(())
    }

    fn next_nonce(&mut self) -> Result<[u8; NONCE_BYTES]> {
        if self.cells >= MOST_CELLS {
            return Err(Error::failed(format!("column `{}` has too many values for one run", self.path)));
        }
        let mut nonce = [0; NONCE_BYTES];
        let counter = self.cells.to_be_bytes();
        nonce.iter_mut().rev().zip(counter.iter().rev()).for_each(|(to, from)| *to = *from);
        self.cells += 1;
        Ok(nonce)
    }

    /// Characters of a usual cell.
    fn usual_bytes(&self) -> usize {
        let sealed = 1 + SALT_BYTES + NONCE_BYTES + Digest::BYTES + USUAL_BYTES + TAG_BYTES;
        self.prefix.len() + sealed * 4 / 3
    }
}

/// Why there is no key for a row.
enum NoKey {
    Shredded,
    Other(Error),
}

impl NoKey {
    fn of(self, path: &str, by: &str) -> Error {
        match self {
            Self::Shredded => Error::held(format!(
                "column `{path}` holds a value of a subject (by `{by}`) whose key was shredded"
            ))
            .help("leave the rows of shredded subjects out, at the source or by a condition in `transform`"),
            Self::Other(error) => error,
        }
    }
}

impl BySubject {
    /// Makes the key of a subject ready.
    fn turn_to(&mut self, subject: &[u8], writer: &Hkdf) -> Result<(), NoKey> {
        if self.of_last.is_some() && self.last == subject {
            return Ok(());
        }
        self.of_last = None;
        let Self { subjects, cache, .. } = self;
        let (mut found, mut is_shredded) = (Zeroizing::new(Vec::with_capacity(Digest::BYTES + 32)), false);
        cache
            .append(subject, &mut found, |out| {
                let digest = subjects.digest(subject);
                let key = subjects.key(digest).map_err(|_| {
                    is_shredded = true;
                    Error::held("a subject was shredded")
                })?;
                out.extend_from_slice(digest.bytes());
                out.extend_from_slice(cell::cell_key(writer, key.as_slice())?.as_slice());
                Ok(())
            })
            .map_err(|error| if is_shredded { NoKey::Shredded } else { NoKey::Other(error) })?;
        let (digest, key) = found
            .split_first_chunk()
            .ok_or_else(|| NoKey::Other(Error::failed("a subject has no digest")))?;
        self.of_last = Some((Digest::new(*digest), cell::cipher(key).map_err(NoKey::Other)?));
        self.last.clear();
        self.last.extend_from_slice(subject);
        Ok(())
    }
}

fn nobody(path: &str, by: &str) -> Error {
    Error::data(format!("column `{path}` holds a value in a row whose `{by}` is NULL, so that nobody's key is its own"))
        .help("give such rows a value, or leave them out, in `transform`; or let `by` name a column that is never NULL")
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let mut out = text::Builder::new(column.len(), self.usual_bytes());
        canonical::each(column, |value| {
            if let Some(value) = value {
                self.append(value, None, out.values())?;
            }
            out.end()
        })?;
        out.finish(column.nulls())
    }

    fn apply_by(&mut self, column: &ArrayRef, subjects: &ArrayRef) -> Result<ArrayRef> {
        if subjects.len() != column.len() {
            return Err(Error::failed("there are not as many subjects as values"));
        }
        // Both are walked at once, so one of them is laid out before.
        let (mut flat, mut ends) = (Vec::new(), Vec::with_capacity(subjects.len()));
        canonical::each(subjects, |subject| {
            let start = flat.len();
            flat.extend_from_slice(subject.unwrap_or_default());
            ends.push(subject.map(|_| start..flat.len()));
            Ok(())
        })?;
        let mut out = text::Builder::new(column.len(), self.usual_bytes());
        let mut rows = ends.into_iter();
        canonical::each(column, |value| {
            let subject = rows.next().flatten().and_then(|range| flat.get(range));
            if let Some(value) = value {
                self.append(value, subject, out.values())?;
            }
            out.end()
        })?;
        out.finish(column.nulls())
    }
}

#[cfg(test)]
mod tests;
