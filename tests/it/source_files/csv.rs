//! Delimited text, end to end.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use proptest::prelude::*;
use sealift::error::Kind;
use sealift::source::BATCH_BYTES;
use sealift::source::files::Files;
use sealift::spec::pipeline::{ColumnType, Csv, FileSet, Format, Selector};

use super::{Opened, csv_set, declared, file_set, folder, load, load_text, plain, refusal, row};
use crate::conformance::{Expected, conforms};
use crate::house::House;

#[tokio::test]
async fn csv_keeps_the_contract_of_sources() {
    let mut text = "id;name;balance;seen\n".to_owned();
    let mut rows = Vec::new();
    for id in 0..60_000 {
        let (name, balance) = match id % 3 {
            0 => (None, "0.50"),
            1 => (Some(""), "-12.25"),
            _ => (Some("semi; \"colon\""), "1.00"),
        };
        let written = name.map_or(String::new(), |name| format!("\"{}\"", name.replace('"', "\"\"")));
        writeln!(text, "{id};{written};{balance};2024-02-29T12:00:00+02:00").unwrap();
        rows.push(row(&[Some(&id.to_string()), name, Some(balance), Some("2024-02-29T10:00:00Z")]));
    }
    let folder = folder(&[("in/people.csv", text.as_bytes())]);
    let format = Format::Csv(Csv { delimiter: b';', ..plain() });
    let expected = Expected {
        stream: "people",
        fields: vec![
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("balance", DataType::Decimal128(4, 2), true),
            Field::new("seen", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        ],
        rows,
        missing: (Selector::Files(file_set("in/peeple.csv", format.clone())), "people.csv"),
    };
    let selector = Selector::Files(file_set("in/*.csv", format));
    conforms(Box::new(Files::new(folder.path())), selector, expected).await;
}

#[tokio::test]
async fn trap_null_is_not_the_empty_text_in_any_type() {
    let (types, rows) = load_text("n,t\n,\n1,\"\"\n", csv_set("people.csv")).await.unwrap();
    assert_eq!(types, ["n int64", "t text"]);
    assert_eq!(rows, [row(&[None, None]), row(&[Some("1"), Some("")])]);
}

#[tokio::test]
async fn a_custom_null_is_null_only_where_it_is_not_quoted() {
    let set = file_set("people.csv", Format::Csv(Csv { null: "NULL".to_owned(), ..plain() }));
    let (types, rows) = load_text("n,t\nNULL,\"NULL\"\n1,\n2,NULL\n", set).await.unwrap();
    assert_eq!(types, ["n int64", "t text"]);
    assert_eq!(rows, [row(&[None, Some("NULL")]), row(&[Some("1"), Some("")]), row(&[Some("2"), None])]);
}

#[tokio::test]
async fn trap_the_last_of_fifty_thousand_rows_decides_the_type() {
    let mut text = "a,b,c,d\n".to_owned();
    for id in 1..50_000 {
        writeln!(text, "{id},{id},2024-01-01,{id}").unwrap();
    }
    text.push_str("007,0.125,never,1e3\n");
    let (types, rows) = load_text(&text, csv_set("people.csv")).await.unwrap();
    assert_eq!(types, ["a text", "b decimal(8,3)", "c text", "d float64"]);
    assert_eq!(rows[49_999], row(&[Some("007"), Some("0.125"), Some("never"), Some("1000.0")]));
    assert_eq!(rows[0], row(&[Some("1"), Some("1.000"), Some("2024-01-01"), Some("1.0")]));
}

#[tokio::test]
async fn thirty_eight_digits_survive_and_thirty_nine_stay_text() {
    let (digits38, digits39) = ("9".repeat(36) + ".99", "9".repeat(39));
    let text = format!("a,b\n{digits38},{digits39}\n-{digits38},1\n");
    let (types, rows) = load_text(&text, csv_set("people.csv")).await.unwrap();
    assert_eq!(types, ["a decimal(38,2)", "b text"]);
    assert_eq!(rows[0], row(&[Some(&digits38), Some(&digits39)]));
}

#[tokio::test]
async fn mixed_offsets_are_one_instant_and_mixed_zones_are_text() {
    let text =
        "a,b\n2024-07-01T12:00:00+02:00,2024-07-01T12:00:00Z\n2024-07-01 10:00:00Z,2024-07-01 12:00:00\n";
    let (types, rows) = load_text(text, csv_set("people.csv")).await.unwrap();
    assert_eq!(types, ["a timestamptz", "b text"]);
    assert_eq!(rows[0], row(&[Some("2024-07-01T10:00:00Z"), Some("2024-07-01T12:00:00Z")]));
    assert_eq!(rows[1], row(&[Some("2024-07-01T10:00:00Z"), Some("2024-07-01 12:00:00")]));
}

#[tokio::test]
async fn byte_order_mark_crlf_and_a_missing_last_line_end_change_nothing() {
    let (types, rows) = load_text("\u{feff}id,name\r\n1,Ann\r\n2,Bob", csv_set("people.csv")).await.unwrap();
    assert_eq!(types, ["id int64", "name text"]);
    assert_eq!(rows, [row(&[Some("1"), Some("Ann")]), row(&[Some("2"), Some("Bob")])]);
}

#[tokio::test]
async fn a_file_may_hold_a_header_only_but_not_nothing() {
    let (types, rows) = load_text("id,name\n", csv_set("people.csv")).await.unwrap();
    assert_eq!((types.len(), rows.len()), (2, 0));
    let error = refusal("", csv_set("people.csv")).await;
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.to_string().contains("people.csv is empty"), "{error}");
}

