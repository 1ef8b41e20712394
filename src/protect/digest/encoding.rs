//! How a value becomes a number or bytes for its digest. Equal values of one kind are equal whatever width of
//! type carries them, and values of different kinds never meet: each kind has a key of its own.
//!
//! | type | kind | as |
//! |---|---|---|
//! | boolean | `boolean` | 0 or 1 |
//! | integers | `integer` | the number |
//! | decimals | `decimal.<scale>` | the unscaled number |
//! | floats | `float` | the bits of the 64-bit float; every NaN is one |
//! | date | `date` | days since 1970 |
//! | timestamp | `timestamp`, or `instant` with a zone | microseconds since 1970 |
//! | text, binary | `text`, `binary` | the bytes |
//! | struct, list, map | `nested` | the bytes of [`write()`] |

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericByteArray, PrimitiveArray};
use arrow::datatypes::{
    ByteArrayType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use super::prf::Prf;
use crate::error::{Error, Result};

/// The word for the kind of a type's values.
///
/// # Errors
/// `Failed` for a type that is not published.
pub(super) fn kind(data_type: &DataType) -> Result<String> {
    Ok(match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => "integer".to_owned(),
        DataType::Decimal128(_, scale) => format!("decimal.{scale}"),
        DataType::Float32 | DataType::Float64 => "float".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "instant".to_owned(),
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Struct(_) | DataType::List(_) | DataType::Map(..) => "nested".to_owned(),
        _ => return Err(unknown(data_type)),
    })
}

fn unknown(data_type: &DataType) -> Error {
    Error::failed(format!("values of type {data_type} have no digest"))
}

/// The sum of the function over all values of an array that are not NULL.
///
/// # Errors
/// `Failed` for a type that is not published.
pub(super) fn sum(prf: &Prf, array: &ArrayRef) -> Result<u128> {
    Ok(match array.data_type() {
        DataType::Boolean => booleans(prf, array),
        DataType::Int8 => numbers(prf, array.as_primitive::<Int8Type>(), wide),
        DataType::Int16 => numbers(prf, array.as_primitive::<Int16Type>(), wide),
        DataType::Int32 => numbers(prf, array.as_primitive::<Int32Type>(), wide),
        DataType::Int64 => numbers(prf, array.as_primitive::<Int64Type>(), wide),
        DataType::Decimal128(..) => numbers(prf, array.as_primitive::<Decimal128Type>(), wide),
        DataType::Float32 => numbers(prf, array.as_primitive::<Float32Type>(), float),
        DataType::Float64 => numbers(prf, array.as_primitive::<Float64Type>(), float),
        DataType::Date32 => numbers(prf, array.as_primitive::<Date32Type>(), wide),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            numbers(prf, array.as_primitive::<TimestampMicrosecondType>(), wide)
        }
        DataType::Utf8 => texts(prf, array.as_string::<i32>()),
        DataType::Binary => texts(prf, array.as_binary::<i32>()),
        DataType::Struct(_) | DataType::List(_) | DataType::Map(..) => nested(prf, array)?,
        other => return Err(unknown(other)),
    })
}

fn wide(number: impl Into<i128>) -> u128 {
    number.into().cast_unsigned()
}

fn float(number: impl Into<f64>) -> u128 {
    let number: f64 = number.into();
    let bits = if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() };
    bits.into()
}

fn numbers<T: ArrowPrimitiveType>(
    prf: &Prf,
    array: &PrimitiveArray<T>,
    wide: impl Fn(T::Native) -> u128,
) -> u128 {
    match array.null_count() {
        0 => prf.of_numbers(array.values().iter().map(|&value| wide(value))),
        _ => prf.of_numbers(array.iter().flatten().map(wide)),
    }
}

fn texts<T: ByteArrayType<Offset = i32>>(prf: &Prf, array: &GenericByteArray<T>) -> u128 {
    // Offsets are positive.
    let place = |offset: i32| usize::try_from(offset).unwrap_or_default();
    let ranges = array.value_offsets().windows(2).map(|ends| place(ends[0])..place(ends[1]));
    match array.nulls() {
        None => prf.of_bytes(array.value_data(), ranges),
        Some(nulls) => {
            let valid = ranges.zip(nulls).filter_map(|(range, is_valid)| is_valid.then_some(range));
            prf.of_bytes(array.value_data(), valid)
        }
    }
}

