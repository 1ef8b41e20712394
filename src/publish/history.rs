//! What the commits of a table tell of what Sealift published to it.

use super::Decided;
use super::commit::{Outcome, account};
use crate::keys::Note;

/// What Sealift published to a dataset, as far back as was looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Newest first; commits of other writers are left out.
    pub publications: Vec<Publication>,
    /// Whether the first version was reached, so that there is nothing older.
    pub is_whole: bool,
    /// How many versions were looked at.
    pub versions: u64,
    /// The newest version; `None` where there is no table.
    pub newest: Option<u64>,
    /// The newest `txn` version of the stream that was asked for, which the next commit follows; `None` when
    /// it has never published here.
    pub txn: Option<i64>,
}

impl History {
    /// What a run published of a stream (`pipeline/stream`).
    #[must_use]
    pub fn by(&self, run_id: &str, stream: &str) -> Option<&Outcome> {
        let is_it = |one: &&Publication| one.run_id == run_id && one.stream == stream;
        self.publications.iter().find(is_it).map(|one| &one.outcome)
    }
}

/// A version that Sealift published, as its commit tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The run.
    pub run_id: String,
    /// `pipeline/stream`, as [`super::Provenance::stream`].
    pub stream: String,
    /// The version and what it added.
    pub outcome: Outcome,
    /// How far the source was read.
    pub cursor: Option<Note>,
    /// The window of a backfill that it was.
    pub window: Option<Note>,
    /// What was done to each leaf column: as its rows are protected by now, where they were sealed otherwise since.
    pub columns: Vec<Decided>,
    /// When the commit was made, in milliseconds since 1970 by the clock of who made it.
    pub at_ms: i64,
    /// Whether no row stayed that was there before.
    pub overwrites: bool,
    /// Versions whose rows it took back.
    pub withdrawn: Vec<u64>,
}

impl Publication {
    /// Its rows are protected so by now.
    pub(super) fn now(&mut self, resealed: &[Decided]) {
        for column in &mut self.columns {
            if let Some(now) = resealed.iter().find(|now| now.column == column.column) {
                column.clone_from(now);
            }
        }
    }
}

/// All that the commit of a version of ours tells of its run: enough to record it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The run and what it published.
    pub publication: Publication,
    /// SHA-256 of the pipeline document.
    pub spec_digest: String,
    /// Who asked for the run: the ledger's word.
    pub trigger: String,
    /// Rows that went to the quarantine.
    pub quarantined: u64,
    /// When the run began with the stream, in Unix milliseconds.
    pub started_ms: i64,
    /// When the version was committed.
    pub committed_ms: i64,
}

impl Account {
    /// What a commit tells; `None` when it is not one of ours.
    #[must_use]
    pub fn of(version: u64, commit: &[u8]) -> Option<Self> {
        account(version, commit)
    }
}
