//! A published table as it stands.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use deltalake_core::kernel::EagerSnapshot;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreError, ObjectStore as _, ObjectStoreExt as _};

use super::commit::{OPEN_COLUMNS, app_id, named_below, publication};
use super::history::History;
use super::path::ObjectPath;
use super::{Store, fault as store_fault, recorded};
use crate::error::{At as _, Error, Kind, Result};
use crate::spec::DatasetName;

/// Requests in flight where many small objects are looked at.
const REQUESTS: usize = 8;
/// Versions that [`Table::recent`] looks at.
const RECENT_VERSIONS: u64 = 100;

/// One version of a published table.
#[derive(Debug)]
pub struct Table {
    /// The Delta version.
    pub version: u64,
    /// Its schema.
    pub schema: SchemaRef,
    /// Partition columns.
    pub partition_by: Vec<String>,
    /// Its live files.
    pub files: Vec<LiveFile>,
    /// Leaf paths that may have statistics, as the table's settings name them, and the partition columns.
    pub open: BTreeSet<String>,
}

/// A live file of a table.
#[derive(Clone, Debug)]
pub struct LiveFile {
    /// Path relative to the table, decoded.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Rows, where the statistics tell.
    pub rows: Option<u64>,
    /// Partition values in the Delta text form.
    pub partition: Vec<(String, Option<String>)>,
    /// Its statistics as the log has them, of open columns only.
    pub stats: Option<String>,
}

impl Table {
    /// Loads a version (the newest without one); `None` when there is no table.
    ///
    /// # Errors
    /// `Temporary` or `Denied` as the store answers, `Failed` when the log is damaged or the
    /// version is gone.
    pub async fn load(store: &Store, dataset: &DatasetName, version: Option<u64>) -> Result<Option<Self>> {
        let Some((_, snapshot)) = snapshot(store, dataset, version).await? else {
            return Ok(None);
        };
        let partition_by = snapshot.metadata().partition_columns().to_vec();
        let log = snapshot.try_log_data().map_err(|error| fault(&error, dataset))?;
        let files = log
            .iter()
            .map(|file| {
                let path = ObjectPath::existing(dataset, &file.path())?.relative().to_owned();
                let mut values = file.partition_values_map();
                Ok(LiveFile {
                    path,
                    bytes: u64::try_from(file.size()).unwrap_or_default(),
                    rows: file.num_records().map(|rows| rows as u64),
                    partition: partition_by
                        .iter()
                        .map(|name| (name.clone(), values.remove(name).flatten()))
                        .collect(),
                    stats: file.stats(),
                })
            })
            .collect::<Result<_>>()?;
        let open = open(&snapshot, &partition_by);
        let (version, schema) = (snapshot.version(), snapshot.arrow_schema());
        Ok(Some(Self { version, schema, partition_by, files, open }))
    }

