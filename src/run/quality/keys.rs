//! Rows as short hashes of some of their columns, and a bounded set of them.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::row::{RowConverter, SortField};

use crate::error::{Error, Result};
use crate::publish::type_name;
use crate::run::exact;

/// Bytes that one more hash takes of a set, and of the set that it grows out of.
const BYTES_PER_KEY: u64 = 64;

/// Hashes of 128 bits, keyed at random: two different keys have the same one with a likelihood that does
/// not matter, whoever chose them.
#[derive(Clone, Debug)]
pub(super) struct Key {
    columns: Vec<usize>,
    names: Vec<String>,
    /// As which they are compared.
    types: Vec<DataType>,
    hashers: [RandomState; 2],
}

impl Key {
    /// The columns of a schema, compared as `types` where those are given.
    ///
    /// # Errors
    /// `Invalid` for a type that cannot be compared, or not as that.
    pub(super) fn new(rows: &Schema, columns: &[usize], types: Option<&[DataType]>) -> Result<Self> {
        let field = |index: &usize| rows.field(*index);
        let own: Vec<DataType> = columns.iter().map(|index| field(index).data_type().clone()).collect();
        let names = columns.iter().map(|index| field(index).name().clone()).collect();
        let hashers = [RandomState::new(), RandomState::new()];
        let key = Self { columns: columns.to_vec(), names, types: own, hashers };
        let key = match types {
            Some(types) => key.of_types(types)?,
            None => key,
        };
        key.converter()?;
        Ok(key)
    }

    /// The same columns compared as these types, which are those of the columns they are compared with.
    ///
    /// # Errors
    /// `Invalid` where a type cannot be compared with the other.
    pub(super) fn of_types(&self, types: &[DataType]) -> Result<Self> {
        for ((name, own), other) in self.names.iter().zip(&self.types).zip(types) {
            if !exact::is_alike(own, other) {
                return Err(Error::invalid(format!(
                    "column `{name}` of type {} cannot be compared with one of type {}",
                    type_name(own),
                    type_name(other)
                ))
                .help("cast it in `transform` to the type of the column that it points at"));
            }
        }
        Ok(Self { types: types.to_vec(), ..self.clone() })
    }

    /// The same hashes of rows that have these columns and no others.
    ///
    /// # Errors
    /// None in practice.
    pub(super) fn of_all(&self) -> Result<Hashing> {
        Self { columns: (0..self.types.len()).collect(), ..self.clone() }.hashing()
    }

    /// Ready for rows.
    ///
    /// # Errors
    /// `Invalid` for a type that cannot be compared.
    pub(super) fn hashing(&self) -> Result<Hashing> {
        Ok(Hashing { converter: self.converter()?, key: self.clone() })
    }

    fn converter(&self) -> Result<RowConverter> {
        let fields = self.types.iter().cloned().map(SortField::new).collect();
        RowConverter::new(fields).map_err(|_| {
            Error::invalid(format!(
                "column `{}` is of a type that cannot be compared",
                self.names.join("`, `")
            ))
            .help("name plain columns, or cast them in `transform`")
        })
    }
}

/// A key that is taken of batches.
pub(super) struct Hashing {
    key: Key,
    converter: RowConverter,
}

impl Hashing {
    /// The hash of each row; `None` for one with a NULL among its key columns. A value that the type in which
    /// it is compared does not hold exactly equals none of that type.
    ///
    /// # Errors
    /// `Failed` for rows that are not as planned.
    pub(super) fn hashes(&self, rows: &RecordBatch) -> Result<Vec<Option<u128>>> {
        let Key { columns, types, hashers: [first, second], .. } = &self.key;
        let failed = |_| Error::failed("the rows do not have the planned columns");
        let own: Vec<&ArrayRef> = columns.iter().filter_map(|index| rows.columns().get(*index)).collect();
        let mut compared: Vec<ArrayRef> = Vec::with_capacity(own.len());
        let mut told: Vec<BooleanArray> = Vec::new();
        for (column, to) in own.iter().zip(types) {
            if column.data_type() == to {
                compared.push(Arc::clone(column));
                continue;
            }
            let (there, is_exact) = exact::cast(column, to).map_err(failed)?;
            compared.push(there);
            told.push(is_exact);
        }
        let converted = self.converter.convert_columns(&compared).map_err(failed)?;
        let hash = |(row, bytes): (usize, arrow::row::Row<'_>)| {
            let has_null = own.iter().any(|column| column.is_null(row));
            let is_exact = told.iter().all(|is_exact| is_exact.value(row));
            let wide = |hasher: &RandomState| u128::from(hasher.hash_one((is_exact, bytes.as_ref())));
            (!has_null).then(|| (wide(first) << 64) | wide(second))
        };
        Ok(converted.iter().enumerate().map(hash).collect())
    }
}

/// Hashes that were seen, in bounded memory.
#[derive(Debug)]
pub(super) struct Seen {
    hashes: HashSet<u128>,
    most: usize,
}

impl Seen {
    /// None yet, in so many bytes at the most.
    pub(super) fn bounded(bytes: u64) -> Self {
        Self { hashes: HashSet::new(), most: usize::try_from(bytes / BYTES_PER_KEY).unwrap_or(usize::MAX) }
    }

    pub(super) fn contains(&self, hash: u128) -> bool {
        self.hashes.contains(&hash)
    }

    /// Whether it is the first of its kind.
    ///
    /// # Errors
    /// `Failed` where it would be more than there is memory for.
    pub(super) fn insert(&mut self, hash: u128) -> Result<bool> {
        let is_new = self.hashes.insert(hash);
        if self.hashes.len() > self.most {
            return Err(Error::failed(format!("there are more than {} keys to compare", self.most)).help(
                "raise `memory_limit_mb` (a key takes 64 bytes, of three sixteenths of it), or let the source check it",
            ));
        }
        Ok(is_new)
    }
}
