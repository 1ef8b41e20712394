//! Rows that are written and not yet visible.

use arrow::datatypes::SchemaRef;

use super::{Engine, StreamPlan};
use crate::Batches;
use crate::error::Result;
use crate::keys::Signer;
use crate::protect::{self, Sealed};
use crate::publish::{self, Change, Decided, Effect, Outcome, Provenance, Store, Written};
use crate::spec::DatasetName;

/// The files of a version to come, and what its commit must know of them.
#[derive(Debug)]
pub(super) struct Draft {
    dataset: DatasetName,
    schema: SchemaRef,
    open: Vec<String>,
    partition_by: Vec<String>,
    columns: Vec<Decided>,
    written: Written,
    signer: Signer,
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
        let signer = engine.keyring.signer().await?;
        let sealed = Sealed::seal(protection, rows, &engine.keyring).await?;
        let columns = columns(engine, protection).await?;
        let schema = sealed.schema().clone();
        let open = sealed.open().iter().cloned().collect();
        let written = publish::write(sealed, store, &plan.parquet, partition_by, memory_bytes).await?;
        let dataset = protection.dataset().clone();
        let partition_by = partition_by.to_vec();
        Ok(Self { dataset, schema, open, partition_by, columns, written, signer })
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> u64 {
        self.written.rows
    }

    /// Makes the rows visible; what happened to each column is added to `provenance`.
    ///
    /// # Errors
    /// Those of [`publish::commit()`].
    pub(super) async fn commit(
        self,
        store: &Store,
        effect: Effect<'_>,
        provenance: &Provenance,
    ) -> Result<Outcome> {
        let provenance = &Provenance { columns: self.columns, ..provenance.clone() };
        let change = Change {
            dataset: &self.dataset,
            schema: &self.schema,
            open: &self.open,
            partition_by: &self.partition_by,
            effect,
            provenance,
            signer: &self.signer,
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

/// What happened to each leaf column, with the keys that there are by now.
async fn columns(engine: &Engine, protection: &protect::Plan) -> Result<Vec<Decided>> {
    let mut named = protection.clone();
    named.name_keys(&engine.keyring).await?;
    let column = |decision: &protect::Decision| Decided {
        column: decision.path.clone(),
        tag: decision.tag.as_ref().map(ToString::to_string),
        action: decision.action.word().to_owned(),
        key: decision.key.clone(),
    };
    Ok(named.decisions().iter().map(column).collect())
}
