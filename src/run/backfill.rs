//! A past range of a stream, read window by window, each a run of its own with one commit.
//!
//! The commit of a window says which it was, sealed, so that a backfill that was killed goes on behind the last
//! window that landed.

use serde_json::{Value, json};

use super::increment::Part;
use super::increment::cursor::{self, Kind};
use super::{Engine, Extent, Standing, StreamPlan, application, plan, standing};
use crate::error::{Error, Kind as Fault, Result};
use crate::source::{self, Literal};
use crate::spec::sync::Lookback;
use crate::spec::{Pipeline, StreamName};

/// Windows of one backfill at the most.
const MOST_WINDOWS: usize = 100_000;

/// A range of the cursor and the width of its windows, as people write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// The least value.
    pub from: String,
    /// Past the greatest value.
    pub to: String,
    /// The width: a duration, or a whole number.
    pub window: String,
}

impl Backfill {
    /// What the commit of the window that ends before `to` says.
    pub(super) fn mark(&self, to: Option<&str>) -> Value {
        json!({"from": self.from, "to": self.to, "window": self.window, "done_to": to})
    }

    fn windows(&self, kind: Kind) -> Result<Vec<Part>> {
        let usage = |what: &str| Error::new(Fault::Usage, what.to_owned());
        let value = |text: &str, option: &str| {
            kind.parse(text).ok_or_else(|| usage(&format!("`{option}` is no value of the cursor's type")))
        };
        let (from, to) = (value(&self.from, "--from")?, value(&self.to, "--to")?);
        if from >= to {
            return Err(usage("the range is empty: it ends before it begins"));
        }
        let width = width(&self.window).filter(|width| kind.has(*width)).ok_or_else(|| {
            usage("`--window` is no distance on the cursor")
                .help("write a duration (`1day`) for dates and timestamps, and a whole number for numbers")
        })?;
        let written = |value: &Literal| {
            value.plain().ok_or_else(|| usage("the range reaches beyond the years 1 to 9999"))
        };
        let (mut windows, mut start) = (Vec::new(), from);
        while start < to {
            if windows.len() == MOST_WINDOWS {
                return Err(
                    usage(&format!("the range has more than {MOST_WINDOWS} windows")).help("take wider ones")
                );
            }
            let end = cursor::ahead(&start, width).min(to.clone());
            let (from, to) = (Some(written(&start)?), Some(written(&end)?));
            windows.push(Part { from, to, backfill: Some(self.clone()) });
            start = end;
        }
        Ok(windows)
    }
}

/// The windows that are left of a backfill, in order; all of them where it was never begun, or ran to its end.
/// With several streams, those that one of them still needs.
///
/// # Errors
/// `Usage` for a stream without a cursor, or a range that is none; those of planning.
pub async fn left(
    engine: &Engine,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    backfill: &Backfill,
) -> Result<Vec<Part>> {
    let (store, connection) = engine.places(pipeline)?;
    let mut snapshot = source::open(connection, engine.gate(pipeline))?.snapshot().await?;
    let plans = plan::every(engine, &store, pipeline, only, &mut *snapshot).await;
    snapshot.close().await;
    let plans = plans?;
    let standing = standing(engine, pipeline, &store, &plans, &Extent::New, false).await?;
    let mut left: Option<Vec<Part>> = None;
    for (plan, standing) in plans.iter().zip(&standing) {
        let Some(kind) = plan.increment.as_ref().and_then(|increment| increment.first()) else {
            return Err(Error::new(Fault::Usage, format!("stream {} has no cursor", plan.relation.stream))
                .help("name an incremental one with `--stream`"));
        };
        let windows = backfill.windows(kind)?;
        let done = done(engine, pipeline, plan, standing, backfill, &windows).await?;
        let own = windows.get(done..).unwrap_or_default().to_vec();
        if left.as_ref().is_none_or(|left| left.len() < own.len()) {
            left = Some(own);
        }
    }
    Ok(left.unwrap_or_default())
}

/// How many windows have landed of a backfill that did not come to its end.
async fn done(
    engine: &Engine,
    pipeline: &Pipeline,
    plan: &StreamPlan,
    standing: &Standing,
    backfill: &Backfill,
    windows: &[Part],
) -> Result<usize> {
    let stream = application(pipeline, &plan.relation.stream);
    let own = standing.dataset.publications.iter().filter(|publication| publication.stream == stream);
    for note in own.filter_map(|publication| publication.window.as_ref()) {
        let opened = note.open(&engine.keyring, &plan.dataset, &subject(&stream)).await?;
        let mark: Value = serde_json::from_slice(opened.expose()).unwrap_or_default();
        let landed = windows.iter().position(|window| mark == backfill.mark(window.to.as_deref()));
        if let Some(landed) = landed {
            let done = landed + 1;
            return Ok(if done == windows.len() { 0 } else { done });
        }
    }
    Ok(0)
}

pub(super) fn subject(stream: &str) -> String {
    format!("window of {stream}")
}

fn width(text: &str) -> Option<Lookback> {
    if let Ok(steps) = text.parse() {
        return (steps > 0).then_some(Lookback::Steps(steps));
    }
    humantime::parse_duration(text).ok().filter(|time| time.as_micros() > 0).map(Lookback::Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(kind: Kind, from: &str, to: &str, window: &str) -> Result<Vec<(String, String)>> {
        let backfill = Backfill { from: from.to_owned(), to: to.to_owned(), window: window.to_owned() };
        let windows = backfill.windows(kind)?;
        Ok(windows.into_iter().map(|window| (window.from.unwrap(), window.to.unwrap())).collect())
    }

    #[test]
    fn windows_touch_and_cover_the_range() {
        let days = windows(Kind::Date, "2024-01-30", "2024-02-03", "2days").unwrap();
        let expected = [("2024-01-30", "2024-02-01"), ("2024-02-01", "2024-02-03")];
        assert_eq!(days, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let steps = windows(Kind::Integer, "-5", "6", "10").unwrap();
        assert_eq!(steps, [("-5", "5"), ("5", "6")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        let ends = windows(Kind::Instant, "2024-01-01", "2024-01-01T01:00:00Z", "45m").unwrap();
        assert_eq!(ends.len(), 2);
        assert_eq!(ends[1].0, "2024-01-01 00:45:00.000000");
    }

    #[test]
    fn what_makes_no_windows_is_refused() {
        for (kind, from, to, window) in [
            (Kind::Integer, "5", "5", "1"),
            (Kind::Integer, "5", "6", "0"),
            (Kind::Integer, "5", "6", "1h"),
            (Kind::Text, "a", "b", "1"),
            (Kind::Date, "2024-01-01", "soon", "1day"),
            (Kind::Integer, "0", "1000000000", "1"),
        ] {
            assert_eq!(
                windows(kind, from, to, window).unwrap_err().kind(),
                Fault::Usage,
                "{from} {to} {window}"
            );
        }
    }
}