#[tokio::test]
async fn without_a_header_columns_are_counted_or_declared() {
    let set = file_set("people.csv", Format::Csv(Csv { header: false, ..plain() }));
    let (types, rows) = load_text("1,Ann\n2,Bob\n", set.clone()).await.unwrap();
    assert_eq!((types, rows.len()), (vec!["column_1 int64".to_owned(), "column_2 text".to_owned()], 2));
    let set = FileSet { schema: declared(&[("id", ColumnType::Int32), ("who", ColumnType::Text)]), ..set };
    assert_eq!(load_text("1,Ann\n", set.clone()).await.unwrap().0, ["id int32", "who text"]);
    assert_eq!(load_text("", set).await.unwrap().1.len(), 0, "an empty file has no rows");
}

/// First lines of files without a header, each with a field that must not be shown.
const ROWS: [(&str, &str); 8] = [
    ("Ann Needle,7", "Needle"),
    ("Ann Needle,2024-02-29", "Needle"),
    ("Ann Needle,2024-02-29T12:00:00Z", "Needle"),
    ("Ann Needle,needle@example.com", "eedle"),
    ("Ann Needle,123-45-6789", "6789"),
    ("Ann Needle,", "Needle"),
    ("Needle,Needle", "Needle"),
    ("\"Needle\nAnn\",\"7.50\"", "Needle"),
];

