//! Carries a run through one attempt, to its end or to the next attempt.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::adopt::not_before;
use super::board::ELSEWHERE_PAUSE;
use super::{Shared, Waiting, cancelled};
use crate::error::{Error, Kind, Result};
use crate::govern::store::{in_time, now_ms};
use crate::run::ledger::{Lease, RunId, State};
use crate::serve::traces;
use crate::spec::PipelineName;

/// How often a run says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long recording what became of a run may take, before it is tried anew.
const RECORD_LIMIT: Duration = Duration::from_mins(1);
/// How soon it is tried again, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether an attempt could begin.
enum Begun {
    Under(Lease, Waiting),
    /// It waits on, like this.
    NotYet(Waiting),
    /// It is over, another daemon has it, or it is for one that knows its pipeline.
    Gone,
    Failed(Error),
}

impl Shared {
    /// One attempt of a run that counts as under way.
    pub(super) async fn carry(self: Arc<Self>, run: Waiting) {
        match self.begin(run.clone()).await {
            Begun::Under(lease, run) => {
                self.ends.ring_in(&run.run_id);
                self.heed(&run).await;
                let result = lease.guard(&run.cancel, self.work(&run)).await;
                if lease.is_lost() && result.is_err() {
                    // Who takes the pipeline finds it under way and without a lease, as it would after a crash.
                    tracing::warn!(run_id = %run.run_id, pipeline = %run.pipeline.name, "given up: the lease is lost");
                    self.ledger.forget(&run.run_id);
                    lease.end().await;
                    self.leave(&run);
                } else {
                    self.end(run, lease, result).await;
                }
            }
            Begun::NotYet(run) => self.put_back(run).await,
            Begun::Gone => {
                self.pass_on(&run).await;
                self.leave(&run);
            }
            Begun::Failed(error) => self.end_unbegun(run, error).await,
        }
    }

    /// A run under way waits again: here, or where another one of its pipeline does or the daemon stops, in the ledger
    /// alone, for who adopts it.
    async fn put_back(&self, run: Waiting) {
        {
            let mut board = self.board();
            if !run.cancel.is_cancelled() {
                board.end(&run.pipeline.name);
                if !self.stopping.is_cancelled() {
                    board.wait(run);
                }
                self.changed.notify_one();
                return;
            }
        }
        self.end_unbegun(run, cancelled("cancelled before it began")).await;
    }

    /// Ends a run that waits in the ledger and counts as under way. Where that cannot be recorded it waits on, to be ended.
    async fn end_unbegun(&self, run: Waiting, error: Error) {
        if !self.finish(&run, &Err(error)).await && self.may_wait_in_the_ledger(&run.run_id).await {
            let mut board = self.board();
            board.end(&run.pipeline.name);
            if !self.stopping.is_cancelled() {
                board.wait(a_little_later(run));
            }
            drop(board);
            self.changed.notify_one();
            return;
        }
        self.pass_on(&run).await;
        self.leave(&run);
    }

    /// Whether a run waits for an attempt, or nobody can tell.
    async fn may_wait_in_the_ledger(&self, run_id: &RunId) -> bool {
        let known = self.ledger.run(run_id).await;
        known.map_or(true, |known| known.is_some_and(|known| known.state == State::Queued))
    }

    /// Begins an attempt, by the document that is in force now.
    async fn begin(&self, run: Waiting) -> Begun {
        if run.cancel.is_cancelled() {
            return Begun::Failed(cancelled("cancelled before it began"));
        }
        let run = match self.registry.get(&run.pipeline.name) {
            Some(pipeline) if pipeline.connection == run.pipeline.connection => Waiting { pipeline, ..run },
            // Its place is one of the other connection.
            Some(pipeline) => return Begun::NotYet(Waiting { pipeline, ..run }),
            None if self.ledger.lease_length().is_some() => return Begun::Gone,
            None => return Begun::Failed(cancelled("the pipeline is no longer there")),
        };
        let begun = match self.free(&run.pipeline.name).await {
            Ok(Some(lease)) => {
                let begun = self.ledger.begin(&run.run_id, run.attempt, &run.pipeline.digest).await;
                begun.map(|has_begun| has_begun.then_some(lease))
            }
            none => none,
        };
        match begun {
            Ok(Some(lease)) => Begun::Under(lease, run),
            Ok(None) => self.as_it_stands(run).await,
            Err(error) if error.kind().meaning().retry => Begun::NotYet(a_little_later(run)),
            Err(error) => Begun::Failed(error),
        }
    }

    /// A run that could not begin, as it is by now: another process may be at its pipeline, or at the run itself.
    async fn as_it_stands(&self, run: Waiting) -> Begun {
        match self.ledger.run(&run.run_id).await {
            Ok(Some(known)) if known.state == State::Queued => {
                let not_before = not_before(&known, &run.pipeline.retry);
                let later = a_little_later(Waiting { attempt: known.attempt, ..run });
                Begun::NotYet(Waiting { not_before: not_before.max(later.not_before), ..later })
            }
            Ok(_) => Begun::Gone,
            Err(_) => Begun::NotYet(a_little_later(run)),
        }
    }

