//! Rows made to fit the published types, without those that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, and, can_cast_types, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt as _;

use crate::Batches;
use crate::error::{Error, Result};

/// How the columns of an output become those of the published types.
#[derive(Clone, Debug)]
pub struct Fit {
    planned: SchemaRef,
    output: SchemaRef,
}

impl Fit {
    /// Plans the casts; `None` where none is needed. One that does not exist is not planned: its column
    /// stays as it is, and breaks the contract.
    pub(super) fn plan(planned: &SchemaRef, targets: Vec<Option<DataType>>) -> Option<Self> {
        let field = |(field, target): (&Arc<Field>, Option<DataType>)| match target {
            Some(target)
                if can_cast_types(field.data_type(), &target)
                    && can_cast_types(&target, field.data_type()) =>
            {
                Field::new(field.name(), target, true)
            }
            _ => field.as_ref().clone(),
        };
        let output: Vec<Field> = planned.fields().iter().zip(targets).map(field).collect();
        let output = Arc::new(Schema::new(output));
        (output != *planned).then(|| Self { planned: Arc::clone(planned), output })
    }

    /// The schema that comes out.
    #[must_use]
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// The type of a column before it is made to fit; `None` for one that stays.
    #[must_use]
    pub fn planned(&self, column: &str) -> Option<&DataType> {
        let (planned, output) =
            (self.planned.field_with_name(column).ok()?, self.output.field_with_name(column).ok()?);
        (planned.data_type() != output.data_type()).then(|| planned.data_type())
    }

    /// The names of the columns that are made to fit.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let names = self.planned.fields().iter().map(|field| field.name().as_str());
        names.filter(|name| self.planned(name).is_some()).collect()
    }

    /// The rows whose values all are exactly values of the published types. The others are left out, and
    /// counted in `left_out`.
    ///
    /// # Errors
    /// `Failed`, as an item, for rows that are not as planned.
    pub(in crate::run) fn apply(&self, rows: Batches, left_out: Arc<AtomicU64>) -> Batches {
        let fit = self.clone();
        rows.map(move |batch| {
            let batch = batch?;
            let fitted = fit.fit(&batch)?;
            left_out.fetch_add((batch.num_rows() - fitted.num_rows()) as u64, Ordering::Relaxed);
            Ok(fitted)
        })
        .boxed()
    }

    fn fit(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        // Arrow's own words may quote a value.
        let failed = |_| Error::failed("rows cannot be made to fit the published types");
        let mut fits: Option<BooleanArray> = None;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
        for (column, field) in batch.columns().iter().zip(self.output.fields()) {
            if column.data_type() == field.data_type() {
                columns.push(Arc::clone(column));
                continue;
            }
            let options = CastOptions { safe: true, ..CastOptions::default() };
            let cast = cast_with_options(column, field.data_type(), &options).map_err(failed)?;
            // What reads back to the same value has lost nothing.
            let back = cast_with_options(&cast, column.data_type(), &options).map_err(failed)?;
            let same = not_distinct(&back, column).map_err(failed)?;
            fits = Some(match fits {
                Some(fits) => and(&fits, &same).map_err(failed)?,
                None => same,
            });
            columns.push(cast);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let fitted =
            RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options).map_err(failed)?;
        match fits {
            Some(fits) if fits.true_count() < fits.len() => {
                filter_record_batch(&fitted, &fits).map_err(failed)
            }
            _ => Ok(fitted),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_row_with_a_value_that_is_not_exactly_of_the_published_type_is_left_out() {
        let columns: [(&str, ArrayRef); 3] = [
            ("n", Arc::new(Int64Array::from(vec![Some(1), Some(5_000_000_000), None, Some(4), Some(5)]))),
            ("f", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.5, 5.0]))),
            ("t", Arc::new(StringArray::from(vec!["1", "2", "3", "4", "05"]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let targets = [DataType::Int32, DataType::Int64, DataType::Int16].map(Some).to_vec();
        let fit = Fit::plan(&batch.schema(), targets).unwrap();
        assert_eq!(fit.columns(), ["n", "f", "t"]);
        let left_out = Arc::new(AtomicU64::new(0));
        let rows = futures::stream::iter([Ok(batch.clone())]).boxed();
        let fitted: Vec<RecordBatch> = fit.apply(rows, Arc::clone(&left_out)).try_collect().await.unwrap();
        assert_eq!((fitted[0].num_rows(), left_out.load(Ordering::Relaxed)), (2, 3));
        assert_eq!(fitted[0].schema(), *fit.output());
        assert_eq!(fitted[0].column(1).as_ref(), &Int64Array::from(vec![1, 3]));
        assert!(Fit::plan(&batch.schema(), vec![None, None, None]).is_none());
    }
}
