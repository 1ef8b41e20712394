//! Follows the ends of runs in the ledger, and the times that pipelines were due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::alert::{self, FINE, Notice};
use super::deliver::Outbox;
use super::place::Place;
use super::{LAST_WORDS, NextDue};
use crate::error::Result;
use crate::govern::store::now_ms;
use crate::run::ledger::outbox::{Outgoing, Turn};
use crate::run::ledger::{EndedRun, Ledger, RunId, State};
use crate::serve::dispatch::Dispatcher;
use crate::serve::lineage;
use crate::serve::registry::Pipelines;
use crate::serve::schedule::Clock;
use crate::spec::PipelineName;
use crate::spec::config::{Alert, Concern, Lineage, Observability};

/// The longest time between two looks: what other processes did is seen by then.
const LONGEST_NAP: Duration = Duration::from_secs(5);
/// The shortest, so that many ends make one look.
const SHORTEST_NAP: Duration = Duration::from_millis(200);
/// How often the outbox is swept.
const SWEEP_INTERVAL_MS: i64 = 60 * 60 * 1000;
/// How much later than its time an end may come to be seen: a busy store keeps a writer waiting.
const OVERLAP_MS: i64 = 15_000;
/// Runs of one look into the ledger.
const PAGE: u32 = 500;
/// The name of the mark up to which ends were looked at.
const MARK: &str = "ended";
/// The shortest time between two looks for late pipelines.
const LATE_INTERVAL: Duration = Duration::from_secs(1);
/// Most occurrences that are stepped over to find the latest one.
const MAX_STEPS: usize = 1500;

/// Watches runs for alerts and lineage, and has the outbox delivered.
pub(super) struct Watch {
    alerts: Vec<Watched>,
    lineage: Option<(Lineage, Vec<String>)>,
    dispatcher: Dispatcher,
    outbox: Outbox,
    next_due: NextDue,
    clock: Arc<dyn Clock>,
    /// Since when pipelines that never succeeded can be late.
    since: DateTime<Utc>,
    /// Ends that were looked at within the overlap.
    seen: BTreeMap<RunId, i64>,
    /// When each alert has to look at a pipeline again.
    late_at: BTreeMap<(usize, PipelineName), DateTime<Utc>>,
    /// When that was last looked at.
    looked_for_late: Option<Instant>,
    /// Pipelines that are put in force, with other schedules.
    changes: watch::Receiver<Arc<Pipelines>>,
    /// Up to when ends were looked at, once it is known.
    mark_ms: Option<i64>,
    swept_ms: i64,
}

/// An alert with its id and its place, which stay the same as long as it is written the same.
struct Watched {
    id: String,
    place: String,
    alert: Alert,
}

impl Watch {
    pub(super) fn new(
        settings: &Observability,
        dispatcher: Dispatcher,
        outbox: Outbox,
        next_due: NextDue,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let watched = |alert: &Alert| {
            let place = Place::of_channel(&alert.channel).id;
            let written = format!("{place} {:?} {:?} {:?}", alert.on, alert.pipelines, alert.late_after);
            Watched { id: STANDARD.encode(Sha256::digest(written)), place, alert: alert.clone() }
        };
        let lineage =
            settings.lineage.as_ref().map(|lineage| (lineage.clone(), super::lineage_places(lineage)));
        Self {
            alerts: settings.alerts.iter().map(watched).collect(),
            lineage,
            changes: dispatcher.registry().changes(),
            dispatcher,
            outbox,
            next_due,
            since: clock.now(),
            clock,
            seen: BTreeMap::new(),
            late_at: BTreeMap::new(),
            looked_for_late: None,
            mark_ms: None,
            swept_ms: 0,
        }
    }

