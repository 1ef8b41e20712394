//! Files written again without some rows, or with what is newly known of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, TimestampMicrosecondType};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use parquet::arrow::ArrowSchemaConverter;

use super::Merge;
use super::matching::Touched;
use super::rows::Rows;
use crate::error::{Error, Result};
use crate::protect::Sealed;
use crate::protect::lifetime::{DELETED_AT, IS_CURRENT, VALID_TO};
use crate::publish::table::LiveFile;
use crate::publish::{Reading, Table, Written, write};

/// What becomes of the rows of one file.
#[derive(Debug, Default)]
pub(super) struct Edit {
    /// They are left out.
    gone: Rows,
    /// They are no longer current.
    ended: Rows,
    missing: Rows,
    back: Rows,
    /// When.
    at_us: i64,
}

impl Edit {
    /// Leaves rows out.
    pub(super) fn without(rows: Rows) -> Self {
        Self { gone: rows, ..Self::default() }
    }

    /// Of a published file.
    pub(super) fn of(touched: Touched, keeps_history: bool, at_us: i64) -> Self {
        let Touched { over, missing, back } = touched;
        let (gone, ended) = if keeps_history { (Rows::default(), over) } else { (over, Rows::default()) };
        Self { gone, ended, missing, back, at_us }
    }

    /// How many rows of a file stay.
    pub(super) fn left(&self, file: &LiveFile) -> Option<u64> {
        file.rows.map(|rows| rows.saturating_sub(self.gone.count()))
    }

    /// The rows of a batch that begins at row `first` of the file.
    fn apply(&self, batch: &RecordBatch, first: u32) -> Result<RecordBatch> {
        let broken =
            |_| Error::failed("published rows cannot be changed: they do not have the planned columns");
        let rows: Vec<u32> = (first..).take(batch.num_rows()).collect();
        let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
            match field.name().as_str() {
                VALID_TO if !self.ended.is_empty() => self.stamped(column, &rows, &self.ended),
                DELETED_AT if !self.missing.is_empty() || !self.back.is_empty() => {
                    self.stamped(column, &rows, &self.missing)
                }
                IS_CURRENT if !self.ended.is_empty() => {
                    let current = column.as_boolean().iter().zip(&rows);
                    let ended = |row: &u32| self.ended.contains(*row);
                    let current = current.map(|(is, row)| if ended(row) { Some(false) } else { is });
                    Arc::new(current.collect::<BooleanArray>())
                }
                _ => Arc::clone(column),
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &options);
        if self.gone.is_empty() {
            return batch.map_err(broken);
        }
        let kept: BooleanArray = rows.iter().map(|row| Some(!self.gone.contains(*row))).collect();
        filter_record_batch(&batch.map_err(broken)?, &kept).map_err(broken)
    }

    /// The column with the edit's instant in these rows, and nothing in those that are back.
    fn stamped(&self, column: &ArrayRef, rows: &[u32], stamped: &Rows) -> ArrayRef {
        let Some(instants) = column.as_primitive_opt::<TimestampMicrosecondType>() else {
            return Arc::clone(column);
        };
        let at = |(instant, row): (Option<i64>, &u32)| match *row {
            row if stamped.contains(row) => Some(self.at_us),
            row if self.back.contains(row) => None,
            _ => instant,
        };
        let values: TimestampMicrosecondArray = instants.iter().zip(rows).map(at).collect();
        Arc::new(values.with_timezone_opt(instants.timezone().map(Arc::<str>::from)))
    }
}

/// Writes some files of a table again, sealed as the stream's plan says. What is encrypted in any of them stays
/// encrypted, whatever the plan says: its values are read decrypted, and no other action is done to them.
///
/// # Errors
/// Those of [`Reading`], [`Sealed::again`] and [`write`]; then nothing is left behind.
pub(super) async fn again(merge: &Merge<'_>, table: &Table, edits: Vec<(LiveFile, Edit)>) -> Result<Written> {
    let edits: Vec<_> = edits.into_iter().filter(|(file, edit)| edit.left(file) != Some(0)).collect();
    if edits.is_empty() {
        return Ok(Written::default());
    }
    let dataset = merge.change.dataset;
    let columns: Vec<String> = table.schema.fields().iter().map(|field| field.name().clone()).collect();
    let reading =
        Reading::prepare(merge.store, merge.keyring, dataset, table, &columns, &table.files).await?;
    let encrypted = encrypted(merge, &reading, edits.iter().map(|(file, _)| file)).await?;
    let schema = reading.schema().clone();
    let rows = stream::iter(edits).then(move |(file, edit)| {
        let reading = reading.clone();
        async move {
            let mut first = 0_u32;
            let edited = move |batch: RecordBatch| {
                let rows = edit.apply(&batch, first);
                first = first.saturating_add(u32::try_from(batch.num_rows()).unwrap_or(u32::MAX));
                std::future::ready(rows)
            };
            Ok::<_, Error>(reading.rows(&file).await?.and_then(edited))
        }
    });
    let open = merge.change.open.iter().cloned().collect();
    let rows = rows.try_flatten().boxed();
    let sealed = Sealed::again(dataset, schema, &encrypted, open, rows, merge.keyring).await?;
    write(sealed, merge.store, merge.parquet, merge.change.partition_by, merge.encode_bytes).await
}

/// The leaves to encrypt: those of the plan, and those that are encrypted now.
async fn encrypted(
    merge: &Merge<'_>,
    reading: &Reading,
    files: impl Iterator<Item = &LiveFile>,
) -> Result<BTreeSet<String>> {
    let leaves = leaves(reading.schema())?;
    let mut encrypted: BTreeSet<String> = leaves.intersection(merge.encrypted).cloned().collect();
    for file in files {
        encrypted.extend(reading.encrypted(file).await?.into_iter().filter(|leaf| leaves.contains(leaf)));
    }
    Ok(encrypted)
}

fn leaves(schema: &Schema) -> Result<BTreeSet<String>> {
    let parquet = ArrowSchemaConverter::new().convert(schema);
    let parquet = parquet.map_err(|_| Error::failed("the table's columns cannot be written as Parquet"))?;
    Ok(parquet.columns().iter().map(|column| column.path().string()).collect())
}
