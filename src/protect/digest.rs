//! What a column's values were, without the values: a keyed digest that does not depend on their order.
//!
//! ```text
//! digest = F(mask key, nonce) + the sum of F(kind key, value) over all values that are not NULL, modulo 2^128
//! ```
//!
//! `F` is a pseudorandom function ([`prf`]), so without the key a digest tells nothing of the values; with
//! it, another multiset of values has the same sum only by a chance of 2^-128. The nonce is that of the
//! version, so that not even equal contents of two versions show. Both keys are derived from the dataset's
//! digest key by the column's name, and the kind key also by the kind of the values, so that 5 differs from
//! `'5'`; integers agree whatever their width ([`encoding`]).

mod encoding;
mod prf;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use self::prf::Prf;
use crate::error::Result;
use crate::keys::{DatasetKey, Keyring, Purpose};
use crate::spec::DatasetName;

/// The digests of some columns, growing with their rows.
#[derive(Clone, Default)]
pub struct Digests {
    key_id: String,
    columns: Vec<Digest>,
}

/// How far the digest of a column is.
#[derive(Clone, Deserialize, Serialize)]
pub struct SoFar {
    column: String,
    kind: String,
    nulls: u64,
    /// Decimal.
    sum: String,
}

/// The digest of one top-level column.
#[derive(Clone)]
pub struct Digest {
    column: String,
    kind: String,
    values: Prf,
    mask: Prf,
    nulls: u64,
    sum: u128,
}

impl Digests {
    /// Digests of no rows yet, of these columns with the types they are published from.
    ///
    /// # Errors
    /// Those of the keyring; `Failed` for a type that cannot be published.
    pub async fn prepare<'c>(
        keyring: &Keyring,
        dataset: &DatasetName,
        columns: impl IntoIterator<Item = (&'c str, &'c DataType)>,
    ) -> Result<Self> {
        let key = keyring.current(&Purpose::Digest(dataset.clone())).await?;
        Self::with(&key, columns)
    }

    /// As [`Digests::prepare`], with the key that a receipt names.
    ///
    /// # Errors
    /// As [`Digests::prepare`].
    pub fn with<'c>(
        key: &DatasetKey,
        columns: impl IntoIterator<Item = (&'c str, &'c DataType)>,
    ) -> Result<Self> {
        let digest = |(column, data_type): (&str, &DataType)| {
            let kind = encoding::kind(data_type)?;
            Ok(Digest {
                column: column.to_owned(),
                values: Prf::derive(key, &kind, column)?,
                kind,
                mask: Prf::derive(key, "mask", column)?,
                nulls: 0,
                sum: 0,
            })
        };
        let columns = columns.into_iter().map(digest).collect::<Result<_>>()?;
        Ok(Self { key_id: key.id().to_owned(), columns })
    }

    /// Id of the dataset's digest key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// One digest per column.
    #[must_use]
    pub fn columns(&self) -> &[Digest] {
        &self.columns
    }

    /// Takes in one array per column, in their order.
    ///
    /// # Errors
    /// `Failed` for a type that cannot be published.
    pub fn add<'a>(&mut self, arrays: impl IntoIterator<Item = &'a ArrayRef>) -> Result<()> {
        self.columns.iter_mut().zip(arrays).try_for_each(|(digest, array)| digest.add(array))
    }

    /// How far they are, to be kept sealed and gone on with by [`Digests::resume`]: without the mask a sum can
    /// be compared with others.
    #[must_use]
    pub fn so_far(&self) -> Vec<SoFar> {
        let so_far = |digest: &Digest| SoFar {
            column: digest.column.clone(),
            kind: digest.kind.clone(),
            nulls: digest.nulls,
            sum: digest.sum.to_string(),
        };
        self.columns.iter().map(so_far).collect()
    }

    /// Takes in what was kept of other rows; columns of which nothing was, or of another kind, are left out.
    pub fn resume(&mut self, kept: &[SoFar]) {
        self.columns.retain_mut(|digest| {
            let is_it = |kept: &&SoFar| kept.column == digest.column && kept.kind == digest.kind;
            let kept =
                kept.iter().find(is_it).and_then(|kept| Some((kept.nulls, kept.sum.parse::<u128>().ok()?)));
            kept.inspect(|(nulls, sum)| {
                digest.nulls += nulls;
                digest.sum = digest.sum.wrapping_add(*sum);
            })
            .is_some()
        });
    }

    /// Takes in the rows of another write of the dataset. Columns that only one of them has are left out:
    /// nobody knows all their values.
    pub fn join(&mut self, other: &Self) {
        self.columns.retain_mut(|digest| {
            let same = other.columns.iter().find(|same| same.column == digest.column);
            same.inspect(|same| {
                digest.nulls += same.nulls;
                digest.sum = digest.sum.wrapping_add(same.sum);
            })
            .is_some()
        });
    }
}

impl Digest {
    fn add(&mut self, array: &ArrayRef) -> Result<()> {
        self.nulls += array.null_count() as u64;
        self.sum = self.sum.wrapping_add(encoding::sum(&self.values, array)?);
        Ok(())
    }

    /// The column.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The kind of its values, as [`encoding`] names it: only digests of one kind can agree.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its NULLs, which the digest leaves out.
    #[must_use]
    pub const fn nulls(&self) -> u64 {
        self.nulls
    }

    /// Whether both are of the same values: those of one column and one kind, under one key.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let known = |digest: &Self| (digest.nulls, digest.sum);
        self.column == other.column && self.kind == other.kind && known(self) == known(other)
    }

    /// The digest under a version's nonce, in hexadecimal.
    #[must_use]
    pub fn masked(&self, nonce: &str) -> String {
        let mask = self.mask.of_bytes(nonce.as_bytes(), std::iter::once(0..nonce.len()));
        hex::encode(self.sum.wrapping_add(mask).to_be_bytes())
    }
}

// Neither keys nor sums: a sum without its mask could be compared.

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").field("column", &self.column).finish_non_exhaustive()
    }
}

/// Digests that a stream of rows fills while somebody else reads it to its end.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Digests>>);

impl Tally {
    pub(super) fn new(digests: Digests) -> Self {
        Self(Arc::new(Mutex::new(digests)))
    }

    /// The digests of the rows that passed so far.
    #[must_use]
    pub fn digests(&self) -> Digests {
        self.open().clone()
    }

    pub(super) fn add<'a>(&self, arrays: impl IntoIterator<Item = &'a ArrayRef>) -> Result<()> {
        self.open().add(arrays)
    }

    fn open(&self) -> MutexGuard<'_, Digests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
