//! The metadata store as this module sees it: connections that `run`'s ledger opens and lends.

use sqlx::sqlite::SqlitePool;

use crate::error::Error;

/// Who lends the connections of the metadata store.
pub trait Store: Send + Sync {
    /// The connections; the tables `tokens` and `audit` are there.
    fn pool(&self) -> &SqlitePool;
}

/// The wall clock, as the tables keep it.
#[expect(clippy::disallowed_methods, reason = "the records of the metadata store are stamped here")]
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A fault of the metadata store, in our own words.
pub(crate) fn fault(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut => busy(),
        sqlx::Error::Database(fault) => {
            let code = fault.code().unwrap_or_default();
            // The low byte of an extended code is the primary one.
            match code.parse::<u32>().map(|code| code & 0xff) {
                Ok(5 | 6) => busy(),
                Ok(8) => Error::failed("the metadata store is read-only"),
                Ok(13) => Error::failed("the disk of the metadata store is full").help("free some space"),
                Ok(11 | 26) => Error::failed("the metadata store is damaged")
                    .help("restore the file from a backup, or move it away: a new one is made"),
                _ => Error::failed(format!("the metadata store refused a statement (SQLite code {code})")),
            }
        }
        sqlx::Error::Io(fault) => {
            Error::failed(format!("the metadata store cannot be read: {}", fault.kind()))
        }
        _ => Error::failed("the metadata store does not answer as expected"),
    }
}

fn busy() -> Error {
    Error::temporary("the metadata store is busy").help("try again later")
}
