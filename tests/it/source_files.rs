//! The file source: CSV and Parquet of a folder.

mod csv;
mod folder;
mod parquet;

use std::fs;
use std::path::Path;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use sealift::error::{Error, Result};
use sealift::source::files::Files;
use sealift::source::{Column, Relation, Shape, Snapshot, Source};
use sealift::spec::StreamName;
use sealift::spec::pipeline::{ColumnType, Csv, FileSet, Format, Selector};

use super::conformance::{Rows, texts};

/// Commas, double quotes, a header, the empty field for NULL.
fn plain() -> Csv {
    Csv { header: true, delimiter: b',', quote: b'"', null: String::new() }
}

fn file_set(path: &str, format: Format) -> FileSet {
    FileSet { name: StreamName::parse("people").unwrap(), path: path.to_owned(), format, schema: None }
}

fn csv_set(path: &str) -> FileSet {
    file_set(path, Format::Csv(plain()))
}

fn declared(columns: &[(&str, ColumnType)]) -> Option<Vec<(String, ColumnType)>> {
    Some(columns.iter().map(|(name, column_type)| ((*name).to_owned(), *column_type)).collect())
}

/// A folder with the given files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// A relation opened through a snapshot of its own.
struct Opened {
    snapshot: Box<dyn Snapshot>,
    relation: Relation,
}

impl Opened {
    async fn new(root: &Path, set: FileSet) -> Result<Self> {
        let mut snapshot = Files::new(root).snapshot().await?;
        let relation = snapshot.find(&Selector::Files(set)).await?.remove(0);
        Ok(Self { snapshot, relation })
    }

    async fn describe(&mut self) -> Result<Shape> {
        self.snapshot.describe(&self.relation).await
    }

    async fn read(&mut self, columns: &[Column]) -> Result<Vec<RecordBatch>> {
        self.snapshot.read(&self.relation, columns).await?.try_collect().await
    }
}

/// Types and rows of a file set.
async fn load(root: &Path, set: FileSet) -> Result<(Vec<String>, Rows)> {
    let mut opened = Opened::new(root, set).await?;
    let shape = opened.describe().await?;
    let types =
        shape.columns.iter().map(|column| format!("{} {}", column.name, column.source_type)).collect();
    let batches = opened.read(&shape.columns).await?;
    let rows: Rows = batches.iter().flat_map(texts).collect();
    if let Some(expected) = shape.rows {
        assert_eq!(expected, rows.len() as u64, "the described number of rows");
    }
    Ok((types, rows))
}

/// Types and rows of one CSV text.
async fn load_text(text: &str, set: FileSet) -> Result<(Vec<String>, Rows)> {
    load(folder(&[("people.csv", text.as_bytes())]).path(), set).await
}

async fn refusal(text: &str, set: FileSet) -> Error {
    load_text(text, set).await.unwrap_err()
}

fn row(fields: &[Option<&str>]) -> Vec<Option<String>> {
    fields.iter().map(|field| field.map(str::to_owned)).collect()
}

#[tokio::test]
async fn the_quickstart_files_get_the_types_that_a_newcomer_expects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/quickstart");
    let (types, rows) = load(&root, csv_set("customers*.csv")).await.unwrap();
    let expected = [
        "id int64",
        "full_name text",
        "email text",
        "ssn text",
        "birth_date date",
        "country text",
        "city text",
        "segment text",
        "balance decimal(7,2)",
        "created_at timestamptz",
    ];
    assert_eq!((types, rows.len()), (expected.map(str::to_owned).to_vec(), 5_000));

    let set = file_set("orders*.csv", Format::Csv(Csv { delimiter: b';', ..plain() }));
    let (types, rows) = load(&root, set).await.unwrap();
    let expected = [
        "order_id int64",
        "customer_id int64",
        "contact_email text",
        "product text",
        "quantity int64",
        "unit_price decimal(5,2)",
        "ordered_at timestamptz",
        "card_number int64",
        "note text",
    ];
    assert_eq!((types, rows.len()), (expected.map(str::to_owned).to_vec(), 20_000));
    let notes = |wanted: Option<&str>| rows.iter().filter(|row| row[8].as_deref() == wanted).count();
    assert!(notes(None) > 10_000 && notes(Some("")) > 500, "asked for nothing, and asked and left blank");
}
