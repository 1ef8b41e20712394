//! Whether the first line of a delimited file is what it is taken for: the names of the columns.
//!
//! Names reach plans, errors, the ledger and the schema of the published table. The first row of a
//! file without a header must not get there, so a line with a field that looks like a value is
//! refused, and never quoted.

use std::fmt;

use crate::error::{Error, Result};
use crate::source::value;

/// Why a line is not taken for column names. Fields count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Empty(usize),
    Repeated { field: usize, first: usize },
    Value(usize),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(field) => write!(f, "field {field} is empty"),
            Self::Repeated { field, first } => write!(f, "field {field} repeats field {first}"),
            Self::Value(field) => write!(f, "field {field} looks like a value"),
        }
    }
}

/// Checks that the first line of `file` can be column names. `null` is the text that stands for NULL.
///
/// # Errors
/// `Invalid` when a field is empty, repeated or looks like a value.
pub(super) fn check(names: &[String], null: &str, file: &str) -> Result<()> {
    let Some(doubt) = doubt(names, null) else { return Ok(()) };
    Err(Error::invalid(format!("line 1 of {file} does not look like column names: {doubt}")).help(
        "set `header: false` if the files have no header; if these are the names, declare them in the \
         stream's `schema`",
    ))
}

fn doubt(names: &[String], null: &str) -> Option<Doubt> {
    names.iter().enumerate().find_map(|(index, name)| {
        let field = index + 1;
        if name.trim().is_empty() {
            return Some(Doubt::Empty(field));
        }
        if name == null || looks_like_a_value(name.trim()) {
            return Some(Doubt::Value(field));
        }
        let first = names[..index].iter().position(|other| other == name)? + 1;
        Some(Doubt::Repeated { field, first })
    })
}

/// Numbers, dates, instants, truth values, addresses of mail; and digits without any letter, which
/// are numbers as people write them (`1.234,50`, `+41 44 000 00 00`, `12/31/2024`).
fn looks_like_a_value(text: &str) -> bool {
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    text.contains('@')
        || has_digit && (!text.chars().any(char::is_alphabetic) || text.parse::<f64>().is_ok())
        || text.eq_ignore_ascii_case("true")
        || text.eq_ignore_ascii_case("false")
        || begins_with_an_instant(text)
}

/// A date with a time behind it, whatever its decimals and zone.
fn begins_with_an_instant(text: &str) -> bool {
    let Some((day, rest)) = text.split_at_checked(10) else { return false };
    value::date(day).is_some() && matches!(rest.as_bytes(), [b'T' | b't' | b' ', b'0'..=b'9', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_pass() {
        for name in [
            "id",
            "2024_total",
            "1st",
            "q1 2024",
            "#",
            "%",
            "e5",
            "nan",
            "Straße",
            "年",
            "2024-01-01 balance",
            "is_true",
            "a-1",
        ] {
            assert_eq!(doubt(&[name.to_owned()], ""), None, "{name}");
        }
    }

    #[test]
    fn trap_a_row_is_not_taken_for_column_names() {
        for text in [
            "7",
            "-1.5",
            "007",
            "+7",
            ".5",
            "1e5",
            " 12 ",
            "1'234.50",
            "1.234,50",
            "123-45-6789",
            "4111 1111 1111 1111",
            "2024-02-29",
            "2024-02-29 12:00:00",
            "2024-02-29T12:00:00.123456789Z",
            "2024-02-29T12:00+02:00",
            "31.12.2024",
            "ann@example.com",
            "true",
            "FALSE",
            "NULL",
        ] {
            assert_eq!(doubt(&["id".to_owned(), text.to_owned()], "NULL"), Some(Doubt::Value(2)), "{text}");
        }
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(doubt(&names(&["a", "", "b"]), "NULL"), Some(Doubt::Empty(2)));
        assert_eq!(doubt(&names(&["a", "b", "a"]), ""), Some(Doubt::Repeated { field: 3, first: 1 }));
        assert_eq!(doubt(&names(&["a", "A"]), ""), None);
    }
}
