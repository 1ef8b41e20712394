//! When a pipeline runs, and how often it is tried.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};

use super::quantity::duration_within;
use super::within;
use crate::error::{Error, Result};
use crate::spec::faults::{Fault, Faults, nearest, quoted};
use crate::spec::pipeline::Position;
use crate::spec::raw::placed::{Placed, Words};
use crate::spec::raw::schedule as raw;
use crate::spec::schedule::{After, InBlackout, Missed, Priority, Retry, Schedule, Timing, When, WhenActive};
use crate::spec::text::Span;
use crate::spec::{DatasetName, PipelineName};

mod blackout;

/// Most pipelines that one follows.
const MOST_FOLLOWED: usize = 32;

pub(crate) fn schedule(placed: &Placed<raw::Schedule>, faults: &Faults<'_>) -> Option<Schedule> {
    let raw = placed.get()?;
    let timing = timing(placed.key, raw, faults);
    let timezone = faults.parse_optional(raw.timezone.as_ref(), timezone);
    let missed = faults.take_optional(raw.missed.as_ref(), |word| {
        Ok(match word {
            raw::Missed::Skip => Missed::Skip,
            raw::Missed::Once => Missed::Once,
            raw::Missed::All => Missed::All,
        })
    });
    let jitter = faults.take_optional(raw.jitter.as_ref(), |text| duration_within("1s", "24h", &text.0));
    let blackout = blackout::windows(raw.blackout.as_ref(), faults);
    let in_blackout = faults.take_optional(raw.in_blackout.as_ref(), |word| {
        Ok(match word {
            raw::InBlackout::Defer => InBlackout::Defer,
            raw::InBlackout::Skip => InBlackout::Skip,
        })
    });
    let when_active = faults.take_optional(raw.when_active.as_ref(), |word| {
        Ok(match word {
            raw::WhenActive::Skip => WhenActive::Skip,
            raw::WhenActive::Queue => WhenActive::Queue,
        })
    });
    let timing = timing?;
    // What others did while a run was under way would be lost.
    let default = if matches!(timing, Timing::After(_)) { WhenActive::Queue } else { WhenActive::Skip };
    Some(Schedule {
        timing,
        timezone: timezone?.unwrap_or(chrono_tz::UTC),
        missed: missed?.unwrap_or_default(),
        jitter: jitter?.unwrap_or_default(),
        blackout: blackout?,
        in_blackout: in_blackout?.unwrap_or_default(),
        when_active: when_active?.unwrap_or(default),
    })
}

/// What makes it due, and nothing beside it that would be ignored.
fn timing(key: Span, raw: &raw::Schedule, faults: &Faults<'_>) -> Option<Timing> {
    let anchor = faults.take_optional(raw.anchor.as_ref(), |text| anchor(&text.0));
    if let (Some(placed), None) = (&raw.anchor, &raw.every) {
        let fault = Fault::new(placed.key, "`anchor` belongs to `every`, which is not there");
        faults.push(fault.help("remove it, or write `every:` beside it"));
    }
    if let (Some(placed), Some(_)) = (&raw.missed, &raw.after) {
        let fault = Fault::new(placed.key, "what is followed by `after` is never missed");
        faults.push(fault.help("remove `missed`: several runs of the others have one run here"));
    }
    match (&raw.cron, &raw.every, &raw.after) {
        (Some(text), None, None) => faults.parse(text, cron).map(Timing::Cron),
        (None, Some(text), None) => {
            let interval = faults.take(text, |text| duration_within("10s", "366days", &text.0));
            let anchor = anchor?.unwrap_or(DateTime::UNIX_EPOCH);
            interval.map(|interval| Timing::Every { interval, anchor })
        }
        (None, None, Some(placed)) => after(placed, faults).map(Timing::After),
        _ => {
            let fault = Fault::new(key, "a schedule goes by one of `cron`, `every` and `after`");
            faults.push(fault.help("write `cron: \"0 2 * * *\"`, `every: 15m` or `after: {pipeline: NAME}`"));
            None
        }
    }
}

