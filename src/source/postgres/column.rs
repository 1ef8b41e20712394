//! One column under construction: values of one wire layout appended to Arrow buffers.

use arrow::array::builder::{BooleanBufferBuilder, NullBufferBuilder};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use std::sync::Arc;

use super::fault::{Fault, Unfit, malformed};
use super::ident::shown;
use super::nested::Nested;
use super::numeric;
use super::text::{Writer, exactly};
use super::types::Wire;
use crate::error::Error;
use crate::source::spans::{Spans, primitive, renew};

/// 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Values of one layout so far. The tag is a byte of its own: one that is hidden in a field takes
/// longer to find, and every value asks for it.
#[repr(u8)]
enum Values {
    Bool(BooleanBufferBuilder),
    Int2(Vec<i16>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    Oid(Vec<i64>),
    Float4(Vec<f32>),
    Float8(Vec<f64>),
    Numeric {
        values: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    Money {
        values: Vec<i128>,
        scale: i8,
    },
    Date(Vec<i32>),
    Timestamp {
        values: Vec<i64>,
        zoned: bool,
    },
    Text(Spans),
    Jsonb(Spans),
    Uuid(Spans),
    Bytea(Spans),
    /// Binary forms that are written as text.
    Formatted {
        spans: Spans,
        write: Writer,
    },
    Nested(Box<Nested>),
}

/// One column under construction.
pub(super) struct ColumnBuilder {
    name: String,
    nullable: bool,
    values: Values,
    nulls: NullBufferBuilder,
}

impl ColumnBuilder {
    /// An empty column with room for `rows`.
    pub(super) fn new(name: &str, nullable: bool, wire: &Wire, rows: usize) -> Self {
        let spans = || Spans::with_capacity(rows, rows * 8);
        let values = match wire {
            Wire::Bool => Values::Bool(BooleanBufferBuilder::new(rows)),
            Wire::Int2 => Values::Int2(Vec::with_capacity(rows)),
            Wire::Int4 => Values::Int4(Vec::with_capacity(rows)),
            Wire::Int8 => Values::Int8(Vec::with_capacity(rows)),
            Wire::Oid => Values::Oid(Vec::with_capacity(rows)),
            Wire::Float4 => Values::Float4(Vec::with_capacity(rows)),
            Wire::Float8 => Values::Float8(Vec::with_capacity(rows)),
            Wire::Numeric { precision, scale } => {
                Values::Numeric { values: Vec::with_capacity(rows), precision: *precision, scale: *scale }
            }
            Wire::Money { scale } => Values::Money { values: Vec::with_capacity(rows), scale: *scale },
            Wire::Date => Values::Date(Vec::with_capacity(rows)),
            Wire::Timestamp => Values::Timestamp { values: Vec::with_capacity(rows), zoned: false },
            Wire::TimestampTz => Values::Timestamp { values: Vec::with_capacity(rows), zoned: true },
            Wire::Text | Wire::Output => Values::Text(spans()),
            Wire::Jsonb => Values::Jsonb(spans()),
            Wire::Uuid => Values::Uuid(spans()),
            Wire::Bytea => Values::Bytea(spans()),
            Wire::Formatted(format) => Values::Formatted { spans: spans(), write: format.writer() },
            Wire::List(element) => Values::Nested(Box::new(Nested::list(name, element, rows))),
            Wire::Struct(members) => Values::Nested(Box::new(Nested::fields(name, members, rows))),
        };
        Self { name: name.to_owned(), nullable, values, nulls: NullBufferBuilder::new(rows) }
    }

    /// Bytes that one row takes here at the least.
    pub(super) fn width_bytes(&self) -> usize {
        match &self.values {
            Values::Bool(_) => 1,
            Values::Int2(_) => 2,
            Values::Int4(_) | Values::Float4(_) | Values::Date(_) => 4,
            Values::Int8(_) | Values::Oid(_) | Values::Float8(_) | Values::Timestamp { .. } => 8,
            Values::Numeric { .. } | Values::Money { .. } => 16,
            Values::Text(_) | Values::Jsonb(_) | Values::Bytea(_) | Values::Formatted { .. } => 4,
            Values::Uuid(_) => 40,
            Values::Nested(nested) => nested.width_bytes(),
        }
    }

    /// Whether values may take more room here than their bytes on the wire and [`Self::width_bytes`]
    /// tell.
    pub(super) fn grows(&self) -> bool {
        matches!(self.values, Values::Formatted { .. } | Values::Nested(_))
    }

    /// Bytes that are held so far.
    pub(super) fn size_bytes(&self) -> usize {
        match &self.values {
            Values::Text(spans)
            | Values::Jsonb(spans)
            | Values::Uuid(spans)
            | Values::Bytea(spans)
            | Values::Formatted { spans, .. } => spans.held_bytes(),
            Values::Nested(nested) => nested.size_bytes(),
            _ => self.nulls.len() * self.width_bytes(),
        }
    }

    /// Takes one value.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.values {
            Values::Int2(values) => values.push(i16::from_be_bytes(exactly(bytes)?)),
            Values::Int4(values) => values.push(i32::from_be_bytes(exactly(bytes)?)),
            Values::Int8(values) => values.push(i64::from_be_bytes(exactly(bytes)?)),
            Values::Oid(values) => values.push(u32::from_be_bytes(exactly(bytes)?).into()),
            Values::Float4(values) => values.push(f32::from_be_bytes(exactly(bytes)?)),
            Values::Float8(values) => values.push(f64::from_be_bytes(exactly(bytes)?)),
            Values::Numeric { values, precision, scale } => {
                values.push(numeric::decimal(bytes, *precision, *scale)?);
            }
            Values::Money { values, .. } => values.push(i64::from_be_bytes(exactly(bytes)?).into()),
            Values::Date(values) => values.push(date(i32::from_be_bytes(exactly(bytes)?))?),
            Values::Timestamp { values, .. } => values.push(timestamp(i64::from_be_bytes(exactly(bytes)?))?),
            Values::Text(spans) | Values::Bytea(spans) => spans.push(bytes)?,
            Values::Jsonb(spans) => match bytes.split_first() {
                Some((1, text)) => spans.push(text)?,
                _ => return Err(Fault::Malformed),
            },
            Values::Uuid(spans) => spans.push(&uuid_text(exactly(bytes)?))?,
            Values::Bool(values) => match bytes {
                [0] => values.append(false),
                [1] => values.append(true),
                _ => return Err(Fault::Malformed),
            },
            Values::Formatted { spans, write } => {
                write(bytes, &mut spans.bytes)?;
                spans.end()?;
            }
            Values::Nested(nested) => nested.append(bytes)?,
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Takes a NULL.
    #[inline]
    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append(false),
            Values::Int2(values) => values.push(0),
            Values::Int4(values) | Values::Date(values) => values.push(0),
            Values::Int8(values) | Values::Oid(values) | Values::Timestamp { values, .. } => values.push(0),
            Values::Float4(values) => values.push(0.0),
            Values::Float8(values) => values.push(0.0),
            Values::Numeric { values, .. } | Values::Money { values, .. } => values.push(0),
            Values::Text(spans)
            | Values::Jsonb(spans)
            | Values::Uuid(spans)
            | Values::Bytea(spans)
            | Values::Formatted { spans, .. } => spans.push_null(),
            Values::Nested(nested) => nested.append_null(),
        }
        self.nulls.append_null();
    }

