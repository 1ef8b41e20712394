//! Incremental sync: which rows a run asks for, and how far it comes.
//!
//! The cursor that a run reached travels sealed in the commit of the rows it stands for, so the two cannot
//! part. The next run asks for the rows from there on, that value included: rows that share it may have been
//! committed since. What is read twice is told by its primary key.

pub(super) mod cursor;
pub(super) mod known;
mod rows;

use std::sync::PoisonError;

use futures::StreamExt as _;
use serde_json::Value;

use self::cursor::Kind;
use self::known::Known;
use self::rows::{Greatest, Range};
use super::fidelity::SourceColumn;
use super::standing::Standing;
use super::{Engine, Extent, Job, StreamPlan, application};
use crate::error::{Error, Kind as Fault, Result};
use crate::keys::Note;
use crate::publish::{Mode, Provenance, Store};
use crate::source::{Bound, Carried, Literal, Relation, convert};
use crate::spec::pipeline::OnOverflow;
use crate::spec::sync::{Cursor, Lookback};
use crate::spec::{Action, DatasetName, Pipeline};
use crate::transform::Transform;
use crate::{Batches, Rejects, protect};

/// How a stream is read from run to run, decided with the stream.
#[derive(Clone, Debug)]
pub struct Increment {
    fields: Vec<Field>,
    lookback: Option<Lookback>,
    /// Whether a decision of the spec makes the values that are compared.
    is_decided: bool,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    kind: Kind,
    nullable: bool,
    /// Its place among the columns that are read.
    place: usize,
    /// The output column that holds its values unchanged.
    published: Option<String>,
}

impl Increment {
    /// Decides how `cursor` is followed in rows of the columns `reads`.
    ///
    /// # Errors
    /// `Invalid` for a column that is not there, or may be NULL only because of `on_overflow`, and for a
    /// lookback that is no distance of the cursor's type; `Held` for a type without an order.
    pub(super) fn plan(
        cursor: &Cursor,
        reads: &[SourceColumn],
        transform: &Transform,
        protection: &protect::Plan,
    ) -> Result<Self> {
        let field = |name: &String| {
            let place = reads.iter().position(|column| column.name() == name).ok_or_else(|| {
                Error::invalid(format!("`cursor_field` names `{name}`, which the source does not have"))
                    .help("name a column of the source; `transform` sees it later")
            })?;
            let column = reads.get(place).ok_or_else(|| Error::failed("a column has no place"))?;
            let kind = kind(column)?;
            let published = published(name, kind, transform, protection);
            Ok(Field { name: name.clone(), kind, nullable: column.carried().nullable, place, published })
        };
        let fields: Vec<Field> = cursor.fields.iter().map(field).collect::<Result<_>>()?;
        if let (Some(lookback), Some(first)) = (cursor.lookback, fields.first())
            && !first.kind.has(lookback)
        {
            let message = format!("`lookback` is no distance on the cursor `{}`", first.name);
            return Err(Error::invalid(message).help(
                "write a duration (`1h`) for dates and timestamps, a whole number for numbers, and none for texts",
            ));
        }
        let is_decided =
            fields.iter().any(|field| reads.get(field.place).is_some_and(|c| c.decided.is_some()));
        Ok(Self { fields, lookback: cursor.lookback, is_decided })
    }

