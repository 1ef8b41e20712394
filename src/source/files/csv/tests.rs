use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::super::paths::Pattern;
use super::*;
use crate::error::Kind;
use crate::spec::StreamName;
use crate::spec::pipeline::Format;

/// What is seen of files that are read: the columns with their types and the rows as text, in any order;
/// or the error.
type Seen = std::result::Result<(Vec<String>, Vec<Row>), String>;
type Row = Vec<Option<String>>;

fn file_set(csv: &Csv) -> FileSet {
    let name = StreamName::parse("people").unwrap();
    FileSet { name, path: "people.csv".to_owned(), format: Format::Csv(csv.clone()), schema: None }
}

/// Reads the text as chunks of that size, on two threads, cut anew or as the scan left it.
fn seen(text: &[u8], header: bool, chunk_bytes: u64, anew: bool) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("people.csv"), text).unwrap();
    let root = folder.path().canonicalize().unwrap();
    let inputs = Pattern::parse("people.csv").unwrap().find(&root).unwrap();
    let csv = Csv { header, delimiter: b',', quote: b'"', null: String::new() };
    let set = file_set(&csv);
    let new_cuts = || [Cuts::new(&inputs[0], b'"', chunk_bytes)];
    let cuts = new_cuts();
    let source = |cuts| Source { inputs: &inputs, cuts, csv: &csv, set: &set, threads: 2 };
    let layout = Layout::of(&inputs, &csv, &set).map_err(|error| error.to_string())?;
    let shape = source(&cuts).describe(&CancellationToken::new()).map_err(|error| error.to_string())?;
    let again = if anew { &new_cuts() } else { &cuts };
    let rows = Mutex::new(Vec::new());
    let targets: Vec<_> =
        shape.columns.iter().map(|column| layout.target(column)).collect::<Result<_>>().unwrap();
    let take = |batch: RecordBatch| {
        let texts: Vec<_> =
            batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
        let text = |column: &ArrayRef, row| {
            column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned())
        };
        let row = |row| texts.iter().map(|column| text(column, row)).collect::<Row>();
        rows.lock().unwrap().extend((0..batch.num_rows()).map(row));
        true
    };
    let decoders = source(again)
        .share(&layout, || Decoder::new(targets.clone(), ""), |decoder, rows| decoder.push(rows, take))
        .unwrap();
    for mut decoder in decoders {
        decoder.finish().unwrap().map(take);
    }
    let mut rows = rows.into_inner().unwrap();
    assert_eq!(shape.rows, Some(rows.len() as u64));
    rows.sort();
    let columns = shape.columns.iter().map(|column| format!("{} {}", column.name, column.source_type));
    Ok((columns.collect(), rows))
}

/// Well-formed text of two columns, or of one, in pieces.
fn records() -> impl Strategy<Value = String> {
    let field = || {
        prop_oneof![
            3 => "[0-9]{1,3}", 2 => "[a-zé\u{1F600}]{0,5}", 1 => Just("\"\"".to_owned()),
            2 => "\"([a-z,\né]|\r\n|\"\"){0,6}\"", 1 => "2024-0[1-9]-1[0-9]",
        ]
    };
    let record = (field(), field(), prop::bool::ANY)
        .prop_map(|(a, b, crlf)| format!("{a},{b}{}", if crlf { "\r\n" } else { "\n" }));
    let line = prop_oneof![12 => record, 1 => Just("\n".to_owned()), 1 => Just("\r\n".to_owned())];
    prop::collection::vec(line, 0..14).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn wherever_text_is_cut_the_rows_are_the_same(
        text in records(),
        bom in prop::bool::ANY,
        header in prop::bool::ANY,
        open_end in prop::bool::ANY,
        anew in prop::bool::ANY,
        chunk_bytes in prop_oneof![Just(1_u64), Just(7), 2..40_u64],
    ) {
        let mut text = format!("{}id,\"na\nme\"\n{text}", if bom { "\u{feff}" } else { "" });
        if open_end {
            text.pop();
        }
        let whole = seen(text.as_bytes(), header, 1 << 20, false);
        prop_assert_eq!(seen(text.as_bytes(), header, chunk_bytes, anew), whole);
    }

    #[test]
    fn wherever_malformed_text_is_cut_the_error_and_its_line_are_the_same(
        text in records(),
        faults in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(vec![
                &b"\""[..], b"\r", b",", b"\xE9", b"x\"", b"\"x", b"\n", b"\"\n\"", b"\0",
            ])),
            1..4,
        ),
        chunk_bytes in prop_oneof![Just(1_u64), Just(7), 2..40_u64],
    ) {
        let mut bytes = text.into_bytes();
        for (at, fault) in faults {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, fault.iter().copied());
        }
        let bytes = [&b"id,name\n"[..], &bytes].concat();
        let whole = seen(&bytes, true, 1 << 20, false);
        prop_assert_eq!(seen(&bytes, true, chunk_bytes, true), whole);
    }
}

