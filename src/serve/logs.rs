//! The log lines of each run, kept for who asks: the newest of each run, for as long as the process lives and there is
//! room.
//!
//! A line belongs to a run when it is written inside a span with the field `run_id`, or has that field itself. Our own
//! lines hold names and counts, never a value of a row; lines of libraries are not taken.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::run::RunId;

/// Most lines of one run; older ones go.
pub const MAX_LINES: usize = 1_000;
/// Most characters of a text in a line.
const MAX_TEXT_CHARS: usize = 1_000;
/// Most bytes of a line.
const MAX_LINE_BYTES: usize = 2_048;
/// Most bytes of all lines. Those of a run that is over go first, of that which said something longest ago.
const MAX_BYTES: usize = 16 << 20;
/// The module of the audit trail.
const TRAIL: &str = "sealift::govern::audit";
/// The field that names a run.
const RUN_ID: &str = "run_id";

/// The lines of the runs of this process. Clones share everything.
#[derive(Clone, Default)]
pub struct RunLogs(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    runs: BTreeMap<RunId, Lines>,
    /// The runs that are not under way, by when they said something last.
    quiet: BTreeMap<u64, RunId>,
    /// Counts all lines.
    said: u64,
    bytes: usize,
}

#[derive(Default)]
struct Lines {
    newest: u64,
    lines: VecDeque<Line>,
    bytes: usize,
    /// Spans of the run that are open: it is under way.
    open: usize,
    /// What was counted when it said something last.
    said: u64,
}

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts the lines of the run from 1; what is missing at the begin of a list has gone.
    pub seq: u64,
    /// The line: a JSON object with `seq`, `at`, `level`, `message` and further fields.
    pub text: String,
}

impl fmt::Debug for RunLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLogs").finish_non_exhaustive()
    }
}

impl RunLogs {
    /// The lines of a run that follow the one of number `after`, at most `limit`, oldest first. Empty for a run that
    /// another process carried, or whose lines have gone.
    #[must_use]
    pub fn of(&self, run_id: &RunId, after: u64, limit: usize) -> Vec<Line> {
        let kept = self.kept();
        let lines = kept.runs.get(run_id).into_iter().flat_map(|run| &run.lines);
        lines.filter(|line| line.seq > after).take(limit).cloned().collect()
    }

    fn keep(&self, run_id: RunId, fields: Map<String, Value>) {
        let mut kept = self.kept();
        kept.keep(run_id, fields);
        kept.make_room();
    }

