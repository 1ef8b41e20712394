//! Whether data files are what their receipts say, before their rows go into new ones.
//!
//! Pages of open columns are bound to nothing but the receipt of their file. Without this check, rows that
//! somebody altered would be read back, digested as they are now, and signed.

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use object_store::Error as StoreError;

use super::{Place, Receipt, all, read};
use crate::error::{At as _, Error, Kind, Result};
use crate::keys::Keyring;
use crate::publish::parquet::sha256;
use crate::publish::path::{file_id, file_name};
use crate::publish::table::LiveFile;
use crate::publish::{ObjectPath, Store, fault};
use crate::spec::DatasetName;

/// Receipts read at once.
const RECEIPTS_AT_ONCE: usize = 8;
/// Files read at once.
const FILES_AT_ONCE: usize = 4;

/// What a receipt says of a file.
struct Said {
    bytes: u64,
    sha256: String,
}

/// Refuses files of which size or SHA-256 is not what the receipt says that added them. A file that no receipt
/// of ours names is another writer's: nothing vouches for it, which is told in the log.
///
/// The files are read whole, so this costs about as much as reading their rows does.
///
/// # Errors
/// `Failed` for a file that was altered; else as the store and the keyring answer.
pub async fn check(
    store: &Store,
    keyring: &Keyring,
    dataset: &DatasetName,
    files: &[LiveFile],
) -> Result<()> {
    let wanted = files.iter().map(|file| file_name(&file.path)).collect();
    let said = Search { store, keyring, dataset }.find(wanted).await.at(|| format!("dataset {dataset}"))?;
    let mut checks = Vec::with_capacity(files.len());
    for file in files {
        match said.get(file_name(&file.path)) {
            Some(said) => checks.push(compare(store, dataset, file, said).boxed()),
            None => {
                tracing::warn!(%dataset, "a file that no receipt names is written again: it is another writer's");
            }
        }
    }
    let mut checks = stream::iter(checks).buffer_unordered(FILES_AT_ONCE);
    while checks.try_next().await.at(|| format!("dataset {dataset}"))?.is_some() {}
    Ok(())
}

async fn compare(store: &Store, dataset: &DatasetName, file: &LiveFile, said: &Said) -> Result<()> {
    let path = ObjectPath::existing(dataset, &file.path)?;
    match sha256(store, &path, said.bytes).await {
        Ok(Some(found)) if found == said.sha256 && file.bytes == said.bytes => Ok(()),
        Ok(_) | Err(StoreError::NotFound { .. }) => Err(Error::failed(format!(
            "the file {} was altered since it was published: nothing is made of its rows",
            file_name(&file.path)
        ))
        .help("`sealift verify` tells what does not hold; restore the file from a backup, or publish anew")),
        Err(error) => Err(fault::of(&error, &format!("read {path}"))),
    }
}

/// A search for the receipts that name files.
struct Search<'a> {
    store: &'a Store,
    keyring: &'a Keyring,
    dataset: &'a DatasetName,
}

impl Search<'_> {
    /// What receipts of ours say of these files, by name.
    ///
    /// The ids in the names of files and of receipts sort by time, and a file is named by a receipt that came
    /// after it: mostly by the very next one. Where that one says nothing of it, those behind are looked at, and
    /// then those before, for clocks are set back now and then.
    async fn find(&self, wanted: BTreeSet<&str>) -> Result<BTreeMap<String, Said>> {
        let mut places = all(self.store, self.dataset).await?;
        places.sort_by(|a, b| a.commit_id.cmp(&b.commit_id));
        let first = |id: &str| places.partition_point(|place| place.commit_id.as_str() < id);
        let mut sought: BTreeMap<&str, usize> =
            wanted.into_iter().filter_map(|name| Some((name, first(&id_of(name)?)))).collect();
        let mut found = BTreeMap::new();
        let (mut behind, mut at_once) = (0, 1);
        while !sought.is_empty() && behind < places.len() {
            let near = sought.values().flat_map(|first| (behind..behind + at_once).map(move |by| first + by));
            let asked: BTreeSet<usize> = near.map(|at| at % places.len()).collect();
            let asked = asked.into_iter().filter_map(|at| places.get(at));
            let asked: Vec<_> = asked.map(|place| self.receipt(place).boxed()).collect();
            let mut read = stream::iter(asked).buffered(RECEIPTS_AT_ONCE);
            while let Some(receipt) = read.try_next().await? {
                for added in receipt.into_iter().flat_map(|receipt| receipt.files.added) {
                    if sought.remove(added.name.as_str()).is_some() {
                        found.insert(added.name, Said { bytes: added.bytes, sha256: added.sha256 });
                    }
                }
            }
            behind += at_once;
            at_once = RECEIPTS_AT_ONCE;
        }
        Ok(found)
    }

    /// A receipt that says something of this dataset and that we signed; `None` for any other.
    async fn receipt(&self, place: &Place) -> Result<Option<Receipt>> {
        let Some(bytes) = read(self.store, self.dataset, place).await? else { return Ok(None) };
        let Ok(signed) = Receipt::parse(&bytes) else { return Ok(None) };
        let key = match self.keyring.public_key(&signed.receipt.signer).await {
            Ok(key) => key,
            Err(error) if error.kind() == Kind::Denied => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_ours = signed.is_by(&key) && signed.receipt.dataset == self.dataset.to_string();
        Ok(is_ours.then_some(signed.receipt))
    }
}

/// The id in the name of a data file, if it sorts by time.
fn id_of(name: &str) -> Option<String> {
    file_id(name).filter(|id| id.get_version_num() == 7).map(|id| id.to_string())
}
