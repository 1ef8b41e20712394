//! What drivers write as text: numbers, days and instants, read strictly.

use super::column::Fault;

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;
const DAY_MICROS: i64 = 86_400_000_000;

const NO_DAY: Fault = Fault::Holds("a date that is no day of the calendar");
const NO_INSTANT: Fault = Fault::Holds("a timestamp that is no instant of the calendar");
const INFINITE: Fault = Fault::Holds("an infinite date");

/// Text that can only be ASCII, trimmed.
pub(super) fn ascii<'a>(units: &[u16], text: &'a mut String) -> Result<&'a str, Fault> {
    text.clear();
    for unit in units {
        match u8::try_from(*unit) {
            Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => return Err(Fault::Holds("text where a number or a date is described")),
        }
    }
    Ok(text.trim())
}

/// A plain decimal number, as an integer of `scale` decimals.
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Result<i128, Fault> {
    const NO_NUMBER: Fault = Fault::Holds("a value that is no plain number");
    const TOO_LONG: Fault = Fault::Holds("a number with more digits than its column is described with");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(NO_NUMBER);
    }
    let scale = usize::try_from(scale).map_err(|_| TOO_LONG)?;
    let kept = fraction.get(..scale.min(fraction.len())).ok_or(NO_NUMBER)?;
    let beyond = fraction.get(kept.len()..).ok_or(NO_NUMBER)?;
    let mut number: i128 = 0;
    for digit in whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', scale - kept.len())) {
        if !digit.is_ascii_digit() {
            return Err(NO_NUMBER);
        }
        let next = number.checked_mul(10).and_then(|n| n.checked_add(i128::from(digit - b'0')));
        number = next.ok_or(TOO_LONG)?;
    }
    if !beyond.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NO_NUMBER);
    }
    if beyond.bytes().any(|b| b != b'0') || number >= 10_i128.pow(u32::from(precision)) {
        return Err(TOO_LONG);
    }
    Ok(if negative { -number } else { number })
}

/// A number as the shortest text that gives its bits back, NaN and infinities included.
pub(super) fn real<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    if numeric || matches!(text, "NaN" | "Infinity" | "-Infinity") {
        text.parse().map_err(|_| Fault::Holds("a value that is no number"))
    } else {
        Err(Fault::Holds("a value that is no number"))
    }
}

/// A whole number.
pub(super) fn int64(text: &str) -> Result<i64, Fault> {
    text.parse().map_err(|_| Fault::Holds("a value that is no whole number of 64 bits"))
}

/// The bytes of a `bit(1)`.
pub(super) fn bit(bytes: &[u8]) -> Result<bool, Fault> {
    match bytes {
        [rest @ .., last @ 0..=1] if rest.iter().all(|byte| *byte == 0) => Ok(*last == 1),
        _ => Err(Fault::Odd),
    }
}

/// Days since 1970 of a day of the proleptic Gregorian calendar; year 0 is 1 BC.
pub(super) fn days(year: i32, month: u16, day: u16) -> Result<i32, Fault> {
    use chrono::Datelike;
    let date = chrono::NaiveDate::from_ymd_opt(year, u32::from(month), u32::from(day)).ok_or(NO_DAY)?;
    Ok(date.num_days_from_ce() - EPOCH_FROM_CE)
}

