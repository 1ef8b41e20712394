//! SQLite: the tables, views and queries of one file, in one read transaction.
//!
//! `session` opens the file for reading only and fixes the instant, `catalog` asks what is in it,
//! `types` decides how a column is carried, `read` runs a `SELECT`, `column` turns cells into Arrow,
//! `error` says in our own words what SQLite says.
//!
//! SQLite types cells, not columns: a declared type is a preference, and any cell may hold something
//! else. A cell that is not what its column is carried as fails the read; it is never converted.

mod catalog;
mod column;
mod error;
mod read;
mod session;
mod snapshot;
mod types;

use std::sync::Arc;

use async_trait::async_trait;

use self::session::Session;
use self::snapshot::SqliteSnapshot;
use super::{Gate, Snapshot, Source};
use crate::error::Result;
use crate::spec::config;

/// The schema that all tables of the file are in; SQLite's own word for it.
const SCHEMA: &str = "main";

/// An SQLite file.
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
        let slot = self.gate.enter().await?;
        let session = Session::open(&self.settings.path).await?;
        Ok(Box::new(SqliteSnapshot::new(session, Arc::clone(&self.gate), slot)))
    }
}
