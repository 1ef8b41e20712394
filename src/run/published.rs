//! What a stream of a run ends with.

use super::{Quarantine, Quarantined, Standing, StreamPlan, ledger};
use crate::protect;
use crate::publish::Outcome;
use crate::spec::{DatasetName, StreamName};

/// A version that a run published.
#[derive(Clone, Debug)]
pub struct Published {
    /// The stream.
    pub stream: StreamName,
    /// The dataset.
    pub dataset: DatasetName,
    /// What is visible now.
    pub outcome: Outcome,
    /// The rows that are in its quarantine instead; `None` where it has none.
    pub quarantined: Option<Quarantined>,
    /// What was found wrong with the rows, and is only told.
    pub warnings: Vec<String>,
    /// What happened to each leaf column.
    pub decisions: Vec<protect::Decision>,
    /// Seconds from the first row asked for to the commit.
    pub seconds: f64,
    /// Nothing was new: the version is the one that stood already.
    pub unchanged: bool,
    /// Published by an earlier run of the pipeline that ended before its last stream; this run
    /// left it alone so that no row is appended twice.
    pub earlier: bool,
}

impl Published {
    /// The version that stands, where nothing is new.
    pub(super) fn unchanged(plan: &StreamPlan, standing: &Standing, seconds: f64) -> Self {
        let version = standing.dataset.newest.unwrap_or_default();
        let nothing = |quarantine: &Quarantine| Quarantined { dataset: quarantine.dataset.clone(), rows: 0 };
        Self {
            stream: plan.relation.stream.clone(),
            dataset: plan.dataset.clone(),
            outcome: Outcome { version, rows: 0, bytes: 0, receipt: None },
            quarantined: plan.quarantine.as_ref().map(nothing),
            warnings: Vec::new(),
            decisions: plan.protection.decisions().to_vec(),
            seconds,
            unchanged: true,
            earlier: false,
        }
    }
}

impl From<&Published> for ledger::StreamOutcome {
    fn from(published: &Published) -> Self {
        Self {
            stream: published.stream.to_string(),
            dataset: published.dataset.to_string(),
            version: Some(published.outcome.version),
            rows: published.outcome.rows,
            quarantined: published.quarantined.as_ref().map_or(0, |quarantined| quarantined.rows),
            bytes: published.outcome.bytes,
            seconds: published.seconds,
            receipt: published.outcome.receipt.clone(),
            state: ledger::StreamState::Published,
        }
    }
}
