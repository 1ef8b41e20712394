//! One Delta commit, exactly once.

mod actions;
mod head;
mod landing;
mod schema;

#[cfg(test)]
mod tests;

use std::time::Duration;

use arrow::datatypes::SchemaRef;

use self::actions::Actions;
use self::head::{Base, Head};
use self::landing::Landing;
use super::parquet::Written;
use super::path::ObjectPath;
use super::{Store, table};
use crate::error::{At as _, Error, Result};
use crate::keys::Note;
use crate::spec::DatasetName;

pub(super) use self::actions::publication;
pub(super) use self::head::app_id;
pub use self::schema::{check as check_schema, type_name};

/// Versions tried before giving up: others may win in between.
const ATTEMPTS: u32 = 20;

/// A checkpoint is written at every so many versions.
const CHECKPOINT_EVERY: u64 = 10;

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its rows replace those already there.
    Overwrite,
    /// Its rows are added.
    Append,
    /// Each of its rows takes the place of the one with its key.
    Merge,
}

/// What a commit does to the rows already there.
#[derive(Clone, Copy, Debug)]
pub enum Effect<'a> {
    /// Replaces them all.
    Overwrite,
    /// Keeps them.
    Append {
        /// Versions whose rows are taken back, where they are still there: the run they belong to never
        /// published the rest.
        withdrawn: &'a [u64],
    },
    /// Keeps them all but those of some files, which were written again.
    Rewrite(&'a Rewrite),
}

impl Effect<'_> {
    /// Whether the rows of files stay that this commit does not name.
    const fn keeps(&self) -> bool {
        !matches!(self, Self::Overwrite)
    }

    /// Whether files may go.
    const fn removes(&self) -> bool {
        !matches!(self, Self::Append { withdrawn: [] })
    }
}

/// Files that others stand in for.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// The version that was read; `None`: there was no table. Files that other writers removed since are a
    /// conflict; where the rows change, so are files that they added.
    pub read_version: Option<u64>,
    /// The files that go, as [`super::table::LiveFile::path`] names them.
    pub replaced: Vec<String>,
    /// Whether the rows change: not where files are only compacted or sealed anew.
    pub changes_rows: bool,
    /// How many rows of the written files were there before.
    pub carried: u64,
}

/// Which commits of its own stream a commit follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Any there may be.
    Any,
    /// Those up to this version of its `txn` action (none: none at all), which a run saw before it read the
    /// source. A later one holds what was read later, and older rows must not come after it.
    After(Option<i64>),
}

/// What a commit is to make of a dataset, beside the written files that it makes visible.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The dataset.
    pub dataset: &'a DatasetName,
    /// Schema of the rows: [`crate::protect::Sealed::schema`], kept before they were consumed.
    pub schema: &'a SchemaRef,
    /// The columns that may have statistics.
    pub open: &'a [String],
    /// Columns that are folders.
    pub partition_by: &'a [String],
    /// What becomes of the rows already there.
    pub effect: Effect<'a>,
    /// What it comes after.
    pub order: Order,
    /// Where the version comes from.
    pub provenance: &'a Provenance,
}

/// Where a version comes from; travels in its commit.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The run.
    pub run_id: String,
    /// `pipeline/stream`: the application id of the `txn` action.
    pub stream: String,
    /// SHA-256 of the pipeline document.
    pub spec_digest: String,
    /// Name of the policy version.
    pub policy: String,
    /// SHA-256 of the policy document.
    pub policy_digest: String,
    /// The source's name for the instant that was read.
    pub snapshot: Option<String>,
    /// What happened to each column: (leaf path, action word, tag).
    pub columns: Vec<(String, String, Option<String>)>,
    /// How far the source is read, where the next run reads on from there.
    pub cursor: Option<Note>,
    /// The window of a backfill that this is.
    pub window: Option<Note>,
}

/// A version that is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The Delta version.
    pub version: u64,
    /// Rows the run added.
    pub rows: u64,
    /// Bytes the run added.
    pub bytes: u64,
}

