//! PostgreSQL as a source, against a real server.

mod catalog;
mod faults;
mod nested;
mod parallel;
mod published;
mod random;
mod reading;
mod said;
mod torture;
mod values;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sealift::error::Error;
use sealift::source::postgres::Postgres;
use sealift::source::{Snapshot, Source};
use sealift::spec::config;

use crate::relations::{columns, query, read, refusal, relation, table};

/// A snapshot that is expected to come about.
async fn snapshot(settings: &config::Postgres) -> Box<dyn Snapshot> {
    Postgres::new(settings, Default::default()).unwrap().snapshot().await.unwrap()
}

/// Why there is no snapshot.
async fn no_snapshot(settings: &config::Postgres) -> Error {
    refusal(&Postgres::new(settings, Default::default()).unwrap()).await
}

/// One column over all batches.
fn column(batches: &[RecordBatch], index: usize) -> ArrayRef {
    let arrays: Vec<&dyn Array> = batches.iter().map(|b| b.column(index).as_ref()).collect();
    concat(&arrays).unwrap()
}

/// The values of a column as Arrow shows them.
fn shown(array: &dyn Array) -> Vec<Option<String>> {
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap();
    (0..array.len()).map(|i| array.is_valid(i).then(|| formatter.value(i).to_string())).collect()
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
