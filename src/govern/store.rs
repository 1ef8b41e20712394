//! The metadata store as this module sees it: connections that `run`'s ledger opens and lends.
//!
//! It is SQLite or PostgreSQL, and each statement is written for both: placeholders `$1, $2, …`, sums cast to `BIGINT`,
//! `ON CONFLICT` with the table named.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::sqlite::SqliteError;
use sqlx::{Any, AnyConnection, AnyPool, Row as _, Transaction};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::error::{Error, Result};

/// Who lends the connections of the metadata store.
pub trait Store: Send + Sync {
    /// The connections; the tables `tokens` and `audit` are there.
    fn pool(&self) -> &AnyPool;

    /// Where transactions of those are done whose own threads may have to wait for others ([`done_at`]).
    fn home(&self) -> Option<&Handle> {
        None
    }
}

impl Store for AnyPool {
    fn pool(&self) -> &AnyPool {
        self
    }
}

/// Does `work` on the threads of `home`, where there are such, and drops it there when this is dropped. A transaction of a
/// daemon's run would else keep everybody from writing for as long as the run's threads give way to others.
///
/// # Errors
/// Those of `work`; `Temporary` when the process ends meanwhile.
#[expect(clippy::disallowed_methods, reason = "awaited here, and dropped where this is dropped")]
pub(crate) async fn done_at<T: Send + 'static>(
    home: Option<&Handle>,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let Some(home) = home else { return work.await };
    let done = AbortOnDropHandle::new(home.spawn(work.in_current_span())).await;
    done.unwrap_or_else(|_| Err(Error::temporary("the process ends").help("try again later")))
}

/// Whether the store is PostgreSQL, which several machines can share.
pub(crate) fn is_postgres(pool: &AnyPool) -> bool {
    pool.connect_options().database_url.scheme().starts_with("postgres")
}

/// Of the transactions of this process on SQLite one writes at a time: those that wait for each other inside SQLite sleep
/// for longer than the writing takes.
static WRITING: Mutex<()> = Mutex::const_new(());

/// A transaction of [`begin_alone`]. Dropped before it is committed, nothing of it stays.
#[derive(Debug)]
pub struct Alone {
    // Let go before the next one may begin: fields are dropped in this order.
    transaction: Transaction<'static, Any>,
    _writing: Option<MutexGuard<'static, ()>>,
}

impl Alone {
    /// Makes what was written stay.
    ///
    /// # Errors
    /// That of the store.
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        self.transaction.commit().await
    }

    /// Leaves out what was written.
    ///
    /// # Errors
    /// That of the store.
    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        self.transaction.rollback().await
    }
}

impl Deref for Alone {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

/// Begins a transaction that no other one of this name runs beside, in any process: what it reads stays so until it
/// ends. On SQLite it is alone among all that write. None is begun within another.
///
/// # Errors
/// As [`fault`] tells them: `Temporary` where the others take too long.
pub(crate) async fn begin_alone(pool: &AnyPool, name: &str) -> Result<Alone> {
    if !is_postgres(pool) {
        let writing = Some(WRITING.lock().await);
        // A transaction that reads first and writes then would find the store busy at once.
        let transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| fault(&e))?;
        return Ok(Alone { transaction, _writing: writing });
    }
    let mut transaction = pool.begin().await.map_err(|e| fault(&e))?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(name)
        .execute(&mut *transaction)
        .await
        .map_err(|e| fault(&e))?;
    Ok(Alone { transaction, _writing: None })
}

/// Begins a transaction that writes. On SQLite it is alone among all that write, as with [`begin_alone`].
///
/// # Errors
/// As [`begin_alone`].
pub(crate) async fn begin_writing(pool: &AnyPool) -> Result<Alone> {
    if is_postgres(pool) {
        let transaction = pool.begin().await.map_err(|e| fault(&e))?;
        return Ok(Alone { transaction, _writing: None });
    }
    begin_alone(pool, "").await
}

