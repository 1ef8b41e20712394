//! Asks for the run of a pipeline that is due.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::follow::Newest;
use super::plan::{Occurrence, Plan, SET_BACK};
use crate::error::Result;
use crate::govern::store::in_time;
use crate::run::ledger::Turn;
use crate::serve::dispatch::{Dispatcher, Refusal};
use crate::spec::schedule::{Missed, WhenActive};

/// How long one asking may take before it is given up, and tried again.
const LIMIT: Duration = Duration::from_secs(30);
/// A pipeline that may be due.
pub(super) struct Ask {
    pub(super) plan: Arc<Plan>,
    pub(super) through: DateTime<Utc>,
    pub(super) followed: String,
    /// Whether it has waited for its jitter.
    pub(super) has_waited: bool,
    pub(super) now: DateTime<Utc>,
    pub(super) dispatcher: Dispatcher,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// All is handled up to here.
    Through(DateTime<Utc>),
    /// What others have done so far is.
    Followed(String),
    /// What others have done has its run at this time.
    At(DateTime<Utc>),
    /// It is to be asked again a little later.
    Later,
}

impl Ask {
    /// Asks, within a time.
    pub(super) async fn ask(mut self) -> Told {
        let pipeline = self.plan.pipeline.clone();
        let asked = if self.plan.after().is_none() {
            in_time(LIMIT, self.by_clock()).await
        } else {
            in_time(LIMIT, self.by_others()).await
        };
        asked.unwrap_or_else(|error| {
            tracing::error!(%pipeline, %error, "the schedule will ask again");
            Told::Later
        })
    }

    async fn by_clock(&self) -> Result<Told> {
        let (plan, now) = (&self.plan, self.now);
        let ripe = plan.ripe(self.through, now);
        let Some(newest) = ripe.last().copied() else {
            // Where more than a look goes over is not ripe yet, it would be asked for again at once.
            let is_due = plan.upcoming(self.through).is_some_and(|next| next.due <= now);
            return Ok(if is_due { Told::Later } else { Told::Through(self.through) });
        };
        let pipeline = &plan.pipeline;
        if self.dispatcher.is_paused(pipeline) {
            self.dispatcher.ledger().rested(pipeline, &turn(newest, now)).await?;
            return Ok(Told::Through(newest.at));
        }
        let Some(chosen) = plan.chosen(&ripe, now) else {
            tracing::warn!(%pipeline, at = %newest.at, "missed, and left out");
            return self.leave_out(newest).await;
        };
        // What is caught up waits its turn, whatever is said of occurrences in time.
        let is_caught_up = plan.schedule.missed == Missed::All && (ripe.len() > 1 || chosen.is_missed(now));
        let may_wait = !is_caught_up && plan.schedule.when_active == WhenActive::Queue;
        let late = (now - chosen.due).to_std().unwrap_or_default();
        let asked = Instant::now();
        match self.dispatcher.take_turn(pipeline, turn(chosen, now), may_wait).await {
            Ok(taken) => {
                if taken.is_some() {
                    self.dispatcher.metrics().triggered_late(late + asked.elapsed());
                }
                Ok(Told::Through(chosen.at))
            }
            // Another process may just be taking this very turn: what it takes is not left out here.
            Err(Refusal::Elsewhere(_)) => Ok(Told::Later),
            Err(Refusal::Active(_)) if is_caught_up => Ok(Told::Later),
            Err(Refusal::Active(_)) => {
                tracing::warn!(%pipeline, at = %chosen.at, "left out: the pipeline has a run");
                self.leave_out(chosen).await
            }
            Err(refusal) => self.refused(refusal),
        }
    }

    async fn leave_out(&self, occurrence: Occurrence) -> Result<Told> {
        self.dispatcher.ledger().left_out(&self.plan.pipeline, &turn(occurrence, self.now)).await?;
        Ok(Told::Through(occurrence.at))
    }

    async fn by_others(&mut self) -> Result<Told> {
        loop {
            if let Some(told) = self.follow().await? {
                return Ok(told);
            }
        }
    }

    /// `None` where another process followed something meanwhile, which is known now.
    async fn follow(&mut self) -> Result<Option<Told>> {
        let Some(after) = self.plan.after() else { return Ok(Some(Told::Later)) };
        let (pipeline, ledger) = (&self.plan.pipeline, self.dispatcher.ledger());
        let newest = Newest::look(ledger, pipeline, after).await?;
        if !newest.is_due(&self.followed, after)? {
            return Ok(Some(Told::Followed(self.followed.clone())));
        }
        let due = if self.has_waited { self.plan.released(self.now) } else { self.plan.due(self.now) };
        let is_left_out = due.is_none() || self.dispatcher.is_paused(pipeline);
        if let Some(at) = due.filter(|at| *at > self.now && !is_left_out) {
            return Ok(Some(Told::At(at)));
        }
        let now = newest.to_text();
        let turn = Turn::Followed { before: self.followed.clone(), now: now.clone() };
        if is_left_out {
            ledger.left_out(pipeline, &turn).await?;
            return Ok(Some(Told::Followed(now)));
        }
        let may_wait = self.plan.schedule.when_active == WhenActive::Queue;
        let told = match self.dispatcher.take_turn(pipeline, turn.clone(), may_wait).await {
            Ok(Some(_)) => Told::Followed(now),
            Ok(None) => {
                let recorded = ledger.schedules().await?.remove(pipeline.as_str());
                match recorded.map(|handled| handled.followed) {
                    // Another daemon took it: what it followed may be older than what there is now.
                    Some(followed) if followed != self.followed => {
                        self.followed = followed;
                        return Ok(None);
                    }
                    _ => Told::Followed(now),
                }
            }
            Err(Refusal::Elsewhere(_)) => Told::Later,
            // What waits begins after what it follows.
            Err(Refusal::Active(_)) if may_wait => Told::Later,
            Err(Refusal::Active(_)) => {
                tracing::warn!(%pipeline, "left out: the pipeline has a run");
                ledger.left_out(pipeline, &turn).await?;
                Told::Followed(now)
            }
            Err(refusal) => self.refused(refusal)?,
        };
        Ok(Some(told))
    }

    fn refused(&self, refusal: Refusal) -> Result<Told> {
        match refusal {
            Refusal::Ledger(error) => return Err(error),
            Refusal::Full => tracing::warn!(pipeline = %self.plan.pipeline, "too many runs wait"),
            _ => {}
        }
        Ok(Told::Later)
    }
}

fn turn(occurrence: Occurrence, now: DateTime<Utc>) -> Turn {
    Turn::Occurrence { at: occurrence.at, believed_until: now + SET_BACK }
}
