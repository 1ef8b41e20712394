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
mod stream;
pub mod trail;
pub mod upkeep;
pub mod verify;

use chrono::{DateTime, Utc};
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

use self::resume::Earlier;
use self::stream::Stream;
use crate::error::{At, Error, Kind, Result};
use crate::publish::Store;
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
            None => Stream { engine, job, store, plan, standing, progress }
                .publish(source)
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

/// The application id of a stream in the table's transaction log.
fn application(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("{}/{stream}", pipeline.name)
}
