//! Commits of upkeep: files are replaced by others, and no stream publishes anything.
//!
//! Such a commit carries no `txn` action and names no stream, so that it is nobody's publication: what a
//! stream finds of itself in the log stays what the stream wrote.

use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};

use super::head::{Base, Head};
use super::{Attempt, Effect, End, Order, Outcome, Provenance, Rewrite, Work, actions, attempts, schema};
use crate::error::{At as _, Error, Result};
use crate::keys::Signer;
use crate::publish::parquet::Written;
use crate::publish::receipt::{self, Issued, Rows};
use crate::publish::recorded::entry_of;
use crate::publish::{Decided, Store};
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
    /// Who signs its receipt.
    pub signer: &'a Signer,
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
    /// Columns are protected otherwise.
    Reseal(Box<Resealed>),
}

/// A table whose columns are protected otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// Its columns from now on.
    pub schema: SchemaRef,
    /// Leaf paths that may have statistics.
    pub open: Vec<String>,
    /// The columns that change: leaf path, and the words of the actions before and now.
    pub changes: Vec<(String, String, String)>,
    /// What happened to each leaf column by now.
    pub columns: Vec<Decided>,
    /// Name of the policy that asks for it.
    pub policy: String,
    /// SHA-256 of the policy document.
    pub policy_digest: String,
}

impl Deed {
    const fn operation(&self) -> &'static str {
        match self {
            Self::Compact { .. } => "OPTIMIZE",
            Self::Erase { .. } => "DELETE",
            Self::Reseal(_) => "UPDATE",
        }
    }

    /// How many rows are gone.
    const fn erased(&self) -> u64 {
        match self {
            Self::Compact { .. } | Self::Reseal(_) => 0,
            Self::Erase { rows, .. } => *rows,
        }
    }

    const fn resealed(&self) -> Option<&Resealed> {
        match self {
            Self::Reseal(resealed) => Some(resealed),
            Self::Compact { .. } | Self::Erase { .. } => None,
        }
    }

    fn told(&self) -> Value {
        match self {
            Self::Compact { cluster_by } => json!({"compact": {"cluster_by": cluster_by}}),
            Self::Erase { rows, condition, reason } => {
                json!({"erase": {"rows": rows, "condition": condition, "reason": reason}})
            }
            Self::Reseal(resealed) => {
                let changes = resealed.changes.iter();
                let changes =
                    changes.map(|(column, from, to)| json!({"column": column, "from": from, "to": to}));
                json!({"reseal": {"columns": changes.collect::<Vec<_>>()}})
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

    /// The evidence of the work, which reads no source and follows no stream.
    pub(super) async fn receipt(
        &self,
        store: &Store,
        attempt: &Attempt<'_>,
        receipt: receipt::Deed,
    ) -> Result<Issued> {
        let Replacement { dataset, deed, run_id, signer, .. } = self.replacement;
        let rows = Rows::of(self.written.rows + deed.erased(), 0, self.written.rows);
        let resealed = deed.resealed();
        let provenance = Provenance {
            run_id: (*run_id).to_owned(),
            trigger: "cli".to_owned(),
            stream: format!("upkeep/{}", deed.operation().to_lowercase()),
            spec_digest: String::new(),
            policy: resealed.map(|by| by.policy.clone()).unwrap_or_default(),
            policy_digest: resealed.map(|by| by.policy_digest.clone()).unwrap_or_default(),
            connection: String::new(),
            snapshot: None,
            columns: resealed.map(|by| by.columns.clone()).unwrap_or_default(),
            cursor: None,
            window: None,
            facts: None,
            started_ms: attempt.now_ms,
            rows,
        };
        receipt::issue(store, dataset, &provenance, signer, self.written, attempt, receipt).await
    }

    /// The word of its receipt for what it does to the table.
    pub(super) const fn operation(&self) -> &'static str {
        match self.replacement.deed {
            Deed::Compact { .. } => "compact",
            Deed::Erase { .. } => "erase",
            Deed::Reseal(_) => "reseal",
        }
    }

    /// What the commit adds as `version`.
    pub(super) fn outcome(&self, version: u64) -> Outcome {
        Outcome { version, rows: self.written.rows, bytes: self.written.bytes, receipt: None }
    }

    /// The commit's bytes on top of `head`.
    pub(super) fn derive(&self, head: Option<&Head>, attempt: &Attempt<'_>) -> Result<Vec<u8>> {
        let head = head.ok_or_else(|| Error::failed("the table is gone"))?;
        let Attempt { commit_id, now_ms, salt, .. } = *attempt;
        let Replacement { dataset, rewrite, deed, run_id, .. } = self.replacement;
        let mut info = json!({
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
                "receipt": receipt::UNNAMED,
                "salt": salt,
            },
        });
        let mut described = None;
        if let Some(resealed) = deed.resealed() {
            let ours = &mut info["sealift"];
            ours["policy"] = json!(resealed.policy);
            ours["policy_digest"] = json!(resealed.policy_digest);
            ours["columns"] = resealed.columns.iter().map(entry_of).collect();
            described = Some(resealed.metadata(head, now_ms)?);
        }
        let mut all = vec![json!({ "commitInfo": info })];
        all.extend(described);
        all.extend(actions::files(&head.files, self.written, dataset, rewrite.changes_rows, now_ms)?);
        Ok(actions::lines(&all))
    }
}

impl Resealed {
    /// The `metaData` action: types change with the actions, and so do the columns that may have statistics.
    fn metadata(&self, head: &Head, now_ms: i64) -> Result<Value> {
        let Self { schema, open, .. } = self;
        let mut configuration = head.configuration.clone();
        actions::statistics(&mut configuration, open, schema, &head.partition_by);
        let schema = schema::of(schema)?;
        Ok(actions::described(Some(head), &schema, &head.partition_by, &configuration, now_ms))
    }
}
