//! The contract, and reading in parallel.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use sealift::error::Kind;
use sealift::source::mysql::Mysql;
use sealift::source::{Gate, Relation, Source};
use sealift::spec::config::{self, Limits, Throttle};

use super::{columns, query, read, relation, shown, snapshot, table};
use crate::conformance::{Expected, Rows, conforms};
use crate::servers::mariadb::Database;

/// How many rows it takes to be worth several pieces.
const ROWS: i64 = 20_000;

#[tokio::test]
async fn mariadb_keeps_the_contract_of_a_source() {
    let database = Database::create().await;
    database
        .run(&[
            "CREATE TABLE things (id bigint PRIMARY KEY, name varchar(20), price decimal(12,2), made date, seen timestamp(6) NULL, \
             wide varchar(100) NOT NULL)",
            &format!(
                "INSERT INTO things SELECT seq, CASE seq MOD 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE CONCAT('n', seq) END, \
                 IF(seq MOD 7, seq / 4, NULL), DATE '1999-12-31' + INTERVAL seq MOD 400 DAY, \
                 TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq MICROSECOND, REPEAT('w', 100) FROM seq_1_to_{ROWS}"
            ),
            "ANALYZE TABLE things",
        ])
        .await;
    let rows: Rows = database
        .rows(
            "SELECT id, name, price, made, CONCAT(REPLACE(TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM seen)), ' ', 'T'), 'Z'), wide \
             FROM things",
        )
        .await
        .into_iter()
        .map(|mut row| {
            // As Arrow shows fractions: three digits or six.
            row[4] = row[4].as_deref().map(fraction);
            row
        })
        .collect();
    let stream: &'static str = format!("{}.things", database.name).leak();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let expected = Expected {
        stream,
        fields: vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("price", DataType::Decimal128(12, 2), true),
            Field::new("made", DataType::Date32, true),
            Field::new("seen", utc, true),
            Field::new("wide", DataType::Utf8, false),
        ],
        rows,
        missing: (table(&database.name, "thingz"), "things"),
    };
    let settings = database.settings();
    let source = Box::new(Mysql::new(&settings, Arc::new(Gate::new(settings.limits))).unwrap());
    conforms(source, table(&database.name, "things"), expected).await;
}

fn fraction(text: &str) -> String {
    let bare = text.trim_end_matches('Z');
    match bare.split_once('.') {
        Some((whole, digits)) if digits.len() <= 3 => format!("{whole}.{digits:0<3}Z"),
        Some((whole, digits)) => format!("{whole}.{digits:0<6}Z"),
        None => format!("{bare}Z"),
    }
}

/// A table with many rows of some width, keyed as `key` says of `seq`.
async fn filled(database: &Database, name: &str, definition: &str, key: &str) {
    database
        .run(&[
            &format!("CREATE TABLE {name} ({definition}, v bigint NOT NULL, wide varchar(200) NOT NULL)"),
            &format!("INSERT INTO {name} SELECT {key}, seq, REPEAT('w', 200) FROM seq_1_to_{ROWS}"),
            &format!("ANALYZE TABLE {name}"),
        ])
        .await;
}

/// How many statements of a read the server saw, and the sum of what came.
async fn read_counted(database: &Database, mut relation: Relation, split_by: Option<&str>) -> (i64, u64) {
    relation.split_by = split_by.map(str::to_owned);
    let mut snapshot = snapshot(&database.settings()).await;
    let columns = snapshot.describe(&relation).await.unwrap().columns;
    let wanted: Vec<_> = columns.into_iter().filter(|c| c.name == "v" || c.name == "wide").collect();
    let stream = snapshot.read(&relation, &wanted).await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows as i64, ROWS);
    let sum = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).sum();
    (sum, batches.len() as u64)
}

