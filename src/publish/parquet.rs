//! Streaming Parquet writing.
//!
//! The rows flow through three places at once: the caller's task polls the batches (decode and
//! seal), a thread of its own encodes, and parts of files are uploaded in tasks. Between them are
//! bounded queues, so memory is set by the constants here and does not grow with the table.

mod encoder;
mod flat;
mod layout;
mod partition;
mod statistics;
mod upload;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use object_store::{Error as StoreError, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::encoder::Encoder;
use self::layout::Layout;
use super::path::ObjectPath;
use super::table::LiveFile;
use super::{Store, Table, commit, fault};
use crate::error::{At as _, Error, Result};
use crate::protect::{Digests, Sealed};
use crate::spec::DatasetName;
use crate::spec::pipeline::Parquet;

/// Batches between the caller's task and the encoding thread.
const BATCHES_AHEAD: usize = 3;

/// Parquet objects that are written and not yet visible. Dropping it leaves orphans that no reader
/// sees; [`Written::discard`] removes them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Written {
    /// Every file.
    pub files: Vec<File>,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes in all files.
    pub bytes: u64,
    /// The digests of the rows' values: of those columns of which they are known for every file.
    #[serde(skip)]
    pub digests: Digests,
}

/// One written file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct File {
    /// Path relative to the table (`part-….parquet`, or below `country=CH/`).
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Partition values, in the Delta text form; `None` is NULL.
    pub partition: BTreeMap<String, Option<String>>,
    /// Delta statistics JSON, of open columns only.
    pub stats: String,
}

impl Written {
    /// Takes the files of another write.
    pub fn join(&mut self, other: Self) {
        if self.files.is_empty() {
            self.digests = other.digests;
        } else if !other.files.is_empty() {
            self.digests.join(&other.digests);
        }
        self.files.extend(other.files);
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    /// Whether every file is in the store as it was written.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn is_there(&self, store: &Store, dataset: &DatasetName) -> Result<bool> {
        for file in &self.files {
            let path = ObjectPath::existing(dataset, &file.path)?;
            match sha256(store, &path, file.bytes).await {
                Ok(Some(found)) if found == file.sha256 => {}
                Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(fault::of(&error, &format!("read {path}"))),
            }
        }
        Ok(true)
    }

    /// The files as a table that can be read, although nobody sees them yet.
    #[must_use]
    pub fn as_table(&self, schema: &SchemaRef, partition_by: &[String]) -> Table {
        let value = |file: &File, name: &String| (name.clone(), file.partition.get(name).cloned().flatten());
        let live = |file: &File| LiveFile {
            path: file.path.clone(),
            bytes: file.bytes,
            rows: Some(file.rows),
            partition: partition_by.iter().map(|name| value(file, name)).collect(),
            stats: Some(file.stats.clone()),
        };
        Table {
            version: 0,
            schema: SchemaRef::clone(schema),
            partition_by: partition_by.to_vec(),
            files: self.files.iter().map(live).collect(),
            open: BTreeSet::new(),
        }
    }

    /// These files and others.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let mut both = self.clone();
        both.join(others.clone());
        both
    }

    /// These files but those of some paths.
    #[must_use]
    pub fn but(&self, paths: &BTreeSet<&str>) -> Self {
        let files: Vec<File> =
            self.files.iter().filter(|file| !paths.contains(file.path.as_str())).cloned().collect();
        // What is left when files are gone, nobody has added up.
        let digests = if files.len() == self.files.len() { self.digests.clone() } else { Digests::default() };
        let rows = files.iter().map(|file| file.rows).sum();
        let bytes = files.iter().map(|file| file.bytes).sum();
        Self { files, rows, bytes, digests }
    }

    /// Where they are, relative to the table.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<&str> {
        self.files.iter().map(|file| file.path.as_str()).collect()
    }

    /// Removes the objects again. What cannot be removed stays an orphan that no reader sees.
    ///
    /// # Errors
    /// As the store answers; every object is tried all the same.
    pub async fn discard(self, store: &Store, dataset: &DatasetName) -> Result<()> {
        let paths: Vec<_> =
            self.files.iter().filter_map(|file| ObjectPath::existing(dataset, &file.path).ok()).collect();
        remove(store, &paths).await
    }

    /// As [`Written::discard`], for files of which nothing depends on whether they go: what cannot be removed
    /// is told in the log alone.
    pub async fn discard_quietly(self, store: &Store, dataset: &DatasetName) {
        if let Err(error) = self.discard(store, dataset).await {
            tracing::warn!(%dataset, %error, "unpublished files stay behind, unseen by readers");
        }
    }
}