#[tokio::test]
async fn trap_a_row_does_not_become_the_names_of_columns() {
    for (line, needle) in ROWS {
        let error = refusal(&format!("{line}\nBob,8\n"), csv_set("people.csv")).await;
        assert_eq!(error.kind(), Kind::Invalid, "{line}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("line 1 of people.csv does not look like column names"), "{shown}");
        assert!(shown.contains("`header: false`") && !shown.contains(needle), "{shown}");
    }
    // The second of two files is compared with the first, and its row not shown either.
    let folder = folder(&[("a.csv", b"name,age\nAnn,7\n"), ("b.csv", b"Needle,8\n")]);
    let error = load(folder.path(), csv_set("*.csv")).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("the header of b.csv is not that of a.csv") && !shown.contains("Needle"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_declaration_makes_any_header_one() {
    let schema = declared(&[("2023", ColumnType::Int64), ("a@b", ColumnType::Text)]);
    let set = FileSet { schema, ..csv_set("people.csv") };
    let (types, rows) = load_text("2023,a@b\n1,x\n", set).await.unwrap();
    assert_eq!((types, rows.len()), (vec!["2023 int64".to_owned(), "a@b text".to_owned()], 1));
}

#[tokio::test]
async fn without_a_header_every_line_is_a_row_and_none_is_a_name() {
    for (line, needle) in ROWS {
        let folder = folder(&[("people.csv", format!("\n{line}\nBob,8\n").as_bytes())]);
        let set = file_set("people.csv", Format::Csv(Csv { header: false, ..plain() }));
        let mut opened = Opened::new(folder.path(), set).await.unwrap();
        let shape = opened.describe().await.unwrap();
        let names: Vec<_> = shape.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!((names, shape.rows), (vec!["column_1", "column_2"], Some(2)));
        assert!(!format!("{shape:?}").contains(needle), "{shape:?}");
        let rows: usize = opened.read(&shape.columns).await.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 2, "{line}");
    }
}

#[test]
fn a_plan_of_a_file_without_a_header_shows_no_value() {
    let house = House::new();
    house.policy("- {tags: [public], action: allow}");
    house.write("in/drops/people.csv", "Needle Ann,needle@example.com,123-45-6789\nNeedle Bob,,\n");
    let pipeline = |header: &str| {
        house.pipeline(
            "people",
            &format!(
                "connection: drops\ndataset: \"x.people\"\nstreams:\n  people:\n    path: people.csv\n    \
                 format: {{csv: {{{header}}}}}\n    columns: {{\"*\": {{tag: public}}}}"
            ),
        );
    };
    let shows_no_value = |args: &[&str], code| {
        let printed = house.run(args).expect(code).printed();
        for value in ["eedle", "6789", "example.com"] {
            assert!(!printed.contains(value), "{args:?}: {printed}");
        }
        printed
    };
    pipeline("");
    for args in [&["plan", "people"][..], &["plan", "people", "--json"], &["sync", "people"]] {
        assert!(shows_no_value(args, 78).contains("does not look like column names"));
    }
    shows_no_value(&["runs"], 0);
    pipeline("header: false");
    for args in [&["plan", "people"][..], &["plan", "people", "--json"]] {
        let printed = shows_no_value(args, 0);
        assert!((1..=3).all(|number| printed.contains(&format!("column_{number}"))), "{printed}");
    }
}

#[tokio::test]
async fn declared_columns_must_be_those_of_the_header_in_their_order() {
    let schema = declared(&[("name", ColumnType::Text), ("id", ColumnType::Int64)]);
    let error = refusal("id,name\n1,Ann\n", FileSet { schema, ..csv_set("people.csv") }).await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("column 1 of people.csv is declared as `name`"), "{error}");
    // A file without a header, taken for one with: its first line is a row and is not quoted.
    let schema = declared(&[("id", ColumnType::Int64), ("ssn", ColumnType::Text)]);
    let error = refusal("7,123-45-6789\n", FileSet { schema, ..csv_set("people.csv") }).await;
    assert!(!error.to_string().contains("6789"), "{error}");
}

#[tokio::test]
async fn trap_no_error_shows_a_value() {
    let secret = "123-45-6789";
    let types = [
        ColumnType::Boolean,
        ColumnType::Int32,
        ColumnType::Int64,
        ColumnType::Float64,
        ColumnType::Decimal(5, 2),
        ColumnType::Date,
        ColumnType::Timestamp,
        ColumnType::TimestampTz,
    ];
    for column_type in types {
        let schema = declared(&[("note", ColumnType::Text), ("ssn", column_type)]);
        let text = format!("note,ssn\n\"two\nlines\",{secret}\n");
        let error = refusal(&text, FileSet { schema, ..csv_set("people.csv") }).await;
        let shown = format!("{error} {error:?}");
        assert_eq!(error.kind(), Kind::Data);
        assert!(shown.contains("people.csv, line 3") && shown.contains("`ssn`"), "{shown}");
        assert!(!shown.contains("6789"), "{shown}");
    }
    for text in [
        format!("ssn\n{secret},{secret}\n"),
        format!("ssn\n\"{secret}\"x\n"),
        format!("ssn\n{secret}\"\n"),
        format!("ssn\n\"{secret}\n"),
    ] {
        let error = refusal(&text, csv_set("people.csv")).await;
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("people.csv, line 2") && !shown.contains("6789"), "{shown}");
    }
}

#[tokio::test]
async fn a_line_with_the_wrong_number_of_fields_is_named() {
    let error = refusal("id,name\n1,\"a\n\nb\"\n\n2,x,y\n", csv_set("people.csv")).await;
    assert_eq!(error.kind(), Kind::Data);
    let shown = error.to_string();
    assert!(shown.contains("people.csv, line 6") && shown.contains("3 fields where 2"), "{shown}");
}

#[tokio::test]
async fn an_empty_line_is_a_row_only_where_rows_are_single_fields() {
    assert_eq!(load_text("a,b\n\n1,2\n\n", csv_set("people.csv")).await.unwrap().1.len(), 1);
    let (_, rows) = load_text("a\n1\n\n2\n", csv_set("people.csv")).await.unwrap();
    assert_eq!(rows, [row(&[Some("1")]), row(&[None]), row(&[Some("2")])]);
}

