//! Owns every run of the daemon: asks the ledger, waits for its turn, runs, tries again, records the end.

mod adopt;
mod board;
mod cancel;
mod carry;
mod desk;
mod ends;
mod pauses;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub use self::board::Limits;
use self::board::{Board, Waiting};
use self::desk::Desk;
use self::ends::Ends;
use self::take::Asked;
pub use self::take::Taken;
use super::metrics::Metrics;
use super::registry::Registry;
use crate::error::{Error, Kind, Result};
use crate::run::ledger::{Ledger, RequestKey, RunId, Trigger, Turn, Under};
use crate::spec::{Pipeline, PipelineName};

/// How many pipelines are asked for at the same time: of those that share one of these, one after the other.
const TURNS: usize = 1024;
/// How long what was dropped may take to tell the ledger so.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Longest time between two looks at what waits.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Does the work of a run.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Makes one attempt of a run of the pipeline.
    ///
    /// When this is called the run is `running` in the ledger and its lease is held; the caller
    /// records the end. The runner records each stream ([`Ledger::stream_published`]). Once
    /// `cancel` fires it stops soon, at a point where nothing half-done is visible. It may be
    /// dropped at any await point. Where that may help, it is called again for the same run.
    ///
    /// # Errors
    /// What went wrong; `Cancelled` when it stopped because of `cancel`.
    async fn run(&self, run_id: &RunId, pipeline: &Pipeline, cancel: CancellationToken) -> Result<()>;
}

/// Why a run was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such pipeline.
    Unknown,
    /// The pipeline has an active run, of this daemon or of nobody yet.
    Active(RunId),
    /// Another process has the pipeline, for this run where that can be told.
    Elsewhere(Option<RunId>),
    /// The key was used for another pipeline.
    OtherPipeline,
    /// Too many runs are waiting.
    Full,
    /// The daemon is stopping.
    Stopping,
    /// The ledger does not answer.
    Ledger(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Ledger(error)
    }
}

/// Hands out runs, one per pipeline at a time. Clones share everything.
#[derive(Clone)]
pub struct Dispatcher(Arc<Shared>);

struct Shared {
    ledger: Ledger,
    desk: Desk,
    registry: Registry,
    runner: Arc<dyn Runner>,
    /// Never held while anything is awaited.
    board: Mutex<Board>,
    /// Held while something is asked of the ledger that must not be asked twice for one pipeline.
    turns: Vec<tokio::sync::Mutex<()>>,
    paused: Mutex<BTreeSet<PipelineName>>,
    /// How often this process was told which schedules rest.
    pauses_told: AtomicUsize,
    cancel_wait: Duration,
    tasks: TaskTracker,
    /// Fires when no more runs are taken; those that wait are left to the next daemon.
    stopping: CancellationToken,
    /// Fires when runs under way are to stop for the daemon's sake.
    cut: CancellationToken,
    /// Fires when runs that did not heed their cancellation are dropped.
    abandon: CancellationToken,
    /// How many runs were stopped for the daemon's sake.
    cut_short: AtomicUsize,
    /// Wakes who lets runs begin.
    changed: Notify,
    ends: Ends,
    metrics: Metrics,
}

