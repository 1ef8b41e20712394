//! The texts that databases write, into values: exactly or not at all. Nothing here keeps or shows a text.
//!
//! A number fits where the type holds the same number; so do digits behind its scale that are zeros,
//! and forms with an exponent. A double fits where it gives the text's digits back. A date or time fits
//! where the type holds the same day or instant; a zone is never dropped and never made up.

use crate::source::value::{self, canonical, digits, sign, two};

/// Most significant digits that a double's exact value has.
const DOUBLE_DIGITS_MAX: usize = 767;
/// A double gives back any number of so many significant digits.
const DOUBLE_DIGITS_SAFE: usize = 15;
const DAY_US: i64 = 86_400_000_000;

/// `true` and `false`, their first letters, and 1 and 0.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if is("true") || is("t") => Some(true),
        _ if is("false") || is("f") => Some(false),
        _ => None,
    }
}

/// A whole number, however it is written (`5`, `5.00`, `5e3`).
pub(super) fn int64(text: &str) -> Option<i64> {
    value::int64(text).or_else(|| i64::try_from(decimal(text, 38, 0)?).ok())
}

/// A number that `decimal(precision, scale)` holds, in units of its scale.
pub(super) fn decimal(text: &str, precision: u8, scale: usize) -> Option<i128> {
    value::decimal(text, precision, scale).or_else(|| scientific(text, precision, scale))
}

/// As [`decimal`], of a text with an exponent.
fn scientific(text: &str, precision: u8, scale: usize) -> Option<i128> {
    if !text.contains(['e', 'E']) || !is_number(text) {
        return None;
    }
    let (negative, significant, power) = canonical(text.strip_prefix('+').unwrap_or(text))?;
    if significant.is_empty() {
        return Some(0);
    }
    let shift = usize::try_from(power.checked_add(i64::try_from(scale).ok()?)?).ok()?;
    if significant.len().checked_add(shift)? > usize::from(precision.min(38)) {
        return None;
    }
    let units = significant.parse::<i128>().ok()? * 10_i128.pow(u32::try_from(shift).ok()?);
    Some(if negative { -units } else { units })
}

/// Whether the text is a plain number, with or without sign, point and exponent.
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (_, mantissa) = sign(mantissa.as_bytes());
    let whole = digits(mantissa);
    let fraction = match &mantissa[whole..] {
        [] => Some(0),
        [b'.', fraction @ ..] if digits(fraction) == fraction.len() => Some(fraction.len()),
        _ => None,
    };
    let is_exponent = |exponent: &str| {
        let (_, exponent) = sign(exponent.as_bytes());
        !exponent.is_empty() && digits(exponent) == exponent.len()
    };
    fraction.is_some_and(|fraction| whole + fraction > 0) && exponent.is_none_or(is_exponent)
}

/// The double that gives the text's digits back; NaN and the infinities too.
pub(super) fn float64(text: &str) -> Option<f64> {
    let (negative, name) = sign(text.as_bytes());
    if name.eq_ignore_ascii_case(b"infinity") || name.eq_ignore_ascii_case(b"inf") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if name.eq_ignore_ascii_case(b"nan") {
        return Some(f64::NAN);
    }
    if !is_number(text) {
        return None;
    }
    value::float64(text).filter(|double| gives_back(text, *double))
}

/// Whether the double, written with as many significant digits as the text has, is the text's number.
fn gives_back(text: &str, double: f64) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let all = mantissa.bytes().filter(u8::is_ascii_digit).count();
    if all <= DOUBLE_DIGITS_SAFE && (double == 0.0 || double.is_normal()) {
        return true;
    }
    let Some(written) = canonical(text.strip_prefix('+').unwrap_or(text)) else { return false };
    let significant = written.1.len();
    // The zeros at the end of a whole number are digits too, unless an exponent stands for them.
    let zeros = if mantissa.len() == text.len() { usize::try_from(written.2).unwrap_or(0) } else { 0 };
    let length = significant.saturating_add(zeros);
    length == 0
        || length <= DOUBLE_DIGITS_MAX
            && (canonical(&format!("{double:.*e}", length - 1)).as_ref() == Some(&written)
                || zeros == 0 && canonical(&format!("{double:e}")) == Some(written))
}

