//! Takes runs on: each wanted run once, whoever asks for it how often.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Dispatcher, Refusal, Shared, Waiting};
use crate::error::{Error, Kind, Result};
use crate::govern::store::now_ms;
use crate::run::ledger::{Lease, Order, Run, RunId, State, Trigger, Under};
use crate::spec::{Pipeline, PipelineName};

/// How long a run may wait for a daemon that takes it on.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(1);

/// How often an attempt that was lost with its daemon is followed by another one for that alone: a run that ends each
/// daemon that begins it must not end them all for ever.
const MOST_LOST: u32 = 3;
/// How often, and how long after each other, it is looked for what another process is about to record.
const LOOKS: u32 = 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A run that is asked for.
pub(super) struct Asked {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) actor: String,
    pub(super) under: Under,
    /// Whether it is taken although the pipeline has a run under way.
    pub(super) may_wait: bool,
}

impl Dispatcher {
    /// Takes on what earlier processes queued, and what they were at where a further attempt is due. The runs that
    /// they were at otherwise are marked as interrupted.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn take_over(&self) -> Result<()> {
        self.0.bury_interrupted().await?;
        self.look_at_pauses().await?;
        self.0.adopt().await
    }
}

impl Shared {
    /// Takes a run on, or says which one is it already; `None` for a turn that is taken.
    pub(super) async fn take(self: Arc<Self>, asked: Asked) -> Result<Option<RunId>, Refusal> {
        let name = &asked.pipeline.name;
        // Of two that ask at once one finds the other's run.
        let _turn = self.turn(name).await;
        let earlier = self.asked_under(&asked.under, name).await?;
        let (running, waiting, is_full) = {
            let board = self.board();
            (board.running(name), board.waiting(name), board.is_full())
        };
        let is_here = |run: &Run| running == Some(run.run_id) || waiting == Some(run.run_id);
        if let Some(run) = earlier.as_ref().filter(|run| is_here(run) || is_settled(run)) {
            return Ok(Some(run.run_id));
        }
        if self.stopping.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        if let Some(active) = waiting.or(running.filter(|_| !asked.may_wait)) {
            return Err(Refusal::Active(Some(active)));
        }
        if is_full {
            return Err(Refusal::Full);
        }
        if let Some(run) =
            earlier.as_ref().filter(|run| run.state == State::Queued && !run.needs_its_process())
        {
            // A daemon that is gone had queued it, or another one has: whoever comes first runs it.
            self.wait(run.run_id, &asked.pipeline, run);
            return Ok(Some(run.run_id));
        }
        let lease = match running {
            // This process holds it.
            Some(_) => None,
            // Held until the run is recorded, so that no other process begins one in between.
            None => self.free(name).await?,
        };
        let lease = match lease {
            None if running.is_none() && !asked.may_wait => {
                match self.elsewhere(&asked, earlier.as_ref()).await? {
                    Ok(lease) => Some(lease),
                    Err(theirs) => return Ok(Some(theirs)),
                }
            }
            lease => lease,
        };
        if running.is_none()
            && !asked.may_wait
            && let Some(theirs) = self.queued_elsewhere(&asked).await?
        {
            return Ok(Some(theirs));
        }
        let Some(run_id) = self.queue(&asked, earlier.as_ref()).await? else {
            // Another process was faster.
            let theirs = self.asked_under(&asked.under, name).await?;
            return Ok(theirs.map(|run| run.run_id));
        };
        if let Some(lease) = lease {
            lease.end().await;
        }
        let new = Waiting {
            run_id,
            pipeline: Arc::clone(&asked.pipeline),
            asked_ms: now_ms(),
            attempt: 1,
            not_before: None,
            cancel: CancellationToken::new(),
            asker: tracing::Span::current(),
        };
        tracing::info!(%run_id, pipeline = %name, trigger = %asked.under.trigger(), "queued");
        self.board().wait(new);
        self.changed.notify_one();
        Ok(Some(run_id))
    }