    /// Whether the dataset has a table in the store.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn exists(store: &Store, dataset: &DatasetName) -> Result<bool> {
        exists(store, dataset).await
    }

    /// Every dataset in the store, sorted.
    ///
    /// # Errors
    /// As [`Table::load`].
    pub async fn list(store: &Store) -> Result<Vec<DatasetName>> {
        let doing = "list the store";
        let top = store.objects().list_with_delimiter(None).await.map_err(|e| store_fault::of(&e, doing))?;
        let mut found = Vec::new();
        for namespace in top.common_prefixes {
            let below = store.objects().list_with_delimiter(Some(&namespace)).await;
            let below = below.map_err(|error| store_fault::of(&error, doing))?;
            found.extend(below.common_prefixes.iter().filter_map(|path| {
                let names: Vec<_> = path.parts().map(|part| part.as_ref().to_owned()).collect();
                DatasetName::parse(&names.join(".")).ok()
            }));
        }
        let checks = found
            .into_iter()
            .map(|dataset| async move { Ok::<_, Error>(exists(store, &dataset).await?.then_some(dataset)) });
        let tables: Vec<_> = futures::stream::iter(checks).buffer_unordered(REQUESTS).try_collect().await?;
        let mut tables: Vec<_> = tables.into_iter().flatten().collect();
        tables.sort();
        Ok(tables)
    }

    /// What Sealift published to the dataset in its last 100 versions, by whichever stream; `None` when there
    /// is no table.
    ///
    /// # Errors
    /// As [`Table::load`].
    pub async fn recent(store: &Store, dataset: &DatasetName) -> Result<Option<History>> {
        Self::history(store, dataset, "", |history| history.versions >= RECENT_VERSIONS).await
    }

    /// What Sealift published to the dataset, newest first, until `is_enough` (asked after each version) or
    /// the log's beginning, and how far `stream` (`pipeline/stream`) has come; `None` when there is no table.
    ///
    /// # Errors
    /// As [`Table::load`].
    pub async fn history(
        store: &Store,
        dataset: &DatasetName,
        stream: &str,
        is_enough: impl Fn(&History) -> bool + Send,
    ) -> Result<Option<History>> {
        let Some((log, snapshot)) = snapshot(store, dataset, None).await? else {
            return Ok(None);
        };
        let newest = snapshot.version();
        let txn = transaction(&log, &snapshot, dataset, stream).await?;
        let mut commits = commits(store, dataset, 0..=newest);
        let mut history = History { newest: Some(newest), txn, ..History::default() };
        let mut resealed = Vec::new();
        while let Some((version, commit)) = commits.try_next().await? {
            match publication(version, &commit) {
                Some(mut publication) => {
                    publication.now(&resealed);
                    history.publications.push(publication);
                }
                None if resealed.is_empty() => resealed = recorded::resealed(&commit),
                None => {}
            }
            history.is_whole = version == 0;
            history.versions += 1;
            if is_enough(&history) {
                break;
            }
        }
        Ok(Some(history))
    }
}

fn open(snapshot: &EagerSnapshot, partition_by: &[String]) -> BTreeSet<String> {
    let named = snapshot.metadata().configuration().get(OPEN_COLUMNS).map_or("", String::as_str);
    let named = named.split(',').filter(|path| !path.is_empty()).map(str::to_owned);
    named.chain(partition_by.iter().cloned()).collect()
}

/// The commits of these versions, newest first, as far back as the log is kept: its clean-up removes the
/// oldest first, so that before a gap there is nothing.
pub fn commits<'a>(
    store: &'a Store,
    dataset: &'a DatasetName,
    versions: RangeInclusive<u64>,
) -> BoxStream<'a, Result<(u64, Bytes)>> {
    futures::stream::iter(versions.rev())
        .map(move |version| async move { (version, read_commit(store, dataset, version).await) })
        .buffered(REQUESTS)
        .map(|(version, commit)| commit.map(|commit| commit.map(|commit| (version, commit))))
        .take_while(|commit| std::future::ready(!matches!(commit, Ok(None))))
        .filter_map(|commit| std::future::ready(commit.transpose()))
        .boxed()
}

