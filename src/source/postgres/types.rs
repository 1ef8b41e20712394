//! Which layouts there are in binary COPY, and the Arrow type that each becomes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use tokio_postgres::types::Type;

use crate::source::Carried;

/// Most digits that `Decimal128` holds.
const MAX_PRECISION: i32 = 38;
/// Digits of the largest `money`, 64 bits of its smallest unit.
const MONEY_PRECISION: u8 = 19;

/// How a column's values are laid out in binary COPY. Made once per column; decoding never looks
/// at the type again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    /// 32 bits without sign.
    Oid,
    Float4,
    Float8,
    Numeric {
        precision: u8,
        scale: i8,
    },
    /// 64 bits, in units of 10^-`scale`.
    Money {
        scale: i8,
    },
    Bytea,
    Date,
    Timestamp,
    TimestampTz,
    /// Text, for a type that is text.
    Text,
    /// Text, for a type that is something else and sent as the server writes it.
    Output,
    /// Text behind a version number: `jsonb`, `jsonpath`.
    Jsonb,
    Uuid,
    /// Something else, written here as the server writes it.
    Formatted(Format),
    List(Box<Part>),
    Struct(Vec<(String, Part)>),
}

/// A value inside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The type that is said on the wire.
    pub(super) oid: u32,
    pub(super) wire: Wire,
}

/// Binary forms that are written as text here, which costs less than having the server do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Numeric,
    Time,
    TimeTz,
    /// Whether the largest and the smallest stand for infinities, as they do since PostgreSQL 17.
    Interval {
        infinite: bool,
    },
    Char,
    Inet,
    MacAddress,
    Bits,
    Unsigned4,
    Unsigned8,
}

/// What only the server knows about the binary form of some types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Decimals of `money`, which the server's locale decides.
    pub(super) money_scale: Option<i8>,
    pub(super) infinite_intervals: bool,
}

impl Facts {
    /// Whether the layout of a type depends on them.
    pub(super) fn decide(oid: u32) -> bool {
        oid == Type::MONEY.oid() || oid == Type::INTERVAL.oid()
    }
}

impl Wire {
    /// The layout of a built-in type that is neither array nor composite; `None` when its binary
    /// form is not known here.
    pub(super) fn scalar(oid: u32, modifier: i32, facts: Facts) -> Option<Self> {
        let wire = match Type::from_oid(oid)? {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID => Self::Oid,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => numeric(modifier),
            Type::MONEY => Self::Money { scale: facts.money_scale? },
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Self::Text,
            Type::JSON | Type::XML | Type::REFCURSOR | Type::UNKNOWN => Self::Output,
            Type::JSONB | Type::JSONPATH => Self::Jsonb,
            Type::UUID => Self::Uuid,
            Type::BYTEA => Self::Bytea,
            Type::DATE => Self::Date,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampTz,
            Type::TIME => Self::Formatted(Format::Time),
            Type::TIMETZ => Self::Formatted(Format::TimeTz),
            Type::INTERVAL => Self::Formatted(Format::Interval { infinite: facts.infinite_intervals }),
            Type::CHAR => Self::Formatted(Format::Char),
            Type::INET | Type::CIDR => Self::Formatted(Format::Inet),
            Type::MACADDR | Type::MACADDR8 => Self::Formatted(Format::MacAddress),
            Type::BIT | Type::VARBIT => Self::Formatted(Format::Bits),
            Type::XID | Type::CID => Self::Formatted(Format::Unsigned4),
            Type::XID8 => Self::Formatted(Format::Unsigned8),
            _ => return None,
        };
        Some(wire)
    }

    /// The Arrow type the values become.
    pub(super) fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 | Self::Oid => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::Money { scale } => DataType::Decimal128(MONEY_PRECISION, *scale),
            Self::Text | Self::Output | Self::Jsonb | Self::Uuid | Self::Formatted(_) => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::List(element) => DataType::List(Arc::new(element.field("element"))),
            Self::Struct(members) => {
                let fields: Vec<_> = members.iter().map(|(name, member)| member.field(name)).collect();
                DataType::Struct(Fields::from(fields))
            }
        }
    }

    /// How the plan shows it.
    pub(super) fn carried(&self) -> Carried {
        match self {
            Self::Output | Self::Jsonb | Self::Uuid | Self::Formatted(_) => Carried::AsText,
            _ => Carried::Exact(self.arrow()),
        }
    }
}

impl Part {
    /// Whatever is inside another value may be NULL.
    fn field(&self, name: &str) -> Field {
        Field::new(name, self.wire.arrow(), true)
    }
}

/// A `numeric` of limits that a decimal has room for is one, any other is text.
///
/// The modifier packs precision and scale; since PostgreSQL 15 the scale is an 11-bit signed number.
fn numeric(modifier: i32) -> Wire {
    let decimal = || {
        let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
        let (precision, scale) = ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 0x400) - 0x400);
        // A negative scale means zeros before the point, one beyond the precision zeros after it.
        let (precision, scale) =
            if scale < 0 { (precision - scale, 0) } else { (precision.max(scale), scale) };
        let precision = u8::try_from(precision).ok().filter(|p| i32::from(*p) <= MAX_PRECISION)?;
        Some(Wire::Numeric { precision, scale: i8::try_from(scale).ok()? })
    };
    decimal().unwrap_or(Wire::Formatted(Format::Numeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modifier(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    #[test]
    fn a_numeric_is_a_decimal_wherever_38_digits_hold_it_and_else_text() {
        for (precision, scale, decimal) in [
            (1, 0, Some((1, 0))),
            (38, 0, Some((38, 0))),
            (38, 38, Some((38, 38))),
            (5, -2, Some((7, 0))),
            (1, -37, Some((38, 0))),
            (3, 5, Some((5, 5))),
            (1, 38, Some((38, 38))),
            (39, 0, None),
            (39, 2, None),
            (1, -38, None),
            (1, 39, None),
            (1000, -1000, None),
            (1000, 1000, None),
        ] {
            let expected = decimal.map_or(Wire::Formatted(Format::Numeric), |(precision, scale)| {
                Wire::Numeric { precision, scale }
            });
            assert_eq!(numeric(modifier(precision, scale)), expected, "numeric({precision},{scale})");
        }
        assert_eq!(numeric(-1), Wire::Formatted(Format::Numeric));
    }
}
