//! Texts into values, exactly or not at all: what files and databases have in common. Nothing here keeps
//! or shows a text.

/// What a plain number's text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// Digits before the point, a lone zero not counted.
    pub(super) int_digits: usize,
    /// Digits after the point.
    pub(super) scale: usize,
    /// Written with an exponent.
    pub(super) exponent: bool,
}

/// Whether the text is a number in the one way that a number formats to: no leading zero or plus,
/// no negative zero, digits on both sides of a point.
pub(super) fn number(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let (negative, rest) = match bytes.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, bytes),
    };
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return None;
    }
    let (mut at, mut scale) = (whole, 0);
    if rest.get(at) == Some(&b'.') {
        scale = digits(&rest[at + 1..]);
        if scale == 0 {
            return None;
        }
        at += 1 + scale;
    }
    if negative && !rest[..at].iter().any(|byte| matches!(byte, b'1'..=b'9')) {
        return None;
    }
    let exponent = matches!(rest.get(at), Some(b'e' | b'E'));
    if exponent {
        at += 1;
        at += usize::from(matches!(rest.get(at), Some(b'+' | b'-')));
        let length = digits(&rest[at..]);
        if length == 0 {
            return None;
        }
        at += length;
    }
    let int_digits = if rest[0] == b'0' { 0 } else { whole };
    (at == rest.len()).then_some(Number { int_digits, scale, exponent })
}

/// How many digits the bytes begin with.
pub(super) fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A whole number; a sign and leading zeros are allowed.
pub(super) fn int64(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (negative, rest) = sign(bytes);
    // Up to 18 digits cannot overflow.
    if rest.is_empty() || rest.len() > 18 {
        return text.parse().ok();
    }
    let mut value: i64 = 0;
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// Whether the bytes begin with a minus, and what follows a sign.
pub(super) fn sign(bytes: &[u8]) -> (bool, &[u8]) {
    match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, bytes),
    }
}

/// A plain decimal that `decimal(precision, scale)` holds exactly, in units of its scale. Digits
/// past the scale must be zeros.
pub(super) fn decimal(text: &str, precision: u8, scale: usize) -> Option<i128> {
    let (negative, rest) = sign(text.as_bytes());
    let whole = digits(rest);
    let fraction = match &rest[whole..] {
        [] => &[][..],
        [b'.', fraction @ ..] => fraction,
        _ => return None,
    };
    if whole + fraction.len() == 0 || digits(fraction) != fraction.len() {
        return None;
    }
    let (kept, excess) = fraction.split_at(fraction.len().min(scale));
    if excess.iter().any(|byte| *byte != b'0') {
        return None;
    }
    // So few digits fit for sure, and into 64 bits.
    if whole + scale <= usize::from(precision.min(18)) {
        let add = |value: u64, byte: &u8| value * 10 + u64::from(byte - b'0');
        let value = kept.iter().fold(rest[..whole].iter().fold(0, add), add);
        let units = i128::from((kept.len()..scale).fold(value, |value, _| value * 10));
        return Some(if negative { -units } else { units });
    }
    let mut value: i128 = 0;
    // A value below this has room for one more digit.
    let room = 10_i128.pow(u32::from(precision.clamp(1, 38)) - 1);
    let padding = std::iter::repeat_n(&b'0', scale - kept.len());
    for byte in rest[..whole].iter().chain(kept).chain(padding) {
        if value >= room {
            return None;
        }
        value = value * 10 + i128::from(byte - b'0');
    }
    Some(if negative { -value } else { value })
}

