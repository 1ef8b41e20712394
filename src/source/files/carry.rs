//! How the types of Parquet files travel: unchanged, as a wider type that holds every value, or
//! not at all.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};

/// The type that a Parquet file's Arrow type is carried as.
///
/// # Errors
/// What to do about a type that cannot be carried exactly.
pub(super) fn carried(data_type: &DataType) -> Result<DataType, String> {
    use DataType as T;
    Ok(match data_type {
        T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Float32
        | T::Float64
        | T::Utf8
        | T::Binary
        | T::Date32 => data_type.clone(),
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Null | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Decimal32(precision, scale)
        | T::Decimal64(precision, scale)
        | T::Decimal128(precision, scale)
        | T::Decimal256(precision, scale) => decimal(*precision, *scale)?,
        T::Timestamp(TimeUnit::Nanosecond, _) => {
            return Err("nanoseconds would be lost: write the files with microsecond timestamps".to_owned());
        }
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Dictionary(_, values) => carried(values)?,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => T::List(carried_field(item)?),
        T::Struct(fields) => T::Struct(fields.iter().map(carried_field).collect::<Result<Fields, String>>()?),
        T::Map(entries, sorted) => T::Map(carried_field(entries)?, *sorted),
        other => return Err(remedy(other)),
    })
}

fn decimal(precision: u8, scale: i8) -> Result<DataType, String> {
    let held = precision <= 38 && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
    if held {
        return Ok(DataType::Decimal128(precision, scale));
    }
    Err("a decimal holds 38 digits and a scale from 0 to its digits: write the column as text".to_owned())
}

fn carried_field(field: &FieldRef) -> Result<FieldRef, String> {
    let data_type = carried(field.data_type()).map_err(|why| format!("field `{}`: {why}", field.name()))?;
    Ok(Arc::new(Field::new(field.name(), data_type, field.is_nullable())))
}

fn remedy(data_type: &DataType) -> String {
    match data_type {
        DataType::Time32(_) | DataType::Time64(_) => {
            "the table format has no time of day: write the column as text".to_owned()
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            "the table format has no intervals: write the column as text or as a number of units".to_owned()
        }
        _ => "write the column as text, or leave it out of the files".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_numbers_widen_and_lossy_types_are_refused() {
        assert_eq!(carried(&DataType::UInt64), Ok(DataType::Decimal128(20, 0)));
        assert_eq!(carried(&DataType::UInt32), Ok(DataType::Int64));
        let seconds = DataType::Timestamp(TimeUnit::Second, Some("Europe/Zurich".into()));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(carried(&seconds), Ok(micros));
        for refused in [
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Decimal256(39, 2),
            DataType::Decimal128(10, -2),
            DataType::Duration(TimeUnit::Second),
        ] {
            assert!(carried(&refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_refused_field_inside_a_nested_column_is_named() {
        let inner = Field::new("at", DataType::Time64(TimeUnit::Microsecond), true);
        let nested = DataType::Struct(Fields::from(vec![inner]));
        assert!(carried(&nested).unwrap_err().contains("`at`"));
    }
}
