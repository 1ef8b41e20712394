//! Schedules that rest.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::{Dispatcher, Refusal, Shared};
use crate::error::Result;
use crate::govern::audit::{self, Action};
use crate::spec::PipelineName;

impl Dispatcher {
    /// Lets the schedule of a pipeline rest: what falls due is left out, what is asked for by others runs.
    ///
    /// # Errors
    /// `Unknown`, or `Ledger` when it cannot be recorded.
    pub async fn pause(&self, pipeline: &PipelineName, actor: &str) -> Result<(), Refusal> {
        self.0.registry.get(pipeline).ok_or(Refusal::Unknown)?;
        audit::record(&self.0.ledger, actor, Action::PipelinePause, pipeline.as_str()).await?;
        self.0.ledger.pause(pipeline, actor).await?;
        self.0.told_of_pause(pipeline, true);
        Ok(())
    }

    /// Ends the rest of a pipeline's schedule: it goes on with what falls due from now on.
    ///
    /// # Errors
    /// As [`Dispatcher::pause`].
    pub async fn resume(&self, pipeline: &PipelineName, actor: &str) -> Result<(), Refusal> {
        self.0.registry.get(pipeline).ok_or(Refusal::Unknown)?;
        audit::record(&self.0.ledger, actor, Action::PipelineResume, pipeline.as_str()).await?;
        self.0.ledger.resume(pipeline).await?;
        self.0.told_of_pause(pipeline, false);
        Ok(())
    }

    /// Ends the rest of a schedule whose pipeline was gone for so long that this is another one of its name.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(in crate::serve) async fn forget_pause(&self, pipeline: &PipelineName) -> Result<()> {
        if !self.0.ledger.paused().await?.contains(pipeline) {
            return Ok(());
        }
        audit::record(&self.0.ledger, "schedule", Action::PipelineResume, pipeline.as_str()).await?;
        self.0.ledger.resume(pipeline).await?;
        self.0.told_of_pause(pipeline, false);
        tracing::warn!(%pipeline, "the pause was of a pipeline that was gone: its schedule goes on");
        Ok(())
    }

    /// Whether the schedule of a pipeline rests.
    #[must_use]
    pub fn is_paused(&self, pipeline: &PipelineName) -> bool {
        self.0.paused().contains(pipeline)
    }

    /// Learns which schedules rest by the word of other processes.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(in crate::serve) async fn look_at_pauses(&self) -> Result<()> {
        let told = self.0.pauses_told.load(Ordering::Acquire);
        let recorded = self.0.ledger.paused().await?;
        let mut paused = self.0.paused();
        // What this process was told meanwhile is newer.
        if self.0.pauses_told.load(Ordering::Acquire) == told {
            *paused = recorded;
        }
        Ok(())
    }
}

impl Shared {
    fn told_of_pause(&self, pipeline: &PipelineName, rests: bool) {
        let mut paused = self.paused();
        self.pauses_told.fetch_add(1, Ordering::AcqRel);
        if rests {
            paused.insert(pipeline.clone());
        } else {
            paused.remove(pipeline);
        }
    }

    fn paused(&self) -> MutexGuard<'_, BTreeSet<PipelineName>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
