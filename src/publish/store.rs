//! Object stores, and object paths as a type.

use std::sync::Arc;

use object_store::ObjectStore;

use crate::error::Result;
use crate::spec::{DatasetName, config};

/// A store that tables are published to.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    url: url::Url,
}

impl Store {
    /// Opens a store; nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when a secret cannot be resolved or the settings contradict each other.
    pub fn open(_settings: &config::Store) -> Result<Self> {
        todo!()
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
    pub fn table_path(&self, _dataset: &DatasetName) -> object_store::path::Path {
        todo!()
    }

    /// Tests what publishing relies on: objects can be written and read back, and of two
    /// conditional puts of one object exactly one wins. Leaves nothing behind.
    ///
    /// # Errors
    /// `Temporary` unreachable; `Denied` refused credentials or read-only; `Failed` when the store
    /// ignores `If-None-Match`.
    pub async fn check(&self) -> Result<()> {
        todo!()
    }
}
