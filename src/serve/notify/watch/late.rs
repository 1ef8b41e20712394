//! Pipelines that were due and have not succeeded since.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::{Watch, Watched, mark};
use crate::error::Result;
use crate::run::ledger::outbox::Turn;
use crate::run::ledger::{Awaited, EndedRun};
use crate::serve::notify::alert::{FINE, Notice};
use crate::serve::schedule::SET_BACK;
use crate::spec::PipelineName;
use crate::spec::config::Concern;
use crate::spec::schedule::Timing;

/// The shortest time between two looks for late pipelines.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long after its time a pipeline is late for the metrics, which is what alerts take where they do not say it.
const LATE_AFTER: TimeDelta = TimeDelta::hours(1);
/// How soon a pipeline is looked at again of which it cannot be told now whether it is late.
const SOON: TimeDelta = TimeDelta::minutes(1);

/// Whether a pipeline is late.
struct Judged {
    /// Since when, where it is.
    due_at: Option<DateTime<Utc>>,
    /// When that may be otherwise.
    again: DateTime<Utc>,
}

impl Judged {
    /// `None` of a pipeline that nothing makes late.
    fn is_late(&self) -> Option<bool> {
        (self.due_at.is_some() || self.again < DateTime::<Utc>::MAX_UTC).then_some(self.due_at.is_some())
    }
}

impl Watch {
    /// Tells of every pipeline that was due and has not succeeded since.
    pub(super) async fn find_late(&mut self) -> Result<()> {
        if self.looked_for_late.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.looked_for_late = Some(Instant::now());
        let now = self.heed_clock();
        for (index, watched) in self.alerts.iter().enumerate() {
            if !watched.alert.on.contains(&Concern::Late) {
                continue;
            }
            let allowed = TimeDelta::from_std(watched.alert.late_after).unwrap_or(TimeDelta::MAX);
            for pipeline in self.known.keys().filter(|pipeline| watched.alert.covers(pipeline)) {
                let key = (Some(index), pipeline.clone());
                if self.late_at.get(&key).is_some_and(|at| *at > now) {
                    continue;
                }
                let mut judged = self.lateness(pipeline, allowed, now).await?;
                if let Some(due_at) = judged.due_at
                    && !self.begin_lateness(watched, pipeline, due_at, now).await?
                {
                    judged.again = now + SOON;
                }
                self.late_at.insert(key, judged.again);
            }
        }
        for pipeline in self.known.keys() {
            let key = (None, pipeline.clone());
            if self.late_at.get(&key).is_some_and(|at| *at > now) {
                continue;
            }
            let judged = self.lateness(pipeline, LATE_AFTER, now).await?;
            self.dispatcher.metrics().late(pipeline.as_str(), judged.is_late());
            self.late_at.insert(key, judged.again);
        }
        Ok(())
    }

    /// Now. Where the clock was set back, all is looked at anew, and what is stamped with the former time says nothing.
    fn heed_clock(&mut self) -> DateTime<Utc> {
        let now = self.clock.now();
        if now + SET_BACK < self.latest {
            (self.since, self.latest) = (now, now);
            self.late_at.clear();
        }
        self.latest = self.latest.max(now);
        now
    }

    async fn lateness(
        &self,
        pipeline: &PipelineName,
        allowed: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Judged> {
        let on_time = |again| Judged { due_at: None, again };
        let (soon, never) = (now + SOON, DateTime::<Utc>::MAX_UTC);
        let schedule = self.known.get(pipeline).and_then(|pipeline| pipeline.schedule.as_ref());
        let Some(schedule) = schedule.filter(|schedule| !matches!(schedule.timing, Timing::After(_))) else {
            return Ok(on_time(never));
        };
        // One that rests leaves out what falls due, and another one is still to begin.
        let plan = self.schedules.plan(pipeline).filter(|plan| plan.is_of(schedule));
        let Some(plan) = plan.filter(|_| !self.dispatcher.is_paused(pipeline)) else {
            return Ok(on_time(soon));
        };
        let awaited = self.ledger().awaited(pipeline).await?;
        let Some(awaited) = awaited.filter(|awaited| awaited.timing == plan.timing()) else {
            return Ok(on_time(soon));
        };
        let Some(before) = now.checked_sub_signed(allowed) else { return Ok(on_time(never)) };
        let last = plan.last_due(awaited.since, before);
        let next = plan.upcoming(last.map_or(awaited.since, |last| last.at));
        let again = next.and_then(|next| next.due.checked_add_signed(allowed)).unwrap_or(never);
        let succeeded_at = self.succeeded_at(&awaited, now);
        let due_at = last.map(|last| last.due).filter(|due| *due > succeeded_at);
        Ok(Judged { due_at, again })
    }

    /// Up to when all is well.
    fn succeeded_at(&self, awaited: &Awaited, now: DateTime<Utc>) -> DateTime<Utc> {
        match awaited.success {
            None => awaited.since,
            Some(success) if success > now + SET_BACK => awaited.since.max(self.since),
            Some(success) => awaited.since.max(success),
        }
    }

    /// False where it was looked at something later already.
    async fn begin_lateness(
        &self,
        watched: &Watched,
        pipeline: &PipelineName,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let known = self.ledger().alert_state(&watched.id, pipeline.as_str(), "late").await?;
        let word = Concern::Late.word();
        if known.is_some_and(|(state, _)| state == word) {
            return Ok(true);
        }
        let mark = mark(self.seq.unwrap_or_default(), true);
        let message = Notice::late(pipeline.as_str(), self.owner(pipeline), due_at, now);
        self.turn(watched, turn(watched, pipeline, word, &mark), Some(message)).await
    }

    pub(super) async fn end_lateness(
        &self,
        watched: &Watched,
        pipeline: &PipelineName,
        ended: &EndedRun,
    ) -> Result<()> {
        let before = self.ledger().alert_state(&watched.id, pipeline.as_str(), "late").await?;
        let word = Concern::Late.word();
        if before.is_none_or(|(state, _)| state != word) {
            return Ok(());
        }
        let mark = mark(ended.seq, false);
        let message = Notice::of_run(ended, self.owner(pipeline), "recovered", Some(word));
        self.turn(watched, turn(watched, pipeline, FINE, &mark), Some(message)).await.map(drop)
    }
}

fn turn<'a>(watched: &'a Watched, pipeline: &'a PipelineName, state: &'a str, mark: &'a str) -> Turn<'a> {
    Turn { alert: &watched.id, pipeline: pipeline.as_str(), aspect: "late", state, mark }
}
