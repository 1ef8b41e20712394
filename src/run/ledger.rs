//! The ledger: every run, where it stands and what it published. SQLite, shared by all processes
//! of one machine.
//!
//! It is a record, not the truth about the data: that travels in each dataset's own commits, so a
//! lost ledger loses history and nothing else.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{Row, migrate::Migrator};

pub use self::ended::EndedRun;
pub use self::keyed::RequestKey;
pub use self::listing::Wanted;
pub use self::parts::WrittenPart;
pub use self::schedules::{Handled, Turn};
pub use self::tables::Remembered;
pub use super::record::{Run, RunId, State, StreamOutcome, StreamState, Trigger};
use crate::error::{At as _, Error, Kind, Result};
use crate::govern::audit;
use crate::govern::store::{Store, fault, now_ms};
use crate::spec::config::Metadata;
use crate::spec::{DatasetName, PipelineName};

/// How long a statement waits for another process to finish writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of one process.
const CONNECTIONS: u32 = 4;
/// Most runs one listing gives.
pub const MAX_LISTED: u32 = 1000;

mod ended;
mod keyed;
mod listing;
pub mod outbox;
mod parts;
mod schedules;
mod stores;

static MIGRATIONS: Migrator = sqlx::migrate!("src/run/ledger");

/// The record of all runs.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: SqlitePool,
    locks: PathBuf,
}

/// The right to run one pipeline, held by at most one holder among all processes of the machine.
/// Let go when dropped, and by the operating system when the process ends in any way.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

impl Ledger {
    /// Opens the store, creating it (readable by its owner only) and bringing its tables up to date.
    ///
    /// # Errors
    /// `Invalid` when the folder or file cannot be created, `Temporary` when another process holds
    /// the store, `Failed` when it is damaged or newer than this program.
    pub async fn open(settings: &Metadata) -> Result<Self> {
        let Metadata::Sqlite(path) = settings;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let locks = folder.join("locks");
        create_folder(&locks)?;
        create_file(path)?;
        // Two processes that open a new store at once must not both create its tables.
        let _opening = open_alone(locks.join("_open.lock")).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options)
            .await
            .map_err(|e| fault(&e).at(format!("metadata store {}", path.display())))?;
        MIGRATIONS
            .run(&pool)
            .await
            .map_err(|e| migration_error(&e).at(format!("metadata store {}", path.display())))?;
        let ledger = Self { pool, locks };
        audit::prepare(&ledger).await.at(|| format!("metadata store {}", path.display()))?;
        Ok(ledger)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// `Temporary` or `Failed` when it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(|e| fault(&e))?;
        Ok(())
    }

    /// Records that a run was asked for.
    ///
    /// # Errors
    /// `Temporary` when another process keeps the store busy, `Failed` when it cannot be written.
    pub async fn queue(&self, pipeline: &PipelineName, spec_digest: &str, trigger: Trigger) -> Result<RunId> {
        insert_queued(&self.pool, pipeline, spec_digest, trigger).await
    }

    /// Records what became of a stream; told again of the same stream, the later word stands.
    ///
    /// # Errors
    /// `Failed` for an unknown run; else as [`Ledger::queue`].
    pub async fn stream_published(&self, run_id: &RunId, outcome: &StreamOutcome) -> Result<()> {
        sqlx::query(
            "INSERT OR REPLACE INTO run_streams (run_id, stream, dataset, version, rows, quarantined, bytes,
                                                 seconds, receipt, state)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(run_id.to_string())
        .bind(&outcome.stream)
        .bind(&outcome.dataset)
        .bind(outcome.version.map(to_i64))
        .bind(to_i64(outcome.rows))
        .bind(to_i64(outcome.quarantined))
        .bind(to_i64(outcome.bytes))
        .bind(outcome.seconds)
        .bind(&outcome.receipt)
        .bind(outcome.state.word())
        .execute(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        Ok(())
    }

    /// Records the end of a run that was queued or running. `error` is the text of one of our own
    /// errors, which hold no row value.
    ///
    /// # Errors
    /// `Failed` when the run is over already; else as [`Ledger::queue`].
    pub async fn finish(
        &self,
        run_id: &RunId,
        state: State,
        outcome: &str,
        error: Option<&str>,
    ) -> Result<()> {
        let done = sqlx::query(
            "UPDATE runs SET state = ?, outcome = ?, error = ?, finished_ms = ?
             WHERE run_id = ? AND state IN ('queued', 'running')",
        )
        .bind(state.word())
        .bind(outcome)
        .bind(error)
        .bind(now_ms())
        .bind(run_id.to_string())
        .execute(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        expect_one(done.rows_affected(), run_id, "active")
    }

    /// Records the end of a run from its result: `done`, or the outcome the error table gives.
    ///
    /// # Errors
    /// As [`Ledger::finish`].
    pub async fn conclude(&self, run_id: &RunId, result: &Result<()>) -> Result<()> {
        match result {
            Ok(()) => self.finish(run_id, State::Succeeded, "done", None).await,
            Err(error) => {
                let kind = error.kind();
                let text = error.to_string();
                self.finish(run_id, State::after(kind), kind.meaning().outcome, Some(&text)).await
            }
        }
    }

    /// Takes the right to run a pipeline; `None` when someone else has it, in this process or
    /// another.
    ///
    /// # Errors
    /// `Failed` when the lock file cannot be made.
    pub fn lease(&self, pipeline: &PipelineName) -> Result<Option<Lease>> {
        self.lock(pipeline.as_str())
    }

    /// Takes the right to do the upkeep of a dataset, likewise.
    ///
    /// # Errors
    /// As [`Ledger::lease`].
    pub fn lease_upkeep(&self, dataset: &DatasetName) -> Result<Option<Lease>> {
        // A pipeline's name has no dot, so the two never meet.
        self.lock(&dataset.to_string())
    }

    fn lock(&self, name: &str) -> Result<Option<Lease>> {
        let path = self.locks.join(format!("{name}.lock"));
        let file = open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lease { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(lock_error(&path, &e)),
        }
    }

    /// Marks as failed what an earlier process left unfinished of the pipeline, given that the caller holds its lease:
    /// every running run, and those of the command line that did not begin. What a daemon queued waits for a daemon.
    /// Answers with their ids.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn bury(&self, pipeline: &PipelineName, _lease: &Lease) -> Result<Vec<RunId>> {
        let mut buried = Vec::new();
        for run in self.in_processes(Some(pipeline)).await? {
            let text = "interrupted: the process that ran it ended before it did";
            let outcome = Kind::Temporary.meaning().outcome;
            self.finish(&run.run_id, State::Failed, outcome, Some(text)).await?;
            buried.push(run.run_id);
        }
        Ok(buried)
    }

    /// Corrects the record of a run that ended without a word although it had published all its
    /// streams: it succeeded.
    ///
    /// # Errors
    /// `Failed` when the run is not recorded as ended without success; else as [`Ledger::queue`].
    pub async fn settle(&self, run_id: &RunId) -> Result<()> {
        let done = sqlx::query(
            "UPDATE runs SET state = 'succeeded', outcome = 'done', error = NULL
             WHERE run_id = ? AND state IN ('failed', 'cancelled')",
        )
        .bind(run_id.to_string())
        .execute(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        expect_one(done.rows_affected(), run_id, "over without success")
    }
}

impl Store for Ledger {
    fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}

async fn insert_queued(
    executor: impl sqlx::SqliteExecutor<'_>,
    pipeline: &PipelineName,
    spec_digest: &str,
    trigger: Trigger,
) -> Result<RunId> {
    let run_id = RunId::draw();
    sqlx::query(
        r#"INSERT INTO runs (run_id, pipeline, spec_digest, "trigger", state, created_ms)
           VALUES (?, ?, ?, ?, 'queued', ?)"#,
    )
    .bind(run_id.to_string())
    .bind(pipeline.as_str())
    .bind(spec_digest)
    .bind(trigger.word())
    .bind(now_ms())
    .execute(executor)
    .await
    .map_err(|e| fault(&e))?;
    Ok(run_id)
}

fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(|e| fault(&e))
}

