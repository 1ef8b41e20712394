//! What a run will do, decided stream by stream before any row moves.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::Engine;
use crate::classify;
use crate::error::{At, Error, Result};
use crate::protect;
use crate::publish::{self, Mode};
use crate::source::{Carried, Column, Relation, Shape, Snapshot};
use crate::spec::pipeline::{Columns, Parquet, WriteMode};
use crate::spec::verdict::Verdict;
use crate::spec::{Action, DatasetName, Pipeline, Stream, StreamName};
use crate::transform::Transform;

/// Everything decided about one stream.
#[derive(Debug)]
pub struct StreamPlan {
    /// What is read.
    pub relation: Relation,
    /// Where it is published.
    pub dataset: DatasetName,
    /// Every column of the source, in source order.
    pub source_columns: Vec<Column>,
    /// Those that are read, in source order.
    pub reads: Vec<Column>,
    /// Names of source columns the spec drops before they are read.
    pub unread: Vec<String>,
    /// How rows become output.
    pub transform: Transform,
    /// What is known of each output column.
    pub verdicts: Vec<Verdict>,
    /// What happens to each leaf column.
    pub protection: protect::Plan,
    /// What the commit does to the rows already there.
    pub mode: Mode,
    /// How Parquet is written.
    pub parquet: Parquet,
    /// Columns that become folders.
    pub partition_by: Vec<String>,
    /// Expected rows, where the source can tell.
    pub rows: Option<u64>,
    /// Expected bytes, where the source can tell.
    pub bytes: Option<u64>,
}

/// A stream that could be planned, or why not.
pub type Planned = std::result::Result<Box<StreamPlan>, (StreamName, Error)>;

/// Plans every stream of a pipeline (or the one named `only`), in document order; a wildcard's
/// tables in name order. A stream that cannot be planned does not hide the others.
///
/// # Errors
/// `Usage` when no stream is named `only`; what [`Snapshot::find`] answers; `Invalid` when two
/// streams would publish the same dataset.
pub async fn streams(
    engine: &Engine,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    snapshot: &mut dyn Snapshot,
) -> Result<Vec<Planned>> {
    let mut planned: Vec<Planned> = Vec::new();
    for stream in &pipeline.streams {
        for relation in snapshot.find(&stream.selector).await? {
            if only.is_some_and(|only| *only != relation.stream) {
                continue;
            }
            let name = relation.stream.clone();
            let plan = self::stream(engine, stream, relation, snapshot).await;
            planned
                .push(plan.map(Box::new).map_err(|error| (name.clone(), error.at(format!("stream {name}")))));
        }
    }
    if planned.is_empty() {
        return Err(nothing(pipeline, only));
    }
    distinct_datasets(&planned)?;
    Ok(planned)
}

/// The plans, if every stream has one.
///
/// # Errors
/// The error of the first stream that has none; with more than one, all of them in one text.
pub fn all(planned: Vec<Planned>) -> Result<Vec<StreamPlan>> {
    let (mut plans, mut errors) = (Vec::new(), Vec::new());
    for plan in planned {
        match plan {
            Ok(plan) => plans.push(*plan),
            Err((_, error)) => errors.push(error),
        }
    }
    match errors.len() {
        0 => Ok(plans),
        1 => Err(errors.remove(0)),
        n => {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(Error::new(errors[0].kind(), format!("{n} streams cannot run\n\n{}\n", texts.join("\n\n"))))
        }
    }
}

async fn stream(
    engine: &Engine,
    stream: &Stream,
    relation: Relation,
    snapshot: &mut dyn Snapshot,
) -> Result<StreamPlan> {
    let dataset = stream.dataset.expand(relation.schema.as_deref(), &relation.table, &relation.stream)?;
    let Shape { columns: source_columns, rows, bytes } = snapshot.describe(&relation).await?;
    let reading = reading(stream, &source_columns, engine.config.memory_limit_bytes).await?;
    let verdicts = classify::declared(
        &stream.columns,
        &schema(&source_columns),
        reading.transform.output(),
        reading.transform.origins(),
        reading.transform.copies(),
    );
    let output = reading.transform.output().clone();
    let mut protection =
        protect::Plan::decide(&dataset, &engine.policy, output, &verdicts, &stream.partition_by)?;
    protection.name_keys(&engine.keyring).await?;
    publish::check_schema(protection.output())?;
    Ok(StreamPlan {
        relation,
        dataset,
        source_columns,
        reads: reading.columns,
        unread: reading.unread,
        transform: reading.transform,
        verdicts,
        protection,
        mode: match stream.write_mode {
            WriteMode::Overwrite => Mode::Overwrite,
            WriteMode::Append => Mode::Append,
        },
        parquet: stream.parquet,
        partition_by: stream.partition_by.clone(),
        rows,
        bytes,
    })
}

