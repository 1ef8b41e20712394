//! Rows that are written and not yet visible.

use arrow::datatypes::SchemaRef;

use super::increment::known::Known;
use super::{Engine, StreamPlan};
use crate::Batches;
use crate::error::Result;
use crate::protect::{self, Sealed};
use crate::publish::{self, Change, Effect, Outcome, Provenance, Store, Written};
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
    /// Seals rows of the schema that `protection` was decided for, and writes those that are not `known` as the
    /// stream says.
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
        known: Option<Known>,
        memory_bytes: u64,
    ) -> Result<Self> {
        let sealed = Sealed::seal(protection, rows, &engine.keyring).await?;
        let sealed = match known {
            Some(mut known) => sealed.retain(move |batch| known.fresh(batch)),
            None => sealed,
        };
        let schema = sealed.schema().clone();
        let open = sealed.open().iter().cloned().collect();
        let written = publish::write(sealed, store, &plan.parquet, partition_by, memory_bytes).await?;
        let dataset = protection.dataset().clone();
        Ok(Self { dataset, schema, open, partition_by: partition_by.to_vec(), written })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.written.rows
    }

    /// Makes the rows visible.
    ///
    /// # Errors
    /// Those of [`publish::commit()`].
    pub(super) async fn commit(
        self,
        store: &Store,
        effect: Effect<'_>,
        provenance: &Provenance,
    ) -> Result<Outcome> {
        let change = Change {
            dataset: &self.dataset,
            schema: &self.schema,
            open: &self.open,
            partition_by: &self.partition_by,
            effect,
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
