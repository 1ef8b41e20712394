//! A source may give more rows than a bound asks for, and never fewer.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use sealift::source::{Bound, Carried, Column, Literal, Relation, Snapshot};

use super::{Rows, sorted, texts};

/// A row, and its values of the columns that a bound is over.
type Keyed = (Vec<Option<String>>, Vec<Option<Literal>>);

/// Asks for ranges of every column that may be a cursor, and of every two that are neighbours.
pub(super) async fn check(snapshot: &mut dyn Snapshot, relation: &Relation, columns: &[Column]) {
    let places: Vec<usize> = (0..columns.len()).filter(|place| is_cursor(&columns[*place])).collect();
    assert!(!places.is_empty(), "the relation needs a column that may be a cursor");
    let single = places.iter().map(|place| vec![*place]);
    let pairs = places.windows(2).map(<[usize]>::to_vec);
    for places in single.chain(pairs).collect::<Vec<_>>() {
        let batches = read(snapshot, relation, columns).await;
        let whole: Vec<Keyed> = batches.iter().flat_map(|batch| keyed(batch, &places)).collect();
        let mut values: Vec<Vec<Literal>> =
            whole.iter().filter_map(|(_, key)| key.iter().cloned().collect()).collect();
        values.sort();
        let Some(middle) = values.get(values.len() / 2).cloned() else { continue };
        let least = values.first().cloned();
        for (from, before, or_null) in [
            (Some(middle.clone()), None, true),
            (Some(middle.clone()), None, false),
            (Some(middle[..1].to_vec()), None, true),
            (None, Some(middle.clone()), false),
            (least, Some(middle), true),
        ] {
            let names = places.iter().map(|place| columns[*place].name.clone()).collect();
            let bound = Bound { columns: names, from, before, or_null };
            let asked = Relation { bound: Some(bound.clone()), ..relation.clone() };
            let given = read(snapshot, &asked, columns).await;
            let given = sorted(given.iter().flat_map(texts).collect());
            let wanted = whole.iter().filter(|(_, key)| is_within(&bound, key)).map(|(row, _)| row.clone());
            holds_all(&given, sorted(wanted.collect()), &bound.columns);
            holds_all(&sorted(whole.iter().map(|(row, _)| row.clone()).collect()), given, &bound.columns);
        }
    }
}

fn is_cursor(column: &Column) -> bool {
    let Carried::Exact(data_type) = &column.carried else { return false };
    matches!(
        data_type,
        DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::Date32
            | DataType::Timestamp(..)
    )
}

async fn read(snapshot: &mut dyn Snapshot, relation: &Relation, columns: &[Column]) -> Vec<RecordBatch> {
    snapshot.read(relation, columns).await.unwrap().try_collect().await.unwrap()
}

fn keyed(batch: &RecordBatch, places: &[usize]) -> Vec<Keyed> {
    let columns: Vec<Vec<Option<Literal>>> =
        places.iter().map(|place| literals(batch.column(*place))).collect();
    let key = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
    texts(batch).into_iter().enumerate().map(|(row, text)| (text, key(row))).collect()
}

fn literals(column: &ArrayRef) -> Vec<Option<Literal>> {
    match column.data_type() {
        DataType::Decimal128(_, scale) => column
            .as_primitive::<Decimal128Type>()
            .iter()
            .map(|value| value.map(|value| Literal::Decimal(value, *scale)))
            .collect(),
        DataType::Utf8 => column
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(|text| Literal::Text(text.to_owned())))
            .collect(),
        DataType::Date32 => {
            column.as_primitive::<Date32Type>().iter().map(|days| days.map(Literal::Date)).collect()
        }
        DataType::Timestamp(_, zone) => {
            let of = if zone.is_some() { Literal::Instant } else { Literal::Timestamp };
            column.as_primitive::<TimestampMicrosecondType>().iter().map(|at| at.map(of)).collect()
        }
        _ => {
            let wide = cast(column, &DataType::Int64).unwrap();
            wide.as_primitive::<Int64Type>().iter().map(|value| value.map(Literal::Integer)).collect()
        }
    }
}

fn is_within(bound: &Bound, key: &[Option<Literal>]) -> bool {
    let Some(key) = key.iter().cloned().collect::<Option<Vec<Literal>>>() else { return bound.or_null };
    let past = |least: &Vec<Literal>| key[..least.len()] >= least[..];
    let below = |most: &Vec<Literal>| key[..most.len()] < most[..];
    bound.from.as_ref().is_none_or(past) && bound.before.as_ref().is_none_or(below)
}

/// Whether rows, both sorted, hold the others, each as often.
fn holds_all(rows: &Rows, others: Rows, columns: &[String]) {
    let mut rows = rows.iter();
    for other in others {
        assert!(rows.any(|row| *row == other), "a row is missing that a bound over {columns:?} asks for");
    }
}
