//! Keeps the schedules: sleeps until something is due, and has it asked for. Nothing that takes long holds up the rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::ask::{Ask, Told};
use super::follow::Newest;
use super::plan::{SET_BACK, handled};
use super::{Clock, Plan, Schedules};
use crate::error::Result;
use crate::govern::store::in_time;
use crate::run::ledger::Handled;
use crate::serve::dispatch::Dispatcher;
use crate::serve::registry::Pipelines;
use crate::spec::PipelineName;
use crate::spec::schedule::After;

/// Most pipelines that are asked for at the same time.
const ASKS_AT_ONCE: usize = 32;
/// How long a turn waits that found its pipeline busy, or the ledger or the queue in no state to take it.
const PAUSE: Duration = Duration::from_secs(1);
/// How often is looked at what other processes did.
const LOOK: Duration = Duration::from_secs(1);
/// How long a look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// How long a schedule may be gone and still go on where it was: files that are swapped are away for a moment, and a share for
/// as long as it is not mounted.
const LONGEST_ABSENCE: TimeDelta = TimeDelta::hours(1);
/// Schedules whose begin is recorded at once.
const CHUNK: usize = 1_000;

pub(super) struct Keeper {
    schedules: Schedules,
    dispatcher: Dispatcher,
    clock: Arc<dyn Clock>,
    start: DateTime<Utc>,
    changes: watch::Receiver<Arc<Pipelines>>,
    lines: BTreeMap<PipelineName, Line>,
    /// Who is due when: the first is next.
    due: BTreeSet<(DateTime<Utc>, PipelineName)>,
    /// Who is asked for next.
    ready: VecDeque<PipelineName>,
    asks: FuturesUnordered<BoxFuture<'static, (Arc<Plan>, Told)>>,
    /// Those that are asked for again a little later.
    rests: FuturesUnordered<BoxFuture<'static, PipelineName>>,
    /// The number of the newest end of a run that was seen.
    seen: i64,
    /// The latest that the clock said, since it was last set back.
    latest: DateTime<Utc>,
}

/// One pipeline's schedule, and how far it is handled.
struct Line {
    plan: Arc<Plan>,
    through: DateTime<Utc>,
    followed: String,
    has_waited: bool,
    stands: Stands,
}

/// Where a pipeline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// In `due` at this time; with none it is nowhere.
    Until(Option<DateTime<Utc>>),
    /// In `ready`, in `asks` or in `rests`.
    Asked,
    /// In `asks`, and others have done something since.
    AskedAgain,
}

impl Keeper {
    pub(super) fn new(schedules: Schedules, dispatcher: Dispatcher, clock: Arc<dyn Clock>) -> Self {
        let (start, changes) = (clock.now(), dispatcher.registry().changes());
        Self {
            schedules,
            dispatcher,
            clock,
            start,
            changes,
            lines: BTreeMap::new(),
            due: BTreeSet::new(),
            ready: VecDeque::new(),
            asks: FuturesUnordered::new(),
            rests: FuturesUnordered::new(),
            seen: 0,
            latest: start,
        }
    }

