//! One column under construction: values of one layout appended to Arrow buffers.

use std::sync::Arc;

use arrow::array::builder::{BooleanBufferBuilder, NullBufferBuilder};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};

use super::packet::Fields;
use super::types::Layout;
use super::value;
use crate::error::Error;
use crate::source::spans::{Spans, TooLong, primitive, renew};

/// Why a value is not taken. Small and free to make: it travels through the row loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not of the layout: the protocol is broken, not the data.
    Malformed,
    /// A date that is none: `0000-00-00`, or one with a month or day of zero.
    ZeroDate,
    /// A date that no calendar has (31 February), which a server can be told to accept.
    NoDate,
    /// More in one batch than can be addressed.
    TooMuch,
}

impl Fault {
    /// The fault in words, for the column it happened in.
    #[cold]
    pub(super) fn in_column(self, column: &str) -> Error {
        let (what, wanted) = match self {
            Self::Malformed => return malformed(&format!("a value of column `{column}` is not of its type")),
            Self::TooMuch => {
                return Error::data(format!("column `{column}` holds more than 2 GiB in one batch"))
                    .help(format!("leave it out: `columns: {{{column}: {{action: drop}}}}`"));
            }
            Self::ZeroDate => ("a date with a year, month or day of zero", "such dates"),
            Self::NoDate => ("a date that is in no calendar", "such dates"),
        };
        Error::data(format!("column `{column}` holds {what}, which is not carried")).help(format!(
            "decide what becomes of {wanted}: `columns: {{{column}: {{as: text}}}}` keeps them as text, \
             `columns: {{{column}: {{as: date, on_overflow: null}}}}` makes them NULL (`as: timestamp` for a datetime)"
        ))
    }
}

/// What the server sent is not a row as documented.
#[cold]
pub(super) fn malformed(what: &str) -> Error {
    Error::failed(format!("the MySQL server sent a malformed row: {what}"))
}

impl From<TooLong> for Fault {
    fn from(_: TooLong) -> Self {
        Self::TooMuch
    }
}

