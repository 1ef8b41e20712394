//! One run of a pipeline: the whole story on one page.

pub mod backfill;
pub mod classification;
pub mod contract;
mod draft;
mod due;
pub mod engine;
mod exact;
pub mod fidelity;
pub mod increment;
mod landing;
pub mod ledger;
mod load;
mod memory;
mod merging;
mod parts;
mod passage;
pub mod plan;
pub mod policy;
mod present;
pub mod progress;
mod published;
pub mod quality;
pub mod quarantine;
pub mod rebuild;
mod record;
mod resume;
mod standing;
pub mod trail;
pub mod upkeep;
pub mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

pub use due::destroy_due;
pub use engine::Engine;
pub use increment::{Increment, Part};
pub use ledger::{Ledger, RunId, Trigger};
pub use memory::Memory;
pub use plan::StreamPlan;
pub use present::Keys;
pub use progress::Progress;
pub use published::Published;
pub use quarantine::{Quarantine, Quarantined};
pub use standing::{Standing, standing};

use self::draft::Draft;
use self::increment::Asked;
use self::increment::known::Known;
use self::landing::{Drafts, Landing};
use self::load::Load;
use self::passage::Found;
use self::resume::Earlier;
use crate::Rejected;
use crate::error::{At, Error, Kind, Result};
use crate::govern::store::now_ms;
use crate::publish::receipt::Rows;
use crate::publish::{Provenance, Store};
use crate::source::{self, Snapshot};
use crate::spec::{Pipeline, StreamName};

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
    let plans = plan::every(engine, store, job.pipeline, job.only, &mut *source.snapshot);
    let plans = unless_cancelled(job.cancel, plans).instrument(info_span!("plan")).await?;
    progress.planned(&plans);
    let runs = resume::runs(engine, job).await?;
    let is_settled = runs.first().is_none_or(|run| run.state == ledger::State::Succeeded);
    let mut standing = standing(engine, job.pipeline, store, &plans, job.extent, is_settled).await?;
    for (plan, standing) in plans.iter().zip(&mut standing) {
        standing.is_cut_off = resume::is_cut_off(&runs, &plan.relation.stream);
        let stream = application(job.pipeline, &plan.relation.stream);
        standing.check_instant(&stream, source.taken_at).at(|| format!("dataset {}", plan.dataset))?;
    }
    let earlier = Earlier::find(engine, job, &runs, &plans, &standing).await?;

    let mut published = Vec::with_capacity(plans.len());
    for (index, (plan, standing)) in plans.iter().zip(&standing).enumerate() {
        let done = match earlier.appended(index) {
            Some(done) => done,
            None => publish(engine, job, source, store, plan, standing, progress)
                .instrument(info_span!("stream", stream = %plan.relation.stream, dataset = %plan.dataset))
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

/// One stream. Where its rows were read and do not come as far as to be published, the audit trail is told of their keys
/// nevertheless.
async fn publish(
    engine: &Engine,
    job: &Job<'_>,
    source: &mut Instant,
    store: &Store,
    plan: &StreamPlan,
    standing: &Standing,
    progress: &dyn Progress,
) -> Result<Published> {
    let course = Course::default();
    let published = read_and_land(engine, job, source, store, plan, standing, progress, &course).await;
    if course.read.load(Ordering::Relaxed) > 0 && !course.lands.load(Ordering::Relaxed) {
        landing::record_unpublished(engine, job, plan).await;
    }
    published
}

/// How far a stream has come.
#[derive(Default)]
struct Course {
    /// How many rows were read.
    read: Arc<AtomicU64>,
    /// The trail was told that they are about to be made visible, and of their keys.
    lands: AtomicBool,
}

/// Source -> decisions on types -> transform -> seal -> Parquet objects -> commit. Rows that are rejected on the way
/// are written beside it and made visible first.
async fn read_and_land(
    engine: &Engine,
    job: &Job<'_>,
    source: &mut Instant,
    store: &Store,
    plan: &StreamPlan,
    standing: &Standing,
    progress: &dyn Progress,
    course: &Course,
) -> Result<Published> {
    let started = std::time::Instant::now();
    let told = provenance(engine, job, plan).await?;
    let counter = counted(progress.started(plan), &course.read);
    let stop = job.cancel.child_token();
    let (rejects, rejected) = quarantine::queue();

    let asked = Asked::of(engine, job, plan, standing, source.taken_at).await?;
    let known = unless_cancelled(job.cancel, asked.known(engine, store, plan)).await?;
    let known_rejected = unless_cancelled(job.cancel, asked.rejected(engine, store, plan, standing));
    let (found, taken_at) = (Found::default(), source.taken_at);
    let (ask, see) = (&asked, &found);
    let load = Load {
        engine,
        job,
        store,
        plan,
        standing,
        asked: ask,
        found: see,
        taken_at,
        stop: stop.clone(),
        counter,
    };
    let own = load.write(&mut *source.snapshot, known, plan.quarantine.is_some().then_some(rejects));
    let rejected = write_rejected(engine, job, store, plan, rejected, known_rejected);
    let (own, rejected) =
        quarantine::side_by_side(store, own, rejected, &stop).instrument(info_span!("read_and_seal")).await?;
    let mut drafts = Drafts { own: Some(own), rejected, keys: None };

    let (facts, warnings) = match found.told(plan, &asked) {
        Ok(told) => told,
        Err(error) => {
            give_up(engine, job, store, plan, drafts).await;
            return Err(error);
        }
    };
    let (written, set_aside) = drafts.rows();
    if written == 0 && set_aside == 0 && asked.is_nothing(plan, standing) {
        give_up(engine, job, store, plan, drafts).await;
        let seconds = started.elapsed().as_secs_f64();
        return Ok(Published { warnings, ..Published::unchanged(plan, standing, seconds) });
    }
    drafts.keys = match present(engine, job, source, store, plan).await {
        Ok(keys) => keys,
        Err(error) => {
            give_up(engine, job, store, plan, drafts).await;
            return Err(error);
        }
    };
    let rows = Rows::of(course.read.load(Ordering::Relaxed), set_aside, written);
    let columns = plan.comparison.stays().to_vec();
    let provenance = Provenance { snapshot: source.snapshot.id(), rows, facts, columns, ..told };
    let landing =
        Landing { engine, job, store, plan, standing, asked: &asked, taken_at, lands: &course.lands };
    progress.landing(plan);
    // From here on a commit may name the files: they are no part of another load. Where that is refused they may be by
    // now, and stay.
    engine.ledger.forget_parts(&job.run_id, &plan.relation.stream).await?;
    let (outcome, quarantined) = landing.land(drafts, provenance).instrument(info_span!("publish")).await?;

    let seconds = started.elapsed().as_secs_f64();
    Ok(Published {
        stream: plan.relation.stream.clone(),
        dataset: plan.dataset.clone(),
        outcome,
        quarantined,
        warnings,
        decisions: plan.protection.decisions().to_vec(),
        seconds,
        unchanged: false,
        earlier: false,
    })
}

/// Removes what the stream has written and does not publish. What the ledger lists as parts may be another process's
/// by now, where this one stood still: then all of it stays, unseen.
async fn give_up(engine: &Engine, job: &Job<'_>, store: &Store, plan: &StreamPlan, drafts: Drafts) {
    match engine.ledger.forget_parts(&job.run_id, &plan.relation.stream).await {
        Ok(()) => drafts.discard(store).await,
        Err(error) => tracing::warn!(%error, "files that were written and not published stay"),
    }
}

/// The rows that are rejected, where there are any.
async fn write_rejected(
    engine: &Engine,
    job: &Job<'_>,
    store: &Store,
    plan: &StreamPlan,
    rejected: mpsc::Receiver<Rejected>,
    known: impl Future<Output = Result<Option<Known>>>,
) -> Result<Option<Draft>> {
    match &plan.quarantine {
        Some(quarantine) => {
            quarantine.take(engine, store, plan, job.run_id.to_string(), rejected, known).await
        }
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

/// The rows, counted once more for the receipt.
fn counted(counter: progress::Counter, read: &Arc<AtomicU64>) -> progress::Counter {
    let read = read.clone();
    Arc::new(move |rows, bytes| {
        read.fetch_add(rows, Ordering::Relaxed);
        counter(rows, bytes);
    })
}

/// What travels in the commit, as far as it is known before any row is read.
async fn provenance(engine: &Engine, job: &Job<'_>, plan: &StreamPlan) -> Result<Provenance> {
    let recorded = engine.ledger.run(&job.run_id).await?;
    Ok(Provenance {
        run_id: job.run_id.to_string(),
        trigger: recorded.map_or(Trigger::Cli, |run| run.trigger).word().to_owned(),
        stream: application(job.pipeline, &plan.relation.stream),
        spec_digest: job.pipeline.digest.clone(),
        policy: engine.policy.name.clone(),
        policy_digest: engine.policy.digest.clone(),
        connection: job.pipeline.connection.to_string(),
        snapshot: None,
        columns: Vec::new(),
        cursor: None,
        window: None,
        started_ms: now_ms(),
        rows: Rows::default(),
        facts: None,
    })
}

/// The application id of a stream in the table's transaction log.
fn application(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("{}/{stream}", pipeline.name)
}
