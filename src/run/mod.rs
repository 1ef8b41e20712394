//! One run of a pipeline: the whole story on one page.

pub mod contract;
mod draft;
pub mod engine;
pub mod fidelity;
pub mod ledger;
mod memory;
pub mod plan;
pub mod progress;
pub mod quality;
pub mod quarantine;
mod record;
mod resume;
mod standing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use engine::Engine;
pub use ledger::{Ledger, RunId};
pub use memory::Memory;
pub use plan::StreamPlan;
pub use progress::Progress;
pub use quarantine::{Quarantine, Quarantined};
pub use standing::{Standing, standing};

use self::contract::Comparison;
use self::draft::Draft;
use self::resume::Earlier;
use crate::error::{At, Error, Kind, Result};
use crate::govern::store::now_ms;
use crate::protect;
use crate::publish::{Effect, Facts, Mode, Outcome, Provenance, Store};
use crate::source::{self, Snapshot, convert};
use crate::spec::{DatasetName, Pipeline, StreamName};
use crate::{Batches, Rejected, Rejects};

/// What is asked of one run.
#[derive(Debug)]
pub struct Job<'a> {
    /// The run, queued in the ledger.
    pub run_id: RunId,
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The one stream to run; all of them without.
    pub only: Option<&'a StreamName>,
    /// Stops the run; what is published already stays published.
    pub cancel: &'a CancellationToken,
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
    /// What was found wrong with the rows, and is only told.
    pub warnings: Vec<String>,
    /// What happened to each leaf column.
    pub decisions: Vec<protect::Decision>,
    /// Seconds from the first row asked for to the commit.
    pub seconds: f64,
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
    let mut snapshot = unless_cancelled(job.cancel, source.snapshot()).await?;
    let published = streams(engine, job, &mut *snapshot, &store, progress).await;
    // However it ended, nothing of it is left running at the source.
    snapshot.close().await;
    published
}

