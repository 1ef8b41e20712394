//! Reads of one relation, alike for every database.

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use sealift::error::{Error, Result};
use sealift::source::{Carried, Column, Relation, Snapshot, Source};
use sealift::spec::StreamName;
use sealift::spec::pipeline::{Selector, TablePattern};

pub(crate) fn table(schema: &str, table: &str) -> Selector {
    Selector::Table(TablePattern { schema: schema.into(), table: table.into() })
}

pub(crate) fn query(sql: &str) -> Selector {
    Selector::Query { name: StreamName::parse("q").unwrap(), sql: sql.into() }
}

/// Why there is no snapshot.
pub(crate) async fn refusal(source: &dyn Source) -> Error {
    match source.snapshot().await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

/// The one relation of a selector.
pub(crate) async fn relation(snapshot: &mut dyn Snapshot, selector: &Selector) -> Relation {
    let mut found = snapshot.find(selector).await.unwrap();
    assert_eq!(found.len(), 1, "{selector:?}");
    found.remove(0)
}

pub(crate) async fn columns(snapshot: &mut dyn Snapshot, selector: &Selector) -> Vec<Column> {
    let relation = relation(snapshot, selector).await;
    snapshot.describe(&relation).await.unwrap().columns
}

/// Reads all columns of what a selector stands for, each changed first, and checks that they come
/// as they were asked for.
pub(crate) async fn read_as(
    snapshot: &mut dyn Snapshot,
    selector: &Selector,
    change: fn(&mut Column),
) -> Result<Vec<RecordBatch>> {
    let relation = relation(snapshot, selector).await;
    let mut columns = snapshot.describe(&relation).await?.columns;
    columns.iter_mut().for_each(change);
    let batches: Vec<RecordBatch> = snapshot.read(&relation, &columns).await?.try_collect().await?;
    for batch in &batches {
        let fields: Vec<_> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        let asked: Vec<_> = columns.iter().map(|c| c.field().unwrap()).collect();
        assert_eq!(fields, asked);
    }
    Ok(batches)
}

/// The same, every column as it is described.
pub(crate) async fn read(snapshot: &mut dyn Snapshot, selector: &Selector) -> Result<Vec<RecordBatch>> {
    read_as(snapshot, selector, |_| {}).await
}

/// The same, every column asked for as text.
pub(crate) async fn read_as_text(
    snapshot: &mut dyn Snapshot,
    selector: &Selector,
) -> Result<Vec<RecordBatch>> {
    read_as(snapshot, selector, |column| column.carried = Carried::AsText).await
}
