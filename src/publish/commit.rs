//! One Delta commit, exactly once.

mod actions;
mod evolution;
mod head;
mod landing;
mod replace;
mod schema;

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use sha2::{Digest as _, Sha256};

use self::actions::Actions;
use self::head::{Base, Head};
use self::landing::Landing;
use super::parquet::Written;
use super::path::{ObjectPath, file_name};
use super::receipt::{self, Issued, Rows};
use super::recorded::Facts;
use super::{Decided, Store, table};
use crate::error::{At as _, Error, Result};
use crate::keys::{Note, Signer};
use crate::spec::DatasetName;

pub(super) use self::actions::{OPEN_COLUMNS, account, commit_info, named_below, publication};
pub use self::actions::{actions_of, files_of};
pub use self::evolution::{Evolution, Shift, shift};
pub(super) use self::head::app_id;
pub use self::replace::{Deed, Replacement, Resealed, replace};
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
        /// The first version whose keys the rows were not compared with; `None` where they have none. From
        /// there on nobody may have added rows.
        unseen: Option<u64>,
    },
    /// Keeps them, and adds none: the stream has one version more, so that no run of it which began before can
    /// publish any longer. A table that is not there yet comes to be.
    Fence,
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
        !matches!(self, Self::Append { withdrawn: [], .. } | Self::Fence)
    }

    /// Whether rows may go.
    const fn loses_rows(&self) -> bool {
        self.removes() && !matches!(self, Self::Rewrite(Rewrite { changes_rows: false, .. }))
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
    /// How the rows may differ from the table, where its rows stay.
    pub evolution: &'a Evolution,
    /// Where the version comes from.
    pub provenance: &'a Provenance,
    /// Who signs its receipt.
    pub signer: &'a Signer,
}

impl Change<'_> {
    /// The word of its receipt for what it does to the table.
    const fn operation(&self) -> &'static str {
        match self.effect {
            _ if self.evolution.reshapes => "reshape",
            Effect::Overwrite => "overwrite",
            Effect::Append { .. } => "append",
            Effect::Fence => "fence",
            Effect::Rewrite(_) => "merge",
        }
    }
}

/// Where a version comes from; travels in its commit and its receipt.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The run.
    pub run_id: String,
    /// Who asked for it: the ledger's word.
    pub trigger: String,
    /// `pipeline/stream`: the application id of the `txn` action.
    pub stream: String,
    /// SHA-256 of the pipeline document.
    pub spec_digest: String,
    /// Name of the policy version.
    pub policy: String,
    /// SHA-256 of the policy document.
    pub policy_digest: String,
    /// The connection that was read.
    pub connection: String,
    /// The source's name for the instant that was read.
    pub snapshot: Option<String>,
    /// What happened to each leaf column.
    pub columns: Vec<Decided>,
    /// How far the source is read, where the next run reads on from there.
    pub cursor: Option<Note>,
    /// The window of a backfill that this is.
    pub window: Option<Note>,
    /// When the run began with the stream, in Unix milliseconds.
    pub started_ms: i64,
    /// How many rows the run brought, and what became of them.
    pub rows: Rows,
    /// What the run brought, for the next one to compare itself with.
    pub facts: Option<Facts>,
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
    /// SHA-256 of the version's receipt.
    pub receipt: Option<String>,
}

/// Makes written files visible, whole or not at all.
///
/// On an error the written files are removed, unless the store's silence leaves open whether the
/// version landed; then they stay, and [`super::Table::history`] tells at the next run.
///
/// # Errors
/// `Held` when the rows differ from the table that they are added to, other than `evolution` allows (what
/// differs, and the remedy); `Temporary` when others kept winning, another run of the stream published
/// first, rows were added whose keys were not seen, or files were changed that were to be rewritten; `Failed`
/// when the table is damaged or not ours to write.
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
    attempts(store, change.dataset, &Work::Publication(Actions { change, written })).await
}

/// Refuses a table that asks its writers for anything we do not know.
///
/// # Errors
/// `Failed` for such a table, or one that is damaged; else as the store answers.
pub(super) async fn check_writable(store: &Store, dataset: &DatasetName) -> Result<()> {
    Head::load(store, dataset, None, Order::Any, Effect::Fence).await.map(drop)
}