/// Which columns are read, and the transform over them.
struct Reading {
    columns: Vec<Column>,
    unread: Vec<String>,
    transform: Transform,
}

/// Plans the transform over all columns, to see which it looks at. A column that cannot be carried
/// is no obstacle unless something does.
async fn reading(stream: &Stream, all: &[Column], memory_limit_bytes: u64) -> Result<Reading> {
    let sql = stream.transform.as_deref();
    let (offered, unread): (Vec<Column>, Vec<Column>) =
        all.iter().cloned().partition(|column| sql.is_some() || !is_dropped(&stream.columns, &column.name));
    let transform = Transform::plan(sql, schema(&offered), memory_limit_bytes).await?;
    let columns: Vec<Column> =
        transform.reads().iter().filter_map(|&index| offered.get(index).cloned()).collect();
    refuse_uncarried(&columns)?;
    Ok(Reading { columns, unread: unread.into_iter().map(|column| column.name).collect(), transform })
}

fn is_dropped(columns: &Columns, name: &str) -> bool {
    columns.named.get(name).is_some_and(|column| column.action == Some(Action::Drop))
}

/// The Arrow schema of source columns; one that cannot be carried is held a text until it is known
/// whether anything looks at it.
fn schema(columns: &[Column]) -> SchemaRef {
    let field =
        |column: &Column| column.field().unwrap_or_else(|| Field::new(&column.name, DataType::Utf8, true));
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn refuse_uncarried(columns: &[Column]) -> Result<()> {
    let refused: Vec<(String, &str)> = columns
        .iter()
        .filter_map(|column| match &column.carried {
            Carried::Refused { remedy } => {
                let what =
                    format!("column `{}` of type {} cannot be carried", column.name, column.source_type);
                Some((what, remedy.as_str()))
            }
            _ => None,
        })
        .collect();
    match refused.as_slice() {
        [] => Ok(()),
        [(what, remedy)] => Err(Error::held(what).help(*remedy)),
        many => {
            let lines: Vec<String> = many.iter().map(|(what, remedy)| format!("{what}: {remedy}")).collect();
            Err(Error::held(lines.join("\n")).help("settle each of them"))
        }
    }
}

fn distinct_datasets(planned: &[Planned]) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    for plan in planned.iter().flatten() {
        if let Some(other) = seen.insert(&plan.dataset, &plan.relation.stream) {
            return Err(Error::invalid(format!(
                "streams {other} and {} would both publish {}",
                plan.relation.stream, plan.dataset
            ))
            .help("use {schema} and {table} in `dataset`, or give one of them a `dataset` of its own"));
        }
    }
    Ok(())
}

fn nothing(pipeline: &Pipeline, only: Option<&StreamName>) -> Error {
    match only {
        Some(only) => Error::new(
            crate::error::Kind::Usage,
            format!("pipeline {} has no stream `{only}`", pipeline.name),
        )
        .help(format!("`sealift plan {}` lists its streams", pipeline.name)),
        None => Error::invalid(format!("pipeline {} has no streams", pipeline.name)),
    }
}

/// Plans and requires every stream to have a plan.
///
/// # Errors
/// As [`streams`] and [`all`].
pub async fn every(
    engine: &Engine,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    snapshot: &mut dyn Snapshot,
) -> Result<Vec<StreamPlan>> {
    all(streams(engine, pipeline, only, snapshot).await.at(|| format!("pipeline {}", pipeline.name))?)
        .at(|| format!("pipeline {}", pipeline.name))
}
