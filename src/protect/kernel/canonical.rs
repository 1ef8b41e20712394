//! The one byte form of each value that hashes and tokens are made from. Equal values have equal
//! bytes whatever column type carries them, so that pseudonyms join across tables:
//!
//! | type | bytes |
//! |---|---|
//! | text | its UTF-8 bytes |
//! | binary | its bytes |
//! | integer | decimal text: `-42` |
//! | decimal | decimal text without trailing zeros: `12.50` as `12.5`, `42.00` as `42` |
//! | date | ISO 8601: `2024-02-29`; years outside 0 to 9999 with sign: `-0044-03-15` |
//! | timestamp | `2024-02-29T12:00:00.000000Z`, always six decimals; without `Z` where it has no zone |
//!
//! So integer 42, decimal 42.00 and text `42` give the same pseudonym.

use std::io::Write;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use super::calendar;
use crate::error::{Error, Result};

/// Hands every value of `array` to `take` in canonical form, in row order; NULL as `None`.
///
/// # Errors
/// Those of `take`; `Failed` for a type without a canonical form.
pub(super) fn each(array: &ArrayRef, mut take: impl FnMut(Option<&[u8]>) -> Result<()>) -> Result<()> {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().try_for_each(|v| take(v.map(str::as_bytes))),
        DataType::Binary => array.as_binary::<i32>().iter().try_for_each(take),
        DataType::Int8 => numbers(array.as_primitive::<Int8Type>(), integer, take),
        DataType::Int16 => numbers(array.as_primitive::<Int16Type>(), integer, take),
        DataType::Int32 => numbers(array.as_primitive::<Int32Type>(), integer, take),
        DataType::Int64 => numbers(array.as_primitive::<Int64Type>(), integer, take),
        DataType::Date32 => numbers(array.as_primitive::<Date32Type>(), |v, out| date(v.into(), out), take),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let end = if zone.is_some() { "Z" } else { "" };
            numbers(array.as_primitive::<TimestampMicrosecondType>(), |v, out| timestamp(v, end, out), take)
        }
        DataType::Decimal128(_, scale) => {
            let scale = usize::try_from(*scale)
                .map_err(|_| Error::failed("a decimal of negative scale has no canonical form"))?;
            numbers(array.as_primitive::<Decimal128Type>(), |v, out| decimal(v, scale, out), take)
        }
        other => Err(Error::failed(format!("{other} has no canonical form"))),
    }
}

fn numbers<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    write: impl Fn(T::Native, &mut Vec<u8>),
    mut take: impl FnMut(Option<&[u8]>) -> Result<()>,
) -> Result<()> {
    let mut bytes = Vec::with_capacity(64);
    for value in array {
        match value {
            Some(value) => {
                bytes.clear();
                write(value, &mut bytes);
                take(Some(&bytes))?;
            }
            None => take(None)?,
        }
    }
    Ok(())
}

// Writing into a vector cannot fail.

fn integer<T: std::fmt::Display + Copy>(value: T, out: &mut Vec<u8>) {
    let _ = write!(out, "{value}");
}

fn decimal(value: i128, scale: usize, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let start = out.len();
    // One digit more than the scale, so that there is one before the point.
    let _ = write!(out, "{:0width$}", value.unsigned_abs(), width = scale + 1);
    if scale == 0 {
        return;
    }
    let point = out.len() - scale;
    let zeros = out[point..].iter().rev().take_while(|digit| **digit == b'0').count();
    out.truncate(out.len() - zeros);
    if out.len() > point.max(start) {
        out.insert(point, b'.');
    }
}

fn date(days_since_1970: i64, out: &mut Vec<u8>) {
    let (year, month, day) = calendar::civil(days_since_1970);
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        _ => write!(out, "{year:+05}-{month:02}-{day:02}"),
    };
}

fn timestamp(micros: i64, end: &str, out: &mut Vec<u8>) {
    const DAY: i64 = 86_400_000_000;
    date(micros.div_euclid(DAY), out);
    let rest = micros.rem_euclid(DAY);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "T{hour:02}:{minute:02}:{second:02}.{fraction:06}{end}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };

    use super::*;

    fn texts(array: impl Array + 'static) -> Vec<Option<String>> {
        let array: ArrayRef = Arc::new(array);
        let mut seen = Vec::new();
        each(&array, |v| {
            seen.push(v.map(|v| String::from_utf8(v.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
        seen
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|t| Some((*t).to_owned())).collect()
    }

    #[test]
    fn numbers_are_plain_decimal_text_so_that_they_join() {
        assert_eq!(texts(StringArray::from(vec!["42"])), some(&["42"]));
        let ints = Int64Array::from(vec![42, -1, 0, i64::MIN]);
        assert_eq!(texts(ints), some(&["42", "-1", "0", "-9223372036854775808"]));
        let decimals = Decimal128Array::from(vec![4200, 1250, -5, 0, 100, -999_999])
            .with_precision_and_scale(10, 2)
            .unwrap();
        assert_eq!(texts(decimals), some(&["42", "12.5", "-0.05", "0", "1", "-9999.99"]));
        let whole = Decimal128Array::from(vec![4200]).with_precision_and_scale(10, 0).unwrap();
        assert_eq!(texts(whole), some(&["4200"]));
    }

    #[test]
    fn dates_agree_with_a_calendar_and_reach_further() {
        for days in (-800_000..3_000_000).step_by(97) {
            let mut ours = Vec::new();
            date(days, &mut ours);
            let theirs = chrono::DateTime::UNIX_EPOCH.date_naive() + chrono::Duration::days(days);
            assert_eq!(String::from_utf8(ours).unwrap(), theirs.to_string(), "{days}");
        }
        let ends = texts(Date32Array::from(vec![i32::MIN, i32::MAX]));
        assert_eq!(ends, some(&["-5877641-06-23", "+5881580-07-11"]));
    }

    #[test]
    fn timestamps_have_six_decimals_and_a_z_only_with_a_zone() {
        let values = vec![Some(0), Some(-1), Some(1_709_208_000_000_001), None];
        let plain = TimestampMicrosecondArray::from(values.clone());
        assert_eq!(texts(plain)[1].as_deref(), Some("1969-12-31T23:59:59.999999"));
        let zoned = TimestampMicrosecondArray::from(values).with_timezone("UTC");
        let mut expected = some(&[
            "1970-01-01T00:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "2024-02-29T12:00:00.000001Z",
        ]);
        expected.push(None);
        assert_eq!(texts(zoned), expected);
    }

    #[test]
    fn a_type_without_a_canonical_form_is_an_error() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
        assert!(each(&floats, |_| Ok(())).is_err());
    }
}
