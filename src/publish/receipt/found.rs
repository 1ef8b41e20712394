//! Receipts and commits as they lie in the store.

use std::ops::Range;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{Error as StoreError, ObjectStore as _, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};

use super::UNNAMED;
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
    /// The run, or the work, that made it.
    pub run_id: Option<String>,
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
    let run_id = text("run_id").or_else(|| text("reshaped_by"));
    Some(Named { commit_id: text("commit_id")?, sha256: text("receipt"), run_id })
}

/// SHA-256 of a commit that names a receipt of this digest, as the receipt has it: with [`UNNAMED`] in that
/// place. `None` where it does not name it.
#[must_use]
pub fn commit_sha256(commit: &[u8], receipt_sha256: &str) -> Option<String> {
    let place = digest_place(commit, receipt_sha256)?;
    let (before, after) = (commit.get(..place.start)?, commit.get(place.end..)?);
    let mut hash = Sha256::new();
    [before, UNNAMED.as_bytes(), after].iter().for_each(|part| hash.update(part));
    Some(hex::encode(hash.finalize()))
}

/// Where a commit holds the digest of its receipt. Inside a JSON text the quotes would be escaped, and nothing
/// before it in a commit of ours has a field of that name.
pub(super) fn digest_place(commit: &[u8], sha256: &str) -> Option<Range<usize>> {
    let field = br#""receipt":""#;
    let named = [field, sha256.as_bytes(), b"\""].concat();
    let start = commit.windows(named.len()).position(|window| window == named)? + field.len();
    Some(start..start + sha256.len())
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
