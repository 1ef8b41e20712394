//! `sealift sync`: runs a pipeline here and now.

use serde_json::{Value, json};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::args::Sync;
use super::process::Stop;
use super::progress::Bars;
use super::{Context, Done, Failure, show};
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Action};
use crate::protect::Decision;
use crate::run::ledger::{StreamOutcome, Trigger};
use crate::run::{Engine, Extent, Job, Part, Published, RunId};
use crate::serve::{lineage, notify, traces};
use crate::spec::{Pipeline, PipelineName, StreamName};

pub(super) async fn run(context: &Context, args: &Sync) -> Done {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    context.begin_traces(&engine)?;
    let pipeline = engine.pipeline(&args.pipeline)?;
    let only = args.stream.as_deref().map(StreamName::parse).transpose()?;
    let extent = args.extent()?;
    let stop = Stop::on_signals();

    let lease = engine.lease(&pipeline.name).await?;
    engine.ledger.bury(&pipeline.name, &lease).await?;
    let run_id = engine.ledger.queue(&pipeline.name, &pipeline.digest, Trigger::Cli).await?;
    recorded(&engine, &pipeline.name, &run_id).await?;
    engine.ledger.start(&run_id).await?;
    let job = Job { run_id, pipeline, only: only.as_ref(), extent: &extent, cancel: &stop.token };
    let bars = Bars::new(context.json);
    let span = tracing::info_span!("run", %run_id, pipeline = %pipeline.name);
    // It fails only where nothing is traced.
    let _ = span.set_parent(traces::of_environment());
    let work = lineage::execute(&engine, &job, &bars).instrument(span);
    let done = lease.guard(&stop.token, work).await.map_err(|error| stop.explain(error));
    let concluded = done.as_ref().map(|_| ()).map_err(Clone::clone);
    engine.ledger.conclude(&run_id, &concluded).await?;
    lease.end().await;
    notify::tell_now(&engine.config.observability, &engine.ledger, &run_id).await;

    match done {
        Ok(published) => {
            finish(context, pipeline, &job, &published);
            Ok(())
        }
        Err(error) => Err(failure(&engine, &job, error).await?),
    }
}

/// Records that a person asked for a run; one that cannot be recorded ends before it began.
pub(super) async fn recorded(engine: &Engine, pipeline: &PipelineName, run_id: &RunId) -> Result<()> {
    let subject = format!("{pipeline} {run_id}");
    let recorded = audit::record(&engine.ledger, &audit::operator(), Action::RunTrigger, &subject).await;
    if recorded.is_err() {
        engine.ledger.conclude(run_id, &recorded).await?;
    }
    recorded
}

impl Sync {
    /// Which rows are asked for.
    fn extent(&self) -> Result<Extent> {
        let (from, to) = (self.from.clone(), self.to.clone());
        match (self.full_refresh, from.is_some() || to.is_some()) {
            (false, false) => Ok(Extent::New),
            (true, false) => Ok(Extent::Full),
            (false, true) => Ok(Extent::Part(Part { from, to, backfill: None })),
            (true, true) => Err(Error::new(Kind::Usage, "all rows and a range of them are asked for")
                .help("leave out `--full-refresh`, or `--from` and `--to`")),
        }
    }
}

fn finish(context: &Context, pipeline: &Pipeline, job: &Job<'_>, published: &[Published]) {
    if context.json {
        let streams: Vec<Value> = published.iter().map(stream).collect();
        show::json(&json!({
            "run_id": job.run_id.to_string(), "pipeline": pipeline.name.as_str(), "outcome": "done", "streams": streams,
        }));
    } else {
        print(published);
    }
}

/// What became of a stream, and what was found wrong with its rows.
fn stream(done: &Published) -> Value {
    let mut stream = StreamOutcome::from(done).to_json();
    stream["warnings"] = json!(done.warnings);
    stream
}

/// What a failed run had published all the same.
async fn failure(engine: &Engine, job: &Job<'_>, error: Error) -> Result<Failure> {
    let streams = engine.ledger.run(&job.run_id).await?.map(|run| run.streams).unwrap_or_default();
    let streams: Vec<Value> = streams.iter().map(StreamOutcome::to_json).collect();
    let summary = json!({
        "run_id": job.run_id.to_string(), "pipeline": job.pipeline.name.as_str(), "streams": streams,
    });
    Ok(Failure { error, summary: Box::new(summary) })
}

fn print(published: &[Published]) {
    for done in published.iter().filter(|done| !done.earlier) {
        println!("{}", done.dataset);
        let mut table = show::table(&["column", "became", "tag", "because"], &[]);
        for decision in &done.decisions {
            table.add_row([
                decision.path.clone(),
                became(decision),
                decision.tag.as_ref().map(ToString::to_string).unwrap_or_default(),
                decision.because.clone(),
            ]);
        }
        println!("{table}\n");
    }
    let mut table = show::table(
        &["stream", "dataset", "version", "rows", "bytes", "seconds", "rows/s"],
        &[2, 3, 4, 5, 6],
    );
    for done in published {
        table.add_row([
            done.stream.to_string(),
            done.dataset.to_string(),
            match (done.earlier, done.unchanged) {
                (true, _) => format!("{} (earlier run)", done.outcome.version),
                (_, true) => format!("{} (nothing new)", done.outcome.version),
                _ => done.outcome.version.to_string(),
            },
            show::count(done.outcome.rows),
            show::bytes(done.outcome.bytes),
            format!("{:.2}", done.seconds),
            rate(done),
        ]);
    }
    println!("{table}");
    for done in published {
        print_quarantined(done);
        for warning in &done.warnings {
            println!("\nwarning: {}: {warning}", done.stream);
        }
    }
    if let Some(first) = published.first() {
        println!("\nNext: {} query 'SELECT * FROM {} LIMIT 5'", show::command(), first.dataset);
    }
}

/// How many rows were rejected, and how to see why.
fn print_quarantined(done: &Published) {
    let Some(quarantined) = done.quarantined.as_ref().filter(|quarantined| quarantined.rows > 0) else {
        return;
    };
    let (dataset, reason) = (&quarantined.dataset, crate::protect::rejected::REASON);
    println!(
        "\n{} rows of {} were rejected: they are in {dataset} and not in {}. See why:\n  \
         {} query 'SELECT {reason}, count(*) AS n FROM \"{}\".\"{}\" GROUP BY {reason}'",
        show::count(quarantined.rows),
        done.stream,
        done.dataset,
        show::command(),
        dataset.namespace(),
        dataset.name(),
    );
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(done: &Published) -> String {
    if done.seconds > 0.0 {
        show::count((done.outcome.rows as f64 / done.seconds) as u64)
    } else {
        String::new()
    }
}

fn became(decision: &Decision) -> String {
    use crate::spec::Action;
    match &decision.action {
        Action::Allow => "open",
        Action::DateShift(_) => "dates moved",
        Action::Generalize(_) => "made coarser",
        Action::Mask(_) => "masked",
        Action::Scrub(_) => "scrubbed",
        Action::Encrypt => "encrypted",
        Action::EncryptValue(_) => "encrypted value by value",
        Action::TokenizeFpe(_) => "a token in its format",
        Action::Tokenize { .. } => "a token",
        Action::Hash { .. } => "a keyed hash",
        Action::Redact => "redacted",
        Action::Nullify => "NULL",
        Action::Drop => "dropped",
    }
    .to_owned()
}
