//! Follows the ends of runs in the ledger, and the times that pipelines were due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LAST_WORDS;
use super::alert::{self, FINE, Notice};
use super::deliver::Outbox;
use super::place::Place;
use crate::error::Result;
use crate::govern::store::now_ms;
use crate::run::ledger::outbox::{Outgoing, Put, Turn};
use crate::run::ledger::{EndedRun, Ledger, State};
use crate::serve::dispatch::Dispatcher;
use crate::serve::lineage;
use crate::serve::registry::Pipelines;
use crate::serve::schedule::{Clock, Schedules};
use crate::spec::PipelineName;
use crate::spec::config::{Alert, Concern, Lineage, Observability};
use crate::spec::schedule::Schedule;

mod late;

/// The longest time between two looks: what other processes did is seen by then.
const LONGEST_NAP: Duration = Duration::from_secs(5);
/// The shortest, so that many ends make one look.
const SHORTEST_NAP: Duration = Duration::from_millis(200);
/// How often the outbox is swept.
const SWEEP_INTERVAL_MS: i64 = 60 * 60 * 1000;
/// Runs of one look into the ledger.
const PAGE: u32 = 500;
/// The name of the mark up to which ends were looked at.
pub(super) const MARK: &str = "ended";

/// Watches runs for alerts, lineage and metrics, and puts out what is to be told.
pub(super) struct Watch {
    alerts: Vec<Watched>,
    lineage: Option<(Lineage, Vec<String>)>,
    dispatcher: Dispatcher,
    outbox: Outbox,
    schedules: Schedules,
    clock: Arc<dyn Clock>,
    /// When it began, or when the clock was last set back.
    since: DateTime<Utc>,
    /// The latest that the clock said since then.
    latest: DateTime<Utc>,
    /// When lateness has to be looked at again: of each alert, and without one for the metrics.
    late_at: BTreeMap<(Option<usize>, PipelineName), DateTime<Utc>>,
    /// When that was last looked at.
    looked_for_late: Option<Instant>,
    /// Pipelines that are put in force, with other schedules.
    changes: watch::Receiver<Arc<Pipelines>>,
    /// Those that were in force at the last look.
    known: Arc<Pipelines>,
    /// The number of the end up to which was looked, once it is known.
    seq: Option<i64>,
    swept_ms: i64,
}

/// An alert with its id and its places, which stay the same as long as it is written the same.
struct Watched {
    id: String,
    places: Vec<String>,
    alert: Alert,
}

impl Watched {
    fn of(alert: &Alert) -> Self {
        let places: Vec<String> = Place::of_channel(&alert.channel).into_iter().map(|one| one.id).collect();
        let place = places.join(" ");
        let written = format!("{place} {:?} {:?} {:?}", alert.on, alert.pipelines, alert.late_after);
        Self { id: STANDARD.encode(Sha256::digest(written)), places, alert: alert.clone() }
    }
}

impl Watch {
    pub(super) fn new(
        settings: &Observability,
        dispatcher: Dispatcher,
        outbox: Outbox,
        schedules: Schedules,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let lineage =
            settings.lineage.as_ref().map(|lineage| (lineage.clone(), super::lineage_places(lineage)));
        let now = clock.now();
        Self {
            alerts: settings.alerts.iter().map(Watched::of).collect(),
            lineage,
            changes: dispatcher.registry().changes(),
            known: dispatcher.registry().all(),
            dispatcher,
            outbox,
            schedules,
            since: now,
            latest: now,
            clock,
            late_at: BTreeMap::new(),
            looked_for_late: None,
            seq: None,
            swept_ms: 0,
        }
    }

