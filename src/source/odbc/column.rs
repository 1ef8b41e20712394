//! Values of a driver to Arrow arrays.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_odbc::odbc_api::sys;

use super::types::Wire;
use super::words;
use crate::error::Error;

/// A value as a driver gives it.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Bit(u8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Real(f32),
    Double(f64),
    Date(sys::Date),
    Timestamp(sys::Timestamp),
    Wide(&'a [u16]),
    Bytes(&'a [u8]),
}

/// Why a value is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// What it is, in words without the value.
    Holds(&'static str),
    /// The driver gave another C type than was asked for.
    Odd,
}

impl Fault {
    #[cold]
    pub(super) fn in_column(self, name: &str) -> Error {
        match self {
            Self::Holds(what) => Error::data(format!("column `{name}` holds {what}, which is not carried"))
                .help(format!("write `columns: {{{name}: {{as: text}}}}` to carry every value as its text")),
            Self::Odd => Error::failed(format!("the ODBC driver gives column `{name}` as another type")),
        }
    }
}

enum Builder {
    Bit(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Decimal { builder: Decimal128Builder, precision: u8, scale: i8 },
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
}

/// One column of the batch in the making.
pub(super) struct ColumnBuilder {
    pub(super) name: String,
    wire: Wire,
    builder: Builder,
    /// Text in the making.
    text: String,
}

impl ColumnBuilder {
    pub(super) fn new(name: &str, wire: Wire) -> Self {
        let builder = match wire {
            Wire::Bit | Wire::BitBytes => Builder::Bit(BooleanBuilder::new()),
            Wire::Int16 => Builder::Int16(Int16Builder::new()),
            Wire::Int32 => Builder::Int32(Int32Builder::new()),
            Wire::Int64 | Wire::Int64Text => Builder::Int64(Int64Builder::new()),
            Wire::Real | Wire::RealText => Builder::Real(Float32Builder::new()),
            Wire::Double | Wire::DoubleText => Builder::Double(Float64Builder::new()),
            Wire::Decimal { precision, scale } => Builder::Decimal {
                builder: Decimal128Builder::new().with_data_type(wire.arrow()),
                precision,
                scale,
            },
            Wire::Date | Wire::DateText => Builder::Date(Date32Builder::new()),
            Wire::Timestamp { .. } | Wire::TimestampText { .. } => {
                Builder::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(wire.arrow()))
            }
            Wire::Text { .. } | Wire::RealAsText | Wire::DoubleAsText | Wire::BinaryAsText { .. } => {
                Builder::Text(StringBuilder::new())
            }
            Wire::Binary { .. } => Builder::Binary(BinaryBuilder::new()),
        };
        Self { name: name.to_owned(), wire, builder, text: String::new() }
    }

    pub(super) fn wire(&self) -> Wire {
        self.wire
    }

    /// Takes a value.
    #[inline]
    pub(super) fn append(&mut self, value: Value<'_>) -> Result<(), Fault> {
        match (&mut self.builder, value) {
            (_, Value::Null) => self.append_null(),
            (Builder::Bit(builder), Value::Bit(bit)) => builder.append_value(bit != 0),
            (Builder::Int16(builder), Value::Int16(value)) => builder.append_value(value),
            (Builder::Int32(builder), Value::Int32(value)) => builder.append_value(value),
            (Builder::Int64(builder), Value::Int64(value)) => builder.append_value(value),
            (Builder::Real(builder), Value::Real(value)) => builder.append_value(value),
            (Builder::Double(builder), Value::Double(value)) => builder.append_value(value),
            (Builder::Decimal { builder, precision, scale }, Value::Wide(units)) => {
                let text = words::ascii(units, &mut self.text)?;
                builder.append_value(words::decimal(text, *precision, *scale)?);
            }
            (Builder::Real(builder), Value::Wide(units)) => {
                builder.append_value(words::real(words::ascii(units, &mut self.text)?)?);
            }
            (Builder::Double(builder), Value::Wide(units)) => {
                builder.append_value(words::real(words::ascii(units, &mut self.text)?)?);
            }
            (Builder::Int64(builder), Value::Wide(units)) => {
                builder.append_value(words::int64(words::ascii(units, &mut self.text)?)?);
            }
            (Builder::Bit(builder), Value::Bytes(bytes)) => builder.append_value(words::bit(bytes)?),
            (Builder::Date(builder), Value::Wide(units)) => {
                builder.append_value(words::date(words::ascii(units, &mut self.text)?)?);
            }
            (Builder::Timestamp(builder), Value::Wide(units)) => {
                builder.append_value(words::timestamp(words::ascii(units, &mut self.text)?)?);
            }
            (Builder::Date(builder), Value::Date(date)) => {
                builder.append_value(words::days(i32::from(date.year), date.month, date.day)?);
            }
            (Builder::Timestamp(builder), Value::Timestamp(at)) => builder.append_value(micros(&at)?),
            (Builder::Text(builder), Value::Wide(units)) => {
                self.text.clear();
                for unit in char::decode_utf16(units.iter().copied()) {
                    self.text.push(unit.map_err(|_| Fault::Holds("text that is not valid UTF-16"))?);
                }
                builder.append_value(&self.text);
            }
            (Builder::Binary(builder), Value::Bytes(bytes)) => builder.append_value(bytes),
            (Builder::Text(builder), value) => {
                self.text.clear();
                write_text(value, &mut self.text)?;
                builder.append_value(&self.text);
            }
            _ => return Err(Fault::Odd),
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match &mut self.builder {
            Builder::Bit(builder) => builder.append_null(),
            Builder::Int16(builder) => builder.append_null(),
            Builder::Int32(builder) => builder.append_null(),
            Builder::Int64(builder) => builder.append_null(),
            Builder::Real(builder) => builder.append_null(),
            Builder::Double(builder) => builder.append_null(),
            Builder::Decimal { builder, .. } => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::Timestamp(builder) => builder.append_null(),
            Builder::Text(builder) => builder.append_null(),
            Builder::Binary(builder) => builder.append_null(),
        }
    }

    /// The values since the last batch.
    pub(super) fn take(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Bit(builder) => Arc::new(builder.finish()),
            Builder::Int16(builder) => Arc::new(builder.finish()),
            Builder::Int32(builder) => Arc::new(builder.finish()),
            Builder::Int64(builder) => Arc::new(builder.finish()),
            Builder::Real(builder) => Arc::new(builder.finish()),
            Builder::Double(builder) => Arc::new(builder.finish()),
            Builder::Decimal { builder, .. } => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Timestamp(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Binary(builder) => Arc::new(builder.finish()),
        }
    }
}

fn micros(at: &sys::Timestamp) -> Result<i64, Fault> {
    if !at.fraction.is_multiple_of(1000) {
        return Err(Fault::Holds("a timestamp finer than microseconds"));
    }
    let day = words::days(i32::from(at.year), at.month, at.day)?;
    words::instant(day, [at.hour, at.minute, at.second].map(u32::from), at.fraction / 1000)
}

/// The shortest text that reads back to the same number; bytes as lower-case hexadecimal digits.
fn write_text(value: Value<'_>, text: &mut String) -> Result<(), Fault> {
    let word = |nan: bool, negative: bool| match (nan, negative) {
        (true, _) => "NaN",
        (_, true) => "-Infinity",
        _ => "Infinity",
    };
    let written = match value {
        Value::Real(real) if real.is_finite() => write!(text, "{real:?}"),
        Value::Double(double) if double.is_finite() => write!(text, "{double:?}"),
        Value::Real(real) => text.write_str(word(real.is_nan(), real < 0.0)),
        Value::Double(double) => text.write_str(word(double.is_nan(), double < 0.0)),
        Value::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
        _ => return Err(Fault::Odd),
    };
    written.map_err(|_| Fault::Odd)
}
