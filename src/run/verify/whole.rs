//! All rows of a table that many versions made, compared with those of its source as they are today.
//!
//! No receipt tells of them: each tells of the rows that its version added. So both sides are looked at as
//! they are published, decrypted: an action that gives one answer for one value (a token, a hash, a mask)
//! gives it again. Memory does not grow with the table.

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, is_null};
use futures::TryStreamExt as _;

use crate::error::{Error, Result};
use crate::protect::{Digests, Lifetime, Sealed};
use crate::publish::merge::{Rules, is_set};
use crate::publish::{Reading, Store, Table};
use crate::run::{Engine, StreamPlan};
use crate::spec::Action;

/// Both sides.
pub(super) struct Whole {
    source: Side,
    published: Side,
}

/// Rows, counted and digested.
struct Side {
    rows: u64,
    digests: Digests,
}

impl Whole {
    /// Digests the rows of a version that still hold, and those of the source, column by column of what the
    /// stream publishes today and the version has.
    ///
    /// # Errors
    /// Those of keyring, store and source.
    pub(super) async fn compare(
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        table: &Table,
        source: Sealed,
    ) -> Result<Self> {
        let lifetime = plan.rules.as_ref().and_then(Rules::lifetime);
        let own = lifetime.map(Lifetime::fields).unwrap_or_default();
        let flag = plan.rules.as_ref().and_then(|rules| rules.soft_delete.clone());
        let fields = plan.protection.output().fields().iter();
        // Their cells differ each time.
        let decisions = plan.protection.decisions().iter();
        let cells: Vec<&str> = decisions
            .filter(|decision| matches!(decision.action, Action::EncryptValue(_)))
            .map(|decision| decision.path.as_str())
            .collect();
        let columns: Vec<String> = fields
            .filter(|field| !cells.contains(&field.name().as_str()))
            .filter(|field| !own.iter().any(|own| own.name() == field.name()))
            .filter(|field| table.schema.index_of(field.name()).is_ok())
            .map(|field| field.name().clone())
            .collect();
        let mut read = columns.clone();
        read.extend(lifetime.map(|lifetime| lifetime.mark().to_owned()));
        let reading =
            Reading::prepare(store, &engine.keyring, &plan.dataset, table, &read, &table.files).await?;
        let types = reading.schema().fields().iter().take(columns.len());
        let types = types.map(|field| (field.name().as_str(), field.data_type()));
        let empty = Digests::prepare(&engine.keyring, &plan.dataset, types).await?;

        let mut published = Side { rows: 0, digests: empty.clone() };
        for file in &table.files {
            let mut batches = reading.rows(file).await?;
            while let Some(batch) = batches.try_next().await? {
                published.add(&standing(batch, lifetime)?, &columns)?;
            }
        }
        let mut again = Side { rows: 0, digests: empty };
        let mut batches = source.into_batches();
        while let Some(batch) = batches.try_next().await? {
            again.add(&present(batch, flag.as_deref())?, &columns)?;
        }
        Ok(Self { source: again, published })
    }

    /// What differs, and the columns that were compared.
    pub(super) fn differences(&self, version: u64) -> (Vec<String>, Vec<String>) {
        let mut differences = Vec::new();
        let (now, then) = (self.source.rows, self.published.rows);
        if now != then {
            differences.push(format!("the source gives {now} rows, and version {version} holds {then}"));
        }
        let mut columns = Vec::new();
        for (now, then) in self.source.digests.columns().iter().zip(self.published.digests.columns()) {
            if !now.agrees(then) {
                let column = now.column();
                differences
                    .push(format!("the source has other values in column `{column}` than version {version}"));
            }
            columns.push(now.column().to_owned());
        }
        (differences, columns)
    }
}

impl Side {
    fn add(&mut self, batch: &RecordBatch, columns: &[String]) -> Result<()> {
        let arrays = columns.iter().map(|name| batch.column_by_name(name).ok_or_else(unplanned));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        self.rows += batch.num_rows() as u64;
        self.digests.add(arrays)
    }
}

/// The published rows that still hold.
fn standing(batch: RecordBatch, lifetime: Option<Lifetime>) -> Result<RecordBatch> {
    let Some(lifetime) = lifetime else { return Ok(batch) };
    let column = batch.column_by_name(lifetime.mark()).ok_or_else(unplanned)?;
    let kept = match lifetime {
        Lifetime::Valid => column.as_boolean_opt().cloned(),
        Lifetime::Deleted => is_null(column).ok(),
    };
    filter_record_batch(&batch, &kept.ok_or_else(unplanned)?).map_err(|_| unplanned())
}

/// The source's rows that it does not call deleted.
fn present(batch: RecordBatch, flag: Option<&str>) -> Result<RecordBatch> {
    let Some(flag) = flag.and_then(|flag| batch.column_by_name(flag)) else { return Ok(batch) };
    let kept: BooleanArray = (0..flag.len()).map(|at| Some(!is_set(flag, at))).collect();
    filter_record_batch(&batch, &kept).map_err(|_| unplanned())
}

fn unplanned() -> Error {
    Error::failed("the rows do not have the columns that the stream publishes")
}
