use arrow::array::{Array, AsArray};
use arrow::datatypes::{Decimal128Type, Int32Type};
use tokio_postgres::types::Type;

use super::*;
use crate::error::Kind;
use crate::source::postgres::numeric::tests::wire as numeric;
use crate::source::postgres::types::{Facts, Part};

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: &[u8] = b"\xff\xff";

fn decoder(columns: &[(&str, Type, i32)]) -> Decoder {
    let wire = |t: &Type, modifier| Wire::scalar(t.oid(), modifier, Facts::default()).unwrap();
    let wires: Vec<_> = columns.iter().map(|(name, t, modifier)| (*name, wire(t, *modifier))).collect();
    decoder_of(&wires)
}

fn decoder_of(wires: &[(&str, Wire)]) -> Decoder {
    let column = |(name, wire): &(&str, Wire)| Column {
        name: (*name).into(),
        source_type: "some type".into(),
        nullable: true,
        carried: wire.carried(),
    };
    let columns: Vec<_> = wires.iter().map(column).collect();
    Decoder::new(&columns, wires.iter().map(|(_, wire)| wire)).unwrap()
}

fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        match field {
            Some(value) => {
                bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                bytes.extend(*value);
            }
            None => bytes.extend((-1_i32).to_be_bytes()),
        }
    }
    bytes
}

/// Every batch of a stream cut into frames.
fn decode<'a>(decoder: &mut Decoder, frames: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for mut frame in frames {
        while decoder.feed(&mut frame)? == Pause::Full {
            batches.extend(decoder.take()?);
        }
    }
    decoder.end_copy()?;
    batches.extend(decoder.take()?);
    Ok(batches)
}

fn sample_columns() -> [(&'static str, Type, i32); 6] {
    [
        ("id", Type::INT4, -1),
        ("name", Type::TEXT, -1),
        ("amount", Type::NUMERIC, (10 << 16 | 2) + 4),
        ("doc", Type::JSONB, -1),
        ("key", Type::UUID, -1),
        ("born", Type::DATE, -1),
    ]
}

fn sample() -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for i in 0_u16..50 {
        let amount = numeric(0, 0, &[i, 100 * i]);
        let name = "né".repeat(usize::from(i % 5));
        let fields: [Option<&[u8]>; 6] = [
            Some(&i32::from(i).to_be_bytes()),
            (i % 3 != 0).then_some(name.as_bytes()),
            Some(&amount),
            Some(b"\x01{}"),
            Some(&[7; 16]),
            (i % 2 == 0).then_some(&[0, 0, 0, 1]),
        ];
        bytes.extend(row(&fields));
    }
    bytes.extend(END);
    bytes
}

#[test]
fn trap_frames_may_be_cut_anywhere() {
    let bytes = sample();
    let whole = decode(&mut decoder(&sample_columns()), [&bytes[..]]).unwrap();
    assert_eq!(whole[0].num_rows(), 50);
    for size in (1..40).chain([100, 1000]) {
        let cut = decode(&mut decoder(&sample_columns()), bytes.chunks(size)).unwrap();
        assert_eq!(cut, whole, "frames of {size} bytes");
    }
}

#[test]
fn values_and_nulls_are_what_was_sent() {
    let batches = decode(&mut decoder(&sample_columns()), [&sample()[..]]).unwrap();
    let batch = &batches[0];
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().value(49), 49);
    let names = batch.column(1).as_string::<i32>();
    assert!(names.is_null(3) && !names.is_null(5) && names.value(5).is_empty(), "NULL is not ''");
    assert_eq!(batch.column(2).as_primitive::<Decimal128Type>().value(7), 707);
    assert_eq!(batch.column(3).as_string::<i32>().value(0), "{}");
    assert_eq!(batch.column(4).as_string::<i32>().value(0), "07070707-0707-0707-0707-070707070707");
}

#[test]
fn a_torn_stream_never_passes_for_a_whole_one() {
    let bytes = sample();
    for end in 0..bytes.len() {
        let error = decode(&mut decoder(&sample_columns()), [&bytes[..end]]).unwrap_err();
        assert_eq!(error.kind(), Kind::Failed, "cut at {end}");
    }
}

#[test]
fn flipped_bytes_are_errors_or_other_values_but_no_panic() {
    let bytes = sample();
    let mut refused = 0;
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            if let Err(error) = decode(&mut decoder(&sample_columns()), bytes.chunks(97)) {
                assert!(matches!(error.kind(), Kind::Failed | Kind::Data));
                refused += 1;
            }
        }
    }
    assert!(refused > bytes.len(), "most flips are noticed");
}

#[test]
fn batches_are_bounded_by_rows() {
    let mut bytes = HEADER.to_vec();
    for i in 0..i32::try_from(BATCH_ROWS).unwrap() * 2 + 1 {
        bytes.extend(row(&[Some(&i.to_be_bytes())]));
    }
    bytes.extend(END);
    for size in [bytes.len(), 1000] {
        let batches = decode(&mut decoder(&[("id", Type::INT4, -1)]), bytes.chunks(size)).unwrap();
        let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [BATCH_ROWS, BATCH_ROWS, 1]);
        assert_eq!(
            batches[2].column(0).as_primitive::<Int32Type>().value(0),
            2 * i32::try_from(BATCH_ROWS).unwrap()
        );
    }
}

