//! A relation in ranges of one column, for several connections.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::Datelike;

use super::words;
use crate::source::{Carried, Column};

/// Pieces for each connection: one that is done early takes the next.
const PIECES_PER_CONNECTION: i128 = 4;

/// What a column can be split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Number,
    Date,
    Timestamp,
}

impl Axis {
    /// `None` for a column that has no ranges.
    pub(super) fn of(column: &Column) -> Option<Self> {
        match &column.carried {
            Carried::Exact(DataType::Int16 | DataType::Int32 | DataType::Int64) => Some(Self::Number),
            Carried::Exact(DataType::Decimal128(_, 0)) => Some(Self::Number),
            Carried::Exact(DataType::Date32) => Some(Self::Date),
            Carried::Exact(DataType::Timestamp(TimeUnit::Microsecond, None)) => Some(Self::Timestamp),
            _ => None,
        }
    }

    fn parse(self, text: &str) -> Option<i128> {
        match self {
            Self::Number => words::decimal(text.trim(), 38, 0).ok(),
            Self::Date => words::date(text.trim()).ok().map(i128::from),
            Self::Timestamp => words::timestamp(text.trim()).ok().map(i128::from),
        }
    }

    /// A point of the axis in SQL.
    fn literal(self, point: i128) -> Option<String> {
        let date = |days: i128| {
            let date = chrono::NaiveDate::from_num_days_from_ce_opt(i32::try_from(days).ok()? + 719_163)?;
            // Years beyond these are written in other ways by each database.
            (1..=9999).contains(&date.year()).then(|| date.format("%Y-%m-%d").to_string())
        };
        match self {
            Self::Number => Some(point.to_string()),
            Self::Date => Some(format!("DATE '{}'", date(point)?)),
            Self::Timestamp => {
                let seconds = point.div_euclid(1_000_000);
                let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
                let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                Some(format!("TIMESTAMP '{} {hour:02}:{minute:02}:{second:02}'", date(day)?))
            }
        }
    }
}

/// Conditions on `column` that together hold for every row, each row in one of them: also for NULL,
/// and for rows beyond the given least and most.
pub(super) fn conditions(
    axis: Axis,
    column: &str,
    least: Option<&str>,
    most: Option<&str>,
    connections: usize,
) -> Vec<Option<String>> {
    let whole = vec![None];
    let point = |text: Option<&str>| axis.parse(text?);
    let (Some(least), Some(most)) = (point(least), point(most)) else { return whole };
    let Some(span) = most.checked_sub(least) else { return whole };
    let pieces = i128::try_from(connections).unwrap_or(1).saturating_mul(PIECES_PER_CONNECTION).min(span + 1);
    if connections < 2 || pieces < 2 {
        return whole;
    }
    // Divided first: the product could be too large.
    let bound = |i: i128| axis.literal(least + span / pieces * i + span % pieces * i / pieces);
    let Some(mut bounds) = (1..pieces).map(bound).collect::<Option<Vec<String>>>() else { return whole };
    bounds.dedup();
    let mut conditions = Vec::with_capacity(bounds.len() + 1);
    for (index, upper) in bounds.iter().enumerate() {
        conditions.push(Some(match index.checked_sub(1) {
            None => format!("({column} < {upper} OR {column} IS NULL)"),
            Some(before) => format!("{column} >= {} AND {column} < {upper}", bounds[before]),
        }));
    }
    conditions.extend(bounds.last().map(|last| Some(format!("{column} >= {last}"))));
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_cover_everything() {
        let conditions = conditions(Axis::Number, "n", Some("1"), Some("100"), 2);
        assert_eq!(conditions.len(), 8);
        let texts: Vec<_> = conditions.into_iter().flatten().collect();
        assert_eq!(texts[0], "(n < 13 OR n IS NULL)");
        assert_eq!(texts[1], "n >= 13 AND n < 25");
        assert_eq!(texts[7], "n >= 87");
    }

    #[test]
    fn nothing_to_split_by_is_one_piece() {
        assert_eq!(conditions(Axis::Number, "n", None, None, 4), [None]);
        assert_eq!(conditions(Axis::Number, "n", Some("5"), Some("5"), 4), [None]);
        assert_eq!(conditions(Axis::Number, "n", Some("1"), Some("100"), 1), [None]);
    }

    #[test]
    fn the_ends_of_the_widest_axis_do_not_overflow() {
        let (least, most) = (format!("-{}", "9".repeat(38)), "9".repeat(38));
        let conditions = conditions(Axis::Number, "n", Some(&least), Some(&most), 8);
        assert!(matches!(conditions.len(), 1 | 32));
    }

    #[test]
    fn days_and_instants_are_literals() {
        let dates = conditions(Axis::Date, "d", Some("2024-01-01"), Some("2024-12-31"), 2);
        assert_eq!(dates[7].as_deref(), Some("d >= DATE '2024-11-15'"));
        let instants =
            conditions(Axis::Timestamp, "t", Some("1969-12-31 00:00:00"), Some("1970-01-02 00:00:00"), 2);
        assert_eq!(instants[0].as_deref(), Some("(t < TIMESTAMP '1969-12-31 06:00:00' OR t IS NULL)"));
    }
}
