//! Tables by name: which of them a pattern stands for, and which is nearest to one that is not there.

use crate::spec::pipeline::TablePattern;

/// How alike a name must be to be offered.
const LIKENESS: f64 = 0.7;

/// Whether a name stands for many.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether either part of a pattern stands for many.
pub(super) fn has_globs(pattern: &TablePattern) -> bool {
    is_glob(&pattern.schema) || is_glob(&pattern.table)
}

/// Whether a table's stream of this name comes from this pattern.
#[must_use]
pub fn covers(pattern: &TablePattern, stream: &str) -> bool {
    matches(&format!("{}.{}", pattern.schema, pattern.table), stream)
}

/// Whether a glob of `*` and `?` matches the whole name. Takes at most the product of their lengths.
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

/// What is said of a table that is not there.
pub(super) fn missing(wanted: &TablePattern) -> String {
    let what = if has_globs(wanted) { "no table matches" } else { "there is no table" };
    format!("{what} `{}.{}`", wanted.schema, wanted.table)
}

/// The table (schema, name) that is most like the wanted one, if any is.
pub(super) fn nearest(
    wanted: &TablePattern,
    candidates: impl IntoIterator<Item = (String, String)>,
) -> Option<(String, String)> {
    let alike = |a: &str, b: &str| strsim::jaro_winkler(&a.to_lowercase(), &b.to_lowercase());
    candidates
        .into_iter()
        .map(|(schema, table)| {
            let likeness = 0.8 * alike(&wanted.table, &table) + 0.2 * alike(&wanted.schema, &schema);
            (likeness, (schema, table))
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_star_and_question_mark_are_wild() {
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

    #[test]
    fn many_stars_take_no_longer_than_the_lengths_allow() {
        assert!(!matches(&"*a".repeat(40), &"a".repeat(39)));
        assert!(matches(&"*a".repeat(40), &"a".repeat(400)));
    }

    #[test]
    fn the_nearest_table_weighs_its_name_more_than_its_schema() {
        let wanted = TablePattern { schema: "public".to_owned(), table: "custmers".to_owned() };
        let of = |names: &[(&str, &str)]| {
            let names: Vec<_> = names.iter().map(|(s, t)| ((*s).to_owned(), (*t).to_owned())).collect();
            nearest(&wanted, names).map(|(schema, table)| format!("{schema}.{table}"))
        };
        assert_eq!(of(&[("public", "invoices"), ("crm", "Customers")]), Some("crm.Customers".to_owned()));
        assert_eq!(of(&[("public", "zz")]), None);
        assert_eq!(of(&[]), None);
    }
}
