//! Carries a run through one attempt, to its end or to the next attempt.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::board::ELSEWHERE_PAUSE;
use super::{Shared, Waiting, cancelled};
use crate::error::{Error, Kind, Result};
use crate::govern::store::now_ms;
use crate::run::ledger::{Lease, State};
use crate::serve::traces;

/// How often a run says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a run waits for a pipeline that another process runs, from when it was asked for.
const LONGEST_WAIT_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether an attempt could begin.
enum Begun {
    Under(Lease),
    /// Another process runs the pipeline, or the ledger is busy.
    NotYet(Error),
    /// It is over, or another daemon has it.
    Gone,
    Failed(Error),
}

impl Shared {
    /// One attempt of a run that counts as under way.
    pub(super) async fn carry(self: Arc<Self>, run: Waiting) {
        match self.begin(&run).await {
            Begun::Under(lease) => {
                let result = lease.guard(&run.cancel, self.work(&run)).await;
                if lease.is_lost() && result.is_err() {
                    // Who takes the pipeline finds it under way and without a lease, as it would after a crash.
                    tracing::warn!(run_id = %run.run_id, pipeline = %run.pipeline.name, "given up: the lease is lost");
                    lease.end().await;
                    self.leave(&run);
                } else {
                    self.end(run, lease, result).await;
                }
            }
            Begun::NotYet(error) if now_ms().saturating_sub(run.asked_ms) > LONGEST_WAIT_MS => {
                self.conclude(&run, &Err(error)).await;
                self.leave(&run);
            }
            Begun::NotYet(_) => {
                self.put_back(Waiting { not_before: Some(Instant::now() + ELSEWHERE_PAUSE), ..run }).await;
            }
            Begun::Gone => self.leave(&run),
            Begun::Failed(error) => {
                self.conclude(&run, &Err(error)).await;
                self.leave(&run);
            }
        }
    }

    /// A run under way waits again. Where another one of its pipeline waits, that one stands for it.
    async fn put_back(&self, run: Waiting) {
        let is_open = !self.stopping.is_cancelled();
        let waits = {
            let mut board = self.board();
            board.end(&run.pipeline.name);
            is_open && !run.cancel.is_cancelled() && board.wait(run.clone())
        };
        if !waits {
            let why = match is_open {
                true if run.cancel.is_cancelled() => "cancelled before it began",
                true => "another run of the pipeline waits",
                false => "the daemon stopped before it began",
            };
            self.conclude(&run, &Err(cancelled(why))).await;
            self.ended.notify_waiters();
        }
        self.changed.notify_one();
    }

