//! What a run will do, decided stream by stream before any row moves.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::classification::{self, Look};
use super::contract::{self, Comparison, Fit, Predecessor};
use super::fidelity::{self, SourceColumn};
use super::increment::{Increment, known};
use super::present::Keys;
use super::quality::{self, Quality};
use super::quarantine::{self, Quarantine};
use super::{Engine, Memory, application, merging};
use crate::classify;
use crate::classify::Found;
use crate::error::{At, Error, Result};
use crate::protect;
use crate::publish::merge::Rules;
use crate::publish::{self, Facts, Mode, Store};
use crate::source::convert::Decision;
use crate::source::{Carried, Column, Relation, Shape, Snapshot};
use crate::spec::pipeline::{Columns, Parquet, Selector};
use crate::spec::sync::{Resume, SyncMode, WriteMode};
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
    /// Every column of the source, in source order, and what carrying it does to its values.
    pub source_columns: Vec<SourceColumn>,
    /// Those that are read, in source order, as they are asked of the source.
    pub reads: Vec<Column>,
    /// The decisions on those that are read.
    pub decisions: Vec<Decision>,
    /// What is read after the decisions.
    pub converted: SchemaRef,
    /// The places of the columns that the transform sees, where more are read.
    pub shown: Option<Vec<usize>>,
    /// Names of source columns the spec drops before they are read.
    pub unread: Vec<String>,
    /// How rows become output.
    pub transform: Transform,
    /// What was found of the columns that are read, where rows were looked at.
    pub found: Vec<Found>,
    /// What is known of each output column.
    pub verdicts: Vec<Verdict>,
    /// What happens to each leaf column.
    pub protection: protect::Plan,
    /// What differs from what is published, and what comes of it.
    pub comparison: Comparison,
    /// How rows are made to fit the published types, where the contract asks for it.
    pub fit: Option<Fit>,
    /// What must hold of the rows.
    pub quality: Quality,
    /// What the last run brought, where that is recorded.
    pub last: Option<Facts>,
    /// Where the rows go that are rejected; `None` where none can be.
    pub quarantine: Option<Quarantine>,
    /// How the rows are read from run to run; `None` where all of them are, every time.
    pub increment: Option<Increment>,
    /// Output columns that tell rows apart, where the spec names them.
    pub primary_key: Vec<String>,
    /// What the commit does to the rows already there.
    pub mode: Mode,
    /// What a full load that died goes on with.
    pub resume: Resume,
    /// How its rows meet those already there; `None` where they are not told apart by a key.
    pub rules: Option<Rules>,
    /// How the source's keys are read beside its rows, to find what is missing.
    pub keys: Option<Keys>,
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
pub type Planned = std::result::Result<Box<StreamPlan>, Box<Unplanned>>;

/// A stream that has no plan.
#[derive(Debug)]
pub struct Unplanned {
    /// The stream.
    pub stream: StreamName,
    /// Its columns, as far as the source could describe them.
    pub source_columns: Vec<SourceColumn>,
    /// Why there is no plan.
    pub error: Error,
}

