//! Parts of the week in which nothing is started.

use crate::error::{Error, Result};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::raw::placed::{Many, Placed};
use crate::spec::raw::schedule as raw;
use crate::spec::schedule::Blackout;

/// Most windows of one schedule.
const MOST_WINDOWS: usize = 20;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;

type Windows = Placed<Vec<Placed<raw::Blackout>>>;

pub(super) fn windows(list: Option<&Windows>, faults: &Faults<'_>) -> Option<Vec<Blackout>> {
    let Some(list) = list else { return Some(Vec::new()) };
    let written = list.get()?;
    if written.len() > MOST_WINDOWS {
        let fault = Fault::new(list.key, format!("a schedule has at most {MOST_WINDOWS} blackouts"));
        faults.push(fault.help("join some: `days` takes ranges and lists"));
        return None;
    }
    let read: Vec<Option<Blackout>> =
        written.iter().map(|placed| placed.get().and_then(|raw| window(raw, faults))).collect();
    let windows: Vec<Blackout> = read.into_iter().collect::<Option<_>>()?;
    if covers_the_week(&windows) {
        let fault = Fault::new(list.key, "these blackouts leave no time of the week in which it may run");
        faults.push(fault.help("let at least one of them end earlier"));
        return None;
    }
    Some(windows)
}

fn window(raw: &raw::Blackout, faults: &Faults<'_>) -> Option<Blackout> {
    let days = raw.days.as_ref().map_or(Some([true; 7]), |placed| days(placed, faults));
    let from = faults.take_optional(raw.from.as_ref(), |text| minute(&text.0, 0, MINUTES_OF_DAY - 1));
    let to = faults.take_optional(raw.to.as_ref(), |text| minute(&text.0, 1, MINUTES_OF_DAY));
    let (from, to) = (from?.unwrap_or(0), to?.unwrap_or(MINUTES_OF_DAY));
    Some(Blackout { days: days?, from_minute: from, to_minute: to })
}

fn days(placed: &Placed<Many<Placed<String>>>, faults: &Faults<'_>) -> Option<[bool; 7]> {
    let mut all = [false; 7];
    let words = &placed.get()?.0;
    if words.is_empty() {
        faults.push(Fault::new(placed.key, "no day is named").help("write `days: mon-fri`"));
        return None;
    }
    let read: Vec<Option<[bool; 7]>> = words.iter().map(|word| faults.parse(word, range)).collect();
    for some in read {
        for (day, named) in all.iter_mut().zip(some?) {
            *day |= named;
        }
    }
    Some(all)
}

/// `mon`, or `fri-mon` from the one through the other.
fn range(text: &str) -> Result<[bool; 7]> {
    let refused = || {
        Error::invalid(format!("{} is no day, nor days from one to another", quoted(text)))
            .help("write `sat` or `mon-fri`; the days are mon, tue, wed, thu, fri, sat and sun")
    };
    let day = |word: &str| DAYS.iter().position(|day| *day == word.trim()).ok_or_else(refused);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let mut named = [false; 7];
    let many = (last + 7 - first) % 7 + 1;
    for index in (0..7).cycle().skip(first).take(many) {
        if let Some(day) = named.get_mut(index) {
            *day = true;
        }
    }
    Ok(named)
}

/// Minutes of the day of `HH:MM`.
fn minute(text: &str, low: u16, high: u16) -> Result<u16> {
    let parse = || {
        let (hours, minutes) = text.split_once(':')?;
        let number = |digits: &str| match digits.as_bytes() {
            [tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => digits.parse::<u16>().ok(),
            _ => None,
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let all = hours.checked_mul(60)?.checked_add(minutes)?;
        (minutes < 60 && (low..=high).contains(&all)).then_some(all)
    };
    parse().ok_or_else(|| {
        let bound = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let message = format!("{} is no time of the day here", quoted(text));
        Error::invalid(message).help(format!("write it in quotes, \"{}\" to \"{}\"", bound(low), bound(high)))
    })
}

/// Whether no minute of a week without a change of clocks is left.
fn covers_the_week(windows: &[Blackout]) -> bool {
    let minutes = usize::from(MINUTES_OF_DAY);
    let mut free = vec![true; 7 * minutes];
    for window in windows {
        for (day, _) in window.days.iter().enumerate().filter(|(_, named)| **named) {
            let (from, to) = (usize::from(window.from_minute), usize::from(window.to_minute));
            let to = if to > from { to } else { to + minutes };
            for minute in from..to {
                if let Some(free) = free.get_mut((day * minutes + minute) % (7 * minutes)) {
                    *free = false;
                }
            }
        }
    }
    !free.contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_or_ranges_that_may_go_round_the_week() {
        let named = |text| {
            let days = range(text).unwrap();
            DAYS.iter().zip(days).filter(|(_, named)| *named).map(|(day, _)| *day).collect::<Vec<_>>()
        };
        assert_eq!(named("wed"), ["wed"]);
        assert_eq!(named("mon-fri"), ["mon", "tue", "wed", "thu", "fri"]);
        assert_eq!(named("sat-mon"), ["mon", "sat", "sun"]);
        for bad in ["", "monday", "mon-", "-", "mon-fri-sun", "MON"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_hours_and_minutes_within_the_day() {
        assert_eq!(minute("08:30", 0, 1439).unwrap(), 510);
        assert_eq!(minute("24:00", 1, 1440).unwrap(), 1440);
        for bad in ["24:00", "8:30", "08:60", "0830", "aa:bb", "+8:00", "08:30:00", ""] {
            assert!(minute(bad, 0, 1439).is_err(), "{bad}");
        }
    }

    #[test]
    fn blackouts_that_leave_no_minute_are_seen() {
        let window = |days, from_minute, to_minute| Blackout { days, from_minute, to_minute };
        assert!(covers_the_week(&[window([true; 7], 0, 1440)]));
        assert!(covers_the_week(&[window([true; 7], 600, 600)]), "a whole day from ten to ten");
        assert!(covers_the_week(&[window([true; 7], 600, 540), window([true; 7], 500, 600)]));
        assert!(!covers_the_week(&[window([true; 7], 600, 599)]));
        assert!(!covers_the_week(&[]));
    }
}
