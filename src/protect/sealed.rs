//! Rows that are safe to write.

use std::collections::BTreeSet;
use std::fmt;

use arrow::datatypes::SchemaRef;

use super::Plan;
use crate::Batches;
use crate::error::Result;
use crate::keys::{DatasetKey, Keyring};
use crate::spec::DatasetName;

/// Rows with every field-level action applied, and what the Parquet writer still has to encrypt.
/// Only this module can make one, and `publish` takes nothing else.
pub struct Sealed {
    dataset: DatasetName,
    schema: SchemaRef,
    encrypted: Vec<(String, DatasetKey)>,
    footer: DatasetKey,
    open: BTreeSet<String>,
    batches: Batches,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("dataset", &self.dataset).finish_non_exhaustive()
    }
}

impl Sealed {
    /// Applies `plan` to `batches` (of schema [`Plan::input`]), fetching or creating the keys it
    /// needs. Only the plan's own kernels run per batch; no policy is consulted there.
    ///
    /// # Errors
    /// Those of the keyring. A batch that does not have the planned schema arrives as a `Failed`
    /// item of the stream.
    pub async fn seal(_plan: &Plan, _batches: Batches, _keyring: &Keyring) -> Result<Self> {
        todo!()
    }

    /// The dataset the rows are for.
    #[must_use]
    pub fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// Schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Parquet leaf paths to encrypt, each with its dataset key.
    #[must_use]
    pub fn encrypted(&self) -> &[(String, DatasetKey)] {
        &self.encrypted
    }

    /// The dataset's footer key.
    #[must_use]
    pub fn footer(&self) -> &DatasetKey {
        &self.footer
    }

    /// Parquet leaf paths published as they are: the only ones that may have statistics, bloom
    /// filters or partitions.
    #[must_use]
    pub fn open(&self) -> &BTreeSet<String> {
        &self.open
    }

    /// The rows, to be read once.
    #[must_use]
    pub fn into_batches(self) -> Batches {
        self.batches
    }
}
