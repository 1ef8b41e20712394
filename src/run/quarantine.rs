//! Rows that a stage rejects: written beside the dataset they are left out of, sealed by the same policy,
//! and made visible first.
//!
//! Nothing here knows who rejects, or why: rows come with their reasons through a bounded queue. They are
//! visible before the dataset's own version is, so that no row is missing from both. A run that ends in
//! between leaves rows that the next one brings again; [`orphans`] finds them, and the next run's commit
//! takes them back.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::classification::Watch;
use super::contract::{self, ChangeKind, Comparison, Predecessor};
use super::draft::Draft;
use super::increment::known::Known;
use super::plan::mode;
use super::standing::Standing;
use super::{Engine, Memory, StreamPlan};
use crate::error::{Error, Kind, Result};
use crate::publish::receipt::Rows;
use crate::publish::{self, Effect, History, Mode, Provenance, Publication, Store};
use crate::source::Column;
use crate::spec::contract::SchemaContract;
use crate::spec::verdict::Verdict;
use crate::spec::{DatasetName, Stream};
use crate::transform::Transform;
use crate::{Batches, Rejected, Rejects, classify, protect};

/// Batches of rejected rows that nobody has taken yet.
const BATCHES_AHEAD: usize = 2;

/// Where the rows go that a stream rejects, decided with the stream.
#[derive(Debug)]
pub struct Quarantine {
    /// The dataset.
    pub dataset: DatasetName,
    /// Most rows of one run; one more fails it.
    pub max_rows: u64,
    /// What happens to each leaf column: our own first, then the source's.
    pub protection: protect::Plan,
    /// Whether they hold the columns of the source, as they are read.
    pub(super) is_of_source: bool,
    /// The rows as they come.
    rejected: SchemaRef,
    /// The rows as they are sealed.
    shape: Transform,
    /// What differs from what is published.
    pub comparison: Comparison,
}

/// What rejected rows look like.
pub(super) enum Columns<'a> {
    /// As they are read of the source.
    Source(&'a [Column]),
    /// As the transform gives them, with what is known of each column.
    Output(&'a Schema, &'a [Verdict]),
}

/// Rows that went to a quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The dataset.
    pub dataset: DatasetName,
    /// How many.
    pub rows: u64,
}

impl Quarantine {
    /// Decides what becomes of rejected rows.
    ///
    /// # Errors
    /// Those of [`protect::Plan::decide_rejected`] (`Held` for a column that nothing covers); `Invalid` for
    /// a name that the dataset or one of its columns cannot have.
    pub(super) async fn plan(
        engine: &Engine,
        store: &Store,
        stream: &Stream,
        dataset: &DatasetName,
        columns: Columns<'_>,
    ) -> Result<Self> {
        let dataset = dataset.quarantine()?;
        let planned = Self::decide(engine, store, stream, &dataset, &columns).await;
        planned.map_err(|error| {
            let Columns::Source(_) = columns else { return error.at("its quarantine") };
            let error = error.at("its quarantine, which holds the source's columns as they are read");
            match error.kind() {
                Kind::Held => error.help(
                    "declare these columns of the source under `columns` too, or all others by \"*\"; or read \
                     the stream by a `query` without them",
                ),
                Kind::Invalid => error.help("read the stream by a `query` that gives the column another name"),
                _ => error,
            }
        })
    }

    async fn decide(
        engine: &Engine,
        store: &Store,
        stream: &Stream,
        dataset: &DatasetName,
        columns: &Columns<'_>,
    ) -> Result<Self> {
        let rows = match columns {
            Columns::Source(asked) => {
                Schema::new(asked.iter().filter_map(Column::field).collect::<Vec<Field>>())
            }
            Columns::Output(output, _) => Schema::clone(output),
        };
        let rejected = protect::rejected::schema(&rows)?;
        // Without SQL it needs no memory of its own.
        let shape = Transform::plan(None, rejected.clone(), 0).await?;
        let own = shape.output();
        let mut verdicts = classify::declared(&stream.columns, &rows, own, shape.origins(), shape.copies());
        if let Columns::Output(output, known) = columns {
            // What is known of an output column is known of it here too.
            verdicts.truncate(own.fields().len() - output.fields().len());
            verdicts.extend_from_slice(known);
        }
        let mut protection = protect::Plan::decide_rejected(dataset, &engine.policy, own, &verdicts)?;
        protection.name_keys(&engine.keyring).await?;
        publish::check_schema(protection.output())?;
        let comparison = compare(store, stream, dataset, &protection).await?;
        let max_rows = stream.max_quarantine_rows;
        let is_of_source = matches!(columns, Columns::Source(_));
        Ok(Self { dataset: dataset.clone(), max_rows, protection, is_of_source, rejected, shape, comparison })
    }

