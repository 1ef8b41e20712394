//! What is found in the rows: before a run, of columns that nobody declared; during it, of those that were to
//! be published in the clear.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use futures::future::join;
use futures::{StreamExt as _, TryStreamExt as _};

use super::contract::Predecessor;
use super::plan::{self, Reading};
use super::{Engine, Memory, StreamPlan, fidelity, quarantine};
use crate::Batches;
use crate::classify::{self, Classifier, Finding, Found, Seen, Survey};
use crate::error::{At as _, Error, Kind, Result};
use crate::protect::plan::dotted;
use crate::protect::{self, Decision};
use crate::source::{self, Relation, Snapshot, convert};
use crate::spec::pipeline::{Column, Selector};
use crate::spec::{Action, DatasetName, Pipeline, Stream, StreamName, Tag};

/// Rows that a plan looks at.
const ROWS: usize = 16_384;
/// What a finding needs to stop a run: its share of the odds.
const SURE: f64 = 0.9;

/// Detectors that many a word or number passes which is nobody's: they stop a run by [`ENOUGH`] distinct values.
const PLAIN: [&str; 14] = [
    "first_name",
    "last_name",
    "gender",
    "username",
    "birth_date",
    "amount_decimal",
    "postal_digits",
    "geo_degrees",
    "bank_account_digits",
    "passport_form",
    "driver_license_form",
    "password_like",
    "secret_random",
    "phone_digits",
];
/// Detectors of forms that nothing else has.
const UNMISTAKABLE: [&str; 2] = ["email", "iban"];
/// Distinct values that pass a plain detector, before they stop a run.
const ENOUGH: u64 = 20;

/// When a plan looks at rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Where a column is not declared, so that what is found decides.
    Needed,
    /// At every stream, to tell what is found.
    Always,
}

/// Reads the first rows of a relation and tells what each part of its columns holds, as far as can be told. A
/// fault of the source ends the look: the run itself will meet it.
pub(super) async fn look(
    engine: &Engine,
    stream: &Stream,
    look: Look,
    relation: &Relation,
    reading: &Reading,
    snapshot: &mut dyn Snapshot,
) -> Vec<Found> {
    let is_declared = classify::undeclared(&stream.columns, &reading.converted).is_empty();
    if is_declared && look == Look::Needed {
        return Vec::new();
    }
    sampled(engine, relation, reading, snapshot, ROWS).await
}

async fn sampled(
    engine: &Engine,
    relation: &Relation,
    reading: &Reading,
    snapshot: &mut dyn Snapshot,
    most: usize,
) -> Vec<Found> {
    let mut survey = Survey::of(&reading.converted);
    if let Ok(rows) = snapshot.read(relation, &reading.asked).await {
        let (rejects, forget) = quarantine::forgotten();
        let rows = convert::convert(rows, &reading.decisions, &reading.converted, Some(rejects));
        join(first(rows, &mut survey, most), forget).await;
    }
    engine.classifier.findings(&survey)
}

/// What every stream of a pipeline (or the one named `only`) holds, by its first `rows` rows.
///
/// # Errors
/// As for planning, before anything is decided.
pub async fn survey(
    engine: &Engine,
    pipeline: &Pipeline,
    only: Option<&StreamName>,
    snapshot: &mut dyn Snapshot,
    rows: usize,
) -> Result<Vec<(String, Vec<Found>)>> {
    let memory_bytes = Memory::of(engine.config.memory_limit_bytes).transform_bytes;
    let mut surveyed = Vec::new();
    for stream in &pipeline.streams {
        for relation in snapshot.find(&stream.selector).await? {
            if only.is_some_and(|only| *only != relation.stream) {
                continue;
            }
            let described = fidelity::decide(snapshot.describe(&relation).await?.columns, &stream.columns);
            let reading = plan::reading(stream, &described, None, memory_bytes).await;
            let reading = reading.at(|| format!("stream {}", relation.stream))?;
            let found = sampled(engine, &relation, &reading, snapshot, rows).await;
            surveyed.push((relation.stream.to_string(), found));
        }
    }
    match (surveyed.is_empty(), only) {
        (true, Some(only)) => {
            Err(Error::new(Kind::Usage, format!("pipeline {} has no stream {only}", pipeline.name)))
        }
        _ => Ok(surveyed),
    }
}

/// What a file holds, by its first `rows` rows.
///
/// # Errors
/// Those of reading it.
pub async fn survey_file(
    classifier: &Classifier,
    selector: &Selector,
    snapshot: &mut dyn Snapshot,
    rows: usize,
) -> Result<Vec<Found>> {
    let relations = snapshot.find(selector).await?;
    let relation = relations.first().ok_or_else(|| Error::failed("there is no such file"))?;
    let columns = snapshot.describe(relation).await?.columns;
    let field = |column: &source::Column| column.field();
    let schema = Schema::new(columns.iter().filter_map(field).collect::<Vec<_>>());
    let read: Vec<source::Column> = columns.into_iter().filter(|column| column.field().is_some()).collect();
    let mut survey = Survey::of(&schema);
    let batches = snapshot.read(relation, &read).await?;
    first(batches, &mut survey, rows).await;
    Ok(classifier.findings(&survey))
}