/// There are only two values, so that counting them is enough.
fn booleans(prf: &Prf, array: &ArrayRef) -> u128 {
    let array = array.as_boolean();
    let (trues, falses) = (array.true_count() as u128, array.false_count() as u128);
    let once = |value: u128| prf.of_numbers(std::iter::once(value));
    trues.wrapping_mul(once(1)).wrapping_add(falses.wrapping_mul(once(0)))
}

fn nested(prf: &Prf, array: &ArrayRef) -> Result<u128> {
    let mut bytes = Vec::new();
    let mut sum = 0_u128;
    for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
        bytes.clear();
        write(array, row, &mut bytes)?;
        sum = sum.wrapping_add(prf.of_bytes(&bytes, std::iter::once(0..bytes.len())));
    }
    Ok(sum)
}

/// A part of a nested value: a letter for its kind, then
///
/// ```text
/// number          16 bytes, little-endian (a decimal's after its scale, 1 byte)
/// text, binary    length (4) | the bytes
/// list            count (4)  | the elements
/// map             count (4)  | key and value of each entry
/// struct          for each field that is not NULL: 1 | its name, as a text | its value; then 0
/// NULL            nothing but its letter
/// ```
///
/// A field that is added to a struct later, and is NULL in the rows from before, changes nothing.
fn write(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<()> {
    if array.is_null(row) {
        out.push(b'0');
        return Ok(());
    }
    match array.data_type() {
        DataType::Boolean => number(b'b', u128::from(array.as_boolean().value(row)), out),
        DataType::Int8 => number(b'i', wide(array.as_primitive::<Int8Type>().value(row)), out),
        DataType::Int16 => number(b'i', wide(array.as_primitive::<Int16Type>().value(row)), out),
        DataType::Int32 => number(b'i', wide(array.as_primitive::<Int32Type>().value(row)), out),
        DataType::Int64 => number(b'i', wide(array.as_primitive::<Int64Type>().value(row)), out),
        DataType::Decimal128(_, scale) => {
            out.extend([b'd', scale.cast_unsigned()]);
            out.extend(wide(array.as_primitive::<Decimal128Type>().value(row)).to_le_bytes());
        }
        DataType::Float32 => number(b'f', float(array.as_primitive::<Float32Type>().value(row)), out),
        DataType::Float64 => number(b'f', float(array.as_primitive::<Float64Type>().value(row)), out),
        DataType::Date32 => number(b'D', wide(array.as_primitive::<Date32Type>().value(row)), out),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let letter = if zone.is_some() { b'Z' } else { b'T' };
            number(letter, wide(array.as_primitive::<TimestampMicrosecondType>().value(row)), out);
        }
        DataType::Utf8 => text(b't', array.as_string::<i32>().value(row).as_bytes(), out),
        DataType::Binary => text(b'x', array.as_binary::<i32>().value(row), out),
        DataType::List(_) => elements(b'l', &array.as_list::<i32>().value(row), out)?,
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            out.push(b'm');
            count(entries.len(), out);
            for entry in 0..entries.len() {
                entries.columns().iter().try_for_each(|part| write(part, entry, out))?;
            }
        }
        DataType::Struct(fields) => {
            out.push(b's');
            for (field, part) in fields.iter().zip(array.as_struct().columns()) {
                if part.is_valid(row) {
                    text(1, field.name().as_bytes(), out);
                    write(part, row, out)?;
                }
            }
            out.push(0);
        }
        other => return Err(unknown(other)),
    }
    Ok(())
}

fn elements(letter: u8, elements: &ArrayRef, out: &mut Vec<u8>) -> Result<()> {
    out.push(letter);
    count(elements.len(), out);
    (0..elements.len()).try_for_each(|element| write(elements, element, out))
}

fn number(letter: u8, number: u128, out: &mut Vec<u8>) {
    out.push(letter);
    out.extend(number.to_le_bytes());
}

fn text(letter: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(letter);
    count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Arrow counts in 31 bits.
fn count(count: usize, out: &mut Vec<u8>) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}