    /// The columns, for people.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        self.fields.iter().map(|field| field.name.as_str()).collect()
    }

    /// How far behind the last cursor rows are read again, for people.
    #[must_use]
    pub fn lookback(&self) -> Option<String> {
        self.lookback.map(|lookback| match lookback {
            Lookback::Time(time) => humantime::format_duration(time).to_string(),
            Lookback::Steps(steps) => steps.to_string(),
        })
    }

    /// Whether the next run reads on from a cursor; without one it reads all rows.
    ///
    /// # Errors
    /// `Held` when the last run followed another cursor; those of the keyring.
    pub async fn goes_on(
        &self,
        engine: &Engine,
        pipeline: &Pipeline,
        plan: &StreamPlan,
        standing: &Standing,
    ) -> Result<bool> {
        let stream = application(pipeline, &plan.relation.stream);
        Ok(self.last(engine, plan, standing, &stream).await?.is_some())
    }

    /// The type of the first column, by which ranges are asked for.
    pub(super) fn first(&self) -> Option<Kind> {
        self.fields.first().map(|field| field.kind)
    }

    fn kinds(&self) -> impl ExactSizeIterator<Item = (&str, Kind)> {
        self.fields.iter().map(|field| (field.name.as_str(), field.kind))
    }

    fn places(&self) -> Vec<usize> {
        self.fields.iter().map(|field| field.place).collect()
    }

    /// The output columns that hold the whole cursor unchanged, if they do.
    fn published(&self) -> Option<Vec<String>> {
        self.fields.iter().map(|field| field.published.clone()).collect()
    }

    /// The rows from a cursor on, or of a part of them.
    fn bound(&self, from: Option<Vec<Literal>>, before: Option<Vec<Literal>>, or_null: bool) -> Bound {
        let columns = self.fields.iter().map(|field| field.name.clone()).collect();
        Bound { columns, from, before, or_null }
    }

    /// Where the rows begin that a run asks for after `last`.
    fn after(&self, last: &[Literal]) -> Vec<Literal> {
        match (self.lookback, last.first()) {
            (Some(lookback), Some(first)) => vec![cursor::back(first, lookback)],
            _ => last.to_vec(),
        }
    }

    async fn seal(
        &self,
        engine: &Engine,
        dataset: &DatasetName,
        stream: &str,
        last: Option<&[Literal]>,
    ) -> Result<Note> {
        let cursor = last.map_or(Value::Null, |last| cursor::to_json(self.kinds(), last));
        Note::seal(&engine.keyring, dataset, &subject(stream), cursor.to_string().as_bytes()).await
    }

    /// The cursor of the newest version that has one; `None` where there is none yet.
    async fn last(
        &self,
        engine: &Engine,
        plan: &StreamPlan,
        standing: &Standing,
        stream: &str,
    ) -> Result<Option<Vec<Literal>>> {
        let own = standing.dataset.publications.iter().filter(|publication| publication.stream == stream);
        let Some(note) = own.filter_map(|publication| publication.cursor.as_ref()).next() else {
            return Ok(None);
        };
        let opened = note.open(&engine.keyring, &plan.dataset, &subject(stream)).await?;
        let sealed: Value = serde_json::from_slice(opened.expose())
            .map_err(|_| Error::failed(format!("the cursor of {} cannot be read", plan.dataset)))?;
        if sealed.is_null() {
            return Ok(None);
        }
        cursor::from_json(self.kinds(), &sealed).map(Some).ok_or_else(|| {
            Error::held(
                "the last run followed another cursor than `cursor_field` names now, or its type has changed",
            )
            .help("read everything again with `--full-refresh`, or give the stream its old cursor back")
        })
    }
}

fn subject(stream: &str) -> String {
    format!("cursor of {stream}")
}

/// The type that a column is compared by.
fn kind(column: &SourceColumn) -> Result<Kind> {
    let name = column.name();
    if column.decided.is_some_and(|decided| decided.on_overflow != OnOverflow::Fail) {
        return Err(Error::invalid(format!(
            "the cursor `{name}` is to have no value where one does not fit"
        ))
        .help("remove its `on_overflow`, and choose a type that holds every value"));
    }
    let decide = format!(
        "say how it compares: `columns: {{{name}: {{as: timestamp}}}}`, `as: date`, `as: \"decimal(38,6)\"`, or \
         `as: text` for an order by its letters"
    );
    // The text of a number or an instant has another order than what it stands for.
    if column.decided.is_none() && column.described.carried == Carried::AsText {
        let message =
            format!("the cursor `{name}` of type {} is carried as text", column.described.source_type);
        return Err(Error::held(message).help(decide));
    }
    column.arrow_type().and_then(|arrow| Kind::of(&arrow)).ok_or_else(|| {
        let of_type = &column.described.source_type;
        Error::held(format!("the cursor `{name}` is of type {of_type}, whose values have no exact order"))
            .help(format!("name an integer, a decimal, a text, a date or a timestamp; or {decide}"))
    })
}

