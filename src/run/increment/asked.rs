//! What one run asks of the source for a stream: what is new, everything, or a part.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde_json::Value;

use super::Increment;
use super::cursor::Kind;
use super::known::Known;
use super::rows::{Greatest, Horizon, Range};
use crate::error::{Error, Kind as Fault, Result};
use crate::keys::Note;
use crate::publish::{Mode, Provenance, Store};
use crate::run::backfill::{self, Backfill};
use crate::run::{Engine, Extent, Job, Memory, Standing, StreamPlan, application};
use crate::source::{Bound, Literal, Relation, convert};
use crate::{Batches, Rejects, protect};

/// What one run asks of the source for a stream, and what becomes of the answer.
#[derive(Debug)]
pub(in crate::run) struct Asked {
    /// What is read.
    pub(in crate::run) relation: Relation,
    /// What the commit does to the rows already there.
    pub(in crate::run) mode: Mode,
    stream: String,
    bound: Option<Bound>,
    /// The cursor before this run.
    last: Option<Vec<Literal>>,
    greatest: Greatest,
    /// What of the cursor can be of now, where it tells a time.
    horizon: Option<Horizon>,
    /// What of the range is kept in the commit.
    window: Option<Value>,
    /// Whether the run moves the cursor: a part that is read again does not.
    moves: bool,
}

impl Asked {
    /// # Errors
    /// `Held` when the last run followed another cursor; `Usage` for a range of a stream that has none, or
    /// with ends that are no values of the cursor; those of the keyring.
    pub(in crate::run) async fn of(
        engine: &Engine,
        job: &Job<'_>,
        plan: &StreamPlan,
        standing: &Standing,
        taken_at: DateTime<Utc>,
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
            horizon: plan.increment.as_ref().and_then(|increment| increment.horizon(taken_at)),
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
                let [from, to] = part.ends(increment.first())?;
                asked.bound = Some(increment.bound(from, to, false));
                asked.window = part.backfill.as_ref().map(|backfill| backfill.mark(part.to.as_deref()));
                asked.moves = false;
            }
        }
        asked.relation.bound.clone_from(&asked.bound);
        Ok(asked)
    }

    /// All rows of a stream, for nobody's commit.
    pub(in crate::run) fn everything(plan: &StreamPlan) -> Self {
        Self {
            relation: plan.relation.clone(),
            mode: plan.mode,
            stream: String::new(),
            bound: None,
            last: None,
            greatest: Greatest::default(),
            horizon: None,
            window: None,
            moves: false,
        }
    }

    /// Exactly the rows that were asked for, after the decisions on their types, with the columns that the
    /// transform sees.
    pub(in crate::run) fn narrow(
        &self,
        plan: &StreamPlan,
        rows: Batches,
        rejects: Option<Rejects>,
    ) -> Batches {
        let convert = |rows| convert::convert(rows, &plan.decisions, &plan.converted, rejects);
        let Some(increment) = &plan.increment else { return convert(rows) };
        let range = Range::of(increment.places(), self.bound.as_ref());
        let narrow = |rows| range.narrow_within(rows, self.greatest.clone(), self.horizon.clone());
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
    pub(in crate::run) async fn known(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
    ) -> Result<Option<Known>> {
        if self.mode != Mode::Append || plan.primary_key.is_empty() {
            return Ok(None);
        }
        let cursor = plan.increment.as_ref().and_then(Increment::published);
        let mut columns = plan.primary_key.clone();
        for name in cursor.iter().flatten() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        let place = |name: &String| columns.iter().position(|column| column == name);
        let places: Option<Vec<usize>> = cursor.map(|cursor| cursor.iter().filter_map(place).collect());
        let range =
            places.filter(|_| self.bound.is_some()).map(|places| Range::of(places, self.bound.as_ref()));
        Known::load(engine, store, &plan.dataset, columns, range, known_bytes(engine).0).await
    }

    /// The rows that are rejected already, where some are read again; `None` where every one is new. They have no
    /// key of their own, so all that is published of them is compared.
    ///
    /// # Errors
    /// Those of [`Known::load`].
    pub(in crate::run) async fn rejected(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
    ) -> Result<Option<Known>> {
        let reads_again = plan.increment.is_some() && self.mode != Mode::Overwrite;
        let Some(quarantine) = plan.quarantine.as_ref().filter(|_| reads_again) else { return Ok(None) };
        let names = quarantine.protection.output().fields().iter().map(|field| field.name());
        let columns = names.filter(|name| *name != protect::rejected::RUN_ID).cloned().collect();
        Known::load(engine, store, &quarantine.dataset, columns, None, known_bytes(engine).1).await
    }

    /// The cursor after this run.
    pub(in crate::run) fn reached(&self) -> Option<Vec<Literal>> {
        let greatest = self.greatest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        greatest.max(self.last.clone())
    }

    /// What is not as it should be with the cursor's times.
    pub(in crate::run) fn warning(&self) -> Option<&'static str> {
        let horizon = self.horizon.as_ref().filter(|_| self.moves)?;
        if self.last.as_ref().and_then(|last| last.first()).is_some_and(|last| *last > horizon.latest) {
            return Some(
                "the last run's cursor lies in the future, so rows of now are not read: `--full-refresh` reads them",
            );
        }
        horizon
            .is_passed
            .load(Ordering::Relaxed)
            .then_some("rows are stamped later than now: they are read, and the cursor waits for their time")
    }

    /// Takes over how far an earlier run reached whose rows are published with this one's.
    pub(in crate::run) fn reaches(&self, cursor: Option<Vec<Literal>>) {
        let mut greatest = self.greatest.lock().unwrap_or_else(PoisonError::into_inner);
        *greatest = greatest.take().max(cursor);
    }

    /// Whether there is nothing to publish when no row is.
    pub(in crate::run) fn is_nothing(&self, plan: &StreamPlan, standing: &Standing) -> bool {
        let is_still = !self.moves || self.reached() == self.last;
        plan.increment.is_some()
            && self.mode != Mode::Overwrite
            && self.window.is_none()
            // Rows may be gone, which only their keys tell.
            && plan.keys.is_none()
            && standing.dataset.newest.is_some()
            && is_still
    }

    /// Adds to what travels in the commit how far the source is read.
    ///
    /// # Errors
    /// Those of the keyring.
    pub(in crate::run) async fn mark(
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
                let (subject, text) = (backfill::subject(&self.stream), window.to_string());
                Some(Note::seal(&engine.keyring, &plan.dataset, &subject, text.as_bytes()).await?)
            }
            None => None,
        };
        Ok(Provenance { cursor, window, ..provenance })
    }
}

/// What the keys of a dataset's rows may take, and those of its quarantine.
fn known_bytes(engine: &Engine) -> (u64, u64) {
    let all = Memory::of(engine.config.memory_limit_bytes).beside_keys().1;
    (all / 4 * 3, all / 4)
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
    pub backfill: Option<Backfill>,
}

impl Part {
    fn ends(&self, kind: Option<Kind>) -> Result<[Option<Vec<Literal>>; 2]> {
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
        Ok([from, to])
    }
}
