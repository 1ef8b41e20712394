//! The narrowest type that every value of a column fits, from the whole of every file.
//!
//! A column is typed only when writing its values back gives the same values; in doubt it is
//! text. What is counted is fixed in size, so memory does not grow with the file.

use super::plain;
use super::records::Field;
use crate::source::value::{self, Number};
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
    /// Takes fields of one column into account; `null` is the text that stands for NULL.
    pub(super) fn see<'a>(&mut self, fields: impl Iterator<Item = Field<'a>>, null: &str) {
        for field in fields {
            if self.class == Some(Class::Text) {
                return;
            }
            if !field.is_null(null) {
                self.see_value(&field);
            }
        }
    }

    #[inline]
    fn see_value(&mut self, field: &Field<'_>) {
        match self.class {
            Some(Class::Number) => {
                if let Some(number) = plain::number(field) {
                    return self.count(&number);
                }
            }
            Some(Class::Date) if plain::date(field).is_some() => return,
            _ => {}
        }
        self.see_text(field.text());
    }

    fn see_text(&mut self, text: &str) {
        let class = self.class.unwrap_or_else(|| classify(text));
        let fits = match class {
            Class::Boolean => value::boolean(text).is_some(),
            Class::Number => self.see_number(text),
            Class::Date => value::date(text).is_some(),
            Class::Timestamp => micros_at_most(text) && value::timestamp(text).is_some(),
            Class::TimestampTz => micros_at_most(text) && value::timestamptz(text).is_some(),
            Class::Text => true,
        };
        self.class = Some(if fits { class } else { Class::Text });
    }

    fn see_number(&mut self, text: &str) -> bool {
        let Some(number) = value::number(text) else { return false };
        self.count(&number);
        self.beyond_int64 |= number.int_digits > 18 && value::int64(text).is_none();
        let unsafe_in_float = number.exponent || number.int_digits + number.scale > FLOAT_SAFE_DIGITS;
        if unsafe_in_float && !self.beyond_float64 {
            self.beyond_float64 = !value::survives_float64(text);
        }
        true
    }

    #[inline]
    fn count(&mut self, number: &Number) {
        self.int_digits = self.int_digits.max(number.int_digits);
        self.scale = self.scale.max(number.scale);
        self.exponent |= number.exponent;
    }

    /// Takes into account what another guess of the same column has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        self.class = match (self.class, other.class) {
            (seen, None) | (None, seen) => seen,
            (Some(one), Some(two)) if one == two => Some(one),
            (Some(_), Some(_)) => Some(Class::Text),
        };
        self.int_digits = self.int_digits.max(other.int_digits);
        self.scale = self.scale.max(other.scale);
        self.beyond_int64 |= other.beyond_int64;
        self.exponent |= other.exponent;
        self.beyond_float64 |= other.beyond_float64;
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
    use proptest::prelude::*;

    use super::*;

    fn infer(texts: &[&str]) -> ColumnType {
        let mut guess = Guess::default();
        guess.see(texts.iter().map(|text| Field::plain(text)), "");
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
        guess.see([Field::plain("1"), Field::quoted("")].into_iter(), "");
        assert_eq!(guess.verdict(), ColumnType::Text);
    }

    #[test]
    fn nanoseconds_stay_text() {
        assert_eq!(infer(&["2024-01-01 00:00:00.123456000"]), ColumnType::Text);
    }

    proptest! {
        #[test]
        fn however_the_values_are_cut_the_guess_is_that_of_the_whole(
            texts in prop::collection::vec(prop_oneof![
                4 => "[1-9][0-9]{0,3}", 2 => Just(String::new()), 1 => "[0-9]{1,3}\\.[0-9]{1,3}", 1 => "[0-9]{17,20}",
                1 => "[1-9]e[0-9]", 1 => Just("9007199254740993".to_owned()), 1 => "2024-0[1-9]-1[0-9]", 1 => "true|x",
            ], 0..12),
            cuts in prop::collection::vec(0..12_usize, 0..4),
        ) {
            let one_pass = |texts: &[String]| {
                let mut guess = Guess::default();
                guess.see(texts.iter().map(|text| Field::plain(text)), "");
                guess
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(texts.len())).collect();
            cuts.extend([0, texts.len()]);
            cuts.sort_unstable();
            let mut merged = Guess::default();
            // In any order.
            for piece in cuts.windows(2).rev() {
                merged.merge(&one_pass(&texts[piece[0]..piece[1]]));
            }
            prop_assert_eq!(merged.verdict(), one_pass(&texts).verdict());
        }
    }
}
