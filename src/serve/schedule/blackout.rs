//! Parts of the week in which nothing is started, on the time line.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::spec::schedule::Blackout;

/// Most windows that follow each other without a break: more than a week has.
const MOST_IN_A_ROW: usize = 200;
/// Longest time that clocks ever left out: a day, where an island crossed the date line.
const LONGEST_GAP_MINUTES: u32 = 25 * 60;

/// The first instant from `at` on that is in no blackout; `None` when there is none.
pub(super) fn release(windows: &[Blackout], zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut free = at;
    for _ in 0..MOST_IN_A_ROW {
        match covering(windows, zone, free) {
            None => return Some(free),
            Some((_, end)) => free = end,
        }
    }
    None
}

/// Since when there has been no moment without a blackout; `at` itself where it is in none.
pub(super) fn begin(windows: &[Blackout], zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
    let mut begin = at;
    let mut within = at;
    for _ in 0..MOST_IN_A_ROW {
        match covering(windows, zone, within) {
            None => break,
            Some((from, _)) => (begin, within) = (from, from - TimeDelta::milliseconds(1)),
        }
    }
    begin
}

/// The earliest begin and the latest end of the blackouts that cover `at`.
fn covering(windows: &[Blackout], zone: Tz, at: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    if windows.is_empty() {
        return None;
    }
    let today = at.with_timezone(&zone).date_naive();
    // One that began yesterday may still last.
    let days = [today.checked_sub_days(Days::new(1))?, today];
    let covering = days.into_iter().flat_map(|day| windows.iter().map(move |window| (day, window)));
    let spans = covering.filter_map(|(day, window)| {
        let index = usize::try_from(day.weekday().num_days_from_monday()).ok()?;
        window.days.get(index).filter(|named| **named)?;
        let last =
            if window.to_minute > window.from_minute { day } else { day.checked_add_days(Days::new(1))? };
        // Where clocks go back, a blackout lasts from the first pass of its begin to the last pass of its end.
        let (from, _) = instants(day, window.from_minute, zone)?;
        let (_, to) = instants(last, window.to_minute, zone)?;
        (from <= at && at < to).then_some((from, to))
    });
    spans.reduce(|(from, to), (other_from, other_to)| (from.min(other_from), to.max(other_to)))
}

/// The first and the last instant of a minute of a day; where clocks leave it out, the first instant after.
pub(super) fn instants(day: NaiveDate, minute: u16, zone: Tz) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let mut wall = day.and_hms_opt(0, 0, 0)? + TimeDelta::minutes(minute.into());
    for _ in 0..LONGEST_GAP_MINUTES {
        match zone.from_local_datetime(&wall) {
            LocalResult::Single(at) => return Some((at.to_utc(), at.to_utc())),
            LocalResult::Ambiguous(first, last) => return Some((first.to_utc(), last.to_utc())),
            LocalResult::None => wall += TimeDelta::minutes(1),
        }
    }
    None
}
