//! Values carried over to another type and back: one that returns as it was has lost nothing on the way.

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// Whether values of the two types mean the same where they are equal: both are numbers, both texts, or both
/// days or instants that count from the same midnight. A number is no instant, though a cast would make it one,
/// and a local time is none of UTC.
pub(super) fn is_alike(one: &DataType, other: &DataType) -> bool {
    let has_zone = |data_type: &DataType| match data_type {
        DataType::Timestamp(_, zone) => Some(zone.is_some()),
        DataType::Date32 => Some(false),
        _ => None,
    };
    let (is_zoned, is_other_zoned) = (has_zone(one), has_zone(other));
    one == other
        || (one.is_numeric() && other.is_numeric())
        || (is_text(one) && is_text(other))
        || (is_zoned.is_some() && is_zoned == is_other_zoned)
}

/// Whether the one is a text and the other what a text spells: a number, a truth value, a day or an instant.
pub(super) fn is_spelt(one: &DataType, other: &DataType) -> bool {
    let is_plain = |data_type: &DataType| {
        data_type.is_numeric()
            || matches!(data_type, DataType::Boolean | DataType::Date32 | DataType::Timestamp(..))
    };
    (is_text(one) && is_plain(other)) || (is_plain(one) && is_text(other))
}

const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The values in another type, and which of them are exactly there. Arrow's own words of an error may quote a
/// value.
///
/// # Errors
/// Where there is no such cast.
pub(super) fn cast(column: &ArrayRef, to: &DataType) -> Result<(ArrayRef, BooleanArray), ArrowError> {
    // What the other type cannot hold is NULL there, and told from a NULL by the way back.
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let there = cast_with_options(column, to, &options)?;
    let back = cast_with_options(&there, column.data_type(), &options)?;
    let is_exact = not_distinct(&back, column)?;
    Ok((there, is_exact))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn numbers_are_no_instants_and_local_times_none_of_utc() {
        use DataType as T;
        let local = T::Timestamp(TimeUnit::Microsecond, None);
        let utc = T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (one, other) in [
            (T::Int64, T::Int32),
            (T::Int32, T::Decimal128(10, 2)),
            (T::Float32, T::Float64),
            (T::Utf8, T::LargeUtf8),
            (T::Date32, local.clone()),
            (T::Boolean, T::Boolean),
        ] {
            assert!(is_alike(&one, &other) && is_alike(&other, &one), "{one} and {other}");
        }
        for (one, other) in [
            (T::Int64, local.clone()),
            (T::Int64, utc.clone()),
            (T::Int32, T::Date32),
            (local, utc.clone()),
            (T::Date32, utc.clone()),
            (T::Boolean, T::Int8),
            (T::Utf8, T::Binary),
            (T::Utf8, T::Int32),
        ] {
            assert!(!is_alike(&one, &other) && !is_alike(&other, &one), "{one} and {other}");
        }
        assert!(is_spelt(&T::Utf8, &utc) && is_spelt(&T::Boolean, &T::Utf8));
        assert!(!is_spelt(&T::Utf8, &T::Binary) && !is_spelt(&T::Utf8, &T::Utf8));
    }
}
