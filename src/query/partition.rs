//! Columns that live in folder names: their values, and the files that filters on them leave.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::Expr;

use super::dataset::nullable;
use super::fault;
use crate::error::{Error, Result};
use crate::publish::Table;
use crate::publish::table::LiveFile;
use crate::spec::DatasetName;

/// The table's partition columns, in the log's order.
pub(super) fn fields(dataset: &DatasetName, table: &Table) -> Result<Vec<FieldRef>> {
    let field = |name: &String| {
        table.schema.field_with_name(name).map(nullable).map_err(|_| {
            Error::failed(format!("the log of {dataset} names a partition column `{name}` that it lacks"))
        })
    };
    table.partition_by.iter().map(field).collect()
}

/// The partition values of a file, in the order of [`fields`].
pub(super) fn values(dataset: &DatasetName, table: &Table, file: &LiveFile) -> Result<Vec<ScalarValue>> {
    let value = |field: FieldRef| {
        let text = file.partition.iter().find(|(name, _)| name == field.name());
        let value = match text.and_then(|(_, text)| text.as_ref()) {
            Some(text) => ScalarValue::try_from_string(text.clone(), field.data_type()),
            None => ScalarValue::try_from(field.data_type()),
        };
        value.map_err(|_| {
            let name = field.name();
            Error::failed(format!("the log of {dataset} holds a value of `{name}` that is not of its type"))
        })
    };
    fields(dataset, table)?.into_iter().map(value).collect()
}

/// The files that remain once filters on partition columns alone are applied.
pub(super) fn prune(
    dataset: &DatasetName,
    table: &Table,
    state: &dyn Session,
    filters: &[Expr],
) -> DfResult<Vec<LiveFile>> {
    let is_partition = |filter: &&Expr| {
        let columns = filter.column_refs();
        !columns.is_empty()
            && !filter.is_volatile()
            && columns.iter().all(|column| table.partition_by.contains(&column.name))
    };
    let filters: Vec<&Expr> = filters.iter().filter(is_partition).collect();
    if filters.is_empty() || table.files.is_empty() {
        return Ok(table.files.clone());
    }
    let batch = folders(dataset, table)?;
    let schema = DFSchema::try_from(batch.schema())?;
    let mut keep = vec![true; table.files.len()];
    for filter in filters {
        let passes = state.create_physical_expr(filter.clone(), &schema)?.evaluate(&batch)?;
        let passes = passes.into_array(batch.num_rows())?;
        let Some(passes) = passes.as_boolean_opt() else { continue };
        for (index, keep) in keep.iter_mut().enumerate() {
            *keep &= passes.is_valid(index) && passes.value(index);
        }
    }
    let kept = table.files.iter().zip(keep).filter(|(_, keep)| *keep);
    Ok(kept.map(|(file, _)| file.clone()).collect())
}

/// One row per file, one column per partition column.
fn folders(dataset: &DatasetName, table: &Table) -> DfResult<RecordBatch> {
    let fields = fields(dataset, table).map_err(fault::carry)?;
    let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(table.files.len()); fields.len()];
    for file in &table.files {
        let values = values(dataset, table, file).map_err(fault::carry)?;
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    let arrays: Vec<_> = columns.into_iter().map(ScalarValue::iter_to_array).collect::<DfResult<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(table.files.len()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}
