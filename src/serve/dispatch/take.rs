//! Takes runs on: each wanted run once, whoever asks for it how often.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Refusal, Shared, Waiting};
use crate::error::{Kind, Result};
use crate::govern::store::now_ms;
use crate::run::ledger::{Lease, Order, Run, RunId, State, Under};
use crate::spec::{Pipeline, PipelineName};

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

impl Shared {
    /// Takes a run on, or says which one is it already; `None` for a turn that is taken.
    pub(super) async fn take(self: Arc<Self>, asked: Asked) -> Result<Option<RunId>, Refusal> {
        let name = &asked.pipeline.name;
        // Of two that ask at once one finds the other's run.
        let _turn = self.turn(name).await;
        let earlier = self.asked_under(&asked.under, name).await?;
        let waiting = self.waiting(name).await?;
        let (running, is_full) = {
            let board = self.board();
            (board.running(name), board.is_full())
        };
        let is_here = |run: &Run| running == Some(run.run_id) || waiting == Some(run.run_id);
        if let Some(run) = earlier.as_ref().filter(|run| is_here(run) || is_settled(run)) {
            return Ok(Some(run.run_id));
        }
        if self.stopping.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        if let Some(active) = waiting.or(running.filter(|_| !asked.may_wait)) {
            return Err(Refusal::Active(active));
        }
        if is_full {
            return Err(Refusal::Full);
        }
        if let Some(run) =
            earlier.as_ref().filter(|run| run.state == State::Queued && !run.needs_its_process())
        {
            // A daemon that is gone had queued it, or another one has: whoever comes first runs it.
            self.wait(&asked.pipeline, run);
            return Ok(Some(run.run_id));
        }
        let lease = match running {
            // This process holds it.
            Some(_) => None,
            // Held until the run is recorded, so that no other process begins one in between.
            None => self.free(name).await?,
        };
        // What a process that is gone was at may wait here by now.
        let given_back = self.board().waiting(name);
        if let Some(active) = given_back {
            if let Some(lease) = lease {
                lease.end().await;
            }
            let is_meant = earlier.as_ref().is_some_and(|run| run.run_id == active);
            return if is_meant { Ok(Some(active)) } else { Err(Refusal::Active(active)) };
        }
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
        if let Some(run) = theirs.filter(|run| !run.state.is_final() || is_settled(run)) {
            return Ok(Err(run.run_id));
        }
        let active = self.ledger.in_processes(Some(name)).await?.first().map(|run| run.run_id);
        Err(Refusal::Elsewhere(active))
    }

    /// The run of a pipeline that waits here. One that does not wait in the ledger any more, because another daemon has
    /// it, or had, waits here no longer.
    async fn waiting(&self, pipeline: &PipelineName) -> Result<Option<RunId>, Refusal> {
        let Some(run_id) = self.board().waiting(pipeline) else { return Ok(None) };
        match self.ledger.run(&run_id).await? {
            Some(run) if run.state == State::Queued => Ok(Some(run_id)),
            _ => {
                self.board().take(pipeline, &run_id);
                Ok(None)
            }
        }
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
            _ => Err(Refusal::Active(waiting.run_id)),
        }
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
}

/// Whether a run came to an end that another one would come to as well, or to its success.
fn is_settled(run: &Run) -> bool {
    let kind = run.outcome.as_deref().and_then(Kind::of_outcome);
    run.state.is_final() && !kind.is_some_and(|kind| kind.meaning().retry)
}
