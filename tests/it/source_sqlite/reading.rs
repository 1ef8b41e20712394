//! One instant, bounded batches, and an end when it is asked for.

use std::time::Duration;

use futures::TryStreamExt;
use sealift::error::Kind;
use sealift::source::{BATCH_BYTES, BATCH_ROWS};
use serde_json::json;

use super::{file, first, no_snapshot, path, query, read, relation, rows, run_elsewhere, snapshot, table};
use crate::house::{House, python};

#[tokio::test]
async fn a_writer_in_another_process_changes_nothing_of_what_is_read() {
    let sql = "PRAGMA journal_mode = wal; CREATE TABLE a (v INT); CREATE TABLE b (v INT); \
        INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)";
    let folder = file(sql).await;
    let mut old = snapshot(&folder).await;
    assert!(old.consistency().contains("writers go on"), "{}", old.consistency());
    assert_eq!(old.id(), None);
    assert!(run_elsewhere(&path(&folder), "INSERT INTO a VALUES (2); UPDATE b SET v = 7"));
    assert_eq!(first(&read(old.as_mut(), &table("a")).await.unwrap()).len(), 1);
    assert!(run_elsewhere(&path(&folder), "DELETE FROM b; DROP TABLE a"));
    assert_eq!(first(&read(old.as_mut(), &table("b")).await.unwrap()), [Some("1".to_owned())]);
    let mut later = snapshot(&folder).await;
    assert!(first(&read(later.as_mut(), &table("b")).await.unwrap()).is_empty());
}

#[tokio::test]
async fn trap_without_wal_a_writer_waits_until_the_snapshot_ends() {
    let folder = file("CREATE TABLE a (v INT); INSERT INTO a VALUES (1)").await;
    let mut old = snapshot(&folder).await;
    assert!(old.consistency().contains("writers wait"), "{}", old.consistency());
    let id = old.id().unwrap();
    // A second snapshot that comes and goes must not take the first one's lock with it.
    let second = snapshot(&folder).await;
    assert_eq!(second.id().unwrap(), id);
    drop(second);
    assert!(!run_elsewhere(&path(&folder), "INSERT INTO a VALUES (2)"), "the file is not held");
    assert_eq!(first(&read(old.as_mut(), &table("a")).await.unwrap()).len(), 1);
    drop(old);
    for _ in 0..100 {
        if run_elsewhere(&path(&folder), "INSERT INTO a VALUES (2)") {
            assert_ne!(snapshot(&folder).await.id().unwrap(), id);
            return;
        }
    }
    panic!("the file is still held");
}

#[tokio::test]
async fn batches_are_bounded_and_nothing_is_lost_between_them() {
    let folder = file(
        "CREATE TABLE t (n INT, pad TEXT); WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 50000) \
         INSERT INTO t SELECT n, 'x' FROM g; UPDATE t SET pad = hex(zeroblob(12000000)) WHERE n IN (5, 6)",
    )
    .await;
    let mut snapshot = snapshot(&folder).await;
    let batches = read(snapshot.as_mut(), &table("t")).await.unwrap();
    assert!(batches.iter().all(|b| b.num_rows() <= BATCH_ROWS));
    assert!(batches.iter().filter(|b| b.num_rows() > 1).all(|b| b.get_array_memory_size() < 3 * BATCH_BYTES));
    assert_eq!(batches.iter().filter(|b| b.num_rows() == 1).count(), 2, "two rows larger than a batch");
    let mut numbers: Vec<u32> = first(&batches).into_iter().flatten().map(|n| n.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=50_000));
}

#[tokio::test]
async fn a_query_that_gives_no_row_stops_when_its_stream_is_dropped() {
    let folder = file("CREATE TABLE t (v INT); INSERT INTO t VALUES (1)").await;
    let mut snapshot = snapshot(&folder).await;
    let sql = "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g) SELECT max(n) AS n FROM g";
    let endless = relation(snapshot.as_mut(), &query(sql)).await;
    let columns = snapshot.describe(&endless).await.unwrap().columns;
    let stream = snapshot.read(&endless, &columns).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    assert_eq!(first(&read(snapshot.as_mut(), &table("t")).await.unwrap()).len(), 1);
}

#[tokio::test]
async fn two_reads_at_once_are_refused() {
    let folder = file("CREATE TABLE t (v INT); INSERT INTO t VALUES (1)").await;
    let mut snapshot = snapshot(&folder).await;
    let found = relation(snapshot.as_mut(), &table("t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns).await.unwrap();
    assert_eq!(snapshot.read(&found, &columns).await.err().unwrap().kind(), Kind::Failed);
    assert!(stream.try_next().await.unwrap().is_some(), "the first goes on");
}

#[tokio::test]
async fn wildcards_find_tables_and_views_sorted() {
    let folder = file(
        "CREATE TABLE orders (v INT); CREATE TABLE \"Order Lines\" (v INT); CREATE VIEW order_view AS SELECT 1 AS v; \
         CREATE TABLE other (v INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE \"odd\"\"name\" (\"a\"\"b\" INT); INSERT INTO \"odd\"\"name\" VALUES (4)",
    )
    .await;
    let mut snapshot = snapshot(&folder).await;
    let names = |found: Vec<sealift::source::Relation>| -> Vec<String> {
        found.iter().map(|r| r.stream.to_string()).collect()
    };
    let found = snapshot.find(&table("?rder*")).await.unwrap();
    assert_eq!(names(found), ["main.Order Lines", "main.order_view", "main.orders"]);
    assert_eq!(snapshot.find(&table("*")).await.unwrap().len(), 5, "and none of SQLite's own");
    assert_eq!(rows(&read(snapshot.as_mut(), &table("odd\"name")).await.unwrap()), [[Some("4".to_owned())]]);
}

#[tokio::test]
async fn a_table_reaches_the_lake_and_pyarrow_reads_the_source_s_values() {
    let house = House::new();
    let folder = file(
        "CREATE TABLE people (id INTEGER, name TEXT, score REAL, photo BLOB, active BOOLEAN, price DECIMAL(9,2));
         INSERT INTO people VALUES (1, 'Ada', 0.1, x'00ff', 1, 12.5), (2, '', NULL, x'', 0, 7), (3, NULL, -0.25, NULL, NULL, NULL)",
    )
    .await;
    house.config("", &format!("shop: {{sqlite: {{path: \"{}\"}}}}", path(&folder).display()));
    house.policy("- {tags: [public], action: allow}");
    house.pipeline(
        "shop",
        "connection: shop\ndataset: \"shop.{table}\"\nstreams:\n  main.people:\n    columns:\n      \"*\": {tag: public}",
    );
    assert_eq!(house.json(&["sync", "shop"], 0)["streams"][0]["rows"], 3);
    let code = "import glob, json, sys, pyarrow.parquet as pq\n\
        rows = pq.read_table(glob.glob(sys.argv[1])[0]).to_pylist()\n\
        print(json.dumps(rows, default=lambda b: b.hex()))";
    let files = house.path("out/lake/shop/people/*.parquet");
    let output = python().args(["-c", code]).arg(files).output().unwrap();
    let read: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(
        read,
        json!([
            {"id": 1, "name": "Ada", "score": 0.1, "photo": "00ff", "active": true, "price": "12.5"},
            {"id": 2, "name": "", "score": null, "photo": "", "active": false, "price": "7"},
            {"id": 3, "name": null, "score": -0.25, "photo": null, "active": null, "price": null},
        ])
    );
    // The source is only read.
    assert!(no_snapshot(&folder.path().join("gone.db")).await.to_string().contains("gone.db"));
}
