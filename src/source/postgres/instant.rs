//! The instant of a snapshot, and its name.

use super::catalog::cell;
use super::session::Session;
use crate::error::{Error, Result};

/// The instant that everything is read at.
pub(super) struct Instant {
    /// What other connections take on; `None` where the role may not export it.
    pub(super) exported: Option<String>,
    /// The exported snapshot and the write-ahead log's position.
    pub(super) id: String,
}

impl Instant {
    /// A name for the instant, as far as the role may ask for it.
    pub(super) async fn of(session: &Session) -> Result<Self> {
        let rows = session
            .rows(
                "SELECT txid_current_snapshot()::text, pg_is_in_recovery(),
                   has_function_privilege('pg_export_snapshot()', 'execute'),
                   has_function_privilege('pg_current_wal_lsn()', 'execute'),
                   has_function_privilege('pg_last_wal_replay_lsn()', 'execute')",
                &[],
            )
            .await?;
        let row = rows.first().ok_or_else(|| Error::failed("the PostgreSQL catalog is not as expected"))?;
        let (standby, may_export): (bool, bool) = (cell(row, 1)?, cell(row, 2)?);
        let may_ask_position: bool = cell(row, if standby { 4 } else { 3 })?;
        let mut exported = None;
        if may_export {
            let rows = session.rows("SELECT pg_export_snapshot()", &[]).await?;
            exported = rows.first().map(|row| cell::<String>(row, 0)).transpose()?;
        }
        let mut id = match &exported {
            Some(exported) => exported.clone(),
            None => cell(row, 0)?,
        };
        if may_ask_position {
            let function = if standby { "pg_last_wal_replay_lsn" } else { "pg_current_wal_lsn" };
            let rows = session.rows(&format!("SELECT {function}()::text"), &[]).await?;
            let position = rows.first().map(|row| cell::<Option<String>>(row, 0)).transpose()?.flatten();
            if let Some(position) = position {
                id = format!("{id}@{position}");
            }
        }
        Ok(Self { exported, id })
    }
}
