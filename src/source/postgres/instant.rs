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
    /// The instant of the transaction that has begun, as far as the role may ask for it; `position`
    /// is that of the log shortly before.
    pub(super) async fn of(session: &Session, position: Option<String>) -> Result<Self> {
        let sql =
            "SELECT txid_current_snapshot()::text, has_function_privilege('pg_export_snapshot()', 'execute')";
        let rows = session.rows(sql, &[]).await?;
        let row = rows.first().ok_or_else(strange)?;
        let mut id: String = cell(row, 0)?;
        let mut exported = None;
        if cell(row, 1)? {
            let rows = session.rows("SELECT pg_export_snapshot()", &[]).await?;
            exported = rows.first().map(|row| cell::<String>(row, 0)).transpose()?;
        }
        if let Some(exported) = &exported {
            id.clone_from(exported);
        }
        if let Some(position) = position {
            id = format!("{id}@{position}");
        }
        Ok(Self { exported, id })
    }
}

/// Where the write-ahead log is, as far as the role may ask.
pub(super) async fn position(session: &Session) -> Result<Option<String>> {
    let rows = session
        .rows(
            "SELECT pg_is_in_recovery(), has_function_privilege('pg_current_wal_lsn()', 'execute'),
               has_function_privilege('pg_last_wal_replay_lsn()', 'execute')",
            &[],
        )
        .await?;
    let row = rows.first().ok_or_else(strange)?;
    let standby: bool = cell(row, 0)?;
    if !cell::<bool>(row, if standby { 2 } else { 1 })? {
        return Ok(None);
    }
    let function = if standby { "pg_last_wal_replay_lsn" } else { "pg_current_wal_lsn" };
    let rows = session.rows(&format!("SELECT {function}()::text"), &[]).await?;
    Ok(rows.first().map(|row| cell::<Option<String>>(row, 0)).transpose()?.flatten())
}

fn strange() -> Error {
    Error::failed("the PostgreSQL catalog is not as expected")
}
