//! The store behind the ledger: opened, and its tables brought up to date.

use std::borrow::Cow;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};

use super::lease::{lock_error, open_lock};
use crate::error::{Error, Result};
use crate::govern::store::fault;

/// How long a statement waits for another process to finish writing.
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// At how many pages of the write-ahead log a commit carries them over into the file by itself, where nobody does
/// ([`write_back`]): 16 MiB.
const LOG_PAGES: u32 = 4096;
/// Connections of one process.
const CONNECTIONS: u32 = 4;
/// Connections of one process to a server: of the threads that the store was opened on, and of all others.
const SERVER_CONNECTIONS: u32 = 8;
const OTHER_CONNECTIONS: u32 = 4;
/// How long a server may take to give a connection.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);

static SQLITE: Migrator = sqlx::migrate!("src/run/ledger/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("src/run/ledger/postgres");
static BOTH: Migrator = sqlx::migrate!("src/run/ledger/both");

/// The dialect's migrations, then the common ones: the same integers in the dialect's word. (SQLite's strict tables know
/// no BIGINT, and PostgreSQL's INTEGER has four bytes.)
fn migrations(own: &Migrator, integer: [&str; 2]) -> Migrator {
    let [theirs, ours] = integer;
    let common = BOTH.iter().map(|one| {
        let sql = AssertSqlSafe(one.sql.as_str().replace(theirs, ours)).into_sql_str();
        Migration::new(one.version, one.description.clone(), one.migration_type, sql, one.no_tx)
    });
    let all = own.iter().cloned().chain(common).collect();
    Migrator { migrations: Cow::Owned(all), ..Migrator::DEFAULT }
}

/// Opens an SQLite file, creating it, readable by its owner only. `locks` is the folder beside it for locks.
pub(super) async fn sqlite(path: &Path, locks: &Path) -> Result<AnyPool> {
    create_folder(locks)?;
    create_file(path)?;
    // Two processes that open a new store at once must not both create its tables.
    let _opening = open_alone(locks.join("_open.lock")).await?;
    sqlx::any::install_default_drivers();
    let at = || format!("metadata store {}", path.display());
    let address = address_of(path)?;
    // What is wrong with the file is told here: a pool would try again until it gives up.
    let first = async {
        let mut first = AnyConnection::connect_with(&address).await?;
        prepare(&mut first).await?;
        first.close().await
    };
    first.await.map_err(|e| fault(&e).at(at()))?;
    let pool = AnyPoolOptions::new()
        // All are made here, to stay: each has a thread, which takes its priority from the thread that makes it, and
        // one made by a run of a daemon would let requests wait.
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .idle_timeout(None)
        .max_lifetime(None)
        // Nothing lies between a connection and its file that could be lost while it rests.
        .test_before_acquire(false)
        // A full disk ends a transaction without a word to the driver, which would begin none any more.
        .before_acquire(|connection, _| Box::pin(std::future::ready(Ok(!connection.is_in_transaction()))))
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .connect_with(address)
        .await
        .map_err(|e| fault(&e).at(at()))?;
    migrate(&pool, &migrations(&SQLITE, ["BIGINT", "INTEGER"])).await.map_err(|error| error.at(at()))?;
    Ok(pool)
}

/// Makes a connection to a file wait for others, and keep what the tables refer to.
async fn prepare(connection: &mut AnyConnection) -> sqlx::Result<()> {
    let settings = format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = {LOG_PAGES}"
    );
    connection.execute(AssertSqlSafe(settings)).await.map(drop)
}

/// Carries what was committed over from SQLite's write-ahead log into its file, beside who reads and writes: else the
/// commit that finds the log long does, and waits for the disk meanwhile.
pub(super) async fn write_back(pool: &AnyPool) -> sqlx::Result<()> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_all(pool).await.map(drop)
}

/// Connects to a database of PostgreSQL: those of the current threads, and those of others, of which none is there
/// before it is asked for. `name` is how its server shows this process.
pub(super) async fn postgres(address: AnyConnectOptions, name: &str) -> Result<(AnyPool, AnyPool)> {
    sqlx::any::install_default_drivers();
    let at = "metadata store in PostgreSQL";
    let others = to_server(OTHER_CONNECTIONS, name).connect_lazy_with(address.clone());
    let own = to_server(SERVER_CONNECTIONS, name).connect_with(address).await;
    let own = own.map_err(|e| fault(&e).at(at))?;
    let migrated = migrate(&own, &migrations(&POSTGRES, ["INTEGER", "BIGINT"])).await;
    migrated.map_err(|error| error.at(at))?;
    Ok((own, others))
}

