//! Rows that are alike in several columns are brought together, so that statistics tell readers what they
//! need not read.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, concat_batches, rank, take_record_batch};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::Batches;
use crate::error::{Error, Result};
use crate::publish::Table;

/// Most columns; each has 32 bits of the key that rows are sorted by.
const MOST_COLUMNS: usize = 4;
/// Bits of a column in the key.
const BITS: u32 = 32;
/// Rows of a batch that comes out.
const BATCH_ROWS: usize = 8_192;

/// Whether rows can be clustered by these columns.
///
/// # Errors
/// `Invalid` for too many columns, one that is not there, or one of a type without order or a folder;
/// `Held` for a protected one: the statistics that clustering is for would give its values away.
pub(super) fn check(table: &Table, columns: &[String]) -> Result<()> {
    if columns.len() > MOST_COLUMNS {
        return Err(Error::invalid(format!("rows are clustered by {MOST_COLUMNS} columns at the most")));
    }
    for name in columns {
        let Ok(field) = table.schema.field_with_name(name) else {
            let names: Vec<&str> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
            return Err(Error::invalid(format!("there is no column `{name}` to cluster by"))
                .help(format!("the columns are {}", names.join(", "))));
        };
        if table.partition_by.contains(name) || field.data_type().is_nested() {
            return Err(Error::invalid(format!("rows cannot be clustered by `{name}`"))
                .help("choose columns of plain types that are no folders"));
        }
        if !table.open.contains(name) {
            return Err(Error::held(format!("rows cannot be clustered by `{name}`, which is protected"))
                .help("clustering helps by statistics, and those are kept of open columns only"));
        }
    }
    Ok(())
}

/// The rows, sorted within stretches of about `sort_bytes` by the interleaved bits of their ranks in each
/// column: a Morton curve. Three times as much is held at the most.
pub(super) fn sorted(rows: Batches, columns: Vec<String>, sort_bytes: u64) -> Batches {
    let most = usize::try_from(sort_bytes).unwrap_or(usize::MAX);
    let stretches = stream::try_unfold(rows, move |mut rows| async move {
        let (mut stretch, mut bytes) = (Vec::new(), 0);
        while bytes < most
            && let Some(batch) = rows.try_next().await?
        {
            bytes += batch.get_array_memory_size();
            stretch.push(batch);
        }
        Ok::<_, Error>((!stretch.is_empty()).then_some((stretch, rows)))
    });
    let columns = Arc::new(columns);
    let sorted = stretches.map(move |stretch| {
        let batch = sort(&stretch?, &columns)?;
        let starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
        let slices: Vec<Result<RecordBatch>> =
            starts.map(|start| Ok(batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)))).collect();
        Ok::<_, Error>(stream::iter(slices))
    });
    sorted.try_flatten().boxed()
}

fn sort(stretch: &[RecordBatch], columns: &[String]) -> Result<RecordBatch> {
    let broken = |_| Error::failed("rows cannot be brought into the order to cluster by");
    let Some(first) = stretch.first() else { return Err(Error::failed("there are no rows to cluster")) };
    let all = concat_batches(first.schema_ref(), stretch).map_err(broken)?;
    let ranks: Vec<Vec<u32>> = columns
        .iter()
        .filter_map(|name| all.column_by_name(name))
        .map(|column| spread(column).map_err(broken))
        .collect::<Result<_>>()?;
    let mut keys: Vec<(u128, u32)> =
        (0_u32..).take(all.num_rows()).map(|row| (interleaved(&ranks, row as usize), row)).collect();
    keys.sort_unstable();
    let order: UInt32Array = keys.into_iter().map(|(_, row)| Some(row)).collect();
    take_record_batch(&all, &order).map_err(broken)
}

/// The rank of each value, spread over 32 bits so that columns of few and of many values weigh alike.
fn spread(column: &ArrayRef) -> Result<Vec<u32>, arrow::error::ArrowError> {
    let ranks = rank(column, Some(SortOptions::default()))?;
    let most = u64::from(ranks.iter().copied().max().unwrap_or(1).max(1));
    let spread = |rank: u32| u64::from(rank) * u64::from(u32::MAX) / most;
    Ok(ranks.into_iter().map(|rank| u32::try_from(spread(rank)).unwrap_or(u32::MAX)).collect())
}

/// The bits of one row's ranks, the highest of each column first.
fn interleaved(ranks: &[Vec<u32>], row: usize) -> u128 {
    let mut key = 0;
    for bit in (0..BITS).rev() {
        for ranks in ranks {
            let rank = ranks.get(row).copied().unwrap_or_default();
            key = key << 1 | u128::from(rank >> bit & 1);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray as _, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    /// The widest range of a column in any eighth of the rows, of 64.
    fn widest(batch: &RecordBatch, column: usize) -> i64 {
        let values = batch.column(column).as_primitive::<Int64Type>().values();
        let range = |part: &[i64]| part.iter().max().unwrap() - part.iter().min().unwrap();
        values.chunks(values.len() / 8).map(range).max().unwrap()
    }

    #[tokio::test]
    async fn rows_that_are_alike_in_both_columns_come_together() {
        let grid = |axis: fn(i64) -> i64| -> ArrayRef {
            // Every cell of 64 by 64, far from any order.
            Arc::new(Int64Array::from_iter_values((0..4096).map(|row| axis(row * 1_597 % 4096))))
        };
        let batch =
            RecordBatch::try_from_iter([("x", grid(|cell| cell % 64)), ("y", grid(|cell| cell / 64))]);
        let batch = batch.unwrap();
        assert!(widest(&batch, 0) == 63 && widest(&batch, 1) == 63);
        let rows = stream::iter([Ok(batch.slice(0, 1000)), Ok(batch.slice(1000, 3096))]).boxed();
        let columns = vec!["x".to_owned(), "y".to_owned()];
        let out: Vec<_> = sorted(rows, columns, u64::MAX).try_collect().await.unwrap();
        let out = concat_batches(batch.schema_ref(), &out).unwrap();
        assert_eq!(out.num_rows(), 4096);
        assert!(widest(&out, 0) <= 31 && widest(&out, 1) <= 31, "{} {}", widest(&out, 0), widest(&out, 1));
        let sum =
            |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
        assert_eq!(sum(&out), sum(&batch));
    }
}
