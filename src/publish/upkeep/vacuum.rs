//! What no version within the retention needs is removed: data files, files of runs that ended before their
//! commit, and the log of versions that are gone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore as _};

use super::log::{Listing, last_checkpoint};
use crate::error::{At as _, Error, Result};
use crate::publish::commit::{self, named_below, publication};
use crate::publish::path::{file_id, file_name};
use crate::publish::{ObjectPath, Store, Table, fault, table};
use crate::spec::DatasetName;

/// Commits that are read at once.
const REQUESTS: usize = 8;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The version that was the newest at this instant can be read afterwards, and every one since.
    pub versions_since: DateTime<Utc>,
    /// Files that no commit names stay if they are younger: the run that writes them may be under way.
    pub strays_since: DateTime<Utc>,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Data files that older versions named, and their bytes.
    pub files: BTreeMap<String, u64>,
    /// Data files of ours that no commit names, and their bytes.
    pub strays: BTreeMap<String, u64>,
    /// Objects of the log.
    pub log: BTreeSet<String>,
    /// The oldest version that can be read afterwards.
    pub oldest_version: u64,
    /// Commits from this version on stay although older than the retention, where that is so: they hold
    /// the last word of a stream, or no checkpoint stands in for them.
    pub log_kept_from: Option<u64>,
}

/// Removes what the retention does not need, or only says what that would be (`dry_run`). Only data files
/// that the log names, ours that it does not name, and the log itself are looked at: everything else in the
/// table's folder stays, receipts among it.
///
/// # Errors
/// `Failed` when the table is damaged or not ours to write; else as the store answers. What was removed
/// before an error stays removed, and nothing that is needed is among it.
pub async fn vacuum(
    store: &Store,
    dataset: &DatasetName,
    retention: &Retention,
    dry_run: bool,
) -> Result<Swept> {
    sweep(store, dataset, retention, dry_run).await.at(|| format!("dataset {dataset}"))
}

async fn sweep(store: &Store, dataset: &DatasetName, retention: &Retention, dry_run: bool) -> Result<Swept> {
    commit::check_writable(store, dataset).await?;
    let listing = Listing::of(store, dataset).await?;
    // What lands after the listing is not looked at: its files are young, and what it removes is needed.
    let newest = listing.commits.keys().next_back().copied();
    let table =
        Table::load(store, dataset, newest).await?.ok_or_else(|| Error::failed("there is no table"))?;
    let past = Past::read(store, dataset, &listing, retention).await?;
    let (files, strays) = data(store, dataset, &table, &past, retention).await?;
    let (log, ends) = log(store, dataset, &listing, &table, &past, retention, dry_run).await?;
    let log_kept_from = Some(ends).filter(|ends| *ends < past.kept_from);
    let swept = Swept { files, strays, log, oldest_version: past.kept_from, log_kept_from };
    if !dry_run {
        swept.remove(store, dataset).await?;
    }
    Ok(swept)
}

/// The objects of the log that go, and the version from which it stays; a checkpoint comes first where one
/// is missing.
async fn log(
    store: &Store,
    dataset: &DatasetName,
    listing: &Listing,
    table: &Table,
    past: &Past,
    retention: &Retention,
    dry_run: bool,
) -> Result<(BTreeSet<String>, u64)> {
    let wanted = past.log_ends();
    let checkpoint = match wants_checkpoint(listing, past, table, wanted) {
        true => {
            if !dry_run {
                table::write_checkpoint(store, dataset, table.version).await?;
            }
            table.version
        }
        false => {
            let newest = listing.checkpoints.range(..=past.kept_from).next_back().copied();
            // Readers begin where they are sent to.
            newest.unwrap_or_default().min(last_checkpoint(store, dataset).await?.unwrap_or_default())
        }
    };
    let ends = checkpoint.min(wanted);
    let is_old = |object: &ObjectMeta| object.last_modified <= retention.versions_since;
    let gone = listing.objects.iter().filter(|(version, object)| *version < ends && is_old(object));
    Ok((gone.map(|(_, object)| object.location.to_string()).collect(), ends))
}

/// What the commits tell.
struct Past {
    /// The oldest version that is to be read.
    kept_from: u64,
    /// Files that a version since then named and the newest may not name any more.
    needed: BTreeSet<String>,
    /// Files that commits name: they were never strays.
    named: BTreeSet<String>,
    /// The oldest of the newest publications of all streams, and of their newest with a cursor.
    last_words_from: Option<u64>,
}

