//! Values of cursor columns: which types have an order, how they are written, and how far back a lookback is.

use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use serde_json::{Value, json};

use crate::source::Literal;
use crate::spec::sync::Lookback;

const DAY: Duration = Duration::from_secs(86_400);

/// A type whose values only grow in one known order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) enum Kind {
    Integer,
    Decimal(i8),
    Text,
    Date,
    Timestamp,
    Instant,
}

impl Kind {
    /// `None` for a type that is no cursor: floats have values without an order, others have none at all.
    pub(in crate::run) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Integer,
            DataType::Decimal128(_, scale) => Self::Decimal(*scale),
            DataType::Utf8 => Self::Text,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Instant,
            _ => return None,
        })
    }

    /// Its name in a sealed cursor.
    fn word(self) -> String {
        match self {
            Self::Integer => "integer".to_owned(),
            Self::Decimal(scale) => format!("decimal({scale})"),
            Self::Text => "text".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::Instant => "timestamptz".to_owned(),
        }
    }

    /// Whether a lookback is a distance between its values.
    pub(in crate::run) fn has(self, lookback: Lookback) -> bool {
        match lookback {
            Lookback::Time(_) => matches!(self, Self::Date | Self::Timestamp | Self::Instant),
            Lookback::Steps(_) => matches!(self, Self::Integer | Self::Decimal(_)),
        }
    }

    /// A value as people write it: a whole number, a decimal, a text, an ISO 8601 day or instant. An instant
    /// without a zone is of UTC.
    pub(in crate::run) fn parse(self, text: &str) -> Option<Literal> {
        match self {
            Self::Integer => text.parse().ok().map(Literal::Integer),
            Self::Decimal(scale) => decimal(text, scale).map(|value| Literal::Decimal(value, scale)),
            Self::Text => Some(Literal::Text(text.to_owned())),
            Self::Date => {
                let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
                let days = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
                i32::try_from(days).ok().map(Literal::Date)
            }
            Self::Timestamp => naive_micros(text).map(Literal::Timestamp),
            Self::Instant => {
                let zoned = chrono::DateTime::parse_from_rfc3339(text).ok();
                let micros = zoned.map(|at| at.timestamp_micros());
                micros.or_else(|| naive_micros(text)).map(Literal::Instant)
            }
        }
    }

    /// The value as it stands in a sealed cursor.
    fn read(self, text: &str) -> Option<Literal> {
        Some(match self {
            Self::Integer => Literal::Integer(text.parse().ok()?),
            Self::Decimal(scale) => Literal::Decimal(text.parse().ok()?, scale),
            Self::Text => Literal::Text(text.to_owned()),
            Self::Date => Literal::Date(text.parse().ok()?),
            Self::Timestamp => Literal::Timestamp(text.parse().ok()?),
            Self::Instant => Literal::Instant(text.parse().ok()?),
        })
    }
}

/// The value so far before another; the least there is where that is before all.
pub(in crate::run) fn back(value: &Literal, lookback: Lookback) -> Literal {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match (value, lookback) {
        (Literal::Integer(value), Lookback::Steps(steps)) => {
            Literal::Integer(value.saturating_sub_unsigned(steps))
        }
        (Literal::Decimal(value, scale), Lookback::Steps(steps)) => {
            let unit = 10_i128.saturating_pow(u32::try_from(*scale).unwrap_or(0));
            Literal::Decimal(value.saturating_sub(i128::from(steps).saturating_mul(unit)), *scale)
        }
        (Literal::Date(days), Lookback::Time(time)) => {
            let back = time.as_micros().div_ceil(DAY.as_micros());
            Literal::Date(days.saturating_sub(i32::try_from(back).unwrap_or(i32::MAX)))
        }
        (Literal::Timestamp(at), Lookback::Time(time)) => Literal::Timestamp(at.saturating_sub(micros(time))),
        (Literal::Instant(at), Lookback::Time(time)) => Literal::Instant(at.saturating_sub(micros(time))),
        // Planning refuses any other pair.
        (other, _) => other.clone(),
    }
}

/// The value so far past another; the greatest there is where that is past all.
pub(in crate::run) fn ahead(value: &Literal, width: Lookback) -> Literal {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match (value, width) {
        (Literal::Integer(value), Lookback::Steps(steps)) => {
            Literal::Integer(value.saturating_add_unsigned(steps))
        }
        (Literal::Decimal(value, scale), Lookback::Steps(steps)) => {
            let unit = 10_i128.saturating_pow(u32::try_from(*scale).unwrap_or(0));
            Literal::Decimal(value.saturating_add(i128::from(steps).saturating_mul(unit)), *scale)
        }
        (Literal::Date(days), Lookback::Time(time)) => {
            let ahead = time.as_micros().div_ceil(DAY.as_micros());
            Literal::Date(days.saturating_add(i32::try_from(ahead).unwrap_or(i32::MAX)))
        }
        (Literal::Timestamp(at), Lookback::Time(time)) => Literal::Timestamp(at.saturating_add(micros(time))),
        (Literal::Instant(at), Lookback::Time(time)) => Literal::Instant(at.saturating_add(micros(time))),
        // Planning refuses any other pair.
        (other, _) => other.clone(),
    }
}

