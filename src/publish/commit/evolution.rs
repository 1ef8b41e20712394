//! How rows may differ from the table that they are added to.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use serde_json::Value;

use super::schema::{bare, data_type};

/// How the rows of a commit may differ from the table, as its contract says. By default in nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evolution {
    /// Columns that the table gets.
    pub added: BTreeSet<String>,
    /// Columns of the table that the rows lack: they are NULL there.
    pub absent: BTreeSet<String>,
    /// Whether the table takes the rows' schema instead of its own: every live file is written again, with
    /// new names or wider types. Such a commit is no publication of its run.
    pub reshapes: bool,
}

/// What becomes of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// It is the same.
    None,
    /// Every value of the old type is one of the new.
    Widened,
    /// Values of the old type may have no counterpart.
    Breaking,
}

/// What becomes of a column's published type under another one. What counts as wider is what Delta calls
/// type widening, without that from dates to timestamps: another meaning is no wider type.
#[must_use]
pub fn shift(published: &DataType, planned: &DataType) -> Shift {
    let (Ok(old), Ok(new)) = (data_type(published, ""), data_type(planned, "")) else {
        return if published == planned { Shift::None } else { Shift::Breaking };
    };
    if bare(&old) == bare(&new) {
        return Shift::None;
    }
    match (Number::of(&old), Number::of(&new)) {
        (Some(old), Some(new)) if old.fits(new) => Shift::Widened,
        _ => Shift::Breaking,
    }
}

/// A Delta type of numbers.
#[derive(Clone, Copy)]
enum Number {
    /// Of so many decimal digits, which the widest of its values has.
    Whole(u8),
    Float,
    Double,
    /// Precision and scale.
    Decimal(u8, u8),
}

impl Number {
    fn of(delta: &Value) -> Option<Self> {
        Some(match delta.as_str()? {
            "byte" => Self::Whole(3),
            "short" => Self::Whole(5),
            "integer" => Self::Whole(10),
            "long" => Self::Whole(19),
            "float" => Self::Float,
            "double" => Self::Double,
            other => {
                let (precision, scale) =
                    other.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
                Self::Decimal(precision.parse().ok()?, scale.parse().ok()?)
            }
        })
    }

    /// Whether every one of these numbers is one of the wider type.
    const fn fits(self, wider: Self) -> bool {
        match (self, wider) {
            (Self::Whole(digits), Self::Whole(more)) => digits < more,
            // A double holds whole numbers of 53 bits.
            (Self::Whole(digits), Self::Double) => digits <= 10,
            (Self::Whole(digits), Self::Decimal(precision, scale)) => {
                precision.saturating_sub(scale) >= digits
            }
            (Self::Float, Self::Double) => true,
            (Self::Decimal(precision, scale), Self::Decimal(more, finer)) => {
                finer >= scale && more.saturating_sub(finer) >= precision.saturating_sub(scale)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType as T, TimeUnit};

    use super::*;

    #[test]
    fn a_type_is_wider_where_no_value_is_lost() {
        let widened = [
            (T::Int8, T::Int16),
            (T::Int32, T::Int64),
            (T::Int32, T::Float64),
            (T::Int32, T::Decimal128(10, 0)),
            (T::Int64, T::Decimal128(21, 2)),
            (T::Float32, T::Float64),
            (T::Decimal128(10, 2), T::Decimal128(12, 2)),
            (T::Decimal128(10, 2), T::Decimal128(12, 4)),
        ];
        for (old, new) in widened {
            assert_eq!(shift(&old, &new), Shift::Widened, "{old} to {new}");
            assert_eq!(shift(&new, &old), Shift::Breaking, "{new} to {old}");
        }
        let breaking = [
            (T::Int64, T::Float64),
            (T::Int32, T::Decimal128(10, 1)),
            (T::Int64, T::Decimal128(18, 0)),
            (T::Decimal128(10, 2), T::Decimal128(11, 4)),
            (T::Decimal128(10, 2), T::Decimal128(12, 1)),
            (T::Decimal128(10, 2), T::Float64),
            (T::Date32, T::Timestamp(TimeUnit::Microsecond, None)),
            (T::Int32, T::Utf8),
            (T::Utf8, T::Binary),
        ];
        for (old, new) in breaking {
            assert_eq!(shift(&old, &new), Shift::Breaking, "{old} to {new}");
        }
        for (old, new) in [(T::Utf8, T::LargeUtf8), (T::Int64, T::Int64), (T::Binary, T::FixedSizeBinary(4))]
        {
            assert_eq!(shift(&old, &new), Shift::None, "{old} to {new}");
        }
    }
}
