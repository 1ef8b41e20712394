//! Short texts into values, sixteen bytes in one step. Each function answers what its namesake in
//! `value` answers, or nothing where that one is to be asked.

use crate::source::value::{Number, days};

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
    if digits.whole + scale > usize::from(precision.min(18)) {
        return None;
    }
    let units = i128::from(digits.value * TENS[missing]);
    Some(if digits.negative { -units } else { units })
}

/// See [`crate::source::value::date`].
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a byte of a word, and a day within four digits' years")]
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
    let at = |index: u32| (digits >> (8 * index)) as u8;
    let two = |index: u32| i32::from(at(index)) * 10 + i32::from(at(index + 1));
    let year = two(0) * 100 + two(2);
    if year == 0 {
        return None;
    }
    days(i64::from(year), two(5), two(8)).map(|days| days as i32)
}

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
        for text in ["0.05", "-104949.50", "1.5", "17", "12345678901.23"] {
            assert_eq!(decimal(&Field::plain(text), 15, 2), value::decimal(text, 15, 2), "{text}");
            assert_eq!(number(&Field::plain(text)), value::number(text), "{text}");
        }
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

    proptest! {
        #[test]
        fn no_text_is_read_differently(text in prop_oneof![
            "-?[0-9]{0,18}", "-?[0-9]{0,9}\\.[0-9]{0,9}", "[0-9.+-]{0,12}", "[0-9]{4}-[0-1][0-9]-[0-3][0-9]", "[ -~é]{0,18}",
        ]) {
            check(&text);
        }
    }
}