    /// Until `stop`, and then for what was left to say.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        self.dispatcher.metrics().in_force(&self.known);
        self.remember_successes().await;
        while !stop.is_cancelled() {
            let dispatcher = self.dispatcher.clone();
            let mut ended = std::pin::pin!(dispatcher.ended());
            ended.as_mut().enable();
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = async { tokio::join!(ended, tokio::time::sleep(SHORTEST_NAP)); } => {}
                () = tokio::time::sleep(LONGEST_NAP) => {}
            }
        }
        if tokio::time::timeout(LAST_WORDS, self.look()).await.is_err() {
            tracing::warn!("ends of runs are told at the next start");
        }
    }

    /// What was published before this daemon began is known to its metrics.
    async fn remember_successes(&self) {
        match self.ledger().last_successes_ms().await {
            Ok(mut successes) => {
                let is_known =
                    |name: &str| PipelineName::parse(name).is_ok_and(|name| self.known.contains_key(&name));
                successes.retain(|name, _| is_known(name));
                self.dispatcher.metrics().remember_successes(&successes);
            }
            Err(error) => tracing::warn!(%error, "earlier successes are not known to the metrics"),
        }
    }

    fn ledger(&self) -> &Ledger {
        self.dispatcher.ledger()
    }

    /// One look at everything; a fault of the store is told, and the next look finds the same again.
    async fn look(&mut self) {
        self.follow_registry();
        if let Err(error) = self.follow().await {
            tracing::warn!(%error, "ends of runs could not be looked at");
        }
        if let Err(error) = self.find_late().await {
            tracing::warn!(%error, "late pipelines could not be looked for");
        }
        self.outbox.wake();
        if let Err(error) = self.tidy().await {
            tracing::warn!(%error, "the outbox could not be swept");
        }
    }

    async fn tidy(&mut self) -> Result<()> {
        self.dispatcher.metrics().outbox_holds(&self.outbox.depths().await?);
        if (0..SWEEP_INTERVAL_MS).contains(&(now_ms() - self.swept_ms)) {
            return Ok(());
        }
        for (place, messages) in self.ledger().sweep_outbox().await? {
            tracing::error!(messages, "given up: they waited for a week");
            self.outbox.lost(&place, messages);
        }
        self.swept_ms = now_ms();
        Ok(())
    }

    /// Forgets pipelines that are not there any more, and looks anew at what may have another schedule.
    fn follow_registry(&mut self) {
        if !self.changes.has_changed().unwrap_or(false) {
            return;
        }
        let pipelines = Arc::clone(&self.changes.borrow_and_update());
        for name in self.known.keys().filter(|name| !pipelines.contains_key(*name)) {
            self.dispatcher.metrics().forget(name.as_str());
        }
        self.dispatcher.metrics().in_force(&pipelines);
        let known = std::mem::replace(&mut self.known, pipelines);
        self.late_at.retain(|(_, name), _| schedule_of(&known, name) == schedule_of(&self.known, name));
    }

    /// Tells of every run that ended since the last look.
    async fn follow(&mut self) -> Result<()> {
        let mut seq = match self.seq {
            Some(seq) => seq,
            None => self.ledger().watch_mark(MARK).await?,
        };
        loop {
            self.seq = Some(seq);
            let page = self.ledger().ended_after(seq, PAGE).await?;
            for ended in &page {
                self.tell(ended).await?;
                if let Ok(pipeline) = PipelineName::parse(&ended.run.pipeline) {
                    self.late_at.remove(&(None, pipeline));
                }
                seq = ended.seq;
                self.seq = Some(seq);
            }
            if !page.is_empty() {
                self.ledger().move_watch_mark(MARK, seq).await?;
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    async fn tell(&self, ended: &EndedRun) -> Result<()> {
        if let Some((settings, places)) = &self.lineage {
            let event = lineage::ended(settings, ended);
            for place in places {
                if lineage::put(self.ledger(), place, &event).await? == Put::Full {
                    self.outbox.lost(place, 1);
                }
            }
        }
        let Ok(pipeline) = PipelineName::parse(&ended.run.pipeline) else { return Ok(()) };
        let is_success = ended.run.state == State::Succeeded;
        if is_success && self.known.contains_key(&pipeline) {
            self.dispatcher.metrics().succeeded(pipeline.as_str(), ended.run.finished_at);
        }
        for watched in self.alerts.iter().filter(|watched| watched.alert.covers(&pipeline)) {
            self.judge(watched, &pipeline, ended).await?;
            if is_success && watched.alert.on.contains(&Concern::Late) {
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
        let heard = concern.filter(|concern| watched.alert.on.contains(concern));
        // A run that succeeded ends what was wrong, whatever else there is to say of it.
        if heard != concern && ended.run.state != State::Succeeded {
            return Ok(());
        }
        let before = self.ledger().alert_state(&watched.id, pipeline.as_str(), "run").await?;
        let was = before.as_ref().map_or(FINE, |(state, _)| state.as_str());
        let state = heard.map_or(FINE, Concern::word);
        let message = match state {
            _ if state == was => None,
            FINE => Some(Notice::of_run(ended, self.owner(pipeline), "recovered", Some(was))),
            word => Some(Notice::of_run(ended, self.owner(pipeline), word, None)),
        };
        let mark = mark(ended.seq, false);
        let turn =
            Turn { alert: &watched.id, pipeline: pipeline.as_str(), aspect: "run", state, mark: &mark };
        self.turn(watched, turn, message).await.map(drop)
    }

    /// Records what an alert says from now on, with its messages; false when it was looked at something later already.
    async fn turn(&self, watched: &Watched, turn: Turn<'_>, message: Option<Notice>) -> Result<bool> {
        let body = message.as_ref().map(Notice::body);
        let told: Vec<String> = watched
            .places
            .iter()
            .map(|place| format!("{place} {} {} {} {}", turn.alert, turn.pipeline, turn.aspect, turn.mark))
            .collect();
        let outgoing: Vec<Outgoing<'_>> = watched
            .places
            .iter()
            .zip(&told)
            .filter_map(|(place, told)| Some(Outgoing { place, told, body: body.as_ref()? }))
            .collect();
        let lost = self.ledger().turn(&turn, &outgoing).await?;
        for place in lost.iter().flatten() {
            tracing::error!(
                "the oldest of the alerts that wait for a receiver is given up: there are too many"
            );
            self.outbox.lost(place, 1);
        }
        Ok(lost.is_some())
    }
}

fn schedule_of<'p>(pipelines: &'p Pipelines, name: &PipelineName) -> Option<&'p Schedule> {
    pipelines.get(name)?.schedule.as_ref()
}

/// A mark that sorts by the number of the end up to which was looked. That something is late after an end is later than it.
fn mark(seq: i64, is_late: bool) -> String {
    format!("{:015}{}", seq.max(0), u8::from(is_late))
}

#[cfg(test)]
mod tests {
    use super::mark;

    #[test]
    fn marks_sort_by_what_they_are_about() {
        let marks = [mark(9, false), mark(9, true), mark(10, false), mark(1_700_000_000, false)];
        assert!(marks.is_sorted_by(|one, next| one < next), "{marks:?}");
    }
}