    /// A span of the run begins, or ends.
    fn span(&self, run_id: RunId, begins: bool) {
        let mut kept = self.kept();
        let Kept { runs, quiet, .. } = &mut *kept;
        let run = runs.entry(run_id).or_default();
        quiet.remove(&run.said);
        run.open = if begins { run.open + 1 } else { run.open.saturating_sub(1) };
        if run.open == 0 {
            if run.lines.is_empty() {
                runs.remove(&run_id);
            } else {
                quiet.insert(run.said, run_id);
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, run_id: RunId, fields: Map<String, Value>) {
        self.said += 1;
        let run = self.runs.entry(run_id).or_default();
        self.quiet.remove(&run.said);
        run.said = self.said;
        if run.open == 0 {
            self.quiet.insert(run.said, run_id);
        }
        run.newest += 1;
        let seq = run.newest;
        let text = line(seq, fields);
        run.bytes += text.len();
        self.bytes += text.len();
        run.lines.push_back(Line { seq, text });
        if run.lines.len() > MAX_LINES {
            self.bytes -= run.drop_first();
        }
    }

    /// Lets lines go. Of a run under way it stays known how many it had, so that what follows goes on counting.
    fn make_room(&mut self) {
        while self.bytes > MAX_BYTES {
            if let Some((_, run_id)) = self.quiet.pop_first() {
                self.bytes -= self.runs.remove(&run_id).map_or(0, |run| run.bytes);
                continue;
            }
            let Some(longest) = self.runs.values_mut().max_by_key(|run| run.bytes) else { return };
            self.bytes -= longest.drop_first();
        }
    }
}

impl Lines {
    /// Lets the oldest line go; its bytes.
    fn drop_first(&mut self) -> usize {
        let gone = self.lines.pop_front().map_or(0, |line| line.text.len());
        self.bytes -= gone;
        gone
    }
}

/// The line as JSON; fields that make it too long are left out, and `cut` says so.
fn line(seq: u64, fields: Map<String, Value>) -> String {
    let mut line = Map::from_iter([("seq".to_owned(), Value::from(seq))]);
    let mut bytes = 0;
    for (name, value) in fields {
        bytes += name.len() + value.to_string().len();
        if bytes > MAX_LINE_BYTES {
            line.insert("cut".to_owned(), Value::from(true));
            break;
        }
        line.insert(name, value);
    }
    Value::Object(line).to_string()
}

/// The run that a span belongs to.
struct OfRun(RunId);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for RunLogs {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(run_id), Some(span)) = (fields.run_id, context.span(id)) {
            span.extensions_mut().insert(OfRun(run_id));
            self.span(run_id, true);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let of = context.span(&id).and_then(|span| span.extensions().get::<OfRun>().map(|of| of.0));
        if let Some(run_id) = of {
            self.span(run_id, false);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Not everybody who may read of a run may read the audit trail, which the log has a copy of.
        if event.metadata().target().starts_with(TRAIL) {
            return;
        }
        let mut fields = Fields::begin(event.metadata());
        event.record(&mut fields);
        let of_span = || {
            let mut spans = context.event_scope(event)?;
            spans.find_map(|span| span.extensions().get::<OfRun>().map(|of| of.0))
        };
        if let Some(run_id) = fields.run_id.or_else(of_span) {
            self.keep(run_id, fields.told);
        }
    }
}

/// The fields of an event or a span.
#[derive(Default)]
struct Fields {
    told: Map<String, Value>,
    run_id: Option<RunId>,
}

impl Fields {
    #[expect(clippy::disallowed_methods, reason = "a line is stamped where it is kept")]
    fn begin(metadata: &Metadata<'_>) -> Self {
        let at = chrono::Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = metadata.level().as_str().to_ascii_lowercase();
        // The place of the message, whenever it is told.
        let told = [("at", at), ("level", level), ("message", String::new())];
        let told = told.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect();
        Self { told, run_id: None }
    }

    fn text(&mut self, field: &Field, text: &str) {
        if field.name() == RUN_ID {
            self.run_id = RunId::parse(text).ok();
        } else {
            let short: String = text.chars().take(MAX_TEXT_CHARS).collect();
            self.told.insert(field.name().to_owned(), Value::from(short));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.told.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.told.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.told.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.told.insert(field.name().to_owned(), Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn lines_go_to_the_run_that_they_are_written_in() {
        let logs = RunLogs::default();
        let (run_id, other) = (RunId::draw(), RunId::draw());
        let subscriber = tracing_subscriber::registry().with(logs.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("of nobody");
            tracing::warn!(run_id = %other, "by itself");
            let _run = tracing::info_span!("run", %run_id).entered();
            let _part = tracing::info_span!("part").entered();
            tracing::info!(target: "sealift::govern::audit", "audit");
            tracing::info!(rows = 7_u64, stream = "people", "read");
        });
        let lines = logs.of(&run_id, 0, 10);
        let line: Value = serde_json::from_str(&lines[0].text).unwrap();
        assert_eq!((lines.len(), &line["message"], &line["rows"]), (1, &"read".into(), &7.into()));
        assert_eq!((&line["level"], &line["seq"]), (&"info".into(), &1.into()));
        let other = logs.of(&other, 0, 10);
        assert!(other.len() == 1 && other[0].text.contains("by itself"), "{other:?}");
    }

    #[test]
    fn the_newest_lines_stay_and_long_ones_are_cut() {
        let logs = RunLogs::default();
        let run_id = RunId::draw();
        let field = |text: String| Map::from_iter([("message".to_owned(), Value::from(text))]);
        for number in 0..MAX_LINES + 5 {
            logs.keep(run_id, field(number.to_string()));
        }
        let lines = logs.of(&run_id, 0, usize::MAX);
        assert_eq!((lines.len(), lines[0].seq), (MAX_LINES, 6));
        assert_eq!(logs.of(&run_id, 1_000, 2).iter().map(|line| line.seq).collect::<Vec<_>>(), [1001, 1002]);
        logs.keep(run_id, field("x".repeat(MAX_LINE_BYTES)));
        assert!(logs.of(&run_id, 1_005, 1)[0].text.contains("\"cut\":true"));
    }

    fn fill(logs: &RunLogs, run_id: RunId) {
        for _ in 0..MAX_LINES {
            let long = Value::from("x".repeat(MAX_TEXT_CHARS));
            logs.keep(run_id, Map::from_iter([("message".to_owned(), long)]));
        }
    }

    fn is_counted(logs: &RunLogs) -> bool {
        let kept = logs.kept();
        let lines = kept.runs.values().flat_map(|run| &run.lines);
        kept.bytes <= MAX_BYTES && kept.bytes == lines.map(|line| line.text.len()).sum::<usize>()
    }

    #[test]
    fn the_lines_of_runs_that_are_over_make_room() {
        let logs = RunLogs::default();
        let subscriber = tracing_subscriber::registry().with(logs.clone());
        tracing::subscriber::with_default(subscriber, || {
            let long = RunId::draw();
            let under_way = tracing::info_span!("run", run_id = %long);
            under_way.in_scope(|| tracing::info!("began"));
            let runs: Vec<RunId> = (0..20).map(|_| RunId::draw()).collect();
            for run_id in &runs {
                let _run = tracing::info_span!("run", %run_id).entered();
                fill(&logs, *run_id);
            }
            assert!(is_counted(&logs));
            assert!(logs.of(&runs[0], 0, 1).is_empty());
            assert_eq!(logs.of(&runs[19], 0, usize::MAX).len(), MAX_LINES);
            assert_eq!(logs.of(&long, 0, 10).len(), 1, "it is under way");
            drop(under_way);
            fill(&logs, runs[0]);
            assert!(logs.of(&long, 0, 10).is_empty(), "it is over, and said something longest ago");
        });
    }

    #[test]
    fn a_run_under_way_goes_on_counting_when_its_lines_have_gone() {
        let logs = RunLogs::default();
        let runs: Vec<RunId> = (0..20).map(|_| RunId::draw()).collect();
        for run_id in &runs {
            logs.span(*run_id, true);
            fill(&logs, *run_id);
        }
        assert!(is_counted(&logs));
        for run_id in &runs {
            let lines = logs.of(run_id, 0, usize::MAX);
            assert_eq!(lines.last().unwrap().seq, MAX_LINES as u64);
            logs.span(*run_id, false);
        }
        assert_eq!(logs.kept().quiet.len(), 20);
    }
}
