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
use sealift::error::Error;
use sealift::secret::Reference;
use sealift::source::odbc::Odbc;
use sealift::source::{Gate, Snapshot, Source};
use sealift::spec::config::{self, Limits};

use crate::conformance::{Rows, texts};
use crate::relations::{columns, query, read, read_as, refusal, relation, table};
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
    // Tests beside this one read it while it is written anew.
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(file.path(), value).unwrap();
    file.persist(&path).unwrap();
    Reference::File(path)
}

fn source(settings: &config::Odbc) -> Odbc {
    Odbc::new(settings, Arc::new(Gate::new(settings.limits))).unwrap()
}

async fn snapshot(settings: &config::Odbc) -> Box<dyn Snapshot> {
    source(settings).snapshot().await.unwrap()
}

async fn no_snapshot(settings: &config::Odbc) -> Error {
    refusal(&source(settings)).await
}

fn rows(batches: &[RecordBatch]) -> Rows {
    batches.iter().flat_map(texts).collect()
}

/// The values of a column, in no order.
fn values(batches: &[RecordBatch], index: usize) -> Vec<Option<String>> {
    rows(batches).into_iter().map(|row| row[index].clone()).collect()
}
