//! Rows that are written and not yet visible.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;

use tokio_util::sync::CancellationToken;

use super::{Engine, Memory, StreamPlan};
use crate::Batches;
use crate::error::Result;
use crate::keys::Signer;
use crate::protect::sealed::Keep;
use crate::protect::{self, Sealed};
use crate::publish::merge::{Present, Rules};
use crate::publish::receipt::Rows;
use crate::publish::{
    self, Change, Decided, Effect, Evolution, Merge, Order, Outcome, Provenance, Store, Written,
};
use crate::spec::{Action, DatasetName};

/// The files of a version to come, and what its commit must know of them.
#[derive(Debug)]
pub(super) struct Draft {
    dataset: DatasetName,
    schema: SchemaRef,
    open: Vec<String>,
    encrypted: BTreeSet<String>,
    partition_by: Vec<String>,
    columns: Vec<Decided>,
    written: Written,
    signer: Signer,
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
    /// Seals rows of the schema that `protection` was decided for, and writes those that `keep` says as the
    /// stream does.
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
        keep: Option<Keep>,
        memory_bytes: u64,
    ) -> Result<Self> {
        let signer = engine.keyring.signer().await?;
        let sealed = Sealed::seal_kept(protection, rows, &engine.keyring, keep).await?;
        let columns = columns(engine, protection).await?;
        let schema = sealed.schema().clone();
        let open = sealed.open().iter().cloned().collect();
        let encrypted = sealed.encrypted().iter().map(|(path, _)| path.clone()).collect();
        let written = publish::write(sealed, store, &plan.parquet, partition_by, memory_bytes).await?;
        let dataset = protection.dataset().clone();
        let partition_by = partition_by.to_vec();
        Ok(Self { dataset, schema, open, encrypted, partition_by, columns, written, signer })
    }

    /// Files of a stream's own dataset that were written before.
    ///
    /// # Errors
    /// Those of the keyring.
    pub(super) async fn of(engine: &Engine, plan: &StreamPlan, written: Written) -> Result<Self> {
        let leaves = |action: &Action| {
            let decisions = plan.protection.decisions().iter();
            decisions
                .filter(|decision| decision.action == *action)
                .map(|decision| decision.path.clone())
                .collect()
        };
        Ok(Self {
            dataset: plan.dataset.clone(),
            schema: plan.protection.output().clone(),
            open: leaves(&Action::Allow),
            encrypted: leaves(&Action::Encrypt).into_iter().collect(),
            partition_by: plan.partition_by.clone(),
            columns: columns(engine, &plan.protection).await?,
            written,
            signer: engine.keyring.signer().await?,
        })
    }

    /// The files.
    pub(super) fn into_written(self) -> Written {
        self.written
    }

    /// Takes more files of the same dataset.
    pub(super) fn join(&mut self, written: Written) {
        self.written.join(written);
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> u64 {
        self.written.rows
    }

    /// Makes the rows visible, which may differ from the table by `evolution`; what happened to each column is
    /// added to `provenance`.
    ///
    /// # Errors
    /// Those of [`publish::commit()`].
    pub(super) async fn commit(
        self,
        store: &Store,
        effect: Effect<'_>,
        order: Order,
        evolution: &Evolution,
        provenance: &Provenance,
    ) -> Result<Outcome> {
        let provenance = self.told(provenance);
        let change = self.change(effect, order, evolution, &provenance);
        publish::commit(store, self.written.clone(), &change).await
    }

    /// Makes the rows visible in place of those that have their keys.
    ///
    /// # Errors
    /// Those of [`Merge::publish`].
    pub(super) async fn merge(self, merging: &Merging<'_>) -> Result<Outcome> {
        let provenance = self.told(merging.provenance);
        let keys = merging.keys.map(|keys| keys.written.as_table(&keys.schema, &keys.partition_by));
        let present = match (&keys, merging.rules.missing) {
            (Some(keys), _) => Present::Keys(keys),
            (None, Some(_)) => Present::Incoming,
            (None, None) => Present::Unknown,
        };
        self.merge_of(merging, &provenance).publish(self.written.clone(), present, merging.stop).await
    }

    /// Checks that every row to be merged has a key of its own.
    ///
    /// # Errors
    /// Those of [`Merge::check_keys`].
    pub(super) async fn check_keys(&self, merging: &Merging<'_>) -> Result<()> {
        self.merge_of(merging, merging.provenance).check_keys(&self.written).await
    }

    /// Keeps all runs of the stream from publishing that began before, but for one that follows `order`.
    ///
    /// # Errors
    /// Those of [`publish::commit()`].
    pub(super) async fn fence(&self, store: &Store, order: Order, provenance: &Provenance) -> Result<()> {
        // It says nothing of columns: it brings none.
        let provenance = Provenance {
            columns: Vec::new(),
            cursor: None,
            window: None,
            facts: None,
            rows: Rows::default(),
            ..provenance.clone()
        };
        let evolution = Evolution::default();
        let change = self.change(Effect::Fence, order, &evolution, &provenance);
        publish::commit(store, Written::default(), &change).await.map(drop)
    }

    fn merge_of<'a>(&'a self, merging: &Merging<'a>, provenance: &'a Provenance) -> Merge<'a> {
        let &Merging { engine, store, plan, rules, at_us, order, .. } = merging;
        let memory = Memory::of(engine.config.memory_limit_bytes);
        let effect = Effect::Append { withdrawn: &[], unseen: None };
        Merge {
            store,
            keyring: &engine.keyring,
            rules,
            parquet: &plan.parquet,
            encrypted: &self.encrypted,
            at_us,
            keys_bytes: memory.keys_bytes(),
            encode_bytes: memory.encode_bytes,
            change: self.change(effect, order, plan.comparison.evolution(), provenance),
        }
    }

    /// The ids of the keys of its columns, in their order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|column| column.key.as_deref())
    }

    /// The ids of the keys that a stream of `protection` seals with, as far as there are such keys.
    ///
    /// # Errors
    /// Those of the keyring.
    pub(super) async fn keys_of(engine: &Engine, protection: &protect::Plan) -> Result<BTreeSet<String>> {
        Ok(columns(engine, protection).await?.into_iter().filter_map(|column| column.key).collect())
    }

    fn told(&self, provenance: &Provenance) -> Provenance {
        // What stays in the table from before is told too.
        let is_own = |one: &Decided| self.columns.iter().any(|own| own.column == one.column);
        let stays = provenance.columns.iter().filter(|one| !is_own(one)).cloned();
        Provenance { columns: self.columns.iter().cloned().chain(stays).collect(), ..provenance.clone() }
    }

    fn change<'a>(
        &'a self,
        effect: Effect<'a>,
        order: Order,
        evolution: &'a Evolution,
        provenance: &'a Provenance,
    ) -> Change<'a> {
        Change {
            dataset: &self.dataset,
            schema: &self.schema,
            open: &self.open,
            partition_by: &self.partition_by,
            effect,
            order,
            evolution,
            provenance,
            signer: &self.signer,
        }
    }

    /// Removes the files, as far as they can be; nobody sees what stays.
    pub(super) async fn discard(self, store: &Store) {
        self.written.discard_quietly(store, &self.dataset).await;
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
        options: decision.action.options(),
    };
    Ok(named.decisions().iter().map(column).collect())
}
