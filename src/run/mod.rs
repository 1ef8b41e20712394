//! One run of a pipeline: the whole story on one page.

pub mod backfill;
mod draft;
pub mod engine;
pub mod fidelity;
pub mod increment;
pub mod ledger;
mod memory;
mod merging;
pub mod plan;
mod present;
pub mod progress;
pub mod quarantine;
mod record;
mod resume;
mod standing;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use engine::Engine;
pub use increment::{Increment, Part};
pub use ledger::{Ledger, RunId};
pub use memory::Memory;
pub use plan::StreamPlan;
pub use present::Keys;
pub use progress::Progress;
pub use quarantine::{Quarantine, Quarantined};
pub use standing::{Standing, standing};

use self::draft::{Draft, Merging};
use self::increment::Asked;
use self::increment::known::Known;
use self::resume::Earlier;
use crate::error::{At, Error, Kind, Result};
use crate::protect;
use crate::publish::merge::Rules;
use crate::publish::{Effect, Mode, Outcome, Provenance, Store};
use crate::source::{self, Snapshot};
use crate::spec::{DatasetName, Pipeline, StreamName};
use crate::{Batches, Rejected};

/// What is asked of one run.
#[derive(Debug)]
pub struct Job<'a> {
    /// The run, queued in the ledger.
    pub run_id: RunId,
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The one stream to run; all of them without.
    pub only: Option<&'a StreamName>,
    /// Which rows are read.
    pub extent: &'a Extent,
    /// Stops the run; what is published already stays published.
    pub cancel: &'a CancellationToken,
}

/// Which rows of its streams a run reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Of incremental streams what is new since the last run, of others all rows.
    #[default]
    New,
    /// All rows again; what incremental runs appended before is replaced.
    Full,
    /// Of incremental streams a part by the cursor, which stays where it is.
    Part(Part),
}

/// A version that a run published.
#[derive(Clone, Debug)]
pub struct Published {
    /// The stream.
    pub stream: StreamName,
    /// The dataset.
    pub dataset: DatasetName,
    /// What is visible now.
    pub outcome: Outcome,
    /// The rows that are in its quarantine instead; `None` where it has none.
    pub quarantined: Option<Quarantined>,
    /// What happened to each leaf column.
    pub decisions: Vec<protect::Decision>,
    /// Seconds from the first row asked for to the commit.
    pub seconds: f64,
    /// Nothing was new: the version is the one that stood already.
    pub unchanged: bool,
    /// Published by an earlier run of the pipeline that ended before its last stream; this run
    /// left it alone so that no row is appended twice.
    pub earlier: bool,
}

/// Runs a pipeline: every stream is read at one instant, planned before any row moves, sealed, and
/// made visible by one commit.
///
/// # Errors
/// That of the first stream that fails. Streams published before it stay; nothing of the failed
/// one is visible.
pub async fn execute(engine: &Engine, job: &Job<'_>, progress: &dyn Progress) -> Result<Vec<Published>> {
    let (store, connection) = engine.places(job.pipeline)?;
    engine.check_store(job.pipeline, &store).await?;
    let source = source::open(connection, engine.gate(job.pipeline))?;
    // Before the snapshot is taken: what others publish from here on may be of a later instant.
    #[expect(clippy::disallowed_methods, reason = "a run owns the instant that its rows are of")]
    let taken_at = Utc::now();
    let snapshot = unless_cancelled(job.cancel, source.snapshot()).await?;
    let mut source = Instant { snapshot, taken_at };
    let published = streams(engine, job, &mut source, &store, progress).await;
    // However it ended, nothing of it is left running at the source.
    source.snapshot.close().await;
    published
}

/// The source as it was at one instant.
struct Instant {
    snapshot: Box<dyn Snapshot>,
    /// Not later than the snapshot is.
    taken_at: DateTime<Utc>,
}

