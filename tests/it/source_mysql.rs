//! MySQL and MariaDB as a source, against a real MariaDB.

mod catalog;
mod faults;
mod instant;
mod published;
mod reading;
mod values;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use sealift::error::Error;
use sealift::source::mysql::Mysql;
use sealift::source::{Gate, Snapshot, Source};
use sealift::spec::config;

use crate::conformance::{Rows, texts};
use crate::relations::{columns, query, read, read_as_text, refusal, relation, table};

fn source(settings: &config::Mysql) -> Mysql {
    Mysql::new(settings, Arc::new(Gate::new(settings.limits))).unwrap()
}

/// A snapshot that is expected to come about.
async fn snapshot(settings: &config::Mysql) -> Box<dyn Snapshot> {
    source(settings).snapshot().await.unwrap()
}

/// Why there is no snapshot.
async fn no_snapshot(settings: &config::Mysql) -> Error {
    refusal(&source(settings)).await
}

/// The rows as text, sorted.
fn shown(batches: &[RecordBatch]) -> Rows {
    let mut rows: Rows = batches.iter().flat_map(texts).collect();
    rows.sort();
    rows
}
