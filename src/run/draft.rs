//! Rows that are written and not yet visible.

use arrow::datatypes::SchemaRef;

use super::{Engine, StreamPlan};
use crate::Batches;
use crate::error::Result;
use crate::protect::{self, Sealed};
use crate::publish::{self, Change, Effect, Evolution, Outcome, Provenance, Store, Written};
use crate::spec::DatasetName;

/// The files of a version to come, and what its commit must know of them.
#[derive(Debug)]
pub(super) struct Draft {
    dataset: DatasetName,
    schema: SchemaRef,
    open: Vec<String>,
    partition_by: Vec<String>,
    written: Written,
}

impl Draft {
    /// Seals rows of the schema that `protection` was decided for, and writes them as the stream says.
    ///
    /// # Errors
    /// Those of [`Sealed::seal`] and [`publish::write`]; then nothing is left behind.
    pub(super) async fn write(
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        protection: &protect::Plan,
        partition_by: &[String],
        rows: Batches,
        memory_bytes: u64,
    ) -> Result<Self> {
        let sealed = Sealed::seal(protection, rows, &engine.keyring).await?;
        let schema = sealed.schema().clone();
        let open = sealed.open().iter().cloned().collect();
        let written = publish::write(sealed, store, &plan.parquet, partition_by, memory_bytes).await?;
        let dataset = protection.dataset().clone();
        Ok(Self { dataset, schema, open, partition_by: partition_by.to_vec(), written })
    }

    /// Makes the rows visible, which may differ from the table by `evolution`.
    ///
    /// # Errors
    /// Those of [`publish::commit()`].
    pub(super) async fn commit(
        self,
        store: &Store,
        effect: Effect<'_>,
        evolution: &Evolution,
        provenance: &Provenance,
    ) -> Result<Outcome> {
        let change = Change {
            dataset: &self.dataset,
            schema: &self.schema,
            open: &self.open,
            partition_by: &self.partition_by,
            effect,
            evolution,
            provenance,
        };
        publish::commit(store, self.written, &change).await
    }

    /// Removes the files, as far as they can be; nobody sees what stays.
    pub(super) async fn discard(self, store: &Store) {
        let dataset = &self.dataset;
        if let Err(error) = self.written.discard(store, dataset).await {
            tracing::warn!(%dataset, %error, "unpublished files stay behind, unseen by readers");
        }
    }
}