/// Every stream, one after the other.
async fn streams(
    engine: &Engine,
    job: &Job<'_>,
    source: &mut Instant,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Vec<Published>> {
    let plans = plan::every(engine, job.pipeline, job.only, &mut *source.snapshot);
    let plans = unless_cancelled(job.cancel, plans).await?;
    let runs = resume::runs(engine, job).await?;
    let is_settled = runs.first().is_none_or(|run| run.state == ledger::State::Succeeded);
    let standing = standing(engine, job.pipeline, store, &plans, is_settled).await?;
    for (plan, standing) in plans.iter().zip(&standing) {
        let stream = application(job.pipeline, &plan.relation.stream);
        standing.check_instant(&stream, source.taken_at).at(|| format!("dataset {}", plan.dataset))?;
    }
    let earlier = Earlier::find(engine, job, &runs, &plans, &standing).await?;

    let mut published = Vec::with_capacity(plans.len());
    for (index, (plan, standing)) in plans.iter().zip(&standing).enumerate() {
        let done = match earlier.appended(index) {
            Some(done) => done,
            None => publish(engine, job, source, store, plan, standing, progress)
                .await
                .at(|| format!("stream {}", plan.relation.stream))
                .at(|| format!("pipeline {}", job.pipeline.name))?,
        };
        engine.ledger.stream_published(&job.run_id, &ledger::StreamOutcome::from(&done)).await?;
        progress.published(&done);
        published.push(done);
    }
    Ok(published)
}

impl From<&Published> for ledger::StreamOutcome {
    fn from(published: &Published) -> Self {
        Self {
            stream: published.stream.to_string(),
            dataset: published.dataset.to_string(),
            version: Some(published.outcome.version),
            rows: published.outcome.rows,
            quarantined: published.quarantined.as_ref().map_or(0, |quarantined| quarantined.rows),
            bytes: published.outcome.bytes,
            seconds: published.seconds,
            state: ledger::StreamState::Published,
        }
    }
}

/// Source -> decisions on types -> transform -> seal -> Parquet objects -> commit, for one stream. Rows
/// that are rejected on the way are written beside it and made visible first.
async fn publish(
    engine: &Engine,
    job: &Job<'_>,
    source: &mut Instant,
    store: &Store,
    plan: &StreamPlan,
    standing: &Standing,
    progress: &dyn Progress,
) -> Result<Published> {
    let started = std::time::Instant::now();
    let counter = progress.started(plan);
    let stop = job.cancel.child_token();
    let (rejects, rejected) = quarantine::queue();

    let taken_at = source.taken_at;
    let asked = Asked::of(engine, job, plan, standing).await?;
    let known = unless_cancelled(job.cancel, asked.known(engine, store, plan)).await?;
    let rows = unless_cancelled(job.cancel, source.snapshot.read(&asked.relation, &plan.reads)).await?;
    let rows = until_cancelled(rows, stop.clone(), counter);
    let rows = asked.narrow(plan, rows, plan.quarantine.is_some().then_some(rejects));
    let own = write(engine, store, plan, taken_at, rows, known);
    let rejected = write_rejected(engine, job, store, plan, rejected);
    let (own, rejected) = quarantine::side_by_side(store, own, rejected, &stop).await?;

    if own.rows() == 0 && rejected.is_none() && plan.keys.is_none() && asked.is_nothing(plan, standing) {
        own.discard(store).await;
        return Ok(Published::unchanged(plan, standing, started.elapsed().as_secs_f64()));
    }
    let provenance = provenance(engine, job, source.snapshot.id(), plan);
    let keys = match present(engine, job, source, store, plan).await {
        Ok(keys) => keys,
        Err(error) => {
            own.discard(store).await;
            if let Some(rejected) = rejected {
                rejected.discard(store).await;
            }
            return Err(error);
        }
    };
    let quarantined = commit_rejected(engine, store, plan, asked.mode, rejected, standing, &provenance).await;
    let (quarantined, provenance) = match both(quarantined, asked.mark(engine, plan, provenance).await) {
        Ok(done) => done,
        Err(error) => {
            own.discard(store).await;
            if let Some(keys) = keys {
                keys.discard(store).await;
            }
            return Err(error);
        }
    };
    let order = standing.order();
    let outcome = match (&plan.rules, asked.mode) {
        (Some(rules), _) => {
            let (at_us, stop) = (taken_at.timestamp_micros(), job.cancel);
            let (keys, provenance) = (keys.as_ref(), &provenance);
            own.merge(&Merging { engine, store, plan, rules, keys, at_us, order, provenance, stop }).await
        }
        (None, Mode::Overwrite) => own.commit(store, Effect::Overwrite, order, &provenance).await,
        (None, _) => own.commit(store, Effect::Append { withdrawn: &[] }, order, &provenance).await,
    };
    if let Some(keys) = keys {
        keys.discard(store).await;
    }
    let outcome = outcome?;

    let seconds = started.elapsed().as_secs_f64();
    Ok(Published {
        stream: plan.relation.stream.clone(),
        dataset: plan.dataset.clone(),
        outcome,
        quarantined,
        decisions: plan.protection.decisions().to_vec(),
        seconds,
        unchanged: false,
        earlier: false,
    })
}

/// Both, or the first error.
fn both<A, B>(one: Result<A>, other: Result<B>) -> Result<(A, B)> {
    Ok((one?, other?))
}

impl Published {
    /// The version that stands, where nothing is new.
    fn unchanged(plan: &StreamPlan, standing: &Standing, seconds: f64) -> Self {
        let nothing = |quarantine: &Quarantine| Quarantined { dataset: quarantine.dataset.clone(), rows: 0 };
        Self {
            stream: plan.relation.stream.clone(),
            dataset: plan.dataset.clone(),
            outcome: Outcome { version: standing.dataset.newest.unwrap_or_default(), rows: 0, bytes: 0 },
            quarantined: plan.quarantine.as_ref().map(nothing),
            decisions: plan.protection.decisions().to_vec(),
            seconds,
            unchanged: true,
            earlier: false,
        }
    }
}

/// The rows as the dataset is to have them.
async fn write(
    engine: &Engine,
    store: &Store,
    plan: &StreamPlan,
    taken_at: DateTime<Utc>,
    rows: Batches,
    known: Option<Known>,
) -> Result<Draft> {
    let rows = plan.transform.apply(rows).await?;
    let rows = match plan.rules.as_ref().and_then(Rules::lifetime) {
        Some(own) => own.begin(rows, plan.protection.input().clone(), taken_at.timestamp_micros()),
        None => rows,
    };
    let memory = Memory::of(engine.config.memory_limit_bytes);
    let memory_bytes = match plan.quarantine {
        Some(_) => memory.beside_quarantine().0,
        None => memory.encode_bytes,
    };
    Draft::write(engine, store, plan, &plan.protection, &plan.partition_by, rows, known, memory_bytes).await
}

/// The rows that are rejected, where there are any.
async fn write_rejected(
    engine: &Engine,
    job: &Job<'_>,
    store: &Store,
    plan: &StreamPlan,
    rejected: mpsc::Receiver<Rejected>,
) -> Result<Option<Draft>> {
    match &plan.quarantine {
        Some(quarantine) => quarantine.take(engine, store, plan, job.run_id.to_string(), rejected).await,
        None => Ok(None),
    }
}

/// The source's keys, where they are to be read beside the rows.
async fn present(
    engine: &Engine,
    job: &Job<'_>,
    source: &mut Instant,
    store: &Store,
    plan: &StreamPlan,
) -> Result<Option<Draft>> {
    let Some(keys) = &plan.keys else { return Ok(None) };
    let keys = keys.read(engine, &mut *source.snapshot, store, plan);
    unless_cancelled(job.cancel, keys).await.map(Some)
}

/// Makes rejected rows visible, where the stream has a quarantine.
async fn commit_rejected(
    engine: &Engine,
    store: &Store,
    plan: &StreamPlan,
    mode: Mode,
    rejected: Option<Draft>,
    standing: &Standing,
    provenance: &Provenance,
) -> Result<Option<Quarantined>> {
    let Some(quarantine) = &plan.quarantine else { return Ok(None) };
    let provenance = Provenance { columns: columns(&quarantine.protection), ..provenance.clone() };
    quarantine.commit(engine, store, plan, mode, rejected, standing, &provenance).await.map(Some)
}

/// What the step answers, or that the run was cancelled meanwhile.
async fn unless_cancelled<T>(cancel: &CancellationToken, step: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        answer = step => answer,
    }
}

