//! MySQL and MariaDB as a source, against a real MariaDB.

mod catalog;
mod faults;
mod instant;
mod published;
mod reading;
mod values;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use sealift::error::{Error, Result};
use sealift::source::mysql::Mysql;
use sealift::source::{Carried, Column, Gate, Relation, Snapshot, Source};
use sealift::spec::StreamName;
use sealift::spec::config;
use sealift::spec::pipeline::{Selector, TablePattern};

use crate::conformance::{Rows, texts};

fn source(settings: &config::Mysql) -> Mysql {
    Mysql::new(settings, Arc::new(Gate::new(settings.limits))).unwrap()
}

/// A snapshot that is expected to come about.
async fn snapshot(settings: &config::Mysql) -> Box<dyn Snapshot> {
    source(settings).snapshot().await.unwrap()
}

/// Why there is no snapshot.
async fn no_snapshot(settings: &config::Mysql) -> Error {
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

/// Reads all columns of what a selector stands for.
async fn read(snapshot: &mut dyn Snapshot, selector: &Selector) -> Result<Vec<RecordBatch>> {
    let relation = relation(snapshot, selector).await;
    let columns = snapshot.describe(&relation).await?.columns;
    snapshot.read(&relation, &columns).await?.try_collect().await
}

/// The same, every column asked for as text.
async fn read_as_text(snapshot: &mut dyn Snapshot, selector: &Selector) -> Result<Vec<RecordBatch>> {
    let relation = relation(snapshot, selector).await;
    let columns = snapshot.describe(&relation).await?.columns;
    let columns: Vec<Column> =
        columns.into_iter().map(|c| Column { carried: Carried::AsText, ..c }).collect();
    snapshot.read(&relation, &columns).await?.try_collect().await
}

/// The rows as text, sorted.
fn shown(batches: &[RecordBatch]) -> Rows {
    let mut rows: Rows = batches.iter().flat_map(texts).collect();
    rows.sort();
    rows
}
