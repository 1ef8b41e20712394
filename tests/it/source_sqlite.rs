//! SQLite as a source, against real files.

mod faults;
mod reading;
mod values;

use std::path::Path;

use arrow::record_batch::RecordBatch;
use sealift::error::Error;
use sealift::source::sqlite::Sqlite;
use sealift::source::{Snapshot, Source};
use sealift::spec::config::{self, Limits};
use sealift::spec::pipeline::Selector;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

use crate::conformance::{Rows, texts};
use crate::relations::{self, columns, query, read, read_as, refusal, relation};

/// A new file with what these statements make.
pub(crate) async fn make(path: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    run(&mut connection, sql).await;
    sqlx::Connection::close(connection).await.unwrap();
}

/// A folder with a new file.
async fn file(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    make(&path(&folder), sql).await;
    folder
}

fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("shop.db")
}

async fn writer(folder: &TempDir) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path(folder)).create_if_missing(true).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Runs statements in another process, which does not share our locks.
fn run_elsewhere(path: &Path, sql: &str) -> bool {
    let code = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=0.2)\n\
        c.executescript(sys.argv[2])\nc.commit()";
    std::process::Command::new("python3")
        .args(["-c", code])
        .arg(path)
        .arg(sql)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn source(path: &Path) -> Sqlite {
    let settings = config::Sqlite { path: path.to_owned(), limits: Limits::default() };
    Sqlite::new(&settings, Default::default())
}

async fn snapshot(folder: &TempDir) -> Box<dyn Snapshot> {
    source(&path(folder)).snapshot().await.unwrap()
}

async fn no_snapshot(path: &Path) -> Error {
    refusal(&source(path)).await
}

fn table(table: &str) -> Selector {
    relations::table("main", table)
}

fn rows(batches: &[RecordBatch]) -> Rows {
    batches.iter().flat_map(texts).collect()
}

/// The first column's values.
fn first(batches: &[RecordBatch]) -> Vec<Option<String>> {
    rows(batches).into_iter().map(|row| row[0].clone()).collect()
}