    /// A run may have been told to stop between two of its attempts, by way of another daemon.
    async fn heed(&self, run: &Waiting) {
        if run.attempt == 1 {
            return;
        }
        match self.ledger.run(&run.run_id).await {
            Ok(Some(known)) if known.is_to_stop => run.cancel.cancel(),
            // Else its first heartbeat finds it.
            _ => {}
        }
    }

    /// Lets the runner work, for as long as it may.
    async fn work(&self, run: &Waiting) -> Result<()> {
        let _running = self.metrics.running();
        let stop = run.cancel.child_token();
        let work = AssertUnwindSafe(self.runner.run(&run.run_id, &run.pipeline, stop.clone())).catch_unwind();
        let limit = sleep(run.pipeline.timeout);
        let patience = self.patience(&stop);
        // Beside all that, since the store may take its time to record them.
        let beats = self.beat(run);
        tokio::pin!(work, limit, patience, beats);
        let (mut is_late, mut is_cut) = (false, false);
        loop {
            tokio::select! {
                result = &mut work => return match result {
                    Ok(Err(error)) if is_late && is_cancelled(&error) => Err(too_long(run)),
                    Ok(result) => result,
                    Err(_) => Err(Error::failed("the run crashed")
                        .help("this is a fault of sealift; the log of the daemon tells where")),
                },
                () = &mut limit, if !is_late => {
                    is_late = true;
                    stop.cancel();
                }
                () = self.cut.cancelled(), if !is_cut => {
                    is_cut = true;
                    tracing::warn!(run_id = %run.run_id, "told to stop: the grace period is over");
                    stop.cancel();
                }
                () = &mut patience => {
                    tracing::warn!(run_id = %run.run_id, "dropped: it did not stop");
                    return Err(if is_late { too_long(run) } else { cancelled("stopped, and dropped where it stood") });
                }
                () = self.abandon.cancelled() => return Err(cancelled("the daemon stopped")),
                never = &mut beats => match never {},
            }
        }
    }