/// `YYYY-MM-DD`, with ` BC` for years before 1.
pub(super) fn date(text: &str) -> Result<i32, Fault> {
    let (text, before_christ) = match text.strip_suffix("BC") {
        Some(text) => (text.trim_end(), true),
        None => (text, false),
    };
    if text.to_ascii_lowercase().contains("inf") {
        return Err(INFINITE);
    }
    let mut parts = text.splitn(3, '-');
    let mut part = || parts.next().filter(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let (Some(year), Some(month), Some(day)) = (part(), part(), part()) else { return Err(NO_DAY) };
    let year: i32 = year.parse().map_err(|_| NO_DAY)?;
    if year == 0 {
        return Err(NO_DAY);
    }
    let year = if before_christ { 1 - year } else { year };
    days(year, month.parse().map_err(|_| NO_DAY)?, day.parse().map_err(|_| NO_DAY)?)
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]`, as microseconds since 1970; a zone only if it is UTC.
pub(super) fn timestamp(text: &str) -> Result<i64, Fault> {
    let (text, era) = match text.strip_suffix("BC") {
        Some(text) => (text.trim_end(), "BC"),
        None => (text, ""),
    };
    if text.to_ascii_lowercase().contains("inf") {
        return Err(INFINITE);
    }
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let day = date(&format!("{day}{era}"))?;
    let time = time.strip_suffix("+00").or_else(|| time.strip_suffix('Z')).unwrap_or(time);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = clock.splitn(3, ':');
    let mut part = || parts.next().filter(|p| p.len() == 2).and_then(|p| p.parse::<u32>().ok());
    let (Some(hour), Some(minute), Some(second)) = (part(), part(), part()) else { return Err(NO_INSTANT) };
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NO_INSTANT);
    }
    let (kept, beyond) = fraction.split_at_checked(fraction.len().min(6)).ok_or(NO_INSTANT)?;
    if beyond.bytes().any(|b| b != b'0') {
        return Err(Fault::Holds("a timestamp finer than microseconds"));
    }
    let micros: u32 = format!("{kept:0<6}").parse().map_err(|_| NO_INSTANT)?;
    instant(day, [hour, minute, second], micros)
}

/// Microseconds since 1970.
pub(super) fn instant(day: i32, [hour, minute, second]: [u32; 3], micros: u32) -> Result<i64, Fault> {
    if hour > 23 || minute > 59 || second > 59 {
        return Err(NO_INSTANT);
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Ok(i64::from(day) * DAY_MICROS + seconds * 1_000_000 + i64::from(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("-12.30", 10, 2), Ok(-1230));
        assert_eq!(decimal(".5", 3, 2), Ok(50));
        assert_eq!(decimal("1.2000", 3, 1), Ok(12));
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Ok(10_i128.pow(38) - 1));
        for text in ["1.23", "1000", "", "-", ".", "NaN", "1e3", "1,5", "--1", "1.2x", "1.-2"] {
            assert!(decimal(text, 3, 1).is_err(), "{text}");
        }
        assert!(decimal(&"9".repeat(39), 38, 0).is_err());
    }

    #[test]
    fn numbers_as_text_keep_every_bit_and_money_is_none() {
        assert_eq!(real::<f64>("5e-324"), Ok(5e-324));
        assert!(real::<f32>("NaN").unwrap().is_nan());
        for text in ["$12.50", "12,5", "", "inf", "0x1"] {
            assert!(real::<f64>(text).is_err(), "{text}");
        }
        assert_eq!(int64("-9223372036854775808"), Ok(i64::MIN));
        assert!(int64("1.5").is_err() && int64("9223372036854775808").is_err());
        assert_eq!((bit(&[1]), bit(&[0, 0]), bit(&[2])), (Ok(true), Ok(false), Err(Fault::Odd)));
    }

    #[test]
    fn trap_zero_dates_and_infinities_are_refused() {
        for text in
            ["0000-00-00", "2024-00-10", "2023-02-29", "infinity", "-Infinity", "", "2024-1", "x-01-01"]
        {
            assert!(date(text).is_err(), "{text}");
        }
        assert_eq!(date("1970-01-01"), Ok(0));
        assert_eq!(date("0001-12-31 BC"), Ok(-719_163));
        assert_eq!(date("1582-10-10"), days(1582, 10, 10));
    }

    #[test]
    fn timestamps_keep_every_microsecond_and_nothing_finer() {
        assert_eq!(timestamp("1969-12-31 23:59:59.999999"), Ok(-1));
        assert_eq!(timestamp("1970-01-01 00:00:01.5"), Ok(1_500_000));
        assert_eq!(timestamp("1970-01-01T00:00:00.0000010Z"), Ok(1));
        for text in
            ["1970-01-01 24:00:00", "1970-01-01 00:00:00.0000001", "1970-01-01 00:00", "1970-01-01 1:2:3"]
        {
            assert!(timestamp(text).is_err(), "{text}");
        }
    }
}
