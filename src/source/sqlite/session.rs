//! One connection to a file: opened for reading only, in one transaction, stopped when asked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use super::error::{File, Subject};
use crate::error::{Error, Result};

/// How long a lock of another process is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Rows that SQLite may be ahead of the decoder.
const ROWS_AHEAD: usize = 512;
/// Steps of SQLite's machine between two looks at whether to stop.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// An open file in a read transaction.
pub(super) struct Session {
    pub(super) connection: SqliteConnection,
    pub(super) file: File,
    pub(super) journal: Journal,
    pub(super) stop: Stop,
}

/// Stops what a session is doing.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

/// How the file is written, and so what a reader does to writers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Journal {
    /// Writers append to a log and go on.
    Wal,
    /// Writers wait for the reader, so the file stays as it was when it was last written (since 1970).
    Rollback { modified: Option<Duration> },
}

impl Stop {
    pub(super) fn set(&self, stop: bool) {
        self.0.store(stop, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Session {
    /// Opens the file and fixes the instant.
    ///
    /// # Errors
    /// `Invalid` when there is no such file or it is no database, `Temporary` when it stays locked.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let file = File(path.to_owned());
        check(&file)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .immutable(false)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(ROWS_AHEAD)
            // Sorting of a query spills here; rows never touch a shared temporary folder.
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        let fault = |e: sqlx::Error| file.failed(&e, &Subject::File);
        let mut connection = options.connect().await.map_err(fault)?;
        let stop = Stop::default();
        let stopped = stop.clone();
        let mut handle = connection.lock_handle().await.map_err(fault)?;
        handle.set_progress_handler(STEPS_BETWEEN_LOOKS, move || !stopped.is_set());
        drop(handle);
        let mut session = Self { connection, file, journal: Journal::Wal, stop };
        session.begin().await?;
        Ok(session)
    }

    /// A deferred transaction begins with the first read of the file.
    async fn begin(&mut self) -> Result<()> {
        self.rows("BEGIN", &Subject::File).await?;
        self.rows("SELECT count(*) FROM main.sqlite_schema", &Subject::File).await?;
        if self.text("PRAGMA main.journal_mode").await? != "wal" {
            self.journal = Journal::Rollback { modified: modified(&self.file) };
        }
        Ok(())
    }

    async fn text(&mut self, sql: &str) -> Result<String> {
        let rows = self.rows(sql, &Subject::File).await?;
        rows.first().map(|row| cell(row, 0)).transpose().map(Option::unwrap_or_default)
    }

    /// Whether the file holds its texts as UTF-8.
    pub(super) async fn is_utf8(&mut self) -> Result<bool> {
        Ok(self.text("PRAGMA main.encoding").await? == "UTF-8")
    }

    /// All rows of a statement that gives few.
    pub(super) async fn rows(&mut self, sql: &str, subject: &Subject) -> Result<Vec<SqliteRow>> {
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .persistent(false)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|e| self.file.failed(&e, subject))
    }
}

/// A cell of a row of our own catalog queries.
pub(super) fn cell<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|_| Error::failed("the SQLite catalog is not as expected"))
}

/// What can be said of a path before SQLite is asked, more clearly than it would.
fn check(file: &File) -> Result<()> {
    let metadata = std::fs::metadata(file.path()).map_err(|e| {
        Error::invalid(format!("cannot open {}: {}", file.shown(), e.kind()))
            .help("check `path` of the connection; it resolves against the configuration's folder")
    })?;
    if metadata.is_dir() {
        return Err(Error::invalid(format!("{} is a folder", file.path().display())));
    }
    Ok(())
}

/// When the file was last written; the read transaction holds it still. The file is asked about and
/// never opened here: closing it would drop every lock that SQLite holds on it in this process.
fn modified(file: &File) -> Option<Duration> {
    let modified = std::fs::metadata(file.path()).and_then(|metadata| metadata.modified()).ok()?;
    modified.duration_since(std::time::UNIX_EPOCH).ok()
}
