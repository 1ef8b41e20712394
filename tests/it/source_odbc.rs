//! Databases through ODBC drivers: PostgreSQL, MariaDB and SQLite, each by its own real driver.

mod conforming;
mod faults;
mod mariadb;
mod published;
mod reading;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use sealift::error::{Error, Result};
use sealift::secret::Reference;
use sealift::source::odbc::Odbc;
use sealift::source::{Column, Gate, Relation, Snapshot, Source};
use sealift::spec::StreamName;
use sealift::spec::config::{self, Limits};
use sealift::spec::pipeline::{Selector, TablePattern};

use crate::conformance::{Rows, texts};
use crate::servers::postgres;

/// The file of a driver that Debian's packages install.
fn driver(file: &str) -> PathBuf {
    let folders =
        ["/usr/lib/x86_64-linux-gnu/odbc", "/usr/lib/aarch64-linux-gnu/odbc", "/usr/lib/odbc", "/usr/lib64"];
    folders
        .iter()
        .map(|folder| PathBuf::from(folder).join(file))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("the ODBC driver {file} is not installed: run the tests through tests/run"))
}

fn settings(connection_string: String) -> config::Odbc {
    config::Odbc {
        connection_string,
        user: None,
        password: None,
        statement_timeout: None,
        limits: Limits::default(),
    }
}

fn of_postgres(database: &postgres::Database) -> config::Odbc {
    let own = database.settings();
    let string = format!(
        "Driver={};Server={};Port={};Database={}",
        driver("psqlodbcw.so").display(),
        own.host,
        own.port,
        own.database
    );
    config::Odbc { user: Some(own.user), password: own.password, ..settings(string) }
}

fn of_mariadb(database: &mariadb::Database) -> config::Odbc {
    let string = format!(
        "Driver={};Server=127.0.0.1;Port={};Database={};Charset=utf8mb4",
        driver("libmaodbc.so").display(),
        database.port(),
        database.name
    );
    let password = secret("mariadb", "se;cr}et{=1");
    config::Odbc { user: Some("reader".to_owned()), password: Some(password), ..settings(string) }
}

fn of_sqlite(path: &std::path::Path) -> config::Odbc {
    settings(format!("Driver={};Database={}", driver("libsqlite3odbc.so").display(), path.display()))
}

/// A secret in a file that lives as long as the tests.
fn secret(name: &str, value: &str) -> Reference {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}.secret", std::process::id()));
    std::fs::write(&path, value).unwrap();
    Reference::File(path)
}

fn source(settings: &config::Odbc) -> Odbc {
    Odbc::new(settings, Arc::new(Gate::new(settings.limits))).unwrap()
}

async fn snapshot(settings: &config::Odbc) -> Box<dyn Snapshot> {
    source(settings).snapshot().await.unwrap()
}

async fn no_snapshot(settings: &config::Odbc) -> Error {
    match source(settings).snapshot().await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

fn table(schema: &str, table: &str) -> Selector {
    Selector::Table(TablePattern { schema: schema.into(), table: table.into() })
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

/// The values of a column, in no order.
fn values(batches: &[RecordBatch], index: usize) -> Vec<Option<String>> {
    rows(batches).into_iter().map(|row| row[index].clone()).collect()
}