/// What a commit is derived from.
enum Work<'a> {
    Publication(Actions<'a>),
    Replacement(replace::Actions<'a>),
}

impl Work<'_> {
    async fn base(&self, store: &Store) -> Result<Base> {
        match self {
            Self::Publication(Actions { change, .. }) => {
                let stream = Some(change.provenance.stream.as_str());
                Head::load(store, change.dataset, stream, change.order, change.effect).await
            }
            Self::Replacement(work) => work.base(store).await,
        }
    }

    /// The commit's bytes on top of `head` (`None`: a new table), with [`receipt::UNNAMED`] for the digest of
    /// its receipt.
    fn derive(&self, head: Option<&Head>, attempt: &Attempt<'_>) -> Result<Vec<u8>> {
        match self {
            Self::Publication(work) => work.derive(head, attempt),
            Self::Replacement(work) => work.derive(head, attempt),
        }
    }

    const fn operation(&self) -> &'static str {
        match self {
            Self::Publication(Actions { change, .. }) => change.operation(),
            Self::Replacement(work) => work.operation(),
        }
    }

    async fn receipt(&self, store: &Store, attempt: &Attempt<'_>, deed: receipt::Deed) -> Result<Issued> {
        match self {
            Self::Publication(Actions { change, written }) => {
                let Change { dataset, provenance, signer, .. } = change;
                receipt::issue(store, dataset, provenance, signer, written, attempt, deed).await
            }
            Self::Replacement(work) => work.receipt(store, attempt, deed).await,
        }
    }

    /// What the commit adds as `version`.
    fn outcome(&self, version: u64, receipt: Option<String>) -> Outcome {
        match self {
            Self::Publication(work) => Outcome { receipt, ..work.outcome(version) },
            Self::Replacement(work) => Outcome { receipt, ..work.outcome(version) },
        }
    }
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

/// One attempt at a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) version: u64,
    /// The same for all attempts of a commit: whichever of them landed is ours.
    pub(super) commit_id: &'a str,
    pub(super) now_ms: i64,
    /// Stands in the commit and nowhere else: from the commit's digest, which its receipt keeps for ever, nobody
    /// can guess values that the commit held when it is gone.
    pub(super) salt: &'a str,
}

async fn attempts(store: &Store, dataset: &DatasetName, work: &Work<'_>) -> End {
    let commit_id = uuid::Uuid::now_v7().to_string();
    for attempt in 0..ATTEMPTS {
        let (version, receipt, bytes) = match prepare(store, work, &commit_id).await {
            Ok(Some(prepared)) => prepared,
            Ok(None) => return End::Overtaken,
            Err(error) => return End::NotVisible(error),
        };
        let path = ObjectPath::commit(dataset, version);
        let landing = landing::land(store, &path, bytes, &commit_id).await;
        if matches!(landing, Landing::Taken | Landing::Refused(_)) {
            receipt.withdraw(store).await;
        }
        match landing {
            Landing::Ours => {
                checkpoint(store, dataset, version).await;
                return End::Visible(work.outcome(version, Some(receipt.sha256().to_owned())));
            }
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

/// The next version, its receipt, which lies in the store by now, and the bytes of its commit; `None` when
/// others changed what a rewrite was read from.
async fn prepare(store: &Store, work: &Work<'_>, commit_id: &str) -> Result<Option<(u64, Issued, Vec<u8>)>> {
    let head = match work.base(store).await? {
        Base::Overtaken => return Ok(None),
        Base::Nothing => None,
        Base::Table(head) => Some(head),
    };
    let version = head.as_ref().map_or(0, |head| head.version + 1);
    #[expect(clippy::disallowed_methods, reason = "a Delta commit carries the instant it is made at")]
    let now_ms = chrono::Utc::now().timestamp_millis();
    let salt = salt()?;
    let attempt = Attempt { version, commit_id, now_ms, salt: &salt };
    let bytes = work.derive(head.as_deref(), &attempt)?;
    let removed = head.iter().flat_map(|head| &head.files);
    let deed = receipt::Deed {
        operation: work.operation(),
        removed: removed.map(|file| file_name(file.path.relative()).to_owned()).collect(),
        commit_sha256: hex::encode(Sha256::digest(&bytes)),
    };
    let receipt = work.receipt(store, &attempt, deed).await?;
    let bytes = receipt.name_in(bytes)?;
    if let Err(error) = receipt.put(store).await {
        receipt.withdraw(store).await;
        return Err(error);
    }
    Ok(Some((version, receipt, bytes)))
}

#[expect(clippy::disallowed_methods, reason = "salt is no secret while its commit is there")]
fn salt() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|_| Error::failed("the system gives no random bytes"))?;
    Ok(hex::encode(random))
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
