//! A published table as it stands.

use arrow::datatypes::SchemaRef;

use super::Store;
use crate::error::Result;
use crate::spec::DatasetName;

/// One version of a published table.
#[derive(Debug)]
pub struct Table {
    /// The Delta version.
    pub version: u64,
    /// Its schema.
    pub schema: SchemaRef,
    /// Partition columns.
    pub partition_by: Vec<String>,
    /// Its live files.
    pub files: Vec<LiveFile>,
}

/// A live file of a table.
#[derive(Clone, Debug)]
pub struct LiveFile {
    /// Path relative to the table, decoded.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Rows, where the statistics tell.
    pub rows: Option<u64>,
    /// Partition values in the Delta text form.
    pub partition: Vec<(String, Option<String>)>,
}

impl Table {
    /// Loads a version (the newest without one); `None` when there is no table.
    ///
    /// # Errors
    /// `Temporary` or `Denied` as the store answers, `Failed` when the log is damaged or the
    /// version is gone.
    pub async fn load(_store: &Store, _dataset: &DatasetName, _version: Option<u64>) -> Result<Option<Self>> {
        todo!()
    }

    /// Every dataset in the store, sorted.
    ///
    /// # Errors
    /// As [`Table::load`].
    pub async fn list(_store: &Store) -> Result<Vec<DatasetName>> {
        todo!()
    }

    /// The version in which this run published this stream (`txn` application id), if it did.
    ///
    /// # Errors
    /// As [`Table::load`].
    pub async fn published_by(
        _store: &Store,
        _dataset: &DatasetName,
        _stream: &str,
        _run_id: &str,
    ) -> Result<Option<Outcome>> {
        todo!()
    }
}

use super::Outcome;
