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

/// A run that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which one.
    pub run_id: RunId,
    /// Whether it is there because of this; else it was there already.
    pub is_new: bool,
}

/// A pipeline of which a run is to be recorded.
enum Held {
    /// By who runs it, this process or another: the new run waits for that.
    ByWhoRunsIt,
    /// By this, until the run is recorded.
    Until(Lease),
    /// The run that is meant is there already.
    Meant(RunId),
}

impl Taken {
    const fn known(run_id: RunId) -> Self {
        Self { run_id, is_new: false }
    }
}

impl Shared {
    /// Takes a run on, or says which one is it already; `None` for a turn that is taken.
    pub(super) async fn take(self: Arc<Self>, asked: Asked) -> Result<Option<Taken>, Refusal> {
        let name = &asked.pipeline.name;
        // Of two that ask at once one finds the other's run.
        let _turn = self.turn(name).await;
        if let Some(run_id) = self.take_idle(&asked).await? {
            return Ok(Some(self.taken(asked, run_id)));
        }
        let earlier = self.asked_under(&asked.under, name).await?;
        let waiting = self.waiting(name).await?;
        let running = self.board().running(name);
        if let Some(run_id) = self.known(&asked, earlier.as_ref(), waiting, running)? {
            return Ok(Some(Taken::known(run_id)));
        }
        let lease = match self.hold(&asked, earlier.as_ref(), running).await? {
            Held::ByWhoRunsIt => None,
            Held::Until(lease) => Some(lease),
            Held::Meant(run_id) => return Ok(Some(Taken::known(run_id))),
        };
        let Some(run_id) = self.queue(&asked, earlier.as_ref(), false).await? else {
            // Another process was faster.
            let theirs = self.asked_under(&asked.under, name).await?;
            return Ok(theirs.map(|run| Taken::known(run.run_id)));
        };
        if let Some(lease) = lease {
            lease.end().await;
        }
        Ok(Some(self.taken(asked, run_id)))
    }

    /// A run of a pipeline that has none, under a key that has none, as nearly all are: what there is of either is looked
    /// for together with recording it. `None` where it is not like that.
    async fn take_idle(&self, asked: &Asked) -> Result<Option<RunId>, Refusal> {
        let name = &asked.pipeline.name;
        let is_idle = {
            let board = self.board();
            board.running(name).or(board.waiting(name)).is_none() && !board.is_full()
        };
        if !is_idle || self.stopping.is_cancelled() {
            return Ok(None);
        }
        let Ok(Some(lease)) = self.ledger.lease(name).await else { return Ok(None) };
        let taken = self.queue(asked, None, true).await;
        lease.end().await;
        match (taken, &asked.under) {
            // A run that is there can be told of by a store that cannot record one.
            (Err(Refusal::Ledger(_)), Under::Key(..)) => Ok(None),
            (taken, _) => taken,
        }
    }

    /// A run that is recorded waits here.
    fn taken(&self, asked: Asked, run_id: RunId) -> Taken {
        let Asked { pipeline, under, .. } = asked;
        tracing::info!(%run_id, pipeline = %pipeline.name, trigger = %under.trigger(), "queued");
        let new = Waiting {
            run_id,
            pipeline,
            asked_ms: now_ms(),
            attempt: 1,
            not_before: None,
            cancel: CancellationToken::new(),
            asker: tracing::Span::current(),
        };
        self.board().wait(new);
        self.changed.notify_one();
        Taken { run_id, is_new: true }
    }

    /// The run that is meant, where there is one already: it waits here from now on, where it waits. `None` where a new one
    /// may be recorded as far as this process knows.
    fn known(
        &self,
        asked: &Asked,
        earlier: Option<&Run>,
        waiting: Option<RunId>,
        running: Option<RunId>,
    ) -> Result<Option<RunId>, Refusal> {
        let is_here = |run: &Run| running == Some(run.run_id) || waiting == Some(run.run_id);
        if let Some(run) = earlier.filter(|run| is_here(run) || is_settled(run)) {
            return Ok(Some(run.run_id));
        }
        if self.stopping.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        if let Some(active) = waiting.or(running.filter(|_| !asked.may_wait)) {
            return Err(Refusal::Active(active));
        }
        if self.board().is_full() {
            return Err(Refusal::Full);
        }
        let left = earlier.filter(|run| run.state == State::Queued && !run.needs_its_process());
        if let Some(run) = left {
            // A daemon that is gone had queued it, or another one has: whoever comes first runs it.
            self.wait(&asked.pipeline, run);
        }
        Ok(left.map(|run| run.run_id))
    }

    /// Holds the pipeline until its run is recorded, so that no other process begins one in between, or finds the run that
    /// is meant.
    async fn hold(
        &self,
        asked: &Asked,
        earlier: Option<&Run>,
        running: Option<RunId>,
    ) -> Result<Held, Refusal> {
        let name = &asked.pipeline.name;
        if running.is_some() {
            return Ok(Held::ByWhoRunsIt);
        }
        let lease = self.free(name).await?;
        // What a process that is gone was at may wait here by now.
        let given_back = self.board().waiting(name);
        if let Some(active) = given_back {
            if let Some(lease) = lease {
                lease.end().await;
            }
            let is_meant = earlier.is_some_and(|run| run.run_id == active);
            return if is_meant { Ok(Held::Meant(active)) } else { Err(Refusal::Active(active)) };
        }
        let lease = match lease {
            Some(lease) => lease,
            None if asked.may_wait => return Ok(Held::ByWhoRunsIt),
            None => match self.elsewhere(asked, earlier).await? {
                Ok(lease) => lease,
                Err(theirs) => return Ok(Held::Meant(theirs)),
            },
        };
        if asked.may_wait {
            return Ok(Held::Until(lease));
        }
        match self.queued_elsewhere(asked).await? {
            Some(theirs) => Ok(Held::Meant(theirs)),
            None => Ok(Held::Until(lease)),
        }
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

    /// Records the run and that it was asked for; `None` where another process was faster, or the pipeline is not idle and
    /// is to be.
    async fn queue(
        &self,
        asked: &Asked,
        instead_of: Option<&Run>,
        if_idle: bool,
    ) -> Result<Option<RunId>, Refusal> {
        let order = Order {
            pipeline: asked.pipeline.name.clone(),
            spec_digest: asked.pipeline.digest.clone(),
            actor: asked.actor.clone(),
            under: asked.under.clone(),
            instead_of: instead_of.map(|run| run.run_id),
            if_idle,
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
