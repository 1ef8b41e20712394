//! What lies in a table's log: commits and checkpoints by version.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _};

use crate::error::{Error, Result};
use crate::publish::{Store, fault};
use crate::spec::DatasetName;

/// Digits of a version in the name of an object.
const DIGITS: usize = 20;

/// The objects of a log; one entry per version, so memory grows with the length of the log.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Commits, and the instants at which they were written.
    pub(super) commits: BTreeMap<u64, DateTime<Utc>>,
    /// Versions with a checkpoint that is whole.
    pub(super) checkpoints: BTreeSet<u64>,
    /// Every object that belongs to one version.
    pub(super) objects: Vec<(u64, ObjectMeta)>,
}

impl Listing {
    /// Lists the log.
    ///
    /// # Errors
    /// As the store answers.
    pub(super) async fn of(store: &Store, dataset: &DatasetName) -> Result<Self> {
        let folder = store.table_path(dataset).join("_delta_log");
        let found: Vec<ObjectMeta> = store
            .objects()
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|error| fault::of(&error, &format!("list the log of {dataset}")))?;
        let mut listing = Self::default();
        for object in found {
            let Some((version, rest)) = named(&object.location) else { continue };
            match rest.as_str() {
                "json" => _ = listing.commits.insert(version, object.last_modified),
                // Those of several parts are others' and may be half written: they are no start to build on.
                "checkpoint.parquet" => _ = listing.checkpoints.insert(version),
                _ => {}
            }
            listing.objects.push((version, object));
        }
        Ok(listing)
    }

    /// The oldest version that can be put together from what lies here.
    pub(super) fn oldest_readable(&self) -> Option<u64> {
        let first = Some(0).filter(|version| self.commits.contains_key(version));
        first.or_else(|| self.checkpoints.first().copied())
    }
}

/// The version in an object's name, and what comes after it.
fn named(location: &Path) -> Option<(u64, String)> {
    let (digits, rest) = location.filename()?.split_once('.')?;
    let is_version = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| is_version)?, rest.to_owned()))
}

/// The version that `_last_checkpoint` sends readers to, where there is such an object.
///
/// # Errors
/// As the store answers; `Failed` when it makes no sense.
pub(super) async fn last_checkpoint(store: &Store, dataset: &DatasetName) -> Result<Option<u64>> {
    let path = store.table_path(dataset).join("_delta_log").join("_last_checkpoint");
    let read = async { store.objects().get(&path).await?.bytes().await };
    match read.await {
        Ok(bytes) => {
            let hint: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let version = hint["version"].as_u64();
            let damaged = || Error::failed(format!("`_last_checkpoint` in the log of {dataset} is damaged"));
            version.ok_or_else(damaged).map(Some)
        }
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(fault::of(&error, &format!("read {path}"))),
    }
}
