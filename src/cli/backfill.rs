//! `sealift backfill`: reads a past range of a pipeline window by window, here and now.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::args;
use super::process::Stop;
use super::{Context, Done, Failure, show, sync};
use crate::error::Result;
use crate::run::backfill::{self, Backfill};
use crate::run::ledger::{StreamOutcome, Trigger};
use crate::run::progress::Unwatched;
use crate::run::{self, Engine, Extent, Job, Part, Published};
use crate::spec::{Pipeline, StreamName};

pub(super) async fn run(context: &Context, args: &args::Backfill) -> Done {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let pipeline = engine.pipeline(&args.pipeline)?;
    let only = args.stream.as_deref().map(StreamName::parse).transpose()?;
    let stop = Stop::on_signals();
    let lease = engine.lease(&pipeline.name).await?;
    engine.ledger.bury(&pipeline.name, &lease).await?;
    let backfill = Backfill { from: args.from.clone(), to: args.to.clone(), window: args.window.clone() };
    let left = backfill::left(&engine, pipeline, only.as_ref(), &backfill).await?;

    let bar = bar(context, left.len() as u64);
    let mut windows = Vec::with_capacity(left.len());
    for part in left {
        let described = json!({"from": part.from, "to": part.to});
        match lease.guard(&stop.token, window(&engine, pipeline, only.as_ref(), part, &stop)).await {
            Ok(published) => windows.push(of_window(described, &published)),
            Err(error) => {
                bar.finish_and_clear();
                let error = stop.explain(error);
                return Err(Failure { error, summary: Box::new(summary(pipeline, windows)) });
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    lease.end().await;
    if context.json {
        let mut summary = summary(pipeline, windows);
        summary["outcome"] = "done".into();
        show::json(&summary);
    } else {
        print(&windows);
    }
    Ok(())
}

/// One window: a run of its own.
async fn window(
    engine: &Engine,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    part: Part,
    stop: &Stop,
) -> Result<Vec<Published>> {
    let run_id = engine.ledger.queue(&pipeline.name, &pipeline.digest, Trigger::Cli).await?;
    sync::recorded(engine, &pipeline.name, &run_id).await?;
    engine.ledger.start(&run_id).await?;
    let extent = Extent::Part(part);
    let job = Job { run_id, pipeline, only, extent: &extent, cancel: &stop.token };
    let done = run::execute(engine, &job, &Unwatched).await;
    let concluded = done.as_ref().map(|_| ()).map_err(Clone::clone);
    engine.ledger.conclude(&run_id, &concluded).await?;
    done
}

fn of_window(mut described: Value, published: &[Published]) -> Value {
    let streams: Vec<Value> = published.iter().map(|done| StreamOutcome::from(done).to_json()).collect();
    described["streams"] = streams.into();
    described
}

fn summary(pipeline: &Pipeline, windows: Vec<Value>) -> Value {
    json!({"pipeline": pipeline.name.as_str(), "windows": windows})
}

fn bar(context: &Context, windows: u64) -> ProgressBar {
    let bar = ProgressBar::new(windows);
    if context.json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} windows  {elapsed}  {eta} left") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.tick();
    bar
}

fn print(windows: &[Value]) {
    let mut table = show::table(&["from", "to", "stream", "version", "rows"], &[3, 4]);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for window in windows {
        for stream in window["streams"].as_array().into_iter().flatten() {
            table.add_row(
                [&window["from"], &window["to"], &stream["stream"], &stream["version"], &stream["rows"]]
                    .map(text),
            );
        }
    }
    println!("{table}");
}
