//! When one pipeline is due, as its schedule says: arithmetic on instants, and nothing that waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use sha2::{Digest as _, Sha256};

use super::blackout::{begin, instants, release};
use crate::error::{At, Error, Result};
use crate::spec::PipelineName;
use crate::spec::schedule::{After, InBlackout, MOST_CAUGHT_UP, Missed, Schedule, Timing};

/// How late an occurrence may be taken on before it counts as missed.
pub const TOLERANCE: Duration = Duration::from_secs(300);
/// A clock that is set back by no more than this repeats nothing; by more, and the former time was wrong.
pub const SET_BACK: Duration = Duration::from_secs(3600);
/// Most occurrences that one look goes over.
const MOST_STEPS: usize = 2_000;

/// A schedule that can be asked.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Plan {
    pub(super) pipeline: PipelineName,
    pub(super) schedule: Schedule,
    beat: Beat,
}

#[derive(Clone, Debug)]
enum Beat {
    /// Steps: they keep their pace where clocks change.
    Cron(Arc<Cron>),
    /// Fixed times of a day: each comes once on its day.
    FixedTimes(Arc<Cron>),
    Every {
        interval: TimeDelta,
        anchor: DateTime<Utc>,
    },
    /// Others tell.
    Followed,
}

/// One time at which a pipeline is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serve) struct Occurrence {
    /// Which one it is: the instant that the schedule names. No two of a pipeline have the same.
    pub(in crate::serve) at: DateTime<Utc>,
    /// When it begins, with jitter, and outside of blackouts.
    pub(in crate::serve) due: DateTime<Utc>,
}

impl Plan {
    /// Reads the expression.
    ///
    /// # Errors
    /// `Invalid` when it is none, or the interval is out of all bounds.
    pub(in crate::serve) fn read(pipeline: &PipelineName, schedule: &Schedule) -> Result<Self> {
        let place = || format!("pipeline {pipeline}");
        let beat = match &schedule.timing {
            Timing::Cron(text) if has_steps(text) => Beat::Cron(shared(text).at(place)?),
            Timing::Cron(text) => Beat::FixedTimes(shared(text).at(place)?),
            Timing::Every { interval, anchor } => {
                let interval =
                    TimeDelta::from_std(*interval).ok().filter(|interval| *interval > TimeDelta::zero());
                let interval = interval.ok_or_else(|| Error::invalid("this is no interval")).at(place)?;
                Beat::Every { interval, anchor: *anchor }
            }
            Timing::After(_) => Beat::Followed,
        };
        Ok(Self { pipeline: pipeline.clone(), schedule: schedule.clone(), beat })
    }

    /// Whom it follows, where it does.
    pub(super) fn after(&self) -> Option<&After> {
        match &self.schedule.timing {
            Timing::After(after) => Some(after),
            _ => None,
        }
    }

    /// Whether it is the plan of this schedule.
    pub(in crate::serve) fn is_of(&self, schedule: &Schedule) -> bool {
        self.schedule == *schedule
    }

    /// What tells this timing from others: a schedule that comes to another one begins anew.
    pub(in crate::serve) fn timing(&self) -> String {
        self.schedule.to_json().to_string()
    }

    /// The first instant after `at` that the schedule names; `None` where it names none (30 February).
    fn next(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.beat {
            Beat::Cron(cron) => {
                let next =
                    cron.find_next_occurrence(&at.with_timezone(&self.schedule.timezone), false).ok()?;
                Some(next.with_timezone(&Utc)).filter(|next| *next > at)
            }
            Beat::FixedTimes(cron) => next_fixed(cron, self.schedule.timezone, at),
            Beat::Every { interval, anchor } => {
                let (interval, since) = (interval.num_milliseconds(), (at - anchor).num_milliseconds());
                let next = since.div_euclid(interval).checked_add(1)?.checked_mul(interval)?;
                anchor.checked_add_signed(TimeDelta::try_milliseconds(next)?)
            }
            Beat::Followed => None,
        }
    }

    /// The last instant that the schedule names, after `after` and not after `until`.
    fn last(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut found = self.next(after).filter(|at| *at <= until)?;
        // Mostly there is one.
        found = match self.next(found).filter(|at| *at <= until) {
            Some(next) => next,
            None => return Some(found),
        };
        // Somewhere between the two is the last instant from which another one can be reached.
        let mut beyond = until;
        while beyond - found > TimeDelta::milliseconds(1) {
            let middle = found + (beyond - found) / 2;
            match self.next(middle).filter(|at| *at <= until) {
                Some(next) => found = next,
                None => beyond = middle,
            }
        }
        // `beyond` is at or after the last; one may stand between.
        Some(self.next(found).filter(|at| *at <= until).unwrap_or(found))
    }

    /// When an occurrence begins; `None` when it is left out.
    pub(super) fn due(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.released(at + jitter(&self.pipeline, at, self.longest_jitter(at)))
    }

    /// What an occurrence may be put off by: never as far as the next one, so that they are due in their order.
    fn longest_jitter(&self, at: DateTime<Utc>) -> Duration {
        let longest = self.schedule.jitter;
        if longest.is_zero() {
            return longest;
        }
        let distance = self.next(at).and_then(|next| (next - at).to_std().ok());
        distance.map_or(longest, |distance| distance.min(longest))
    }

    /// When something may begin that would do so at `at`; `None` when it is left out.
    pub(super) fn released(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let free = release(&self.schedule.blackout, self.schedule.timezone, at)?;
        (free == at || self.schedule.in_blackout == InBlackout::Defer).then_some(free)
    }

