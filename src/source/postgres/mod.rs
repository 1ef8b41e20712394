//! PostgreSQL: tables and queries of one database at one instant, by binary COPY.
//!
//! `session` connects, `snapshot` holds the instant and answers, `catalog` asks the database about
//! itself, `layout` decides with the layouts of `types` how a column travels, `read` runs a COPY,
//! `decode` with `column`, `nested`, `numeric` and `text` turns its bytes into Arrow, `error` says in
//! our own words what the server says.

#[doc(hidden)]
pub mod bench;
mod catalog;
mod column;
mod decode;
mod error;
mod fault;
mod ident;
mod layout;
mod nested;
mod numeric;
mod read;
mod session;
mod snapshot;
mod text;
mod types;

use std::sync::Arc;

use async_trait::async_trait;

use self::session::Session;
use self::snapshot::PostgresSnapshot;
use super::{Gate, Snapshot, Source};
use crate::error::Result;
use crate::secret::Secret;
use crate::spec::config;

/// A PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    settings: config::Postgres,
    password: Option<Secret>,
    gate: Arc<Gate>,
}

impl Postgres {
    /// See [`super::open`].
    ///
    /// # Errors
    /// `Invalid` when the password cannot be resolved.
    pub fn new(settings: &config::Postgres, gate: Arc<Gate>) -> Result<Self> {
        let password = settings.password.as_ref().map(crate::secret::Reference::resolve).transpose()?;
        Ok(Self { settings: settings.clone(), password, gate })
    }
}

#[async_trait]
impl Source for Postgres {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let session = Session::open(&self.settings, self.password.as_ref()).await?;
        Ok(Box::new(PostgresSnapshot::begin(session).await?))
    }
}
