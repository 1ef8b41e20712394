//! Rows made to fit the published types, without those that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt as _;

use crate::Batches;
use crate::error::{Error, Result};
use crate::run::exact;

/// How the columns of an output become those of the published types.
#[derive(Clone, Debug)]
pub struct Fit {
    planned: SchemaRef,
    output: SchemaRef,
}

impl Fit {
    /// Plans the casts; `None` where none is needed. One that would not keep what values mean is not planned:
    /// its column stays as it is, and breaks the contract.
    pub(super) fn plan(planned: &SchemaRef, targets: Vec<Option<DataType>>) -> Option<Self> {
        let field = |(field, target): (&Arc<Field>, Option<DataType>)| match target {
            Some(target)
                if exact::is_alike(field.data_type(), &target)
                    || exact::is_spelt(field.data_type(), &target) =>
            {
                Field::new(field.name(), target, true)
            }
            _ => field.as_ref().clone(),
        };
        let output: Vec<Field> = planned.fields().iter().zip(targets).map(field).collect();
        let output = Arc::new(Schema::new(output));
        (output != *planned).then(|| Self { planned: Arc::clone(planned), output })
    }

    /// The same for rows that have some of the columns; `None` where none of those is made to fit.
    pub(in crate::run) fn of(&self, rows: &SchemaRef) -> Option<Self> {
        let target = |field: &Arc<Field>| {
            let is_same = self.planned(field.name()).is_some_and(|planned| planned == field.data_type());
            let fitted = self.output.field_with_name(field.name()).ok().filter(|_| is_same)?;
            Some(fitted.data_type().clone())
        };
        Self::plan(rows, rows.fields().iter().map(target).collect())
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
            let (fitted, is_exact) = exact::cast(column, field.data_type()).map_err(failed)?;
            fits = Some(match fits {
                Some(fits) => and(&fits, &is_exact).map_err(failed)?,
                None => is_exact,
            });
            columns.push(fitted);
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
    use arrow::datatypes::TimeUnit;
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

    #[test]
    fn a_number_is_not_made_an_instant() {
        let epoch: ArrayRef = Arc::new(Int64Array::from(vec![1_700_000_000]));
        let rows = RecordBatch::try_from_iter([("at", epoch)]).unwrap().schema();
        for zone in [None, Some("UTC".into())] {
            let target = DataType::Timestamp(TimeUnit::Microsecond, zone);
            assert!(Fit::plan(&rows, vec![Some(target)]).is_none());
        }
    }

    #[test]
    fn rows_with_some_of_the_columns_are_made_to_fit_alike() {
        let rows = |names: &[&str]| -> SchemaRef {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        };
        let fit = Fit::plan(&rows(&["a", "id"]), vec![None, Some(DataType::Int32)]).unwrap();
        let keys = fit.of(&rows(&["id"])).unwrap();
        assert_eq!((keys.columns(), keys.output().field(0).data_type()), (vec!["id"], &DataType::Int32));
        assert!(fit.of(&rows(&["a"])).is_none());
    }
}