    /// The first occurrence after the one that was handled last.
    pub(in crate::serve) fn upcoming(&self, through: DateTime<Utc>) -> Option<Occurrence> {
        let mut at = self.next(through)?;
        for _ in 0..MOST_STEPS {
            if let Some(due) = self.due(at) {
                return Some(Occurrence { at, due });
            }
            // The blackout leaves out all that it covers.
            let free = release(&self.schedule.blackout, self.schedule.timezone, at)?;
            at = self.next(at.max(free - self.schedule.jitter - TimeDelta::milliseconds(1)))?;
        }
        None
    }

    /// The occurrences after the one that was handled last that are due, oldest first; at most the newest
    /// [`MOST_CAUGHT_UP`], and where they have no run each, the newest alone.
    pub(super) fn ripe(&self, through: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Occurrence> {
        let most = if self.schedule.missed == Missed::All { MOST_CAUGHT_UP } else { 1 };
        let mut ripe = self.newest_ripe(through, now, most);
        ripe.reverse();
        ripe
    }

    /// The last occurrence after `since` that was due at `now`.
    pub(in crate::serve) fn last_due(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<Occurrence> {
        self.newest_ripe(since, now, 1).pop()
    }

    /// Newest first.
    fn newest_ripe(&self, through: DateTime<Utc>, now: DateTime<Utc>, most: usize) -> Vec<Occurrence> {
        let mut ripe = Vec::new();
        let mut until = now;
        for _ in 0..MOST_STEPS {
            let Some(at) = self.last(through, until) else { break };
            ripe.extend(self.due(at).filter(|due| *due <= now).map(|due| Occurrence { at, due }));
            if ripe.len() >= most {
                break;
            }
            until = self.unripe_since(at, now) - TimeDelta::milliseconds(1);
        }
        ripe
    }

    /// Where the occurrences before `at` are as little ripe as it is: at the begin of a blackout that covers them all.
    fn unripe_since(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        let Schedule { blackout, timezone, jitter, .. } = &self.schedule;
        if blackout.is_empty() || self.due(at).is_some_and(|due| due <= now) {
            return at;
        }
        match release(blackout, *timezone, at) {
            Some(end) if end <= at + *jitter => at,
            _ => begin(blackout, *timezone, at),
        }
    }

    /// Which of the ripe occurrences has a run now, if any has. Under `missed: all` the others follow.
    pub(super) fn chosen(&self, ripe: &[Occurrence], now: DateTime<Utc>) -> Option<Occurrence> {
        match self.schedule.missed {
            Missed::Skip => ripe.last().copied().filter(|newest| !newest.is_missed(now)),
            Missed::Once => ripe.last().copied(),
            Missed::All => ripe.first().copied(),
        }
    }
}

impl Occurrence {
    /// Whether it could not be taken on in time.
    pub(super) fn is_missed(self, now: DateTime<Utc>) -> bool {
        now - self.due > TimeDelta::from_std(TOLERANCE).unwrap_or_default()
    }
}

/// Up to which occurrence all is handled, by a clock that says `now`.
pub(super) fn handled(through: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    if through > now + SET_BACK { now } else { through }
}

/// Whether minute or hour of an expression is a step.
fn has_steps(text: &str) -> bool {
    text.split_whitespace().take(2).any(|field| field.contains(['*', '/', '?']))
}

/// The first instant after `at` of an expression that names fixed times. Where clocks leave out one of them it comes right
/// after, where they repeat it, at its first pass.
fn next_fixed(cron: &Cron, zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut wall = at.with_timezone(&zone).naive_local().and_utc();
    loop {
        wall = cron.find_next_occurrence(&wall, false).ok()?;
        let minute = u16::try_from(wall.hour() * 60 + wall.minute()).ok()?;
        let (first, _) = instants(wall.date_naive(), minute, zone)?;
        // In the second pass of a time, its first one is over.
        if first > at {
            return Some(first);
        }
    }
}

/// The part of `most` that an occurrence is put off by.
fn jitter(pipeline: &PipelineName, at: DateTime<Utc>, most: Duration) -> Duration {
    let Some(most_ms) = u64::try_from(most.as_millis()).ok().filter(|most| *most > 0) else {
        return Duration::ZERO;
    };
    let digest = Sha256::digest(format!("{pipeline}\n{}", at.timestamp_millis()));
    let mut first = [0; 8];
    first.iter_mut().zip(digest).for_each(|(to, byte)| *to = byte);
    Duration::from_millis(u64::from_be_bytes(first) % most_ms)
}

/// Expressions that are in use: most pipelines go by the same few, and each takes kilobytes.
static IN_USE: Mutex<BTreeMap<String, Weak<Cron>>> = Mutex::new(BTreeMap::new());

/// The expression, read once for all who go by it.
fn shared(text: &str) -> Result<Arc<Cron>> {
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cron) = in_use.get(text).and_then(Weak::upgrade) {
        return Ok(cron);
    }
    let cron = Arc::new(parse(text)?);
    // Now and then, so that many do not cost more than their number.
    if in_use.len().is_power_of_two() {
        in_use.retain(|_, cron| cron.strong_count() > 0);
    }
    in_use.insert(text.to_owned(), Arc::downgrade(&cron));
    Ok(cron)
}

/// Five fields: minute, hour, day of month, month, day of week.
fn parse(text: &str) -> Result<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|_| {
        Error::invalid(format!("`{text}` is not a cron expression"))
            .help("write five fields, as in `0 2 * * *`: minute, hour, day of month, month, day of week")
    })
}
