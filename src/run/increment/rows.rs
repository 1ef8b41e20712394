//! Exactly the rows of a range, and how far they reach.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Datum, Decimal128Array, Int64Array, RecordBatch,
    Scalar, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::kernels::cmp;
use arrow::compute::{
    and_kleene, cast, filter, filter_record_batch, is_not_null, is_null, max, max_string, or_kleene,
};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use futures::StreamExt as _;

use crate::Batches;
use crate::error::{Error, Result};
use crate::source::{Bound, Literal};

/// The greatest cursor that was seen, filled while rows pass.
pub(in crate::run) type Greatest = Arc<Mutex<Option<Vec<Literal>>>>;

/// The latest value of the cursor's first column that can be of now. A row stamped later moves the cursor no
/// further, so that it does not hide those that come before its time.
#[derive(Clone, Debug)]
pub(super) struct Horizon {
    pub(super) latest: Literal,
    /// Whether a row lay behind it.
    pub(super) is_passed: Arc<AtomicBool>,
}

/// A range of cursor values, compared here: a source may give more rows.
#[derive(Clone, Debug)]
pub(in crate::run) struct Range {
    /// Where the cursor's columns are in the rows, most significant first.
    pub(super) places: Vec<usize>,
    pub(super) from: Option<Vec<Literal>>,
    pub(super) before: Option<Vec<Literal>>,
    pub(super) or_null: bool,
}

impl Range {
    /// The range that was asked of the source; everything without a bound.
    pub(in crate::run) fn of(places: Vec<usize>, bound: Option<&Bound>) -> Self {
        let (from, before) = bound.map_or((None, None), |b| (b.from.clone(), b.before.clone()));
        Self { places, from, before, or_null: bound.is_none_or(|bound| bound.or_null) }
    }

    /// The rows of the range; `greatest` is left with the greatest cursor among those without a NULL in it.
    pub(in crate::run) fn narrow(self, rows: Batches, greatest: Greatest) -> Batches {
        self.narrow_within(rows, greatest, None)
    }

    /// The same, with the greatest cursor of those rows that are not behind the `horizon`.
    pub(super) fn narrow_within(
        self,
        rows: Batches,
        greatest: Greatest,
        horizon: Option<Horizon>,
    ) -> Batches {
        let narrowed = rows.map(move |batch| {
            let batch = batch?;
            let (kept, seen) = self.apply(&batch, horizon.as_ref()).map_err(|_| unfit())?;
            let mut greatest = greatest.lock().unwrap_or_else(PoisonError::into_inner);
            if seen > *greatest {
                *greatest = seen;
            }
            Ok(kept)
        });
        narrowed
            .filter(|batch| std::future::ready(!matches!(batch, Ok(batch) if batch.num_rows() == 0)))
            .boxed()
    }

    /// Which rows are in the range: true or false, never NULL.
    pub(super) fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let compute = || self.within(&self.columns(batch)?);
        compute().map_err(|_| unfit())
    }

    fn apply(
        &self,
        batch: &RecordBatch,
        horizon: Option<&Horizon>,
    ) -> Result<(RecordBatch, Option<Vec<Literal>>), ArrowError> {
        let columns = self.columns(batch)?;
        if self.from.is_none() && self.before.is_none() && self.or_null {
            return Ok((batch.clone(), greatest(come(columns, horizon)?)?));
        }
        let mask = self.within(&columns)?;
        let kept = columns.iter().map(|column| filter(column, &mask)).collect::<Result<_, _>>()?;
        Ok((filter_record_batch(batch, &mask)?, greatest(come(kept, horizon)?)?))
    }

    fn within(&self, columns: &[ArrayRef]) -> Result<BooleanArray, ArrowError> {
        let mut mask = complete(columns)?;
        if let Some(from) = &self.from {
            mask = and_kleene(
                &mask,
                &lexicographic(columns, from, |a, b| cmp::gt(a, b), |a, b| cmp::gt_eq(a, b))?,
            )?;
        }
        if let Some(before) = &self.before {
            mask = and_kleene(
                &mask,
                &lexicographic(columns, before, |a, b| cmp::lt(a, b), |a, b| cmp::lt(a, b))?,
            )?;
        }
        if self.or_null {
            for column in columns {
                mask = or_kleene(&mask, &is_null(column)?)?;
            }
        }
        Ok(mask)
    }

    /// The cursor's columns, integers of any width as one.
    fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
        let column = |place: &usize| match batch.columns().get(*place) {
            Some(column) if column.data_type().is_integer() => cast(column, &DataType::Int64),
            Some(column) => Ok(Arc::clone(column)),
            None => Err(ArrowError::SchemaError(String::new())),
        };
        self.places.iter().map(column).collect()
    }
}