impl Dispatcher {
    /// A dispatcher that has no runs yet. Within `cancel_wait` a run that is told to stop has stopped, or is dropped.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        registry: Registry,
        runner: Arc<dyn Runner>,
        limits: Limits,
        cancel_wait: Duration,
    ) -> Self {
        let shared = Arc::new(Shared {
            desk: Desk::open(ledger.clone()),
            ledger,
            registry,
            runner,
            board: Mutex::new(Board::new(limits)),
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
            paused: Mutex::default(),
            pauses_told: AtomicUsize::new(0),
            cancel_wait,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            abandon: CancellationToken::new(),
            cut_short: AtomicUsize::new(0),
            changed: Notify::new(),
            ends: Ends::new(),
            metrics: Metrics::new(),
        });
        shared.tasks.spawn(Arc::clone(&shared).begin_runs());
        Self(shared)
    }

    /// The pipelines it knows.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The ledger it records in.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Has other limits from here on; runs under way beyond them go on.
    pub fn limit(&self, limits: Limits) {
        if self.0.board().limit(limits) {
            self.0.changed.notify_one();
        }
    }

    /// Whether it still takes runs.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.stopping.is_cancelled()
    }

    /// The active run of each pipeline that has one: that under way, else that which waits.
    #[must_use]
    pub fn active(&self) -> BTreeMap<PipelineName, RunId> {
        self.0.board().active()
    }

    /// How many runs wait or are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.board().count()
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Ends when a run of this daemon ends.
    pub fn ended(&self) -> Notified<'_> {
        self.0.ends.any()
    }

    /// Ends when this run begins or ends, as far as it is of this daemon.
    pub fn news_of(&self, run_id: &RunId) -> Notified<'_> {
        self.0.ends.of(run_id)
    }

    /// Asks for a run. It starts when it is its turn; its end is told by the ledger. Asked again under the same
    /// `key` it is the same run, wherever that stands by then; only one that ended so that a retry may help is followed
    /// by another.
    ///
    /// # Errors
    /// A [`Refusal`]; then there is no run.
    pub async fn trigger(
        &self,
        pipeline: &PipelineName,
        trigger: Trigger,
        actor: &str,
        key: Option<&RequestKey>,
    ) -> Result<Taken, Refusal> {
        let pipeline = self.0.registry.get(pipeline).ok_or(Refusal::Unknown)?;
        let under = key.map_or(Under::Nothing(trigger), |key| Under::Key(trigger, key.clone()));
        let taken = self.take(Asked { pipeline, actor: actor.to_owned(), under, may_wait: false }).await?;
        taken.ok_or(Refusal::Elsewhere(None))
    }

    /// Asks for the run of a turn of the pipeline's schedule; `None` when the turn has its run already. Where it
    /// `may_wait` it is taken although the pipeline has a run under way, and begins after that.
    ///
    /// # Errors
    /// A [`Refusal`]; then there is no run, and the turn is not taken.
    pub async fn take_turn(
        &self,
        pipeline: &PipelineName,
        turn: Turn,
        may_wait: bool,
    ) -> Result<Option<RunId>, Refusal> {
        let pipeline = self.0.registry.get(pipeline).ok_or(Refusal::Unknown)?;
        let asked = Asked { pipeline, actor: "schedule".to_owned(), under: Under::Turn(turn), may_wait };
        Ok(self.take(asked).await?.map(|taken| taken.run_id))
    }

    async fn take(&self, asked: Asked) -> Result<Option<Taken>, Refusal> {
        // A task of its own: a caller that goes away must not leave a run that is queued and nobody's.
        let taken = self.0.tasks.spawn(Arc::clone(&self.0).take(asked).in_current_span());
        taken.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// Takes no more runs, leaves those that wait to the next daemon, gives the others `grace` (or until `hurry`), then
    /// tells them to stop, and drops those still there after `cancel_wait`. They, too, are left to the next daemon, for a
    /// further attempt. Answers how many did not come to their own end.
    pub async fn drain(&self, grace: Duration, cancel_wait: Duration, hurry: &CancellationToken) -> usize {
        let shared = &self.0;
        shared.stopping.cancel();
        shared.tasks.close();
        let done = shared.tasks.wait();
        tokio::pin!(done);
        tokio::select! {
            () = &mut done => return shared.cut_short.load(Ordering::Acquire),
            () = tokio::time::sleep(grace) => {}
            () = hurry.cancelled() => {}
        }
        shared.cut.cancel();
        if tokio::time::timeout(cancel_wait, &mut done).await.is_err() {
            shared.abandon.cancel();
            if tokio::time::timeout(LAST_WAIT, done).await.is_err() {
                tracing::error!("what still waits for the metadata store is left as it stands there");
            }
        }
        shared.cut_short.load(Ordering::Acquire)
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn of a pipeline.
    async fn turn(&self, pipeline: &PipelineName) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        pipeline.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % (TURNS as u64)).unwrap_or_default();
        Some(self.turns.get(index)?.lock().await)
    }

    /// Lets runs begin, each when it is its turn, until the daemon stops.
    async fn begin_runs(self: Arc<Self>) {
        loop {
            let next = self.board().begin_next(Instant::now());
            if let Some(run) = next {
                // What is logged inside is known to be of this run.
                let (run_id, pipeline) = (run.run_id, &run.pipeline.name);
                let span = tracing::info_span!(parent: &run.asker, "run", %run_id, %pipeline);
                self.tasks.spawn(Arc::clone(&self).carry(run).instrument(span));
                continue;
            }
            let wake = self.board().next_wake().unwrap_or(Instant::now() + LONGEST_REST);
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => break,
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        let waiting = self.board().clear();
        if waiting > 0 {
            tracing::info!(runs = waiting, "left to the next daemon: they wait in the metadata store");
        }
    }
}

fn cancelled(message: &str) -> Error {
    Error::new(Kind::Cancelled(15), message)
}