/// The output column that holds a source column unchanged, in the clear or encrypted.
fn published(name: &str, kind: Kind, transform: &Transform, protection: &protect::Plan) -> Option<String> {
    let place = transform.copies().iter().position(|copy| copy.as_deref() == Some(name))?;
    let output = transform.output().fields().get(place)?.name();
    let decision = protection.decisions().iter().find(|decision| decision.path == *output)?;
    let field = protection.output().field_with_name(output).ok()?;
    let is_unchanged = matches!(decision.action, Action::Allow | Action::Encrypt);
    (is_unchanged && Kind::of(field.data_type()) == Some(kind)).then(|| output.clone())
}

/// What one run asks of the source for a stream, and what becomes of the answer.
#[derive(Debug)]
pub(super) struct Asked {
    /// What is read.
    pub(super) relation: Relation,
    /// What the commit does to the rows already there.
    pub(super) mode: Mode,
    stream: String,
    bound: Option<Bound>,
    /// The cursor before this run.
    last: Option<Vec<Literal>>,
    greatest: Greatest,
    /// What of the range is kept in the commit.
    window: Option<Value>,
    /// Whether the run moves the cursor: a part that is read again does not.
    moves: bool,
}

impl Asked {
    /// # Errors
    /// `Held` when the last run followed another cursor; `Usage` for a range of a stream that has none, or
    /// with ends that are no values of the cursor; those of the keyring.
    pub(super) async fn of(
        engine: &Engine,
        job: &Job<'_>,
        plan: &StreamPlan,
        standing: &Standing,
    ) -> Result<Self> {
        let stream = application(job.pipeline, &plan.relation.stream);
        let replaces = matches!(job.extent, Extent::Full) && plan.mode == Mode::Append;
        let mut asked = Self {
            relation: plan.relation.clone(),
            mode: if replaces { Mode::Overwrite } else { plan.mode },
            stream,
            bound: None,
            last: None,
            greatest: Greatest::default(),
            window: None,
            moves: true,
        };
        let increment = match (&plan.increment, job.extent) {
            (Some(increment), _) => increment,
            (None, Extent::Part(_)) => {
                return Err(Error::new(Fault::Usage, "the stream has no cursor to ask for a range of")
                    .help("add `sync_mode: incremental` and a `cursor_field`"));
            }
            (None, _) => return Ok(asked),
        };
        match job.extent {
            Extent::Full => {}
            Extent::New => {
                asked.last = increment.last(engine, plan, standing, &asked.stream).await?;
                let or_null = increment.fields.iter().any(|field| field.nullable);
                let bound = |last: &Vec<Literal>| increment.bound(Some(increment.after(last)), None, or_null);
                asked.bound = asked.last.as_ref().map(bound);
            }
            Extent::Part(part) => {
                let (from, to) = part.ends(increment.first())?;
                asked.bound = Some(increment.bound(from, to, false));
                asked.window = part.backfill.as_ref().map(|backfill| backfill.mark(part.to.as_deref()));
                asked.moves = false;
            }
        }
        asked.relation.bound.clone_from(&asked.bound);
        Ok(asked)
    }