/// Days since 1970-01-01; a time of day must be midnight.
pub(super) fn date(text: &str) -> Option<i32> {
    value::date(text).or_else(|| {
        let moment = Moment::of(text)?;
        if moment.time_us != 0 || moment.zone_seconds.is_some() {
            return None;
        }
        i32::try_from(moment.days).ok()
    })
}

/// Microseconds since 1970-01-01 of a date and time without a zone; a date alone is its midnight.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let moment = Moment::of(text)?;
    if moment.zone_seconds.is_some() {
        return None;
    }
    moment.micros(0)
}

/// Microseconds since 1970-01-01 UTC of a date and time with a zone, or, where `zoneless_is_utc`,
/// without one.
pub(super) fn timestamptz(text: &str, zoneless_is_utc: bool) -> Option<i64> {
    let moment = Moment::of(text)?;
    moment.micros(moment.zone_seconds.or_else(|| zoneless_is_utc.then_some(0))?)
}

/// A date with or without time and zone.
struct Moment {
    /// Days since 1970-01-01.
    days: i64,
    time_us: i64,
    /// Seconds that the zone is ahead of UTC.
    zone_seconds: Option<i64>,
}

impl Moment {
    /// `YYYY-MM-DD[( |T)HH:MM[:SS[.f…]][ ][zone]][ BC]`, the year of four to seven digits, the zone
    /// `Z`, `+HH`, `+HH:MM`, `+HHMM` or `+HH:MM:SS`.
    fn of(text: &str) -> Option<Self> {
        let (text, is_before_christ) = match text.strip_suffix(" BC") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (year, rest) = text.as_bytes().split_at_checked(digits(text.as_bytes()))?;
        let is_year = matches!(year.len(), 4) || (matches!(year.len(), 5..=7) && year[0] != b'0');
        let [b'-', m1, m2, b'-', d1, d2, rest @ ..] = rest else { return None };
        let year = year.iter().fold(0, |year, digit| year * 10 + i64::from(digit - b'0'));
        if !is_year || year == 0 {
            return None;
        }
        let year = if is_before_christ { 1 - year } else { year };
        let days = value::days(year, two(*m1, *m2)?, two(*d1, *d2)?)?;
        match rest {
            [] => Some(Self { days, time_us: 0, zone_seconds: None }),
            [b'T' | b' ', rest @ ..] => {
                let (time_us, rest) = time(rest)?;
                let rest = rest.strip_prefix(b" ").filter(|zone| !zone.is_empty()).unwrap_or(rest);
                let zone_seconds = if rest.is_empty() { None } else { Some(zone(rest)?) };
                Some(Self { days, time_us, zone_seconds })
            }
            _ => None,
        }
    }

    fn micros(&self, zone_seconds: i64) -> Option<i64> {
        // The day's midnight may lie before the first instant that 64 bits hold.
        let micros = i128::from(self.days) * i128::from(DAY_US) + i128::from(self.time_us)
            - i128::from(zone_seconds) * 1_000_000;
        i64::try_from(micros).ok()
    }
}

/// Microseconds since midnight, and what follows the time.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = bytes else { return None };
    let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
    let (seconds, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (two(*s1, *s2)?, rest),
        _ => (0, rest),
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let has_seconds = bytes.get(5) == Some(&b':');
    let (fraction_us, rest) = match rest {
        [b'.', fraction @ ..] if has_seconds => value::fraction_us(fraction)?,
        _ => (0, rest),
    };
    let second_of_day = i64::from(hours * 3600 + minutes * 60 + seconds);
    Some((second_of_day * 1_000_000 + fraction_us, rest))
}

/// Seconds that a zone is ahead of UTC.
fn zone(bytes: &[u8]) -> Option<i64> {
    let (sign, hours, minutes, seconds) = match bytes {
        b"Z" | b"z" => return Some(0),
        [sign, h1, h2] => (sign, two(*h1, *h2)?, 0, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two(*h1, *h2)?, two(*m1, *m2)?, 0),
        [sign, h1, h2, b':', m1, m2, b':', s1, s2] => (sign, two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let ahead = i64::from(hours * 3600 + minutes * 60 + seconds);
    match sign {
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}