    /// Until `stop`, and then for what was left to say.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        self.remember_successes().await;
        while !stop.is_cancelled() {
            let dispatcher = self.dispatcher.clone();
            let mut ended = std::pin::pin!(dispatcher.ended());
            ended.as_mut().enable();
            let due_ms = self.look().await;
            let nap = due_ms.map_or(LONGEST_NAP, |at_ms| {
                Duration::from_millis(at_ms.saturating_sub(now_ms()).unsigned_abs()).min(LONGEST_NAP)
            });
            tokio::select! {
                () = stop.cancelled() => break,
                () = async { tokio::join!(ended, tokio::time::sleep(SHORTEST_NAP)); } => {}
                () = tokio::time::sleep(nap.max(SHORTEST_NAP)) => {}
            }
        }
        if tokio::time::timeout(LAST_WORDS, self.look()).await.is_err() {
            tracing::warn!("messages to others wait for the next start");
        }
    }

    /// What was published before this daemon began is known to its metrics.
    async fn remember_successes(&self) {
        match self.ledger().last_successes_ms().await {
            Ok(successes) => self.dispatcher.metrics().remember_successes(&successes),
            Err(error) => tracing::warn!(%error, "earlier successes are not known to the metrics"),
        }
    }

    fn ledger(&self) -> &Ledger {
        self.dispatcher.ledger()
    }

    /// One look at everything; a fault of the store is told, and the next look finds the same again.
    async fn look(&mut self) -> Option<i64> {
        if let Err(error) = self.follow().await {
            tracing::warn!(%error, "ends of runs could not be looked at");
        }
        if let Err(error) = self.find_late().await {
            tracing::warn!(%error, "late pipelines could not be looked for");
        }
        let due_ms = self.outbox.round().await;
        if let Err(error) = self.tidy().await {
            tracing::warn!(%error, "the outbox could not be swept");
        }
        due_ms
    }

    async fn tidy(&mut self) -> Result<()> {
        self.dispatcher.metrics().outbox_holds(&self.outbox.depths().await?);
        if now_ms() - self.swept_ms < SWEEP_INTERVAL_MS {
            return Ok(());
        }
        let lost = self.ledger().sweep_outbox().await?;
        if lost > 0 {
            tracing::error!(messages = lost, "given up: they waited for a week");
        }
        self.swept_ms = now_ms();
        Ok(())
    }

    /// Tells of every run that ended since the last look.
    async fn follow(&mut self) -> Result<()> {
        let mark = match self.mark_ms {
            Some(mark) => mark,
            None => self.ledger().watch_mark(MARK, now_ms()).await?,
        };
        let (mut at_ms, mut run_id) = (mark - OVERLAP_MS, String::new());
        loop {
            let page = self.ledger().ended_after(at_ms, &run_id, PAGE).await?;
            for ended in &page {
                at_ms = ended.run.finished_at.map_or(at_ms, |at| at.timestamp_millis());
                run_id = ended.run.run_id.to_string();
                if !self.seen.contains_key(&ended.run.run_id) {
                    self.tell(ended).await?;
                    self.seen.insert(ended.run.run_id, at_ms);
                }
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        if at_ms > mark {
            self.ledger().move_watch_mark(MARK, at_ms).await?;
        }
        let mark = mark.max(at_ms);
        self.mark_ms = Some(mark);
        self.seen.retain(|_, ended_ms| *ended_ms > mark - 2 * OVERLAP_MS);
        Ok(())
    }

    async fn tell(&self, ended: &EndedRun) -> Result<()> {
        self.dispatcher.metrics().saw_end(&ended.run);
        if let Some((settings, places)) = &self.lineage {
            let event = lineage::ended(settings, ended);
            for place in places {
                lineage::put(self.ledger(), place, &event).await?;
            }
        }
        let Ok(pipeline) = PipelineName::parse(&ended.run.pipeline) else { return Ok(()) };
        for watched in self.alerts.iter().filter(|watched| watched.alert.covers(&pipeline)) {
            self.judge(watched, &pipeline, ended).await?;
            if ended.run.state == State::Succeeded && watched.alert.on.contains(&Concern::Late) {
                self.end_lateness(watched, &pipeline, ended).await?;
            }
        }
        Ok(())
    }

    fn owner(&self, pipeline: &PipelineName) -> Option<String> {
        self.dispatcher.registry().get(pipeline).map(|pipeline| pipeline.owner.clone())
    }

    /// One message for each change of what is wrong.
    async fn judge(&self, watched: &Watched, pipeline: &PipelineName, ended: &EndedRun) -> Result<()> {
        let Some(concern) = alert::concern(ended) else { return Ok(()) };
        if concern.is_some_and(|concern| !watched.alert.on.contains(&concern)) {
            return Ok(());
        }
        let mark = ended.run.run_id.to_string();
        let before = self.ledger().alert_state(&watched.id, pipeline.as_str(), "run").await?;
        let was = before.as_ref().map_or(FINE, |(state, _)| state.as_str());
        let state = concern.map_or(FINE, Concern::word);
        let message = match state {
            _ if state == was => None,
            FINE => Some(Notice::of_run(ended, self.owner(pipeline), "recovered", Some(was))),
            word => Some(Notice::of_run(ended, self.owner(pipeline), word, None)),
        };
        self.turn(
            watched,
            Turn { alert: &watched.id, pipeline: pipeline.as_str(), aspect: "run", state, mark: &mark },
            message,
        )
        .await
    }

    async fn end_lateness(&self, watched: &Watched, pipeline: &PipelineName, ended: &EndedRun) -> Result<()> {
        let before = self.ledger().alert_state(&watched.id, pipeline.as_str(), "late").await?;
        let Some((_, since)) = before.filter(|(state, _)| state == Concern::Late.word()) else {
            return Ok(());
        };
        let Some(finished_at) = ended.run.finished_at else { return Ok(()) };
        let mark = sorted(finished_at);
        if mark <= since {
            return Ok(());
        }
        let word = Concern::Late.word();
        let message = Notice::of_run(ended, self.owner(pipeline), "recovered", Some(word));
        let turn = Turn {
            alert: &watched.id,
            pipeline: pipeline.as_str(),
            aspect: "late",
            state: FINE,
            mark: &mark,
        };
        self.turn(watched, turn, Some(message)).await
    }

    /// Tells of every pipeline that was due and has not succeeded since.
    async fn find_late(&mut self) -> Result<()> {
        let is_soon = self.looked_for_late.is_some_and(|at| at.elapsed() < LATE_INTERVAL);
        if self.alerts.is_empty() || is_soon {
            return Ok(());
        }
        self.looked_for_late = Some(Instant::now());
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            self.late_at.clear();
        }
        let now = self.clock.now();
        let pipelines = self.dispatcher.registry().all();
        for index in 0..self.alerts.len() {
            let Some(watched) = self.alerts.get(index) else { continue };
            if !watched.alert.on.contains(&Concern::Late) {
                continue;
            }
            let allowed = TimeDelta::from_std(watched.alert.late_after).unwrap_or(TimeDelta::MAX);
            let Some(before) = now.checked_sub_signed(allowed) else { continue };
            let mut again = Vec::new();
            for pipeline in pipelines.keys().filter(|pipeline| watched.alert.covers(pipeline)) {
                let key = (index, pipeline.clone());
                if self.late_at.get(&key).is_some_and(|at| *at > now) {
                    continue;
                }
                self.judge_lateness(watched, pipeline, before, now).await?;
                let next = (self.next_due)(pipeline, before).and_then(|due| due.checked_add_signed(allowed));
                again.push((key, next.unwrap_or(DateTime::<Utc>::MAX_UTC)));
            }
            self.late_at.extend(again);
        }
        Ok(())
    }

    async fn judge_lateness(
        &self,
        watched: &Watched,
        pipeline: &PipelineName,
        before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let Some(due_at) = latest_due(&self.next_due, pipeline, before) else { return Ok(()) };
        let success = self.ledger().last_success_ms(pipeline).await?;
        let success = success.and_then(DateTime::from_timestamp_millis);
        if due_at <= success.unwrap_or(self.since) {
            return Ok(());
        }
        let known = self.ledger().alert_state(&watched.id, pipeline.as_str(), "late").await?;
        let word = Concern::Late.word();
        if known.is_some_and(|(state, _)| state == word) {
            return Ok(());
        }
        let mark = sorted(due_at);
        let message = Notice::late(pipeline.as_str(), self.owner(pipeline), due_at, now);
        let turn = Turn {
            alert: &watched.id,
            pipeline: pipeline.as_str(),
            aspect: "late",
            state: word,
            mark: &mark,
        };
        self.turn(watched, turn, Some(message)).await
    }

    async fn turn(&self, watched: &Watched, turn: Turn<'_>, message: Option<Notice>) -> Result<()> {
        let told = format!("{} {} {} {}", turn.alert, turn.pipeline, turn.aspect, turn.mark);
        let body = message.as_ref().map(Notice::body);
        let outgoing = body.as_ref().map(|body| Outgoing { place: &watched.place, told: &told, body });
        self.ledger().turn(&turn, outgoing).await.map(drop)
    }
}