/// The versions whose commits are in the log, in order.
///
/// # Errors
/// As the store answers.
pub async fn versions(store: &Store, dataset: &DatasetName) -> Result<Vec<u64>> {
    let log = store.table_path(dataset).join("_delta_log");
    let mut versions = Vec::new();
    let mut listed = store.objects().list(Some(&log));
    while let Some(object) = listed.next().await {
        match object {
            Ok(object) => versions.extend(version_of(object.location.filename().unwrap_or_default())),
            Err(StoreError::NotFound { .. }) => break,
            Err(error) => return Err(store_fault::of(&error, &format!("list the log of {dataset}"))),
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// The files that versions after `since` added, relative to the table; `None` where a commit of these is gone, so
/// that nobody knows.
///
/// # Errors
/// As the store answers.
pub async fn added_since(
    store: &Store,
    dataset: &DatasetName,
    since: Option<u64>,
) -> Result<Option<BTreeSet<String>>> {
    let versions = versions(store, dataset).await?;
    let Some(newest) = versions.last().copied() else { return Ok(Some(BTreeSet::new())) };
    let first = since.map_or(0, |since| since.saturating_add(1));
    let mut added = BTreeSet::new();
    let mut read = 0;
    let mut commits = commits(store, dataset, first..=newest);
    while let Some((_, commit)) = commits.try_next().await? {
        added.extend(named_below(dataset, &commit, "add"));
        read += 1;
    }
    Ok((read == (newest + 1).saturating_sub(first)).then_some(added))
}

/// The version of a commit's name: 20 digits and `.json`.
fn version_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Whether the dataset's folder holds a Delta log.
async fn exists(store: &Store, dataset: &DatasetName) -> Result<bool> {
    let log = store.table_path(dataset).join("_delta_log");
    match store.objects().list(Some(&log)).next().await {
        None | Some(Err(StoreError::NotFound { .. })) => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(error)) => Err(store_fault::of(&error, &format!("list the log of {dataset}"))),
    }
}

/// The bytes of a version's commit; `None` where it is cleaned up.
pub(super) async fn read_commit(store: &Store, dataset: &DatasetName, version: u64) -> Result<Option<Bytes>> {
    let path = ObjectPath::commit(dataset, version);
    let read = async { store.objects().get(&path.location()).await?.bytes().await };
    match read.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(store_fault::of(&error, &format!("read {path}"))),
    }
}

/// The Delta log of a dataset. Its location is only a name inside the reader, so that it asks our
/// store for everything and looks nowhere else (as it would for `file:`).
fn log_of(store: &Store, dataset: &DatasetName) -> Result<LogStoreRef> {
    let table = store.table_path(dataset);
    let location = url::Url::parse(&format!("memory:///{table}/"))
        .map_err(|_| Error::failed(format!("{dataset} has no location in the store")))?;
    let below = Arc::new(PrefixStore::new(Arc::clone(store.objects()), table));
    Ok(default_logstore(below, Arc::clone(store.objects()), &location, &StorageConfig::default()))
}

/// The columns of a version as its log describes them: the parsed `schemaString`; `None` when there is no table.
///
/// # Errors
/// As [`Table::load`].
pub async fn columns(
    store: &Store,
    dataset: &DatasetName,
    version: u64,
) -> Result<Option<serde_json::Value>> {
    let Some((_, snapshot)) = snapshot(store, dataset, Some(version)).await? else { return Ok(None) };
    let columns = serde_json::to_value(snapshot.schema().as_ref());
    columns.map(Some).map_err(|_| Error::failed("the table's schema cannot be read"))
}

/// A version's snapshot and its log; `None` when there is no table.
pub(super) async fn snapshot(
    store: &Store,
    dataset: &DatasetName,
    version: Option<u64>,
) -> Result<Option<(LogStoreRef, EagerSnapshot)>> {
    if !exists(store, dataset).await? {
        return Ok(None);
    }
    let log = log_of(store, dataset)?;
    let error = match EagerSnapshot::try_new(log.as_ref(), version).await {
        Ok(snapshot) => return Ok(Some((log, snapshot))),
        Err(error) => fault(&error, dataset),
    };
    match version {
        Some(version) if error.kind() == Kind::Failed => {
            Err(Error::failed(format!("version {version} of {dataset} cannot be read"))
                .help("it may never have been, or its files may be cleaned up: try without a version"))
        }
        _ => Err(error),
    }
}

/// The version of a stream's last `txn` action.
pub(super) async fn transaction(
    log: &LogStoreRef,
    snapshot: &EagerSnapshot,
    dataset: &DatasetName,
    stream: &str,
) -> Result<Option<i64>> {
    let version = snapshot.transaction_version(log.as_ref(), app_id(stream)).await;
    version.map_err(|error| fault(&error, dataset))
}

/// Writes the checkpoint of a version.
pub(super) async fn write_checkpoint(store: &Store, dataset: &DatasetName, version: u64) -> Result<()> {
    let mut table = DeltaTable::new(log_of(store, dataset)?);
    let done = async {
        table.load_version(version).await?;
        deltalake_core::checkpoints::create_checkpoint(&table, None).await
    };
    done.await.map_err(|error| fault(&error, dataset)).at(|| format!("checkpoint of version {version}"))
}

/// What the Delta reader reports, in our own words: the store's fault if it is one, or else damage.
pub(super) fn fault(error: &DeltaTableError, dataset: &DatasetName) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(answer) = this.downcast_ref::<StoreError>() {
            return store_fault::of(answer, &format!("read the log of {dataset}"));
        }
        cause = this.source();
    }
    Error::failed(format!("the Delta log of {dataset} cannot be read: it is damaged, or of a newer kind"))
        .help("look at its `_delta_log` folder with another Delta reader")
}
