//! Single values: from the bytes of a binary row to numbers, or to texts where no type fits.

use std::io::Write;

use super::column::Fault;

/// 10^0 to 10^38.
const POWERS: [i128; 39] = {
    let mut powers = [1_i128; 39];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Digits that surely fit 64 bits.
const SHORT_DIGITS: usize = 18;

/// The value times 10^`scale`; `None` for what is no decimal of this precision and scale. Nothing
/// is ever rounded.
#[inline]
pub(super) fn decimal(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let scale = usize::try_from(scale).ok()?;
    let (whole, fraction) = if scale == 0 {
        (digits, &[][..])
    } else {
        let (whole, fraction) = digits.split_at_checked(digits.len().checked_sub(scale + 1)?)?;
        let [b'.', fraction @ ..] = fraction else { return None };
        (whole, fraction)
    };
    let value = if whole.len() + fraction.len() <= SHORT_DIGITS {
        i128::from(short_digits(fraction, short_digits(whole, 0)?)?)
    } else {
        long_digits(fraction, long_digits(whole, 0)?)?
    };
    if digits.is_empty() || value >= *POWERS.get(usize::from(precision))? {
        return None;
    }
    Some(if negative { -value } else { value })
}

#[inline]
fn short_digits(digits: &[u8], before: u64) -> Option<u64> {
    let mut value = before;
    let mut wrong = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        wrong |= u8::from(digit > 9);
        value = value * 10 + u64::from(digit);
    }
    (wrong == 0).then_some(value)
}

#[cold]
fn long_digits(digits: &[u8], before: i128) -> Option<i128> {
    digits.iter().try_fold(before, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit <= 9).then_some(())?;
        value.checked_mul(10)?.checked_add(i128::from(digit))
    })
}

/// Days since 1970.
#[inline]
pub(super) fn date(bytes: &[u8]) -> Result<i32, Fault> {
    match *bytes {
        [y0, y1, month, day] => days(u16::from_le_bytes([y0, y1]), month, day),
        // A query may give a date with a time of midnight.
        [y0, y1, month, day, 0, 0, 0] => days(u16::from_le_bytes([y0, y1]), month, day),
        [] => Err(Fault::ZeroDate),
        _ => Err(Fault::Malformed),
    }
}

/// Microseconds since 1970.
#[inline]
pub(super) fn timestamp(bytes: &[u8]) -> Result<i64, Fault> {
    let (day, time) = bytes.split_at_checked(4).unwrap_or((bytes, &[]));
    let day = i64::from(date(day)?) * MICROS_PER_DAY;
    let clock = |hour: u8, minute: u8, second: u8| {
        if hour > 23 || minute > 59 || second > 59 {
            return Err(Fault::Malformed);
        }
        Ok(((i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second)) * 1_000_000)
    };
    match *time {
        [] => Ok(day),
        [hour, minute, second] => Ok(day + clock(hour, minute, second)?),
        [hour, minute, second, m0, m1, m2, m3] => {
            let micros = u32::from_le_bytes([m0, m1, m2, m3]);
            if micros >= 1_000_000 {
                return Err(Fault::Malformed);
            }
            Ok(day + clock(hour, minute, second)? + i64::from(micros))
        }
        _ => Err(Fault::Malformed),
    }
}

/// Days since 1970 in the proleptic Gregorian calendar.
#[inline]
fn days(year: u16, month: u8, day: u8) -> Result<i32, Fault> {
    if month == 0 || day == 0 {
        return Err(Fault::ZeroDate);
    }
    if month > 12 || day > month_days(year, month) {
        return Err(Fault::NoDate);
    }
    Ok(days_from_civil(i32::from(year), i32::from(month), i32::from(day)))
}

#[inline]
fn month_days(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts from a year that begins in March, so that the leap day is the last; years from 0 on.
#[inline]
pub(super) fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    // Four centuries later everything repeats, and nothing is negative.
    let (year, month) = if month > 2 { (year + 400, month - 3) } else { (year + 399, month + 9) };
    let (century, in_century) = (year / 100, year % 100);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    century * 146_097 / 4 + in_century * 1461 / 4 + day_of_year - 719_468 - 146_097
}

/// `[-]HH:MM:SS[.ffffff]`, hours as many as there are.
pub(super) fn time(bytes: &[u8], decimals: u8, out: &mut Vec<u8>) -> Option<()> {
    let (sign, days, hour, minute, second, micros) = match *bytes {
        [] => (0, 0, 0, 0, 0, 0),
        [sign, d0, d1, d2, d3, hour, minute, second] => {
            (sign, u32::from_le_bytes([d0, d1, d2, d3]), hour, minute, second, 0)
        }
        [sign, d0, d1, d2, d3, hour, minute, second, m0, m1, m2, m3] => {
            let micros = u32::from_le_bytes([m0, m1, m2, m3]);
            (sign, u32::from_le_bytes([d0, d1, d2, d3]), hour, minute, second, micros)
        }
        _ => return None,
    };
    let hours = days.checked_mul(24)?.checked_add(u32::from(hour))?;
    let sign = if sign == 0 { "" } else { "-" };
    write!(out, "{sign}{hours:02}:{minute:02}:{second:02}").ok()?;
    if decimals > 0 || micros > 0 {
        // A value never has more decimals than its column, unless the column does not say.
        let shown = if micros % 10_u32.pow(6 - u32::from(decimals)) == 0 { decimals } else { 6 };
        let fraction = format!("{micros:06}");
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes().get(..usize::from(shown))?);
    }
    Some(())
}

/// The last `width` binary digits of the bytes.
pub(super) fn bits(bytes: &[u8], width: u8, out: &mut Vec<u8>) -> Option<()> {
    let value =
        bytes.iter().try_fold(0_u128, |value, byte| Some(value.checked_mul(256)? | u128::from(*byte)))?;
    if bytes.len() > 8 || value >> width != 0 {
        return None;
    }
    out.extend((0..width).rev().map(|bit| b'0' + u8::from(value >> bit & 1 == 1)));
    Some(())
}

/// `SRID=4326;0101…`: the four bytes in front, then the well-known binary in hexadecimal.
pub(super) fn geometry(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let (srid, shape) = bytes.split_first_chunk::<4>()?;
    write!(out, "SRID={};", u32::from_le_bytes(*srid)).ok()?;
    out.extend(shape.iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]));
    Some(())
}

/// The shortest text that reads back to the same float.
pub(super) fn float(value: f32, out: &mut Vec<u8>) -> Option<()> {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-5..1e15).contains(&magnitude) {
        return write!(out, "{value:e}").ok();
    }
    write!(out, "{value}").ok()
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
