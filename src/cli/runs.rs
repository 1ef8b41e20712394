//! `sealift runs`: what ran, and what became of it.

use serde_json::json;

use super::args::Runs;
use super::{Context, Done, show};
use crate::error::{Error, Kind};
use crate::run::ledger::Run;
use crate::run::{Ledger, RunId};
use crate::spec::{Config, PipelineName};

pub(super) async fn run(context: &Context, args: &Runs) -> Done {
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
            print_one(&run);
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

fn print_one(run: &Run) {
    println!("run {} of pipeline {}: {}", run.run_id, run.pipeline, run.state);
    if let Some(error) = &run.error {
        println!("error: {error}");
    }
    let mut table = show::table(
        &["stream", "dataset", "version", "rows", "quarantined", "bytes", "seconds"],
        &[2, 3, 4, 5, 6],
    );
    for stream in &run.streams {
        table.add_row([
            stream.stream.clone(),
            stream.dataset.clone(),
            stream.version.map(|version| version.to_string()).unwrap_or_default(),
            show::count(stream.rows),
            show::count(stream.quarantined),
            show::bytes(stream.bytes),
            format!("{:.2}", stream.seconds),
        ]);
    }
    println!("{table}");
}
