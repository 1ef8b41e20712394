//! Takes on what other processes left, and lets wait what waits in the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Dispatcher, Refusal, Shared, Waiting};
use crate::error::{Error, Result};
use crate::govern::store::now_ms;
use crate::run::ledger::{Lease, Run, RunId, State, Trigger, Waits};
use crate::spec::schedule::Retry;
use crate::spec::{Pipeline, PipelineName};

/// How long a run may wait while no daemon has it.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(1);
/// How often an attempt that was lost with its daemon is followed by another one for that alone: a run that ends each
/// daemon that begins it must not end them all for ever.
const MOST_LOST: u32 = 3;

impl Dispatcher {
    /// Takes on what waits in the ledger, and what other processes were at that are gone, where a further attempt is due.
    /// The runs that they were at otherwise are marked as interrupted.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn take_over(&self) -> Result<()> {
        self.0.free_left().await?;
        self.look_at_pauses().await?;
        self.adopt().await
    }

    /// Takes on what waits in the ledger, and lets go what does not wait there any more.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(in crate::serve) async fn adopt(&self) -> Result<()> {
        self.0.end_abandoned().await?;
        self.0.adopt().await
    }

    /// Says in the ledger that what waits here does, so that no daemon takes it for abandoned, and forgets the keys of
    /// runs that are over for long.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(in crate::serve) async fn keep_records(&self) -> Result<()> {
        let waiting: Vec<RunId> =
            self.0.board().all_waiting().into_iter().map(|(_, run_id, _)| run_id).collect();
        self.0.ledger.still_wait(&waiting).await?;
        while self.0.ledger.forget_old_keys().await? {
            // Others write in between.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl Dispatcher {
    /// Holds a pipeline of which no run waits or is under way, in any process.
    ///
    /// # Errors
    /// `Active` or `Elsewhere` where one does or is, `Ledger` where it cannot be told.
    pub async fn hold_idle(&self, pipeline: &PipelineName) -> Result<Lease, Refusal> {
        let ledger = &self.0.ledger;
        let Some(lease) = self.0.free(pipeline).await? else {
            let theirs = ledger.in_processes(Some(pipeline)).await?;
            return Err(Refusal::Elsewhere(theirs.first().map(|run| run.run_id)));
        };
        // Whoever left something: it waits by now, or is over.
        let Some(waiting) = ledger.unfinished(Some(pipeline)).await?.pop() else { return Ok(lease) };
        lease.end().await;
        Err(Refusal::Active(waiting.run_id))
    }
}

impl Shared {
    /// The lease of a pipeline that nobody runs. Nobody else holds it, so what is unfinished was left by a process that
    /// is gone: it waits for its next attempt, or is over.
    pub(super) async fn free(&self, pipeline: &PipelineName) -> Result<Option<Lease>> {
        let Some(lease) = self.ledger.lease(pipeline).await? else { return Ok(None) };
        let known = self.registry.get(pipeline);
        let mut is_over = false;
        for run in self.ledger.in_processes(Some(pipeline)).await? {
            let next = known.as_ref().and_then(|known| Some((known, self.next_of(&run, known)?)));
            match next {
                Some((known, pause)) => self.give_back(run, known, &lease, pause).await?,
                None => is_over = true,
            }
        }
        if is_over {
            for run_id in self.ledger.bury(pipeline, &lease).await? {
                tracing::warn!(%run_id, %pipeline, "marked as interrupted");
            }
        }
        Ok(Some(lease))
    }

    /// How long after its process was lost a run is tried again; `None` where it is over.
    fn next_of(&self, run: &Run, pipeline: &Pipeline) -> Option<Duration> {
        if run.state != State::Running || run.trigger == Trigger::Cli || run.is_to_stop {
            return None;
        }
        if self.ledger.lease_length().is_some() && run.attempt <= MOST_LOST {
            // It waited for as long as its lease stood.
            return Some(Duration::ZERO);
        }
        pipeline.retry.pause(run.attempt, (now() - run.created_at).to_std().unwrap_or_default())
    }

    /// Has a run make its next attempt, here or with whoever is faster.
    async fn give_back(&self, run: Run, known: &Arc<Pipeline>, lease: &Lease, pause: Duration) -> Result<()> {
        let (attempt, not_before) = (run.attempt.saturating_add(1), now() + pause);
        self.ledger.give_back(&run, lease, attempt, not_before, "interrupted: its process ended").await?;
        tracing::warn!(run_id = %run.run_id, pipeline = %known.name, attempt, "was interrupted, and is tried again");
        self.wait(known, &Run { attempt, not_before: Some(not_before), ..run });
        Ok(())
    }

