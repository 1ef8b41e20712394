//! MySQL and MariaDB: tables and queries of one server at one instant, by binary rows.
//!
//! `session` connects (`transport` moves bytes, `handshake` logs in, `packet` and `wire` speak the
//! protocol), `snapshot` holds the instant and answers, `instant` brings several connections to it,
//! `catalog` asks the server about its tables, `types` decides how a column is carried, `pieces` cuts
//! a table for several connections, `read` runs a read, `decode` with `column` and `value` turn rows
//! into Arrow, `throttle` gives way under load, `error` says in our own words what the server says.

mod bound;
mod catalog;
mod column;
mod decode;
mod error;
mod handshake;
mod ident;
mod instant;
mod packet;
mod pieces;
mod read;
mod session;
mod snapshot;
mod throttle;
mod transport;
mod types;
mod value;
mod wire;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use self::session::Access;
use self::snapshot::MysqlSnapshot;
use super::{Gate, Snapshot, Source};
use crate::error::Result;
use crate::spec::config;

/// A MySQL or MariaDB server.
pub struct Mysql {
    access: Arc<Access>,
    throttle: Option<config::Throttle>,
    gate: Arc<Gate>,
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mysql").field("server", &self.access.endpoint).finish_non_exhaustive()
    }
}

impl Mysql {
    /// See [`super::open`].
    ///
    /// # Errors
    /// `Invalid` when the password or the authorities of `ca_file` cannot be resolved.
    pub fn new(settings: &config::Mysql, gate: Arc<Gate>) -> Result<Self> {
        let access = Arc::new(Access::new(settings)?);
        Ok(Self { access, throttle: settings.throttle.clone(), gate })
    }
}

#[async_trait]
impl Source for Mysql {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let (access, gate) = (Arc::clone(&self.access), Arc::clone(&self.gate));
        Ok(Box::new(MysqlSnapshot::begin(access, gate, self.throttle.clone()).await?))
    }
}