    /// The lease of a pipeline that another process had a moment ago, or its run that is meant.
    async fn elsewhere(&self, asked: &Asked, earlier: Option<&Run>) -> Result<Result<Lease, RunId>, Refusal> {
        if let Some(run) = earlier.filter(|run| !run.state.is_final()) {
            return Ok(Err(run.run_id));
        }
        let name = &asked.pipeline.name;
        // Where daemons share the store, another one may hold it for no longer than it takes to record a run.
        for _ in 0..LOOKS {
            if self.ledger.lease_length().is_none() || !self.ledger.in_processes(Some(name)).await?.is_empty()
            {
                break;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Some(lease) = self.free(name).await? {
                return Ok(Ok(lease));
            }
        }
        let theirs = self.asked_under(&asked.under, name).await?;
        let theirs = theirs.filter(|run| !run.state.is_final() || is_settled(run));
        theirs.map(|run| Err(run.run_id)).ok_or(Refusal::Active(None))
    }

    /// Where daemons share the store: the run that another one has recorded of a pipeline that nobody runs, if it is the
    /// one that is meant.
    async fn queued_elsewhere(&self, asked: &Asked) -> Result<Option<RunId>, Refusal> {
        if self.ledger.lease_length().is_none() {
            return Ok(None);
        }
        let name = &asked.pipeline.name;
        let Some(waiting) = self.ledger.unfinished(Some(name)).await?.pop() else { return Ok(None) };
        match self.asked_under(&asked.under, name).await? {
            Some(run) if run.run_id == waiting.run_id => Ok(Some(run.run_id)),
            _ => Err(Refusal::Active(Some(waiting.run_id))),
        }
    }

    /// The lease of a pipeline that nobody runs. Nobody else holds it, so what is unfinished was left by a process that
    /// is gone.
    pub(super) async fn free(&self, pipeline: &PipelineName) -> Result<Option<Lease>> {
        let Some(lease) = self.ledger.lease(pipeline).await? else { return Ok(None) };
        self.bury(pipeline, &lease).await?;
        Ok(Some(lease))
    }

    async fn bury(&self, pipeline: &PipelineName, lease: &Lease) -> Result<()> {
        for run_id in self.ledger.bury(pipeline, lease).await? {
            tracing::warn!(%run_id, %pipeline, "marked as interrupted");
        }
        Ok(())
    }

    /// Records the run and that it was asked for; `None` where another process was faster.
    async fn queue(&self, asked: &Asked, instead_of: Option<&Run>) -> Result<Option<RunId>, Refusal> {
        let order = Order {
            pipeline: asked.pipeline.name.clone(),
            spec_digest: asked.pipeline.digest.clone(),
            actor: asked.actor.clone(),
            under: asked.under.clone(),
            instead_of: instead_of.map(|run| run.run_id),
        };
        Ok(self.desk.take(order).await?)
    }

    /// The run that is there under the key.
    async fn asked_under(&self, under: &Under, pipeline: &PipelineName) -> Result<Option<Run>, Refusal> {
        let Under::Key(_, key) = under else { return Ok(None) };
        match self.ledger.asked_under(key).await? {
            Some(run) if run.pipeline != pipeline.as_str() => Err(Refusal::OtherPipeline),
            found => Ok(found),
        }
    }

    /// Lets a recorded run wait here; false when one of its pipeline does.
    fn wait(&self, run_id: RunId, pipeline: &Arc<Pipeline>, run: &Run) -> bool {
        let until = run.not_before.and_then(|at| (at - now()).to_std().ok());
        let waiting = Waiting {
            run_id,
            pipeline: Arc::clone(pipeline),
            asked_ms: run.created_at.timestamp_millis(),
            attempt: run.attempt,
            not_before: until.map(|left| Instant::now() + left),
            cancel: CancellationToken::new(),
            asker: tracing::Span::current(),
        };
        let waits = self.board().wait(waiting);
        self.changed.notify_one();
        waits
    }

    /// Runs that are under way while nobody holds their pipeline's lease have no process any more.
    async fn bury_interrupted(&self) -> Result<()> {
        for run in self.ledger.orphans().await? {
            let Ok(name) = PipelineName::parse(&run.pipeline) else { continue };
            let is_shared = self.ledger.lease_length().is_some();
            if is_shared && self.registry.get(&name).is_none() {
                // For a daemon that knows the pipeline.
                continue;
            }
            let Some(lease) = self.ledger.lease(&name).await? else { continue };
            match self.next_of(&run) {
                Some(pause) => {
                    let (next, not_before) = (run.attempt.saturating_add(1), now() + pause);
                    let why = "interrupted: its process ended";
                    self.ledger.give_back(&run, &lease, next, not_before, why).await?;
                    tracing::warn!(run_id = %run.run_id, pipeline = %name, "was interrupted, and is tried again");
                }
                None => self.bury(&name, &lease).await?,
            }
            lease.end().await;
        }
        Ok(())
    }

    /// How long after its process was lost a run is tried again; `None` where it is over.
    fn next_of(&self, run: &Run) -> Option<Duration> {
        if run.state != State::Running || run.trigger == Trigger::Cli {
            return None;
        }
        if self.ledger.lease_length().is_some() && run.attempt <= MOST_LOST {
            // It waited for as long as its lease stood.
            return Some(Duration::ZERO);
        }
        let pipeline = PipelineName::parse(&run.pipeline).ok().and_then(|name| self.registry.get(&name));
        let retry = pipeline.map(|pipeline| pipeline.retry).unwrap_or_default();
        retry.pause(run.attempt, (now() - run.created_at).to_std().unwrap_or_default())
    }

    /// Lets runs wait here that wait in the ledger.
    async fn adopt(&self) -> Result<()> {
        let most = self.board().room();
        for run in self.ledger.waiting(most).await? {
            let pipeline = PipelineName::parse(&run.pipeline).ok().and_then(|name| self.registry.get(&name));
            let refused = match &pipeline {
                // It may be one of another daemon's.
                None if self.ledger.lease_length().is_some() => continue,
                None => Error::failed("the pipeline is no longer there"),
                Some(_) if now() - run.not_before.unwrap_or(run.created_at) > LONGEST_WAIT => {
                    Error::temporary("interrupted: no daemon took it on within a day")
                        .help("trigger it again")
                }
                Some(pipeline) => {
                    // One that is about to begin here waits no more.
                    let is_beginning = self.board().running(&pipeline.name) == Some(run.run_id);
                    if !is_beginning {
                        self.wait(run.run_id, pipeline, &run);
                    }
                    continue;
                }
            };
            self.ledger.conclude(&run.run_id, &Err(refused)).await?;
        }
        Ok(())
    }
}

/// Now, by the clock that stamps the ledger.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now_ms()).unwrap_or_default()
}

/// Whether a run came to an end that another one would come to as well, or to its success.
fn is_settled(run: &Run) -> bool {
    let kind = run.outcome.as_deref().and_then(Kind::of_outcome);
    run.state.is_final() && !kind.is_some_and(|kind| kind.meaning().retry)
}