    /// Takes rejected rows until nobody gives any more, and writes those that are not `known`, which is asked with
    /// the first of them; `None` where there were none.
    ///
    /// # Errors
    /// `Data` for more rows than there may be; else those of `known`, of [`Draft::write`] and of
    /// [`Watch::check`].
    pub(super) async fn take(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        run_id: String,
        mut rejected: mpsc::Receiver<Rejected>,
        known: impl Future<Output = Result<Option<Known>>>,
    ) -> Result<Option<Draft>> {
        let Some(first) = rejected.recv().await else { return Ok(None) };
        let known = known.await?;
        let rest = stream::poll_fn(move |context| rejected.poll_recv(context));
        let rejected = stream::once(async { first }).chain(rest).boxed();
        let rows = behind_own(rejected, self.rejected.clone(), run_id, self.max_rows);
        let draft = self.write(engine, store, plan, rows, known).await?;
        if draft.rows() == 0 {
            draft.discard(store).await;
            return Ok(None);
        }
        Ok(Some(draft))
    }

    async fn write(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        rows: Batches,
        known: Option<Known>,
    ) -> Result<Draft> {
        let rows = self.shape.apply(rows).await?;
        // What strays into an open column is rejected with its row: the stream's own watch never sees it.
        let (watch, protection) = (Watch::default(), &self.protection);
        let rows = watch.over(protection, protection.input(), protect::rejected::OWN_COLUMNS, rows);
        let (_, memory_bytes) = Memory::of(engine.config.memory_limit_bytes).beside_quarantine();
        let keep = known.map(Known::keep);
        let draft = Draft::write(engine, store, plan, protection, &[], rows, keep, memory_bytes).await?;
        match watch.check(engine, plan, protection) {
            Ok(()) => Ok(draft),
            Err(error) => {
                draft.discard(store).await;
                Err(error)
            }
        }
    }

    /// Makes what was written visible, before the version that lacks these rows. An overwriting stream's
    /// quarantine never shows rows of an older version; an appended one gives back what runs left that
    /// were killed before their own version. Where nothing of that is to be done there is no commit.
    ///
    /// # Errors
    /// Those of [`Draft::commit`].
    pub(super) async fn commit(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        mode: Mode,
        draft: Option<Draft>,
        standing: &Standing,
        provenance: &Provenance,
    ) -> Result<Quarantined> {
        let withdrawn = withdrawn(mode, &provenance.stream, standing);
        let is_due = match mode {
            Mode::Overwrite => standing.quarantine.is_some(),
            Mode::Append | Mode::Merge => !withdrawn.is_empty(),
        };
        let draft = match draft {
            Some(draft) => draft,
            None if is_due => self.write(engine, store, plan, stream::empty().boxed(), None).await?,
            None => return Ok(Quarantined { dataset: self.dataset.clone(), rows: 0 }),
        };
        let effect = match mode {
            Mode::Overwrite => Effect::Overwrite,
            Mode::Append | Mode::Merge => Effect::Append { withdrawn: &withdrawn, unseen: None },
        };
        let reshaped = match withdrawn.is_empty() || !self.reshapes() {
            true => self.comparison.reshape(engine, store, plan, &self.dataset, provenance).await,
            false => self.only_withdraw(engine, store, plan, effect, standing, provenance).await,
        };
        if let Err(error) = reshaped {
            draft.discard(store).await;
            return Err(error);
        }
        let outcome = draft
            .commit(store, effect, standing.quarantine_order(), self.comparison.evolution(), provenance)
            .await?;
        let version = (outcome.version, outcome.receipt.as_deref());
        engine.ledger.remember(&self.dataset, &provenance.run_id, Some(version)).await?;
        Ok(Quarantined { dataset: self.dataset.clone(), rows: outcome.rows })
    }

    /// Whether the files that are there are written again for the rows to come, so that no version tells any
    /// longer which of them it added.
    fn reshapes(&self) -> bool {
        self.comparison.changes.iter().any(|change| change.kind == ChangeKind::Widened)
    }

    /// Takes rows back before the files are written again that hold them.
    ///
    /// # Errors
    /// `Temporary`: the next run finds a table that it can write again.
    async fn only_withdraw(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        effect: Effect<'_>,
        standing: &Standing,
        provenance: &Provenance,
    ) -> Result<()> {
        let nothing = self.write(engine, store, plan, stream::empty().boxed(), None).await?;
        let provenance = Provenance { rows: Rows::default(), ..provenance.clone() };
        let evolution = self.comparison.evolution();
        nothing.commit(store, effect, standing.quarantine_order(), evolution, &provenance).await?;
        Err(Error::temporary(format!(
            "rows of {} were taken back that a run left which did not end, before the table takes its new schema",
            self.dataset
        ))
        .help("run it again"))
    }
}

/// The versions of a stream's quarantine that its next one takes back.
pub(super) fn withdrawn(mode: Mode, stream: &str, standing: &Standing) -> Vec<u64> {
    match (mode, &standing.quarantine) {
        (Mode::Append | Mode::Merge, Some(history)) => orphans(stream, &standing.dataset, history),
        _ => Vec::new(),
    }
}