/// Every stream, one after the other.
async fn streams(
    engine: &Engine,
    job: &Job<'_>,
    snapshot: &mut dyn Snapshot,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Vec<Published>> {
    let plans = plan::every(engine, store, job.pipeline, job.only, snapshot);
    let plans = unless_cancelled(job.cancel, plans).await?;
    let standing = standing(engine, job.pipeline, store, &plans).await?;
    let earlier = Earlier::find(engine, job, &plans, &standing).await?;

    let mut published = Vec::with_capacity(plans.len());
    for (index, (plan, standing)) in plans.iter().zip(&standing).enumerate() {
        let done = match earlier.appended(index) {
            Some(done) => done,
            None => publish(engine, job, snapshot, store, plan, standing, progress)
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
    snapshot: &mut dyn Snapshot,
    store: &Store,
    plan: &StreamPlan,
    standing: &Standing,
    progress: &dyn Progress,
) -> Result<Published> {
    let started = Instant::now();
    let counter = progress.started(plan);
    let stop = job.cancel.child_token();
    let (rejects, rejected) = quarantine::queue();

    let rows = unless_cancelled(job.cancel, snapshot.read(&plan.relation, &plan.reads)).await?;
    let rows = until_cancelled(rows, stop.clone(), counter);
    // Rows are rejected as they are read, or as they are to be published: never both.
    let rejects = plan.quarantine.is_some().then_some(rejects);
    let (unread, unpublished) = if plan.quality.quarantines() { (None, rejects) } else { (rejects, None) };
    let rows = convert::convert(rows, &plan.decisions, &plan.converted, unread);
    let found = Found::default();
    let own = write(engine, store, plan, rows, &found, unpublished);
    let rejected = write_rejected(engine, job, store, plan, rejected);
    let (own, rejected) = quarantine::side_by_side(store, own, rejected, &stop).await?;

    let (facts, warnings) = found.told(plan);
    let provenance = Provenance { facts: Some(facts), ..provenance(engine, job, snapshot.id(), plan) };
    let quarantined = match commit_rejected(engine, store, plan, rejected, standing, &provenance).await {
        Ok(quarantined) => quarantined,
        Err(error) => {
            own.discard(store).await;
            return Err(error);
        }
    };
    let effect = match plan.mode {
        Mode::Overwrite => Effect::Overwrite,
        Mode::Append | Mode::Merge => Effect::Append { withdrawn: &[] },
    };
    if let Err(error) = plan.comparison.reshape(engine, store, plan, &plan.dataset, &provenance).await {
        own.discard(store).await;
        return Err(error);
    }
    let outcome = own.commit(store, effect, plan.comparison.evolution(), &provenance).await?;

    let seconds = started.elapsed().as_secs_f64();
    Ok(Published {
        stream: plan.relation.stream.clone(),
        dataset: plan.dataset.clone(),
        outcome,
        quarantined,
        warnings,
        decisions: plan.protection.decisions().to_vec(),
        seconds,
        earlier: false,
    })
}

/// What is found of the rows while they are written.
#[derive(Default)]
struct Found {
    report: quality::Shared,
    unfit: Arc<AtomicU64>,
}

impl Found {
    /// What was found, when all rows have passed.
    fn told(&self, plan: &StreamPlan) -> (Facts, Vec<String>) {
        let quality::Report { facts, mut warnings } =
            self.report.lock().map(|report| report.clone()).unwrap_or_default();
        let unfit = self.unfit.load(Ordering::Relaxed);
        if let Some(fit) = plan.fit.as_ref().filter(|_| unfit > 0) {
            let columns = fit.columns().join("`, `");
            let rows = if unfit == 1 { "1 row was".to_owned() } else { format!("{unfit} rows were") };
            let text = format!("{rows} left out: a value does not fit the published type of `{columns}`");
            tracing::warn!(dataset = %plan.dataset, "{text}");
            warnings.push(text);
        }
        (facts, warnings)
    }
}

/// The rows as the dataset is to have them.
async fn write(
    engine: &Engine,
    store: &Store,
    plan: &StreamPlan,
    rows: Batches,
    found: &Found,
    rejects: Option<Rejects>,
) -> Result<Draft> {
    let rows = plan.transform.apply(rows).await?;
    let rows = match &plan.fit {
        Some(fit) => fit.apply(rows, Arc::clone(&found.unfit)),
        None => rows,
    };
    let against = quality::Against {
        keyring: &engine.keyring,
        store,
        memory_limit_bytes: engine.config.memory_limit_bytes,
        last: plan.last.as_ref(),
        now_micros: now_ms().saturating_mul(1000),
    };
    let rows = plan.quality.judge(rows, &against, &found.report, rejects).await?;
    let memory = Memory::of(engine.config.memory_limit_bytes);
    let memory_bytes = match plan.quarantine {
        Some(_) => memory.beside_quarantine().0,
        None => memory.encode_bytes,
    };
    Draft::write(engine, store, plan, &plan.protection, &plan.partition_by, rows, memory_bytes).await
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

/// Makes rejected rows visible, where the stream has a quarantine.
async fn commit_rejected(
    engine: &Engine,
    store: &Store,
    plan: &StreamPlan,
    rejected: Option<Draft>,
    standing: &Standing,
    provenance: &Provenance,
) -> Result<Option<Quarantined>> {
    let Some(quarantine) = &plan.quarantine else { return Ok(None) };
    let columns = columns(&quarantine.protection, &quarantine.comparison);
    let provenance = Provenance { columns, facts: None, ..provenance.clone() };
    quarantine.commit(engine, store, plan, rejected, standing, &provenance).await.map(Some)
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
        columns: columns(&plan.protection, &plan.comparison),
        facts: None,
    }
}

/// What happened to each leaf column: path, action and tag; those too that stay in the table from before.
fn columns(protection: &protect::Plan, comparison: &Comparison) -> Vec<(String, String, Option<String>)> {
    let tag = |decision: &protect::Decision| decision.tag.as_ref().map(ToString::to_string);
    let column = |decision: &protect::Decision| {
        (decision.path.clone(), decision.action.word().to_owned(), tag(decision))
    };
    let stays = comparison
        .stays()
        .iter()
        .filter(|(path, ..)| protection.decisions().iter().all(|decision| decision.path != *path));
    protection.decisions().iter().map(column).chain(stays.cloned()).collect()
}

/// The application id of a stream in the table's transaction log.
fn application(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("{}/{stream}", pipeline.name)
}