fn expect_one(rows: u64, run_id: &RunId, state: &str) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::failed(format!("run {run_id} is not {state}"))) }
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Waits for its turn to open the store.
async fn open_alone(path: PathBuf) -> Result<File> {
    let waited = tokio::task::spawn_blocking(move || {
        let file = open_lock(&path)?;
        file.lock().map_err(|e| lock_error(&path, &e))?;
        Ok(file)
    });
    waited.await.unwrap_or_else(|_| Err(Error::failed("the metadata store could not be opened")))
}

fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(|e| {
        Error::failed(format!("cannot open the lock {}: {}", path.display(), e.kind()))
            .help("the folder of the metadata store must be writable for this user")
    })
}

fn lock_error(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot lock {}: {}", path.display(), error.kind()))
        .help("the metadata store must lie on a local disk that supports file locks")
}

fn create_folder(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| {
        Error::invalid(format!("cannot create the folder {}: {}", folder.display(), e.kind()))
            .help("let `metadata` name a place this user can write to")
    })
}

/// SQLite would create the file with the process umask; its WAL takes the mode of the file.
fn create_file(path: &Path) -> Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop).map_err(
        |e| {
            Error::invalid(format!("cannot open the metadata store {}: {}", path.display(), e.kind()))
                .help("let `metadata` name a file this user can write to")
        },
    )
}

fn migration_error(error: &sqlx::migrate::MigrateError) -> Error {
    use sqlx::migrate::MigrateError;
    match error {
        MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => fault(inner),
        MigrateError::VersionMissing(_)
        | MigrateError::VersionMismatch(_)
        | MigrateError::VersionTooNew(..) => {
            Error::failed("the metadata store was made by another release of sealift")
                .help("use the release that made it, or a newer one")
        }
        _ => Error::failed("the metadata store cannot be brought up to date"),
    }
}

mod tables;
mod turns;

#[cfg(test)]
mod tests;