/// A cursor as it is sealed: names, types and values.
pub(super) fn to_json<'a>(fields: impl Iterator<Item = (&'a str, Kind)>, values: &[Literal]) -> Value {
    let value = |literal: &Literal| match literal {
        Literal::Integer(value) | Literal::Timestamp(value) | Literal::Instant(value) => value.to_string(),
        Literal::Decimal(value, _) => value.to_string(),
        Literal::Text(text) => text.clone(),
        Literal::Date(days) => days.to_string(),
    };
    let field = |((name, kind), literal): ((&str, Kind), &Literal)| json!({"field": name, "type": kind.word(), "value": value(literal)});
    Value::Array(fields.zip(values).map(field).collect())
}

/// The values of a cursor, if it is one of these columns.
pub(super) fn from_json<'a>(
    fields: impl ExactSizeIterator<Item = (&'a str, Kind)>,
    cursor: &Value,
) -> Option<Vec<Literal>> {
    let cursor = cursor.as_array().filter(|cursor| cursor.len() == fields.len())?;
    let value = |((name, kind), entry): ((&str, Kind), &Value)| {
        let is_same = entry["field"] == name && entry["type"] == kind.word();
        kind.read(entry["value"].as_str().filter(|_| is_same)?)
    };
    fields.zip(cursor).map(value).collect()
}

fn naive_micros(text: &str) -> Option<i64> {
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let parse = |format: &&str| chrono::NaiveDateTime::parse_from_str(text, format).ok();
    let at = formats
        .iter()
        .find_map(parse)
        .or_else(|| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
    Some(at.and_utc().timestamp_micros())
}

fn decimal(text: &str, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !is_number || fraction.len() > scale {
        return None;
    }
    let value: i128 = format!("{whole}{fraction:0<scale$}").parse().ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_and_as_nothing_else() {
        let kinds = [
            ("n", Kind::Integer, "-7"),
            ("d", Kind::Decimal(2), "12.5"),
            ("t", Kind::Text, "a \"quote\""),
            ("day", Kind::Date, "1969-12-31"),
            ("at", Kind::Timestamp, "2024-01-02 03:04:05.000006"),
            ("tz", Kind::Instant, "2024-01-02T03:04:05+02:00"),
        ];
        let values: Vec<Literal> = kinds.iter().map(|(_, kind, text)| kind.parse(text).unwrap()).collect();
        let fields = || kinds.iter().map(|(name, kind, _)| (*name, *kind));
        let json: Value = serde_json::from_str(&to_json(fields(), &values).to_string()).unwrap();
        assert!(from_json(fields(), &json) == Some(values.clone()));
        assert!(values[1] == Literal::Decimal(1250, 2) && values[3] == Literal::Date(-1));
        for other in [("x", Kind::Integer), ("n", Kind::Text), ("n", Kind::Decimal(0))] {
            let others = [other].into_iter().chain(fields().skip(1)).collect::<Vec<_>>();
            assert!(from_json(others.into_iter(), &json).is_none(), "{other:?}");
        }
        assert!(from_json(kinds[..1].iter().map(|(name, kind, _)| (*name, *kind)), &json).is_none());
    }

    #[test]
    fn instants_are_of_utc_where_they_name_no_zone() {
        let of = |text: &str| Kind::Instant.parse(text).unwrap();
        assert!(of("2024-01-02T03:04:05Z") == of("2024-01-02 03:04:05"));
        assert!(of("2024-01-02T05:04:05+02:00") == of("2024-01-02 03:04:05"));
        assert!(of("2024-01-02") == of("2024-01-02 00:00"));
    }

    #[test]
    fn what_is_no_value_of_the_type_is_none() {
        for (kind, text) in [
            (Kind::Integer, "1.5"),
            (Kind::Decimal(1), "1.55"),
            (Kind::Decimal(1), "1e3"),
            (Kind::Date, "2023-02-29"),
            (Kind::Timestamp, "2024-01-02T03:04:05Z"),
            (Kind::Instant, "yesterday"),
        ] {
            assert!(kind.parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_lookback_never_ends_after_its_beginning() {
        let hour = Lookback::Time(Duration::from_secs(3600));
        assert!(back(&Literal::Instant(3_600_000_000), hour) == Literal::Instant(0));
        assert!(back(&Literal::Date(10), hour) == Literal::Date(9));
        assert!(back(&Literal::Date(i32::MIN), hour) == Literal::Date(i32::MIN));
        assert!(
            back(&Literal::Integer(i64::MIN + 1), Lookback::Steps(u64::MAX)) == Literal::Integer(i64::MIN)
        );
        assert!(back(&Literal::Decimal(1000, 2), Lookback::Steps(3)) == Literal::Decimal(700, 2));
    }

    #[test]
    fn floats_and_bytes_are_no_cursors() {
        for other in [DataType::Float64, DataType::Boolean, DataType::Binary, DataType::LargeUtf8] {
            assert_eq!(Kind::of(&other), None, "{other}");
        }
    }
}
