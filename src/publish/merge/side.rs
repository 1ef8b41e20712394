//! Some columns of a table's files, read with a digest of every row.

use arrow::array::RecordBatch;
use futures::TryStreamExt as _;

use super::Merge;
use super::digest::{Digested, Digests};
use crate::error::{Error, Result};
use crate::publish::{Reading, Table};

/// Files of one table.
pub(super) struct Side<'a> {
    table: &'a Table,
    digests: &'a Digests,
    reading: Reading,
}

/// Rows that follow each other in a file.
pub(super) struct Chunk<'a> {
    pub(super) batch: &'a RecordBatch,
    pub(super) digested: &'a Digested,
    first: usize,
}

impl<'a> Side<'a> {
    /// What is digested of the table's files, and `more` columns, as far as the table has them.
    pub(super) async fn open(
        merge: &Merge<'_>,
        table: &'a Table,
        digests: &'a Digests,
        more: &[&str],
    ) -> Result<Self> {
        let mut columns = digests.names();
        columns.extend(
            more.iter()
                .filter(|name| !columns.iter().any(|c| c == *name))
                .map(|n| (*n).to_owned())
                .collect::<Vec<_>>(),
        );
        columns.retain(|name| table.schema.index_of(name).is_ok());
        let reading =
            Reading::prepare(merge.store, merge.keyring, merge.change.dataset, table, &columns, &table.files)
                .await?;
        Ok(Self { table, digests, reading })
    }

    /// Shows every row of a file, in order.
    pub(super) async fn each(
        &self,
        file: usize,
        mut visit: impl FnMut(&Chunk<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(file) = self.table.files.get(file) else { return Ok(()) };
        let mut batches = self.reading.rows(file).await?;
        let mut first = 0;
        while let Some(batch) = batches.try_next().await? {
            let digested = self.digests.of(&batch)?;
            visit(&Chunk { batch: &batch, digested: &digested, first })?;
            first += batch.num_rows();
        }
        Ok(())
    }
}

impl Chunk<'_> {
    /// The rows' places in the batch, and their numbers in the file.
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = (usize, u32)> + use<>> {
        let rows = self.batch.num_rows();
        let first = u32::try_from(self.first)
            .ok()
            .filter(|first| first.checked_add(u32::try_from(rows).unwrap_or(u32::MAX)).is_some())
            .ok_or_else(|| Error::failed("a data file has more rows than can be merged"))?;
        Ok((0..rows).zip(first..))
    }
}