    async fn begin(&self, run: &Waiting) -> Begun {
        let name = &run.pipeline.name;
        if run.cancel.is_cancelled() {
            return Begun::Failed(cancelled("cancelled before it began"));
        }
        let lease = match self.free(name).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return Begun::NotYet(Error::temporary("another process runs the pipeline")),
            Err(error) if error.kind().meaning().retry => return Begun::NotYet(error),
            Err(error) => return Begun::Failed(error),
        };
        match self.ledger.start(&run.run_id).await {
            Ok(()) => Begun::Under(lease),
            Err(error) if error.kind().meaning().retry => Begun::NotYet(error),
            Err(error) => match self.ledger.run(&run.run_id).await {
                Ok(Some(known)) if known.state != State::Queued => Begun::Gone,
                _ => Begun::Failed(error),
            },
        }
    }

    /// Lets the runner work, for as long as it may.
    async fn work(&self, run: &Waiting) -> Result<()> {
        let _running = self.metrics.running();
        let stop = run.cancel.child_token();
        let work = AssertUnwindSafe(self.runner.run(&run.run_id, &run.pipeline, stop.clone())).catch_unwind();
        let limit = sleep(run.pipeline.timeout);
        let patience = self.patience(&stop);
        tokio::pin!(work, limit, patience);
        let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_late = false;
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
                () = &mut patience => {
                    tracing::warn!(run_id = %run.run_id, "dropped: it did not stop");
                    return Err(if is_late { too_long(run) } else { cancelled("stopped, and dropped where it stood") });
                }
                () = self.abandon.cancelled() => return Err(cancelled("the daemon stopped")),
                _ = beats.tick() => {
                    if let Err(error) = self.ledger.beat(&[run.run_id]).await {
                        tracing::warn!(run_id = %run.run_id, %error, "the heartbeat was not recorded");
                    }
                }
            }
        }
    }

    /// Ends when a run that was told to stop had its time to do so.
    async fn patience(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        sleep(self.cancel_wait).await;
    }

    /// An attempt is over: the run is, too, or waits for the next one.
    async fn end(&self, run: Waiting, lease: Lease, result: Result<()>) {
        let name = run.pipeline.name.clone();
        // Held from before its end can be seen, so that who saw it finds the pipeline free.
        let _turn = self.turn(&name).await;
        if !result.as_ref().is_err_and(is_cancelled) {
            self.board().came_out(&name, result.is_ok());
        }
        if let Err(error) = &result
            && let Some(next) = self.next_attempt(&run, error).await
        {
            lease.end().await;
            self.put_back(next).await;
            return;
        }
        if result.as_ref().is_err_and(is_cancelled) && self.stopping.is_cancelled() {
            self.cancelled_by_stop.fetch_add(1, Ordering::AcqRel);
        }
        self.conclude(&run, &result).await;
        lease.end().await;
        self.leave(&run);
    }

    /// The next attempt of a run, where there is one; it is recorded then.
    async fn next_attempt(&self, run: &Waiting, error: &Error) -> Option<Waiting> {
        let may_help = error.kind().meaning().retry && !is_cancelled(error) && !run.cancel.is_cancelled();
        if !may_help || self.stopping.is_cancelled() || self.board().waiting(&run.pipeline.name).is_some() {
            return None;
        }
        let elapsed = u64::try_from(now_ms().saturating_sub(run.asked_ms)).unwrap_or_default();
        let pause = run.pipeline.retry.pause(run.attempt, Duration::from_millis(elapsed))?;
        let attempt = run.attempt.saturating_add(1);
        let not_before = DateTime::<Utc>::from_timestamp_millis(now_ms())? + pause;
        let recorded = self.ledger.try_again(&run.run_id, attempt, not_before, &error.to_string()).await;
        if let Err(error) = recorded {
            tracing::error!(run_id = %run.run_id, %error, "the next attempt could not be recorded");
            return None;
        }
        let (run_id, pipeline) = (run.run_id, &run.pipeline.name);
        tracing::warn!(%run_id, %pipeline, %error, attempt, ?pause, "is tried again");
        Some(Waiting { attempt, not_before: Some(Instant::now() + pause), ..run.clone() })
    }

    /// Records the end of a run. One that cannot be recorded leaves the run unfinished in the ledger; the next start
    /// finds its lease free and marks it as interrupted.
    pub(super) async fn conclude(&self, run: &Waiting, result: &Result<()>) {
        let (run_id, pipeline) = (run.run_id, &run.pipeline.name);
        if let Err(error) = self.ledger.conclude(&run_id, result).await {
            tracing::error!(%run_id, %error, "the end of the run could not be recorded");
        }
        if let Ok(Some(run)) = self.ledger.run(&run_id).await {
            self.metrics.run_ended(&run);
        }
        traces::concluded(result);
        match result {
            Ok(()) => tracing::info!(%run_id, %pipeline, "succeeded"),
            Err(error) => tracing::warn!(%run_id, %pipeline, %error, "did not succeed"),
        }
    }

    /// The run is over, and its place is free.
    fn leave(&self, run: &Waiting) {
        self.board().end(&run.pipeline.name);
        self.ended.notify_waiters();
        self.changed.notify_one();
    }
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error.kind(), Kind::Cancelled(_))
}

fn too_long(run: &Waiting) -> Error {
    let limit = humantime::format_duration(run.pipeline.timeout);
    Error::temporary(format!("the run took longer than `timeout: {limit}` allows"))
        .help("find out what it waits for, or raise `timeout` of the pipeline")
}