/// A quarantine follows its stream, as far as rows that are there allow it.
async fn compare(
    store: &Store,
    stream: &Stream,
    dataset: &DatasetName,
    protection: &protect::Plan,
) -> Result<Comparison> {
    let before = Predecessor::load(store, dataset, None).await?;
    let planned = contract::Planned {
        protection,
        partition_by: &[],
        mode: mode(&stream.write_mode),
        dropped: &[],
        left_out: &BTreeSet::new(),
        fit: None,
    };
    Ok(contract::compare(before.as_ref(), &planned, &SchemaContract::default()))
}

/// The rows behind our own columns, as many as there may be; `schema` is that of all columns.
fn behind_own(
    rejected: BoxStream<'static, Rejected>,
    schema: SchemaRef,
    run_id: String,
    max_rows: u64,
) -> Batches {
    let mut count = 0;
    let own = move |Rejected { rows, reasons }| {
        count += rows.num_rows() as u64;
        if count > max_rows {
            return Err(too_many(max_rows, &reasons));
        }
        let run_ids = StringArray::from_iter_values(std::iter::repeat_n(&run_id, rows.num_rows()));
        let own: [ArrayRef; 2] = [Arc::new(reasons), Arc::new(run_ids)];
        let columns = own.into_iter().chain(rows.columns().iter().cloned()).collect();
        RecordBatch::try_new(schema.clone(), columns)
            .map_err(|_| Error::failed("rejected rows do not have the planned columns"))
    };
    rejected.map(own).boxed()
}

/// The queue between who rejects rows and [`Quarantine::take`].
pub(super) fn queue() -> (Rejects, mpsc::Receiver<Rejected>) {
    mpsc::channel(BATCHES_AHEAD)
}

/// A queue of rows that nobody looks at, and what empties it for as long as rows come.
pub(super) fn forgotten() -> (Rejects, impl Future<Output = ()>) {
    let (rejects, mut rejected) = queue();
    (rejects, async move { while rejected.recv().await.is_some() {} })
}

/// Two writes side by side, of which the first brings the rows of both: either both are written, or
/// nothing is left of either. Where the second fails, `stop` is cancelled to end the first.
///
/// # Errors
/// That of the write that failed first.
pub(super) async fn side_by_side(
    store: &Store,
    own: impl Future<Output = Result<Draft>>,
    rejected: impl Future<Output = Result<Option<Draft>>>,
    stop: &CancellationToken,
) -> Result<(Draft, Option<Draft>)> {
    let rejected = async { rejected.await.inspect_err(|_| stop.cancel()) };
    // Both are heard to their ends, so that each tidies up after itself.
    match tokio::join!(own, rejected) {
        (Ok(own), Ok(rejected)) => Ok((own, rejected)),
        (own, Err(error)) => {
            if let Ok(own) = own {
                own.discard(store).await;
            }
            Err(error)
        }
        (Err(error), Ok(rejected)) => {
            if let Some(rejected) = rejected {
                rejected.discard(store).await;
            }
            Err(error)
        }
    }
}

/// The versions of a quarantine that [`unsettled`] runs left rows in which nobody took back.
pub(super) fn orphans(stream: &str, dataset: &History, quarantine: &History) -> Vec<u64> {
    let is_withdrawn = |version| quarantine.publications.iter().any(|one| one.withdrawn.contains(&version));
    let left = unsettled(stream, dataset, quarantine).filter(|one| one.outcome.rows > 0);
    left.map(|one| one.outcome.version).filter(|version| !is_withdrawn(*version)).collect()
}

/// What runs of the stream published to a quarantine that never published its dataset, as far as that is
/// certain: they are newer than one whose run did. Where there is none such, and the dataset's history is not
/// whole, they are newer than all that is in sight of it: the ids of runs sort by time, and one that is older
/// may have published what is out of sight.
pub(super) fn unsettled<'a>(
    stream: &'a str,
    dataset: &'a History,
    quarantine: &'a History,
) -> impl Iterator<Item = &'a Publication> {
    let oldest = dataset.publications.iter().rfind(move |one| one.stream == stream);
    let is_in_sight = move |one: &Publication| {
        dataset.is_whole || oldest.is_some_and(|oldest| one.run_id.as_str() > oldest.run_id.as_str())
    };
    let theirs = quarantine.publications.iter().filter(move |one| one.stream == stream);
    theirs.take_while(move |one| dataset.by(&one.run_id, stream).is_none() && is_in_sight(one))
}

#[cold]
fn too_many(max_rows: u64, reasons: &StringArray) -> Error {
    let because = reasons.iter().flatten().next().unwrap_or_default();
    let message = format!("more rows are rejected than the {max_rows} that may be, the next for {because}");
    Error::data(message).help(
        "choose a type that holds the values, such as `as: text`, or raise `max_quarantine_rows`; nothing of \
         the stream was published",
    )
}

#[cfg(test)]
mod tests;