/// Surveys the first rows. The stream is dropped here, which ends the read at the source.
async fn first(mut rows: Batches, survey: &mut Survey, most: usize) {
    let mut seen = 0;
    while seen < most {
        let Some(Ok(batch)) = rows.next().await else { break };
        seen += batch.num_rows();
        survey.observe(&batch);
    }
}

/// The stream with what was found of columns that nothing declares. What can be told of one counts as if it
/// were declared; a column of which nothing can be told is left to the policy's `unmatched`. A tag that a column
/// was published with stays, unless what is found asks for more. What infosec has set aside counts as
/// `internal`.
pub(super) fn declared(
    engine: &Engine,
    stream: &Stream,
    dataset: &DatasetName,
    reading: &Reading,
    found: &[Found],
    before: Option<&Predecessor>,
) -> Stream {
    let mut stream = stream.clone();
    let undeclared = classify::undeclared(&stream.columns, &reading.converted);
    for found in found.iter().filter(|found| undeclared.contains(&found.name)) {
        let published = published_as(reading, &found.name);
        let is_aside = |tag: &Tag| is_set_aside(engine, dataset, &published, tag);
        let new = Tag::parse(&found.finding.tag).ok().filter(|tag| tag.as_str() != "unknown");
        let new = new.and_then(|tag| if is_aside(&tag) { Tag::parse("internal").ok() } else { Some(tag) });
        let old = before.and_then(|before| before.tag(published.first()?));
        let old = old.filter(|tag| !is_aside(tag));
        let strength =
            |tag: &Tag| engine.policy.rule_for(tag).map_or(u32::MAX, |(_, rule)| rule.action.strength());
        let tag = match (new, old) {
            (Some(new), Some(old)) => Some(if strength(&new) > strength(&old) { new } else { old }),
            (new, old) => new.or(old),
        };
        let Some(tag) = tag else { continue };
        let column = stream.columns.named.entry(found.name.clone()).or_insert_with(|| {
            Box::new(Column {
                tag: None,
                action: None,
                conversion: None,
                companion: None,
                position: stream.position,
            })
        });
        column.tag = Some(tag);
    }
    stream
}

/// The names under which the output holds a part of the source unchanged.
fn published_as(reading: &Reading, name: &str) -> Vec<String> {
    let copies = reading.transform.copies().iter().zip(reading.transform.output().fields());
    let published = copies.filter_map(|(copy, field)| {
        let below = name.strip_prefix(copy.as_deref()?)?;
        (below.is_empty() || below.starts_with('.')).then(|| format!("{}{below}", field.name()))
    });
    published.collect()
}

/// Whether a finding is set aside for each column that holds it, of which there is one at least.
fn is_set_aside(engine: &Engine, dataset: &DatasetName, published: &[String], tag: &Tag) -> bool {
    let (policy, dataset) = (&engine.policy.classification, dataset.to_string());
    !published.is_empty() && published.iter().all(|name| policy.lowered(&dataset, name, tag).is_some())
}

/// Watches over the columns that are published with less than encryption. No `Debug`: it holds values.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Option<Survey>>>);

impl Watch {
    /// The rows, of which some are looked at as they pass. They are of `schema`, whose first `own` columns are
    /// the program's.
    pub(super) fn over(
        &self,
        protection: &protect::Plan,
        schema: &Schema,
        own: usize,
        rows: Batches,
    ) -> Batches {
        let decisions = protection.decisions().iter();
        let open: Vec<&Decision> = decisions.filter(|decision| is_open(decision)).collect();
        let fields = schema.fields().iter().enumerate().skip(own);
        let is_watched = |(_, field): &(usize, &FieldRef)| {
            open.iter().any(|decision| is_within(decision.made_of(), field.name()))
        };
        let places: Vec<usize> = fields.filter(is_watched).map(|(place, _)| place).collect();
        if places.is_empty() {
            return rows;
        }
        let watch = self.clone();
        rows.inspect_ok(move |batch| watch.observe(batch, &places)).boxed()
    }

    fn observe(&self, batch: &RecordBatch, places: &[usize]) {
        let Ok(batch) = batch.project(places) else { return };
        let mut survey = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        survey.get_or_insert_with(|| Survey::of(batch.schema_ref())).observe(&batch);
    }

