//! Rows that are published already, told by their keys.
//!
//! A row is known by its primary key, and by its cursor too where that is published unchanged: then a row that
//! changed since is a newer version of it and is added, and only rows of the range that is read have to be
//! looked at. Both sides are compared as they are published, so a token equals its token.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use futures::TryStreamExt as _;

use super::super::Engine;
use super::rows::Range;
use crate::error::{Error, Result};
use crate::publish::{Reading, Store, Table};
use crate::spec::DatasetName;

/// What a key takes, at the moment when its set grows to twice its size.
const KEY_BYTES: u64 = 64;

/// The keys of published rows: 128 bits of each, mixed with keys of this process.
pub(in crate::run) struct Known {
    columns: Vec<String>,
    schema: SchemaRef,
    converter: RowConverter,
    hashers: [RandomState; 2],
    keys: HashSet<u128>,
}

impl Known {
    /// The keys of a dataset's published rows: their values of `columns`. With a `range`, whose places count
    /// in `columns`, only of its rows. `None` where there are none, or the columns are of types that cannot be
    /// compared.
    ///
    /// # Errors
    /// `Failed` for more keys than `most_bytes` hold; those of [`Reading`].
    pub(super) async fn load(
        engine: &Engine,
        store: &Store,
        dataset: &DatasetName,
        columns: Vec<String>,
        range: Option<Range>,
        most_bytes: u64,
    ) -> Result<Option<Self>> {
        let Some(table) = Table::load(store, dataset, None).await? else { return Ok(None) };
        // The commit tells what differs.
        if columns.iter().any(|name| table.schema.field_with_name(name).is_err()) {
            return Ok(None);
        }
        let reading =
            Reading::prepare(store, &engine.keyring, dataset, &table, &columns, &table.files).await?;
        let Some(mut known) = Self::new(columns, reading.schema())? else { return Ok(None) };
        let most = most_bytes / KEY_BYTES;
        for file in &table.files {
            let mut rows = reading.rows(file).await?;
            while let Some(mut batch) = rows.try_next().await? {
                if let Some(range) = &range {
                    let mask = range.mask(&batch)?;
                    batch = filter_record_batch(&batch, &mask).map_err(|_| unfit())?;
                }
                let hashes = known.hashes(batch.columns())?;
                known.keys.extend(hashes);
                if known.keys.len() as u64 > most {
                    return Err(too_many(most));
                }
            }
        }
        Ok((!known.keys.is_empty()).then_some(known))
    }

    fn new(columns: Vec<String>, schema: &SchemaRef) -> Result<Option<Self>> {
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        if !RowConverter::supports_fields(&fields) {
            return Ok(None);
        }
        let converter = RowConverter::new(fields).map_err(|_| unfit())?;
        let hashers = [RandomState::new(), RandomState::new()];
        let schema = Arc::clone(schema);
        Ok(Some(Self { columns, schema, converter, hashers, keys: HashSet::new() }))
    }

    /// Which rows of a sealed batch are not known.
    ///
    /// # Errors
    /// `Failed` when the rows do not have the key's columns as the table has them.
    pub(in crate::run) fn fresh(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let columns = self.columns.iter().zip(self.schema.fields()).map(|(name, field)| {
            let column = batch.column_by_name(name).ok_or_else(unfit)?;
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(column, field.data_type(), &options).map_err(|_| unfit())
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let hashes = self.hashes(&columns)?;
        Ok(hashes.iter().map(|hash| Some(!self.keys.contains(hash))).collect())
    }

    fn hashes(&self, columns: &[ArrayRef]) -> Result<Vec<u128>> {
        let rows = self.converter.convert_columns(columns).map_err(|_| unfit())?;
        let [high, low] = &self.hashers;
        let hash = |row: arrow::row::Row<'_>| {
            u128::from(high.hash_one(row.as_ref())) << 64 | u128::from(low.hash_one(row.as_ref()))
        };
        Ok(rows.iter().map(hash).collect())
    }
}

#[cold]
fn unfit() -> Error {
    Error::failed("the primary key's columns are not as the table has them")
        .help("mend the stream's SQL, or read everything again with `--full-refresh`")
}

#[cold]
fn too_many(most: u64) -> Error {
    Error::failed(format!("more than {most} published rows would have to be told from those that are read"))
        .help(
            "raise `memory_limit_mb`; publish the cursor's column unchanged, so that only the rows of the range \
             that is read are looked at; or shorten `lookback`",
        )
}

/// No key is shown, not even its hash.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("columns", &self.columns).field("keys", &self.keys.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn a_row_is_known_by_all_of_its_key_and_null_is_a_value() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("part", DataType::Utf8, true),
        ]));
        let mut known = Known::new(vec!["id".to_owned(), "part".to_owned()], &schema).unwrap().unwrap();
        let there: [ArrayRef; 2] = [
            Arc::new(Int64Array::from(vec![Some(1), Some(2), None])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("")])),
        ];
        let hashes = known.hashes(&there).unwrap();
        known.keys.extend(hashes);
        // As they come: other columns beside them, in another order, and a narrower type.
        let ids = Int32Array::from(vec![Some(1), Some(1), Some(2), None, None]);
        let parts = StringArray::from(vec![Some("a"), Some("b"), None, Some(""), None]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("part", Arc::new(parts) as ArrayRef, true),
            ("other", Arc::new(StringArray::from(vec!["x"; 5])), false),
            ("id", Arc::new(ids), true),
        ])
        .unwrap();
        let fresh: Vec<bool> = known.fresh(&batch).unwrap().iter().flatten().collect();
        assert_eq!(fresh, [false, true, false, false, true]);
        assert!(known.fresh(&batch.project(&[0]).unwrap()).is_err());
    }
}
