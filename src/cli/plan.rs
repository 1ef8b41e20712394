//! `sealift plan`: what a run would do.

use serde_json::{Value, json};

use super::args::OfPipeline;
use super::{Context, Done, Failure, show};
use crate::error::{At, Result};
use crate::protect::Decision;
use crate::publish::Store;
use crate::run::plan::{self, Planned};
use crate::run::{Engine, StreamPlan, standing};
use crate::source::Carried;
use crate::spec::verdict::Origin;
use crate::spec::{Pipeline, StreamName};

pub(super) async fn run(context: &Context, args: &OfPipeline) -> Done {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let pipeline = engine.pipeline(&args.pipeline)?;
    let only = args.stream.as_deref().map(StreamName::parse).transpose()?;
    let (store, connection) = engine.places(pipeline)?;
    let mut snapshot = crate::source::open(connection, engine.gate(pipeline))?.snapshot().await?;
    let planned = plan::streams(&engine, pipeline, only.as_ref(), &mut *snapshot).await?;

    let mut described = Vec::new();
    for plan in planned.iter().flatten() {
        let columns = columns(plan);
        if !context.json {
            print(plan, &columns, &snapshot.consistency());
        }
        described.push(json!({
            "stream": plan.relation.stream.as_str(),
            "dataset": plan.dataset.to_string(),
            "rows": plan.rows,
            "bytes": plan.bytes,
            "columns": columns.iter().map(Column::json).collect::<Vec<_>>(),
        }));
    }
    let summary = json!({ "streams": described });
    match may_run(&engine, pipeline, &store, planned).await.at(|| format!("pipeline {}", pipeline.name)) {
        Ok(()) if context.json => show::json(&summary),
        Ok(()) => println!("Nothing was written. Next: {} sync {}", show::command(), pipeline.name),
        Err(error) => return Err(Failure { error, summary: Box::new(summary) }),
    }
    Ok(())
}

/// Whether every stream has a plan and may follow what is published.
async fn may_run(engine: &Engine, pipeline: &Pipeline, store: &Store, planned: Vec<Planned>) -> Result<()> {
    let plans = plan::all(planned)?;
    standing(engine, pipeline, store, &plans).await.map(|_| ())
}

/// One line of the plan.
struct Column {
    name: String,
    source_type: Option<String>,
    published_type: Option<String>,
    fidelity: &'static str,
    tag: Option<String>,
    action: String,
    because: String,
    key: Option<String>,
    lineage: Option<Vec<String>>,
}

impl Column {
    fn json(&self) -> Value {
        json!({
            "column": self.name, "source_type": self.source_type, "type": self.published_type,
            "fidelity": self.fidelity, "tag": self.tag, "action": self.action, "because": self.because,
            "key": self.key, "lineage": self.lineage,
        })
    }
}

fn columns(plan: &StreamPlan) -> Vec<Column> {
    let mut columns: Vec<Column> =
        plan.protection.decisions().iter().map(|decision| column(plan, decision)).collect();
    for name in &plan.unread {
        let source = plan.source_columns.iter().find(|column| column.name == *name);
        columns.push(Column {
            name: name.clone(),
            source_type: source.map(|column| column.source_type.clone()),
            published_type: None,
            fidelity: "not read",
            tag: None,
            action: "drop".into(),
            because: "spec".into(),
            key: None,
            lineage: Some(vec![name.clone()]),
        });
    }
    columns
}

fn column(plan: &StreamPlan, decision: &Decision) -> Column {
    let top = decision.path.split('.').next().unwrap_or(&decision.path);
    let verdict = plan.verdicts.iter().find(|v| v.column == decision.path || v.column == top);
    let lineage = verdict.and_then(|verdict| match &verdict.origin {
        Origin::Columns(names) => Some(names.iter().cloned().collect::<Vec<_>>()),
        Origin::Unknown => None,
    });
    let index = plan.transform.output().index_of(top).ok();
    let copied = index.and_then(|index| plan.transform.copies().get(index)?.as_ref());
    let source = copied.and_then(|name| plan.source_columns.iter().find(|column| column.name == *name));
    let published = plan.protection.output().field_with_name(top).ok();
    Column {
        name: decision.path.clone(),
        source_type: source.map(|column| column.source_type.clone()),
        published_type: published.map(|field| crate::publish::type_name(field.data_type())),
        fidelity: match source.map(|column| &column.carried) {
            Some(Carried::Exact(_)) => "exact",
            Some(Carried::AsText) => "exact-as-text",
            Some(Carried::Refused { .. }) => "refused",
            None => "computed",
        },
        tag: decision.tag.as_ref().map(ToString::to_string),
        action: decision.action.to_string(),
        because: decision.because.clone(),
        key: decision.key.clone(),
        lineage,
    }
}

fn print(plan: &StreamPlan, columns: &[Column], consistency: &str) {
    let rows =
        plan.rows.map_or_else(|| "rows unknown".into(), |rows| format!("about {} rows", show::count(rows)));
    let bytes = plan.bytes.map_or_else(String::new, |bytes| format!(", {}", show::bytes(bytes)));
    println!("{} -> {}  ({rows}{bytes}; read as {consistency})", plan.relation.stream, plan.dataset);
    let mut table = show::table(
        &["column", "source type", "type", "fidelity", "tag", "action", "because", "lineage"],
        &[],
    );
    for column in columns {
        table.add_row([
            column.name.clone(),
            column.source_type.clone().unwrap_or_default(),
            column.published_type.clone().unwrap_or_default(),
            column.fidelity.to_owned(),
            column.tag.clone().unwrap_or_default(),
            column.action.clone(),
            column.because.clone(),
            column.lineage.as_ref().map_or_else(|| "unknown".into(), |names| names.join(", ")),
        ]);
    }
    println!("{table}\n");
}