#[test]
fn a_row_beyond_the_batch_size_makes_a_batch_of_its_own() {
    let large = vec![b'x'; BATCH_BYTES + 4_000_000];
    let mut frames = vec![HEADER.to_vec()];
    for text in [&b"a"[..], b"b", &large, b"c"] {
        frames.push(row(&[Some(text)]));
    }
    frames.push(END.to_vec());
    for size in [usize::MAX, 1 << 16] {
        let pieces = frames.iter().flat_map(|frame| frame.chunks(size.min(frame.len())));
        let batches = decode(&mut decoder(&[("t", Type::TEXT, -1)]), pieces).unwrap();
        let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows.iter().sum::<usize>(), 4);
        if size == usize::MAX {
            assert_eq!(rows, [2, 1, 1]);
        }
    }
}

#[test]
fn rows_without_columns_are_counted() {
    let bytes = [HEADER, &row(&[]), &row(&[]), END].concat();
    let batches = decode(&mut decoder(&[]), [&bytes[..]]).unwrap();
    assert_eq!((batches.len(), batches[0].num_rows()), (1, 2));
}

#[test]
fn null_where_none_can_be_is_refused() {
    let columns = [Column {
        name: "id".into(),
        source_type: "integer".into(),
        nullable: false,
        carried: Wire::Int4.carried(),
    }];
    let bytes = [HEADER, &row(&[None]), END].concat();
    let error = decode(&mut Decoder::new(&columns, [&Wire::Int4]).unwrap(), [&bytes[..]]).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
}

#[test]
fn what_is_not_carried_names_the_column_and_not_the_value() {
    for (t, modifier, value) in [
        (Type::DATE, -1, i32::MAX.to_be_bytes().to_vec()),
        (Type::TIMESTAMPTZ, -1, i64::MIN.to_be_bytes().to_vec()),
        (Type::TIMESTAMP, -1, (i64::MAX - 1).to_be_bytes().to_vec()),
        (Type::NUMERIC, (3 << 16) + 4, numeric(0, 0, &[4321])),
    ] {
        let bytes = [HEADER, &row(&[Some(&value)]), END].concat();
        let error = decode(&mut decoder(&[("when", t, modifier)]), [&bytes[..]]).unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.message().contains("`when`") && !error.to_string().contains("4321"));
    }
}

#[test]
fn a_value_that_is_not_carried_comes_with_what_to_write_in_the_spec() {
    let two_dimensions = [2, 0, 23, 1, 1, 1, 1].map(i32::to_be_bytes).concat();
    for (wire, value, narrow) in [
        (Wire::Numeric { precision: 5, scale: 2 }, numeric(0xC000, 0, &[]), Some("\"decimal(5,2)\"")),
        (Wire::Date, i32::MIN.to_be_bytes().to_vec(), Some("date")),
        (Wire::Timestamp, i64::MIN.to_be_bytes().to_vec(), Some("timestamp")),
        (Wire::TimestampTz, i64::MAX.to_be_bytes().to_vec(), Some("timestamptz")),
        (Wire::List(Box::new(Part { oid: 23, wire: Wire::Int4 })), two_dimensions, None),
    ] {
        let bytes = [HEADER, &row(&[Some(&value)]), END].concat();
        let error = decode(&mut decoder_of(&[("due", wire)]), [&bytes[..]]).unwrap_err();
        let narrow = narrow.map_or(String::new(), |narrow| {
            format!(", or such values as NULL: `columns: {{due: {{as: {narrow}, on_overflow: null}}}}`")
        });
        assert_eq!(
            error.remedy(),
            Some(format!("carry it as text: `columns: {{due: {{as: text}}}}`{narrow}").as_str())
        );
    }
}

/// An array of composite values `(text, int4[])`.
fn nested_wire() -> Wire {
    let numbers = Wire::List(Box::new(Part { oid: 23, wire: Wire::Int4 }));
    let members = vec![
        ("name".to_owned(), Part { oid: 25, wire: Wire::Text }),
        ("numbers".to_owned(), Part { oid: 1007, wire: numbers }),
    ];
    Wire::List(Box::new(Part { oid: 70_000, wire: Wire::Struct(members) }))
}

fn array(oid: u32, elements: &[Option<Vec<u8>>]) -> Vec<u8> {
    let count = i32::try_from(elements.len()).unwrap();
    let mut bytes = [1, 1].map(i32::to_be_bytes).concat();
    bytes.extend(oid.to_be_bytes());
    bytes.extend([count, 1].map(i32::to_be_bytes).concat());
    for element in elements {
        bytes.extend(part(element.as_deref()));
    }
    bytes
}