fn cancelled() -> Error {
    Error::new(Kind::Cancelled(15), "the run was cancelled")
}

/// The rows, counted, ending with an error as soon as the run is cancelled: the writer then
/// removes what it has written, as after any other fault.
fn until_cancelled(rows: Batches, cancel: CancellationToken, counter: progress::Counter) -> Batches {
    let stopped = cancelled();
    futures::stream::unfold(Some(rows), move |rows| {
        let (cancel, counter, stopped) = (cancel.clone(), counter.clone(), stopped.clone());
        async move {
            let mut rows = rows?;
            tokio::select! {
                biased;
                () = cancel.cancelled() => Some((Err(stopped), None)),
                batch = rows.next() => {
                    let batch = batch?;
                    if let Ok(batch) = &batch {
                        counter(batch.num_rows() as u64, batch.get_array_memory_size() as u64);
                    }
                    Some((batch, Some(rows)))
                }
            }
        }
    })
    .boxed()
}

/// What travels in the commit.
fn provenance(engine: &Engine, job: &Job<'_>, snapshot: Option<String>, plan: &StreamPlan) -> Provenance {
    Provenance {
        run_id: job.run_id.to_string(),
        stream: application(job.pipeline, &plan.relation.stream),
        spec_digest: job.pipeline.digest.clone(),
        policy: engine.policy.name.clone(),
        policy_digest: engine.policy.digest.clone(),
        snapshot,
        columns: columns(&plan.protection),
        cursor: None,
        window: None,
    }
}

/// What happened to each leaf column: path, action and tag.
fn columns(protection: &protect::Plan) -> Vec<(String, String, Option<String>)> {
    let tag = |decision: &protect::Decision| decision.tag.as_ref().map(ToString::to_string);
    let column = |decision: &protect::Decision| {
        (decision.path.clone(), decision.action.word().to_owned(), tag(decision))
    };
    protection.decisions().iter().map(column).collect()
}

/// The application id of a stream in the table's transaction log.
fn application(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("{}/{stream}", pipeline.name)
}
