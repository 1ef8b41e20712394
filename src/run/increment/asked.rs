//! What one run asks of the source for a stream: what is new, everything, or a part.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde_json::Value;

use super::Increment;
use super::cursor::Kind;
use super::known::{Column, Known, Sought};
use super::rows::{Greatest, Horizon, Range};
use crate::error::{Error, Kind as Fault, Result};
use crate::keys::Note;
use crate::publish::{Mode, Provenance, Publication, Store, Table};
use crate::run::backfill::{self, Backfill};
use crate::run::{Engine, Extent, Job, Memory, Standing, StreamPlan, application, quarantine};
use crate::source::{Bound, Literal, Relation, convert};
use crate::spec::DatasetName;
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
    /// The first version whose rows were not looked at for keys.
    unseen: OnceLock<u64>,
    /// Whether there is a cursor that no longer counts.
    forgets: bool,
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
            mode: if replaces { Mode::Overwrite } else { plan.mode },
            stream,
            horizon: plan.increment.as_ref().and_then(|increment| increment.horizon(taken_at)),
            moves: true,
            ..Self::everything(plan)
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
            Extent::Full => asked.forgets = super::recorded(&standing.dataset, &asked.stream).is_some(),
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
            unseen: OnceLock::new(),
            forgets: false,
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
    /// `Held` where rows are published without one of the columns that tell them apart; those of
    /// [`Known::load`].
    pub(in crate::run) async fn known(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
    ) -> Result<Option<Known>> {
        if self.mode != Mode::Append || plan.primary_key.is_empty() {
            return Ok(None);
        }
        let table = Table::load(store, &plan.dataset, None).await?;
        // Set once: a stream is asked for once a run.
        let _ = self.unseen.set(table.as_ref().map_or(0, |table| table.version + 1));
        let Some(table) = table else { return Ok(None) };
        let cursor = plan.increment.as_ref().and_then(Increment::published);
        let mut names = plan.primary_key.clone();
        for name in cursor.iter().flatten() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let columns = compared(&names, &plan.protection, |name| plan.comparison.published(name))?;
        let lacks = |column: &&Column| table.schema.field_with_name(&column.published).is_err();
        if let Some(column) = columns.iter().find(lacks).filter(|_| !table.files.is_empty()) {
            return Err(untold(&column.name));
        }
        let range = self.range(cursor.as_deref(), &names);
        let too_many = &too_many;
        let sought =
            Sought { columns, range, but: BTreeSet::new(), most_bytes: known_bytes(engine).0, too_many };
        Known::load(store, &engine.keyring, &plan.dataset, &table, sought).await
    }

    /// The first version whose rows [`Asked::known`] did not see; `None` where rows are not told by their keys.
    pub(in crate::run) fn unseen(&self) -> Option<u64> {
        self.unseen.get().copied()
    }

    /// The rows that are rejected already, where some are read again; `None` where every one is new. They have no
    /// key of their own, so all that is published of them is compared. Those that are to be withdrawn are none
    /// of them, nor is what others rejected since the run was planned.
    ///
    /// # Errors
    /// Those of [`Known::load`].
    pub(in crate::run) async fn rejected(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        standing: &Standing,
    ) -> Result<Option<Known>> {
        let is_told = plan.increment.is_some() || !plan.primary_key.is_empty();
        let (Some(quarantine), true) = (&plan.quarantine, is_told && self.mode != Mode::Overwrite) else {
            return Ok(None);
        };
        let Some(version) = standing.quarantine.as_ref().and_then(|history| history.newest) else {
            return Ok(None);
        };
        let Some(table) = Table::load(store, &quarantine.dataset, Some(version)).await? else {
            return Ok(None);
        };
        let fields = quarantine.protection.output().fields().iter().map(|field| field.name());
        let names: Vec<String> = fields.filter(|name| *name != protect::rejected::RUN_ID).cloned().collect();
        let columns = compared(&names, &quarantine.protection, str::to_owned)?;
        let cursor = plan.increment.as_ref().and_then(|increment| increment.rejected(quarantine));
        let is_there = |name: &String| table.schema.field_with_name(name).is_ok();
        let cursor = cursor.filter(|cursor| cursor.iter().all(is_there));
        let range = self.range(cursor.as_deref(), &names);
        let but = self.unsettled(standing).map(|one| one.run_id.clone()).collect();
        let too_many = &|most| too_many_rejected(&quarantine.dataset, most);
        let sought = Sought { columns, range, but, most_bytes: known_bytes(engine).1, too_many };
        Known::load(store, &engine.keyring, &quarantine.dataset, &table, sought).await
    }

    /// What runs of the stream left in the quarantine that never published its dataset.
    fn unsettled<'s>(&'s self, standing: &'s Standing) -> impl Iterator<Item = &'s Publication> {
        let quarantine = standing.quarantine.iter();
        quarantine.flat_map(|history| quarantine::unsettled(&self.stream, &standing.dataset, history))
    }

    /// The range that was asked for, in rows of the columns `names`; `None` without one, or where the `cursor` is
    /// not among them.
    fn range(&self, cursor: Option<&[String]>, names: &[String]) -> Option<Range> {
        let bound = self.bound.as_ref()?;
        let place = |name: &String| names.iter().position(|column| column == name);
        let places = cursor?.iter().map(place).collect::<Option<_>>()?;
        Some(Range::of(places, Some(bound)))
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
            && quarantine::withdrawn(self.mode, &self.stream, standing).is_empty()
            && !self.forgets
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

/// The columns `names` of protected rows; `published` gives the name of each in the table.
fn compared(
    names: &[String],
    protection: &protect::Plan,
    published: impl Fn(&str) -> String,
) -> Result<Vec<Column>> {
    let column = |name: &String| {
        let field = protection.output().field_with_name(name);
        let field = field.map_err(|_| Error::failed(format!("`{name}` is no published column")))?;
        Ok(Column { name: name.clone(), published: published(name), data_type: field.data_type().clone() })
    };
    names.iter().map(column).collect()
}

#[cold]
fn untold(column: &str) -> Error {
    Error::held(format!(
        "`{column}` is new in the dataset, so the rows that are there cannot be told by it from those that are read"
    ))
    .help("read everything again with `--full-refresh`; or leave it out in `transform`, and of `primary_key`")
}

#[cold]
fn too_many(most: u64) -> Error {
    Error::failed(format!("more than {most} published rows would have to be told from those that are read"))
        .help(
            "raise `memory_limit_mb`; publish the cursor's column unchanged, so that only the rows of the range \
             that is read are looked at; or shorten `lookback`",
        )
}

#[cold]
fn too_many_rejected(quarantine: &DatasetName, most: u64) -> Error {
    Error::failed(format!(
        "more than {most} rows of {quarantine} would have to be told from those that are rejected now"
    ))
    .help(format!(
        "raise `memory_limit_mb`; or take out what is settled by `sealift erase {quarantine} --where …`"
    ))
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
