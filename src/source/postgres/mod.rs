//! PostgreSQL: tables and queries of one database at one instant, by binary COPY.
//!
//! `session` connects (with `passfile`), `snapshot` holds the instant and answers, `catalog` asks the
//! database about itself, `layout` decides with the layouts of `types` how a column travels, `chunks`
//! cuts a relation into pieces, `read` has workers copy them, each over a `line` of its own (whose
//! socket is `lent` to the client library for the login), `decode` with `column`, `nested`, `numeric`
//! and `text` turns the bytes into Arrow, `error` says in our own words what the server says.

#[doc(hidden)]
pub mod bench;
mod bound;
mod catalog;
mod chunks;
mod column;
mod decode;
mod error;
mod fault;
mod ident;
mod instant;
mod layout;
mod lent;
mod line;
mod nested;
mod numeric;
mod passfile;
mod read;
mod session;
mod snapshot;
mod target;
mod text;
mod throttle;
mod types;

use std::sync::Arc;

use async_trait::async_trait;

use self::session::Login;
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
    /// `Invalid` when the password cannot be resolved, or the password file cannot be used.
    pub fn new(settings: &config::Postgres, gate: Arc<Gate>) -> Result<Self> {
        let password = match &settings.password {
            Some(reference) => Some(reference.resolve()?),
            None => passfile::password(settings)?,
        };
        Ok(Self { settings: settings.clone(), password, gate })
    }
}

#[async_trait]
impl Source for Postgres {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let login = Login::new(&self.settings, self.password.as_ref())?;
        Ok(Box::new(
            PostgresSnapshot::begin(login, Arc::clone(&self.gate), self.settings.throttle.as_ref()).await?,
        ))
    }
}
