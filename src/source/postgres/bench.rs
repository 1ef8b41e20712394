//! For `benches/` and nothing else: the decoder without a server.

use bytes::Bytes;
use tokio_postgres::types::Type;

use super::decode::{Decoder, Pause};
use super::types::{Facts, Wire};
use crate::error::{Error, Result};
use crate::source::Column;

/// Type and `numeric` modifier of the columns that [`lineitem`] makes.
const LINEITEM: [(&str, Type, i32); 16] = [
    ("l_orderkey", Type::INT8, -1),
    ("l_partkey", Type::INT8, -1),
    ("l_suppkey", Type::INT8, -1),
    ("l_linenumber", Type::INT4, -1),
    ("l_quantity", Type::NUMERIC, NUMERIC_15_2),
    ("l_extendedprice", Type::NUMERIC, NUMERIC_15_2),
    ("l_discount", Type::NUMERIC, NUMERIC_15_2),
    ("l_tax", Type::NUMERIC, NUMERIC_15_2),
    ("l_returnflag", Type::BPCHAR, -1),
    ("l_linestatus", Type::BPCHAR, -1),
    ("l_shipdate", Type::DATE, -1),
    ("l_commitdate", Type::DATE, -1),
    ("l_receiptdate", Type::DATE, -1),
    ("l_shipinstruct", Type::BPCHAR, -1),
    ("l_shipmode", Type::BPCHAR, -1),
    ("l_comment", Type::VARCHAR, -1),
];
const NUMERIC_15_2: i32 = (15 << 16 | 2) + 4;

/// A binary COPY of `rows` rows shaped like TPC-H `lineitem`, one row to a frame as the server sends it.
#[must_use]
pub fn lineitem(rows: u32) -> Vec<Bytes> {
    let mut frames = Vec::with_capacity(rows as usize + 2);
    frames.push(Bytes::from_static(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"));
    for row in 0..rows {
        let mut frame = vec![0, 16];
        let [_, _, high, low] = row.to_be_bytes();
        let seed = u16::from_be_bytes([high, low]);
        for key in [u64::from(row) / 4, u64::from(row) * 7919 % 200_000, u64::from(row) % 10_000] {
            put(&mut frame, &key.to_be_bytes());
        }
        put(&mut frame, &(row % 7).to_be_bytes());
        put(&mut frame, &numeric(&[1 + seed % 50], 0));
        put(&mut frame, &numeric(&[1 + seed % 9, seed % 10_000, seed % 100 * 100], 1));
        put(&mut frame, &numeric(&[seed % 11 * 100], -1));
        put(&mut frame, &numeric(&[seed % 9 * 100], -1));
        put(&mut frame, b"N");
        put(&mut frame, b"O");
        for days in [0, 30, 45] {
            put(&mut frame, &(days + row % 2500).to_be_bytes());
        }
        put(&mut frame, b"DELIVER IN PERSON        ");
        put(&mut frame, b"TRUCK     ");
        let comment = &b"furiously even packages nag carefully after the "[..10 + row as usize % 38];
        put(&mut frame, comment);
        frames.push(frame.into());
    }
    frames.push(Bytes::from_static(b"\xff\xff"));
    frames
}

#[expect(clippy::cast_possible_truncation, reason = "the values made here are a few bytes long")]
fn put(frame: &mut Vec<u8>, value: &[u8]) {
    frame.extend((value.len() as u32).to_be_bytes());
    frame.extend(value);
}

#[expect(clippy::cast_possible_truncation, reason = "the numbers made here have a few digits")]
fn numeric(digits: &[u16], weight: i16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + 2 * digits.len());
    bytes.extend((digits.len() as u16).to_be_bytes());
    bytes.extend(weight.to_be_bytes());
    bytes.extend([0, 0, 0, 2]);
    bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
    bytes
}

/// Decodes what [`lineitem`] made; gives rows and Arrow bytes.
///
/// # Errors
/// As the decoder's.
pub fn decode(frames: &[Bytes]) -> Result<(u64, u64)> {
    let wires: Vec<Wire> = LINEITEM
        .iter()
        .filter_map(|(_, data_type, modifier)| Wire::scalar(data_type.oid(), *modifier, Facts::default()))
        .collect();
    let columns: Vec<Column> = LINEITEM
        .iter()
        .zip(&wires)
        .map(|((name, data_type, _), wire)| Column {
            name: (*name).to_owned(),
            source_type: data_type.name().to_owned(),
            nullable: false,
            carried: wire.carried(),
        })
        .collect();
    let mut decoder = Decoder::new(&columns, &wires)?;
    let (mut rows, mut bytes) = (0, 0);
    let mut count = |batch: Option<arrow::record_batch::RecordBatch>| {
        if let Some(batch) = batch {
            rows += batch.num_rows() as u64;
            bytes += batch.get_array_memory_size() as u64;
        }
        Ok::<_, Error>(())
    };
    for frame in frames {
        let mut rest = frame.as_ref();
        while decoder.feed(&mut rest)? == Pause::Full {
            count(decoder.take()?)?;
        }
    }
    decoder.end_copy()?;
    count(decoder.take()?)?;
    Ok((rows, bytes))
}