/// The double nearest to a number's text; also `NaN`, `Infinity` and `-Infinity`. `None` where
/// the number is too great, or too small to be told from zero.
pub(super) fn float64(text: &str) -> Option<f64> {
    match text {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    let is_zero = |mantissa: &str| !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    (value != 0.0 || text.split(['e', 'E']).next().is_some_and(is_zero)).then_some(value)
}

/// The last whole number before doubles skip one.
const FLOAT_WHOLE_MAX: u64 = 1 << 53;

/// Whether a number's text and the double nearest to it are the same number when that double is
/// written in its shortest form.
pub(super) fn survives_float64(text: &str) -> bool {
    // Up to here doubles lie at most one apart, so that a whole number is the shortest form of its own.
    if int64(text).is_some_and(|whole| whole.unsigned_abs() <= FLOAT_WHOLE_MAX) {
        return true;
    }
    let Some(value) = float64(text) else { return false };
    canonical(text).is_some_and(|written| canonical(&format!("{value:e}")) == Some(written))
}

/// Sign, significant digits and the power of ten of the last of them: equal for equal numbers. The text
/// is a number without a plus.
pub(super) fn canonical(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let led = all.trim_start_matches('0');
    let significant = led.trim_end_matches('0');
    if significant.is_empty() {
        return Some((negative, String::new(), 0));
    }
    let power = i64::from(exponent) - i64::try_from(fraction.len()).ok()?
        + i64::try_from(led.len() - significant.len()).ok()?;
    Some((negative, significant.to_owned(), power))
}

/// `YYYY-MM-DD` of the years 1 to 9999 (proleptic Gregorian), as days since 1970-01-01.
pub(super) fn date(text: &str) -> Option<i32> {
    date_bytes(text.as_bytes().as_array()?)
}

fn date_bytes(bytes: &[u8; 10]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *bytes else { return None };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    if year == 0 {
        return None;
    }
    days(i64::from(year), two(m1, m2)?, two(d1, d2)?).and_then(|days| i32::try_from(days).ok())
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar; the year before 1 is 0. `None`
/// where there is no such day. The year has at most seven digits.
pub(super) fn days(year: i64, month: i32, day: i32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    // Years counted from March, so that the leap day is the last of its year.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 1970-01-01 is day 719,468 after 0000-03-01.
    Some(year * 365 + leaps + i64::from((month * 153 + 2) / 5 + day - 1) - 719_468)
}

/// A number of two digits.
pub(super) fn two(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

const DAY_US: i64 = 86_400_000_000;
/// 0001-01-01 and 9999-12-31.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_896;

/// `YYYY-MM-DD HH:MM:SS[.ffffff]`, `T` or a space between, no zone; microseconds since 1970-01-01.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    match local(text.as_bytes())? {
        (micros, []) => Some(micros),
        _ => None,
    }
}

/// As [`timestamp`] with `Z` or an offset `+HH:MM` behind; microseconds since 1970-01-01 UTC. The
/// instant must lie in the years 1 to 9999 of UTC.
pub(super) fn timestamptz(text: &str) -> Option<i64> {
    let (micros, zone) = local(text.as_bytes())?;
    let minutes = match *zone {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            let total = hours * 60 + minutes;
            // RFC 3339: -00:00 says that the offset is not known.
            if hours > 23 || minutes > 59 || (sign == b'-' && total == 0) {
                return None;
            }
            if sign == b'-' { -total } else { total }
        }
        _ => return None,
    };
    let instant = micros - i64::from(minutes) * 60_000_000;
    (FIRST_DAY * DAY_US..(LAST_DAY + 1) * DAY_US).contains(&instant).then_some(instant)
}

