//! Splitting a batch by its partition values.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use arrow::row::{RowConverter, SortField};

use super::layout::Layout;
use crate::error::{Error, Result};

/// Partition values in the Delta text form, in `partition_by` order; `None` is NULL.
pub(super) type Values = Vec<Option<String>>;

/// The rows of a batch, by partition, without the partition columns. Row order is kept within one.
///
/// # Errors
/// `Data` when a value has no Delta text form.
pub(super) fn split(batch: &RecordBatch, layout: &Layout) -> Result<Vec<(Values, RecordBatch)>> {
    let broken = |_| Error::failed("a batch does not have the planned columns");
    let rows = batch.project(&layout.columns).map_err(broken)?;
    if layout.partition.is_empty() {
        return Ok(vec![(Values::new(), rows)]);
    }
    let keys = layout
        .partition
        .iter()
        .map(|&index| plain(batch.column(index)).map_err(broken))
        .collect::<Result<Vec<_>>>()?;
    group(&keys, batch.num_rows())
        .map_err(broken)?
        .into_iter()
        .map(|indices| {
            let first = indices.value(0) as usize;
            let values = keys
                .iter()
                .zip(&layout.partition_by)
                .map(|(key, name)| text(key, first, name))
                .collect::<Result<Values>>()?;
            Ok((values, take_record_batch(&rows, &indices).map_err(broken)?))
        })
        .collect()
}

/// The column as one of four types with a text form.
fn plain(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    let target = match column.data_type() {
        DataType::Dictionary(_, value) => return plain(&cast(column, value)?),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        other => other.clone(),
    };
    cast(column, &target)
}

/// Row indices of each distinct key, in the order of first appearance.
fn group(keys: &[ArrayRef], rows: usize) -> Result<Vec<UInt32Array>, arrow::error::ArrowError> {
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let converted = RowConverter::new(fields)?.convert_columns(keys)?;
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for index in 0..rows {
        let place = *places.entry(converted.row(index)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        // A batch of 2^32 rows cannot be had: the source bounds them, and arrays count in i32.
        groups[place].push(u32::try_from(index).unwrap_or(u32::MAX));
    }
    Ok(groups.into_iter().map(UInt32Array::from).collect())
}

/// A value's Delta text form.
fn text(column: &ArrayRef, row: usize, name: &str) -> Result<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let refused = |what: &str| {
        Error::data(format!("partition column `{name}` holds {what}"))
            .help("change it in the stream's SQL, or do not partition by this column")
    };
    let text = match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Date32 => column
            .as_primitive::<Date32Type>()
            .value_as_date(row)
            .filter(|date| (0..=9999).contains(&chrono::Datelike::year(date)))
            .ok_or_else(|| refused("a date outside the years 0 to 9999"))?
            .to_string(),
        _ => return Err(Error::failed("a partition column has no text form")),
    };
    if text.is_empty() {
        return Err(refused("an empty text, which Delta cannot tell from NULL"));
    }
    Ok(Some(text))
}
