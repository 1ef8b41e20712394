//! `sealift runs`: what ran, and what became of it.

use serde_json::{Value, json};

use super::args::Runs;
use super::remote::{Remote, printable};
use super::{Context, Done, follow, show};
use crate::error::{Error, Kind};
use crate::run::ledger::Run;
use crate::run::{Ledger, RunId};
use crate::spec::{Config, PipelineName};

/// Most characters of what a run says: a line for each column that is held.
pub(super) const MOST_CHARS: usize = 8 << 10;

pub(super) async fn run(context: &Context, args: &Runs) -> Done {
    if let (true, Some(text)) = (args.follow, &args.run_id) {
        let run_id = RunId::parse(text)?;
        return follow::follow(context, &Remote::new(&args.daemon)?, &run_id).await;
    }
    let config = Config::load(&context.config)?;
    let ledger = Ledger::open(&config.metadata).await?;
    if let Some(text) = &args.run_id {
        let run_id = RunId::parse(text)?;
        let run = ledger.run(&run_id).await?.ok_or_else(|| {
            Error::new(Kind::Usage, format!("there is no run {run_id}")).help("`sealift runs` lists them")
        })?;
        if context.json {
            show::json(&run.to_json());
        } else {
            print_one(&run.to_json());
        }
        return Ok(());
    }
    let pipeline = args.pipeline.as_deref().map(PipelineName::parse).transpose()?;
    let runs = ledger.runs(pipeline.as_ref(), args.limit).await?;
    if context.json {
        show::json(&json!({ "runs": runs.iter().map(Run::to_json).collect::<Vec<_>>() }));
    } else if runs.is_empty() {
        println!("No runs yet. Next: {} sync PIPELINE", show::command());
    } else {
        print_all(&runs);
    }
    Ok(())
}

fn print_all(runs: &[Run]) {
    let mut table = show::table(&["run", "pipeline", "trigger", "state", "outcome", "started", "rows"], &[6]);
    for run in runs {
        table.add_row([
            run.run_id.to_string(),
            run.pipeline.clone(),
            run.trigger.to_string(),
            run.state.to_string(),
            run.outcome.clone().unwrap_or_default(),
            run.started_at.map(|at| at.format("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default(),
            show::count(run.streams.iter().map(|stream| stream.rows).sum()),
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
