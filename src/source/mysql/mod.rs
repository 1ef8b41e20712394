//! MySQL and MariaDB.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Gate, Snapshot, Source};
use crate::error::{Error, Result};
use crate::spec::config;

/// See the module.
#[derive(Debug)]
pub struct Mysql {
    settings: config::Mysql,
    gate: Arc<Gate>,
}

impl Mysql {
    /// See [`super::open`].
    ///
    /// # Errors
    /// `Invalid` when the password cannot be resolved.
    pub fn new(settings: &config::Mysql, gate: Arc<Gate>) -> Result<Self> {
        Ok(Self { settings: settings.clone(), gate })
    }
}

#[async_trait]
impl Source for Mysql {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let _ = (&self.settings, &self.gate);
        Err(Error::invalid("this source is not there yet"))
    }
}
