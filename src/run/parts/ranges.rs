//! Parts of a table as ranges of one column, for loads that may hold several instants.

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::{
    DataType, Date32Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::Batches;
use crate::error::{Error, Result};
use crate::run::increment::rows::{Greatest, Range};
use crate::run::load::Load;
use crate::run::unless_cancelled;
use crate::source::{Bound, Literal, Relation, Snapshot};

/// Values that the bounds are chosen from at the most.
const SAMPLES: usize = 1 << 16;

/// The bounds between parts, ascending. They are kept with the parts: a load that goes on has the same.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub(super) struct Ranges {
    column: String,
    /// Where the column is in the rows as they are read.
    place: usize,
    bounds: Vec<Literal>,
}

impl Ranges {
    /// One relation more than there are bounds; the first has the rows without a value as well.
    pub(super) fn relations(&self, whole: &Relation) -> Vec<Relation> {
        let of = |from: Option<&Literal>, before: Option<&Literal>| {
            let one = |literal: Option<&Literal>| literal.map(|literal| vec![literal.clone()]);
            let bound = Bound {
                columns: vec![self.column.clone()],
                from: one(from),
                before: one(before),
                or_null: from.is_none(),
            };
            Relation { bound: Some(bound), ..whole.clone() }
        };
        let lows = std::iter::once(None).chain(self.bounds.iter().map(Some));
        let highs = self.bounds.iter().map(Some).chain(std::iter::once(None));
        lows.zip(highs).map(|(low, high)| of(low, high)).collect()
    }

    /// The rows of one of the relations.
    pub(super) fn narrow(&self, part: &Relation, rows: Batches) -> Batches {
        Range::of(vec![self.place], part.bound.as_ref()).narrow(rows, Greatest::default())
    }
}

/// Reads the column that the spec splits by, and chooses bounds between parts of about equal size.
///
/// # Errors
/// `Invalid` when there is no such column, or it has no order that all agree on; those of the source.
pub(super) async fn find(load: &Load<'_>, snapshot: &mut dyn Snapshot) -> Result<Ranges> {
    let plan = load.stream.plan;
    let name = plan.relation.split_by.clone().unwrap_or_default();
    let place = plan.reads.iter().position(|column| column.name == name);
    let place = place.ok_or_else(|| {
        Error::invalid(format!("`split_by` names column `{name}`, which the stream does not read"))
            .help("let `transform` select it, split by another column, or remove `resume`")
    })?;
    let column = &plan.reads[place];
    let rows =
        unless_cancelled(load.stream.job.cancel, snapshot.read(&plan.relation, std::slice::from_ref(column)));
    let mut rows = rows.await?;
    let mut sample = Sample::default();
    while let Some(batch) =
        unless_cancelled(load.stream.job.cancel, async { rows.next().await.transpose() }).await?
    {
        sample.take(batch.column(0), &name)?;
    }
    let bytes = plan.bytes.unwrap_or(0);
    let parts = bytes.div_ceil(plan.parquet.file_size_bytes).clamp(1, super::MOST_PARTS as u64);
    Ok(Ranges { column: name, place, bounds: sample.bounds(usize::try_from(parts).unwrap_or(1)) })
}

/// Every so many-th value of a column, ever fewer of them the longer it is.
struct Sample {
    values: Vec<Literal>,
    every: usize,
    seen: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self { values: Vec::new(), every: 1, seen: 0 }
    }
}

impl Sample {
    fn take(&mut self, column: &ArrayRef, name: &str) -> Result<()> {
        for row in 0..column.len() {
            self.seen += 1;
            if !self.seen.is_multiple_of(self.every) || column.is_null(row) {
                continue;
            }
            self.values.push(literal(column, row).ok_or_else(|| no_order(name))?);
            if self.values.len() == SAMPLES {
                let mut keep = false;
                self.values.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.every *= 2;
            }
        }
        Ok(())
    }

    /// At most one bound fewer than `parts`; equal values are never parted.
    fn bounds(mut self, parts: usize) -> Vec<Literal> {
        self.values.sort();
        let step = |part: usize| self.values.get(self.values.len() * part / parts).cloned();
        let mut bounds: Vec<Literal> = (1..parts).filter_map(step).collect();
        bounds.dedup();
        bounds
    }
}

fn no_order(name: &str) -> Error {
    Error::invalid(format!("`split_by` names column `{name}`, whose type has no ranges"))
        .help("name an integer, a date, a timestamp or a text, best the indexed key")
}

fn literal(column: &ArrayRef, row: usize) -> Option<Literal> {
    Some(match column.data_type() {
        DataType::Int16 => Literal::Integer(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Literal::Integer(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Literal::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Utf8 => Literal::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Date32 => Literal::Date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let value = column.as_primitive::<TimestampMicrosecondType>().value(row);
            if zone.is_some() { Literal::Instant(value) } else { Literal::Timestamp(value) }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn bounds_part_the_values_evenly_and_never_equal_ones() {
        let mut sample = Sample::default();
        for start in (0..1_000_000_i64).step_by(10_000) {
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + 10_000));
            sample.take(&values, "id").unwrap();
        }
        assert!(sample.values.len() < SAMPLES && sample.every > 1);
        let bounds = sample.bounds(4);
        for (bound, about) in bounds.iter().zip([250_000, 500_000, 750_000]) {
            let Literal::Integer(bound) = bound else { panic!("not an integer") };
            assert!((bound - about).abs() < 1_000, "{bound} is not about {about}");
        }
        let mut same = Sample::default();
        let values: ArrayRef = Arc::new(Int64Array::from(vec![7; 1000]));
        same.take(&values, "id").unwrap();
        assert_eq!(same.bounds(4).len(), 1);
    }
}
