use arrow::array::{Array, AsArray};
use arrow::datatypes::{Decimal128Type, Int32Type};
use tokio_postgres::types::Type;

use super::*;
use crate::error::Kind;
use crate::source::postgres::numeric::tests::wire as numeric;
use crate::source::postgres::types;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: &[u8] = b"\xff\xff";

fn decoder(columns: &[(&str, Type, i32)]) -> Decoder {
    let wires: Vec<_> = columns.iter().map(|(_, t, modifier)| Wire::of(t, *modifier).unwrap()).collect();
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, t, modifier)| Column {
            name: (*name).into(),
            source_type: t.name().into(),
            nullable: true,
            carried: types::carried(name, t, *modifier, None),
        })
        .collect();
    Decoder::new(&columns, &wires).unwrap()
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
    let error = decode(&mut Decoder::new(&columns, &[Wire::Int4]).unwrap(), [&bytes[..]]).unwrap_err();
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
