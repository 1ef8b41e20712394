//! Runs that ended before their last stream, and what they had published by then.
//!
//! A commit may have landed although its run was killed before it could say so. The commit itself
//! names the run, so the table is asked, not the ledger. Only appended streams matter: overwriting
//! again gives the same rows, appending again would double them.

use super::{Engine, Job, Published, RunId, StreamPlan};
use crate::error::Result;
use crate::publish::{Mode, Store, Table};
use crate::spec::{Pipeline, StreamName};

/// How many earlier runs are looked at.
const LOOK_BACK: u32 = 50;

/// The runs of the pipeline since its last success, newest first.
pub(super) async fn unfinished(engine: &Engine, job: &Job<'_>) -> Result<Vec<RunId>> {
    let runs = engine.ledger.runs(Some(&job.pipeline.name), LOOK_BACK).await?;
    Ok(runs
        .into_iter()
        .filter(|run| run.run_id != job.run_id)
        .take_while(|run| run.state != super::ledger::State::Succeeded)
        .map(|run| run.run_id)
        .collect())
}

/// The version of an appended stream that one of the `earlier` runs published.
pub(super) async fn published(
    earlier: &[RunId],
    store: &Store,
    plan: &StreamPlan,
    job: &Job<'_>,
) -> Result<Option<Published>> {
    if plan.mode != Mode::Append {
        return Ok(None);
    }
    let application = application(job.pipeline, &plan.relation.stream);
    for run_id in earlier {
        let found = Table::published_by(store, &plan.dataset, &application, &run_id.to_string()).await?;
        if let Some(outcome) = found {
            return Ok(Some(Published {
                stream: plan.relation.stream.clone(),
                dataset: plan.dataset.clone(),
                outcome,
                decisions: plan.protection.decisions().to_vec(),
                seconds: 0.0,
                earlier: true,
            }));
        }
    }
    Ok(None)
}

/// The application id of a stream in the table's transaction log.
pub(super) fn application(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("{}/{stream}", pipeline.name)
}