    pub(super) async fn keep(mut self) -> Infallible {
        let plans: Vec<Arc<Plan>> = self.schedules.plans().values().cloned().collect();
        while let Err(error) = self.begin(&plans, self.start).await {
            tracing::error!(%error, "the schedules cannot begin yet");
            sleep(PAUSE).await;
        }
        let clock = Arc::clone(&self.clock);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask_for_ready();
            let earliest = self.due.first().map(|(at, _)| *at);
            let due = async {
                match earliest {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((plan, told)) = self.asks.next(), if !self.asks.is_empty() => self.hear(&plan, told),
                Some(pipeline) = self.rests.next(), if !self.rests.is_empty() => self.ready.push_back(pipeline),
                () = due => self.ripen(),
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.follow_registry().await,
                    // The registry is gone with the daemon.
                    Err(_) => std::future::pending().await,
                },
                _ = looks.tick() => {
                    self.heed_clock();
                    if let Err(error) = in_time(LOOK_LIMIT, self.look()).await {
                        tracing::warn!(%error, "the schedules do not hear of other runs");
                    }
                }
            }
        }
    }

    /// Takes schedules up where the ledger says that they were left; those that are new or other begin at `now`.
    async fn begin(&mut self, plans: &[Arc<Plan>], now: DateTime<Utc>) -> Result<()> {
        let ledger = self.dispatcher.ledger().clone();
        if !self.has_followers() {
            // Before it is looked whom they follow, so that what ends meanwhile is seen once more.
            self.seen = ledger.newest_end().await?;
        }
        let mut known = ledger.schedules().await?;
        let mut begun = Vec::new();
        for plan in plans {
            let (pipeline, timing) = (plan.pipeline.clone(), plan.timing());
            let before = known.remove(pipeline.as_str());
            let is_another = before.as_ref().is_some_and(|handled| is_long_gone(handled, now));
            if is_another {
                // The pause was of another pipeline of this name.
                self.dispatcher.forget_pause(&pipeline).await?;
            }
            let handled = match before.filter(|handled| handled.timing == timing && !is_another) {
                Some(handled) => {
                    if handled.gone.is_some() {
                        begun.push((pipeline, handled.clone()));
                    }
                    handled
                }
                None => {
                    let followed = match plan.after() {
                        Some(after) => Newest::look(&ledger, &pipeline, after).await?.to_text(),
                        None => String::new(),
                    };
                    let new = Handled { timing, through: now, since: now, gone: None, followed };
                    begun.push((pipeline, new.clone()));
                    new
                }
            };
            let Handled { through, followed, .. } = handled;
            let plan = Arc::clone(plan);
            self.place(Line { plan, through, followed, has_waited: false, stands: Stands::Until(None) });
        }
        for chunk in begun.chunks(CHUNK) {
            ledger.schedules_begin(chunk).await?;
        }
        Ok(())
    }

    /// Puts a pipeline that is not asked for where its next occurrence stands. One that follows others is looked at.
    fn place(&mut self, mut line: Line) {
        line.through = handled(line.through, self.clock.now());
        let next = line.plan.upcoming(line.through).map(|next| next.due);
        let is_new = line.plan.after().is_some() && !self.lines.contains_key(&line.plan.pipeline);
        self.place_at(line, next.or_else(|| is_new.then(|| self.clock.now())));
    }

    fn place_at(&mut self, mut line: Line, at: Option<DateTime<Utc>>) {
        let pipeline = line.plan.pipeline.clone();
        self.take_out(&pipeline);
        self.due.extend(at.map(|at| (at, pipeline.clone())));
        line.stands = Stands::Until(at);
        self.lines.insert(pipeline, line);
    }

    /// Takes a pipeline out of `due`.
    fn take_out(&mut self, pipeline: &PipelineName) {
        if let Some(Line { stands: Stands::Until(Some(at)), .. }) = self.lines.get(pipeline) {
            self.due.remove(&(*at, pipeline.clone()));
        }
    }

    /// Has all asked for that is due by now.
    fn ripen(&mut self) {
        let now = self.clock.now();
        while self.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, pipeline)) = self.due.pop_first()
        {
            if let Some(line) = self.lines.get_mut(&pipeline) {
                line.stands = Stands::Asked;
                self.ready.push_back(pipeline);
            }
        }
    }

    fn ask_for_ready(&mut self) {
        while self.asks.len() < ASKS_AT_ONCE
            && let Some(pipeline) = self.ready.pop_front()
        {
            let line = self.lines.get(&pipeline).filter(|line| !matches!(line.stands, Stands::Until(_)));
            let Some(line) = line else { continue };
            let plan = Arc::clone(&line.plan);
            let ask = Ask {
                plan: Arc::clone(&plan),
                through: line.through,
                followed: line.followed.clone(),
                has_waited: line.has_waited,
                now: self.clock.now(),
                dispatcher: self.dispatcher.clone(),
            };
            self.asks.push(Box::pin(async move { (plan, ask.ask().await) }));
        }
    }

    /// Hears what came of an asking.
    fn hear(&mut self, plan: &Arc<Plan>, told: Told) {
        let pipeline = plan.pipeline.clone();
        let now = self.clock.now();
        // It may be gone, or have begun anew.
        let line = self.lines.get_mut(&pipeline).filter(|line| Arc::ptr_eq(&line.plan, plan));
        let Some(line) = line else { return };
        let is_again = line.stands == Stands::AskedAgain;
        let mut at = is_again.then_some(now);
        match told {
            Told::Through(through) => line.through = through,
            Told::Followed(followed) => (line.followed, line.has_waited) = (followed, false),
            Told::At(later) => (at, line.has_waited) = (Some(later), true),
            Told::Later => {
                line.stands = Stands::Asked;
                self.rests.push(Box::pin(async move {
                    sleep(PAUSE).await;
                    pipeline
                }));
                return;
            }
        }
        let Some(line) = self.lines.remove(&pipeline) else { return };
        match at {
            Some(at) => self.place_at(line, Some(at)),
            None if line.plan.after().is_some() => self.place_at(line, None),
            None => self.place(line),
        }
    }

    /// Nobody sleeps for as long as a clock is set back.
    fn heed_clock(&mut self) {
        let now = self.clock.now();
        if now + SET_BACK >= self.latest {
            self.latest = self.latest.max(now);
            return;
        }
        self.latest = now;
        tracing::warn!(%now, "the clock was set back: the schedules go by it from now on");
        let resting: Vec<PipelineName> = self
            .lines
            .iter()
            .filter(|(_, line)| matches!(line.stands, Stands::Until(Some(_))))
            .map(|(pipeline, _)| pipeline.clone())
            .collect();
        for pipeline in resting {
            self.take_out(&pipeline);
            if let Some(line) = self.lines.remove(&pipeline) {
                self.place(line);
            }
        }
    }

    fn has_followers(&self) -> bool {
        self.lines.values().any(|line| line.plan.after().is_some())
    }

    /// Learns what other processes did: which schedules rest, and whose runs are over.
    async fn look(&mut self) -> Result<()> {
        self.dispatcher.look_at_pauses().await?;
        if !self.has_followers() {
            return Ok(());
        }
        let news = self.dispatcher.ledger().ends_after(self.seen).await?;
        self.seen = self.seen.max(news.newest);
        let concerns = |line: &&Line| match line.plan.after() {
            Some(After::Pipelines { names, .. }) => {
                names.iter().any(|name| news.pipelines.contains(name.as_str()))
            }
            Some(After::Dataset { name, .. }) => news.datasets.contains(&name.to_string()),
            None => false,
        };
        let concerned: Vec<PipelineName> =
            self.lines.values().filter(concerns).map(|line| line.plan.pipeline.clone()).collect();
        for pipeline in concerned {
            let Some(line) = self.lines.get_mut(&pipeline) else { continue };
            match line.stands {
                Stands::Until(None) => {
                    line.stands = Stands::Asked;
                    self.ready.push_back(pipeline);
                }
                // It will be asked for, and sees it then.
                Stands::Until(Some(_)) => {}
                Stands::Asked | Stands::AskedAgain => line.stands = Stands::AskedAgain,
            }
        }
        Ok(())
    }

    /// Goes on with the pipelines that are in force now: schedules that stay go on, others begin.
    async fn follow_registry(&mut self) {
        let pipelines = Arc::clone(&self.changes.borrow_and_update());
        let mut plans = BTreeMap::new();
        let mut begin = Vec::new();
        for pipeline in pipelines.values() {
            let Some(schedule) = &pipeline.schedule else { continue };
            let plan = match self.lines.get(&pipeline.name).filter(|line| line.plan.schedule == *schedule) {
                Some(line) => Arc::clone(&line.plan),
                None => match Plan::read(&pipeline.name, schedule) {
                    Ok(plan) => {
                        let plan = Arc::new(plan);
                        begin.push(Arc::clone(&plan));
                        plan
                    }
                    Err(error) => {
                        tracing::error!(pipeline = %pipeline.name, %error, "the schedule cannot be read");
                        continue;
                    }
                },
            };
            plans.insert(pipeline.name.clone(), plan);
        }
        let gone: Vec<PipelineName> =
            self.lines.keys().filter(|name| !plans.contains_key(*name)).cloned().collect();
        for pipeline in gone.iter().chain(begin.iter().map(|plan| &plan.pipeline)) {
            self.take_out(pipeline);
            self.lines.remove(pipeline);
        }
        *self.schedules.plans() = plans;
        while let Err(error) = self.dispatcher.ledger().schedules_end(&gone, self.clock.now()).await {
            tracing::error!(%error, "that schedules ended cannot be recorded yet");
            sleep(PAUSE).await;
        }
        while let Err(error) = self.begin(&begin, self.clock.now()).await {
            tracing::error!(%error, "changed schedules cannot begin yet");
            sleep(PAUSE).await;
        }
    }
}

/// Whether what comes back is another pipeline of the same name.
fn is_long_gone(handled: &Handled, now: DateTime<Utc>) -> bool {
    handled.gone.is_some_and(|gone| now - gone > LONGEST_ABSENCE)
}
