//! A relation cut into ranges of one column, to be read by several connections.
//!
//! Ranges of equal width hold very different numbers of rows where keys are skewed. So the range with
//! the most rows, as the server's planner expects them, is halved again and again; a planner's look
//! at a range of an index costs next to nothing.

use std::collections::BinaryHeap;

use chrono::{Days, NaiveDate};

use super::types::Layout;
use super::value::days_from_civil;

/// About how much of a table makes a piece.
const PIECE_BYTES: u64 = 16 << 20;
/// Less is not worth a piece of its own.
const LEAST_PIECE_BYTES: u64 = 256 << 10;
/// Pieces for each connection at the least, so that one that takes long does not hold up the rest.
const PIECES_PER_CONNECTION: u64 = 4;
const MOST_PIECES: u64 = 512;
/// Most looks at the planner: some to find where in a huge range the keys are, and some for each piece.
const LOOKS: usize = 256;
const LOOKS_PER_PIECE: usize = 6;
const MICROS_PER_DAY: i128 = 86_400_000_000;

/// What the values of a column are, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Integer,
    /// Days since 1970.
    Date,
    /// Microseconds since 1970, UTC.
    Instant,
}

impl Order {
    pub(super) fn of(layout: Layout) -> Option<Self> {
        match layout {
            Layout::Int8
            | Layout::UInt8
            | Layout::Int16
            | Layout::UInt16
            | Layout::Int32
            | Layout::UInt32
            | Layout::Int64
            | Layout::UInt64 => Some(Self::Integer),
            Layout::Date => Some(Self::Date),
            Layout::DateTime | Layout::Timestamp => Some(Self::Instant),
            _ => None,
        }
    }

    /// The place of a value that the server wrote as text. A zero date comes before all.
    pub(super) fn place(self, text: &str) -> Option<i128> {
        if self == Self::Integer {
            return text.parse().ok();
        }
        let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
        let mut parts = date.split('-').map(|part| part.parse::<i32>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let days = i128::from(days_from_civil(year, month.max(1), day.max(1)));
        if self == Self::Date {
            return Some(days);
        }
        let mut parts = time.split(':');
        let (hour, minute) = (parts.next()?.parse::<i128>().ok()?, parts.next()?.parse::<i128>().ok()?);
        let second = parts.next()?.split('.').next()?.parse::<i128>().ok()?;
        Some(days * MICROS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000)
    }

    /// The value at a place, for SQL that is sent.
    fn literal(self, place: i128) -> Option<String> {
        let date = |days: i128| {
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
            let count = Days::new(u64::try_from(days.unsigned_abs()).ok()?);
            if days < 0 { epoch.checked_sub_days(count) } else { epoch.checked_add_days(count) }
        };
        match self {
            Self::Integer => Some(place.to_string()),
            Self::Date => Some(format!("'{}'", date(place)?.format("%Y-%m-%d"))),
            Self::Instant => {
                let day = date(place.div_euclid(MICROS_PER_DAY))?.format("%Y-%m-%d");
                let micros = place.rem_euclid(MICROS_PER_DAY);
                let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
                let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
                Some(format!("'{day} {hour:02}:{minute:02}:{second:02}.{micros:06}'"))
            }
        }
    }
}

/// How many pieces a table of this size is worth; 1 is not cut at all.
pub(super) fn wanted(bytes: Option<u64>, connections: usize) -> usize {
    let connections = connections as u64;
    if connections < 2 {
        return 1;
    }
    let bytes = bytes.unwrap_or(0);
    let least = (connections * PIECES_PER_CONNECTION).min(bytes / LEAST_PIECE_BYTES);
    usize::try_from((bytes / PIECE_BYTES).max(least).clamp(1, MOST_PIECES)).unwrap_or(1)
}

/// A range of places, the upper end not in it, and the rows expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    rows: u64,
    from: i128,
    to: i128,
}

/// The cutting of a column's range.
pub(super) struct Cutting {
    stretches: BinaryHeap<Stretch>,
    wanted: usize,
    looks_left: usize,
    /// Rows of a piece if all were alike.
    fair_rows: u64,
}

