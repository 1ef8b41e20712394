//! The keys of one read: which it has, which it misses, and what they are asked for.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use object_store::path::Path;
use parquet::encryption::decrypt::{FileDecryptionProperties, KeyRetriever};
use parquet::errors::ParquetError;
use parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use parquet::file::metadata::ParquetMetaData;

use crate::error::{Error, Kind, Result};
use crate::keys::{DatasetKey, Keyring, material};
use crate::publish::table::LiveFile;
use crate::publish::{ObjectPath, path};
use crate::spec::DatasetName;

/// What stands for the column in the id of a footer key.
const FOOTER: &str = "_footer";

/// What a read knows of the keys of its dataset. It holds only those of the columns it touches.
pub struct Keys {
    dataset: DatasetName,
    touched: BTreeSet<String>,
    ring: Arc<Ring>,
    has_footer_key: bool,
    /// What each file's modules are bound to. A file that is found in another's place does not fit.
    prefixes: HashMap<Path, Vec<u8>>,
}

/// Dataset keys by id.
struct Ring {
    dataset: DatasetName,
    by_id: HashMap<String, DatasetKey>,
}

impl Keys {
    /// Fetches the keys that reading `touched` top-level columns of these files may need. One that is
    /// gone is left out: only a file that needs it can tell whether it is missed.
    ///
    /// # Errors
    /// Those of the keyring, other than that a key is gone.
    pub async fn fetch(
        keyring: &Keyring,
        dataset: &DatasetName,
        touched: BTreeSet<String>,
        files: &[LiveFile],
    ) -> Result<Self> {
        let mut by_id = HashMap::new();
        let mut has_footer_key = false;
        for id in keyring.list(Some(dataset)).await? {
            let is_footer = column_of(dataset, &id) == Some(FOOTER);
            if !is_footer && !column_of(dataset, &id).is_some_and(|column| covers(&touched, column)) {
                continue;
            }
            match keyring.by_id(&id).await {
                Ok(key) => {
                    has_footer_key |= is_footer;
                    by_id.insert(id, key);
                }
                Err(error) if error.kind() == Kind::Denied => {}
                Err(error) => return Err(error),
            }
        }
        let prefix = |file: &LiveFile| -> Result<(Path, Vec<u8>)> {
            let location = ObjectPath::existing(dataset, &file.path)?.location();
            Ok((location, path::aad_prefix(dataset, &file.path)))
        };
        let prefixes = files.iter().map(prefix).collect::<Result<_>>()?;
        let ring = Arc::new(Ring { dataset: dataset.clone(), by_id });
        Ok(Self { dataset: dataset.clone(), touched, ring, has_footer_key, prefixes })
    }

    /// The dataset that is read.
    #[must_use]
    pub fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// Refuses a file of which a touched column is encrypted with a key we do not have. Without
    /// this, parquet would take the ciphertext for pages.
    pub(super) fn check(&self, metadata: &ParquetMetaData) -> Result<()> {
        let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
        for chunk in chunks {
            let leaf = chunk.column_path().string();
            let Some(crypto) = chunk.crypto_metadata().filter(|_| covers(&self.touched, &leaf)) else {
                continue;
            };
            if !self.has_footer_key {
                return Err(no_key(&self.dataset, &leaf));
            }
            if let ColumnCryptoMetaData::ENCRYPTION_WITH_COLUMN_KEY(column) = crypto {
                let id = material::master_key_id(column.key_metadata.as_deref().unwrap_or_default())?;
                if !self.ring.by_id.contains_key(&id) {
                    return Err(no_key(&self.dataset, &leaf));
                }
            }
        }
        Ok(())
    }

    /// How a file is decrypted, bound to its place. `None` without a footer key: then only open
    /// columns can be read, and nothing is verified. A file with no encrypted column is read alike
    /// with and without properties.
    ///
    /// # Errors
    /// `Failed` for a file that was not among those of [`Keys::fetch`].
    pub fn decryption(&self, location: &Path) -> Result<Option<Arc<FileDecryptionProperties>>> {
        if !self.has_footer_key {
            return Ok(None);
        }
        let Some(prefix) = self.prefixes.get(location) else {
            return Err(Error::failed(format!("a file was read that {} lacks", self.dataset)));
        };
        let ring: Arc<dyn KeyRetriever> = self.ring.clone();
        // Ours goes before the prefix that the file itself states.
        let properties =
            FileDecryptionProperties::with_key_retriever(ring).with_aad_prefix(prefix.clone()).build();
        properties.map(Some).map_err(|_| Error::failed("the keys of a file cannot be used"))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("dataset", &self.dataset).finish_non_exhaustive()
    }
}

impl KeyRetriever for Ring {
    fn retrieve_key(&self, key_metadata: &[u8]) -> parquet::errors::Result<Vec<u8>> {
        let key = material::master_key_id(key_metadata).and_then(|id| match self.by_id.get(&id) {
            Some(key) => Ok(material::unwrap(key_metadata, key)?.expose().to_vec()),
            None => Err(no_key(&self.dataset, column_of(&self.dataset, &id).unwrap_or(FOOTER))),
        });
        key.map_err(|error| ParquetError::External(Box::new(error)))
    }
}

fn no_key(dataset: &DatasetName, leaf: &str) -> Error {
    let what = if leaf == FOOTER { "the footers" } else { &format!("column `{leaf}`") };
    Error::denied(format!("no key for {what} of dataset {dataset}")).help(
        "leave the column out of the query, or ask the keeper of the keys; `sealift keys list` shows yours",
    )
}

/// The leaf column in a key's id, `sealift:<ns>.<name>/<column>@<version>`.
fn column_of<'i>(dataset: &DatasetName, id: &'i str) -> Option<&'i str> {
    let rest = id.strip_prefix("sealift:")?.strip_prefix(&dataset.to_string())?.strip_prefix('/')?;
    rest.rsplit_once('@').map(|(column, _)| column)
}

/// Whether a leaf belongs to one of these top-level columns, whose own names may hold dots.
fn covers(columns: &BTreeSet<String>, leaf: &str) -> bool {
    let ends = leaf.match_indices('.').map(|(end, _)| end).chain([leaf.len()]);
    ends.filter_map(|end| leaf.get(..end)).any(|column| columns.contains(column))
}
