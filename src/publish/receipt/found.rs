//! Receipts and commits as they lie in the store.

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{Error as StoreError, ObjectStore as _, ObjectStoreExt as _};

use crate::error::Result;
use crate::publish::commit::commit_info;
use crate::publish::{ObjectPath, Store, fault};
use crate::spec::DatasetName;

/// Where a receipt lies, and so what its name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The version.
    pub version: u64,
    /// The commit.
    pub commit_id: String,
}

/// What a commit of ours names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub commit_id: String,
    /// SHA-256 of its receipt.
    pub sha256: Option<String>,
}

impl Place {
    /// The receipt's object.
    #[must_use]
    pub fn path(&self, dataset: &DatasetName) -> ObjectPath {
        ObjectPath::receipt(dataset, self.version, &self.commit_id)
    }
}

/// What a commit names; `None` where another writer made it.
#[must_use]
pub fn named(commit: &[u8]) -> Option<Named> {
    let info = commit_info(commit)?;
    let ours = &info["sealift"];
    let text = |name: &str| ours[name].as_str().map(str::to_owned);
    Some(Named { commit_id: text("commit_id")?, sha256: text("receipt") })
}

/// Every receipt beside a table, by version.
///
/// # Errors
/// As the store answers.
pub async fn all(store: &Store, dataset: &DatasetName) -> Result<Vec<Place>> {
    let folder = store.table_path(dataset).join("_sealift").join("receipts");
    let doing = format!("list the receipts of {dataset}");
    let listed = store.objects().list(Some(&folder)).try_collect::<Vec<_>>().await;
    let objects = match listed {
        Ok(objects) => objects,
        Err(StoreError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(fault::of(&error, &doing)),
    };
    let place = |name: &str| {
        let (version, commit_id) = name.strip_suffix(".json")?.split_once('-')?;
        Some(Place { version: version.parse().ok()?, commit_id: commit_id.to_owned() })
    };
    let mut places: Vec<_> = objects.iter().filter_map(|object| place(object.location.filename()?)).collect();
    places.sort();
    Ok(places)
}

/// A receipt's bytes; `None` where it is gone.
///
/// # Errors
/// As the store answers.
pub async fn read(store: &Store, dataset: &DatasetName, place: &Place) -> Result<Option<Bytes>> {
    let path = place.path(dataset);
    let read = async { store.objects().get(&path.location()).await?.bytes().await };
    match read.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(fault::of(&error, &format!("read {path}"))),
    }
}
