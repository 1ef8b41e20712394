//! Streaming Parquet writing.

use std::collections::BTreeMap;

use super::Store;
use crate::error::Result;
use crate::protect::Sealed;
use crate::spec::pipeline::Parquet;

/// Parquet objects that are written and not yet visible. Dropping it leaves orphans that no reader
/// sees; [`Written::discard`] removes them.
#[derive(Debug)]
pub struct Written {
    /// Every file.
    pub files: Vec<File>,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes in all files.
    pub bytes: u64,
}

/// One written file.
#[derive(Clone, Debug)]
pub struct File {
    /// Path relative to the table (`part-….parquet`, or below `country=CH/`).
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Partition values, in the Delta text form; `None` is NULL.
    pub partition: BTreeMap<String, Option<String>>,
    /// Delta statistics JSON, of open columns only.
    pub stats: String,
}

/// Writes sealed rows as Parquet objects of the dataset's table. `progress(rows)` is told of every
/// batch taken.
///
/// # Errors
/// What the batches bring; `Temporary`, `Denied` or `Failed` as the store answers. Objects of a
/// failed write are aborted or removed.
pub async fn write(
    _sealed: Sealed,
    _store: &Store,
    _settings: &Parquet,
    _partition_by: &[String],
    _progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Written> {
    todo!()
}
