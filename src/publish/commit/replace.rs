//! Commits of upkeep: files are replaced by others, and no stream publishes anything.
//!
//! Such a commit carries no `txn` action and names no stream, so that it is nobody's publication: what a
//! stream finds of itself in the log stays what the stream wrote.

use serde_json::{Value, json};

use super::head::{Base, Head};
use super::{Effect, End, Order, Outcome, Rewrite, Work, actions, attempts};
use crate::error::{At as _, Error, Result};
use crate::publish::Store;
use crate::publish::parquet::Written;
use crate::spec::DatasetName;

/// Files that are to be replaced by others.
#[derive(Clone, Debug)]
pub struct Replacement<'a> {
    /// The dataset.
    pub dataset: &'a DatasetName,
    /// The files that go, and the version they were read from.
    pub rewrite: Rewrite,
    /// Why.
    pub deed: &'a Deed,
    /// Names the work: a UUID.
    pub run_id: &'a str,
}

/// What upkeep does, as its commit tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Small files are joined; the rows stay.
    Compact {
        /// Columns that rows were brought together by.
        cluster_by: Vec<String>,
    },
    /// Rows are erased.
    Erase {
        /// How many.
        rows: u64,
        /// A keyed digest of the condition they met, which may itself name somebody.
        condition: String,
        /// Why, in the words of who asked.
        reason: Option<String>,
    },
}

impl Deed {
    const fn operation(&self) -> &'static str {
        match self {
            Self::Compact { .. } => "OPTIMIZE",
            Self::Erase { .. } => "DELETE",
        }
    }

    fn told(&self) -> Value {
        match self {
            Self::Compact { cluster_by } => json!({"compact": {"cluster_by": cluster_by}}),
            Self::Erase { rows, condition, reason } => {
                json!({"erase": {"rows": rows, "condition": condition, "reason": reason}})
            }
        }
    }
}

/// Puts written files in the place of others, whole or not at all; `None` when other writers changed the
/// table meanwhile so that it must be read again. Unless the version is visible, or may be, the written
/// files are removed.
///
/// # Errors
/// As [`super::commit()`], but for what concerns schemas.
pub async fn replace(
    store: &Store,
    written: Written,
    replacement: &Replacement<'_>,
) -> Result<Option<Outcome>> {
    let dataset = replacement.dataset;
    let work = Work::Replacement(Actions { replacement, written: &written });
    let not_visible = match attempts(store, dataset, &work).await {
        End::Visible(outcome) => return Ok(Some(outcome)),
        End::Unknown(error) => return Err(error).at(|| format!("dataset {dataset}")),
        End::NotVisible(error) => Err(error).at(|| format!("dataset {dataset}")),
        End::Overtaken => Ok(None),
    };
    written.discard_quietly(store, dataset).await;
    not_visible
}

/// The replacement, and the files it makes visible.
pub(super) struct Actions<'a> {
    replacement: &'a Replacement<'a>,
    written: &'a Written,
}

impl Actions<'_> {
    pub(super) async fn base(&self, store: &Store) -> Result<Base> {
        let Replacement { dataset, rewrite, .. } = self.replacement;
        Head::load(store, dataset, None, Order::Any, Effect::Rewrite(rewrite)).await
    }

    /// What the commit adds as `version`.
    pub(super) fn outcome(&self, version: u64) -> Outcome {
        Outcome { version, rows: self.written.rows, bytes: self.written.bytes }
    }

    /// The commit's bytes on top of `head`.
    pub(super) fn derive(&self, head: Option<&Head>, commit_id: &str) -> Result<Vec<u8>> {
        let head = head.ok_or_else(|| Error::failed("the table is gone"))?;
        #[expect(clippy::disallowed_methods, reason = "a Delta commit carries the instant it is made at")]
        let now_ms = chrono::Utc::now().timestamp_millis();
        let Replacement { dataset, rewrite, deed, run_id } = self.replacement;
        let mut all = vec![json!({"commitInfo": {
            "timestamp": now_ms,
            "operation": deed.operation(),
            "operationParameters": {},
            "readVersion": head.version,
            "isBlindAppend": false,
            "engineInfo": format!("sealift/{}", env!("CARGO_PKG_VERSION")),
            "txnId": commit_id,
            "sealift": {
                "commit_id": commit_id,
                "run_id": run_id,
                "upkeep": deed.told(),
                "rows": self.written.rows,
                "bytes": self.written.bytes,
            },
        }})];
        all.extend(actions::files(&head.files, self.written, dataset, rewrite.changes_rows, now_ms)?);
        Ok(actions::lines(&all))
    }
}
