//! Runs that ended before their last word, and what they had published by then.
//!
//! A commit may have landed although its run was killed before it could say so. The commit itself
//! names the run, so the table is asked, not the ledger. An appended stream must not be appended
//! again; an overwritten one gives the same rows again.

use super::ledger::{Run, State, StreamOutcome};
use super::{Engine, Job, Published, RunId, StreamPlan};
use crate::error::Result;
use crate::publish::{Mode, Outcome, Store, Table};
use crate::spec::{Pipeline, StreamName};

/// How many earlier runs are looked at.
const LOOK_BACK: u32 = 50;

/// What the runs since the last success had published all the same.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// By stream: the newest version one of them published, or found published before it.
    published: Vec<(StreamName, Outcome)>,
    /// Runs that turn out to have published every stream.
    complete: Vec<(RunId, Vec<StreamOutcome>)>,
}

impl Earlier {
    /// Asks the ledger and, where it does not know, the tables.
    pub(super) async fn find(
        engine: &Engine,
        job: &Job<'_>,
        store: &Store,
        plans: &[StreamPlan],
    ) -> Result<Self> {
        let mut earlier = Self::default();
        for run in unfinished(engine, job).await? {
            let mut complete = Vec::new();
            for plan in plans {
                let name = &plan.relation.stream;
                let noted = run.streams.iter().find(|noted| noted.stream == name.as_str()).and_then(noted);
                let application = application(job.pipeline, name);
                let landed =
                    Table::published_by(store, &plan.dataset, &application, &run.run_id.to_string()).await?;
                complete.extend(landed.as_ref().map(|outcome| published(plan, outcome)));
                earlier.published.extend(noted.or(landed).map(|outcome| (name.clone(), outcome)));
            }
            if complete.len() == plans.len() && job.only.is_none() {
                let streams = complete.iter().map(StreamOutcome::from).collect();
                earlier.complete.push((run.run_id, streams));
            }
        }
        Ok(earlier)
    }

    /// Records complete runs as the successes they were. Called last: until this run has a record
    /// of every stream, theirs is what keeps an appended stream from being appended again.
    pub(super) async fn settle(self, engine: &Engine) -> Result<()> {
        for (run_id, streams) in self.complete {
            for stream in &streams {
                engine.ledger.stream_published(&run_id, stream).await?;
            }
            engine.ledger.settle(&run_id).await?;
        }
        Ok(())
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

/// What the ledger has of a stream.
fn noted(stream: &StreamOutcome) -> Option<Outcome> {
    stream.version.map(|version| Outcome { version, rows: stream.rows, bytes: stream.bytes })
}

/// The runs of the pipeline since its last success, newest first.
async fn unfinished(engine: &Engine, job: &Job<'_>) -> Result<Vec<Run>> {
    let runs = engine.ledger.runs(Some(&job.pipeline.name), LOOK_BACK).await?;
    let others = runs.into_iter().filter(|run| run.run_id != job.run_id);
    Ok(others.take_while(|run| run.state != State::Succeeded).collect())
}

/// The application id of a stream in the table's transaction log.
pub(super) fn application(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("{}/{stream}", pipeline.name)
}
