//! Upkeep of a published table: rows are erased, small files joined, and what no version needs any more is
//! removed.
//!
//! Rows that stay are read back and sealed again: what was encrypted is encrypted anew, with the dataset's
//! current keys, and what was open keeps its statistics only where the table's settings name it. A file's
//! rows stay in its folder.

mod cluster;
mod compact;
mod erase;
mod journal;
mod log;
mod reseal;
mod vacuum;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use self::compact::{Compacted, Compaction, Files};
pub use self::erase::{Doomed, Erased, Matches, Request};
pub use self::journal::Journal;
pub use self::reseal::{Resealed, Wanted};
pub use self::vacuum::{Retention, Swept, vacuum};
use super::commit::{Replacement, replace};
use super::table::LiveFile;
use super::{Outcome, Reading, Store, Table, Written, receipt, write};
use crate::Batches;
use crate::error::{At as _, Error, Result};
use crate::keys::Keyring;
use crate::protect::Sealed;
use crate::spec::DatasetName;
use crate::spec::pipeline::Parquet;

/// Times that work is begun anew because other writers changed the table meanwhile.
const ATTEMPTS: u32 = 5;

/// What the upkeep of one table works with.
#[derive(Debug)]
pub struct Upkeep<'a> {
    /// Where the table lies.
    pub store: &'a Store,
    /// The dataset keys.
    pub keyring: &'a Keyring,
    /// The dataset.
    pub dataset: &'a DatasetName,
    /// How Parquet is written.
    pub parquet: Parquet,
    /// Who remembers the versions that are made.
    pub journal: &'a dyn Journal,
    /// Most bytes that open row groups and parts of uploads hold, more or less.
    pub memory_bytes: u64,
}

impl Upkeep<'_> {
    /// The newest version.
    async fn table(&self) -> Result<Table> {
        let table = Table::load(self.store, self.dataset, None).await?;
        table.ok_or_else(|| Error::failed(format!("there is no table of {}", self.dataset)))
    }

    /// These files with all their columns.
    async fn whole(&self, table: &Table, files: &[LiveFile]) -> Result<Reading> {
        let columns: Vec<String> = table.schema.fields().iter().map(|field| field.name().clone()).collect();
        Reading::prepare(self.store, self.keyring, self.dataset, table, &columns, files).await
    }

    /// These files with all their columns, to be written anew. They are checked against their receipts first.
    async fn originals(&self, table: &Table, files: &[LiveFile]) -> Result<Reading> {
        receipt::check_originals(self.store, self.keyring, self.dataset, files).await?;
        self.whole(table, files).await
    }

    /// Writes rows that were published before: `encrypted` is what was encrypted of them.
    async fn write(
        &self,
        table: &Table,
        reading: &Reading,
        encrypted: &BTreeSet<String>,
        rows: Batches,
        parquet: &Parquet,
    ) -> Result<Written> {
        let (schema, open) = (reading.schema().clone(), table.open.clone());
        let sealed = Sealed::again(self.dataset, schema, encrypted, open, rows, self.keyring).await?;
        write(sealed, self.store, parquet, &table.partition_by, self.memory_bytes).await
    }

    /// Puts written files in the place of others, as [`replace`] does, and tells the journal.
    async fn replace(&self, written: Written, replacement: &Replacement<'_>) -> Result<Option<Outcome>> {
        let Self { store, dataset, journal, .. } = self;
        if let Err(error) = journal.tried(dataset, replacement.run_id).await {
            written.discard_quietly(store, dataset).await;
            return Err(error);
        }
        let outcome = replace(store, written, replacement).await?;
        if let Some(outcome) = &outcome
            && let Err(error) = journal.landed(dataset, replacement.run_id, outcome).await
        {
            tracing::warn!(%dataset, outcome.version, %error, "the ledger does not know of a version that was made");
        }
        Ok(outcome)
    }

    /// Refuses files of which the log counts other rows than were written and left out.
    async fn counted(&self, written: Written, files: &[LiveFile], left_out: u64) -> Result<Written> {
        let known: Option<u64> = files.iter().map(|file| file.rows).sum();
        if known.is_none_or(|known| known == written.rows + left_out) {
            return Ok(written);
        }
        written.discard_quietly(self.store, self.dataset).await;
        Err(Error::failed("files of the dataset do not hold the rows that its log counts"))
            .at(|| format!("dataset {}", self.dataset))
    }

    fn crowded(&self) -> Error {
        Error::temporary(format!("other writers changed the table {ATTEMPTS} times meanwhile"))
            .help("run it again when fewer writers publish to this dataset")
            .at(format!("dataset {}", self.dataset))
    }
}
