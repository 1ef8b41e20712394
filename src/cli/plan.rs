//! `sealift plan`: what a run would do.

use serde_json::json;

use super::args::OfPipeline;
use super::{Context, Done, Failure, show};
use crate::error::{At, Result};
use crate::publish::Store;
use crate::run::classification::Look;
use crate::run::contract::{Change, Comparison};
use crate::run::plan::told::{self, Column};
use crate::run::plan::{self, Planned};
use crate::run::{Engine, Increment, StreamPlan};
use crate::spec::{Pipeline, StreamName};

pub(super) async fn run(context: &Context, args: &OfPipeline) -> Done {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let pipeline = engine.pipeline(&args.pipeline)?;
    let only = args.stream.as_deref().map(StreamName::parse).transpose()?;
    let (store, connection) = engine.places(pipeline)?;
    let mut snapshot = crate::source::open(connection, engine.gate(pipeline))?.snapshot().await?;
    let planned =
        plan::streams(&engine, &store, pipeline, only.as_ref(), &mut *snapshot, Look::Always).await?;

    for planned in planned.iter().filter(|_| !context.json) {
        match planned {
            Ok(plan) => {
                print(&heading(plan, &snapshot.consistency()), &told::columns(plan));
                changes(&plan.comparison);
                rejected(plan);
                plan.warnings.iter().for_each(|text| println!("warning: {}: {text}\n", plan.relation.stream));
            }
            Err(held) => {
                print(&format!("{} cannot run", held.stream), &told::unplanned(&held.source_columns));
            }
        }
    }
    let summary = json!({ "streams": planned.iter().map(told::stream).collect::<Vec<_>>() });
    match may_run(context, &engine, pipeline, &store, planned)
        .await
        .at(|| format!("pipeline {}", pipeline.name))
    {
        Ok(()) if context.json => show::json(&summary),
        Ok(()) => println!("Nothing was written. Next: {} sync {}", show::command(), pipeline.name),
        Err(error) => return Err(Failure { error, summary: Box::new(summary) }),
    }
    Ok(())
}

/// What differs from what is published, and what comes of it.
fn changes(comparison: &Comparison) {
    let Some(version) = comparison.version.filter(|_| !comparison.changes.is_empty()) else { return };
    println!("differs from the published version {version}:");
    let mut table = show::table(&["column", "change", "published", "planned", "the run", "this"], &[]);
    for change in &comparison.changes {
        let Change { column, kind, published, planned, then } = change;
        let (word, text) = (then.word().to_owned(), then.text().to_owned());
        table.add_row([column.clone(), kind.to_string(), published.clone(), planned.clone(), word, text]);
    }
    println!("{table}\n");
}

/// What becomes of the rows that a stream rejects.
fn rejected(plan: &StreamPlan) {
    let Some(quarantine) = &plan.quarantine else { return };
    let max_rows = show::count(quarantine.max_rows);
    let heading = format!("rejected rows -> {}  (at most {max_rows} in a run)", quarantine.dataset);
    print(&heading, &told::quarantined(plan, quarantine));
    changes(&quarantine.comparison);
}

/// Whether every stream has a plan and may follow what is published.
async fn may_run(
    context: &Context,
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    planned: Vec<Planned>,
) -> Result<()> {
    for (plan, goes_on) in plan::runnable(engine, pipeline, store, planned).await? {
        if let (Some(increment), false) = (&plan.increment, context.json) {
            println!("{}\n", followed(&plan, increment, goes_on));
        }
    }
    Ok(())
}

/// How a stream is read from run to run; never from which value on.
fn followed(plan: &StreamPlan, increment: &Increment, goes_on: bool) -> String {
    let (stream, columns) = (&plan.relation.stream, increment.columns().join(", "));
    match (goes_on, increment.lookback()) {
        (false, _) => {
            format!("{stream}: incremental by {columns}; there is no cursor yet, so all rows are read")
        }
        (true, None) => format!("{stream}: incremental by {columns}, from the last cursor on"),
        (true, Some(lookback)) => {
            format!("{stream}: incremental by {columns}, from {lookback} before the last cursor on")
        }
    }
}

fn heading(plan: &StreamPlan, consistency: &str) -> String {
    let rows =
        plan.rows.map_or_else(|| "rows unknown".into(), |rows| format!("about {} rows", show::count(rows)));
    let bytes = plan.bytes.map_or_else(String::new, |bytes| format!(", {}", show::bytes(bytes)));
    format!("{} -> {}  ({rows}{bytes}; read as {consistency})", plan.relation.stream, plan.dataset)
}

fn print(heading: &str, columns: &[Column]) {
    if columns.is_empty() {
        return;
    }
    println!("{heading}");
    let mut table = show::table(
        &[
            "column",
            "source type",
            "arrow type",
            "type",
            "fidelity",
            "tag",
            "action",
            "because",
            "found",
            "lineage",
        ],
        &[],
    );
    for column in columns {
        table.add_row([
            column.name.clone(),
            column.source_type.clone().unwrap_or_default(),
            column.arrow_type.clone().unwrap_or_default(),
            column.published_type.clone().unwrap_or_default(),
            column.fidelity.clone(),
            column.tag.clone().unwrap_or_default(),
            column.action.clone(),
            column.because.clone(),
            column.found.as_ref().map_or_else(String::new, |found| {
                format!("{} {:.2}", found.finding.tag, found.finding.confidence)
            }),
            column.lineage.as_ref().map_or_else(|| "unknown".into(), |names| names.join(", ")),
        ]);
    }
    println!("{table}");
    for column in columns.iter().filter(|column| !column.path.is_empty()) {
        println!("{} <- {}", column.name, column.path.join(" <- "));
    }
    println!();
}