impl Cutting {
    /// Of values from `low` to `high`, both there.
    pub(super) fn new(low: i128, high: i128, rows: u64, wanted: usize) -> Self {
        let whole = Stretch { rows, from: low, to: high.max(low).saturating_add(1) };
        Self {
            stretches: BinaryHeap::from([whole]),
            wanted,
            looks_left: LOOKS + wanted.saturating_mul(LOOKS_PER_PIECE),
            fair_rows: (rows / wanted.max(1) as u64).max(1),
        }
    }

    /// The two halves of the fullest stretch, to be looked at and given to [`Cutting::put`]; `None`
    /// when it is cut finely enough.
    pub(super) fn next(&mut self) -> Option<[(i128, i128); 2]> {
        if self.looks_left < 2 {
            return None;
        }
        let fullest = *self.stretches.peek()?;
        if fullest.to - fullest.from < 2 || fullest.rows <= self.fair_rows + self.fair_rows / 2 {
            return None;
        }
        self.stretches.pop();
        self.looks_left -= 2;
        let middle = fullest.from + (fullest.to - fullest.from) / 2;
        Some([(fullest.from, middle), (middle, fullest.to)])
    }

    pub(super) fn put(&mut self, (from, to): (i128, i128), rows: u64) {
        self.stretches.push(Stretch { rows, from, to });
    }

    /// Where to cut: neighbours that are small together stay together.
    pub(super) fn cuts(self) -> Vec<(i128, u64)> {
        let mut stretches = self.stretches.into_vec();
        stretches.sort_by_key(|stretch| stretch.from);
        let mut pieces: Vec<(i128, u64)> = Vec::new();
        for Stretch { rows, from, .. } in stretches {
            match pieces.last_mut() {
                Some((_, before)) if *before + rows <= self.fair_rows => *before += rows,
                _ => pieces.push((from, rows)),
            }
        }
        pieces
    }

    /// Stretches of equal width, where the planner cannot be asked.
    pub(super) fn evenly(self) -> Vec<(i128, u64)> {
        let Some(whole) = self.stretches.peek().copied() else { return Vec::new() };
        let count = (self.wanted as i128).min(whole.to - whole.from).max(1);
        (0..count).map(|i| (whole.from + (whole.to - whole.from) * i / count, 0)).collect()
    }
}

/// One range as a condition, its upper end not in it.
pub(super) fn between(column: &str, order: Order, (from, to): (i128, i128)) -> Option<String> {
    Some(format!("{column} >= {} AND {column} < {}", order.literal(from)?, order.literal(to)?))
}

