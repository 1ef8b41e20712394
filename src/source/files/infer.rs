//! The narrowest type that every value of a column fits, from the whole of every file.
//!
//! A column is typed only when writing its values back gives the same values; in doubt it is
//! text. What is counted is fixed in size, so memory does not grow with the file.

use super::records::Field;
use crate::source::value;
use crate::spec::pipeline::ColumnType;

/// Most digits of a decimal.
const DIGITS_MAX: usize = 38;
/// A double tells any two numbers of this many significant digits apart.
const FLOAT_SAFE_DIGITS: usize = 15;

/// What the values of one column have in common. The classes have no text in common, so a column
/// of two classes is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Boolean,
    Number,
    Date,
    Timestamp,
    TimestampTz,
    Text,
}

/// One column's type, as far as its values have been seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guess {
    /// `None` until a value is seen.
    class: Option<Class>,
    int_digits: usize,
    scale: usize,
    beyond_int64: bool,
    exponent: bool,
    beyond_float64: bool,
}

impl Guess {
    /// Takes one field into account; `null` is the text that stands for NULL.
    #[inline]
    pub(super) fn see(&mut self, field: Field<'_>, null: &str) {
        if self.class == Some(Class::Text) || (!field.quoted && field.text == null) {
            return;
        }
        let class = self.class.unwrap_or_else(|| classify(field.text));
        let fits = match class {
            Class::Boolean => value::boolean(field.text).is_some(),
            Class::Number => self.see_number(field.text),
            Class::Date => value::date(field.text).is_some(),
            Class::Timestamp => micros_at_most(field.text) && value::timestamp(field.text).is_some(),
            Class::TimestampTz => micros_at_most(field.text) && value::timestamptz(field.text).is_some(),
            Class::Text => true,
        };
        self.class = Some(if fits { class } else { Class::Text });
    }

    fn see_number(&mut self, text: &str) -> bool {
        let Some(number) = value::number(text) else { return false };
        self.int_digits = self.int_digits.max(number.int_digits);
        self.scale = self.scale.max(number.scale);
        self.exponent |= number.exponent;
        self.beyond_int64 |= number.int_digits > 18 && value::int64(text).is_none();
        let unsafe_in_float = number.exponent || number.int_digits + number.scale > FLOAT_SAFE_DIGITS;
        if unsafe_in_float && !self.beyond_float64 {
            self.beyond_float64 = !value::survives_float64(text);
        }
        true
    }

    /// The type. A column without a value is text.
    pub(super) fn verdict(&self) -> ColumnType {
        match self.class {
            Some(Class::Boolean) => ColumnType::Boolean,
            Some(Class::Number) => self.number(),
            Some(Class::Date) => ColumnType::Date,
            Some(Class::Timestamp) => ColumnType::Timestamp,
            Some(Class::TimestampTz) => ColumnType::TimestampTz,
            Some(Class::Text) | None => ColumnType::Text,
        }
    }

    fn number(&self) -> ColumnType {
        if self.exponent {
            return if self.beyond_float64 { ColumnType::Text } else { ColumnType::Float64 };
        }
        if self.scale == 0 && !self.beyond_int64 {
            return ColumnType::Int64;
        }
        let digits = self.int_digits + self.scale;
        match (u8::try_from(digits), i8::try_from(self.scale)) {
            (Ok(precision), Ok(scale)) if digits <= DIGITS_MAX => ColumnType::Decimal(precision, scale),
            _ => ColumnType::Text,
        }
    }
}

/// Digits past the microsecond are carried by text only, be they zeros.
fn micros_at_most(text: &str) -> bool {
    text.split_once('.').is_none_or(|(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count() <= 6)
}

fn classify(text: &str) -> Class {
    if value::boolean(text).is_some() {
        Class::Boolean
    } else if value::number(text).is_some() {
        Class::Number
    } else if value::date(text).is_some() {
        Class::Date
    } else if value::timestamp(text).is_some() {
        Class::Timestamp
    } else if value::timestamptz(text).is_some() {
        Class::TimestampTz
    } else {
        Class::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(texts: &[&str]) -> ColumnType {
        let mut guess = Guess::default();
        for text in texts {
            guess.see(Field { text, quoted: false }, "");
        }
        guess.verdict()
    }

    #[test]
    fn the_narrowest_type_that_fits_every_value() {
        let cases: [(&[&str], ColumnType); 20] = [
            (&["true", "false", ""], ColumnType::Boolean),
            (&["True", "False"], ColumnType::Text),
            (&["1", "-2", ""], ColumnType::Int64),
            (&["1", "9223372036854775808"], ColumnType::Decimal(19, 0)),
            (&["1", "2.50"], ColumnType::Decimal(3, 2)),
            (&["0.5", "0.25"], ColumnType::Decimal(2, 2)),
            (&["99999999999999999999999999999999999999"], ColumnType::Decimal(38, 0)),
            (&["999999999999999999999999999999999999999"], ColumnType::Text),
            (&["9999999999999999999999999999999999999", "0.01"], ColumnType::Text),
            (&["1e5", "2", "0.25"], ColumnType::Float64),
            (&["12345678901234567890123", "1e5"], ColumnType::Text),
            (&["1", "007"], ColumnType::Text),
            (&["-0"], ColumnType::Text),
            (&["2024-02-29", ""], ColumnType::Date),
            (&["2024-02-29", "2023-02-29"], ColumnType::Text),
            (&["2024-01-01", "2024-01-01 00:00:00"], ColumnType::Text),
            (&["2024-01-01 00:00:00", "2024-01-01T00:00:00.25"], ColumnType::Timestamp),
            (&["2024-01-01T00:00:00Z", "2024-01-01T00:00:00+02:00"], ColumnType::TimestampTz),
            (&["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"], ColumnType::Text),
            (&["", ""], ColumnType::Text),
        ];
        for (texts, expected) in cases {
            assert_eq!(infer(texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn trap_a_quoted_empty_text_is_a_value_and_makes_text() {
        let mut guess = Guess::default();
        guess.see(Field { text: "1", quoted: false }, "");
        guess.see(Field { text: "", quoted: true }, "");
        assert_eq!(guess.verdict(), ColumnType::Text);
    }

    #[test]
    fn nanoseconds_stay_text() {
        assert_eq!(infer(&["2024-01-01 00:00:00.123456000"]), ColumnType::Text);
    }
}
