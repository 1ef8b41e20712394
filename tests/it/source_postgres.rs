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
use futures::TryStreamExt;
use sealift::error::{Error, Result};
use sealift::source::postgres::Postgres;
use sealift::source::{Column, Relation, Snapshot, Source};
use sealift::spec::StreamName;
use sealift::spec::config;
use sealift::spec::pipeline::{Selector, TablePattern};

/// A snapshot that is expected to come about.
async fn snapshot(settings: &config::Postgres) -> Box<dyn Snapshot> {
    Postgres::new(settings, Default::default()).unwrap().snapshot().await.unwrap()
}

/// Why there is no snapshot.
async fn no_snapshot(settings: &config::Postgres) -> Error {
    match Postgres::new(settings, Default::default()).unwrap().snapshot().await {
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

/// Reads all columns of what a selector stands for, and checks that they are as described.
async fn read(snapshot: &mut dyn Snapshot, selector: &Selector) -> Result<Vec<RecordBatch>> {
    let relation = relation(snapshot, selector).await;
    let columns = snapshot.describe(&relation).await?.columns;
    let batches: Vec<RecordBatch> = snapshot.read(&relation, &columns).await?.try_collect().await?;
    for batch in &batches {
        let fields: Vec<_> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        let described: Vec<_> = columns.iter().map(|c| c.field().unwrap()).collect();
        assert_eq!(fields, described);
    }
    Ok(batches)
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
