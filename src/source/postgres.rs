//! PostgreSQL.

use async_trait::async_trait;

use super::{Snapshot, Source};
use crate::error::Result;
use crate::spec::config;

/// A PostgreSQL database.
#[derive(Debug)]
pub struct Postgres;

impl Postgres {
    /// See [`super::open`].
    ///
    /// # Errors
    /// `Invalid` when the password cannot be resolved.
    pub fn new(_settings: &config::Postgres) -> Result<Self> {
        todo!()
    }
}

#[async_trait]
impl Source for Postgres {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        todo!()
    }
}