    /// Frees every pipeline of which a run is under way, or was about to be, while nobody holds its lease.
    async fn free_left(&self) -> Result<()> {
        let is_shared = self.ledger.lease_length().is_some();
        let mut left = BTreeSet::new();
        for run in self.ledger.orphans().await? {
            let Ok(name) = PipelineName::parse(&run.pipeline) else { continue };
            let alive_at = run.heartbeat_at.or(run.started_at).unwrap_or(run.created_at);
            // One that is not known here is for a daemon that knows it, as long as one may come.
            if !is_shared || self.registry.get(&name).is_some() || now() - alive_at > LONGEST_WAIT {
                left.insert(name);
            }
        }
        for name in left {
            if let Some(lease) = self.free(&name).await? {
                lease.end().await;
            }
        }
        Ok(())
    }

    /// Ends what no daemon had for long, because none runs, or none knows the pipeline.
    async fn end_abandoned(&self) -> Result<()> {
        for run in self.ledger.abandoned(now() - LONGEST_WAIT).await? {
            let Ok(name) = PipelineName::parse(&run.pipeline) else { continue };
            if self.board().has(&name, &run.run_id) {
                continue;
            }
            let over =
                Error::temporary("interrupted: no daemon took it on within a day").help("trigger it again");
            if self.conclude(&run.run_id, &name, &Err(over)).await.is_err() {
                // Another daemon may be at the same: the next look finds what is left.
                continue;
            }
            self.ends.ring(&run.run_id);
        }
        Ok(())
    }

    /// Lets runs wait here that wait in the ledger, and those no more that do not: another daemon has them, or had.
    async fn adopt(&self) -> Result<()> {
        let (here, most) = {
            let board = self.board();
            (board.all_waiting(), board.most_waiting())
        };
        let queued = self.ledger.waiting(most).await?;
        let known: BTreeSet<RunId> = queued.iter().map(|run| run.run_id).collect();
        // Up to when the list has all there are.
        let last = queued.last().filter(|_| queued.len() >= most);
        let all_until_ms = last.map_or(i64::MAX, |run| run.asked_ms);
        for (name, run_id, asked_ms) in here {
            if asked_ms < all_until_ms && !known.contains(&run_id) {
                self.board().take(&name, &run_id);
            }
        }
        // One that is not known here is for another daemon, or its document is to be mended.
        let known_here =
            |pipeline: &str| PipelineName::parse(pipeline).ok().and_then(|name| self.registry.get(&name));
        let is_new = |run: &Waits| {
            known_here(&run.pipeline).is_some_and(|pipeline| !self.board().has(&pipeline.name, &run.run_id))
        };
        let new: Vec<RunId> = queued.iter().filter(|run| is_new(run)).map(|run| run.run_id).collect();
        let mut new = self.ledger.still_waiting(&new).await?;
        new.sort_by_key(|run| (run.created_at, run.run_id));
        for run in &new {
            let Some(pipeline) = known_here(&run.pipeline) else { continue };
            let has_room = {
                let board = self.board();
                !board.is_full() && !board.has(&pipeline.name, &run.run_id)
            };
            if has_room {
                self.wait(&pipeline, run);
            }
        }
        Ok(())
    }

    /// Lets a recorded run wait here, unless one of its pipeline does.
    pub(super) fn wait(&self, pipeline: &Arc<Pipeline>, run: &Run) {
        let waiting = Waiting {
            run_id: run.run_id,
            pipeline: Arc::clone(pipeline),
            asked_ms: run.created_at.timestamp_millis(),
            attempt: run.attempt,
            not_before: not_before(run, &pipeline.retry),
            cancel: CancellationToken::new(),
            asker: tracing::Span::current(),
        };
        self.board().wait(waiting);
        self.changed.notify_one();
    }
}

/// When the attempt that waits may begin. No pause is longer than any may be, whatever became of the clock meanwhile.
pub(super) fn not_before(run: &Run, retry: &Retry) -> Option<Instant> {
    let left = run.not_before.and_then(|at| (at - now()).to_std().ok())?;
    Some(Instant::now() + left.min(retry.max_backoff))
}

/// Now, by the clock that stamps the ledger.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now_ms()).unwrap_or_default()
}
