//! How the pipelines in force stand, whoever ran them: when each last succeeded, and when it is due after that. Of a
//! pipeline that is no longer in force nothing is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::run::ledger::{Run, State};
use crate::serve::registry::Pipelines;
use crate::serve::schedule::Plan;
use crate::spec::PipelineName;
use crate::spec::schedule::Schedule;

type Seconds = Family<OfPipeline, Gauge<f64, AtomicU64>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPipeline {
    pipeline: String,
}

/// What is looked at: the pipelines in force, and whose schedules rest.
pub(super) struct Look<'a> {
    pub(super) pipelines: &'a Arc<Pipelines>,
    /// Whether a schedule rests.
    pub(super) rests: &'a dyn Fn(&PipelineName) -> bool,
    pub(super) now: DateTime<Utc>,
}

/// How pipelines stand.
#[derive(Debug, Default)]
pub(super) struct Standings {
    failed: Family<OfPipeline, Counter>,
    took: Seconds,
    last_success: Seconds,
    due: Seconds,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    in_force: Option<Arc<Pipelines>>,
    /// Those of which something is told.
    told: BTreeSet<String>,
    /// When each last succeeded, in Unix milliseconds; nothing before the ledger was asked.
    successes: BTreeMap<PipelineName, i64>,
    is_remembered: bool,
    /// Schedules that do not rest, once they were looked at.
    schedules: Option<BTreeMap<PipelineName, Scheduled>>,
}

#[derive(Debug)]
struct Scheduled {
    schedule: Schedule,
    plan: Option<Plan>,
    /// Nothing that was due before is missed, in Unix milliseconds.
    since_ms: i64,
    /// After which instant it was asked when it is due, and the answer: an expression is not read at each look.
    due: Option<(i64, Option<i64>)>,
}

