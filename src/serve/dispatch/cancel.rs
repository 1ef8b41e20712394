//! Ends runs that are not wanted any more.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::{Dispatcher, Shared, Waiting, cancelled};
use crate::error::{Error, Result};
use crate::govern::store::in_time;
use crate::run::ledger::{RunId, State};
use crate::spec::PipelineName;

/// How long a run that is to stop waits for the store to know it.
const TELL_LIMIT: Duration = Duration::from_secs(5);

impl Dispatcher {
    /// Tells a run to stop that a daemon is at, this one or another, or ends one that waits, wherever it does. False when
    /// it is over, or a command is at it.
    ///
    /// # Errors
    /// Those of the ledger; then the run goes on waiting.
    pub async fn cancel(&self, run_id: &RunId) -> Result<bool> {
        // A task of its own: a caller that goes away must not leave a run that waits nowhere and is not over.
        let (shared, run_id) = (Arc::clone(&self.0), *run_id);
        let ending = async move { shared.cancel(&run_id).await };
        let ended = self.0.tasks.spawn(ending.in_current_span()).await;
        ended.unwrap_or_else(|_| Err(Error::temporary("the daemon is stopping").help("ask again later")))
    }
}

impl Shared {
    async fn cancel(&self, run_id: &RunId) -> Result<bool> {
        if self.stop(run_id).await {
            return Ok(true);
        }
        let Some(run) = self.ledger.run(run_id).await? else { return Ok(false) };
        let name = PipelineName::parse(&run.pipeline)?;
        if run.state == State::Running {
            return self.stop_elsewhere(run_id, &name).await;
        }
        if run.state != State::Queued || run.needs_its_process() {
            return Ok(false);
        }
        // Nobody takes its place while it is neither here nor over.
        let _turn = self.turn(&name).await;
        let waiting = {
            let mut board = self.board();
            match board.running(&name) == Some(*run_id) {
                true => None,
                false => Some(board.take(&name, run_id)),
            }
        };
        let Some(waiting) = waiting else {
            // It began meanwhile.
            return Ok(self.stop(run_id).await);
        };
        let Err(error) = self.conclude(run_id, &name, &Err(cancelled("cancelled before it began"))).await
        else {
            self.ends.ring(run_id);
            return Ok(true);
        };
        if let Some(waiting) = waiting {
            self.board().wait(waiting);
            self.changed.notify_one();
        }
        match self.ledger.run(run_id).await {
            // Another process was faster.
            Ok(Some(run)) if run.state == State::Running => self.stop_elsewhere(run_id, &name).await,
            Ok(Some(run)) if run.state != State::Queued => Ok(false),
            _ => Err(error),
        }
    }

    /// Asks whoever is at a run to stop it. One whose process is gone is over by that.
    async fn stop_elsewhere(&self, run_id: &RunId, pipeline: &PipelineName) -> Result<bool> {
        if !self.ledger.ask_to_stop(run_id).await? {
            return Ok(false);
        }
        if let Some(lease) = self.free(pipeline).await? {
            lease.end().await;
            self.ends.ring(run_id);
        }
        Ok(true)
    }

    /// Tells a run to stop that is under way here. The ledger hears of it first: a run whose daemon is lost before it has
    /// stopped is not to be tried again. False where it is not here.
    async fn stop(&self, run_id: &RunId) -> bool {
        if !self.board().is_at(run_id) {
            return false;
        }
        if let Err(error) = in_time(TELL_LIMIT, self.ledger.ask_to_stop(run_id)).await {
            tracing::warn!(%run_id, %error, "that the run is told to stop could not be recorded");
        }
        self.board().stop(run_id)
    }

    /// A run that was told to stop here is another daemon's by now: that one is told.
    pub(super) async fn pass_on(&self, run: &Waiting) {
        if !run.cancel.is_cancelled() {
            return;
        }
        if let Err(error) = self.ledger.ask_to_stop(&run.run_id).await {
            tracing::warn!(run_id = %run.run_id, %error, "the daemon that is at the run could not be told to stop it");
        }
    }
}
