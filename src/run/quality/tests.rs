use std::collections::BTreeMap;

use arrow::array::{ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Field;
use futures::{StreamExt as _, TryStreamExt as _};

use super::*;
use crate::error::Kind;
use crate::keys::Keyring;
use crate::publish::Facts;
use crate::spec::config;
use crate::spec::pipeline::Position;
use crate::spec::quality::OnFail;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

fn batch(ids: &[Option<i64>], days: &[Option<i32>]) -> RecordBatch {
    let columns: [(&str, ArrayRef, bool); 2] = [
        ("id", Arc::new(Int64Array::from(ids.to_vec())), true),
        ("day", Arc::new(Date32Array::from(days.to_vec())), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// What is found wrong with batches of one shape: the error, or the warnings and the facts.
async fn judged(
    demand: Demand,
    on_fail: OnFail,
    batches: Vec<RecordBatch>,
    last: Option<Facts>,
) -> Result<(Vec<String>, Facts)> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("lake");
    let store = Store::open(&config::Store::File { root }).unwrap();
    let keys = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
    let keyring = Keyring::open(&keys, &|_| {}).await.unwrap();
    let rows = batches[0].schema();
    let check = Check { demand, on_fail, position: Position { line: 7, column: 1 } };
    let test = test(&store, &check.demand, &rows).await?;
    let open = (0..rows.fields().len()).collect();
    let quality = Quality { checks: Arc::new(vec![Planned { check, test }]), rows, open };
    let against =
        Against { keyring: &keyring, store: &store, memory_limit_bytes: 256_000_000, now_micros: 20 * DAY };
    let shared = Shared::default();
    let batches = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
    let passed = quality.judge(batches, &against, &shared, None).await?;
    let _: Vec<RecordBatch> = passed.try_collect().await?;
    let tally = shared.lock().unwrap().clone();
    Ok((quality.conclude(&tally, last.as_ref())?, tally.facts()))
}

async fn warnings(demand: Demand, batches: Vec<RecordBatch>, last: Option<Facts>) -> Vec<String> {
    judged(demand, OnFail::Warn, batches, last).await.unwrap().0
}

fn days(days: &[Option<i32>]) -> RecordBatch {
    batch(&vec![None; days.len()], days)
}

fn ids(ids: &[Option<i64>]) -> RecordBatch {
    batch(ids, &vec![None; ids.len()])
}

#[tokio::test]
async fn a_key_that_repeats_is_found_across_batches_and_null_is_no_key() {
    let unique = || Demand::Unique(vec!["id".to_owned()]);
    let once = [Some(1), None, Some(2), None];
    assert!(warnings(unique(), vec![ids(&once), ids(&[None])], None).await.is_empty());
    let found = warnings(unique(), vec![ids(&once), ids(&[Some(2), Some(3), Some(2)])], None).await;
    assert_eq!(found, ["unique [id]: 2 rows repeat a key"]);
    let error = judged(unique(), OnFail::Fail, vec![ids(&[Some(4), Some(4)])], None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert_eq!(error.message(), "unique [id]: 1 row repeats a key (line 7 of the pipeline)");
}

#[test]
fn what_is_remembered_of_keys_is_bounded() {
    let mut seen = keys::Seen::bounded(64 * 3);
    assert!(seen.insert(1).unwrap() && seen.insert(2).unwrap() && !seen.insert(1).unwrap());
    assert!(seen.insert(3).unwrap());
    let error = seen.insert(4).unwrap_err();
    assert!(error.remedy().unwrap().contains("memory_limit_mb"), "{error}");
}

#[test]
fn keys_of_different_types_agree_where_their_values_do() {
    let own =
        RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![7, 8])) as ArrayRef)]).unwrap();
    let other = RecordBatch::try_from_iter([("m", Arc::new(Int64Array::from(vec![8, 1 << 40])) as ArrayRef)]);
    let key = Key::new(&own.schema(), &[0], Some(&[DataType::Int64])).unwrap();
    let own = key.hashing().unwrap().hashes(&own).unwrap();
    let other = key.of_all().unwrap().hashes(&other.unwrap()).unwrap();
    assert_eq!(own[1], other[0]);
    assert!(own[0] != other[0] && own[0] != other[1]);
    let text = Schema::new(vec![Field::new("t", DataType::Utf8, true)]);
    assert_eq!(Key::new(&text, &[0], Some(&[DataType::Int64])).unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn the_newest_value_counts_and_none_is_not_old() {
    let fresh = || Demand::Freshness { column: "day".to_owned(), max_age: Duration::from_secs(2 * 86_400) };
    assert!(warnings(fresh(), vec![days(&[Some(3), Some(18)]), days(&[None])], None).await.is_empty());
    assert!(warnings(fresh(), vec![days(&[None])], None).await.is_empty());
    let found = warnings(fresh(), vec![days(&[Some(3), Some(17)])], None).await;
    assert_eq!(found, ["freshness of day: the newest value is older than `max_age`"]);
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let texts = RecordBatch::try_from_iter([("day", texts)]).unwrap();
    assert_eq!(judged(fresh(), OnFail::Warn, vec![texts], None).await.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn drift_is_told_beyond_its_bounds_only() {
    let rows = |percent| Demand::Drift { rows_percent: Some(percent), nulls_points: None };
    let nulls = |points| Demand::Drift { rows_percent: None, nulls_points: Some(points) };
    let last = |rows, nulls| Some(Facts { rows, nulls: BTreeMap::from([("id".to_owned(), nulls)]) });
    let three = || vec![ids(&[Some(1), Some(2), None])];
    assert!(warnings(rows(50), three(), last(2, 0)).await.is_empty());
    assert_eq!(warnings(rows(49), three(), last(2, 0)).await, ["drift: 3 rows, and 2 the last time"]);
    assert!(warnings(rows(0), three(), None).await.is_empty(), "there is nothing to compare with");
    assert!(warnings(rows(0), three(), last(0, 0)).await.is_empty());
    // A third is NULL now, and a half was.
    assert!(warnings(nulls(17), three(), last(2, 1)).await.is_empty());
    assert_eq!(
        warnings(nulls(16), three(), last(2, 1)).await,
        ["drift: another share of NULL in `id` than the last time"]
    );
    let (_, facts) = judged(rows(0), OnFail::Warn, three(), None).await.unwrap();
    let expected = BTreeMap::from([("id".to_owned(), 1), ("day".to_owned(), 3)]);
    assert_eq!(facts, Facts { rows: 3, nulls: expected });
}

#[tokio::test]
async fn a_column_that_is_not_there_is_told_with_the_nearest() {
    let error = judged(Demand::NotNull(vec!["idd".to_owned()]), OnFail::Fail, vec![ids(&[])], None).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (Kind::Invalid, Some("did you mean `id`?")));
}

/// Checks that are only told, each with its test.
fn told(tests: Vec<(Demand, Test)>) -> Vec<Planned> {
    let position = Position { line: 7, column: 1 };
    let planned = |(demand, test)| Planned { check: Check { demand, on_fail: OnFail::Warn, position }, test };
    tests.into_iter().map(planned).collect()
}

#[test]
fn what_is_found_of_parts_adds_up() {
    let key = Key::new(&ids(&[]).schema(), &[0], None).unwrap();
    let checks = told(vec![
        (Demand::Unique(vec!["id".to_owned()]), Test::Unique(key)),
        (Demand::RowCount { min: None, max: Some(6) }, Test::RowCount { min: None, max: Some(6) }),
    ]);
    let mut tally = Tally::default();
    let facts = |rows, nulls| Facts { rows, nulls: BTreeMap::from([("id".to_owned(), nulls)]) };
    tally.add(facts(4, 1), BTreeMap::from([(0, 1000)]));
    tally.add(facts(3, 2), BTreeMap::from([(0, 0)]));
    assert_eq!(tally.facts(), facts(7, 3));
    let warnings = outcome::conclude(&checks, &tally, None).unwrap();
    let texts: Vec<&str> = warnings.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["unique [id]: 1000 rows repeat a key", "row_count: 7 rows, and at most 6 are due"]);
}

#[test]
fn rows_that_are_published_already_are_none_that_the_run_brings() {
    let (rows, shared) = (ids(&[Some(1), None, Some(3)]), Shared::default());
    let quality = Quality { checks: Arc::default(), rows: rows.schema(), open: vec![0] };
    let mut keep = quality
        .brought(Box::new(|_| Ok(arrow::array::BooleanArray::from(vec![false, false, true]))), &shared);
    assert_eq!(keep(&rows).unwrap().true_count(), 1);
    let mut tally = shared.lock().unwrap();
    tally.add(Facts { rows: 3, nulls: BTreeMap::from([("id".to_owned(), 1)]) }, BTreeMap::new());
    assert_eq!(tally.facts(), Facts { rows: 1, nulls: BTreeMap::from([("id".to_owned(), 0)]) });
}

#[test]
fn a_value_that_the_other_type_does_not_hold_has_no_counterpart() {
    let own: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1.0, 1.5, 3.0]));
    let own = RecordBatch::try_from_iter([("n", own)]).unwrap();
    let other = RecordBatch::try_from_iter([("m", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]);
    let key = Key::new(&own.schema(), &[0], Some(&[DataType::Int64])).unwrap();
    let theirs = key.of_all().unwrap().hashes(&other.unwrap()).unwrap();
    let found = key.hashing().unwrap().hashes(&own).unwrap().into_iter().map(|hash| theirs.contains(&hash));
    assert_eq!(found.collect::<Vec<_>>(), [true, false, false]);
    let instant = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
    assert_eq!(Key::new(&own.schema(), &[0], Some(&[instant])).unwrap_err().kind(), Kind::Invalid);
}
