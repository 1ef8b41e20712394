//! Log lines on stderr, for people or as JSON.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use super::args::LogFormat;
use crate::serve::RunLogs;
use crate::serve::traces::Traces;

/// Starts logging: what is at least as grave as `level`, more with `-v`, or as `SEALIFT_LOG` says. `runs` keeps the lines of
/// each run beside them, whatever goes to stderr. Answers what can send the same spans as traces.
///
/// Only Sealift's own lines: a library's debug line may hold a row or a key.
pub(super) fn start(verbose: u8, level: LevelFilter, format: LogFormat, runs: Option<RunLogs>) -> Traces {
    let asked = match verbose {
        0 => level,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let said = std::env::var("SEALIFT_LOG").ok();
    let level = said.map_or(asked, |said| said.parse().unwrap_or(LevelFilter::WARN));
    let traces = Traces::default();
    let runs = runs.map(|runs| runs.with_filter(ours(LevelFilter::INFO)));
    let spans = traces.layer().with_filter(ours(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines(io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.with_ansi(super::show::colour(&io::stderr())).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(Flat).boxed(),
    };
    let all = tracing_subscriber::registry().with(lines.with_filter(ours(level))).with(spans).with(runs);
    // Not `init`, which would take in what libraries tell `log`: DataFusion prints rows where somebody listens to it.
    let _ = tracing::subscriber::set_global_default(all);
    traces
}

/// Our own events up to a level, and our own spans, which tell what an event is about, whatever its level.
fn ours(level: LevelFilter) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let filter = FilterFn::new(move |about: &Metadata<'_>| {
        let is_ours = about.target() == "sealift" || about.target().starts_with("sealift::");
        let most = if about.is_span() { LevelFilter::INFO } else { level };
        is_ours && *about.level() <= most
    });
    filter.with_max_level_hint(level.max(LevelFilter::INFO))
}

/// Where events go, each in one piece. Its further lines are indented: what an error quotes, a column's name say, must not
/// pass for an event of its own.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let end = usize::from(event.ends_with(b"\n"));
        let (text, end) = event.split_at(event.len() - end);
        let mut lines = Vec::with_capacity(event.len());
        for byte in text {
            match byte {
                b'\n' => lines.extend_from_slice(b"\n    "),
                // Some readers begin a line here, too.
                b'\r' | b'\x0b' => lines.push(b' '),
                byte => lines.push(*byte),
            }
        }
        lines.extend_from_slice(end);
        self.0.write_all(&lines)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// One flat JSON object a line: time, level, module, then the fields of the spans (`request_id`, `run_id`, `pipeline`,
/// `stream`), then those of the event, its text as `message`.
struct Flat;

impl FormatEvent<Registry, JsonFields> for Flat {
    fn format_event(
        &self,
        context: &FmtContext<'_, Registry, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        line.insert("timestamp".into(), now.into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(Value::Object(fields))) = fields.map(|fields| serde_json::from_str(&fields.fields))
            {
                // Those of OpenTelemetry are for traces.
                line.extend(fields.into_iter().filter(|(name, _)| !name.starts_with("otel.")));
            }
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Gathers the fields of an event.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_has_one_line_that_begins_like_one() {
        let kept = Kept::default();
        let to = kept.clone();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || Lines(to.clone()));
        let all = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(all, || {
            let name = "x\n2026-11-29T02:00:00.000000Z  INFO forged\r2026";
            tracing::warn!(error = %format!("column `{name}` is bad\n  in stream people"), "did not succeed");
            tracing::info!("the next one");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let events = text.lines().filter(|line| !line.starts_with("    ")).count();
        assert_eq!((events, text.lines().count()), (2, 4), "{text}");
        assert!(text.ends_with("the next one\n") && !text.contains('\r'), "{text}");
    }
}