impl Standings {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Runs that did not succeed, cancelled ones left out";
        registry.register("failed_runs", help, self.failed.clone());
        let help = "How long the last run of the pipeline took";
        registry.register_with_unit("last_run_duration", help, Unit::Seconds, self.took.clone());
        let help = "When a run of the pipeline last succeeded, in Unix time";
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, self.last_success.clone());
        let help = "When the pipeline fell or falls due after its last success, in Unix time";
        registry.register_with_unit("due_timestamp", help, Unit::Seconds, self.due.clone());
    }

    /// When each pipeline last succeeded before this daemon began, in Unix milliseconds.
    pub(super) fn remember(&self, successes: &BTreeMap<String, i64>) {
        for (pipeline, at_ms) in successes {
            self.succeeded(pipeline, *at_ms);
        }
        self.known().is_remembered = true;
    }

    /// A run is over, here or elsewhere.
    pub(super) fn ended(&self, run: &Run) {
        if let (State::Succeeded, Some(at)) = (run.state, run.finished_at) {
            self.succeeded(&run.pipeline, at.timestamp_millis());
        }
    }

    /// A run of this daemon is over; where it had begun, it took so many seconds.
    pub(super) fn ended_here(&self, run: &Run, took: Option<f64>) {
        let of = OfPipeline { pipeline: run.pipeline.clone() };
        self.known().told.insert(run.pipeline.clone());
        if !matches!(run.state, State::Succeeded | State::Cancelled) {
            self.failed.get_or_create(&of).inc();
        }
        if let Some(took) = took {
            self.took.get_or_create(&of).set(took);
        }
        self.ended(run);
    }

    fn succeeded(&self, pipeline: &str, at_ms: i64) {
        let Ok(pipeline) = PipelineName::parse(pipeline) else { return };
        let mut known = self.known();
        let last = known.successes.entry(pipeline).or_insert(at_ms);
        *last = at_ms.max(*last);
    }

    /// Brings what is told up to date. True when other pipelines are in force than at the last look.
    pub(super) fn look(&self, look: &Look<'_>) -> bool {
        let mut known = self.known();
        let is_other = !known.in_force.as_ref().is_some_and(|former| Arc::ptr_eq(former, look.pipelines));
        if is_other {
            self.replace(&mut known, look.pipelines);
        }
        known.successes.retain(|name, _| look.pipelines.contains_key(name));
        if known.is_remembered {
            known.look_at_schedules(look);
        }
        for name in look.pipelines.keys() {
            let of = OfPipeline { pipeline: name.to_string() };
            if let Some(at_ms) = known.successes.get(name) {
                self.last_success.get_or_create(&of).set(seconds(*at_ms));
            }
            if let Some(at_ms) = known.due_ms(name) {
                self.due.get_or_create(&of).set(seconds(at_ms));
            } else {
                self.due.remove(&of);
            }
        }
        is_other
    }

    /// Counters begin at 0, so that the first failure is seen to come.
    fn replace(&self, known: &mut Known, pipelines: &Arc<Pipelines>) {
        let in_force: BTreeSet<String> = pipelines.keys().map(ToString::to_string).collect();
        for pipeline in known.told.difference(&in_force) {
            let of = OfPipeline { pipeline: pipeline.clone() };
            self.failed.remove(&of);
            for of_seconds in [&self.took, &self.last_success, &self.due] {
                of_seconds.remove(&of);
            }
        }
        for pipeline in &in_force {
            drop(self.failed.get_or_create(&OfPipeline { pipeline: pipeline.clone() }));
        }
        known.told = in_force;
        known.in_force = Some(Arc::clone(pipelines));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// A schedule counts from its last success where this process finds it at its begin, and from now on where it came,
    /// changed, or ended its rest later.
    fn look_at_schedules(&mut self, look: &Look<'_>) {
        let now_ms = look.now.timestamp_millis();
        let mut former = self.schedules.take();
        let is_first = former.is_none();
        let mut schedules = BTreeMap::new();
        for (name, pipeline) in look.pipelines.iter() {
            let Some(schedule) = pipeline.schedule.as_ref().filter(|_| !(look.rests)(name)) else { continue };
            let same = former.as_mut().and_then(|former| former.remove(name));
            let scheduled = same.filter(|same| same.schedule == *schedule).unwrap_or_else(|| {
                let success_ms = self.successes.get(name).copied().filter(|_| is_first);
                Scheduled {
                    schedule: schedule.clone(),
                    plan: Plan::read(name, schedule).ok(),
                    since_ms: success_ms.unwrap_or(now_ms),
                    due: None,
                }
            });
            schedules.insert(name.clone(), scheduled);
        }
        self.schedules = Some(schedules);
    }

    fn due_ms(&mut self, name: &PipelineName) -> Option<i64> {
        let scheduled = self.schedules.as_mut()?.get_mut(name)?;
        let after_ms = self.successes.get(name).copied().unwrap_or(i64::MIN).max(scheduled.since_ms);
        match scheduled.due {
            Some((asked_ms, due_ms)) if asked_ms == after_ms => due_ms,
            _ => {
                let after = DateTime::from_timestamp_millis(after_ms)?;
                let next = scheduled.plan.as_ref().and_then(|plan| plan.upcoming(after));
                let due_ms = next.map(|next| next.due.timestamp_millis());
                scheduled.due = Some((after_ms, due_ms));
                due_ms
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries are exact")]
fn seconds(at_ms: i64) -> f64 {
    at_ms as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;
    use crate::serve::fixture::pipeline;
    use crate::spec::schedule::Timing;

    const MINUTE_MS: i64 = 60_000;

    struct World {
        standings: Standings,
        pipelines: Arc<Pipelines>,
        rests: bool,
    }

    impl World {
        fn of(names: &[&str], cron: &str) -> Self {
            Self { standings: Standings::default(), pipelines: in_force(names, cron), rests: false }
        }

        fn look(&self, now_ms: i64) {
            let now = Utc.timestamp_millis_opt(now_ms).unwrap();
            let rests = |_: &PipelineName| self.rests;
            self.standings.look(&Look { pipelines: &self.pipelines, rests: &rests, now });
        }

        /// Minutes at which it is due.
        fn due(&self, pipeline: &str) -> Option<f64> {
            let of = OfPipeline { pipeline: pipeline.to_owned() };
            self.standings.due.get(&of).map(|at| at.get() / 60.0)
        }

        fn last_success(&self, pipeline: &str) -> Option<f64> {
            let of = OfPipeline { pipeline: pipeline.to_owned() };
            self.standings.last_success.get(&of).map(|at| at.get() / 60.0)
        }
    }

    fn in_force(names: &[&str], cron: &str) -> Arc<Pipelines> {
        let named = |name: &&str| {
            let schedule = Schedule::of(Timing::Cron(cron.into()));
            (PipelineName::parse(name).unwrap(), Arc::new(pipeline(name, Some(schedule))))
        };
        Arc::new(names.iter().map(named).collect())
    }

    #[test]
    fn a_pipeline_is_due_after_its_last_success_whoever_ran_it() {
        let world = World::of(&["crm"], "0 * * * *");
        world.look(600 * MINUTE_MS);
        assert_eq!(world.due("crm"), None, "the ledger was not asked yet");
        world.standings.remember(&BTreeMap::from([("crm".to_owned(), 70 * MINUTE_MS)]));
        world.look(600 * MINUTE_MS);
        assert_eq!((world.last_success("crm"), world.due("crm")), (Some(70.0), Some(120.0)));
        world.standings.succeeded("crm", 605 * MINUTE_MS);
        world.standings.succeeded("crm", 603 * MINUTE_MS);
        world.look(610 * MINUTE_MS);
        assert_eq!((world.last_success("crm"), world.due("crm")), (Some(605.0), Some(660.0)));
    }

    #[test]
    fn what_comes_later_or_rested_was_not_due_before() {
        let mut world = World::of(&["crm"], "0 * * * *");
        world.standings.remember(&BTreeMap::from([("crm".to_owned(), 70 * MINUTE_MS)]));
        world.look(80 * MINUTE_MS);
        world.pipelines = in_force(&["crm", "new"], "0 * * * *");
        world.look(605 * MINUTE_MS);
        assert_eq!((world.due("crm"), world.due("new")), (Some(120.0), Some(660.0)));
        world.rests = true;
        world.look(700 * MINUTE_MS);
        assert_eq!(world.due("crm"), None);
        world.rests = false;
        world.look(790 * MINUTE_MS);
        assert_eq!(world.due("crm"), Some(840.0));
        world.pipelines = in_force(&["crm", "new"], "0 */2 * * *");
        world.look(1000 * MINUTE_MS);
        assert_eq!(world.due("crm"), Some(1080.0), "another schedule");
    }

    #[test]
    fn of_a_pipeline_that_is_gone_nothing_is_told() {
        let mut world = World::of(&["crm", "old"], "0 * * * *");
        let known = ["crm", "old", "older"].map(|name| (name.to_owned(), 70 * MINUTE_MS));
        world.standings.remember(&BTreeMap::from(known));
        world.look(80 * MINUTE_MS);
        assert_eq!((world.last_success("old"), world.last_success("older")), (Some(70.0), None));
        world.pipelines = in_force(&["crm"], "0 * * * *");
        world.look(90 * MINUTE_MS);
        assert_eq!((world.last_success("old"), world.due("old")), (None, None));
        let failed = |name: &str| world.standings.failed.get(&OfPipeline { pipeline: name.into() }).is_some();
        assert!(failed("crm") && !failed("old"));
        assert_eq!(world.last_success("crm"), Some(70.0));
    }
}
