//! `sealift runs`: what ran, and what became of it.

use chrono::DateTime;
use serde_json::{Value, json};

use super::args::Runs;
use super::remote::{Remote, printable};
use super::{Context, Done, follow, show};
use crate::error::{Error, Kind, Result};
use crate::run::ledger::Run;
use crate::run::{Ledger, RunId};
use crate::spec::{Config, PipelineName};

/// Most characters of what a run says: a line for each column that is held.
pub(super) const MOST_CHARS: usize = 8 << 10;

pub(super) async fn run(context: &Context, args: &Runs) -> Done {
    let run_id = args.run_id.as_deref().map(RunId::parse).transpose()?;
    let pipeline = args.pipeline.as_deref().map(PipelineName::parse).transpose()?;
    match (run_id, args.follow, args.cancel) {
        (Some(run_id), true, _) => {
            return follow::follow(context, &Remote::new(&args.daemon)?, &run_id).await;
        }
        (Some(run_id), _, true) => return cancel(context, &Remote::new(&args.daemon)?, &run_id).await,
        _ => {}
    }
    // Who names a daemon asks it, from wherever that is; else it is asked of the metadata store.
    let told = if args.daemon.url.is_some() {
        asked(&Remote::new(&args.daemon)?, run_id, pipeline.as_ref(), args.limit).await?
    } else {
        recorded(context, run_id, pipeline.as_ref(), args.limit).await?
    };
    match told["runs"].as_array() {
        _ if context.json => show::json(&told),
        None => print_one(&told),
        Some(runs) if runs.is_empty() => {
            println!("No runs yet. Next: {} sync PIPELINE", show::command());
        }
        Some(runs) => print_all(runs),
    }
    Ok(())
}

/// One run, or those of a pipeline or of all, as the ledger has them.
async fn recorded(
    context: &Context,
    run_id: Option<RunId>,
    pipeline: Option<&PipelineName>,
    limit: u32,
) -> Result<Value> {
    let config = Config::load(&context.config)?;
    let ledger = Ledger::open(&config.metadata).await?;
    let Some(run_id) = run_id else {
        let runs = ledger.runs(pipeline, limit).await?;
        return Ok(json!({ "runs": runs.iter().map(Run::to_json).collect::<Vec<_>>() }));
    };
    let run = ledger.run(&run_id).await?.ok_or_else(|| {
        Error::new(Kind::Usage, format!("there is no run {run_id}")).help("`sealift runs` lists them")
    })?;
    Ok(run.to_json())
}

/// The same, as a daemon tells it.
async fn asked(
    remote: &Remote,
    run_id: Option<RunId>,
    pipeline: Option<&PipelineName>,
    limit: u32,
) -> Result<Value> {
    let Some(run_id) = run_id else {
        let of = pipeline.map(|pipeline| format!("&pipeline={pipeline}")).unwrap_or_default();
        let said = remote.get(&format!("/v1/runs?limit={limit}{of}")).await?;
        return Ok(json!({ "runs": said["runs"].as_array().cloned().unwrap_or_default() }));
    };
    remote.get(&format!("/v1/runs/{run_id}")).await
}

/// Asks a daemon to stop a run; it stops soon.
async fn cancel(context: &Context, remote: &Remote, run_id: &RunId) -> Done {
    let said = remote.post(&format!("/v1/runs/{run_id}/cancel")).await?;
    if context.json {
        show::json(&said);
    } else {
        println!("run {run_id} is told to stop");
    }
    Ok(())
}

fn print_all(runs: &[Value]) {
    let mut table = show::table(&["run", "pipeline", "trigger", "state", "outcome", "started", "rows"], &[6]);
    for run in runs {
        let started = DateTime::parse_from_rfc3339(run["started_at"].as_str().unwrap_or_default()).ok();
        let streams = run["streams"].as_array().into_iter().flatten();
        table.add_row([
            word(&run["run_id"]),
            word(&run["pipeline"]),
            word(&run["trigger"]),
            word(&run["state"]),
            word(&run["outcome"]),
            started.map(|at| at.to_utc().format("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default(),
            show::count(streams.filter_map(|stream| stream["rows"].as_u64()).sum()),
        ]);
    }
    println!("{table}");
}

/// Shows a run and its streams, as [`Run::to_json`] tells them: the ledger's own, or what a daemon answers.
pub(super) fn print_one(run: &Value) {
    println!("run {} of pipeline {}: {}", word(&run["run_id"]), word(&run["pipeline"]), word(&run["state"]));
    if let Some(error) = run["error"].as_str() {
        println!("error: {error}");
    }
    let mut table = show::table(
        &["stream", "dataset", "version", "rows", "quarantined", "bytes", "seconds"],
        &[2, 3, 4, 5, 6],
    );
    for stream in run["streams"].as_array().into_iter().flatten() {
        table.add_row([
            word(&stream["stream"]),
            word(&stream["dataset"]),
            stream["version"].as_u64().map(|version| version.to_string()).unwrap_or_default(),
            show::count(stream["rows"].as_u64().unwrap_or_default()),
            show::count(stream["quarantined"].as_u64().unwrap_or_default()),
            show::bytes(stream["bytes"].as_u64().unwrap_or_default()),
            format!("{:.2}", stream["seconds"].as_f64().unwrap_or_default()),
        ]);
    }
    println!("{table}");
}

/// A text of a run.
pub(super) fn word(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default(), MOST_CHARS)
}