#[tokio::test]
async fn several_files_need_one_header() {
    let good = folder(&[("b.csv", b"id,name\n2,b\n"), ("a.csv", b"id,name\n1,a\n")]);
    let (_, rows) = load(good.path(), csv_set("*.csv")).await.unwrap();
    assert_eq!(rows, [row(&[Some("1"), Some("a")]), row(&[Some("2"), Some("b")])], "in the order of names");
    let bad = folder(&[("a.csv", b"id,name\n1,a\n"), ("b.csv", b"name,id\nb,2\n")]);
    let shown = load(bad.path(), csv_set("*.csv")).await.unwrap_err().to_string();
    assert!(shown.contains("a.csv") && shown.contains("b.csv"), "{shown}");
}

#[tokio::test]
async fn trap_a_file_that_changes_while_it_is_read_fails_the_read() {
    let mut text = "id,name\n".to_owned();
    for id in 0..400_000 {
        writeln!(text, "{id},somebody").unwrap();
    }
    let folder = folder(&[("people.csv", text.as_bytes())]);
    let mut opened = Opened::new(folder.path(), csv_set("people.csv")).await.unwrap();
    let columns = opened.describe().await.unwrap().columns;
    let mut stream = opened.snapshot.read(&opened.relation, &columns).await.unwrap();
    stream.try_next().await.unwrap().unwrap();
    let mut file = fs::File::options().append(true).open(folder.path().join("people.csv")).unwrap();
    file.write_all(b"400000,one more\n").unwrap();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    // And for good: the snapshot was of the file as it was.
    let error = opened.read(&columns).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
}

#[tokio::test]
async fn batches_of_wide_texts_stay_within_bounds() {
    let wide = "x".repeat(1 << 20);
    let mut text = "id,note\n".to_owned();
    for id in 0..40 {
        writeln!(text, "{id},{wide}").unwrap();
    }
    let folder = folder(&[("people.csv", text.as_bytes())]);
    let mut opened = Opened::new(folder.path(), csv_set("people.csv")).await.unwrap();
    let columns = opened.describe().await.unwrap().columns;
    let rows: Vec<usize> = opened.read(&columns).await.unwrap().iter().map(RecordBatch::num_rows).collect();
    // A row is a little more than 1 MiB.
    let fit = BATCH_BYTES / (1 << 20) - 1;
    assert!(rows.iter().all(|rows| *rows <= fit), "{rows:?}");
    // Each of several readers has a last batch of what is left.
    let last = rows.iter().rposition(|rows| *rows == fit).unwrap();
    assert!(rows[..=last].iter().filter(|rows| **rows < fit).count() < 8, "{rows:?}");
    assert_eq!(rows.iter().sum::<usize>(), 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever type a column gets, its values read back as the texts they were written as, but
    /// for the zeros and the `T` that do not change a value.
    #[test]
    fn values_survive_whatever_type_is_inferred(values in prop::collection::vec(
        prop_oneof![
            "-?[0-9]{1,20}", "-?[0-9]{1,4}\\.[0-9]{1,3}", "[+-]?[0-9]{1,3}e[0-9]{1,2}", "(true|false|True)",
            "20[0-9]{2}-(0[1-9]|1[0-2])-[0-3][0-9]", "00[0-9]{1,3}", "",
        ], 1..4,
    )) {
        let text = format!("a,b\n{},\n", values.join(",\n"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (types, rows) = runtime.block_on(load_text(&text, csv_set("people.csv"))).unwrap();
        for (value, row) in values.iter().zip(&rows) {
            match row[0].as_deref() {
                None => prop_assert_eq!(value, ""),
                Some(read) if types[0].contains("text") => prop_assert_eq!(value, read),
                Some(read) if types[0].contains("float64") => {
                    let bits = |text: &str| text.parse::<f64>().unwrap().to_bits();
                    prop_assert_eq!(bits(value.trim_start_matches('+')), bits(read));
                }
                Some(read) if types[0].contains("decimal") && read.contains('.') => {
                    let trim = |text: &str| match text.split_once('.') {
                        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                        None => text.to_owned(),
                    };
                    prop_assert_eq!(trim(value), trim(read));
                }
                Some(read) => prop_assert_eq!(value, read),
            }
        }
    }
}