#[test]
fn the_fault_with_the_lowest_line_is_told_also_where_a_value_does_not_fit() {
    let text = "id,name\n".to_owned() + &"1,a\n".repeat(50) + "x,b\n" + &"2,c\n".repeat(50) + "3,\"d\"e\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("people.csv"), &text).unwrap();
    let inputs = Pattern::parse("people.csv").unwrap().find(&folder.path().canonicalize().unwrap()).unwrap();
    let csv = Csv { header: true, delimiter: b',', quote: b'"', null: String::new() };
    let set = file_set(&csv);
    for chunk_bytes in [7, 64, 1 << 20] {
        let cuts = [Cuts::new(&inputs[0], b'"', chunk_bytes)];
        let source = Source { inputs: &inputs, cuts: &cuts, csv: &csv, set: &set, threads: 2 };
        let layout = Layout::of(&inputs, &csv, &set).unwrap();
        let targets = vec![layout.target(&column("id", ColumnType::Int64)).unwrap()];
        let outcome = source.share(
            &layout,
            || Decoder::new(targets.clone(), ""),
            |decoder, rows| decoder.push(rows, |_| true),
        );
        let shown = outcome.err().unwrap().to_string();
        assert!(shown.contains("line 52") && shown.contains("`id`"), "{chunk_bytes}: {shown}");
    }
}

#[test]
fn a_record_longer_than_many_chunks_is_read_once() {
    let long = "line\n".repeat(100_000);
    let text = format!("id,note\n1,\"{long}\"\n2,b\n");
    let (_, rows) = seen(text.as_bytes(), true, 1000, false).unwrap();
    assert_eq!(rows.len(), 2);
    let error = seen(format!("{text}3,c\"\n").as_bytes(), true, 1000, false).unwrap_err();
    assert!(error.contains("line 100004"), "{error}");
}

#[test]
fn trap_a_file_that_changes_fails_whoever_reads_a_part_of_it() {
    let text = "id,name\n".to_owned() + &"1,a\n".repeat(500);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    fs::write(&path, &text).unwrap();
    let inputs = Pattern::parse("people.csv").unwrap().find(&folder.path().canonicalize().unwrap()).unwrap();
    let csv = Csv::default();
    let set = file_set(&csv);
    let cuts = [Cuts::new(&inputs[0], b'"', 100)];
    let source = Source { inputs: &inputs, cuts: &cuts, csv: &csv, set: &set, threads: 2 };
    assert_eq!(source.describe(&CancellationToken::new()).unwrap().rows, Some(500));
    let layout = Layout::of(&inputs, &csv, &set).unwrap();
    let visits = AtomicUsize::new(0);
    let outcome = source.share(
        &layout,
        || (),
        |(), _| {
            // Long before the last section.
            if visits.fetch_add(1, Ordering::Relaxed) == 3 {
                fs::write(&path, text.clone() + "half a li").unwrap();
            }
            Ok(true)
        },
    );
    assert_eq!(outcome.err().unwrap().kind(), Kind::Temporary);
    assert!(visits.into_inner() < 10, "the others went on");
}
