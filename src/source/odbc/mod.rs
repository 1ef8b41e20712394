//! Any database with an ODBC driver.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Gate, Snapshot, Source};
use crate::error::{Error, Result};
use crate::spec::config;

/// See the module.
#[derive(Debug)]
pub struct Odbc {
    settings: config::Odbc,
    gate: Arc<Gate>,
}

impl Odbc {
    /// See [`super::open`].
    ///
    /// # Errors
    /// `Invalid` when the password cannot be resolved.
    pub fn new(settings: &config::Odbc, gate: Arc<Gate>) -> Result<Self> {
        Ok(Self { settings: settings.clone(), gate })
    }
}

#[async_trait]
impl Source for Odbc {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let _ = (&self.settings, &self.gate);
        Err(Error::invalid("this source is not there yet"))
    }
}