    /// Whether what was seen may be published as it was decided, in the stream's dataset or in its quarantine:
    /// what is set aside in the one is so in the other.
    ///
    /// # Errors
    /// `Held`, naming every column in which something was found that the policy asks more for.
    pub(super) fn check(&self, engine: &Engine, plan: &StreamPlan, protection: &protect::Plan) -> Result<()> {
        let survey = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(survey) = survey.as_ref() else { return Ok(()) };
        let found = engine.classifier.findings(survey);
        let datasets = [plan.dataset.to_string(), protection.dataset().to_string()];
        let problems = |found| problems(engine, &datasets, protection, found);
        let problems: Vec<String> = found.iter().flat_map(problems).collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::held(problems.join("\n")).help(
            "give the column this tag under `columns` in the pipeline; a finding that is wrong is set aside by an \
             entry of infosec's under `classification: lowered` in the policy",
        ))
        .at(|| format!("dataset {}", protection.dataset()))
    }
}

/// Why a finding stands in the way of what was decided of its column, and of those made of it.
fn problems(engine: &Engine, datasets: &[String], protection: &protect::Plan, found: &Found) -> Vec<String> {
    let Found { name, finding } = found;
    let tag = Tag::parse(&finding.tag).ok().filter(|_| is_hit(finding));
    let Some(tag) = tag else { return Vec::new() };
    let policy = &engine.policy.classification;
    if datasets.iter().any(|dataset| policy.lowered(dataset, name, &tag).is_some()) {
        return Vec::new();
    }
    let asked = engine.policy.rule_for(&tag).map(|(_, rule)| &rule.action);
    let is_more =
        |decision: &Decision| asked.is_none_or(|asked| asked.strength() > decision.action.strength());
    let decisions = protection.decisions().iter();
    let made = decisions.filter(|decision| is_made_of(decision, name));
    let weak = made.filter(|decision| is_open(decision) && is_more(decision));
    weak.map(|decision| problem(decision, found, asked)).collect()
}

fn problem(decision: &Decision, found: &Found, asked: Option<&Action>) -> String {
    let Found { name, finding } = found;
    let column = match &decision.companion_of {
        Some(_) => format!("column `{}`, made of `{name}`,", decision.path),
        None => format!("column `{name}`"),
    };
    let asks =
        asked.map_or_else(|| "has no rule for that".to_owned(), |asked| format!("asks `{asked}` for that"));
    format!(
        "{column} was to be published by `{}` ({}), but {}; the policy {asks}",
        decision.action,
        decision.because,
        told(finding)
    )
}

/// Whether a decision is on the part of this dotted name, or on a column made of it.
fn is_made_of(decision: &Decision, name: &str) -> bool {
    // Both, since a part of a column may itself have the name of such a level.
    dotted(decision.made_of()) == dotted(name)
}

/// Whether values, not names, say that something is there, and surely.
fn is_hit(finding: &Finding) -> bool {
    let Some(Seen::Values { detector, passed, sampled }) = finding.evidence.first().map(|one| &one.seen)
    else {
        return false;
    };
    // A name that says otherwise counts for nothing then.
    let is_plain_to_see =
        UNMISTAKABLE.contains(&detector.as_str()) && *passed >= ENOUGH && passed * 10 >= sampled * 9;
    // Whoever lives in a city is many.
    let is_enough = match detector.as_str() {
        "city" => false,
        plain if PLAIN.contains(&plain) => *passed >= ENOUGH,
        _ => true,
    };
    let is_sure = finding.confidence >= SURE || is_plain_to_see;
    is_enough && is_sure && !matches!(finding.tag.as_str(), "internal" | "unknown")
}

/// A finding in words: `holds pii.email: 497 of 512 sampled values pass email`.
#[must_use]
pub fn told(finding: &Finding) -> String {
    let because: Vec<String> = because(finding).into_iter().take(2).collect();
    match because.is_empty() {
        true => format!("holds {}", finding.tag),
        false => format!("holds {}: {}", finding.tag, because.join(", ")),
    }
}

/// What speaks for the tag of a finding, strongest first.
#[must_use]
pub fn because(finding: &Finding) -> Vec<String> {
    let own = finding.evidence.iter().filter(|one| one.tag == finding.tag);
    let told = own.map(|one| match &one.seen {
        Seen::Values { detector, passed, sampled } => {
            format!("{passed} of {sampled} sampled values pass {detector}")
        }
        Seen::Name { term } => format!("its name says {term}"),
        Seen::Siblings { column } => format!("it stands beside {column}"),
        Seen::Shape { form } => format!("its values: {form}"),
    });
    told.collect()
}

fn is_open(decision: &Decision) -> bool {
    decision.action.strength() < Action::Encrypt.strength()
}

/// Whether a path is that of a column, or of a part of it.
fn is_within(path: &str, column: &str) -> bool {
    path.strip_prefix(column).is_some_and(|below| below.is_empty() || below.starts_with('.'))
}