    /// The column so far; the builder starts anew, with room for as much again.
    ///
    /// # Errors
    /// `Data` for a NULL where the source promised none; `Failed` for text that is not UTF-8.
    pub(super) fn take(&mut self) -> Result<ArrayRef, Error> {
        let nulls = self.nulls.finish();
        if !self.nullable && nulls.as_ref().is_some_and(|n| n.null_count() > 0) {
            return Err(Error::data(format!("column `{}` holds NULL although it is NOT NULL", self.name)));
        }
        Ok(match &mut self.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int2(values) => primitive::<Int16Type>(values, nulls),
            Values::Int4(values) => primitive::<Int32Type>(values, nulls),
            Values::Int8(values) | Values::Oid(values) => primitive::<Int64Type>(values, nulls),
            Values::Float4(values) => primitive::<Float32Type>(values, nulls),
            Values::Float8(values) => primitive::<Float64Type>(values, nulls),
            Values::Numeric { values, precision, scale } => {
                let data_type = DataType::Decimal128(*precision, *scale);
                Arc::new(Decimal128Array::new(renew(values).into(), nulls).with_data_type(data_type))
            }
            Values::Money { values, scale } => {
                let data_type = Wire::Money { scale: *scale }.arrow();
                Arc::new(Decimal128Array::new(renew(values).into(), nulls).with_data_type(data_type))
            }
            Values::Date(values) => Arc::new(Date32Array::new(renew(values).into(), nulls)),
            Values::Timestamp { values, zoned } => {
                let array = TimestampMicrosecondArray::new(renew(values).into(), nulls);
                Arc::new(if *zoned { array.with_timezone("UTC") } else { array })
            }
            Values::Text(spans)
            | Values::Jsonb(spans)
            | Values::Uuid(spans)
            | Values::Formatted { spans, .. } => {
                let (offsets, bytes) = spans.take();
                let text = StringArray::try_new(offsets, bytes, nulls)
                    .map_err(|_| malformed(&format!("text of column `{}` is not UTF-8", self.name)))?;
                Arc::new(text)
            }
            Values::Bytea(spans) => {
                let (offsets, bytes) = spans.take();
                Arc::new(BinaryArray::new(offsets, bytes, nulls))
            }
            Values::Nested(nested) => nested.take(nulls)?,
        })
    }

    /// A fault of a value of this column, in words.
    #[cold]
    pub(super) fn explain(&self, fault: Fault) -> Error {
        let name = &self.name;
        match fault {
            Fault::Malformed => malformed(&format!("a value of column `{name}` is not of its type")),
            Fault::Value(unfit) => Error::data(format!(
                "column `{name}` holds {}, which is not carried as its type",
                unfit.words()
            ))
            .help(self.remedy()),
            Fault::Size => Error::data(format!("column `{name}` holds more than 2 GiB in one batch"))
                .help(format!("leave it out: `columns: {{{}: {{action: drop}}}}`", shown(name))),
            Fault::Altered => Error::temporary(format!(
                "the type of column `{name}` was altered while it was about to be read"
            ))
            .help("run again"),
        }
    }

    /// What to write in the spec where a value does not fit.
    fn remedy(&self) -> String {
        let name = shown(&self.name);
        let narrow = match &self.values {
            Values::Numeric { precision, scale, .. } => format!("\"decimal({precision},{scale})\""),
            Values::Date(_) => "date".to_owned(),
            Values::Timestamp { zoned: false, .. } => "timestamp".to_owned(),
            Values::Timestamp { zoned: true, .. } => "timestamptz".to_owned(),
            _ => return format!("carry it as text: `columns: {{{name}: {{as: text}}}}`"),
        };
        format!(
            "carry it as text: `columns: {{{name}: {{as: text}}}}`, or such values as NULL: \
             `columns: {{{name}: {{as: {narrow}, on_overflow: null}}}}`"
        )
    }
}

#[inline]
fn date(days: i32) -> Result<i32, Fault> {
    match days {
        i32::MIN | i32::MAX => Err(Fault::Value(Unfit::InfiniteDate)),
        _ => days.checked_add(EPOCH_DAYS).ok_or(Fault::Value(Unfit::Date)),
    }
}

#[inline]
fn timestamp(micros: i64) -> Result<i64, Fault> {
    match micros {
        i64::MIN | i64::MAX => Err(Fault::Value(Unfit::InfiniteTimestamp)),
        _ => micros.checked_add(EPOCH_MICROS).ok_or(Fault::Value(Unfit::Timestamp)),
    }
}

fn uuid_text(bytes: [u8; 16]) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bytes.into_iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}
