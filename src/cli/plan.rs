//! `sealift plan`: what a run would do.

use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};

use super::args::OfPipeline;
use super::{Context, Done, Failure, show};
use crate::classify::Found;
use crate::error::{At, Result};
use crate::protect::Decision;
use crate::publish::Store;
use crate::run::classification::Look;
use crate::run::contract::{Change, Comparison};
use crate::run::fidelity::SourceColumn;
use crate::run::plan::{self, Planned};
use crate::run::{Engine, Extent, Increment, Quarantine, StreamPlan, standing};
use crate::spec::verdict::Origin;
use crate::spec::{Pipeline, StreamName};

pub(super) async fn run(context: &Context, args: &OfPipeline) -> Done {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let pipeline = engine.pipeline(&args.pipeline)?;
    let only = args.stream.as_deref().map(StreamName::parse).transpose()?;
    let (store, connection) = engine.places(pipeline)?;
    let mut snapshot = crate::source::open(connection, engine.gate(pipeline))?.snapshot().await?;
    let planned =
        plan::streams(&engine, &store, pipeline, only.as_ref(), &mut *snapshot, Look::Always).await?;

    let mut described = Vec::new();
    for plan in &planned {
        let (heading, columns, rows, bytes) = match plan {
            Ok(plan) => (heading(plan, &snapshot.consistency()), columns(plan), plan.rows, plan.bytes),
            Err(held) => (format!("{} cannot run", held.stream), unplanned(&held.source_columns), None, None),
        };
        if !context.json && !columns.is_empty() {
            print(&heading, &columns);
        }
        let (stream, dataset) = match plan {
            Ok(plan) => (&plan.relation.stream, Some(plan.dataset.to_string())),
            Err(held) => (&held.stream, None),
        };
        described.push(json!({
            "stream": stream.as_str(),
            "dataset": dataset,
            "rows": rows,
            "bytes": bytes,
            "incremental": plan.as_ref().ok().and_then(|plan| incremental(plan)),
            "columns": columns.iter().map(Column::json).collect::<Vec<_>>(),
            "published_version": plan.as_ref().ok().and_then(|plan| plan.comparison.version),
            "changes": plan.as_ref().ok().map(|plan| changes(context, &plan.comparison)),
            "quarantine": plan.as_ref().ok().and_then(|plan| rejected(context, plan)),
            "warnings": plan.as_ref().map_or_else(|_| Vec::new(), |plan| warnings(context, plan)),
        }));
    }
    let summary = json!({ "streams": described });
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

/// What differs from what is published, and what comes of it: printed, or for programs.
fn changes(context: &Context, comparison: &Comparison) -> Vec<Value> {
    if let (Some(version), false) = (comparison.version, context.json || comparison.changes.is_empty()) {
        println!("differs from the published version {version}:");
        let mut table = show::table(&["column", "change", "published", "planned", "the run", "this"], &[]);
        for change in &comparison.changes {
            let Change { column, kind, published, planned, then } = change;
            let (word, text) = (then.word().to_owned(), then.text().to_owned());
            table.add_row([column.clone(), kind.to_string(), published.clone(), planned.clone(), word, text]);
        }
        println!("{table}\n");
    }
    let change = |change: &Change| {
        json!({
            "column": change.column, "change": change.kind.to_string(), "published": change.published,
            "planned": change.planned, "run": change.then.word(), "what": change.then.text(),
        })
    };
    comparison.changes.iter().map(change).collect()
}

/// What becomes of the rows that a stream rejects: printed, or for programs.
fn rejected(context: &Context, plan: &StreamPlan) -> Option<Value> {
    let quarantine = plan.quarantine.as_ref()?;
    let columns = quarantined(plan, quarantine);
    if !context.json {
        let max_rows = show::count(quarantine.max_rows);
        print(&format!("rejected rows -> {}  (at most {max_rows} in a run)", quarantine.dataset), &columns);
    }
    Some(json!({
        "dataset": quarantine.dataset.to_string(),
        "max_rows": quarantine.max_rows,
        "columns": columns.iter().map(Column::json).collect::<Vec<_>>(),
        "changes": changes(context, &quarantine.comparison),
    }))
}

/// What the author may not expect: printed, or for programs.
fn warnings(context: &Context, plan: &StreamPlan) -> Vec<String> {
    for warning in plan.warnings.iter().filter(|_| !context.json) {
        println!("warning: {}: {warning}\n", plan.relation.stream);
    }
    plan.warnings.clone()
}

/// Whether every stream has a plan and may follow what is published.
async fn may_run(
    context: &Context,
    engine: &Engine,
    pipeline: &Pipeline,
    store: &Store,
    planned: Vec<Planned>,
) -> Result<()> {
    let plans = plan::all(planned)?;
    let standing = standing(engine, pipeline, store, &plans, &Extent::New, true).await?;
    for (plan, standing) in plans.iter().zip(&standing) {
        let Some(increment) = &plan.increment else { continue };
        let goes_on = increment.goes_on(engine, pipeline, plan, standing).await?;
        if !context.json {
            println!("{}\n", followed(plan, increment, goes_on));
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

fn incremental(plan: &StreamPlan) -> Option<Value> {
    let increment = plan.increment.as_ref()?;
    Some(json!({"cursor_field": increment.columns(), "lookback": increment.lookback()}))
}

/// One line of the plan.
#[derive(Default)]
struct Column {
    name: String,
    source_type: Option<String>,
    arrow_type: Option<String>,
    published_type: Option<String>,
    fidelity: String,
    tag: Option<String>,
    action: String,
    because: String,
    key: Option<String>,
    lineage: Option<Vec<String>>,
    /// The expressions between it and those, the last one first.
    path: Vec<String>,
    /// What was found in the source column that it is a copy of.
    found: Option<Found>,
    /// Of a computed column, what was found in those that it comes from.
    found_in_sources: Vec<Found>,
}

impl Column {
    fn json(&self) -> Value {
        json!({
            "column": self.name, "source_type": self.source_type, "arrow_type": self.arrow_type,
            "type": self.published_type, "fidelity": self.fidelity, "tag": self.tag, "action": self.action,
            "because": self.because, "key": self.key, "lineage": self.lineage, "path": self.path,
            "found": self.found.as_ref().map(super::classify::json),
            "found_in_sources": self.found_in_sources.iter().map(super::classify::json).collect::<Vec<_>>(),
        })
    }

    /// What is decided of a column.
    fn of_decision(decision: &Decision) -> Self {
        Self {
            name: decision.path.clone(),
            tag: decision.tag.as_ref().map(ToString::to_string),
            action: decision.action.to_string(),
            because: decision.because.clone(),
            key: decision.key.clone(),
            ..Self::default()
        }
    }

    /// A column of the source, as far as it is known before anything is decided about its output.
    fn of_source(source: &SourceColumn) -> Self {
        let arrow = source.arrow_type();
        Self {
            name: source.name().to_owned(),
            source_type: Some(source.described.source_type.clone()),
            arrow_type: arrow.as_ref().map(ToString::to_string),
            fidelity: source.fidelity().to_string(),
            lineage: Some(vec![source.name().to_owned()]),
            ..Self::default()
        }
    }
}

fn columns(plan: &StreamPlan) -> Vec<Column> {
    let mut columns: Vec<Column> =
        plan.protection.decisions().iter().map(|decision| column(plan, decision)).collect();
    let unread =
        plan.source_columns.iter().filter(|source| plan.unread.iter().any(|name| name == source.name()));
    columns.extend(unread.map(|source| Column {
        arrow_type: None,
        fidelity: "not read".into(),
        action: "drop".into(),
        because: "spec".into(),
        ..Column::of_source(source)
    }));
    columns
}

/// What happens to the columns of rejected rows.
fn quarantined(plan: &StreamPlan, quarantine: &Quarantine) -> Vec<Column> {
    let column = |decision: &Decision| {
        let top = decision.made_of().split('.').next().unwrap_or(&decision.path);
        let own = if decision.companion_of.is_some() { &decision.path } else { top };
        let source = plan.source_columns.iter().find(|source| source.name() == top);
        let field =
            |schema: &SchemaRef, name: &str| Some(schema.field_with_name(name).ok()?.data_type().clone());
        Column {
            arrow_type: field(quarantine.protection.input(), top).map(|arrow| arrow.to_string()),
            published_type: field(quarantine.protection.output(), own).map(|t| crate::publish::type_name(&t)),
            fidelity: source.map(|source| source.as_read().to_string()).unwrap_or_default(),
            source_type: source.map(|source| source.described.source_type.clone()),
            lineage: Some(source.map(|source| source.name().to_owned()).into_iter().collect()),
            ..Column::of_decision(decision)
        }
    };
    quarantine.protection.decisions().iter().map(column).collect()
}

/// What is known of the columns of a stream that cannot run.
fn unplanned(source: &[SourceColumn]) -> Vec<Column> {
    source.iter().map(Column::of_source).collect()
}

fn column(plan: &StreamPlan, decision: &Decision) -> Column {
    let top = decision.made_of().split('.').next().unwrap_or(&decision.path);
    let verdict = plan.verdicts.iter().find(|v| v.column == decision.made_of() || v.column == top);
    let lineage = verdict.and_then(|verdict| match &verdict.origin {
        Origin::Columns(names) => Some(names.iter().cloned().collect::<Vec<_>>()),
        Origin::Unknown => None,
    });
    let index = plan.transform.output().index_of(top).ok();
    let copied = index.and_then(|index| plan.transform.copies().get(index)?.as_ref());
    let source = copied.and_then(|name| plan.source_columns.iter().find(|column| column.name() == name));
    let own = if decision.companion_of.is_some() { &decision.path } else { top };
    let published = plan.protection.output().field_with_name(own).ok();
    let computed = plan.transform.output().field_with_name(top).ok();
    let arrow = source.and_then(SourceColumn::arrow_type).or(computed.map(|field| field.data_type().clone()));
    Column {
        source_type: source.map(|column| column.described.source_type.clone()),
        arrow_type: arrow.map(|arrow| arrow.to_string()),
        published_type: published.map(|field| crate::publish::type_name(field.data_type())),
        fidelity: source
            .map_or_else(|| computed_from(plan, lineage.as_deref()), |c| c.fidelity().to_string()),
        found_in_sources: found_in_sources(plan, copied.is_some(), lineage.as_deref()),
        lineage,
        path: plan.transform.path(top).to_vec(),
        found: found(plan, decision, copied.map(String::as_str)),
        ..Column::of_decision(decision)
    }
}

/// What was found in the part of the source that a leaf is a copy of.
fn found(plan: &StreamPlan, decision: &Decision, copied: Option<&str>) -> Option<Found> {
    let path = decision.dotted();
    let below = path.split_once('.').map_or_else(String::new, |(_, below)| format!(".{below}"));
    let name = format!("{}{below}", copied?);
    plan.found.iter().find(|found| found.name == name).cloned()
}

/// What was found in the columns that a computed one comes from; in all of them where that is not known.
fn found_in_sources(plan: &StreamPlan, is_copy: bool, lineage: Option<&[String]>) -> Vec<Found> {
    let is_source = |found: &&Found| {
        let top = found.name.split('.').next().unwrap_or(&found.name);
        !is_copy && lineage.is_none_or(|names| names.iter().any(|name| name == top))
    };
    plan.found.iter().filter(is_source).cloned().collect()
}

/// A computed column is what its SQL makes of its sources; those that lose values are named.
fn computed_from(plan: &StreamPlan, lineage: Option<&[String]>) -> String {
    let is_source = |name: &str| lineage.is_none_or(|names| names.iter().any(|other| other == name));
    let lossy = plan.source_columns.iter().filter(|source| source.fidelity().is_lossy());
    // A refused column that nothing reads brings no values.
    let is_read = |source: &&SourceColumn| plan.reads.iter().any(|read| read.name == source.name());
    let lossy: Vec<String> = lossy
        .filter(|source| is_source(source.name()))
        .filter(is_read)
        .map(|source| format!("{} ({})", source.name(), source.fidelity()))
        .collect();
    if lossy.is_empty() { "computed".to_owned() } else { format!("computed from {}", lossy.join(", ")) }
}

fn heading(plan: &StreamPlan, consistency: &str) -> String {
    let rows =
        plan.rows.map_or_else(|| "rows unknown".into(), |rows| format!("about {} rows", show::count(rows)));
    let bytes = plan.bytes.map_or_else(String::new, |bytes| format!(", {}", show::bytes(bytes)));
    format!("{} -> {}  ({rows}{bytes}; read as {consistency})", plan.relation.stream, plan.dataset)
}

fn print(heading: &str, columns: &[Column]) {
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
