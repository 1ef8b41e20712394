//! Rows that are written and not yet visible.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;

use tokio_util::sync::CancellationToken;

use super::increment::known::Known;
use super::{Engine, Memory, StreamPlan};
use crate::Batches;
use crate::error::Result;
use crate::protect::{self, Sealed};
use crate::publish::merge::{Present, Rules};
use crate::publish::{self, Change, Effect, Merge, Order, Outcome, Provenance, Store, Written};
use crate::spec::DatasetName;

/// The files of a version to come, and what its commit must know of them.
#[derive(Debug)]
pub(super) struct Draft {
    dataset: DatasetName,
    schema: SchemaRef,
    open: Vec<String>,
    encrypted: BTreeSet<String>,
    partition_by: Vec<String>,
    written: Written,
}

/// What a merge needs beside the draft's rows.
pub(super) struct Merging<'a> {
    pub(super) engine: &'a Engine,
    pub(super) store: &'a Store,
    pub(super) plan: &'a StreamPlan,
    pub(super) rules: &'a Rules,
    /// The source's keys, where they were read by themselves.
    pub(super) keys: Option<&'a Draft>,
    /// When the source was read, in microseconds since 1970 UTC.
    pub(super) at_us: i64,
    pub(super) order: Order,
    pub(super) provenance: &'a Provenance,
    pub(super) stop: &'a CancellationToken,
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
        let encrypted = sealed.encrypted().iter().map(|(path, _)| path.clone()).collect();
        let written = publish::write(sealed, store, &plan.parquet, partition_by, memory_bytes).await?;
        let dataset = protection.dataset().clone();
        Ok(Self { dataset, schema, open, encrypted, partition_by: partition_by.to_vec(), written })
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
        order: Order,
        provenance: &Provenance,
    ) -> Result<Outcome> {
        let change = self.change(effect, order, provenance);
        publish::commit(store, self.written.clone(), &change).await
    }

    /// Makes the rows visible in place of those that have their keys.
    ///
    /// # Errors
    /// Those of [`Merge::publish`].
    pub(super) async fn merge(self, merging: &Merging<'_>) -> Result<Outcome> {
        let &Merging { engine, store, plan, rules, keys, at_us, order, provenance, stop } = merging;
        let memory = Memory::of(engine.config.memory_limit_bytes);
        let merge = Merge {
            store,
            keyring: &engine.keyring,
            rules,
            parquet: &plan.parquet,
            encrypted: &self.encrypted,
            at_us,
            keys_bytes: memory.keys_bytes(),
            encode_bytes: memory.encode_bytes,
            change: self.change(Effect::Append { withdrawn: &[] }, order, provenance),
        };
        let keys = keys.map(|keys| keys.written.as_table(&keys.schema, &keys.partition_by));
        let present = match (&keys, rules.missing) {
            (Some(keys), _) => Present::Keys(keys),
            (None, Some(_)) => Present::Incoming,
            (None, None) => Present::Unknown,
        };
        merge.publish(self.written.clone(), present, stop).await
    }

    fn change<'a>(&'a self, effect: Effect<'a>, order: Order, provenance: &'a Provenance) -> Change<'a> {
        Change {
            dataset: &self.dataset,
            schema: &self.schema,
            open: &self.open,
            partition_by: &self.partition_by,
            effect,
            order,
            provenance,
        }
    }

    /// Removes the files, as far as they can be; nobody sees what stays.
    pub(super) async fn discard(self, store: &Store) {
        self.written.discard_quietly(store, &self.dataset).await;
    }
}
