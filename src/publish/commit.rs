//! One Delta commit, exactly once.

use arrow::datatypes::SchemaRef;

use super::Store;
use super::parquet::Written;
use crate::error::Result;
use crate::spec::DatasetName;

/// What the commit does to the rows already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Replaces them.
    Overwrite,
    /// Keeps them.
    Append,
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
/// `schema` is [`crate::protect::Sealed::schema`] (kept before the rows were consumed); `open` the
/// columns that may have statistics.
///
/// # Errors
/// `Held` when the table's schema differs and the mode is append (what differs, and the remedy);
/// `Temporary` when others kept winning; `Failed` when the table is damaged or not ours to write.
pub async fn commit(
    _store: &Store,
    _dataset: &DatasetName,
    _schema: &SchemaRef,
    _open: &[String],
    _partition_by: &[String],
    _written: Written,
    _mode: Mode,
    _provenance: &Provenance,
) -> Result<Outcome> {
    todo!()
}
