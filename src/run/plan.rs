//! What a run will do, decided stream by stream before any row moves.

mod reading;
mod rehearsal;
pub mod told;

use arrow::datatypes::SchemaRef;

pub(super) use self::reading::{Reading, reading, schema};
pub use self::rehearsal::{Rehearsal, lineage, rehearse, runnable};
use super::classification::{self, Look};
use super::contract::{self, Comparison, Fit, Predecessor};
use super::fidelity::{self, SourceColumn};
use super::increment::Increment;
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
use crate::source::{Column, Relation, Shape, Snapshot};
use crate::spec::pipeline::Parquet;
use crate::spec::sync::{Resume, SyncMode, WriteMode};
use crate::spec::verdict::Verdict;
use crate::spec::{DatasetName, Pipeline, Stream, StreamName};
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
    /// What its author may not expect of the rows, whatever they are.
    pub warnings: Vec<String>,
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
    let mut before = Predecessor::load(store, &dataset, Some(application)).await?;
    let first = reading(stream, described, before.as_ref(), transform_bytes(engine, stream)).await?;
    let found = classification::look(engine, stream, look, &relation, &first, snapshot).await;
    // From here on, what was found counts as declared.
    let stream = &classification::declared(engine, stream, &dataset, &first, &found, before.as_ref());
    let (reading, verdicts, (mut protection, fit)) =
        covered(engine, stream, &dataset, before.as_mut(), described, first).await?;
    let source_columns = described.clone();
    let quality = Quality::plan(store, &stream.quality, &protection).await?;
    let rules = merging::rules(stream, reading.transform.output(), &protection)?;
    let keys = Keys::plan(engine, stream, rules.as_ref(), &dataset, described, fit.as_ref()).await?;
    if let Some(lifetime) = rules.as_ref().and_then(Rules::lifetime) {
        protection = protection.with_lifetime(lifetime)?;
    }
    publish::check_schema(protection.output())?;
    let increment = increment(stream, &reading, &protection)?;
    if let Some(before) = &before {
        before.check_renamed(&stream.schema_contract, &protection)?;
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
    let warnings = warnings(rules.as_ref(), reading.transform.filters());
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
        warnings,
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

/// What is read, what is known of it and what is done to it: without columns that the contract leaves out. It
/// begins with what is read as long as nothing is withheld.
async fn covered(
    engine: &Engine,
    stream: &Stream,
    dataset: &DatasetName,
    mut before: Option<&mut Predecessor>,
    described: &[SourceColumn],
    mut reading: Reading,
) -> Result<(Reading, Vec<Verdict>, (protect::Plan, Option<Fit>))> {
    loop {
        let mut verdicts = classify::declared(
            &stream.columns,
            &schema(described),
            reading.transform.output(),
            reading.transform.origins(),
            reading.transform.copies(),
        );
        classify::lower(&mut verdicts, reading.transform.aggregates(), &engine.policy.classification);
        let protected = protected(engine, stream, dataset, before.as_deref(), &reading, &verdicts).await?;
        // Which columns are no longer dropped shows only now.
        let is_withheld =
            before.as_mut().is_some_and(|before| before.withhold(&stream.schema_contract, &protected.0));
        if !is_withheld {
            return Ok((reading, verdicts, protected));
        }
        let memory_bytes = transform_bytes(engine, stream);
        reading = self::reading(stream, described, before.as_deref(), memory_bytes).await?;
    }
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
            if let Some(what) = reading.transform.gathers() {
                return Err(Error::held(format!(
                    "the transform {what}, and an incremental run sees a part of the rows: what it makes of them is \
                     not what all of them make"
                ))
                .help("do so in a `query` stream at the source, or read all rows: `sync_mode: full_refresh`"));
            }
            Increment::plan(cursor, &reading.read, &reading.transform, protection).map(Some)
        }
        SyncMode::FullRefresh => Ok(None),
    }
}

/// Rows that a transform no longer lets pass look like rows that did not change.
fn warnings(rules: Option<&Rules>, filters: bool) -> Vec<String> {
    let stays = filters && rules.is_some_and(|rules| rules.missing.is_none());
    let text = "`transform` leaves out rows by a condition: published rows that no longer meet it stay as they are; \
                name what deletes a row as `soft_delete`, or set `delete_missing`";
    stays.then(|| text.to_owned()).into_iter().collect()
}

/// What the commit does to the rows already there.
pub(super) const fn mode(write_mode: &WriteMode) -> Mode {
    match write_mode {
        WriteMode::Overwrite => Mode::Overwrite,
        WriteMode::Append => Mode::Append,
        WriteMode::Merge(_) | WriteMode::Scd2(_) => Mode::Merge,
    }
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