/// Values of one layout so far.
enum Values {
    Bool(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Date(Vec<i32>),
    Timestamp { values: Vec<i64>, zoned: bool },
    Text(Spans),
    Bytes(Spans),
}

/// One column under construction.
pub(super) struct ColumnBuilder {
    name: String,
    nullable: bool,
    layout: Layout,
    values: Values,
    nulls: NullBufferBuilder,
}

impl ColumnBuilder {
    /// An empty column with room for `rows`.
    pub(super) fn new(name: &str, nullable: bool, layout: Layout, rows: usize) -> Self {
        let values = match layout.arrow() {
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(rows)),
            DataType::Int8 => Values::Int8(Vec::with_capacity(rows)),
            DataType::Int16 => Values::Int16(Vec::with_capacity(rows)),
            DataType::Int32 => Values::Int32(Vec::with_capacity(rows)),
            DataType::Int64 => Values::Int64(Vec::with_capacity(rows)),
            DataType::Float32 => Values::Float(Vec::with_capacity(rows)),
            DataType::Float64 => Values::Double(Vec::with_capacity(rows)),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::with_capacity(rows), precision, scale }
            }
            DataType::Date32 => Values::Date(Vec::with_capacity(rows)),
            DataType::Timestamp(_, zone) => {
                Values::Timestamp { values: Vec::with_capacity(rows), zoned: zone.is_some() }
            }
            DataType::Binary => Values::Bytes(Spans::with_capacity(rows, rows * 8)),
            _ => Values::Text(Spans::with_capacity(rows, rows * 8)),
        };
        Self { name: name.to_owned(), nullable, layout, values, nulls: NullBufferBuilder::new(rows) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes that one row takes here at the least.
    pub(super) fn width_bytes(&self) -> usize {
        match (&self.values, self.layout) {
            (_, Layout::Bits { width }) => 4 + usize::from(width),
            (_, Layout::Time { .. } | Layout::FloatText) => 24,
            (_, Layout::Geometry) => 20,
            (Values::Bool(_) | Values::Int8(_), _) => 1,
            (Values::Int16(_), _) => 2,
            (
                Values::Int32(_) | Values::Float(_) | Values::Date(_) | Values::Text(_) | Values::Bytes(_),
                _,
            ) => 4,
            (Values::Int64(_) | Values::Double(_) | Values::Timestamp { .. }, _) => 8,
            (Values::Decimal { .. }, _) => 16,
        }
    }

    /// How many times longer a value is here than on the way, at the most.
    pub(super) fn growth(&self) -> usize {
        if self.layout == Layout::Geometry { 2 } else { 1 }
    }

    /// Takes one value off the front of a row.
    #[inline]
    pub(super) fn append(&mut self, row: &mut Fields<'_>) -> Result<(), Fault> {
        match (&mut self.values, self.layout) {
            (Values::Int64(values), Layout::Int64) => values.push(i64::from_le_bytes(fixed(row)?)),
            (Values::Decimal { values, precision, scale }, Layout::Decimal { .. }) => {
                values.push(value::decimal(text(row)?, *precision, *scale).ok_or(Fault::Malformed)?);
            }
            (Values::Text(spans), Layout::Text) => spans.push(text(row)?)?,
            (Values::Date(values), _) => values.push(value::date(text(row)?)?),
            (Values::Int32(values), Layout::Int32) => values.push(i32::from_le_bytes(fixed(row)?)),
            (Values::Timestamp { values, .. }, _) => values.push(value::timestamp(text(row)?)?),
            (Values::Bytes(spans), _) => spans.push(text(row)?)?,
            (Values::Double(values), _) => values.push(f64::from_le_bytes(fixed(row)?)),
            (Values::Float(values), _) => values.push(f32::from_le_bytes(fixed(row)?)),
            (Values::Int8(values), _) => values.push(i8::from_le_bytes(fixed(row)?)),
            (Values::Int16(values), Layout::UInt8) => values.push(i16::from(u8::from_le_bytes(fixed(row)?))),
            (Values::Int16(values), _) => values.push(i16::from_le_bytes(fixed(row)?)),
            (Values::Int32(values), _) => values.push(i32::from(u16::from_le_bytes(fixed(row)?))),
            (Values::Int64(values), _) => values.push(i64::from(u32::from_le_bytes(fixed(row)?))),
            (Values::Decimal { values, .. }, _) => values.push(i128::from(u64::from_le_bytes(fixed(row)?))),
            (Values::Bool(values), _) => match text(row)? {
                [0] => values.append(false),
                [1] => values.append(true),
                _ => return Err(Fault::Malformed),
            },
            (Values::Text(spans), layout) => {
                written(layout, row, &mut spans.bytes).ok_or(Fault::Malformed)?;
                spans.end()?;
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Takes a NULL.
    #[inline]
    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp { values, .. } => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Text(spans) | Values::Bytes(spans) => spans.push_null(),
        }
        self.nulls.append_null();
    }

    /// The column so far; the builder starts anew, with room for as much again.
    ///
    /// # Errors
    /// `Data` for a NULL where the source promised none, and for bytes asked for as text that are
    /// none; `Failed` for text that is not UTF-8.
    pub(super) fn take(&mut self) -> Result<ArrayRef, Error> {
        let nulls = self.nulls.finish();
        if !self.nullable && nulls.as_ref().is_some_and(|n| n.null_count() > 0) {
            return Err(Error::data(format!("column `{}` holds NULL although it is NOT NULL", self.name)));
        }
        Ok(match &mut self.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int8(values) => primitive::<Int8Type>(values, nulls),
            Values::Int16(values) => primitive::<Int16Type>(values, nulls),
            Values::Int32(values) => primitive::<Int32Type>(values, nulls),
            Values::Int64(values) => primitive::<Int64Type>(values, nulls),
            Values::Float(values) => primitive::<Float32Type>(values, nulls),
            Values::Double(values) => primitive::<Float64Type>(values, nulls),
            Values::Decimal { values, precision, scale } => {
                let data_type = DataType::Decimal128(*precision, *scale);
                Arc::new(Decimal128Array::new(renew(values).into(), nulls).with_data_type(data_type))
            }
            Values::Date(values) => Arc::new(Date32Array::new(renew(values).into(), nulls)),
            Values::Timestamp { values, zoned } => {
                let array = TimestampMicrosecondArray::new(renew(values).into(), nulls);
                Arc::new(if *zoned { array.with_timezone("UTC") } else { array })
            }
            Values::Text(spans) => {
                let (offsets, bytes) = spans.take();
                let text = StringArray::try_new(offsets, bytes, nulls);
                Arc::new(text.map_err(|_| no_text(&self.name, self.layout))?)
            }
            Values::Bytes(spans) => {
                let (offsets, bytes) = spans.take();
                Arc::new(BinaryArray::new(offsets, bytes, nulls))
            }
        })
    }
}

#[cold]
fn no_text(column: &str, layout: Layout) -> Error {
    if layout == Layout::BytesText {
        return Error::data(format!(
            "column `{column}` is asked for as text and holds bytes that are no UTF-8"
        ))
        .help(format!("leave it binary, or read `HEX({column})` with a query"));
    }
    malformed(&format!("text of column `{column}` is not UTF-8"))
}

/// A value that is carried as a text of ours.
fn written(layout: Layout, row: &mut Fields<'_>, out: &mut Vec<u8>) -> Option<()> {
    match layout {
        Layout::Time { decimals } => value::time(row.text()?, decimals, out),
        Layout::Bits { width } => value::bits(row.text()?, width, out),
        Layout::Geometry => value::geometry(row.text()?, out),
        Layout::FloatText => value::float(f32::from_le_bytes(row.array()?), out),
        _ => {
            out.extend_from_slice(row.text()?);
            Some(())
        }
    }
}

#[inline]
fn fixed<const N: usize>(row: &mut Fields<'_>) -> Result<[u8; N], Fault> {
    row.array().ok_or(Fault::Malformed)
}

#[inline]
fn text<'a>(row: &mut Fields<'a>) -> Result<&'a [u8], Fault> {
    row.text().ok_or(Fault::Malformed)
}
