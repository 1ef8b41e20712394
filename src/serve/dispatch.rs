//! Owns every run of the daemon: asks the ledger, waits for a slot, runs, records the end.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::metrics::Metrics;
use super::registry::Registry;
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Action};
use crate::run::ledger::{Lease, Ledger, RequestKey, Run, RunId, Trigger};
use crate::spec::{Pipeline, PipelineName};

/// Runs that may be waiting or under way; more triggers are turned away.
pub const MAX_ACTIVE: usize = 64;
/// How often, and how long after each other, it is looked for a run that another process is about to record.
const LOOKS: u32 = 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Does the work of a run.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Runs the pipeline to its end.
    ///
    /// When this is called the run is `running` in the ledger and its lease is held; the caller
    /// records the end. The runner records each stream ([`Ledger::stream_published`]). Once
    /// `cancel` fires it stops soon, at a point where nothing half-done is visible. It may be
    /// dropped at any await point.
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
    /// The pipeline has an active run; without an id it belongs to another process.
    Active(Option<RunId>),
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
    registry: Registry,
    runner: Arc<dyn Runner>,
    active: Mutex<BTreeMap<PipelineName, Active>>,
    slots: Semaphore,
    tasks: TaskTracker,
    /// Fires when no more runs are taken; those that wait end at once.
    stopping: CancellationToken,
    /// Fires when runs that did not heed their cancellation are dropped.
    abandon: CancellationToken,
    cancelled_by_stop: AtomicUsize,
    /// Wakes who waits for the end of a run.
    ended: Notify,
    metrics: Metrics,
}

/// A run that is asked for.
struct Asked {
    pipeline: Arc<Pipeline>,
    trigger: Trigger,
    actor: String,
    key: Option<RequestKey>,
}

struct Active {
    run_id: RunId,
    cancel: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher that runs at most `runs_at_once` pipelines at the same time.
    #[must_use]
    pub fn new(ledger: Ledger, registry: Registry, runner: Arc<dyn Runner>, runs_at_once: usize) -> Self {
        Self(Arc::new(Shared {
            ledger,
            registry,
            runner,
            active: Mutex::default(),
            slots: Semaphore::new(runs_at_once.max(1)),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            cancelled_by_stop: AtomicUsize::new(0),
            ended: Notify::new(),
            metrics: Metrics::new(),
        }))
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

    /// Whether it still takes runs.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.stopping.is_cancelled()
    }

    /// The active run of each pipeline that has one.
    pub async fn active(&self) -> BTreeMap<PipelineName, RunId> {
        let active = self.0.active.lock().await;
        active.iter().map(|(pipeline, run)| (pipeline.clone(), run.run_id)).collect()
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Ends when a run of this daemon ends.
    pub fn ended(&self) -> Notified<'_> {
        self.0.ended.notified()
    }