fn part(value: Option<&[u8]>) -> Vec<u8> {
    let Some(value) = value else { return (-1_i32).to_be_bytes().to_vec() };
    [&u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn record(name: Option<&[u8]>, numbers: Option<Vec<u8>>) -> Vec<u8> {
    let name = [&25_u32.to_be_bytes()[..], &part(name)].concat();
    let numbers = [&1007_u32.to_be_bytes()[..], &part(numbers.as_deref())].concat();
    [&2_i32.to_be_bytes()[..], &name, &numbers].concat()
}

fn nested_sample() -> Vec<u8> {
    let number = |n: i32| Some(n.to_be_bytes().to_vec());
    let empty = [0, 0, 23].map(i32::to_be_bytes).concat();
    let values = [
        Some(array(
            70_000,
            &[Some(record(Some(b"a"), Some(array(23, &[number(1), None, number(3)])))), None],
        )),
        None,
        Some(array(70_000, &[Some(record(None, Some(empty))), Some(record(Some(b""), None))])),
        Some([0, 0, 70_000].map(i32::to_be_bytes).concat()),
    ];
    let mut bytes = HEADER.to_vec();
    values.iter().for_each(|value| bytes.extend(row(&[value.as_deref()])));
    bytes.extend(END);
    bytes
}

#[test]
fn lists_and_structs_tell_null_from_empty_at_every_level() {
    let bytes = nested_sample();
    for size in [1, 7, bytes.len()] {
        let batches = decode(&mut decoder_of(&[("v", nested_wire())]), bytes.chunks(size)).unwrap();
        let lists = batches[0].column(0).as_list::<i32>();
        assert_eq!((0..4).map(|i| lists.is_null(i)).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!((0..4).map(|i| lists.value_length(i)).collect::<Vec<_>>(), [2, 0, 2, 0]);
        let structs = lists.values().as_struct();
        assert!(!structs.is_null(0) && structs.is_null(1));
        let names = structs.column(0).as_string::<i32>();
        assert!(names.value(0) == "a" && names.is_null(2) && !names.is_null(3) && names.value(3).is_empty());
        let numbers = structs.column(1).as_list::<i32>();
        assert!(!numbers.is_null(2) && numbers.value_length(2) == 0 && numbers.is_null(3));
        let first = numbers.value(0);
        let first: Vec<_> = first.as_primitive::<Int32Type>().iter().collect();
        assert_eq!(first, [Some(1), None, Some(3)]);
    }
}

#[test]
fn flipped_bytes_of_nested_values_are_errors_or_other_values_but_no_panic() {
    let bytes = nested_sample();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x02, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            if let Err(error) = decode(&mut decoder_of(&[("v", nested_wire())]), [&bytes[..]]) {
                assert!(matches!(error.kind(), Kind::Failed | Kind::Data | Kind::Temporary));
            }
        }
    }
}

#[test]
fn trap_an_array_that_is_no_plain_list_is_refused() {
    let wire = Wire::List(Box::new(Part { oid: 23, wire: Wire::Int4 }));
    let value = [1_i32, 4, 4, 4, 7].map(i32::to_be_bytes);
    for (head, kind) in [
        (vec![2, 0, 23, 1, 1, 1, 1], Kind::Data),
        (vec![1, 0, 23, 1, 0], Kind::Data),
        (vec![1, 0, 23, 1, 2], Kind::Data),
        (vec![7, 0, 23], Kind::Failed),
        (vec![-1, 0, 23], Kind::Failed),
        (vec![1, 0, 23, -1, 1], Kind::Failed),
        (vec![1, 0, 23, i32::MAX, 1], Kind::Failed),
        (vec![1, 0, 23, 0, 1], Kind::Failed),
        (vec![1, 0, 25, 1, 1], Kind::Temporary),
    ] {
        let head: Vec<u8> = head.into_iter().flat_map(i32::to_be_bytes).collect();
        let bytes = [HEADER, &row(&[Some(&[&head[..], &value[3..].concat()].concat())]), END].concat();
        let error = decode(&mut decoder_of(&[("v", wire.clone())]), [&bytes[..]]).unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn batches_are_bounded_by_what_values_become_and_not_by_what_is_sent() {
    // 10 bytes that say a number of 131,069 digits.
    let mut bytes = HEADER.to_vec();
    let large = numeric(0, i16::MAX, &[1]);
    (0..300).for_each(|_| bytes.extend(row(&[Some(&large)])));
    bytes.extend(END);
    let batches = decode(&mut decoder(&[("v", Type::NUMERIC, -1)]), [&bytes[..]]).unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 300);
    for batch in &batches {
        assert!(batch.column(0).as_string::<i32>().values().len() < BATCH_BYTES + 140_000);
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_also_where_two_halves_would_make_a_character() {
    let bytes = [HEADER, &row(&[Some(b"\xc3")]), &row(&[Some(b"\xa9")]), END].concat();
    let error = decode(&mut decoder(&[("t", Type::TEXT, -1)]), [&bytes[..]]).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
}

#[test]
fn the_bench_input_decodes() {
    let (rows, _) =
        crate::source::postgres::bench::decode(&crate::source::postgres::bench::lineitem(20_000)).unwrap();
    assert_eq!(rows, 20_000);
}