    /// Says again and again that a run is alive, and hears whether another daemon was asked to stop it.
    async fn beat(&self, run: &Waiting) -> Infallible {
        let run_id = run.run_id;
        let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            match self.ledger.beat(&run_id).await {
                Ok(is_to_stop) if is_to_stop && !run.cancel.is_cancelled() => {
                    tracing::info!(%run_id, "told to stop, by way of another daemon");
                    run.cancel.cancel();
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%run_id, %error, "the heartbeat was not recorded"),
            }
        }
    }

    /// Ends when a run that was told to stop had its time to do so.
    async fn patience(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        sleep(self.cancel_wait).await;
    }

    /// An attempt is over: the run is, too, or waits for the next one. Where neither can be recorded, whoever finds the
    /// lease free takes it for interrupted.
    async fn end(&self, run: Waiting, lease: Lease, result: Result<()>) {
        let is_stopped = result.as_ref().is_err_and(is_cancelled);
        if !is_stopped {
            self.board().came_out(&run.pipeline.name, result.is_ok());
        }
        let was_cut = is_stopped && self.cut.is_cancelled() && !run.cancel.is_cancelled();
        if was_cut {
            self.cut_short.fetch_add(1, Ordering::AcqRel);
        }
        let mut result = result;
        if let Err(error) = &result
            && let Some(next) = next_attempt(&run, error, was_cut)
        {
            match self.recorded(&lease, &run, &next.why, || self.try_again(&run, &next).boxed()).await {
                Some(true) => {
                    lease.end().await;
                    let not_before = Some(Instant::now() + next.pause);
                    return self.put_back(Waiting { attempt: next.attempt, not_before, ..run }).await;
                }
                Some(false) => result = Err(cancelled("cancelled before its next attempt")),
                None => {
                    lease.end().await;
                    return self.leave(&run);
                }
            }
        }
        traces::concluded(&result);
        let conclude = async || {
            // Held from before its end can be seen, so that who saw it finds the pipeline free.
            let turn = self.turn(&run.pipeline.name).await;
            self.conclude(&run.run_id, &run.pipeline.name, &result).await.map(|()| turn)
        };
        let _turn = self.recorded(&lease, &run, &came_to(&result), || conclude().boxed()).await;
        lease.end().await;
        self.leave(&run);
    }

    /// Records what became of an attempt whose lease is held, however long the store cannot, while the log tells what it
    /// `came_to`: it must not stand there as under way. `None` where the lease is lost, the run is no more this process's,
    /// or the daemon stops.
    async fn recorded<'r, T>(
        &self,
        lease: &Lease,
        run: &Waiting,
        came_to: &str,
        record: impl Fn() -> BoxFuture<'r, Result<T>>,
    ) -> Option<T> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match in_time(RECORD_LIMIT, record()).await {
                Ok(recorded) => return Some(recorded),
                Err(error) => error,
            };
            tracing::error!(run_id = %run.run_id, %error, came_to, "what became of the run could not be recorded");
            if lease.is_lost() || self.is_out_of_hand(run).await {
                tracing::warn!(run_id = %run.run_id, "given up: the lease is lost, or that is recorded by now");
                self.ledger.forget(&run.run_id);
                return None;
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.abandon.cancelled() => return None,
            }
        }
    }

    /// Whether the ledger has a run for anything but under way here, whoever recorded that.
    async fn is_out_of_hand(&self, run: &Waiting) -> bool {
        let look = async {
            let known = self.ledger.run(&run.run_id).await?;
            let is_under_way = known.is_some_and(|known| known.state == State::Running);
            Ok(!is_under_way || self.ledger.is_fenced(&run.run_id).await?)
        };
        in_time(RECORD_LIMIT, look).await == Ok(true)
    }

    /// Records that a run waits for its next attempt. False where it was told to stop meanwhile by way of another daemon,
    /// and is over by that.
    async fn try_again(&self, run: &Waiting, next: &Next) -> Result<bool> {
        let Next { attempt, pause, why } = next;
        let not_before = DateTime::<Utc>::from_timestamp_millis(now_ms()).unwrap_or_default() + *pause;
        let is_recorded = self.ledger.try_again(&run.run_id, *attempt, not_before, why).await?;
        if is_recorded {
            let (run_id, pipeline) = (run.run_id, &run.pipeline.name);
            tracing::warn!(%run_id, %pipeline, error = %why, attempt, ?pause, "is tried again");
        }
        Ok(is_recorded)
    }

    /// Records the end of a run, where it can be. One that waits does so on in the ledger otherwise.
    async fn finish(&self, run: &Waiting, result: &Result<()>) -> bool {
        traces::concluded(result);
        let done = self.conclude(&run.run_id, &run.pipeline.name, result).await;
        if let Err(error) = &done {
            let came_to = came_to(result);
            tracing::error!(run_id = %run.run_id, %error, came_to, "the end of the run could not be recorded");
        }
        done.is_ok()
    }

    /// Records the end of a run, and tells of it.
    pub(super) async fn conclude(
        &self,
        run_id: &RunId,
        pipeline: &PipelineName,
        result: &Result<()>,
    ) -> Result<()> {
        self.ledger.conclude(run_id, result).await?;
        if let Ok(Some(run)) = self.ledger.run(run_id).await {
            self.metrics.run_ended(&run);
        }
        match result {
            Ok(()) => tracing::info!(%run_id, %pipeline, "succeeded"),
            Err(error) => tracing::warn!(%run_id, %pipeline, %error, "did not succeed"),
        }
        Ok(())
    }

    /// The run is over, and its place is free.
    fn leave(&self, run: &Waiting) {
        self.board().end(&run.pipeline.name);
        self.ends.ring(&run.run_id);
        self.changed.notify_one();
    }
}

/// A further attempt of a run.
struct Next {
    attempt: u32,
    pause: Duration,
    /// Why the one before did not do.
    why: String,
}

/// The next attempt of a run, where there is one. One that was stopped for the daemon's sake has one at once, with the next
/// daemon.
fn next_attempt(run: &Waiting, error: &Error, was_cut: bool) -> Option<Next> {
    let attempt = run.attempt.saturating_add(1);
    if was_cut {
        return Some(Next {
            attempt,
            pause: Duration::ZERO,
            why: "interrupted: the daemon stopped".to_owned(),
        });
    }
    if !error.kind().meaning().retry || is_cancelled(error) || run.cancel.is_cancelled() {
        return None;
    }
    let elapsed = u64::try_from(now_ms().saturating_sub(run.asked_ms)).unwrap_or_default();
    let pause = run.pipeline.retry.pause(run.attempt, Duration::from_millis(elapsed))?;
    Some(Next { attempt, pause, why: error.to_string() })
}

/// What an attempt came to, for the log where nothing else can tell.
fn came_to(result: &Result<()>) -> String {
    result.as_ref().map_or_else(|error| error.to_string(), |()| "done".to_owned())
}

fn a_little_later(run: Waiting) -> Waiting {
    Waiting { not_before: Some(Instant::now() + ELSEWHERE_PAUSE), ..run }
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error.kind(), Kind::Cancelled(_))
}

fn too_long(run: &Waiting) -> Error {
    let limit = humantime::format_duration(run.pipeline.timeout);
    Error::temporary(format!("the run took longer than `timeout: {limit}` allows"))
        .help("find out what it waits for, or raise `timeout` of the pipeline")
}
