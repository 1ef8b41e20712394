//! Runs pipelines when their cron expression says so.
//!
//! Missed occurrences are skipped, never caught up: not those of a time when no daemon ran, nor one
//! that falls on an active run. Where clocks change, wall-clock time decides: see `docs/daemon.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use tokio_util::sync::CancellationToken;

use super::dispatch::{Dispatcher, Refusal};
use super::registry::Pipelines;
use crate::error::{At, Error, Result};
use crate::run::ledger::{RequestKey, Trigger};
use crate::spec::PipelineName;

/// The longest single sleep of the system clock: the wall clock may be set while we sleep.
const LONGEST_NAP: Duration = Duration::from_secs(30);

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

/// When each scheduled pipeline runs.
#[derive(Clone, Debug)]
pub(super) struct Schedules(Arc<BTreeMap<PipelineName, Plan>>);

#[derive(Clone, Debug)]
struct Plan {
    cron: Cron,
    timezone: Tz,
}

impl Schedules {
    /// Reads the expressions.
    pub(super) fn read(pipelines: &Pipelines) -> Result<Self> {
        let mut plans = BTreeMap::new();
        for pipeline in pipelines.values() {
            if let Some(schedule) = &pipeline.schedule {
                let cron = parse(&schedule.cron).at(|| format!("pipeline {}", pipeline.name))?;
                plans.insert(pipeline.name.clone(), Plan { cron, timezone: schedule.timezone });
            }
        }
        Ok(Self(Arc::new(plans)))
    }

    /// The first time after `now` that the pipeline is due; `None` without a schedule, or with one
    /// that never comes (30 February).
    pub(super) fn next_after(&self, pipeline: &PipelineName, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let plan = self.0.get(pipeline)?;
        let next = plan.cron.find_next_occurrence(&now.with_timezone(&plan.timezone), false);
        next.ok().map(|at| at.with_timezone(&Utc))
    }
}

/// Five fields: minute, hour, day of month, month, day of week.
fn parse(text: &str) -> Result<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|_| {
        Error::invalid(format!("`{text}` is not a cron expression"))
            .help("write five fields, as in `0 2 * * *`: minute, hour, day of month, month, day of week")
    })
}

/// Triggers what is due from now (this call, not the first poll) until `stop`.
pub(super) fn keep(
    schedules: Schedules,
    dispatcher: Dispatcher,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let start = clock.now();
    let due: BTreeMap<PipelineName, DateTime<Utc>> = schedules
        .0
        .keys()
        .filter_map(|pipeline| Some((pipeline.clone(), schedules.next_after(pipeline, start)?)))
        .collect();
    trigger_due(due, schedules, dispatcher, clock, stop)
}

async fn trigger_due(
    mut due: BTreeMap<PipelineName, DateTime<Utc>>,
    schedules: Schedules,
    dispatcher: Dispatcher,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    while let Some(earliest) = due.values().min().copied() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(earliest) => {}
        }
        let now = clock.now();
        let ripe: Vec<PipelineName> =
            due.iter().filter(|(_, at)| **at <= now).map(|(pipeline, _)| pipeline.clone()).collect();
        for pipeline in ripe {
            if let Some(at) = due.get(&pipeline) {
                dispatcher.metrics().triggered_late((clock.now() - at).to_std().unwrap_or_default());
                trigger(&dispatcher, &pipeline, *at).await;
            }
            match schedules.next_after(&pipeline, now) {
                Some(next) => due.insert(pipeline, next),
                None => due.remove(&pipeline),
            };
        }
    }
}

async fn trigger(dispatcher: &Dispatcher, pipeline: &PipelineName, at: DateTime<Utc>) {
    // Of daemons that share the store each keeps the schedule: the occurrence is one run all the same.
    let is_shared = dispatcher.ledger().lease_length().is_some();
    let key = is_shared.then(|| format!("{pipeline}@{}", at.timestamp()));
    let key = key.and_then(|key| RequestKey::of("schedule", key.as_bytes()).ok());
    match dispatcher.trigger(pipeline, Trigger::Schedule, "schedule", key.as_ref()).await {
        Ok(_) | Err(Refusal::Stopping) => {}
        Err(Refusal::Active(_)) => tracing::warn!(%pipeline, "scheduled run skipped: one is active"),
        Err(Refusal::Full) => tracing::warn!(%pipeline, "scheduled run skipped: too many are waiting"),
        Err(Refusal::Unknown | Refusal::OtherPipeline) => {
            tracing::error!(%pipeline, "scheduled run skipped: no such pipeline");
        }
        Err(Refusal::Ledger(error)) => tracing::error!(%pipeline, %error, "scheduled run skipped"),
    }
}

#[cfg(test)]
mod tests;
