use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema};
use futures::{StreamExt, TryStreamExt, stream};

use super::super::{Conversion, Decision, convert, converted};
use super::*;
use crate::error::Kind;
use crate::source::{Carried, Column};
use crate::spec::pipeline::{ColumnType, OnOverflow};

fn source(name: &str) -> Column {
    let carried = Carried::Refused { remedy: String::new() };
    Column { name: name.to_owned(), source_type: "numeric".to_owned(), nullable: false, carried }
}

/// Two decided columns behind one that passes untouched, none of which may be NULL.
fn sort(
    rows: &[(i64, &str, &str)],
    second: OnOverflow,
    rejects: Option<Rejects>,
) -> Result<Vec<RecordBatch>> {
    let amount = Conversion { to: ColumnType::Decimal(10, 2), on_overflow: OnOverflow::Quarantine };
    let day = Conversion { to: ColumnType::Date, on_overflow: second };
    let described = [source("amount"), source("day")];
    let rest = Field::new("rest", DataType::Int64, false);
    let fields = [
        rest,
        converted(&described[0], amount).field().unwrap(),
        converted(&described[1], day).field().unwrap(),
    ];
    let output = Arc::new(Schema::new(fields.to_vec()));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
    let amounts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
    let days: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)));
    let batch = RecordBatch::try_from_iter([("rest", numbers), ("amount", amounts), ("day", days)]).unwrap();
    let decisions = [Decision::of(&described[0], amount), Decision::of(&described[1], day)];
    let rows = convert(stream::iter([Ok(batch)]).boxed(), &decisions, &output, rejects);
    futures::executor::block_on(rows.try_collect())
}

#[test]
fn rows_that_do_not_fit_are_left_out_and_handed_over_as_they_came() {
    let (rejects, mut queue) = tokio::sync::mpsc::channel(1);
    let rows = [
        (1, "1.50", "2024-01-02"),
        (2, "NaN", "2024-01-02"),
        (3, "73519.4682", "infinity"),
        (4, "2", "2024-02-30"),
        (5, "-2.00", "2024-01-03"),
    ];
    let kept = sort(&rows, OnOverflow::Quarantine, Some(rejects)).unwrap();
    // What does not fit was NULL on the way, in columns that may hold none.
    assert_eq!(kept[0].column(0).as_primitive::<Int64Type>().values().as_ref(), [1, 5]);
    assert_eq!(kept[0].column(1).as_primitive::<Decimal128Type>().values().as_ref(), [150, -200]);

    let rejected = queue.try_recv().unwrap();
    assert_eq!(rejected.rows.column(0).as_primitive::<Int64Type>().values().as_ref(), [2, 3, 4]);
    let texts = |index: usize| {
        rejected.rows.column(index).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(texts(1), ["NaN", "73519.4682", "2"]);
    assert_eq!(texts(2), ["2024-01-02", "infinity", "2024-02-30"]);
    let reasons: Vec<_> = rejected.reasons.iter().flatten().collect();
    assert_eq!(
        reasons,
        [
            "amount: not exactly a decimal(10,2)",
            "amount: not exactly a decimal(10,2); day: not exactly a date",
            "day: not exactly a date",
        ]
    );
    assert!(queue.try_recv().is_err(), "all is handed over, and the queue ends with the stream");
    assert!(queue.is_closed());
}

#[test]
fn where_every_row_fits_nothing_is_handed_over_and_where_none_does_all_is() {
    let (rejects, mut queue) = tokio::sync::mpsc::channel(1);
    let kept = sort(&[(1, "1", "2024-01-02")], OnOverflow::Quarantine, Some(rejects.clone())).unwrap();
    assert_eq!(kept[0].num_rows(), 1);
    assert!(queue.try_recv().is_err());
    let kept = sort(&[(1, "x", "2024-01-02")], OnOverflow::Quarantine, Some(rejects)).unwrap();
    assert_eq!((kept[0].num_rows(), queue.try_recv().unwrap().rows.num_rows()), (0, 1));
}

#[test]
fn trap_a_row_that_is_rejected_for_one_column_still_fails_for_another() {
    let (rejects, mut queue) = tokio::sync::mpsc::channel(1);
    let error = sort(&[(1, "NaN", "infinity")], OnOverflow::Fail, Some(rejects)).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.message().contains("`day`"), "{error}");
    assert!(queue.try_recv().is_err(), "nothing of it is handed over");
}

#[test]
fn trap_rows_that_nobody_takes_are_not_lost() {
    let error = sort(&[(1, "NaN", "2024-01-02")], OnOverflow::Null, None).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    let (rejects, queue) = tokio::sync::mpsc::channel(1);
    drop(queue);
    let error = sort(&[(1, "NaN", "2024-01-02")], OnOverflow::Null, Some(rejects)).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
}
