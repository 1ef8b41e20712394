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

/// Whether a name stands for many.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a glob of `*` and `?` matches the whole name.
pub(super) fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (g, n) = (g + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (g, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
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
    fn only_star_and_question_mark_are_wild() {
        assert_eq!(like("a_b*c?%|"), "a|_b%c_|%||");
        for (glob, name, is) in [
            ("a*", "abc", true),
            ("*c", "abcc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*d", "abcbd", true),
            ("A*", "abc", false),
            ("", "", true),
            ("*", "", true),
            ("a_c", "abc", false),
        ] {
            assert_eq!(matches(glob, name), is, "{glob} {name}");
        }
    }
}