/// The pieces as conditions, the fullest first; `None` for the whole. Together they hold every row, each
/// in one of them: the outermost are open, and rows without a value belong to the first, by one
/// condition. (A condition of their own would take zero dates too, which the server holds for NULL.)
pub(super) fn conditions(
    column: &str,
    order: Order,
    cuts: &[(i128, u64)],
    nullable: bool,
) -> Option<Vec<Option<String>>> {
    let mut pieces = Vec::new();
    for (index, (from, rows)) in cuts.iter().enumerate() {
        let from = (index > 0).then(|| order.literal(*from)).map(|l| Some(format!("{column} >= {}", l?)));
        let to = cuts.get(index + 1).map(|(to, _)| Some(format!("{column} < {}", order.literal(*to)?)));
        let condition = match (from, to) {
            (Some(from), Some(to)) => Some(format!("{} AND {}", from?, to?)),
            (Some(from), None) => Some(from?),
            (None, Some(to)) if nullable => Some(format!("({}) IS NOT FALSE", to?)),
            (None, Some(to)) => Some(to?),
            (None, None) => None,
        };
        pieces.push((*rows, condition));
    }
    pieces.sort_by_key(|(rows, _)| std::cmp::Reverse(*rows));
    Some(pieces.into_iter().map(|(_, condition)| condition).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts with a planner that knows the keys.
    fn cut(keys: &[i128], wanted: usize) -> (Vec<(i128, u64)>, usize) {
        let (low, high) = (keys[0], keys[keys.len() - 1]);
        let mut cutting = Cutting::new(low, high, keys.len() as u64, wanted);
        let mut looks = 0;
        while let Some(halves) = cutting.next() {
            for (from, to) in halves {
                looks += 1;
                cutting.put((from, to), keys.iter().filter(|k| (from..to).contains(*k)).count() as u64);
            }
        }
        (cutting.cuts(), looks)
    }

    #[test]
    fn skewed_keys_make_pieces_of_a_size() {
        let even: Vec<i128> = (0..10_000).collect();
        let mut far: Vec<i128> = (0..10_000).collect();
        far.extend([1 << 40, 1 << 62]);
        let dense: Vec<i128> = (0..5_000).map(|i| i * 1_000).chain(5_000_000..5_005_000).collect();
        for keys in [even, far, dense] {
            let (pieces, looks) = cut(&keys, 16);
            let fattest = pieces.iter().map(|(_, rows)| *rows).max().unwrap();
            assert!(fattest <= 2 * keys.len() as u64 / 16, "{fattest} of {}", keys.len());
            assert!(pieces.len() <= 40 && looks <= LOOKS + 16 * LOOKS_PER_PIECE, "{} {looks}", pieces.len());
        }
        let (pieces, _) = cut(&[7], 16);
        assert_eq!(pieces.len(), 1);
    }

    #[test]
    fn every_value_is_in_one_piece() {
        let keys: Vec<i128> = vec![i128::from(i64::MIN), -5, 0, 3, 1 << 62, i128::from(u64::MAX)];
        for cuts in [cut(&keys, 4).0, Cutting::new(keys[0], keys[5], 6, 4).evenly()] {
            assert!(cuts.is_sorted_by(|a, b| a.0 < b.0), "{cuts:?}");
            let conditions: Vec<String> =
                conditions("k", Order::Integer, &cuts, true).unwrap().into_iter().flatten().collect();
            assert_eq!(conditions.len(), cuts.len());
            assert_eq!(
                conditions.iter().filter(|c| c.starts_with("(k < ") && c.ends_with(") IS NOT FALSE")).count(),
                1
            );
            let holds = |condition: &str, key: i128| {
                let condition = condition.trim_start_matches('(').trim_end_matches(") IS NOT FALSE");
                condition.split(" AND ").all(|part| {
                    let (_, part) = part.split_once(' ').unwrap();
                    match part.split_once(' ').unwrap() {
                        (">=", bound) => key >= bound.parse().unwrap(),
                        ("<", bound) => key < bound.parse().unwrap(),
                        other => panic!("{other:?}"),
                    }
                })
            };
            for key in keys.iter().copied().chain([i128::from(i64::MIN) - 1, i128::from(u64::MAX) + 1]) {
                assert_eq!(conditions.iter().filter(|c| holds(c, key)).count(), 1, "{key}");
            }
        }
    }

    #[test]
    fn small_tables_and_single_connections_are_not_cut() {
        assert_eq!(wanted(Some(10_000), 4), 1);
        assert_eq!(wanted(Some(1 << 40), 1), 1);
        assert_eq!(wanted(None, 4), 1);
        assert_eq!(wanted(Some(1 << 30), 2), 64);
        assert_eq!(wanted(Some(4 << 20), 2), 8);
        assert_eq!(wanted(Some(1 << 50), 8) as u64, MOST_PIECES);
    }

    #[test]
    fn places_and_literals_agree() {
        for (order, text, literal) in [
            (Order::Integer, "18446744073709551615", "18446744073709551615"),
            (Order::Date, "2024-02-29", "'2024-02-29'"),
            (Order::Date, "0000-00-00", "'0000-01-01'"),
            (Order::Date, "9999-12-31", "'9999-12-31'"),
            (Order::Instant, "1969-12-31 23:59:59.250000", "'1969-12-31 23:59:59.000000'"),
            (Order::Instant, "2024-05-06", "'2024-05-06 00:00:00.000000'"),
        ] {
            let place = order.place(text).unwrap();
            assert_eq!(order.literal(place).as_deref(), Some(literal), "{text}");
        }
        assert_eq!(Order::Date.place("x"), None);
    }
}
