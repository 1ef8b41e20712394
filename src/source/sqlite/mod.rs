//! SQLite: the tables of one file.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Gate, Snapshot, Source};
use crate::error::{Error, Result};
use crate::spec::config;

/// See the module.
#[derive(Debug)]
pub struct Sqlite {
    settings: config::Sqlite,
    gate: Arc<Gate>,
}

impl Sqlite {
    /// See [`super::open`].
    #[must_use]
    pub fn new(settings: &config::Sqlite, gate: Arc<Gate>) -> Self {
        Self { settings: settings.clone(), gate }
    }
}

#[async_trait]
impl Source for Sqlite {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let _ = (&self.settings, &self.gate);
        Err(Error::invalid("this source is not there yet"))
    }
}
