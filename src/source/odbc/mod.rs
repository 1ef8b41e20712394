//! Any database with an ODBC driver.
//!
//! `link` connects and fixes the instant, `dbms` holds what has to be known of each database,
//! `catalog` asks what is there, `types` decides how a column is carried, `ranges` cuts a relation
//! for several connections, `read` runs the workers, `fetch` with `long`, `column` and `words` turns
//! rows into Arrow, `error` says in our own words what drivers say.
//!
//! Drivers block, so every call is made on a thread for blocking work.

mod bound;
mod catalog;
mod column;
mod dbms;
mod error;
mod fetch;
mod link;
mod long;
mod ranges;
mod read;
mod snapshot;
mod types;
mod words;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use self::link::Login;
use self::snapshot::OdbcSnapshot;
use super::{Gate, Snapshot, Source};
use crate::error::Result;
use crate::spec::config;

/// A database behind an ODBC driver.
pub struct Odbc {
    login: Arc<Login>,
    gate: Arc<Gate>,
}

impl fmt::Debug for Odbc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Odbc(…)")
    }
}

impl Odbc {
    /// See [`super::open`].
    ///
    /// # Errors
    /// `Invalid` when the password cannot be resolved, or the user is named twice.
    pub fn new(settings: &config::Odbc, gate: Arc<Gate>) -> Result<Self> {
        let password = settings.password.as_ref().map(crate::secret::Reference::resolve).transpose()?;
        Ok(Self { login: Arc::new(Login::new(settings, password.as_ref())?), gate })
    }
}

#[async_trait]
impl Source for Odbc {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let slot = self.gate.enter().await?;
        Ok(Box::new(OdbcSnapshot::begin(Arc::clone(&self.login), Arc::clone(&self.gate), slot).await?))
    }
}
