//! Written decisions on types (`as`, `on_overflow`): the source's own text of a value becomes the type
//! asked for, exactly or not at all.
//!
//! A decided column is [`asked`] of the source as text, whatever else it would be carried as, and the
//! stages after the source see it as [`converted`]. What is exact is written in [`exact`], and how rows
//! that are not go to the quarantine in [`misfits`].

mod exact;
mod misfits;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBuilder, PrimitiveArray,
    PrimitiveBuilder, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use futures::StreamExt;

use self::misfits::Misfits;
use super::{Carried, Column};
use crate::error::{Error, Result};
use crate::spec::pipeline::{ColumnType, Conversion, OnOverflow};
use crate::{Batches, Rejected, Rejects};

/// The Arrow type that a column type is carried as.
#[must_use]
pub fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
        ColumnType::Text => DataType::Utf8,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// A decision on one column, ready to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    column: String,
    conversion: Conversion,
    /// The source carries it as an instant: where its text names no zone, it is of UTC.
    is_instant: bool,
}

impl Decision {
    /// The decision on a column as the source describes it.
    #[must_use]
    pub fn of(column: &Column, conversion: Conversion) -> Self {
        let is_instant = matches!(&column.carried, Carried::Exact(DataType::Timestamp(_, Some(_zone))));
        Self { column: column.name.clone(), conversion, is_instant }
    }
}

/// The column as it is asked of the source under a decision: as text, whatever it was.
#[must_use]
pub fn asked(column: &Column) -> Column {
    Column { carried: Carried::AsText, ..column.clone() }
}

/// The column as the stages after the source see it under a decision.
#[must_use]
pub fn converted(column: &Column, conversion: Conversion) -> Column {
    let carried = match conversion.to {
        ColumnType::Text => Carried::AsText,
        to => Carried::Exact(arrow_type(to)),
    };
    let nullable = column.nullable || conversion.on_overflow == OnOverflow::Null;
    Column { carried, nullable, ..column.clone() }
}

/// The rows with every decided column converted; the others pass untouched. `output` is the schema of
/// all columns of the rows, the decided ones as [`converted`].
///
/// A row with a value that its type cannot hold exactly under `on_overflow: quarantine` is left out and
/// handed to `rejects` as it came; the stream waits until it is taken. `rejects` lives as long as the
/// stream.
///
/// # Errors
/// Items of the stream: `Data`, naming the column, for a value that the type cannot hold exactly
/// under `on_overflow: fail`; `Failed` when a decided column does not come as text, and when nobody
/// takes a row that is rejected.
#[must_use]
pub fn convert(
    rows: Batches,
    decisions: &[Decision],
    output: &SchemaRef,
    rejects: Option<Rejects>,
) -> Batches {
    if decisions.is_empty() {
        return rows;
    }
    let decision = |name: &String| decisions.iter().find(|decision| decision.column == *name).cloned();
    let of_columns: Vec<_> = output.fields().iter().map(|field| decision(field.name())).collect();
    let output = Arc::clone(output);
    rows.then(move |batch| {
        let applied = batch.and_then(|batch| apply(&batch, &of_columns, &output));
        let rejects = rejects.clone();
        async move {
            let (kept, rejected) = applied?;
            if let Some(rejected) = rejected {
                misfits::hand_over(rejects, rejected).await?;
            }
            Ok(kept)
        }
    })
    .boxed()
}

/// The rows whose values all fit, and those that are rejected, where there are any.
fn apply(
    batch: &RecordBatch,
    decisions: &[Option<Decision>],
    output: &SchemaRef,
) -> Result<(RecordBatch, Option<Rejected>)> {
    let mut misfits = Misfits::default();
    let column = |(array, decision): (&ArrayRef, &Option<Decision>)| match decision {
        Some(decision) => decided(array, decision, &mut misfits),
        None => Ok(Arc::clone(array)),
    };
    let columns = batch.columns().iter().zip(decisions).map(column).collect::<Result<Vec<_>>>()?;
    if misfits.is_empty() {
        return Ok((record(columns, batch.num_rows(), output)?, None));
    }
    let (columns, rejected) = misfits.part(columns, batch)?;
    let kept = batch.num_rows() - rejected.rows.num_rows();
    Ok((record(columns, kept, output)?, Some(rejected)))
}

