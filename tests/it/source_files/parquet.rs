//! Parquet, end to end.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, DictionaryArray, Int32Array, Int64Array, LargeStringArray, ListArray,
    StringArray, Time64MicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use sealift::error::Kind;
use sealift::source::files::Files;
use sealift::source::{BATCH_BYTES, Carried};
use sealift::spec::pipeline::{ColumnType, FileSet, Format, Selector};

use super::{Opened, declared, file_set, folder, load, row};
use crate::conformance::{Expected, conforms};

fn set(path: &str) -> FileSet {
    file_set(path, Format::Parquet)
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    write_with(path, columns, WriterProperties::builder().build());
}

fn write_with(path: &Path, columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[tokio::test]
async fn parquet_keeps_the_contract_of_sources() {
    let folder = folder(&[]);
    let ids: Vec<i64> = (0..60_000).collect();
    let name = |id: &i64| match id % 3 {
        0 => None,
        1 => Some(""),
        _ => Some("somebody"),
    };
    for (file, ids) in [("people-1.parquet", &ids[..25_000]), ("people-2.parquet", &ids[25_000..])] {
        let names: LargeStringArray = ids.iter().map(name).collect();
        let tags =
            ListArray::from_iter_primitive::<Int32Type, _, _>(ids.iter().map(|_| Some([Some(1), None])));
        let columns: Vec<(&str, ArrayRef)> =
            vec![("id", ints(ids)), ("name", Arc::new(names)), ("tags", Arc::new(tags))];
        write(&folder.path().join(file), columns);
    }
    let rows = ids.iter().map(|id| row(&[Some(&id.to_string()), name(id), Some("[1, ]")])).collect();
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let expected = Expected {
        stream: "people",
        fields: vec![
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("tags", DataType::List(item), true),
        ],
        rows,
        missing: (Selector::Files(set("peeple*.parquet")), "people-1.parquet"),
    };
    conforms(Box::new(Files::new(folder.path())), Selector::Files(set("people-*.parquet")), expected).await;
}

#[tokio::test]
async fn trap_wider_types_carry_every_value() {
    let folder = folder(&[]);
    let texts: DictionaryArray<Int32Type> = [Some("a"), None].into_iter().collect();
    let millis = TimestampMillisecondArray::from(vec![Some(1), None]).with_timezone("+02:00");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("big", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("text", Arc::new(texts)),
        ("bytes", Arc::new(BinaryViewArray::from(vec![Some(&b"\x00\xff"[..]), Some(b"")]))),
        ("at", Arc::new(millis)),
    ];
    write(&folder.path().join("a.parquet"), columns);
    let mut opened = Opened::new(folder.path(), set("a.parquet")).await.unwrap();
    let shape = opened.describe().await.unwrap();
    let carried: Vec<Carried> = shape.columns.iter().map(|column| column.carried.clone()).collect();
    let expected = [
        DataType::Decimal128(20, 0),
        DataType::Utf8,
        DataType::Binary,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    ];
    assert_eq!(carried, expected.map(Carried::Exact));
    assert_eq!(shape.columns[0].source_type, "UInt64");
    let (_, rows) = load(folder.path(), set("a.parquet")).await.unwrap();
    let first = [Some("18446744073709551615"), Some("a"), Some("00ff"), Some("1970-01-01T00:00:00.001Z")];
    assert_eq!(rows, [row(&first), row(&[None, None, Some(""), None])]);
}

#[tokio::test]
async fn types_that_lose_are_refused_and_the_rest_is_read() {
    let folder = folder(&[]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ns", Arc::new(TimestampNanosecondArray::from(vec![1]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![1]))),
        ("id", ints(&[7])),
    ];
    write(&folder.path().join("a.parquet"), columns);
    let mut opened = Opened::new(folder.path(), set("a.parquet")).await.unwrap();
    let columns = opened.describe().await.unwrap().columns;
    let refused: Vec<bool> = columns.iter().map(|c| matches!(c.carried, Carried::Refused { .. })).collect();
    assert_eq!(refused, [true, true, false]);
    assert_eq!(opened.read(&columns[2..]).await.unwrap()[0].num_rows(), 1);
    assert_eq!(opened.read(&columns).await.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn an_instant_past_the_microsecond_range_is_an_error_without_the_value() {
    let folder = folder(&[]);
    let columns: Vec<(&str, ArrayRef)> =
        vec![("at", Arc::new(TimestampMillisecondArray::from(vec![i64::MAX / 7])))];
    write(&folder.path().join("a.parquet"), columns);
    let error = load(folder.path(), set("a.parquet")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("`at`") && !shown.contains(&(i64::MAX / 7).to_string()), "{shown}");
}

#[tokio::test]
async fn files_must_agree() {
    let cases: [(Vec<(&str, ArrayRef)>, &str); 3] = [
        (vec![("id", Arc::new(Int32Array::from(vec![1])) as ArrayRef)], "`id` is Int64 in one and Int32"),
        (vec![("key", ints(&[1]))], "`id` in one and `key`"),
        (vec![("id", ints(&[1])), ("more", ints(&[1]))], "`more`"),
    ];
    for (columns, expected) in cases {
        let folder = folder(&[]);
        write(&folder.path().join("a.parquet"), vec![("id", ints(&[1]))]);
        write(&folder.path().join("b.parquet"), columns);
        let error = load(folder.path(), set("*.parquet")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        let shown = error.to_string();
        assert!(shown.contains("a.parquet and b.parquet") && shown.contains(expected), "{shown}");
    }
}

#[tokio::test]
async fn batches_of_wide_texts_stay_within_bounds_even_from_a_dictionary() {
    let folder = folder(&[]);
    let wide = "x".repeat(200_000);
    // Narrow rows first, so that what the first rows take tells nothing of the rest.
    let text = |row: usize| Some(if row < 300 { "x" } else { wide.as_str() });
    let texts: StringArray = (0..1000).map(text).collect();
    let list = (0..1000).map(|row| Some(vec![Some(1); if row < 300 { 1 } else { 10_000 }]));
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(list);
    write(&folder.path().join("a.parquet"), vec![("note", Arc::new(texts)), ("list", Arc::new(lists))]);
    let mut opened = Opened::new(folder.path(), set("a.parquet")).await.unwrap();
    let columns = opened.describe().await.unwrap().columns;
    let rows: Vec<usize> = opened.read(&columns).await.unwrap().iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows.iter().sum::<usize>(), 1000);
    let (most, least) = (rows.iter().max().unwrap(), rows[2..].iter().min().unwrap());
    let fit = BATCH_BYTES / 240_000;
    assert!(*most <= 64 + 250 && rows[rows.len() - 2] <= fit, "{rows:?}");
    assert!(*least >= fit / 4, "{rows:?}: not in crumbs either");
}

#[tokio::test]
async fn encrypted_files_and_columns_are_told_apart_from_damaged_ones() {
    let folder = folder(&[]);
    let key = || b"0123456789abcdef".to_vec();
    let columns = || vec![("id", ints(&[1, 2])), ("ssn", ints(&[3, 4]))];
    let whole = FileEncryptionProperties::builder(key()).build().unwrap();
    let whole = WriterProperties::builder().with_file_encryption_properties(whole).build();
    write_with(&folder.path().join("whole.parquet"), columns(), whole);
    let error = load(folder.path(), set("whole.parquet")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("encrypted"), "{error}");

    let part = FileEncryptionProperties::builder(key())
        .with_plaintext_footer(true)
        .with_column_key("ssn", key())
        .build()
        .unwrap();
    let part = WriterProperties::builder().with_file_encryption_properties(part).build();
    write_with(&folder.path().join("part.parquet"), columns(), part);
    let mut opened = Opened::new(folder.path(), set("part.parquet")).await.unwrap();
    let columns = opened.describe().await.unwrap().columns;
    assert!(matches!(&columns[1].carried, Carried::Refused { remedy } if remedy.contains("encrypted")));
    assert_eq!(opened.read(&columns[..1]).await.unwrap()[0].num_rows(), 2, "the open column is read");
}

#[tokio::test]
async fn damaged_files_are_data_errors() {
    let valid = folder(&[]);
    write(&valid.path().join("a.parquet"), vec![("id", ints(&[1, 2, 3]))]);
    let bytes = std::fs::read(valid.path().join("a.parquet")).unwrap();
    for damaged in
        [&b""[..], b"PAR1", b"id,name\n1,Ann\n", &bytes[..bytes.len() - 20], &bytes[..bytes.len() / 2]]
    {
        let folder = folder(&[("a.parquet", damaged)]);
        let error = load(folder.path(), set("a.parquet")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{error}");
        assert!(error.to_string().contains("a.parquet"), "{error}");
    }
}

#[tokio::test]
async fn an_empty_file_has_columns_and_no_rows() {
    let folder = folder(&[]);
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    let file = File::create(folder.path().join("a.parquet")).unwrap();
    ArrowWriter::try_new(file, schema, None).unwrap().close().unwrap();
    let (types, rows) = load(folder.path(), set("a.parquet")).await.unwrap();
    assert_eq!((types, rows.len()), (vec!["id Int64".to_owned()], 0));
    let schema = declared(&[("id", ColumnType::Int64)]);
    let error = load(folder.path(), FileSet { schema, ..set("a.parquet") }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "Parquet files bring their own schema");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_anywhere_is_an_answer_and_never_a_crash(at in 0..2000_usize, with in any::<u8>()) {
        let folder = folder(&[]);
        let path = folder.path().join("a.parquet");
        let names: StringArray = (0..100).map(|id| Some(format!("name {id}"))).collect();
        write(&path, vec![("id", ints(&(0..100).collect::<Vec<_>>())), ("name", Arc::new(names))]);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= with;
        std::fs::write(&path, bytes).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _ = runtime.block_on(load(folder.path(), set("a.parquet")));
    }
}
