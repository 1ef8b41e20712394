//! Short texts into values, sixteen bytes in one step. Each function answers what its namesake in
//! `value` answers, or nothing where that one is to be asked.

use crate::source::value::Number;

use super::records::Field;

const LOW: u128 = u128::from_le_bytes([0x01; 16]);
const HIGH: u128 = u128::from_le_bytes([0x80; 16]);
const ZEROS: u128 = u128::from_le_bytes([b'0'; 16]);

/// The digits of a number without exponent, and where its point is.
#[derive(Clone, Copy)]
struct Digits {
    negative: bool,
    first: u8,
    value: u64,
    whole: usize,
    /// Digits after the point, where there is one.
    scale: Option<usize>,
}

/// Whether every byte is 0 to 9.
#[inline]
fn are_digits(bytes: u128) -> bool {
    (bytes.wrapping_add(LOW * 0x76) | bytes) & HIGH == 0
}

/// The number that eight digits, the first of them lowest, stand for.
#[inline]
fn eight(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
fn digits(field: &Field<'_>) -> Option<Digits> {
    let (mut head, mut len) = (field.head(), field.len());
    let negative = head as u8 == b'-';
    if negative {
        (head, len) = (head >> 8, len.wrapping_sub(1));
    }
    // Fifteen, since behind a sign there are no more.
    if !(1..=15).contains(&len) {
        return None;
    }
    let plain = head ^ ZEROS;
    // The last digit stands in the highest byte, and zeros in front of the first.
    let mut digits = plain << (128 - 8 * len);
    let points = digits ^ (LOW * u128::from(b'.' ^ b'0'));
    let points = points.wrapping_sub(LOW) & !points & HIGH;
    let (mut whole, mut scale) = (len, None);
    if points != 0 {
        let bits = points.trailing_zeros() & !7;
        let before = digits & ((1 << bits) - 1);
        let behind = digits >> bits >> 8 << bits << 8;
        digits = before << 8 | behind;
        let places = 15 - bits as usize / 8;
        (whole, scale) = (len - 1 - places, Some(places));
        if len == 1 {
            return None;
        }
    }
    if !are_digits(digits) {
        return None;
    }
    let value = eight(digits as u64) * 100_000_000 + eight((digits >> 64) as u64);
    Some(Digits { negative, first: plain as u8, value, whole, scale })
}

/// See [`crate::source::value::number`].
#[inline]
pub(super) fn number(field: &Field<'_>) -> Option<Number> {
    let Digits { negative, first, value, whole, scale } = digits(field)?;
    if whole == 0 || (whole > 1 && first == 0) || scale == Some(0) || (negative && value == 0) {
        return None;
    }
    let int_digits = if first == 0 { 0 } else { whole };
    Some(Number { int_digits, scale: scale.unwrap_or(0), exponent: false })
}

/// See [`crate::source::value::int64`].
#[inline]
pub(super) fn int64(field: &Field<'_>) -> Option<i64> {
    let Digits { negative, value, scale: None, .. } = digits(field)? else { return None };
    let value = value.cast_signed();
    Some(if negative { -value } else { value })
}

const TENS: [u64; 19] = {
    let mut tens = [1; 19];
    let mut power = 1;
    while power < 19 {
        tens[power] = tens[power - 1] * 10;
        power += 1;
    }
    tens
};

/// See [`crate::source::value::decimal`].
#[inline]
pub(super) fn decimal(field: &Field<'_>, precision: u8, scale: usize) -> Option<i128> {
    let digits = digits(field)?;
    let missing = scale.checked_sub(digits.scale.unwrap_or(0))?;
    // So few digits do not overflow.
    if digits.whole + scale > 18 {
        return None;
    }
    let units = digits.value * TENS[missing];
    if units >= TENS[usize::from(precision.min(18))] {
        return None;
    }
    let units = i128::from(units);
    Some(if digits.negative { -units } else { units })
}

/// See [`crate::source::value::date`].
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a byte of a word")]
pub(super) fn date(field: &Field<'_>) -> Option<i32> {
    const FORM: u128 = u128::from_le_bytes(*b"0000-00-00\0\0\0\0\0\0");
    const DASHES: u128 = 0xFF << 32 | 0xFF << 56;
    if field.len() != 10 {
        return None;
    }
    let digits = (field.head() & ((1 << 80) - 1)) ^ FORM;
    if !are_digits(digits) || digits & DASHES != 0 {
        return None;
    }
    let at = |index: u32| u32::from((digits >> (8 * index)) as u8);
    let two = |index: u32| at(index) * 10 + at(index + 1);
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (length, before) = MONTHS.get(month as usize)?;
    if year == 0 || day == 0 || day > length + u32::from(is_leap && month == 2) {
        return None;
    }
    // Years counted from March, so that the leap day is the last of its year.
    let year = if month < 3 { year - 1 } else { year };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + before + day - 1;
    // 1970-01-01 is day 719,468 after 0000-03-01.
    Some(days.cast_signed() - 719_468)
}

/// Days of a month where no year is a leap year, and days before it in a year that starts in March.
const MONTHS: [(u32, u32); 13] = [
    (0, 0),
    (31, 306),
    (28, 337),
    (31, 0),
    (30, 31),
    (31, 61),
    (30, 92),
    (31, 122),
    (31, 153),
    (30, 184),
    (31, 214),
    (30, 245),
    (31, 275),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::value;

    /// The first of them, or what is left to the other.
    fn agrees<T: PartialEq + std::fmt::Debug>(fast: Option<T>, slow: Option<T>) {
        if fast.is_some() {
            assert_eq!(fast, slow);
        }
    }

    fn check(text: &str) {
        // What follows a field in its buffer must not matter.
        for behind in ["", "7777777777777777", ".................", ",-0\"é\n"] {
            let whole = format!("{text}{behind}");
            let field = Field::starting(&whole, text.len());
            agrees(number(&field), value::number(text));
            agrees(int64(&field), value::int64(text));
            agrees(date(&field), value::date(text));
            for (precision, scale) in [(1, 0), (3, 2), (15, 2), (18, 0), (18, 18), (38, 2), (38, 38)] {
                agrees(decimal(&field, precision, scale), value::decimal(text, precision, scale));
            }
        }
    }

    #[test]
    fn what_is_plain_is_not_left_to_others() {
        for text in ["0", "7", "-7", "123456789012345", "12345678"] {
            assert_eq!(int64(&Field::plain(text)), value::int64(text), "{text}");
            assert_eq!(number(&Field::plain(text)), value::number(text), "{text}");
        }
        for text in ["0.05", "-0.5", "-104949.50", "1.5", "17", "12345678901.23"] {
            assert_eq!(decimal(&Field::plain(text), 15, 2), value::decimal(text, 15, 2), "{text}");
            assert_eq!(number(&Field::plain(text)), value::number(text), "{text}");
        }
        assert_eq!(decimal(&Field::plain("0.05"), 2, 2), Some(5), "the zero is no digit");
        assert_eq!(date(&Field::plain("1996-03-13")), value::date("1996-03-13"));
    }

    #[test]
    fn texts_at_the_edges_are_read_as_they_are_elsewhere() {
        for text in [
            "",
            "-",
            ".",
            "-.",
            "5.",
            ".5",
            "-.5",
            "-0",
            "-0.00",
            "00",
            "007",
            "0.0",
            "1..2",
            "1.2.3",
            "--1",
            "+1",
            "1-1",
            "1e5",
            "\u{ff11}",
            "é",
            "1é",
            "99999999999999999999",
            "9999999999999999",
            "-999999999999999",
            "123456789012345.6",
            "0000-00-00",
            "2024-02-29",
            "2023-02-29",
            "2024:02-29",
            "2024-02.29",
            "0000-01-01",
            "/",
            ":",
            "1:",
            "1/",
            "\u{7f}",
            "2024-13-01",
            "2024-0-011",
        ] {
            check(text);
        }
    }

    #[test]
    fn every_day_is_that_of_the_calendar() {
        for year in [1, 4, 100, 400, 1899, 1900, 1970, 1996, 2000, 2023, 2100, 9999] {
            for (month, day) in (0..15).flat_map(|month| (0..33).map(move |day| (month, day))) {
                let text = format!("{year:04}-{month:02}-{day:02}");
                assert_eq!(date(&Field::plain(&text)), value::date(&text), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_differently(text in prop_oneof![
            "-?[0-9]{0,18}", "-?[0-9]{0,9}\\.[0-9]{0,9}", "[0-9.+-]{0,12}", "[0-9]{4}-[0-1][0-9]-[0-3][0-9]", "[ -~é]{0,18}",
        ]) {
            check(&text);
        }
    }
}