/// Makes written files visible, whole or not at all.
///
/// On an error the written files are removed, unless the store's silence leaves open whether the
/// version landed; then they stay, and [`super::Table::history`] tells at the next run.
///
/// # Errors
/// `Held` when the table's schema differs and the mode is append (what differs, and the remedy);
/// `Temporary` when others kept winning, another run of the stream published first, or
/// files were changed that were to be rewritten; `Failed` when the table is damaged or not ours to write.
pub async fn commit(store: &Store, written: Written, change: &Change<'_>) -> Result<Outcome> {
    let dataset = change.dataset;
    let error = match attempt(store, &written, change).await {
        End::Visible(outcome) => return Ok(outcome),
        End::Unknown(error) => return Err(error).at(|| format!("dataset {dataset}")),
        End::NotVisible(error) => error,
        End::Overtaken => overtaken(),
    };
    written.discard_quietly(store, dataset).await;
    Err(error).at(|| format!("dataset {dataset}"))
}

/// Other writers changed what a rewrite was read from, and the work was not done anew.
pub(super) fn overtaken() -> Error {
    Error::temporary("another writer changed the table meanwhile").help("run it again")
}

/// As [`commit`], and leaves the written files alone, however it ends.
pub(super) async fn attempt(store: &Store, written: &Written, change: &Change<'_>) -> End {
    let actions = Actions { change, written };
    let end = attempts(store, &actions).await;
    if let End::Visible(outcome) = &end {
        checkpoint(store, change.dataset, outcome.version).await;
    }
    end
}

/// How a commit ended.
pub(super) enum End {
    /// The version is there.
    Visible(Outcome),
    /// It is certain that no version names our files.
    NotVisible(Error),
    /// The same, because others changed what a rewrite was read from.
    Overtaken,
    /// The version may or may not be there.
    Unknown(Error),
}

async fn attempts(store: &Store, actions: &Actions<'_>) -> End {
    // One id for all attempts: whichever of them landed is ours.
    let commit_id = uuid::Uuid::now_v7().to_string();
    for attempt in 0..ATTEMPTS {
        let head = match Head::load(store, actions.change).await {
            Ok(head) => head,
            Err(error) => return End::NotVisible(error),
        };
        let head = match head {
            Base::Overtaken => return End::Overtaken,
            Base::Nothing => None,
            Base::Table(head) => Some(head),
        };
        let version = head.as_ref().map_or(0, |head| head.version + 1);
        let bytes = match actions.derive(head.as_deref(), &commit_id) {
            Ok(bytes) => bytes,
            Err(error) => return End::NotVisible(error),
        };
        let path = ObjectPath::commit(actions.change.dataset, version);
        match landing::land(store, &path, bytes, &commit_id).await {
            Landing::Ours => return End::Visible(actions.outcome(version)),
            Landing::Taken => pause(attempt).await,
            Landing::Refused(error) => return End::NotVisible(error),
            Landing::Unknown(error) => return End::Unknown(error),
        }
    }
    End::NotVisible(
        Error::temporary(format!("other writers published {ATTEMPTS} versions first"))
            .help("run again when fewer writers publish to this dataset"),
    )
}

/// Waits before the next attempt, at random so that rivals fall out of step.
async fn pause(attempt: u32) {
    let most_ms = (20_u64 << attempt.min(6)).min(1_000);
    let mut random = [0_u8; 8];
    #[expect(clippy::disallowed_methods, reason = "a random pause is no secret")]
    let drawn = getrandom::fill(&mut random);
    // Without randomness the pause is the longest; nothing depends on it.
    let ms = match drawn {
        Ok(()) => u64::from_le_bytes(random) % (most_ms + 1),
        Err(_) => most_ms,
    };
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Writes a checkpoint when it is due. Readers do without, so a fault is only told.
async fn checkpoint(store: &Store, dataset: &DatasetName, version: u64) {
    if version == 0 || !version.is_multiple_of(CHECKPOINT_EVERY) {
        return;
    }
    if let Err(error) = table::write_checkpoint(store, dataset, version).await {
        tracing::warn!(%dataset, version, %error, "no checkpoint was written; readers replay the log");
    }
}
