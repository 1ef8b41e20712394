//! Rows that meet a condition are erased: the files that hold some are written again without them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{ATTEMPTS, Upkeep, log};
use crate::Batches;
use crate::error::{Error, Result};
use crate::publish::commit::{Deed, Replacement, Rewrite};
use crate::publish::table::LiveFile;
use crate::publish::{Reading, Table, Written};

/// Tells of each row whether it meets a condition; NULL is no.
pub type Matches = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync>;

/// Rows that are to go.
#[derive(Clone)]
pub struct Doomed {
    /// The columns that the condition looks at, in the order in which it expects them.
    pub columns: Vec<String>,
    /// The condition.
    pub matches: Matches,
}

/// What the commit tells of why rows are erased.
#[derive(Clone, Debug)]
pub struct Request {
    /// A keyed digest of the condition.
    pub digest: String,
    /// Why, in the words of who asked.
    pub reason: Option<String>,
}

impl fmt::Debug for Doomed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doomed").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// What was erased, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// The version without the rows; `None` where nothing was changed.
    pub version: Option<u64>,
    /// Rows that meet the condition in the version that was read.
    pub rows: u64,
    /// The files they are in, which older versions still name.
    pub files: Vec<String>,
    /// The oldest and the newest version that can still be read and that may hold such rows.
    pub older: Option<(u64, u64)>,
}

/// Files of one version with rows that are to go.
struct Found {
    table: Table,
    files: Vec<(LiveFile, u64)>,
}

impl Upkeep<'_> {
    /// How many rows would be erased; nothing is changed.
    ///
    /// # Errors
    /// `Denied` when a key of a column that the condition looks at is missing; `Failed` for files that are
    /// damaged; what the condition answers; else as the store answers.
    pub async fn count(&self, doomed: &Doomed) -> Result<Erased> {
        let found = self.find(doomed).await?;
        self.told(&found, None).await
    }

    /// Erases rows from the newest version, by a commit that `run_id` names. Where other writers add or
    /// remove files meanwhile, it begins anew.
    ///
    /// # Errors
    /// As [`Upkeep::count`], for the keys of all columns; `Temporary` when other writers kept changing the
    /// table, or when it is not known whether the version landed.
    pub async fn erase(&self, doomed: &Doomed, request: &Request, run_id: &str) -> Result<Erased> {
        let signer = self.keyring.signer().await?;
        for _ in 0..ATTEMPTS {
            let found = self.find(doomed).await?;
            if found.files.is_empty() {
                return self.told(&found, None).await;
            }
            let written = self.without(&found, doomed).await?;
            let deed = Deed::Erase {
                rows: found.rows(),
                condition: request.digest.clone(),
                reason: request.reason.clone(),
            };
            let replaced = found.files.iter().map(|(file, _)| file.path.clone()).collect();
            let rewrite =
                Rewrite { read_version: Some(found.table.version), replaced, changes_rows: true, carried: 0 };
            let replacement =
                Replacement { dataset: self.dataset, rewrite, deed: &deed, run_id, signer: &signer };
            if let Some(outcome) = self.replace(written, &replacement).await? {
                return self.told(&found, Some(outcome.version)).await;
            }
        }
        Err(self.crowded())
    }

    /// Looks at every live file; only the columns of the condition are read.
    async fn find(&self, doomed: &Doomed) -> Result<Found> {
        let table = self.table().await?;
        let Self { store, keyring, dataset, .. } = self;
        let columns = &doomed.columns;
        let reading = Reading::prepare(store, keyring, dataset, &table, columns, &table.files).await?;
        let mut files = Vec::new();
        for file in &table.files {
            let mut batches = reading.rows(file).await?;
            let mut rows = 0;
            while let Some(batch) = batches.try_next().await? {
                rows += (doomed.matches)(&batch)?.true_count() as u64;
            }
            if rows > 0 {
                files.push((file.clone(), rows));
            }
        }
        Ok(Found { table, files })
    }

    /// Writes the files again without the rows.
    async fn without(&self, found: &Found, doomed: &Doomed) -> Result<Written> {
        let files: Vec<LiveFile> = found.files.iter().map(|(file, _)| file.clone()).collect();
        let reading = self.originals(&found.table, &files).await?;
        let mut written = Written::default();
        for (file, rows) in &found.files {
            match self.rewritten(found, &reading, file, *rows, doomed).await {
                Ok(more) => written.join(more),
                Err(error) => {
                    written.discard_quietly(self.store, self.dataset).await;
                    return Err(error);
                }
            }
        }
        Ok(written)
    }

    async fn rewritten(
        &self,
        found: &Found,
        reading: &Reading,
        file: &LiveFile,
        rows: u64,
        doomed: &Doomed,
    ) -> Result<Written> {
        let encrypted = reading.encrypted(file).await?;
        let kept = kept(reading.rows(file).await?, doomed.clone());
        let written = self.write(&found.table, reading, &encrypted, kept, &self.parquet).await?;
        self.counted(written, std::slice::from_ref(file), rows).await
    }

    /// What is to be told of it.
    async fn told(&self, found: &Found, version: Option<u64>) -> Result<Erased> {
        let oldest = log::Listing::of(self.store, self.dataset).await?.oldest_readable();
        let newest = match version {
            Some(version) => version.checked_sub(1),
            None if found.files.is_empty() => found.table.version.checked_sub(1),
            None => Some(found.table.version),
        };
        Ok(Erased {
            version,
            rows: found.rows(),
            files: found.files.iter().map(|(file, _)| file.path.clone()).collect(),
            older: oldest.zip(newest).filter(|(oldest, newest)| oldest <= newest),
        })
    }
}

impl Found {
    fn rows(&self) -> u64 {
        self.files.iter().map(|(_, rows)| rows).sum()
    }
}

/// The rows that do not meet the condition.
fn kept(rows: Batches, doomed: Doomed) -> Batches {
    let unfit = || Error::failed("rows arrived without the columns of the condition");
    let keep = move |batch: RecordBatch| {
        let indices = doomed.columns.iter().map(|name| batch.schema_ref().index_of(name));
        let indices: Vec<usize> = indices.collect::<Result<_, _>>().map_err(|_| unfit())?;
        let goes = (doomed.matches)(&batch.project(&indices).map_err(|_| unfit())?)?;
        let stays: BooleanArray =
            (0..goes.len()).map(|row| Some(!(goes.is_valid(row) && goes.value(row)))).collect();
        filter_record_batch(&batch, &stays).map_err(|_| unfit())
    };
    rows.map(move |batch| keep(batch?)).boxed()
}
