//! When the daemon runs a pipeline, and how often it tries.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::pipeline::Position;
use super::{DatasetName, PipelineName};

/// Most occurrences that are caught up after a time in which no daemon ran.
pub const MOST_CAUGHT_UP: usize = 100;

/// When the daemon runs a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What makes it due.
    pub timing: Timing,
    /// IANA time zone that `cron` and `blackout` are read in, default UTC.
    pub timezone: Tz,
    /// What becomes of occurrences that could not be taken on in time.
    pub missed: Missed,
    /// An occurrence is put off by a part of this, the same for the same pipeline and occurrence.
    pub jitter: Duration,
    /// When nothing is started.
    pub blackout: Vec<Blackout>,
    /// What becomes of an occurrence inside a blackout.
    pub in_blackout: InBlackout,
    /// What becomes of an occurrence while the pipeline has a run.
    pub when_active: WhenActive,
}

/// What makes a pipeline due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timing {
    /// The wall clock: a five-field cron expression, checked at loading.
    Cron(String),
    /// Elapsed time: `anchor` and every multiple of `interval` from it.
    Every {
        /// From one occurrence to the next.
        interval: Duration,
        /// One of the occurrences.
        anchor: DateTime<Utc>,
    },
    /// What others have done.
    After(After),
}

/// What a pipeline follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// Runs of other pipelines that succeeded.
    Pipelines {
        /// The others, each once.
        names: Vec<PipelineName>,
        /// Of how many there must be a run that was not followed yet.
        when: When,
        /// Where they are named.
        position: Position,
    },
    /// A version of a dataset that another pipeline published.
    Dataset {
        /// The dataset.
        name: DatasetName,
        /// Where it is named.
        position: Position,
    },
}

/// Of how many pipelines a run is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Of each of them.
    #[default]
    All,
    /// Of any one.
    Any,
}

/// What becomes of occurrences that could not be taken on in time: no daemon ran, the machine slept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// They are left out.
    #[default]
    Skip,
    /// One run stands for all of them.
    Once,
    /// Each has its run, one after the other; of more than [`MOST_CAUGHT_UP`], the newest.
    All,
}

/// A part of a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blackout {
    /// The days on which it begins, from Monday.
    pub days: [bool; 7],
    /// When it begins, in minutes of the day, below 1440.
    pub from_minute: u16,
    /// When it ends, in minutes of the day, 1 to 1440; on the next day unless this is after `from_minute`.
    pub to_minute: u16,
}

/// What becomes of an occurrence inside a blackout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InBlackout {
    /// It is due when the blackout ends.
    #[default]
    Defer,
    /// It is left out.
    Skip,
}

/// What becomes of an occurrence while the pipeline has a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenActive {
    /// It is left out.
    #[default]
    Skip,
    /// One run waits for the end of the other; what comes while one waits is left out.
    Queue,
}

/// How often a run is tried again that ended in a way where that may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Most attempts in all.
    pub attempts: u32,
    /// Pause after the first attempt; it doubles from attempt to attempt.
    pub backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
    /// No attempt begins later than this after the run was asked for.
    pub budget: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self { attempts: 1, backoff: MINUTE, max_backoff: 30 * MINUTE, budget: 240 * MINUTE }
    }
}

impl Retry {
    /// The pause after attempt `attempt`, counted from 1; `None` when there is no further one, `elapsed` after the
    /// run was asked for.
    #[must_use]
    pub fn pause(&self, attempt: u32, elapsed: Duration) -> Option<Duration> {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let pause = self.backoff.saturating_mul(doubled).min(self.max_backoff);
        (attempt < self.attempts && elapsed.saturating_add(pause) <= self.budget).then_some(pause)
    }
}

/// Which of the runs that wait begins first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// After others.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Before others.
    High,
}

impl Priority {
    /// -1, 0 or 1.
    #[must_use]
    pub const fn level(self) -> i64 {
        match self {
            Self::Low => -1,
            Self::Normal => 0,
            Self::High => 1,
        }
    }
}

/// How long an attempt of a run may take where the pipeline does not say it.
pub const LONGEST_ATTEMPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Schedule {
    /// Of a timing, with nothing else said.
    #[must_use]
    pub fn of(timing: Timing) -> Self {
        Self {
            timing,
            timezone: Tz::UTC,
            missed: Missed::default(),
            jitter: Duration::ZERO,
            blackout: Vec::new(),
            in_blackout: InBlackout::default(),
            when_active: WhenActive::default(),
        }
    }

    /// What it says of its timing, for programs: `{"cron","timezone"}`, `{"every","anchor"}` or `{"after"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.timing {
            Timing::Cron(cron) => json!({"cron": cron, "timezone": self.timezone.name()}),
            Timing::Every { interval, anchor } => {
                let every = humantime::format_duration(*interval).to_string();
                json!({"every": every, "anchor": anchor.to_rfc3339()})
            }
            Timing::After(After::Pipelines { names, when, .. }) => {
                let names: Vec<_> = names.iter().map(PipelineName::as_str).collect();
                let when = if *when == When::All { "all" } else { "any" };
                json!({"after": {"pipelines": names, "when": when}})
            }
            Timing::After(After::Dataset { name, .. }) => json!({"after": {"dataset": name.to_string()}}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_within_attempts_and_budget() {
        let seconds = Duration::from_secs;
        let retry =
            Retry { attempts: 5, backoff: seconds(10), max_backoff: seconds(30), budget: seconds(100) };
        let pauses: Vec<_> = (1..=5).map(|attempt| retry.pause(attempt, Duration::ZERO)).collect();
        let told = [Some(seconds(10)), Some(seconds(20)), Some(seconds(30)), Some(seconds(30)), None];
        assert_eq!(pauses, told);
        assert_eq!(retry.pause(1, seconds(90)), Some(seconds(10)));
        assert_eq!(retry.pause(1, seconds(91)), None, "the budget is used up");
        assert_eq!(Retry::default().pause(1, Duration::ZERO), None);
        let many = Retry { attempts: u32::MAX, budget: Duration::MAX, ..retry };
        assert_eq!(many.pause(1_000, Duration::ZERO), Some(seconds(30)));
    }
}
