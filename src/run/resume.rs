//! Runs that ended before their last word, and what they had published by then.
//!
//! A commit may have landed although its run was killed before it could say so. The commit itself
//! names the run, so the table is asked, not the ledger. An appended stream must not be appended
//! again; an overwritten one gives the same rows again.

use super::ledger::{Run, State, StreamOutcome, StreamState};
use super::quarantine::Quarantined;
use super::standing::Standing;
use super::{Engine, Extent, Job, Published, StreamPlan, application};
use crate::error::Result;
use crate::publish::Mode;
use crate::spec::StreamName;

/// How many earlier runs are looked at.
const LOOK_BACK: u32 = 1000;

/// The pipeline's earlier runs, newest first. An earlier attempt of this run is as one.
///
/// # Errors
/// Those of the ledger.
pub(super) async fn runs(engine: &Engine, job: &Job<'_>) -> Result<Vec<Run>> {
    let runs = engine.ledger.runs(Some(&job.pipeline.name), LOOK_BACK).await?;
    Ok(runs.into_iter().filter(|run| run.run_id != job.run_id || run.attempt > 1).collect())
}

/// Whether the last run (`runs`: newest first) ended before it had published the stream. One that was held had
/// not begun to read.
pub(super) fn is_cut_off(runs: &[Run], stream: &StreamName) -> bool {
    let is_published =
        |one: &StreamOutcome| one.stream == stream.as_str() && one.state == StreamState::Published;
    runs.iter().find(|run| run.state != State::Queued).is_some_and(|run| {
        matches!(run.state, State::Running | State::Failed | State::Cancelled)
            && !run.streams.iter().any(is_published)
    })
}

/// What runs that did not succeed had published all the same.
#[derive(Debug)]
pub(super) struct Earlier {
    /// By plan: the version that this run need not append again.
    appended: Vec<Option<Published>>,
}

impl Earlier {
    /// Compares the ledger with what stands in the tables (`standing`, by plan).
    ///
    /// A run whose streams all overwrite, and which had published every one of them, is recorded as
    /// the success it was. An appended version is different: this run will stand for it, so the one
    /// that was killed stays failed.
    pub(super) async fn find(
        engine: &Engine,
        job: &Job<'_>,
        runs: &[Run],
        plans: &[StreamPlan],
        standing: &[Standing],
    ) -> Result<Self> {
        let each = || plans.iter().zip(standing);
        if job.only.is_none() && plans.iter().all(|plan| plan.mode == Mode::Overwrite) {
            let since = runs.iter().take_while(|run| run.state != State::Succeeded);
            // One that is to be tried again tells its end itself.
            let ended = since.filter(|run| matches!(run.state, State::Failed | State::Cancelled));
            for run in ended {
                let done: Option<Vec<StreamOutcome>> = each()
                    .map(|(plan, standing)| {
                        by(run, job, plan, standing).map(|done| StreamOutcome::from(&done))
                    })
                    .collect();
                if let Some(done) = done {
                    engine.ledger.settle(&run.run_id, &done, &job.run_id).await?;
                }
            }
        }
        let appended = each().map(|(plan, standing)| appended(runs, job, plan, standing)).collect();
        Ok(Self { appended })
    }

    /// The version that stands for appending the stream of the plan at `index`, if one does.
    pub(super) fn appended(&self, index: usize) -> Option<Published> {
        self.appended.get(index)?.clone()
    }
}

/// What a run since the stream's last success appended to it. Which came first is told by the versions of the table: a
/// clock may have been wrong.
fn appended(runs: &[Run], job: &Job<'_>, plan: &StreamPlan, standing: &Standing) -> Option<Published> {
    // Rows that have a key are not added again, and a range or everything was asked for on purpose.
    if plan.mode != Mode::Append || !plan.primary_key.is_empty() || job.extent != &Extent::New {
        return None;
    }
    let (stream, dataset) = (plan.relation.stream.as_str(), plan.dataset.to_string());
    let (succeeded, unfinished): (Vec<&Run>, Vec<&Run>) =
        runs.iter().partition(|run| run.state == State::Succeeded);
    let outcomes = succeeded.iter().flat_map(|run| &run.streams);
    let versions =
        outcomes.filter(|one| one.stream == stream && one.dataset == dataset).map(|one| one.version);
    // One beyond the newest was of a table that is gone.
    let settled = versions.filter(|version| *version <= standing.dataset.newest).max().flatten();
    let appended = unfinished.into_iter().filter_map(|run| by(run, job, plan, standing));
    let appended = appended.filter(|done| settled.is_none_or(|settled| done.outcome.version > settled));
    appended.max_by_key(|done| done.outcome.version)
}

/// What an earlier run published of the stream: the version of its dataset says that the one of its
/// quarantine is there too, which is made visible first. What it did to the columns was decided then.
fn by(run: &Run, job: &Job<'_>, plan: &StreamPlan, standing: &Standing) -> Option<Published> {
    let (run_id, stream) = (run.run_id.to_string(), application(job.pipeline, &plan.relation.stream));
    let outcome = standing.dataset.by(&run_id, &stream)?;
    let rejected = standing.quarantine.as_ref().and_then(|history| history.by(&run_id, &stream));
    let quarantined = plan.quarantine.as_ref().map(|quarantine| Quarantined {
        dataset: quarantine.dataset.clone(),
        rows: rejected.map_or(0, |outcome| outcome.rows),
    });
    Some(Published {
        stream: plan.relation.stream.clone(),
        dataset: plan.dataset.clone(),
        outcome: outcome.clone(),
        quarantined,
        warnings: Vec::new(),
        decisions: Vec::new(),
        seconds: 0.0,
        unchanged: false,
        earlier: true,
    })
}