impl Past {
    /// Reads every commit that is still there; memory grows with the files they name, as any reader's does.
    async fn read(
        store: &Store,
        dataset: &DatasetName,
        listing: &Listing,
        retention: &Retention,
    ) -> Result<Self> {
        let before = listing.commits.iter().filter(|(_, at)| **at <= retention.versions_since);
        let oldest = listing.commits.keys().next().copied();
        let kept_from = before.map(|(version, _)| *version).max().or(oldest).unwrap_or_default();
        let mut past =
            Self { kept_from, needed: BTreeSet::new(), named: BTreeSet::new(), last_words_from: None };
        let (mut last_words, mut last_cursors) = (BTreeMap::new(), BTreeMap::new());
        let commits = stream::iter(listing.commits.keys().copied())
            .map(|version| async move { (version, table::read_commit(store, dataset, version).await) });
        let mut commits = commits.buffered(REQUESTS);
        while let Some((version, commit)) = commits.next().await {
            let Some(commit) = commit? else { continue };
            let removed = named_below(dataset, &commit, "remove");
            if version > kept_from {
                past.needed.extend(removed.iter().cloned());
            }
            past.named.extend(removed);
            past.named.extend(named_below(dataset, &commit, "add"));
            if let Some(publication) = publication(version, &commit) {
                if publication.cursor.is_some() {
                    last_cursors.insert(publication.stream.clone(), version);
                }
                last_words.insert(publication.stream, version);
            }
        }
        past.last_words_from = last_words.into_values().chain(last_cursors.into_values()).min();
        Ok(past)
    }

    /// The log may go below this version, if a checkpoint stands in for it.
    fn log_ends(&self) -> u64 {
        self.kept_from.min(self.last_words_from.unwrap_or(u64::MAX))
    }
}

/// Whether a checkpoint of the newest version lets go of more of the log. One of an older version would
/// send readers back.
fn wants_checkpoint(listing: &Listing, past: &Past, table: &Table, wanted: u64) -> bool {
    let best = listing.checkpoints.range(..=past.kept_from).next_back().copied().unwrap_or_default();
    let has_older = listing.objects.iter().any(|(version, _)| (best..wanted).contains(version));
    best < wanted && has_older && past.kept_from == table.version
}

/// The data files that go: those that the log names, and strays.
async fn data(
    store: &Store,
    dataset: &DatasetName,
    table: &Table,
    past: &Past,
    retention: &Retention,
) -> Result<(BTreeMap<String, u64>, BTreeMap<String, u64>)> {
    let live: BTreeSet<&str> = table.files.iter().map(|file| file.path.as_str()).collect();
    let folder = store.table_path(dataset);
    let mut objects = store.objects().list(Some(&folder));
    let (mut files, mut strays) = (BTreeMap::new(), BTreeMap::new());
    let doing = format!("list the files of {dataset}");
    while let Some(object) = objects.try_next().await.map_err(|error| fault::of(&error, &doing))? {
        let Some(relative) = below(&folder, &object.location) else { continue };
        if live.contains(relative.as_str()) || past.needed.contains(&relative) {
            continue;
        }
        if past.named.contains(&relative) {
            files.insert(relative, object.size);
        } else if file_id(file_name(&relative)).is_some() && object.last_modified <= retention.strays_since {
            strays.insert(relative, object.size);
        }
    }
    Ok((files, strays))
}

/// The path below a folder, as the log has it.
fn below(folder: &Path, location: &Path) -> Option<String> {
    let rest = location.as_ref().strip_prefix(folder.as_ref())?.strip_prefix('/')?;
    (!rest.starts_with('_')).then(|| rest.to_owned())
}

impl Swept {
    /// The bytes of all data files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.values().chain(self.strays.values()).sum()
    }

    /// Data files first: a log that is there a little longer does no harm.
    async fn remove(&self, store: &Store, dataset: &DatasetName) -> Result<()> {
        let files = self.files.keys().chain(self.strays.keys());
        let files = files.map(|path| Ok(ObjectPath::existing(dataset, path)?.location()));
        remove(store, files.collect::<Result<_>>()?).await?;
        remove(store, self.log.iter().map(|path| Path::from(path.as_str())).collect()).await
    }
}

/// Removes objects; one that is gone already is as good. The first refusal ends it.
async fn remove(store: &Store, paths: Vec<Path>) -> Result<()> {
    let mut removed = store.objects().delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
    while let Some(answer) = removed.next().await {
        match answer {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(fault::of(&error, "remove what is not needed any more")),
        }
    }
    Ok(())
}