fn to_server(most: u32, name: &str) -> AnyPoolOptions {
    let name = format!("sealift {name}");
    AnyPoolOptions::new().max_connections(most).acquire_timeout(SERVER_PATIENCE).after_connect(
        move |connection, _| {
            let name = name.clone();
            Box::pin(async move {
                // What hangs must not hang for ever, least of all what renews leases.
                connection
                    .execute(
                        "SET statement_timeout = '30s'; SET lock_timeout = '20s';
                         SET idle_in_transaction_session_timeout = '60s'",
                    )
                    .await?;
                let named = sqlx::query("SELECT set_config('application_name', $1, false)").bind(name);
                named.execute(connection).await.map(drop)
            })
        },
    )
}

async fn migrate(pool: &AnyPool, migrations: &Migrator) -> Result<()> {
    migrations.run(pool).await.map_err(|error| match error {
        MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => fault(&inner),
        MigrateError::VersionMissing(_)
        | MigrateError::VersionMismatch(_)
        | MigrateError::VersionTooNew(..) => {
            Error::failed("the metadata store was made by another release of sealift")
                .help("use the release that made it, or a newer one")
        }
        _ => Error::failed("the metadata store cannot be brought up to date"),
    })
}

/// The file as an address: every byte that could mean something in one is written by its number.
fn address_of(path: &Path) -> Result<AnyConnectOptions> {
    // Without links and dots, which reading an address would resolve otherwise than the system does.
    let whole = path.canonicalize().map_err(|e| unusable(path, &e))?;
    let text = whole.to_str().ok_or_else(|| {
        Error::invalid("the path of the metadata store is not UTF-8 text").help("name another file")
    })?;
    let mut address = "sqlite://".to_owned();
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                address.push(char::from(byte));
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address.push_str("?mode=rw");
    address.parse().map_err(|e: sqlx::Error| fault(&e))
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

fn create_folder(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| {
        Error::invalid(format!("cannot create the folder {}: {}", folder.display(), e.kind()))
            .help("let `metadata` name a place this user can write to")
    })
}

/// SQLite would create the file with the process umask; its WAL takes the mode of the file.
fn create_file(path: &Path) -> Result<()> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    opened.map(drop).map_err(|e| unusable(path, &e))
}

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("cannot open the metadata store {}: {}", path.display(), error.kind()))
        .help("let `metadata` name a file this user can write to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::govern::store::begin_writing;

    #[tokio::test]
    async fn a_path_may_hold_what_means_something_in_an_address() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a b%41?#ü");
        std::fs::create_dir(&odd).unwrap();
        let path = odd.join("s;e=a&l.db");
        let pool = sqlite(&path, &odd.join("locks")).await.unwrap();
        sqlx::query("SELECT run_id FROM runs").fetch_all(&pool).await.unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 0);
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
        assert_eq!(mode, "wal");
        let enforced: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&pool).await.unwrap();
        assert_eq!(enforced, 1);
    }

    #[tokio::test]
    async fn a_disk_that_was_full_for_a_while_leaves_no_connection_behind_that_begins_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let pool = sqlite(&folder.path().join("sealift.db"), &folder.path().join("locks")).await.unwrap();
        let mut full = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = pool.acquire().await.unwrap();
            let pages: i64 =
                sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *connection).await.unwrap();
            let most = AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            connection.execute(most).await.unwrap();
            full.push(connection);
        }
        drop(full);
        let note =
            "INSERT INTO pauses (pipeline, actor, paused_ms) VALUES (hex(randomblob(9000)), 'os:0', 1)";
        let mut refused = 0;
        for _ in 0..2 * CONNECTIONS {
            let mut alone = begin_writing(&pool).await.unwrap();
            refused += u32::from(alone.execute(note).await.is_err());
            drop(alone);
        }
        // Each of them once: those that took their places know of no bound.
        assert_eq!(refused, CONNECTIONS);
    }

    #[test]
    fn the_migrations_of_both_stores_come_in_one_order_without_gaps_of_meaning() {
        for (own, integer) in [(&SQLITE, ["BIGINT", "INTEGER"]), (&POSTGRES, ["INTEGER", "BIGINT"])] {
            let all = migrations(own, integer);
            let versions: Vec<i64> = all.iter().map(|one| one.version).collect();
            assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
            assert!(all.iter().all(|one| one.version <= 15 || !one.sql.as_str().contains(integer[0])));
        }
    }
}