    /// Asks for a run. It starts once a slot is free; its end is told by the ledger. Asked again under the same
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
    ) -> Result<RunId, Refusal> {
        let pipeline = self.0.registry.get(pipeline).ok_or(Refusal::Unknown)?;
        let asked = Asked { pipeline, trigger, actor: actor.to_owned(), key: key.cloned() };
        // A task of its own: a caller that goes away must not leave a run that is queued and nobody's.
        let taken = self.0.tasks.spawn(Arc::clone(&self.0).take(asked));
        taken.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// Takes over what a daemon that is lost left of a pipeline: marks it as interrupted, and carries the run that takes
    /// its place. Nothing is done while the pipeline is busy, here or elsewhere.
    ///
    /// # Errors
    /// As the ledger answers.
    pub(super) async fn take_over(&self, pipeline: Arc<Pipeline>) -> Result<()> {
        let taken = self.0.tasks.spawn(Arc::clone(&self.0).take_over(pipeline));
        taken.await.unwrap_or(Ok(()))
    }

    /// Tells an active run of this daemon to stop; false when it has none of this id.
    pub async fn cancel(&self, run_id: &RunId) -> bool {
        let active = self.0.active.lock().await;
        let run = active.values().find(|run| run.run_id == *run_id);
        if let Some(run) = run {
            run.cancel.cancel();
        }
        run.is_some()
    }

    /// Takes no more runs, ends those that wait, gives the others `grace` (or until `hurry`), then
    /// cancels them, and drops those still there after `cancel_wait`. Answers how many did not come to their own end.
    pub async fn drain(&self, grace: Duration, cancel_wait: Duration, hurry: &CancellationToken) -> usize {
        let shared = &self.0;
        shared.stopping.cancel();
        shared.tasks.close();
        let done = shared.tasks.wait();
        tokio::pin!(done);
        tokio::select! {
            () = &mut done => return shared.cancelled_by_stop.load(Ordering::Acquire),
            () = tokio::time::sleep(grace) => {}
            () = hurry.cancelled() => {}
        }
        for run in shared.active.lock().await.values() {
            tracing::warn!(run_id = %run.run_id, "cancelled: the grace period is over");
            run.cancel.cancel();
        }
        if tokio::time::timeout(cancel_wait, &mut done).await.is_err() {
            shared.abandon.cancel();
            done.await;
        }
        shared.cancelled_by_stop.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Takes a run on, or says which one is it already.
    async fn take(self: Arc<Self>, asked: Asked) -> Result<RunId, Refusal> {
        let Asked { pipeline, trigger, actor, key } = asked;
        // Held across the ledger calls, so that of two triggers at once one finds the other's run.
        let mut active = self.active.lock().await;
        let earlier = self.asked_under(key.as_ref(), &pipeline.name).await?;
        let is_active = |run: &Run| active.get(&pipeline.name).is_some_and(|one| one.run_id == run.run_id);
        if let Some(run) = earlier.as_ref().filter(|run| is_active(run) || is_settled(run)) {
            return Ok(run.run_id);
        }
        if self.stopping.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        if let Some(run) = active.get(&pipeline.name) {
            return Err(Refusal::Active(Some(run.run_id)));
        }
        if active.len() >= MAX_ACTIVE {
            return Err(Refusal::Full);
        }
        let Some(lease) = self.ledger.lease(&pipeline.name).await? else {
            return self.elsewhere(key.as_ref(), &pipeline.name).await;
        };
        // Nobody else holds the lease, so what is unfinished was left by a process that is gone.
        for run_id in self.ledger.bury(&pipeline.name, &lease).await? {
            tracing::warn!(%run_id, pipeline = %pipeline.name, "marked as interrupted");
        }
        let (name, digest, instead_of) = (&pipeline.name, &pipeline.digest, earlier.map(|run| run.run_id));
        let queued = match &key {
            None => Some(self.ledger.queue(name, digest, trigger).await?),
            Some(key) => self.ledger.queue_under(key, name, digest, trigger, instead_of.as_ref()).await?,
        };
        let Some(run_id) = queued else {
            // Another process was faster.
            let theirs = self.asked_under(key.as_ref(), &pipeline.name).await?;
            return theirs.map(|run| run.run_id).ok_or(Refusal::Active(None));
        };
        let subject = format!("{} {run_id}", pipeline.name);
        if let Err(error) = audit::record(&self.ledger, &actor, Action::RunTrigger, &subject).await {
            self.conclude(&run_id, &Err(error.clone())).await;
            return Err(error.into());
        }
        self.begin(&mut active, pipeline, run_id, trigger, lease);
        Ok(run_id)
    }

    /// Carries a run that is queued.
    fn begin(
        self: &Arc<Self>,
        active: &mut BTreeMap<PipelineName, Active>,
        pipeline: Arc<Pipeline>,
        run_id: RunId,
        trigger: Trigger,
        lease: Lease,
    ) {
        let cancel = CancellationToken::new();
        active.insert(pipeline.name.clone(), Active { run_id, cancel: cancel.clone() });
        tracing::info!(%run_id, pipeline = %pipeline.name, trigger = %trigger, "queued");
        self.tasks.spawn(Arc::clone(self).carry(pipeline, run_id, cancel, lease));
    }

    /// The run that another process has under the key, while that holds the pipeline.
    async fn elsewhere(&self, key: Option<&RequestKey>, pipeline: &PipelineName) -> Result<RunId, Refusal> {
        for _ in 0..LOOKS {
            let is_recorded = !self.ledger.unfinished(Some(pipeline)).await?.is_empty();
            let theirs = self.asked_under(key, pipeline).await?;
            if let Some(run) = theirs.filter(|run| !run.state.is_final() || is_settled(run)) {
                return Ok(run.run_id);
            }
            // Who has just taken the pipeline records its run, with the key, in a moment.
            if key.is_none() || is_recorded {
                break;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Err(Refusal::Active(None))
    }

    /// As [`Dispatcher::take_over`].
    async fn take_over(self: Arc<Self>, pipeline: Arc<Pipeline>) -> Result<()> {
        let mut active = self.active.lock().await;
        let is_busy = active.contains_key(&pipeline.name) || active.len() >= MAX_ACTIVE;
        if is_busy || self.stopping.is_cancelled() {
            return Ok(());
        }
        let Some(lease) = self.ledger.lease(&pipeline.name).await? else { return Ok(()) };
        let taken = self.ledger.take_over(&pipeline.name, &pipeline.digest, &lease).await?;
        for run_id in &taken.interrupted {
            tracing::warn!(%run_id, pipeline = %pipeline.name, "marked as interrupted: its daemon is lost");
        }
        let Some((run_id, trigger)) = taken.queued else {
            lease.end().await;
            return Ok(());
        };
        let subject = format!("{} {run_id}", pipeline.name);
        if let Err(error) = audit::record(&self.ledger, "takeover", Action::RunTrigger, &subject).await {
            self.conclude(&run_id, &Err(error.clone())).await;
            return Err(error);
        }
        self.begin(&mut active, pipeline, run_id, trigger, lease);
        Ok(())
    }

    /// The run that is there under the key.
    async fn asked_under(
        &self,
        key: Option<&RequestKey>,
        pipeline: &PipelineName,
    ) -> Result<Option<Run>, Refusal> {
        let Some(key) = key else { return Ok(None) };
        match self.ledger.asked_under(key).await? {
            Some(run) if run.pipeline != pipeline.as_str() => Err(Refusal::OtherPipeline),
            found => Ok(found),
        }
    }

    /// Carries one run from the queue to its end. The lease lives as long as the run.
    async fn carry(
        self: Arc<Self>,
        pipeline: Arc<Pipeline>,
        run_id: RunId,
        cancel: CancellationToken,
        lease: Lease,
    ) {
        let work = self.attempt(&pipeline, &run_id, cancel.clone());
        let result = lease.guard(&cancel, work).await;
        let is_cancelled = matches!(&result, Err(error) if matches!(error.kind(), Kind::Cancelled(_)));
        if is_cancelled && self.stopping.is_cancelled() {
            self.cancelled_by_stop.fetch_add(1, Ordering::AcqRel);
        }
        // Held from before its end can be seen, so that who saw it finds the pipeline free.
        let mut active = self.active.lock().await;
        self.conclude(&run_id, &result).await;
        if let Ok(Some(run)) = self.ledger.run(&run_id).await {
            self.metrics.run_ended(&run);
        }
        match &result {
            Ok(()) => tracing::info!(%run_id, pipeline = %pipeline.name, "succeeded"),
            Err(error) => {
                tracing::warn!(%run_id, pipeline = %pipeline.name, error = %error, "did not succeed");
            }
        }
        lease.end().await;
        active.remove(&pipeline.name);
        drop(active);
        self.ended.notify_waiters();
    }

    async fn attempt(&self, pipeline: &Pipeline, run_id: &RunId, cancel: CancellationToken) -> Result<()> {
        let _slot = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled("cancelled before it began")),
            () = self.stopping.cancelled() => return Err(cancelled("the daemon stopped before it began")),
            slot = self.slots.acquire() => slot.map_err(|_| cancelled("the daemon is gone"))?,
        };
        self.ledger.start(run_id).await?;
        let work = AssertUnwindSafe(self.runner.run(run_id, pipeline, cancel)).catch_unwind();
        tokio::select! {
            result = work => result.unwrap_or_else(|_| Err(Error::failed("the run crashed")
                .help("this is a fault of sealift; the log of the daemon tells where"))),
            () = self.abandon.cancelled() => Err(cancelled("the daemon stopped")),
        }
    }

    /// An end that cannot be recorded leaves the run unfinished in the ledger; the next start finds
    /// its lease free and marks it as interrupted.
    async fn conclude(&self, run_id: &RunId, result: &Result<()>) {
        if let Err(error) = self.ledger.conclude(run_id, result).await {
            tracing::error!(%run_id, %error, "the end of the run could not be recorded");
        }
    }
}

/// Whether a run came to an end that another one would come to as well, or to its success.
fn is_settled(run: &Run) -> bool {
    let kind = run.outcome.as_deref().and_then(Kind::of_outcome);
    run.state.is_final() && !kind.is_some_and(|kind| kind.meaning().retry)
}

fn cancelled(message: &str) -> Error {
    Error::new(Kind::Cancelled(15), message)
}
