//! One stream of a run: from its rows at the source to a version that everybody sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc;
use tracing::{Instrument as _, info_span};

use super::draft::Draft;
use super::increment::Asked;
use super::increment::known::Known;
use super::landing::{self, Drafts, Landing};
use super::load::Load;
use super::passage::Found;
use super::progress::{Counter, Progress};
use super::{
    Engine, Instant, Job, Published, Standing, StreamPlan, Trigger, application, quarantine, unless_cancelled,
};
use crate::Rejected;
use crate::error::Result;
use crate::govern::store::now_ms;
use crate::publish::receipt::Rows;
use crate::publish::{Facts, Provenance, Store};

/// One stream of a run, and what it is run with.
pub(super) struct Stream<'a> {
    pub(super) engine: &'a Engine,
    pub(super) job: &'a Job<'a>,
    pub(super) store: &'a Store,
    pub(super) plan: &'a StreamPlan,
    /// What is published of it.
    pub(super) standing: &'a Standing,
    pub(super) progress: &'a dyn Progress,
}

/// How far a stream has come.
#[derive(Default)]
struct Course {
    /// How many rows were read.
    read: Arc<AtomicU64>,
    /// The trail was told that they are about to be made visible, and of their keys.
    lands: AtomicBool,
}

/// What is known of rows that are written.
struct Checked {
    facts: Option<Facts>,
    /// What is wrong with them, and is only told.
    warnings: Vec<String>,
    /// There is something to publish.
    is_new: bool,
}