#[tokio::test]
async fn every_row_is_read_once_whatever_the_key() {
    let database = Database::create().await;
    let all = ROWS * (ROWS + 1) / 2;
    for (name, definition, key, split_by) in [
        ("even", "k int PRIMARY KEY", "seq", None),
        (
            "skewed",
            "k bigint unsigned PRIMARY KEY",
            "IF(seq MOD 1000 = 0, 18446744073709551615 - seq, seq)",
            None,
        ),
        ("negative", "k bigint PRIMARY KEY", "CAST(seq AS SIGNED) * 1000003 - 9000000000", None),
        ("text_key", "k varchar(20) PRIMARY KEY", "seq", None),
        ("no_key", "k int", "seq", None),
        ("nulls", "k int, INDEX (k)", "IF(seq MOD 3, seq, NULL)", Some("k")),
        ("only_null", "k int, INDEX (k)", "NULL", Some("k")),
        (
            "dated",
            "k date, INDEX (k)",
            "IF(seq MOD 5, DATE '2020-01-01' + INTERVAL seq MOD 900 DAY, '0000-00-00')",
            Some("k"),
        ),
        (
            "stamped",
            "k timestamp NULL, INDEX (k)",
            "TIMESTAMP('2020-01-01') + INTERVAL seq MINUTE",
            Some("k"),
        ),
        ("no_index", "k datetime(3)", "TIMESTAMP('2020-01-01') + INTERVAL seq SECOND", Some("k")),
        (
            "required_date",
            "k date NOT NULL, INDEX (k)",
            "IF(seq MOD 5, DATE '2020-01-01', '0000-00-00')",
            Some("k"),
        ),
    ] {
        filled(&database, name, definition, key).await;
        let mut shot = snapshot(&database.settings()).await;
        let found = relation(shot.as_mut(), &table(&database.name, name)).await;
        drop(shot);
        assert_eq!(read_counted(&database, found, split_by).await.0, all, "{name}");
    }
    let mut shot = snapshot(&database.settings()).await;
    let mut found = relation(shot.as_mut(), &query("SELECT k, v, wide FROM nulls")).await;
    found.split_by = Some("k".into());
    drop(shot);
    assert_eq!(read_counted(&database, found, Some("k")).await.0, all, "a query");
}