/// The digest of an object's bytes; `None` where there are not as many as there should be.
pub(super) async fn sha256(
    store: &Store,
    path: &ObjectPath,
    bytes: u64,
) -> object_store::Result<Option<String>> {
    let object = store.objects().get(&path.location()).await?;
    if object.meta.size != bytes {
        return Ok(None);
    }
    let mut digest = Sha256::new();
    let mut read = object.into_stream();
    while let Some(more) = read.next().await {
        digest.update(&more?);
    }
    Ok(Some(hex::encode(digest.finalize())))
}

/// Removes objects, all that can be; the first refusal is the error.
pub(super) async fn remove(store: &Store, paths: &[ObjectPath]) -> Result<()> {
    let locations: Vec<_> = paths.iter().map(|path| Ok(path.location())).collect();
    let mut removed = store.objects().delete_stream(futures::stream::iter(locations).boxed());
    let mut first = Ok(());
    while let Some(result) = removed.next().await {
        match result {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) if first.is_ok() => first = Err(fault::of(&error, "remove an unpublished file")),
            Err(_) => {}
        }
    }
    first
}

/// What the encoding thread is fed. A channel that closes without `End` means: the caller is gone
/// or failed, remove everything.
enum Feed {
    Rows(arrow::record_batch::RecordBatch),
    End,
}

/// Writes sealed rows as Parquet objects of the dataset's table. Open row groups and parts on their
/// way hold `memory_bytes` together, more or less; what is too little for one part of an upload is
/// taken as enough for one. Dropping the future aborts the write and removes its objects.
///
/// # Errors
/// What the batches bring; `Invalid` for a schema or a partition column that Delta cannot hold;
/// `Data` for a partition value it cannot hold; `Temporary`, `Denied` or `Failed` as the store
/// answers. Objects of a failed write are aborted or removed.
pub async fn write(
    sealed: Sealed,
    store: &Store,
    settings: &Parquet,
    partition_by: &[String],
    memory_bytes: u64,
) -> Result<Written> {
    let place = format!("dataset {}", sealed.dataset());
    commit::check_schema(sealed.schema()).at(|| place.clone())?;
    let layout = Layout::new(&sealed, settings, partition_by).at(|| place.clone())?;
    let memory_bytes = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
    run(layout, sealed, store, memory_bytes).await.at(|| place)
}

async fn run(layout: Layout, sealed: Sealed, store: &Store, memory_bytes: usize) -> Result<Written> {
    let (feed, fed) = mpsc::channel(BATCHES_AHEAD);
    let encoder = Encoder::new(layout, store.clone(), tokio::runtime::Handle::current(), memory_bytes);
    let mut thread = JoinSet::new();
    thread.spawn_blocking(move || encoder.run(fed));

    let tally = sealed.tally().clone();
    let fed = feed_all(sealed, feed).await;
    let encoded = match thread.join_next().await {
        Some(Ok(result)) => result,
        _ => Err(broke_off()),
    };
    // A fault of the source is the cause, whatever the encoder says to its feed breaking off.
    fed.and(encoded).map(|written| Written { digests: tally.digests(), ..written })
}

/// The encoder itself has failed.
fn broke_off() -> Error {
    Error::failed("the Parquet encoder stopped in mid-work").help("this is a defect in sealift: report it")
}

/// The writer, as files name it.
fn created_by() -> String {
    format!("sealift {}", env!("CARGO_PKG_VERSION"))
}

/// Hands every batch to the encoder; its own end is no error here, the encoder will tell.
async fn feed_all(sealed: Sealed, feed: mpsc::Sender<Feed>) -> Result<()> {
    let mut batches = sealed.into_batches();
    while let Some(batch) = batches.next().await {
        if feed.send(Feed::Rows(batch?)).await.is_err() {
            return Ok(());
        }
    }
    let _ = feed.send(Feed::End).await;
    Ok(())
}