/// Plans every stream of a pipeline (or the one named `only`), in document order; a wildcard's
/// tables in name order. A stream that cannot be planned does not hide the others.
///
/// # Errors
/// `Usage` when no stream is named `only`; what [`Snapshot::find`] answers; `Invalid` when two
/// streams would publish the same dataset.
pub async fn streams(
    engine: &Engine,
    store: &Store,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    snapshot: &mut dyn Snapshot,
    look: Look,
) -> Result<Vec<Planned>> {
    let mut planned: Vec<Planned> = Vec::new();
    for stream in &pipeline.streams {
        for mut relation in snapshot.find(&stream.selector).await? {
            relation.split_by.clone_from(&stream.split_by);
            if only.is_some_and(|only| *only != relation.stream) {
                continue;
            }
            let name = relation.stream.clone();
            let mut described = Vec::new();
            let application = application(pipeline, &name);
            let plan =
                self::stream(engine, store, (stream, &application, look), relation, snapshot, &mut described)
                    .await;
            planned.push(plan.map(Box::new).map_err(|error| {
                let error = error.at(format!("stream {name}"));
                Box::new(Unplanned { stream: name, source_columns: described, error })
            }));
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
            Err(unplanned) => errors.push(unplanned.error),
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

/// `described` is left with the columns of the source even where there is no plan.
async fn stream(
    engine: &Engine,
    store: &Store,
    (stream, application, look): (&Stream, &str, Look),
    relation: Relation,
    snapshot: &mut dyn Snapshot,
    described: &mut Vec<SourceColumn>,
) -> Result<StreamPlan> {
    let dataset = stream.dataset.expand(relation.schema.as_deref(), &relation.table, &relation.stream)?;
    let Shape { columns, rows, bytes } = snapshot.describe(&relation).await?;
    *described = fidelity::decide(columns, &stream.columns);
    fidelity::check_names(&stream.columns, described)?;
    fidelity::check_types(described)?;
    let before = Predecessor::load(store, &dataset, application).await?;
    let reading = reading(stream, described, before.as_ref(), transform_bytes(engine, stream)).await?;
    let source_columns = described.clone();
    let found = classification::look(engine, stream, look, &relation, &reading, snapshot).await;
    // From here on, what was found counts as declared.
    let stream = &classification::declared(engine, stream, &reading, &found, before.as_ref());
    let mut verdicts = classify::declared(
        &stream.columns,
        &schema(&source_columns),
        reading.transform.output(),
        reading.transform.origins(),
        reading.transform.copies(),
    );
    classify::lower(&mut verdicts, reading.transform.aggregates(), &engine.policy.classification);
    let (mut protection, fit) =
        protected(engine, stream, &dataset, before.as_ref(), &reading, &verdicts).await?;
    let quality = Quality::plan(store, &stream.quality, &protection).await?;
    let rules = merging::rules(stream, reading.transform.output(), &protection)?;
    let keys = Keys::plan(engine, stream, rules.as_ref(), &dataset, described).await?;
    if let Some(lifetime) = rules.as_ref().and_then(Rules::lifetime) {
        protection = protection.with_lifetime(lifetime)?;
    }
    publish::check_schema(protection.output())?;
    let increment = increment(stream, &reading, &protection)?;
    if rules.is_none() {
        known::check(&stream.primary_key, &protection)?;
    }
    if let Some(before) = &before {
        before.check_renamed(&stream.schema_contract, protection.input())?;
    }
    let planned = contract::Planned {
        protection: &protection,
        partition_by: &stream.partition_by,
        mode: mode(&stream.write_mode),
        dropped: &reading.unread,
        left_out: &reading.left_out,
        fit: fit.as_ref(),
    };
    let comparison = contract::compare(before.as_ref(), &planned, &stream.schema_contract);
    let rejected = if quality.quarantines() {
        Some(quarantine::Columns::Output(quality.rows(), &verdicts))
    } else {
        reading.quarantines.then_some(quarantine::Columns::Source(&reading.asked))
    };
    let quarantine = match rejected {
        Some(columns) => Some(Quarantine::plan(engine, store, stream, &dataset, columns).await?),
        None => None,
    };
    Ok(StreamPlan {
        relation,
        dataset,
        source_columns,
        reads: reading.asked,
        decisions: reading.decisions,
        converted: reading.converted,
        shown: reading.shown,
        unread: reading.unread,
        transform: reading.transform,
        found,
        verdicts,
        protection,
        comparison,
        fit,
        quality,
        last: before.and_then(|before| before.recorded.facts),
        quarantine,
        increment,
        primary_key: stream.primary_key.clone(),
        mode: mode(&stream.write_mode),
        resume: stream.resume,
        rules,
        keys,
        parquet: stream.parquet,
        partition_by: stream.partition_by.clone(),
        rows,
        bytes,
    })
}

/// What the spec's SQL may sort and group, beside keys of rows where any are held.
fn transform_bytes(engine: &Engine, stream: &Stream) -> u64 {
    let memory = Memory::of(engine.config.memory_limit_bytes);
    let holds_keys = stream.sync_mode != SyncMode::FullRefresh
        || !stream.primary_key.is_empty()
        || quality::holds_keys(&stream.quality);
    if holds_keys { memory.beside_keys().0 } else { memory.transform_bytes }
}

/// One action per column, of the types that are published, and how the rows are made to fit those.
async fn protected(
    engine: &Engine,
    stream: &Stream,
    dataset: &DatasetName,
    before: Option<&Predecessor>,
    reading: &Reading,
    verdicts: &[Verdict],
) -> Result<(protect::Plan, Option<Fit>)> {
    let decide = |output: &SchemaRef| {
        protect::Plan::decide(dataset, &engine.policy, output.clone(), verdicts, &stream.partition_by)
    };
    let output = reading.transform.output();
    let mut protection = decide(output)?;
    let fit = before.and_then(|before| before.fit(&stream.schema_contract, output, &protection));
    if let Some(fit) = &fit {
        protection = decide(fit.output())?;
    }
    protection.name_keys(&engine.keyring).await?;
    Ok((protection, fit))
}

/// How the rows are read from run to run.
fn increment(stream: &Stream, reading: &Reading, protection: &protect::Plan) -> Result<Option<Increment>> {
    match &stream.sync_mode {
        SyncMode::Incremental(cursor) => {
            Increment::plan(cursor, &reading.read, &reading.transform, protection).map(Some)
        }
        SyncMode::FullRefresh => Ok(None),
    }
}

/// What the commit does to the rows already there.
pub(super) const fn mode(write_mode: &WriteMode) -> Mode {
    match write_mode {
        WriteMode::Overwrite => Mode::Overwrite,
        WriteMode::Append => Mode::Append,
        WriteMode::Merge(_) | WriteMode::Scd2(_) => Mode::Merge,
    }
}

/// Which columns are read, and the transform over them.
pub(super) struct Reading {
    read: Vec<SourceColumn>,
    pub(super) asked: Vec<Column>,
    pub(super) decisions: Vec<Decision>,
    pub(super) converted: SchemaRef,
    /// Whether a decision rejects rows.
    quarantines: bool,
    /// The places of the columns that the transform sees, where more are read.
    shown: Option<Vec<usize>>,
    unread: Vec<String>,
    /// New output columns that the contract leaves out.
    left_out: BTreeSet<String>,
    pub(super) transform: Transform,
}

/// Plans the transform over all columns, to see which it looks at. A column that cannot be carried
/// is no obstacle unless something does. A cursor is read whether or not the transform sees it.
pub(super) async fn reading(
    stream: &Stream,
    all: &[SourceColumn],
    before: Option<&Predecessor>,
    memory_limit_bytes: u64,
) -> Result<Reading> {
    let sql = stream.transform.as_deref();
    let is_offered = |column: &&SourceColumn| sql.is_some() || !is_dropped(&stream.columns, column.name());
    let (offered, unread): (Vec<&SourceColumn>, Vec<&SourceColumn>) = all.iter().partition(is_offered);
    let mut offered: Vec<SourceColumn> = offered.into_iter().cloned().collect();
    let mut transform = Transform::plan(sql, schema(&offered), memory_limit_bytes).await?;
    let left_out = before.map(|before| before.left_out(&stream.schema_contract, transform.output()));
    let left_out = left_out.unwrap_or_default();
    match sql {
        _ if left_out.is_empty() => {}
        Some(_) => transform = transform.without(&left_out).await?,
        None => {
            offered.retain(|column| !left_out.contains(column.name()));
            transform = Transform::plan(None, schema(&offered), memory_limit_bytes).await?;
        }
    }
    let seen: Vec<&str> =
        transform.reads().iter().filter_map(|&index| Some(offered.get(index)?.name())).collect();
    let cursor = match &stream.sync_mode {
        SyncMode::Incremental(cursor) => cursor.fields.as_slice(),
        SyncMode::FullRefresh => &[],
    };
    let is_seen = |column: &SourceColumn| seen.contains(&column.name());
    let is_cursor = |column: &SourceColumn| cursor.iter().any(|name| name == column.name());
    let read: Vec<SourceColumn> =
        all.iter().filter(|column| is_seen(column) || is_cursor(column)).cloned().collect();
    refuse_uncarried(&stream.selector, &read)?;
    let shown: Vec<usize> =
        read.iter().enumerate().filter(|(_, column)| is_seen(column)).map(|(place, _)| place).collect();
    let decision = |column: &SourceColumn| Some(Decision::of(&column.described, column.decided?));
    Ok(Reading {
        asked: read.iter().map(SourceColumn::asked).collect(),
        decisions: read.iter().filter_map(decision).collect(),
        converted: schema(&read),
        quarantines: read.iter().any(SourceColumn::quarantines),
        shown: (shown.len() < read.len()).then_some(shown),
        unread: unread.into_iter().map(|column| column.name().to_owned()).collect(),
        left_out,
        transform,
        read,
    })
}

fn is_dropped(columns: &Columns, name: &str) -> bool {
    columns.named.get(name).is_some_and(|column| column.action == Some(Action::Drop))
}

/// The Arrow schema of source columns after the decisions on them; one that cannot be carried is held a
/// text until it is known whether anything looks at it.
pub(super) fn schema(columns: &[SourceColumn]) -> SchemaRef {
    let field = |column: &SourceColumn| {
        column.carried().field().unwrap_or_else(|| Field::new(column.name(), DataType::Utf8, true))
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn refuse_uncarried(selector: &Selector, columns: &[SourceColumn]) -> Result<()> {
    let refused: Vec<(String, String)> = columns
        .iter()
        .filter_map(|column| match column.carried().carried {
            Carried::Refused { remedy } => {
                let Column { name, source_type, .. } = &column.described;
                let what = format!("column `{name}` of type {source_type} cannot be carried");
                Some((what, with_text(selector, name, remedy)))
            }
            _ => None,
        })
        .collect();
    match refused.as_slice() {
        [] => Ok(()),
        [(what, remedy)] => Err(Error::held(what).help(remedy)),
        many => {
            let lines: Vec<String> = many.iter().map(|(what, remedy)| format!("{what}: {remedy}")).collect();
            Err(Error::held(lines.join("\n")).help("settle each of them"))
        }
    }
}

/// The source's remedy, with the decision that a database can always serve: its own text.
fn with_text(selector: &Selector, name: &str, remedy: String) -> String {
    let is_readable = !remedy.contains("GRANT ");
    if matches!(selector, Selector::Files(_)) || remedy.contains("{as: ") || !is_readable {
        return remedy;
    }
    format!("carry it as the source's own text: `columns: {{{name}: {{as: text}}}}`; or {remedy}")
}

fn distinct_datasets(planned: &[Planned]) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    let each = planned.iter().flatten().flat_map(|plan| {
        let quarantine = plan.quarantine.as_ref().map(|quarantine| &quarantine.dataset);
        std::iter::once(&plan.dataset).chain(quarantine).map(|dataset| (&plan.relation.stream, dataset))
    });
    for (stream, dataset) in each {
        if let Some(other) = seen.insert(dataset, stream) {
            return Err(Error::invalid(format!("streams {other} and {stream} would both publish {dataset}"))
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
    store: &Store,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    snapshot: &mut dyn Snapshot,
) -> Result<Vec<StreamPlan>> {
    all(streams(engine, store, pipeline, only, snapshot, Look::Needed)
        .await
        .at(|| format!("pipeline {}", pipeline.name))?)
    .at(|| format!("pipeline {}", pipeline.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::pipeline::TablePattern;

    #[test]
    fn the_remedy_of_a_refused_column_offers_its_text_where_that_can_be_had() {
        let table = TablePattern { schema: "public".to_owned(), table: "places".to_owned() };
        let of = |remedy: &str| with_text(&Selector::Table(table.clone()), "spot", remedy.to_owned());
        assert!(of("leave it out").contains("`columns: {spot: {as: text}}`; or leave it out"));
        for whole in ["GRANT SELECT (spot) ON places TO a", "write `columns: {spot: {as: text}}`"] {
            assert_eq!(of(whole), whole);
        }
    }
}