#[tokio::test]
async fn several_connections_read_a_large_table() {
    let database = Database::create().await;
    filled(&database, "big", "k int PRIMARY KEY", "seq").await;
    let mut snapshot = snapshot(&database.settings()).await;
    assert!(snapshot.consistency().contains("shared by 3 connections"), "{}", snapshot.consistency());
    let found = relation(snapshot.as_mut(), &table(&database.name, "big")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns).await.unwrap();
    // Several workers give their first rows before any gives its last: keys come out of order.
    let mut keys = Vec::new();
    while let Some(batch) = stream.try_next().await.unwrap() {
        keys.extend(batch.column(0).as_primitive::<arrow::datatypes::Int32Type>().values().to_vec());
    }
    assert!(!keys.is_sorted(), "one connection read it all in the order of the key");
    keys.sort_unstable();
    assert_eq!(keys, (1..=ROWS as i32).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_column_to_split_by_must_be_fit_for_it() {
    let database = Database::create().await;
    filled(&database, "t", "k varchar(20), x double", "seq, seq").await;
    let mut snapshot = snapshot(&database.settings()).await;
    let mut found = relation(snapshot.as_mut(), &table(&database.name, "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    for column in ["k", "x", "nothing"] {
        found.split_by = Some(column.into());
        let Err(error) = snapshot.read(&found, &columns).await else { panic!("{column}") };
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    }
}

/// Statements that users other than the asking session run in this database.
async fn running(database: &Database) -> u64 {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND COMMAND IN ('Query', 'Execute') \
         AND ID <> CONNECTION_ID()",
        database.name
    );
    database.one(&sql).await.parse().unwrap()
}

async fn until_nothing_runs(database: &Database) {
    for _ in 0..200 {
        if running(database).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a statement still runs: {:?}", database.rows("SHOW PROCESSLIST").await);
}

#[tokio::test]
async fn a_dropped_stream_leaves_no_statement_running() {
    let database = Database::create().await;
    filled(&database, "big", "k int PRIMARY KEY", "seq").await;
    let mut snapshot = snapshot(&database.settings()).await;
    // Endless as far as a test can tell, and without a row for a long time.
    for sql in [
        "SELECT a.v FROM big a, big b, big c",
        "SELECT COUNT(*) AS v FROM big a, big b, big c WHERE SLEEP(0) = 0",
    ] {
        let found = relation(snapshot.as_mut(), &query(sql)).await;
        let columns = snapshot.describe(&found).await.unwrap().columns;
        let mut stream = snapshot.read(&found, &columns).await.unwrap();
        let first = tokio::time::timeout(Duration::from_millis(300), stream.try_next()).await;
        assert_eq!(first.is_ok(), sql.starts_with("SELECT a.v"));
        assert!(running(&database).await > 0);
        drop(stream);
        until_nothing_runs(&database).await;
        // The same snapshot serves on.
        let rows = shown(&read(snapshot.as_mut(), &query("SELECT COUNT(*) AS n FROM big")).await.unwrap());
        assert_eq!(rows, [[Some(ROWS.to_string())]]);
    }
    // Given up while it is asked where to cut.
    let mut found = relation(snapshot.as_mut(), &query("SELECT a.v FROM big a, big b, big c")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    found.split_by = Some("v".into());
    let asked = tokio::time::timeout(Duration::from_millis(300), snapshot.read(&found, &columns)).await;
    assert!(asked.is_err(), "the question was answered");
    assert!(running(&database).await > 0);
    drop(snapshot);
    until_nothing_runs(&database).await;
}

#[tokio::test]
async fn limits_bound_the_connections() {
    let database = Database::create().await;
    let connections = async || {
        let sql =
            format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{}'", database.name);
        database.one(&sql).await.parse::<u64>().unwrap() - 1
    };
    let settings =
        config::Mysql { limits: Limits { connections: Some(3), ..Limits::default() }, ..database.settings() };
    let gate = Arc::new(Gate::new(settings.limits));
    let source = Mysql::new(&settings, gate).unwrap();
    let first = source.snapshot().await.unwrap();
    // The one that held the lock says goodbye, and the server may take a moment to hear it.
    let mut open = connections().await;
    for _ in 0..100 {
        if open == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        open = connections().await;
    }
    assert_eq!(open, 3);
    let waits = tokio::time::timeout(Duration::from_millis(200), source.snapshot()).await;
    assert!(waits.is_err(), "a fourth connection was opened");
    drop(first);
    let _second = source.snapshot().await.unwrap();
}

#[tokio::test]
async fn a_read_stands_still_while_the_source_is_overloaded() {
    let database = Database::create().await;
    database.run(&["CREATE TABLE busy (load_now int)", "INSERT INTO busy VALUES (90)"]).await;
    database.run(&["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"]).await;
    let throttle = |sql: &str| Throttle {
        query: sql.into(),
        slow_above: 10,
        pause_above: 50,
        every: Duration::from_millis(50),
    };
    let settings =
        config::Mysql { throttle: Some(throttle("SELECT load_now FROM busy")), ..database.settings() };
    let mut snapshot = snapshot(&settings).await;
    let found = relation(snapshot.as_mut(), &table(&database.name, "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns).await.unwrap();
    let paused = tokio::time::timeout(Duration::from_millis(400), stream.try_next()).await;
    assert!(paused.is_err(), "a batch came while the source was overloaded");
    database.run(&["UPDATE busy SET load_now = 0"]).await;
    assert_eq!(stream.try_next().await.unwrap().unwrap().num_rows(), 1);
    for wrong in ["SELECT 1, 2, 3", "SELECT 'x'", "SELECT", "SELECT 1 WHERE FALSE"] {
        let error =
            super::no_snapshot(&config::Mysql { throttle: Some(throttle(wrong)), ..settings.clone() }).await;
        assert_eq!(error.kind(), Kind::Invalid, "{wrong}: {error}");
    }
}

#[tokio::test]
async fn columns_that_changed_since_they_were_described_are_not_read() {
    let database = Database::create().await;
    database.run(&["CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1, 2)"]).await;
    let mut snapshot = snapshot(&database.settings()).await;
    let found = relation(snapshot.as_mut(), &table(&database.name, "t")).await;
    let described = columns(snapshot.as_mut(), &table(&database.name, "t")).await;
    // Describing holds no lock that would keep others from altering the table.
    database.run(&["SET lock_wait_timeout = 5", "ALTER TABLE t MODIFY b bigint", "TRUNCATE TABLE t"]).await;
    let error = match snapshot.read(&found, &described).await {
        Ok(stream) => stream.try_collect::<Vec<RecordBatch>>().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    database.run(&["DROP TABLE t"]).await;
}
