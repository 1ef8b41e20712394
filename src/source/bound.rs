//! Which rows of a relation are asked for, by the value of cursor columns.

/// A range of rows, from `from` (included) up to `before` (left out), compared column by column, the first
/// one first. A source may give more rows than these, never fewer: whoever asks compares again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The columns of the source, most significant first; at least one.
    pub columns: Vec<String>,
    /// The least values, of as many leading columns as it has; none: from the beginning.
    pub from: Option<Vec<Literal>>,
    /// Past the greatest values, of as many leading columns as it has; none: to the end.
    pub before: Option<Vec<Literal>>,
    /// Whether rows are asked for as well in which one of the columns is NULL.
    pub or_null: bool,
}

/// A value of a cursor column. Its text may be someone's: it never enters a message. Texts compare by
/// their bytes (UTF-8), whatever the source's collation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Literal {
    /// An integer of any width.
    Integer(i64),
    /// An exact number: unscaled value and scale.
    Decimal(i128, i8),
    /// A text.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01 00:00, without a zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 00:00 UTC.
    Instant(i64),
}

impl std::fmt::Debug for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Literal(..)")
    }
}

/// A column and a value as SQL, so that the database compares them as we do.
pub(super) struct Operands {
    pub(super) column: String,
    pub(super) value: String,
}

impl Bound {
    /// The rows as an SQL condition, in brackets. `operands` answers `None` where the database would compare
    /// otherwise: that column and those behind it are then left out, and more rows match. `quoted` writes a
    /// column's name. `None` where all rows have to be read.
    pub(super) fn condition(
        &self,
        quoted: impl Fn(&str) -> String,
        operands: impl Fn(&str, &Literal) -> Option<Operands>,
    ) -> Option<String> {
        let side = |values: Option<&Vec<Literal>>, past: &str, last: [&str; 2]| {
            let values = values?;
            let pairs = self.columns.iter().zip(values);
            let known: Vec<Operands> = pairs.map_while(|(column, value)| operands(column, value)).collect();
            let last = if known.len() == values.len() { last[0] } else { last[1] };
            lexicographic(&known, past, last)
        };
        let sides =
            [side(self.from.as_ref(), ">", [">=", ">="]), side(self.before.as_ref(), "<", ["<", "<="])];
        let sides: Vec<String> = sides.into_iter().flatten().collect();
        if sides.is_empty() {
            return None;
        }
        let mut condition = format!("({})", sides.join(" AND "));
        if self.or_null {
            for column in &self.columns {
                condition.push_str(&format!(" OR {} IS NULL", quoted(column)));
            }
            condition = format!("({condition})");
        }
        Some(condition)
    }
}

/// `(a >= x AND (a > x OR (a = x AND b >= y)))`: what is said of the first column alone is what an index
/// on it serves.
fn lexicographic(operands: &[Operands], past: &str, last: &str) -> Option<String> {
    let (least, leading) = operands.split_last()?;
    let mut condition = format!("{} {last} {}", least.column, least.value);
    for Operands { column, value } in leading.iter().rev() {
        condition = format!("({column} {past} {value} OR ({column} = {value} AND {condition}))");
    }
    if let Some(Operands { column, value }) = leading.first() {
        condition = format!("{column} {past}= {value} AND {condition}");
    }
    Some(condition)
}

/// A condition that both make.
pub(super) fn both(one: Option<&str>, other: Option<&str>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(format!("({one}) AND {other}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

impl Literal {
    /// A number, a day (`2024-01-02`) or an instant (`2024-01-02 03:04:05.000006`, of UTC where it has a
    /// zone) as every database reads it. `None` for texts, and for years that databases write each in their
    /// own way.
    #[must_use]
    pub fn plain(&self) -> Option<String> {
        match self {
            Self::Integer(value) => Some(value.to_string()),
            Self::Decimal(value, scale) => decimal(*value, *scale),
            Self::Text(_) => None,
            Self::Date(days) => {
                let day = chrono::NaiveDate::from_num_days_from_ce_opt(days.checked_add(719_163)?)?;
                is_plain(day).then(|| day.format("%Y-%m-%d").to_string())
            }
            Self::Timestamp(micros) | Self::Instant(micros) => {
                let at = chrono::DateTime::from_timestamp_micros(*micros)?.naive_utc();
                is_plain(at.date()).then(|| at.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
            }
        }
    }
}

fn is_plain(day: chrono::NaiveDate) -> bool {
    (1..=9999).contains(&chrono::Datelike::year(&day))
}

fn decimal(value: i128, scale: i8) -> Option<String> {
    let scale = usize::try_from(scale).ok()?;
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - scale)?;
    let sign = if value < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(from: Option<&[i64]>, before: Option<&[i64]>, or_null: bool) -> Bound {
        let literals = |values: &[i64]| values.iter().map(|value| Literal::Integer(*value)).collect();
        Bound {
            columns: vec!["a".to_owned(), "b".to_owned()],
            from: from.map(literals),
            before: before.map(literals),
            or_null,
        }
    }

    fn written(bound: &Bound, known: &[&str]) -> Option<String> {
        bound.condition(str::to_owned, |column, value| {
            let (column, value) = (column.to_owned(), value.plain()?);
            known.contains(&column.as_str()).then_some(Operands { column, value })
        })
    }

    #[test]
    fn columns_compare_one_after_the_other() {
        let whole = bound(Some(&[1, 2]), Some(&[3, 4]), false);
        assert_eq!(
            written(&whole, &["a", "b"]).unwrap(),
            "(a >= 1 AND (a > 1 OR (a = 1 AND b >= 2)) AND a <= 3 AND (a < 3 OR (a = 3 AND b < 4)))"
        );
        assert_eq!(written(&bound(Some(&[1]), None, false), &["a", "b"]).unwrap(), "(a >= 1)");
        let nullable = bound(None, Some(&[3]), true);
        assert_eq!(written(&nullable, &["a", "b"]).unwrap(), "((a < 3) OR a IS NULL OR b IS NULL)");
    }

    #[test]
    fn what_the_database_compares_otherwise_makes_the_range_wider() {
        let whole = bound(Some(&[1, 2]), Some(&[3, 4]), false);
        assert_eq!(written(&whole, &["a"]).unwrap(), "(a >= 1 AND a <= 3)");
        assert_eq!(written(&whole, &["b"]), None);
        assert_eq!(written(&bound(None, None, true), &["a"]), None);
    }

    #[test]
    fn values_are_written_plainly_or_not_at_all() {
        for (literal, text) in [
            (Literal::Integer(i64::MIN), Some("-9223372036854775808")),
            (Literal::Decimal(-5, 2), Some("-0.05")),
            (Literal::Decimal(1200, 2), Some("12.00")),
            (Literal::Decimal(7, 0), Some("7")),
            (Literal::Date(-1), Some("1969-12-31")),
            (Literal::Date(i32::MAX), None),
            (Literal::Date(-719_163), None),
            (Literal::Timestamp(-1), Some("1969-12-31 23:59:59.999999")),
            (Literal::Instant(1_500_000), Some("1970-01-01 00:00:01.500000")),
            (Literal::Instant(i64::MAX), None),
            (Literal::Text("x".to_owned()), None),
        ] {
            assert_eq!(literal.plain().as_deref(), text);
        }
    }

    #[test]
    fn a_value_is_never_shown() {
        let shown = format!("{:?}", bound(Some(&[4711]), None, false));
        assert!(!shown.contains("4711"), "{shown}");
    }
}
