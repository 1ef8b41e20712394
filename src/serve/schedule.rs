//! Runs pipelines when their schedules say so: by the clock, or after what others have done.
//!
//! How far each schedule was handled is in the ledger, so that every occurrence has one run, whoever takes it on and
//! however often; the rules are in `docs/scheduling.md`.

mod ask;
mod blackout;
mod follow;
mod keeper;
mod plan;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

pub(super) use self::plan::Plan;
pub use self::plan::{SET_BACK, TOLERANCE};
use super::dispatch::Dispatcher;
use super::registry::Pipelines;
use crate::error::Result;
use crate::spec::PipelineName;

/// The longest single sleep of the system clock: the wall clock may be set while we sleep.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// Tells the time and waits for it; tests bring their own.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> DateTime<Utc>;

    /// Returns once [`Clock::now`] is at or after `at`.
    async fn sleep_until(&self, at: DateTime<Utc>);
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others stand in for")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep_until(&self, at: DateTime<Utc>) {
        while let Ok(left) = (at - self.now()).to_std()
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(LONGEST_NAP)).await;
        }
    }
}

/// When each scheduled pipeline runs. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedules(Arc<Mutex<BTreeMap<PipelineName, Arc<Plan>>>>);

impl Schedules {
    /// Reads the schedules.
    ///
    /// # Errors
    /// `Invalid` when one cannot be read.
    pub(super) fn read(pipelines: &Pipelines) -> Result<Self> {
        let plans = pipelines.values().filter_map(|pipeline| {
            let schedule = pipeline.schedule.as_ref()?;
            Some(Plan::read(&pipeline.name, schedule).map(|plan| (pipeline.name.clone(), Arc::new(plan))))
        });
        Ok(Self(Arc::new(Mutex::new(plans.collect::<Result<_>>()?))))
    }

    /// The first time after `now` that the pipeline is due; `None` without a schedule, with one that never comes
    /// (30 February), and where it follows others.
    pub(super) fn next_after(&self, pipeline: &PipelineName, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let plan = self.plan(pipeline)?;
        plan.upcoming(now).map(|next| next.due)
    }

    /// How the pipeline's schedule is kept now; `None` without one.
    pub(super) fn plan(&self, pipeline: &PipelineName) -> Option<Arc<Plan>> {
        self.plans().get(pipeline).cloned()
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<PipelineName, Arc<Plan>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Triggers what is due from now (this call, not the first poll) until `stop`, and what was missed before, where the
/// schedule says so.
pub(super) fn keep(
    schedules: Schedules,
    dispatcher: Dispatcher,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let keeper = keeper::Keeper::new(schedules, dispatcher, clock);
    async move {
        tokio::select! {
            () = stop.cancelled() => {}
            never = keeper.keep() => match never {},
        }
    }
}

#[cfg(test)]
mod tests;