/// Carries out one statement that writes, beside no other of this process on SQLite; how many rows it changed.
///
/// # Errors
/// As [`fault`] tells them.
pub(crate) async fn write(pool: &AnyPool, statement: Query<'_, Any, AnyArguments>) -> Result<u64> {
    let _writing = if is_postgres(pool) { None } else { Some(WRITING.lock().await) };
    let done = statement.execute(pool).await.map_err(|e| fault(&e))?;
    Ok(done.rows_affected())
}

/// Most rows of one statement that writes or names several: far from what either store binds.
pub(crate) const ROWS_AT_ONCE: usize = 100;

/// The placeholders of so many rows of so many columns: `($1, $2), ($3, $4)`.
pub(crate) fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// A column of a row.
pub(crate) fn get<'r, T>(row: &'r AnyRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    row.try_get(column).map_err(|e| fault(&e))
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
            match fault.try_downcast_ref::<SqliteError>() {
                Some(_) => sqlite(&code),
                None => postgres(&code),
            }
        }
        // SQLite's own are of the kind above: this is the network.
        sqlx::Error::Io(fault) => {
            Error::temporary(format!("the metadata store cannot be reached: {}", fault.kind()))
                .help("is its server up, and can it be reached from here?")
        }
        sqlx::Error::Tls(_) => Error::failed("the metadata store does not speak TLS as it is asked to")
            .help("check `sslmode` and `sslrootcert` of its address, and the server's certificate"),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Error::temporary("the connections to the metadata store are closed")
        }
        _ => Error::failed("the metadata store does not answer as expected"),
    }
}

fn sqlite(code: &str) -> Error {
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

/// By the classes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn postgres(code: &str) -> Error {
    match code {
        "28000" | "28P01" => Error::denied("the metadata store refuses the role or its password")
            .help("check the address that `metadata: postgres` refers to"),
        "3D000" => Error::invalid("the database of the metadata store does not exist")
            .help("create it: `CREATE DATABASE sealift`"),
        "42501" => Error::denied("the role of the metadata store may not do what is needed")
            .help("let it own its database: `ALTER DATABASE … OWNER TO …`"),
        "25006" => Error::failed("the metadata store is read-only").help("is its address that of a replica?"),
        "53100" => Error::failed("the disk of the metadata store is full").help("free some space"),
        // Too many connections, locks, serialisation, timeouts, and a server that stops or starts.
        _ if ["08", "40", "53", "55", "57"].iter().any(|class| code.starts_with(class)) => {
            Error::temporary(format!("the metadata store is busy (SQLSTATE {code})")).help("try again later")
        }
        _ => Error::failed(format!("the metadata store refused a statement (SQLSTATE {code})")),
    }
}

/// Waits for an answer of the store for so long.
///
/// # Errors
/// Its own; `Temporary` where it took too long.
pub(crate) async fn in_time<T>(limit: Duration, answer: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, answer).await.unwrap_or_else(|_| {
        Err(Error::temporary("the metadata store took too long")
            .help("is its server up, and can it be reached from here?"))
    })
}

fn busy() -> Error {
    Error::temporary("the metadata store is busy").help("try again later")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_fault_that_passes_is_told_from_one_that_stays() {
        for code in ["08006", "40001", "53300", "55P03", "57P01", "57P03"] {
            assert_eq!(postgres(code).kind(), Kind::Temporary, "{code}");
        }
        for (code, kind) in [("23505", Kind::Failed), ("28P01", Kind::Denied), ("3D000", Kind::Invalid)] {
            assert_eq!(postgres(code).kind(), kind, "{code}");
        }
        assert_eq!(sqlite("5").kind(), Kind::Temporary);
        assert_eq!(sqlite("261").kind(), Kind::Temporary);
        assert_eq!(sqlite("2067").kind(), Kind::Failed);
    }
}
