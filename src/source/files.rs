//! CSV and Parquet files of a folder.

use std::path::Path;

use async_trait::async_trait;

use super::{Snapshot, Source};
use crate::error::Result;

/// A folder of files.
#[derive(Debug)]
pub struct Files;

impl Files {
    /// See [`super::open`].
    #[must_use]
    pub fn new(_root: &Path) -> Self {
        todo!()
    }
}

#[async_trait]
impl Source for Files {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        todo!()
    }
}