    /// Exactly the rows that were asked for, after the decisions on their types, with the columns that the
    /// transform sees.
    pub(super) fn narrow(&self, plan: &StreamPlan, rows: Batches, rejects: Option<Rejects>) -> Batches {
        let convert = |rows| convert::convert(rows, &plan.decisions, &plan.converted, rejects);
        let Some(increment) = &plan.increment else { return convert(rows) };
        let range = Range::of(increment.places(), self.bound.as_ref());
        let narrow = |rows| range.narrow(rows, self.greatest.clone());
        // A row that is not asked for is not rejected either, so they are left out first where that can be.
        let rows = if increment.is_decided { narrow(convert(rows)) } else { convert(narrow(rows)) };
        match plan.shown.clone() {
            Some(shown) => rows.map(move |batch| only(&batch?, &shown)).boxed(),
            None => rows,
        }
    }

    /// The keys of published rows that may be among those that are read; `None` where every row is new.
    ///
    /// # Errors
    /// Those of [`Known::load`].
    pub(super) async fn known(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
    ) -> Result<Option<Known>> {
        if self.mode != Mode::Append || plan.primary_key.is_empty() {
            return Ok(None);
        }
        let cursor = plan.increment.as_ref().and_then(Increment::published);
        Known::load(engine, store, plan, cursor, self.bound.as_ref()).await
    }

    /// The cursor after this run.
    fn reached(&self) -> Option<Vec<Literal>> {
        let greatest = self.greatest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        greatest.max(self.last.clone())
    }

    /// Whether there is nothing to publish when no row is.
    pub(super) fn is_nothing(&self, plan: &StreamPlan, standing: &Standing) -> bool {
        let is_still = !self.moves || self.reached() == self.last;
        plan.increment.is_some()
            && self.mode != Mode::Overwrite
            && self.window.is_none()
            && standing.dataset.newest.is_some()
            && is_still
    }

    /// Adds to what travels in the commit how far the source is read.
    ///
    /// # Errors
    /// Those of the keyring.
    pub(super) async fn mark(
        &self,
        engine: &Engine,
        plan: &StreamPlan,
        provenance: Provenance,
    ) -> Result<Provenance> {
        let Some(increment) = &plan.increment else { return Ok(provenance) };
        let cursor = match self.moves {
            true => {
                Some(increment.seal(engine, &plan.dataset, &self.stream, self.reached().as_deref()).await?)
            }
            false => None,
        };
        let window = match &self.window {
            Some(window) => {
                let (subject, text) = (super::backfill::subject(&self.stream), window.to_string());
                Some(Note::seal(&engine.keyring, &plan.dataset, &subject, text.as_bytes()).await?)
            }
            None => None,
        };
        Ok(Provenance { cursor, window, ..provenance })
    }
}

fn only(batch: &arrow::array::RecordBatch, shown: &[usize]) -> Result<arrow::array::RecordBatch> {
    batch.project(shown).map_err(|_| Error::failed("the source's rows do not have the planned columns"))
}

/// A part of a stream by its cursor: from a value up to and without another, as people write them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The least value.
    pub from: Option<String>,
    /// Past the greatest value.
    pub to: Option<String>,
    /// The backfill that it is a window of.
    pub backfill: Option<super::backfill::Backfill>,
}

impl Part {
    fn ends(&self, kind: Option<Kind>) -> Result<(Option<Vec<Literal>>, Option<Vec<Literal>>)> {
        let end = |text: &Option<String>, option: &str| -> Result<Option<Vec<Literal>>> {
            let Some(text) = text else { return Ok(None) };
            let value = kind.and_then(|kind| kind.parse(text)).ok_or_else(|| {
                Error::new(Fault::Usage, format!("`{option}` is no value of the cursor's type"))
                    .help("write a whole number, a decimal, a text, a day (2024-01-02) or an instant (2024-01-02T03:04:05Z)")
            })?;
            Ok(Some(vec![value]))
        };
        let (from, to) = (end(&self.from, "--from")?, end(&self.to, "--to")?);
        if let (Some(from), Some(to)) = (&from, &to)
            && from >= to
        {
            return Err(Error::new(Fault::Usage, "the range is empty: it ends before it begins")
                .help("`--from` is included, `--to` is not"));
        }
        Ok((from, to))
    }
}
