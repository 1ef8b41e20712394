//! Runs that ended before their last word, and what they had published by then.
//!
//! A commit may have landed although its run was killed before it could say so. The commit itself
//! names the run, so the table is asked, not the ledger. An appended stream must not be appended
//! again; an overwritten one gives the same rows again.

use super::ledger::{State, StreamOutcome};
use super::{Engine, Job, Published, RunId, StreamPlan};
use crate::error::Result;
use crate::publish::{Mode, Outcome, Store, Table};
use crate::spec::{Pipeline, StreamName};

/// How many earlier runs are looked at.
const LOOK_BACK: u32 = 50;

/// What the runs since the last success had published all the same.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// By stream, the newest version first.
    published: Vec<(StreamName, Outcome)>,
}

impl Earlier {
    /// Asks the tables. A run whose streams all overwrite, and which had published every one of
    /// them, is recorded as the success it was. An appended version is different: this run will
    /// stand for it, so the one that was killed stays failed.
    pub(super) async fn find(
        engine: &Engine,
        job: &Job<'_>,
        store: &Store,
        plans: &[StreamPlan],
    ) -> Result<Self> {
        let mut earlier = Self::default();
        let overwrites = plans.iter().all(|plan| plan.mode == Mode::Overwrite);
        for run_id in unfinished(engine, job).await? {
            let mut done = Vec::new();
            for plan in plans {
                let application = application(job.pipeline, &plan.relation.stream);
                let landed =
                    Table::published_by(store, &plan.dataset, &application, &run_id.to_string()).await?;
                done.extend(landed.map(|outcome| published(plan, &outcome)));
            }
            if overwrites && done.len() == plans.len() && job.only.is_none() {
                settle(engine, &run_id, &done).await?;
            }
            earlier.published.extend(done.into_iter().map(|done| (done.stream, done.outcome)));
        }
        Ok(earlier)
    }

    /// The version of an appended stream that need not be published again.
    pub(super) fn appended(&self, plan: &StreamPlan) -> Option<Published> {
        if plan.mode != Mode::Append {
            return None;
        }
        let (_, outcome) = self.published.iter().find(|(stream, _)| *stream == plan.relation.stream)?;
        Some(published(plan, outcome))
    }
}

/// A version that an earlier run made visible.
fn published(plan: &StreamPlan, outcome: &Outcome) -> Published {
    Published {
        stream: plan.relation.stream.clone(),
        dataset: plan.dataset.clone(),
        outcome: outcome.clone(),
        decisions: plan.protection.decisions().to_vec(),
        seconds: 0.0,
        earlier: true,
    }
}

async fn settle(engine: &Engine, run_id: &RunId, done: &[Published]) -> Result<()> {
    for done in done {
        engine.ledger.stream_published(run_id, &StreamOutcome::from(done)).await?;
    }
    engine.ledger.settle(run_id).await
}

/// The runs of the pipeline since its last success, newest first.
async fn unfinished(engine: &Engine, job: &Job<'_>) -> Result<Vec<RunId>> {
    let runs = engine.ledger.runs(Some(&job.pipeline.name), LOOK_BACK).await?;
    let others = runs.into_iter().filter(|run| run.run_id != job.run_id);
    Ok(others.take_while(|run| run.state != State::Succeeded).map(|run| run.run_id).collect())
}

/// The application id of a stream in the table's transaction log.
pub(super) fn application(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("{}/{stream}", pipeline.name)
}
