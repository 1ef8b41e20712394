//! Names of the database, written so that they mean themselves.

use std::fmt::Write;

/// The identifier in backticks, for SQL that is sent.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The identifier as a person would write it: quoted only where it has to be.
pub(super) fn shown(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { quoted(name) }
}

/// A text as a literal that no `sql_mode` reads otherwise.
pub(super) fn literal(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut sql = String::with_capacity(text.len() * 2 + 12);
    sql.push_str("_utf8mb4 0x");
    for byte in text.bytes() {
        let _ = write!(sql, "{byte:02x}");
    }
    sql
}

/// The `LIKE` pattern (escape `|`) that matches at least what a glob of `*` and `?` matches.
pub(super) fn like(glob: &str) -> String {
    let mut pattern = String::with_capacity(glob.len() + 4);
    for c in glob.chars() {
        match c {
            '*' => pattern.push('%'),
            '?' => pattern.push('_'),
            '%' | '_' | '|' => pattern.extend(['|', c]),
            _ => pattern.push(c),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_cannot_end_it() {
        assert_eq!(quoted("a`; DROP TABLE t; --"), "`a``; DROP TABLE t; --`");
        assert_eq!(literal("a'\\"), "_utf8mb4 0x61275c");
    }

    #[test]
    fn plain_names_are_shown_plainly() {
        assert_eq!(shown("Order_items2"), "Order_items2");
        assert_eq!(shown("2x"), "`2x`");
    }

    #[test]
    fn what_like_holds_special_is_escaped() {
        assert_eq!(like("a_b*c?%|"), "a|_b%c_|%||");
    }
}
