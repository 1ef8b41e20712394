//! Rows that bring only the columns a query looks at, made as wide as the source it was planned over.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::StreamExt;

use crate::Batches;
use crate::error::{Error, Result};

/// The same columns, every one of them nullable.
pub(super) fn nullable(schema: &Schema) -> SchemaRef {
    let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>()))
}

/// Batches of the columns at `reads`, with NULLs in place of the others.
pub(super) fn batches(rows: Batches, schema: SchemaRef, reads: &[usize]) -> Batches {
    if reads.len() == schema.fields().len() {
        return rows
            .map(move |batch| widen(&batch?, &schema, |batch, index| Some(batch.column(index).clone())))
            .boxed();
    }
    let mut slots = vec![None; schema.fields().len()];
    for (position, &index) in reads.iter().enumerate() {
        if let Some(slot) = slots.get_mut(index) {
            *slot = Some(position);
        }
    }
    let place = move |batch: &RecordBatch, index: usize| {
        let position = slots.get(index).copied().flatten()?;
        batch.columns().get(position).cloned()
    };
    rows.map(move |batch| widen(&batch?, &schema, &place)).boxed()
}

fn widen(
    batch: &RecordBatch,
    schema: &SchemaRef,
    place: impl Fn(&RecordBatch, usize) -> Option<ArrayRef>,
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |(index, field): (usize, &Arc<Field>)| {
        place(batch, index).unwrap_or_else(|| new_null_array(field.data_type(), rows))
    };
    let columns = schema.fields().iter().enumerate().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|_| Error::failed("the source's rows do not have the planned columns"))
}
