//! Object stores.

mod check;
mod folder;
mod s3;

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

use super::fault;
use crate::error::{Error, Result};
use crate::spec::{DatasetName, config};

/// A store that tables are published to.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    url: url::Url,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a store; nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when a secret cannot be resolved or the settings contradict each other.
    pub fn open(settings: &config::Store) -> Result<Self> {
        match settings {
            config::Store::File { root } => {
                let invalid =
                    || Error::invalid(format!("`{}` is not a path that a store can use", root.display()));
                let root = std::path::absolute(root).map_err(|_| invalid())?;
                let url = url::Url::from_directory_path(&root).map_err(|()| invalid())?;
                let objects = folder::Folder::new(root.clone()).map_err(|_| invalid())?;
                Ok(Self::of(Arc::new(objects), url))
            }
            config::Store::S3(settings) => {
                let bucket = s3::open(settings)?;
                let url = s3::url(settings)?;
                if settings.prefix.is_empty() {
                    return Ok(Self::of(Arc::new(bucket), url));
                }
                let prefix = Path::parse(&settings.prefix)
                    .map_err(|_| Error::invalid(format!("`{}` is not a key prefix", settings.prefix)))?;
                Ok(Self::of(Arc::new(PrefixStore::new(bucket, prefix)), url))
            }
        }
    }

    /// A store over given objects.
    pub(crate) fn of(objects: Arc<dyn ObjectStore>, url: url::Url) -> Self {
        Self { objects, url }
    }

    /// The objects below the store's prefix.
    #[must_use]
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// The store's URL, for people.
    #[must_use]
    pub fn url(&self) -> &url::Url {
        &self.url
    }

    /// Where a dataset's table lies.
    #[must_use]
    pub fn table_path(&self, dataset: &DatasetName) -> Path {
        Path::from_iter([dataset.namespace(), dataset.name()])
    }

    /// Tests what publishing relies on: objects can be written and read back, and of two
    /// conditional puts of one object exactly one wins. Leaves nothing behind.
    ///
    /// # Errors
    /// `Temporary` unreachable; `Denied` refused credentials or read-only; `Failed` when the store
    /// ignores `If-None-Match`.
    pub async fn check(&self) -> Result<()> {
        check::run(self.objects.as_ref()).await.map_err(|error| error.at(format!("store {}", self.url)))
    }
}
