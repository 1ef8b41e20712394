//! Incremental sync: which rows a run asks for, and how far it comes.
//!
//! The cursor that a run reached travels sealed in the commit of the rows it stands for, so the two cannot
//! part. The next run asks for the rows from there on, that value included: rows that share it may have been
//! committed since. What is read twice is told by its primary key.

mod asked;
pub(super) mod cursor;
pub(super) mod known;
pub(super) mod rows;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

pub(super) use self::asked::Asked;
pub use self::asked::Part;
use self::cursor::Kind;
use self::rows::Horizon;
use super::fidelity::SourceColumn;
use super::standing::Standing;
use super::{Engine, Quarantine, StreamPlan, application};
use crate::error::{Error, Result};
use crate::keys::Note;
use crate::protect;
use crate::publish::History;
use crate::source::{Bound, Carried, Literal};
use crate::spec::pipeline::OnOverflow;
use crate::spec::sync::{Cursor, Lookback};
use crate::spec::{Action, DatasetName, Pipeline};
use crate::transform::Transform;

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

    /// The latest value of the first column that can be of now: a time without a zone may be of one that is ahead
    /// of UTC.
    fn horizon(&self, now: DateTime<Utc>) -> Option<Horizon> {
        let ahead = now.checked_add_signed(TimeDelta::days(1))?;
        let latest = match self.first()? {
            Kind::Instant => Literal::Instant(now.timestamp_micros()),
            Kind::Timestamp => Literal::Timestamp(ahead.timestamp_micros()),
            Kind::Date => Literal::Date(i32::try_from(ahead.timestamp().div_euclid(86_400)).ok()?),
            Kind::Integer | Kind::Decimal(_) | Kind::Text => return None,
        };
        Some(Horizon { latest, is_passed: Arc::default() })
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

    /// The columns of a quarantine that hold the whole cursor unchanged, if they do.
    fn rejected(&self, quarantine: &Quarantine) -> Option<Vec<String>> {
        let protection = &quarantine.protection;
        let column = |field: &Field| {
            let name = match quarantine.is_of_source {
                true => Some(&field.name).filter(|_| !self.is_decided),
                false => field.published.as_ref(),
            }?;
            holds(name, field.kind, protection).then(|| name.clone())
        };
        self.fields.iter().map(column).collect()
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

    /// The cursor of the newest version that has one; `None` where there is none yet, or the rows are gone that
    /// it stands for.
    async fn last(
        &self,
        engine: &Engine,
        plan: &StreamPlan,
        standing: &Standing,
        stream: &str,
    ) -> Result<Option<Vec<Literal>>> {
        let Some(note) = recorded(&standing.dataset, stream) else { return Ok(None) };
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

/// The sealed cursor of the stream's newest version that has one. What was published before all rows were
/// replaced by others stands for nothing.
fn recorded<'a>(history: &'a History, stream: &str) -> Option<&'a Note> {
    for publication in &history.publications {
        if publication.stream == stream && publication.cursor.is_some() {
            return publication.cursor.as_ref();
        }
        if publication.overwrites {
            break;
        }
    }
    None
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
    holds(output, kind, protection).then(|| output.clone())
}

/// Whether a published column holds values of this kind in the clear or encrypted.
fn holds(column: &str, kind: Kind, protection: &protect::Plan) -> bool {
    let is_unchanged = |decision: &protect::Decision| {
        decision.path == column && matches!(decision.action, Action::Allow | Action::Encrypt)
    };
    let field = protection.output().field_with_name(column);
    protection.decisions().iter().any(is_unchanged)
        && field.is_ok_and(|field| Kind::of(field.data_type()) == Some(kind))
}
