//! The contract of `source::Source`, checked on any implementation of it.
//!
//! A source is put through it with a relation whose rows are known. The rows must hold NULL and
//! the empty text side by side, so that a source that mixes them up cannot pass.

mod bounds;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use sealift::error::Kind;
use sealift::source::{BATCH_BYTES, BATCH_ROWS, Column, Relation, Snapshot, Source};
use sealift::spec::pipeline::Selector;

/// Rows as text, NULL as `None`.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// What is known of the relation a selector stands for.
pub(crate) struct Expected {
    /// The one stream that is found.
    pub(crate) stream: &'static str,
    /// Its columns as Arrow fields, in source order.
    pub(crate) fields: Vec<Field>,
    /// All its rows, in any order.
    pub(crate) rows: Rows,
    /// A selector for something that is not there, and what its error must name as the nearest.
    pub(crate) missing: (Selector, &'static str),
}

/// Puts a source through the contract of `source::Source`.
pub(crate) async fn conforms(source: Box<dyn Source>, selector: Selector, expected: Expected) {
    assert_tells_null_from_empty(&expected.rows);
    let mut snapshot = source.snapshot().await.unwrap();
    assert!(!snapshot.consistency().is_empty());

    let relation = found_once(snapshot.as_mut(), &selector, expected.stream).await;
    let columns = described(snapshot.as_mut(), &relation, &expected.fields).await;
    let all: Vec<usize> = (0..columns.len()).collect();
    let whole = sorted(expected.rows);

    let rows = read(snapshot.as_mut(), &relation, &columns).await;
    assert_eq!(rows.len(), whole.len(), "number of rows");
    assert!(rows == whole, "rows differ from those expected");

    // Every subset in another order: last to first, every second, the last alone.
    let reversed: Vec<usize> = all.iter().rev().copied().collect();
    let second: Vec<usize> = reversed.iter().step_by(2).copied().collect();
    for indices in [reversed, second, vec![columns.len() - 1]] {
        let some: Vec<Column> = indices.iter().map(|index| columns[*index].clone()).collect();
        let expected =
            sorted(whole.iter().map(|row| indices.iter().map(|i| row[*i].clone()).collect()).collect());
        assert!(read(snapshot.as_mut(), &relation, &some).await == expected, "columns {indices:?}");
    }
    assert_eq!(count(snapshot.as_mut(), &relation).await, whole.len(), "rows without columns");

    bounds::check(snapshot.as_mut(), &relation, &columns).await;

    // Dropped half-way and at once; the snapshot serves on, and gives the same rows.
    let mut stream = snapshot.read(&relation, &columns).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    drop(snapshot.read(&relation, &columns).await.unwrap());
    assert!(read(snapshot.as_mut(), &relation, &columns).await == whole, "second read");

    let (missing, near) = expected.missing;
    let error = snapshot.find(&missing).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert!(error.to_string().contains(near), "`{near}` is not named by: {error}");
}

/// Two rows of one column must differ only in NULL against the empty text.
fn assert_tells_null_from_empty(rows: &Rows) {
    let width = rows.first().map_or(0, Vec::len);
    let holds = |column: usize, value: Option<&str>| rows.iter().any(|row| row[column].as_deref() == value);
    assert!(
        (0..width).any(|column| holds(column, None) && holds(column, Some(""))),
        "the expected rows need a column that holds both NULL and the empty text"
    );
}

async fn found_once(snapshot: &mut dyn Snapshot, selector: &Selector, stream: &str) -> Relation {
    let names = |relations: &[Relation]| -> Vec<String> {
        relations.iter().map(|relation| relation.stream.to_string()).collect()
    };
    let relations = snapshot.find(selector).await.unwrap();
    assert!(relations.is_sorted_by(|a, b| a.stream < b.stream), "{:?}", names(&relations));
    assert_eq!(names(&relations), [stream]);
    assert_eq!(names(&snapshot.find(selector).await.unwrap()), [stream], "a second find");
    relations.into_iter().next().unwrap()
}

async fn described(snapshot: &mut dyn Snapshot, relation: &Relation, fields: &[Field]) -> Vec<Column> {
    let shape = snapshot.describe(relation).await.unwrap();
    let found: Vec<Field> = shape.columns.iter().map(|column| column.field().unwrap()).collect();
    assert_eq!(found, fields);
    let again = snapshot.describe(relation).await.unwrap();
    let again: Vec<Field> = again.columns.iter().map(|column| column.field().unwrap()).collect();
    assert_eq!(again, fields, "a second description");
    shape.columns
}

async fn read(snapshot: &mut dyn Snapshot, relation: &Relation, columns: &[Column]) -> Rows {
    let batches: Vec<RecordBatch> =
        snapshot.read(relation, columns).await.unwrap().try_collect().await.unwrap();
    let schema = Schema::new(columns.iter().map(|column| column.field().unwrap()).collect::<Vec<_>>());
    for batch in &batches {
        assert_eq!(batch.schema().as_ref(), &schema);
        assert!((1..=BATCH_ROWS).contains(&batch.num_rows()), "{} rows", batch.num_rows());
        let bytes: usize = batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap()).sum();
        assert!(batch.num_rows() == 1 || bytes <= BATCH_BYTES + BATCH_BYTES / 8, "{bytes} bytes");
    }
    sorted(batches.iter().flat_map(texts).collect())
}

async fn count(snapshot: &mut dyn Snapshot, relation: &Relation) -> usize {
    let batches: Vec<RecordBatch> = snapshot.read(relation, &[]).await.unwrap().try_collect().await.unwrap();
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn sorted(mut rows: Rows) -> Rows {
    rows.sort();
    rows
}

/// A batch's rows as text.
pub(crate) fn texts(batch: &RecordBatch) -> Rows {
    let options = FormatOptions::default();
    let columns: Vec<_> =
        batch.columns().iter().map(|c| (c, ArrayFormatter::try_new(c.as_ref(), &options).unwrap())).collect();
    let cell = |row: usize| {
        columns
            .iter()
            .map(move |(c, format)| c.is_valid(row).then(|| format.value(row).to_string()))
            .collect()
    };
    (0..batch.num_rows()).map(cell).collect()
}