/// Date and time, and what follows them.
fn local(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (day, rest) = bytes.split_first_chunk::<10>()?;
    let days = i64::from(date_bytes(day)?);
    let (time, mut rest) = rest.split_first_chunk::<9>()?;
    let [b'T' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = *time else { return None };
    let (hours, minutes, seconds) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let mut micros = 0;
    if let [b'.', fraction @ ..] = rest {
        (micros, rest) = fraction_us(fraction)?;
    }
    let second_of_day = i64::from(hours * 3600 + minutes * 60 + seconds);
    Some((days * DAY_US + second_of_day * 1_000_000 + micros, rest))
}

/// Microseconds of what stands behind a second's point, and what follows. Digits past the sixth must be
/// zeros.
pub(super) fn fraction_us(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (fraction, rest) = bytes.split_at_checked(digits(bytes))?;
    let (kept, excess) = fraction.split_at(fraction.len().min(6));
    if fraction.is_empty() || excess.iter().any(|byte| *byte != b'0') {
        return None;
    }
    let micros = kept.iter().fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
    Some((micros * 10_i64.pow(6 - u32::try_from(kept.len()).ok()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_identifiers_that_look_like_numbers_are_not_numbers() {
        for text in
            ["007", "+7", "-0", "-0.0", "-0e0", ".5", "5.", "", "-", "1 ", "1e", "0x10", "1_000", "00", "٣"]
        {
            assert_eq!(number(text), None, "{text}");
        }
        let plain = |int_digits, scale| Some(Number { int_digits, scale, exponent: false });
        assert_eq!(number("0"), plain(0, 0));
        assert_eq!(number("-12.50"), plain(2, 2));
        assert_eq!(number("0.001"), plain(0, 3));
        assert_eq!(number("1.5E-7"), Some(Number { int_digits: 1, scale: 1, exponent: true }));
    }

    #[test]
    fn whole_numbers_parse_to_the_edge_and_not_beyond() {
        assert_eq!(int64("9223372036854775807"), Some(i64::MAX));
        assert_eq!(int64("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(int64("9223372036854775808"), None);
        assert_eq!(int64("0007"), Some(7));
        for text in ["", "-", "+", "1.0", "1e3", " 1", "--1", "1/", "1:"] {
            assert_eq!(int64(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("1.5", 4, 2), Some(150));
        assert_eq!(decimal("-99.99", 4, 2), Some(-9999));
        assert_eq!(decimal("100.00", 4, 2), None, "too long");
        assert_eq!(decimal("1.250", 4, 2), Some(125), "excess zeros");
        assert_eq!(decimal("1.251", 4, 2), None, "excess digits");
        assert_eq!(decimal("-0.05", 18, 4), Some(-500), "padded");
        assert_eq!(decimal("99999999999999.9999", 18, 4), Some(999_999_999_999_999_999));
        assert_eq!(decimal("999999999999999.9999", 19, 4), Some(9_999_999_999_999_999_999));
        assert_eq!(decimal("0000000000000000000001.5", 4, 2), Some(150), "zeros in front");
        assert_eq!(decimal("100", 4, 2), None, "too long for its scale");
        let nines = "9".repeat(38);
        assert_eq!(decimal(&nines, 38, 0).map(|value| value.to_string()), Some(nines));
        assert_eq!(decimal(&"9".repeat(39), 38, 0), None);
        assert_eq!(decimal(&"9".repeat(400), 38, 0), None);
        for text in ["", ".", "-", "1e2", "1.2.3", "NaN"] {
            assert_eq!(decimal(text, 38, 2), None, "{text}");
        }
    }

    #[test]
    fn a_float_survives_only_when_its_shortest_form_is_the_same_number() {
        for text in ["1e5", "1.50e-3", "100000", "0.1", "-2.5E+10", "0e0", "1.7976931348623157e308"] {
            assert!(survives_float64(text), "{text}");
        }
        for text in ["9007199254740991", "-9007199254740992", "4111111111111111", "9007199254740994"] {
            assert!(survives_float64(text), "{text}");
        }
        for text in ["9007199254740993", "0.12345678901234567890", "1e999", "1e-999", "1e99999999999"] {
            assert!(!survives_float64(text), "{text}");
        }
    }

    #[test]
    fn dates_agree_with_the_calendar_of_another_library() {
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let mut day = chrono::NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
        let last = chrono::NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
        while day < last {
            let expected = i32::try_from((day - epoch).num_days()).unwrap();
            assert_eq!(date(&day.format("%Y-%m-%d").to_string()), Some(expected));
            day += chrono::TimeDelta::days(17);
        }
        assert_eq!(date("9999-12-31").map(i64::from), Some((last - epoch).num_days()));
        for text in ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-00", "2024-04-31"] {
            assert_eq!(date(text), None, "{text}");
        }
        for text in
            ["0000-01-01", "2024-1-1", "24-01-01", "2024/01/01", "20240101", "2024-01-01 ", "12024-01-01"]
        {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn timestamps_keep_microseconds_and_the_instant() {
        assert_eq!(timestamp("1970-01-01 00:00:01"), Some(1_000_000));
        assert_eq!(timestamp("1969-12-31T23:59:59.999999"), Some(-1));
        assert_eq!(timestamp("1970-01-01 00:00:00.5"), Some(500_000));
        assert_eq!(timestamp("1970-01-01 00:00:00.1234560"), Some(123_456));
        assert_eq!(timestamptz("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(timestamptz("1969-12-31T23:00:00.25-01:00"), Some(250_000));
        for text in
            ["1970-01-01", "1970-01-01 24:00:00", "1970-01-01 00:00:60", "1970-01-01 00:00:00.1234567"]
        {
            assert_eq!(timestamp(text), None, "{text}");
        }
        for text in ["1970-01-01 00:00:00", "1970-01-01 00:00:00-00:00", "1970-01-01 00:00:00+0200"] {
            assert_eq!(timestamptz(text), None, "{text}");
        }
        assert_eq!(timestamptz("0001-01-01 00:00:00+14:00"), None, "before the year 1 of UTC");
        assert_eq!(timestamptz("9999-12-31 23:59:59-00:01"), None, "after the year 9999 of UTC");
        assert_eq!(date("0001-01-01").map(i64::from), Some(FIRST_DAY));
        assert_eq!(date("9999-12-31").map(i64::from), Some(LAST_DAY));
    }
}
