//! Digests of rows, by which they are told apart.
//!
//! They are SipHash-1-3 of 128 bits under a key that is drawn for one merge and never leaves it: nobody who
//! chooses values can make two of them meet, and among 10^12 keys the odds that any two do are below 10^-14.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::FieldRef;
use arrow::row::{RowConverter, SortField};
use siphasher::sip128::SipHasher13;

use crate::error::{Error, Result};

/// The key of one merge's digests.
#[derive(Clone)]
pub(super) struct Seed([u8; 16]);

impl Seed {
    pub(super) fn draw() -> Result<Self> {
        let mut seed = [0; 16];
        #[expect(clippy::disallowed_methods, reason = "the key of digests that live as long as one merge")]
        let drawn = getrandom::fill(&mut seed);
        drawn.map_err(|_| Error::failed("the system gives no randomness"))?;
        Ok(Self(seed))
    }
}

/// Digests some columns of batches, which are found by name: one that a batch lacks is NULL, one of another
/// type is cast (a value that does not fit is NULL).
pub(super) struct Digests {
    fields: Vec<FieldRef>,
    rows: RowConverter,
    hasher: SipHasher13,
}

/// The digests of a batch.
pub(super) struct Digested {
    digests: Vec<u128>,
    /// Rows in which one of the columns is NULL are not valid here.
    nulls: Option<NullBuffer>,
}

impl Digests {
    /// Of these columns, as the types say; `None` for types that cannot be digested.
    pub(super) fn new(fields: Vec<FieldRef>, seed: &Seed) -> Result<Option<Self>> {
        let sorted: Vec<_> = fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        if !RowConverter::supports_fields(&sorted) {
            return Ok(None);
        }
        let rows = RowConverter::new(sorted).map_err(|_| broken())?;
        Ok(Some(Self { fields, rows, hasher: SipHasher13::new_with_key(&seed.0) }))
    }

    /// Names of the columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.name().clone()).collect()
    }

    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Digested> {
        let columns = self.fields.iter().map(|field| self.column(batch, field));
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let nulls = columns
            .iter()
            .fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()));
        let rows = self.rows.convert_columns(&columns).map_err(|_| broken())?;
        let digests = rows.iter().map(|row| self.hasher.hash(row.data()).as_u128()).collect();
        Ok(Digested { digests, nulls })
    }

    fn column(&self, batch: &RecordBatch, field: &FieldRef) -> Result<ArrayRef> {
        match batch.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()).map_err(|_| broken()),
        }
    }
}

impl Digested {
    /// Of all columns as they are.
    pub(super) fn whole(&self, index: usize) -> u128 {
        self.digests[index]
    }

    /// Of a key: `None` where one of its columns is NULL.
    pub(super) fn key(&self, index: usize) -> Option<u128> {
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(index));
        (!is_null).then(|| self.digests[index])
    }
}

fn broken() -> Error {
    Error::failed("rows cannot be compared: their columns are not of the planned types")
}
