//! SQLite as a source, against real files.

mod faults;
mod reading;
mod values;

use std::path::Path;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use sealift::error::{Error, Result};
use sealift::source::sqlite::Sqlite;
use sealift::source::{Column, Relation, Snapshot, Source};
use sealift::spec::StreamName;
use sealift::spec::config::{self, Limits};
use sealift::spec::pipeline::{Selector, TablePattern};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

use crate::conformance::{Rows, texts};

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
    match source(path).snapshot().await {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

fn table(table: &str) -> Selector {
    Selector::Table(TablePattern { schema: "main".into(), table: table.into() })
}

fn query(sql: &str) -> Selector {
    Selector::Query { name: StreamName::parse("q").unwrap(), sql: sql.into() }
}

async fn relation(snapshot: &mut dyn Snapshot, selector: &Selector) -> Relation {
    let mut found = snapshot.find(selector).await.unwrap();
    assert_eq!(found.len(), 1, "{selector:?}");
    found.remove(0)
}

async fn columns(snapshot: &mut dyn Snapshot, selector: &Selector) -> Vec<Column> {
    let relation = relation(snapshot, selector).await;
    snapshot.describe(&relation).await.unwrap().columns
}

/// Reads all columns of what a selector stands for, each changed first.
async fn read_as(
    snapshot: &mut dyn Snapshot,
    selector: &Selector,
    change: fn(&mut Column),
) -> Result<Vec<RecordBatch>> {
    let relation = relation(snapshot, selector).await;
    let mut columns = snapshot.describe(&relation).await?.columns;
    columns.iter_mut().for_each(change);
    snapshot.read(&relation, &columns).await?.try_collect().await
}

async fn read(snapshot: &mut dyn Snapshot, selector: &Selector) -> Result<Vec<RecordBatch>> {
    read_as(snapshot, selector, |_| {}).await
}

fn rows(batches: &[RecordBatch]) -> Rows {
    batches.iter().flat_map(texts).collect()
}

/// The first column's values.
fn first(batches: &[RecordBatch]) -> Vec<Option<String>> {
    rows(batches).into_iter().map(|row| row[0].clone()).collect()
}