/// Rows without a NULL in any of the columns.
fn complete(columns: &[ArrayRef]) -> Result<BooleanArray, ArrowError> {
    let rows = columns.first().map_or(0, Array::len);
    let mut mask = BooleanArray::from(vec![true; rows]);
    for column in columns.iter().filter(|column| column.null_count() > 0) {
        mask = and_kleene(&mask, &is_not_null(column)?)?;
    }
    Ok(mask)
}

type Compare = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, ArrowError>;

/// `a past x OR (a = x AND b last y)`, of as many columns as there are values.
fn lexicographic(
    columns: &[ArrayRef],
    values: &[Literal],
    past: Compare,
    last: Compare,
) -> Result<BooleanArray, ArrowError> {
    let mut mask: Option<BooleanArray> = None;
    for (column, value) in columns.iter().zip(values).rev() {
        let value = scalar(value, column.data_type())?;
        mask = Some(match mask {
            None => last(column, &value)?,
            Some(rest) => or_kleene(&past(column, &value)?, &and_kleene(&cmp::eq(column, &value)?, &rest)?)?,
        });
    }
    mask.ok_or_else(|| ArrowError::ComputeError(String::new()))
}

/// The value to compare a column of this type with.
fn scalar(value: &Literal, data_type: &DataType) -> Result<Scalar<ArrayRef>, ArrowError> {
    let array: ArrayRef = match (value, data_type) {
        (Literal::Integer(value), DataType::Int64) => Arc::new(Int64Array::from(vec![*value])),
        (Literal::Decimal(value, scale), DataType::Decimal128(precision, of)) if scale == of => {
            Arc::new(Decimal128Array::from(vec![*value]).with_precision_and_scale(*precision, *scale)?)
        }
        (Literal::Text(text), DataType::Utf8) => Arc::new(StringArray::from(vec![text.as_str()])),
        (Literal::Date(days), DataType::Date32) => Arc::new(Date32Array::from(vec![*days])),
        (Literal::Timestamp(micros) | Literal::Instant(micros), DataType::Timestamp(_, zone)) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*micros]).with_timezone_opt(zone.clone()))
        }
        _ => return Err(ArrowError::SchemaError(String::new())),
    };
    Ok(Scalar::new(array))
}

/// The rows that are not behind the horizon.
fn come(columns: Vec<ArrayRef>, horizon: Option<&Horizon>) -> Result<Vec<ArrayRef>, ArrowError> {
    let (Some(horizon), Some(first)) = (horizon, columns.first()) else { return Ok(columns) };
    let has_come = cmp::lt_eq(first, &scalar(&horizon.latest, first.data_type())?)?;
    if has_come.false_count() == 0 {
        return Ok(columns);
    }
    horizon.is_passed.store(true, Ordering::Relaxed);
    columns.iter().map(|column| filter(column, &has_come)).collect()
}

/// The greatest cursor; `None` where each row has a NULL in it.
fn greatest(columns: Vec<ArrayRef>) -> Result<Option<Vec<Literal>>, ArrowError> {
    let keep = |columns: &[ArrayRef], mask: &BooleanArray| -> Result<Vec<ArrayRef>, ArrowError> {
        columns.iter().map(|column| filter(column, mask)).collect()
    };
    let mut columns = match columns.iter().any(|column| column.null_count() > 0) {
        true => keep(&columns, &complete(&columns)?)?,
        false => columns,
    };
    let mut values = Vec::with_capacity(columns.len());
    for place in 0..columns.len() {
        let Some(column) = columns.get(place) else { break };
        let Some(value) = most(column) else { return Ok(None) };
        if place + 1 < columns.len() {
            let mask = cmp::eq(column, &scalar(&value, column.data_type())?)?;
            columns = keep(&columns, &mask)?;
        }
        values.push(value);
    }
    Ok(Some(values))
}

