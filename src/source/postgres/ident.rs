//! Names of the database, written so that they mean themselves.

use std::fmt::Write;

/// The identifier in double quotes, for SQL that is sent.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The identifier as a person would write it: quoted only where it has to be.
pub(super) fn shown(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { quoted(name) }
}

/// Quoted identifiers, separated by commas.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for name in names {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{}", quoted(name));
    }
    text
}

/// The `LIKE` pattern that matches what a glob of `*` and `?` matches.
pub(super) fn like(glob: &str) -> String {
    let mut pattern = String::with_capacity(glob.len() + 4);
    for c in glob.chars() {
        match c {
            '*' => pattern.push('%'),
            '?' => pattern.push('_'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
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
        assert_eq!(quoted("a\"; DROP TABLE t; --"), "\"a\"\"; DROP TABLE t; --\"");
        assert_eq!(list(["a", "B\""].into_iter()), "\"a\", \"B\"\"\"");
    }

    #[test]
    fn plain_names_are_shown_plainly() {
        assert_eq!(shown("order_items2"), "order_items2");
        assert_eq!(shown("Orders"), "\"Orders\"");
        assert_eq!(shown("2x"), "\"2x\"");
    }

    #[test]
    fn only_star_and_question_mark_are_wild() {
        assert_eq!(like("a_b*c?%"), "a\\_b%c_\\%");
    }
}