/// A time as a mark that sorts by it.
fn sorted(at: DateTime<Utc>) -> String {
    format!("{:015}", at.timestamp_millis().max(0))
}

/// The last time at or before `before` that a pipeline was due, within a year.
fn latest_due(next_due: &NextDue, pipeline: &PipelineName, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
    for hours in [1, 24, 31 * 24, 366 * 24] {
        let from = before.checked_sub_signed(TimeDelta::hours(hours))?;
        let Some(mut latest) = next_due(pipeline, from).filter(|due| *due <= before) else { continue };
        for _ in 0..MAX_STEPS {
            match next_due(pipeline, latest).filter(|due| *due <= before) {
                Some(later) => latest = later,
                None => break,
            }
        }
        return Some(latest);
    }
    None
}

#[cfg(test)]
mod tests {
    use chrono::{DurationRound as _, TimeZone as _};

    use super::*;

    #[test]
    fn the_latest_due_time_is_found_however_seldom_it_comes() {
        let before = Utc.with_ymd_and_hms(2026, 11, 29, 22, 45, 30).unwrap();
        let crm = PipelineName::parse("crm").unwrap();
        for (seconds, expected) in [
            (60, "2026-11-29T22:45:00Z"),
            (3600, "2026-11-29T22:00:00Z"),
            (86_400, "2026-11-29T00:00:00Z"),
            (7 * 86_400, "2026-11-26T00:00:00Z"),
        ] {
            let step = TimeDelta::seconds(seconds);
            let next: NextDue = Arc::new(move |_, after| Some(after.duration_trunc(step).unwrap() + step));
            let found = latest_due(&next, &crm, before).unwrap();
            assert_eq!(found, expected.parse::<DateTime<Utc>>().unwrap(), "every {seconds} s");
        }
        let never: NextDue = Arc::new(|_, _| None);
        assert_eq!(latest_due(&never, &crm, before), None);
    }

    #[test]
    fn marks_sort_by_time() {
        let at = |seconds| sorted(DateTime::from_timestamp(seconds, 0).unwrap());
        assert!(at(9) < at(10) && at(999_999_999) < at(1_700_000_000));
    }
}
