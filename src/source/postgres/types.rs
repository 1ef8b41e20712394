//! Which types are carried, as what, and what to write instead of one that is not.

use arrow::datatypes::{DataType, TimeUnit};
use tokio_postgres::types::{Kind, Type};

use super::ident::shown;
use crate::source::Carried;

/// Most digits that `Decimal128` holds.
const MAX_PRECISION: i32 = 38;

/// How a column's values are laid out in binary COPY. Made once per column; decoding never looks
/// at the type again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric { precision: u8, scale: i8 },
    Text,
    Json,
    Jsonb,
    Uuid,
    Bytea,
    Date,
    Timestamp,
    TimestampTz,
}

impl Wire {
    /// The layout of a type; `None` when values of it are not carried. The server has already
    /// replaced domains by their base types.
    pub(super) fn of(data_type: &Type, modifier: i32) -> Option<Self> {
        let wire = match *data_type {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => match Numeric::of(modifier)? {
                Numeric { precision, scale }
                    if precision <= MAX_PRECISION && (0..=precision).contains(&scale) =>
                {
                    Self::Numeric {
                        precision: u8::try_from(precision).ok()?,
                        scale: i8::try_from(scale).ok()?,
                    }
                }
                _ => return None,
            },
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Self::Text,
            Type::JSON => Self::Json,
            Type::JSONB => Self::Jsonb,
            Type::UUID => Self::Uuid,
            Type::BYTEA => Self::Bytea,
            Type::DATE => Self::Date,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampTz,
            _ => return None,
        };
        Some(wire)
    }

    /// The Arrow type the values become.
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Text | Self::Json | Self::Jsonb | Self::Uuid => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// How the plan shows it.
    pub(super) fn carried(self) -> Carried {
        match self {
            Self::Json | Self::Jsonb | Self::Uuid => Carried::AsText,
            _ => Carried::Exact(self.arrow()),
        }
    }
}

/// A `numeric` type modifier, taken apart.
struct Numeric {
    precision: i32,
    scale: i32,
}

impl Numeric {
    /// `None` for a numeric without limits. Since PostgreSQL 15 the scale is an 11-bit signed number.
    fn of(modifier: i32) -> Option<Self> {
        let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
        Some(Self { precision: (packed >> 16) & 0xffff, scale: ((packed & 0x7ff) ^ 0x400) - 0x400 })
    }
}

/// How a column of this type is carried, with the remedy when it is not. `from` is what the
/// remedy's query reads: a table as it is written in SQL, or `None` for a column of a query.
pub(super) fn carried(column: &str, data_type: &Type, modifier: i32, from: Option<&str>) -> Carried {
    if let Some(wire) = Wire::of(data_type, modifier) {
        return wire.carried();
    }
    let expression = substitute(&shown(column), data_type, modifier);
    let column = shown(column);
    let remedy = match from {
        Some(table) => format!(
            "read it with a query: `SELECT …, {expression} AS {column} FROM {table}`; \
             or leave it out: `columns: {{{column}: {{action: drop}}}}`"
        ),
        None => format!("write it in the query as `{expression} AS {column}`, or leave it out"),
    };
    Carried::Refused { remedy }
}

/// SQL that turns the column into something that is carried, losing as little as can be.
fn substitute(column: &str, data_type: &Type, modifier: i32) -> String {
    match (data_type, data_type.kind()) {
        (&Type::NUMERIC, _) => format!("{column}::{}", numeric_substitute(modifier)),
        (&Type::MONEY, _) => format!("{column}::numeric(19,2)"),
        (&Type::OID, _) => format!("{column}::int8"),
        (_, Kind::Array(_) | Kind::Composite(_)) => format!("to_jsonb({column})"),
        _ => format!("{column}::text"),
    }
}

/// The nearest numeric that fits: exact for odd scales, a proposal for those without limits.
fn numeric_substitute(modifier: i32) -> String {
    match Numeric::of(modifier) {
        Some(Numeric { precision, scale }) if scale < 0 && precision - scale <= MAX_PRECISION => {
            format!("numeric({},0)", precision - scale)
        }
        Some(Numeric { precision, scale }) if scale > precision && scale <= MAX_PRECISION => {
            format!("numeric({scale},{scale})")
        }
        Some(Numeric { scale, .. }) if (0..=MAX_PRECISION).contains(&scale) => {
            format!("numeric({MAX_PRECISION},{scale})")
        }
        _ => format!("numeric({MAX_PRECISION},9)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modifier(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    #[test]
    fn numeric_is_carried_from_1_0_to_38_38_and_not_beyond() {
        for (precision, scale, fits) in [
            (1, 0, true),
            (38, 0, true),
            (38, 38, true),
            (39, 0, false),
            (3, 4, false),
            (5, -2, false),
            (1000, 1000, false),
        ] {
            let wire = Wire::of(&Type::NUMERIC, modifier(precision, scale));
            assert_eq!(wire.is_some(), fits, "numeric({precision},{scale})");
        }
        assert_eq!(Wire::of(&Type::NUMERIC, -1), None);
    }

    #[test]
    fn a_refused_numeric_is_offered_the_nearest_that_fits() {
        for (precision, scale, offered) in [
            (5, -2, "numeric(7,0)"),
            (3, 5, "numeric(5,5)"),
            (100, 4, "numeric(38,4)"),
            (40, 39, "numeric(38,9)"),
        ] {
            assert_eq!(numeric_substitute(modifier(precision, scale)), offered);
        }
        assert_eq!(numeric_substitute(-1), "numeric(38,9)");
    }
}