fn record(columns: Vec<ArrayRef>, rows: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|_| Error::failed("the source's rows do not have the planned columns"))
}

fn decided(array: &ArrayRef, decision: &Decision, misfits: &mut Misfits) -> Result<ArrayRef> {
    let Some(texts) = array.as_string_opt::<i32>() else {
        let column = &decision.column;
        return Err(Error::failed(format!("column `{column}` was asked for as text and is none")));
    };
    of_texts(texts, decision, misfits).ok_or_else(|| overflow(decision))
}

#[cold]
fn overflow(decision: &Decision) -> Error {
    let Decision { column, conversion, .. } = decision;
    let to = conversion.to;
    Error::data(format!("column `{column}` holds a value that {to} cannot hold exactly")).help(format!(
        "carry it as text: `columns: {{{column}: {{as: text}}}}`, choose a wider type, let such values become \
         NULL: `columns: {{{column}: {{as: \"{to}\", on_overflow: null}}}}`, or their rows go to the \
         quarantine: `on_overflow: quarantine`"
    ))
}

/// The values of the texts, NULL in place of what does not fit; `None` where that fails the run.
fn of_texts(texts: &StringArray, decision: &Decision, misfits: &mut Misfits) -> Option<ArrayRef> {
    let Decision { conversion, is_instant, .. } = decision;
    let lenient = |row: usize| match conversion.on_overflow {
        OnOverflow::Fail => false,
        OnOverflow::Null => true,
        OnOverflow::Quarantine => {
            misfits.add(row, decision);
            true
        }
    };
    Some(match conversion.to {
        ColumnType::Text => Arc::new(texts.clone()),
        ColumnType::Boolean => booleans(texts, lenient)?,
        ColumnType::Int32 => {
            let int32 = |text: &str| exact::int64(text).and_then(|value| i32::try_from(value).ok());
            Arc::new(values::<Int32Type>(texts, lenient, int32)?)
        }
        ColumnType::Int64 => Arc::new(values::<Int64Type>(texts, lenient, exact::int64)?),
        ColumnType::Float64 => Arc::new(values::<Float64Type>(texts, lenient, exact::float64)?),
        ColumnType::Decimal(precision, scale) => {
            let decimal = |text: &str| exact::decimal(text, precision, usize::try_from(scale).ok()?);
            let decimals = values::<Decimal128Type>(texts, lenient, decimal)?;
            Arc::new(decimals.with_data_type(arrow_type(conversion.to)))
        }
        ColumnType::Date => Arc::new(values::<Date32Type>(texts, lenient, exact::date)?),
        ColumnType::Timestamp => {
            Arc::new(values::<TimestampMicrosecondType>(texts, lenient, exact::timestamp)?)
        }
        ColumnType::TimestampTz => {
            let instant = |text: &str| exact::timestamptz(text, *is_instant);
            let instants = values::<TimestampMicrosecondType>(texts, lenient, instant)?;
            Arc::new(instants.with_timezone("UTC"))
        }
    })
}

/// `lenient` is asked of every row whose value does not fit: whether NULL may stand there.
fn values<T: ArrowPrimitiveType>(
    texts: &StringArray,
    mut lenient: impl FnMut(usize) -> bool,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> Option<PrimitiveArray<T>> {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(texts.len());
    for text in texts {
        match text.map(&parse) {
            Some(Some(value)) => builder.append_value(value),
            None => builder.append_null(),
            Some(None) if lenient(builder.len()) => builder.append_null(),
            Some(None) => return None,
        }
    }
    Some(builder.finish())
}

fn booleans(texts: &StringArray, mut lenient: impl FnMut(usize) -> bool) -> Option<ArrayRef> {
    let mut builder = BooleanBuilder::with_capacity(texts.len());
    for text in texts {
        match text.map(exact::boolean) {
            Some(Some(value)) => builder.append_value(value),
            None => builder.append_null(),
            Some(None) if lenient(builder.len()) => builder.append_null(),
            Some(None) => return None,
        }
    }
    Some(Arc::new(builder.finish()))
}

#[cfg(test)]
mod tests;