fn most(column: &ArrayRef) -> Option<Literal> {
    match column.data_type() {
        DataType::Int64 => max(column.as_primitive::<Int64Type>()).map(Literal::Integer),
        DataType::Decimal128(_, scale) => {
            max(column.as_primitive::<Decimal128Type>()).map(|value| Literal::Decimal(value, *scale))
        }
        DataType::Utf8 => max_string(column.as_string::<i32>()).map(|text| Literal::Text(text.to_owned())),
        DataType::Date32 => max(column.as_primitive::<Date32Type>()).map(Literal::Date),
        DataType::Timestamp(_, zone) => {
            let of = if zone.is_some() { Literal::Instant } else { Literal::Timestamp };
            max(column.as_primitive::<TimestampMicrosecondType>()).map(of)
        }
        _ => None,
    }
}

#[cold]
fn unfit() -> Error {
    Error::failed("rows arrived without the cursor's columns as they were planned")
        .help("run it again: the source may have changed since the plan was made")
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn batch() -> RecordBatch {
        let a = Int32Array::from(vec![Some(1), Some(2), Some(2), None, Some(3), Some(3)]);
        let b = StringArray::from(vec![Some("z"), Some("a"), Some("b"), Some("x"), None, Some("é")]);
        let schema =
            Schema::new(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(a), Arc::new(b)]).unwrap()
    }

    fn at(a: i64, b: &str) -> Vec<Literal> {
        vec![Literal::Integer(a), Literal::Text(b.to_owned())]
    }

    fn kept(range: &Range) -> Vec<usize> {
        let mask = range.mask(&batch()).unwrap();
        assert_eq!(mask.null_count(), 0);
        (0..mask.len()).filter(|row| mask.value(*row)).collect()
    }

    #[test]
    fn a_range_begins_at_its_least_and_ends_before_its_greatest() {
        let range = |from: Option<Vec<Literal>>, before: Option<Vec<Literal>>, or_null| Range {
            places: vec![0, 1],
            from,
            before,
            or_null,
        };
        assert_eq!(kept(&range(Some(at(2, "b")), None, false)), [2, 5]);
        assert_eq!(kept(&range(Some(at(2, "b")), None, true)), [2, 3, 4, 5]);
        assert_eq!(kept(&range(Some(at(2, "a")), Some(at(3, "é")), false)), [1, 2]);
        // Of the first column alone.
        assert_eq!(kept(&range(Some(vec![Literal::Integer(2)]), None, false)), [1, 2, 5]);
        assert_eq!(kept(&range(None, Some(vec![Literal::Integer(2)]), false)), [0]);
        assert_eq!(kept(&range(None, None, true)).len(), 6);
    }

    #[tokio::test]
    async fn a_row_behind_the_horizon_is_read_and_moves_nothing() {
        let all = Range { places: vec![0, 1], from: None, before: None, or_null: true };
        let (seen, is_passed) = (Greatest::default(), Arc::new(AtomicBool::new(false)));
        let horizon = |latest| Horizon { latest: Literal::Integer(latest), is_passed: is_passed.clone() };
        let rows = || futures::stream::iter([Ok(batch())]).boxed();
        assert_eq!(all.clone().narrow_within(rows(), seen.clone(), Some(horizon(3))).count().await, 1);
        assert!(*seen.lock().unwrap() == Some(at(3, "é")) && !is_passed.load(Ordering::Relaxed));
        let seen = Greatest::default();
        let kept: Vec<_> = all.narrow_within(rows(), seen.clone(), Some(horizon(2))).collect().await;
        assert_eq!(kept[0].as_ref().unwrap().num_rows(), 6);
        assert!(*seen.lock().unwrap() == Some(at(2, "b")) && is_passed.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn the_greatest_cursor_has_no_null_and_only_grows() {
        let all = Range { places: vec![0, 1], from: None, before: None, or_null: true };
        let seen = Greatest::default();
        let rows = || futures::stream::iter([Ok(batch()), Ok(batch().slice(0, 2))]).boxed();
        let kept: usize = all
            .clone()
            .narrow(rows(), seen.clone())
            .map(|batch| batch.unwrap().num_rows())
            .collect::<Vec<_>>()
            .await
            .iter()
            .sum();
        assert_eq!(kept, 8);
        assert!(*seen.lock().unwrap() == Some(at(3, "é")));
        let none = Range { from: Some(at(9, "")), or_null: false, ..all };
        let seen = Greatest::default();
        assert_eq!(none.narrow(rows(), seen.clone()).count().await, 0);
        assert!(seen.lock().unwrap().is_none());
    }
}
