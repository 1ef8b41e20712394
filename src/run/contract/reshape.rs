//! Files that are there, written again with new names or wider types: once, in a commit of their own that
//! goes before the rows of the run. Readers need no support for column mapping or type widening.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Predecessor, Protections, top};
use crate::Batches;
use crate::error::{At as _, Error, Result};
use crate::protect::Sealed;
use crate::publish::{
    self, Change, Decided, Effect, Evolution, Order, Provenance, Reading, Rewrite, Store, Table,
};
use crate::run::{Engine, Memory, StreamPlan};
use crate::spec::DatasetName;

/// What becomes of the columns of a table.
#[derive(Clone, Debug)]
pub(super) struct Reshape {
    read_version: u64,
    /// By old name, in table order: the column as it is to be.
    columns: Vec<(String, Field)>,
    recorded: Protections,
}

impl Reshape {
    pub(super) fn new(before: &Predecessor, columns: Vec<(String, Field)>) -> Self {
        let recorded = before.recorded.columns.clone();
        Self { read_version: before.table.version, columns, recorded }
    }

    fn new_name<'a>(&'a self, old: &'a str) -> &'a str {
        self.columns.iter().find(|(name, _)| name == old).map_or(old, |(_, field)| field.name())
    }

    fn new_path(&self, old: &str) -> String {
        old.replacen(top(old), self.new_name(top(old)), 1)
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(|(_, field)| field.clone()).collect::<Vec<_>>()))
    }

    /// Writes every live file again, and lets the table take the new schema.
    ///
    /// # Errors
    /// `Temporary` when the table is no longer as it was planned for, or changes meanwhile; those of
    /// [`Reading`], [`Sealed::again`], [`publish::write`] and [`publish::commit()`].
    async fn apply(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        dataset: &DatasetName,
        provenance: &Provenance,
    ) -> Result<()> {
        let table = Table::load(store, dataset, None).await?;
        let Some(table) = table.filter(|table| table.version == self.read_version) else {
            return Err(Error::temporary("another writer changed the table since it was planned for")
                .help("run it again"));
        };
        publish::receipt::check_originals(store, &engine.keyring, dataset, &table.files).await?;
        let names: Vec<String> = self.columns.iter().map(|(old, _)| old.clone()).collect();
        let reading = Reading::prepare(store, &engine.keyring, dataset, &table, &names, &table.files).await?;
        let mut encrypted = BTreeSet::new();
        for file in &table.files {
            encrypted.extend(reading.encrypted(file).await?.iter().map(|path| self.new_path(path)));
        }
        let open: BTreeSet<String> = self
            .recorded
            .iter()
            .filter(|(_, decided)| decided.action == "allow")
            .map(|(path, _)| self.new_path(path))
            .collect();
        let schema = self.schema();
        let rows = rows(&reading, &table, Arc::clone(&schema));
        let sealed =
            Sealed::again(dataset, Arc::clone(&schema), &encrypted, open, rows, &engine.keyring).await?;
        let open: Vec<String> = sealed.open().iter().cloned().collect();
        let memory_bytes = Memory::of(engine.config.memory_limit_bytes).encode_bytes;
        let written = publish::write(sealed, store, &plan.parquet, &table.partition_by, memory_bytes).await?;
        let recorded = self.recorded.iter();
        let columns = recorded
            .map(|(path, decided)| Decided { column: self.new_path(path), ..decided.of_rows_that_stay() })
            .collect();
        let rewrite = Rewrite {
            read_version: Some(table.version),
            replaced: table.files.iter().map(|file| file.path.clone()).collect(),
            changes_rows: true,
            carried: 0,
        };
        let change = Change {
            dataset,
            schema: &schema,
            open: &open,
            partition_by: &table.partition_by,
            effect: Effect::Rewrite(&rewrite),
            order: Order::Any,
            evolution: &Evolution { reshapes: true, ..Evolution::default() },
            provenance: &Provenance {
                columns,
                cursor: None,
                window: None,
                facts: None,
                ..provenance.clone()
            },
            signer: &engine.keyring.signer().await?,
        };
        let outcome = publish::commit(store, written, &change).await?;
        tracing::info!(%dataset, outcome.version, "the files that were there are written again");
        Ok(())
    }
}

impl super::Comparison {
    /// Writes the files again that are there, where the comparison asks for it.
    ///
    /// # Errors
    /// Those of [`Reshape::apply`].
    pub(in crate::run) async fn reshape(
        &self,
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        dataset: &DatasetName,
        provenance: &Provenance,
    ) -> Result<()> {
        let Some(reshape) = &self.reshape else { return Ok(()) };
        reshape
            .apply(engine, store, plan, dataset, provenance)
            .await
            .at(|| "writing the files again that are there, with the new schema".to_owned())
    }
}

/// The rows of every live file, one file after the other, in the new schema.
fn rows(reading: &Reading, table: &Table, schema: SchemaRef) -> Batches {
    let reading = reading.clone();
    stream::iter(table.files.clone())
        .then(move |file| {
            let reading = reading.clone();
            async move { reading.rows(&file).await }
        })
        .try_flatten()
        .map(move |batch| recast(&batch?, &schema))
        .boxed()
}

fn recast(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = |(column, field): (&arrow::array::ArrayRef, &Arc<Field>)| {
        cast_with_options(column, field.data_type(), &options)
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect::<Result<_, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    columns
        .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options))
        .map_err(|_| Error::failed("published rows do not take the new schema"))
}