impl Stream<'_> {
    /// Reads, seals and publishes it. Where its rows were read and do not come as far as to be published, the audit trail
    /// is told of their keys nevertheless.
    ///
    /// # Errors
    /// Those of the stages; nothing of it is visible then, but rejected rows where only its own commit failed.
    pub(super) async fn publish(&self, source: &mut Instant) -> Result<Published> {
        let course = Course::default();
        let published = self.read_and_land(source, &course).await;
        if course.read.load(Ordering::Relaxed) > 0 && !course.lands.load(Ordering::Relaxed) {
            landing::record_unpublished(self.engine, self.job, self.plan).await;
        }
        published
    }

    /// Source -> decisions on types -> transform -> seal -> Parquet objects -> commit. Rows that are rejected on the way
    /// are written beside it and made visible first.
    async fn read_and_land(&self, source: &mut Instant, course: &Course) -> Result<Published> {
        let Self { engine, job, plan, standing, .. } = *self;
        let started = std::time::Instant::now();
        let told = self.provenance().await?;
        let asked = Asked::of(engine, job, plan, standing, source.taken_at).await?;
        let found = Found::default();
        let mut drafts = self.load(source, &asked, &found, course).await?;
        let Checked { facts, warnings, .. } = match self.check(source, &asked, &found, &mut drafts).await {
            Ok(checked) if checked.is_new => checked,
            nothing => {
                self.give_up(drafts).await;
                let warnings = nothing?.warnings;
                let seconds = started.elapsed().as_secs_f64();
                return Ok(Published { warnings, ..Published::unchanged(plan, standing, seconds) });
            }
        };
        let (written, set_aside) = drafts.rows();
        let rows = Rows::of(course.read.load(Ordering::Relaxed), set_aside, written);
        let columns = plan.comparison.stays().to_vec();
        let provenance = Provenance { snapshot: source.snapshot.id(), rows, facts, columns, ..told };
        self.progress.landing(plan);
        // From here on a commit may name the files: they are no part of another load. Where that is refused they may be by
        // now, and stay.
        engine.ledger.forget_parts(&job.run_id, &plan.relation.stream).await?;
        let landing =
            Landing { stream: self, asked: &asked, taken_at: source.taken_at, lands: &course.lands };
        let (outcome, quarantined) =
            landing.land(drafts, provenance).instrument(info_span!("publish")).await?;
        Ok(Published {
            stream: plan.relation.stream.clone(),
            dataset: plan.dataset.clone(),
            outcome,
            quarantined,
            warnings,
            decisions: plan.protection.decisions().to_vec(),
            seconds: started.elapsed().as_secs_f64(),
            unchanged: false,
            earlier: false,
        })
    }

    /// Its rows as objects that nobody sees yet, and those that were rejected.
    async fn load(
        &self,
        source: &mut Instant,
        asked: &Asked,
        found: &Found,
        course: &Course,
    ) -> Result<Drafts> {
        let Self { engine, job, store, plan, standing, .. } = *self;
        let counter = counted(self.progress.started(plan), &course.read);
        let stop = job.cancel.child_token();
        let (rejects, rejected) = quarantine::queue();
        let known = unless_cancelled(job.cancel, asked.known(engine, store, plan)).await?;
        let known_rejected = unless_cancelled(job.cancel, asked.rejected(engine, store, plan, standing));
        let load =
            Load { stream: self, asked, found, taken_at: source.taken_at, stop: stop.clone(), counter };
        let own = load.write(&mut *source.snapshot, known, plan.quarantine.is_some().then_some(rejects));
        let rejected = self.set_aside(rejected, known_rejected);
        let (own, rejected) = quarantine::side_by_side(store, own, rejected, &stop)
            .instrument(info_span!("read_and_seal"))
            .await?;
        Ok(Drafts { own: Some(own), rejected, keys: None })
    }

    /// The rows that are rejected, where there are any.
    async fn set_aside(
        &self,
        rejected: mpsc::Receiver<Rejected>,
        known: impl Future<Output = Result<Option<Known>>>,
    ) -> Result<Option<Draft>> {
        let Self { engine, job, store, plan, .. } = *self;
        let Some(quarantine) = &plan.quarantine else { return Ok(None) };
        quarantine.take(engine, store, plan, job.run_id.to_string(), rejected, known).await
    }

    /// What was found of the rows on their way. Where there is something to publish and the source's keys are to be read
    /// beside the rows, they are among the drafts then.
    async fn check(
        &self,
        source: &mut Instant,
        asked: &Asked,
        found: &Found,
        drafts: &mut Drafts,
    ) -> Result<Checked> {
        let Self { engine, job, store, plan, standing, .. } = *self;
        let (facts, warnings) = found.told(plan, asked)?;
        let is_new = drafts.rows() != (0, 0) || !asked.is_nothing(plan, standing);
        if let (true, Some(keys)) = (is_new, &plan.keys) {
            let keys = keys.read(engine, &mut *source.snapshot, store, plan);
            drafts.keys = Some(unless_cancelled(job.cancel, keys).await?);
        }
        Ok(Checked { facts, warnings, is_new })
    }

    /// Removes what was written and is not published. What the ledger lists as parts may be another process's by now,
    /// where this one stood still: then all of it stays, unseen.
    async fn give_up(&self, drafts: Drafts) {
        match self.engine.ledger.forget_parts(&self.job.run_id, &self.plan.relation.stream).await {
            Ok(()) => drafts.discard(self.store).await,
            Err(error) => tracing::warn!(%error, "files that were written and not published stay"),
        }
    }

    /// What travels in the commit, as far as it is known before any row is read.
    async fn provenance(&self) -> Result<Provenance> {
        let Self { engine, job, plan, .. } = *self;
        let recorded = engine.ledger.run(&job.run_id).await?;
        Ok(Provenance {
            run_id: job.run_id.to_string(),
            trigger: recorded.map_or(Trigger::Cli, |run| run.trigger).word().to_owned(),
            stream: application(job.pipeline, &plan.relation.stream),
            spec_digest: job.pipeline.digest.clone(),
            policy: engine.policy.name.clone(),
            policy_digest: engine.policy.digest.clone(),
            connection: job.pipeline.connection.to_string(),
            snapshot: None,
            columns: Vec::new(),
            cursor: None,
            window: None,
            started_ms: now_ms(),
            rows: Rows::default(),
            facts: None,
        })
    }
}

/// The rows, counted once more for the receipt.
fn counted(counter: Counter, read: &Arc<AtomicU64>) -> Counter {
    let read = read.clone();
    Arc::new(move |rows, bytes| {
        read.fetch_add(rows, Ordering::Relaxed);
        counter(rows, bytes);
    })
}