fn after(placed: &Placed<raw::After>, faults: &Faults<'_>) -> Option<After> {
    let raw = placed.get()?;
    let when = faults.take_optional(raw.when.as_ref(), |word| {
        Ok(match word {
            raw::When::All => When::All,
            raw::When::Any => When::Any,
        })
    });
    if let (Some(written), None) = (&raw.when, &raw.pipelines) {
        let fault = Fault::new(written.key, "`when` belongs to `pipelines`, which is not there");
        faults.push(fault.help("remove it"));
    }
    match (&raw.pipeline, &raw.pipelines, &raw.dataset) {
        (Some(name), None, None) => {
            let names = vec![faults.parse(name, PipelineName::parse)?];
            Some(After::Pipelines {
                names,
                when: when?.unwrap_or_default(),
                position: position(name.span, faults),
            })
        }
        (None, Some(list), None) => {
            let names = followed(list, faults);
            let position = position(list.key, faults);
            Some(After::Pipelines { names: names?, when: when?.unwrap_or_default(), position })
        }
        (None, None, Some(name)) => {
            let position = position(name.span, faults);
            faults.parse(name, DatasetName::parse).map(|name| After::Dataset { name, position })
        }
        _ => {
            let fault =
                Fault::new(placed.key, "`after` follows one of `pipeline`, `pipelines` and `dataset`");
            faults.push(fault.help("write `after: {pipeline: NAME}` or `after: {dataset: namespace.name}`"));
            None
        }
    }
}

fn followed(
    list: &Placed<crate::spec::raw::placed::Many<Placed<String>>>,
    faults: &Faults<'_>,
) -> Option<Vec<PipelineName>> {
    let written = &list.get()?.0;
    if !(1..=MOST_FOLLOWED).contains(&written.len()) {
        let fault = Fault::new(list.key, format!("a pipeline follows 1 to {MOST_FOLLOWED} others"));
        faults.push(fault.help("name them in `pipelines`"));
        return None;
    }
    let names: Vec<Option<PipelineName>> =
        written.iter().map(|name| faults.parse(name, PipelineName::parse)).collect();
    for (index, (name, placed)) in names.iter().zip(written).enumerate() {
        if name.is_some() && names.iter().take(index).any(|earlier| earlier == name) {
            faults
                .push(Fault::new(placed.span, "this pipeline is named twice").help("remove one of the two"));
        }
    }
    names.into_iter().collect()
}

fn position(span: Span, faults: &Faults<'_>) -> Position {
    let (line, column) = faults.text.position(span.start);
    Position { line: line as u64, column: column as u64 }
}

pub(crate) fn retry(raw: &raw::Retry, faults: &Faults<'_>) -> Option<Retry> {
    let default = Retry::default();
    let attempts = faults.take(&raw.attempts, within(1, 20));
    let time = |placed: Option<&Placed<Words>>, low, high, default: Duration| {
        let told = faults.take_optional(placed, |text| duration_within(low, high, &text.0));
        told.map(|told| told.unwrap_or(default))
    };
    let backoff = time(raw.backoff.as_ref(), "1s", "1h", default.backoff);
    let max_backoff = time(raw.max_backoff.as_ref(), "1s", "24h", default.max_backoff);
    let budget = time(raw.budget.as_ref(), "1m", "7days", default.budget);
    let (backoff, max_backoff) = (backoff?, max_backoff?);
    if let Some(placed) = raw.max_backoff.as_ref().filter(|_| max_backoff < backoff) {
        let fault = Fault::new(placed.span, "the longest pause is shorter than the first one");
        faults.push(fault.help("write a `max_backoff` that is not below `backoff`"));
    }
    let attempts = u32::try_from(attempts?).unwrap_or(u32::MAX);
    // A pause that is written counts, whatever the default of the longest is.
    Some(Retry { attempts, backoff, max_backoff: max_backoff.max(backoff), budget: budget? })
}

pub(crate) const fn priority(raw: raw::Priority) -> Priority {
    match raw {
        raw::Priority::Low => Priority::Low,
        raw::Priority::Normal => Priority::Normal,
        raw::Priority::High => Priority::High,
    }
}

fn anchor(text: &str) -> Result<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).map_err(|_| {
        Error::invalid(format!("{} is not an instant", quoted(text)))
            .help("write date, time and offset, such as \"2026-01-01T06:00:00+01:00\"")
    })
}

fn cron(text: &str) -> Result<String> {
    let refused = |message: String| {
        Error::invalid(message)
            .help("write minute, hour, day of month, month and day of week, such as \"0 2 * * *\"")
    };
    let fields = text.split_whitespace().count();
    if fields != 5 {
        return Err(refused(format!("{} has {fields} fields; a schedule has five", quoted(text))));
    }
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(text)
        .map(|_| text.to_owned())
        .map_err(|_| refused(format!("{} is not a cron expression", quoted(text))))
}

fn timezone(text: &str) -> Result<chrono_tz::Tz> {
    text.parse().map_err(|_| {
        let zones: Vec<_> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        let near = nearest(text, &zones);
        Error::invalid(format!("{} is not an IANA time zone", quoted(text))).help(
            near.map_or("write it as Europe/Zurich or UTC".to_owned(), |near| {
                format!("did you mean `{near}`?")
            }),
        )
    })
}
