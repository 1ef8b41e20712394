//! Instants, ranges, and an end when it is asked for.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use sealift::error::Kind;
use sealift::source::{BATCH_ROWS, Snapshot};
use sealift::spec::config::{self, Limits};

use super::{
    mariadb, of_mariadb, of_postgres, of_sqlite, query, read, relation, rows, snapshot, table, values,
};
use crate::servers::postgres;

/// All rows of a table read in ranges of a column.
async fn read_split(
    snapshot: &mut dyn Snapshot,
    schema: &str,
    name: &str,
    by: &str,
) -> Vec<Vec<Option<String>>> {
    let mut found = relation(snapshot, &table(schema, name)).await;
    found.split_by = Some(by.to_owned());
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let batches: Vec<_> = snapshot.read(&found, &columns).await.unwrap().try_collect().await.unwrap();
    let mut rows = rows(&batches);
    rows.sort();
    rows
}

fn with_connections(settings: config::Odbc, connections: usize) -> config::Odbc {
    config::Odbc { limits: Limits { connections: Some(connections), ..Limits::default() }, ..settings }
}

#[tokio::test]
async fn several_connections_read_one_instant_in_ranges_nulls_and_late_rows_included() {
    let database = postgres::Database::create().await;
    database
        .run(
            "CREATE TABLE t AS SELECT g AS n, g * 2 AS v, DATE '2024-01-01' + g AS d, TIMESTAMP '2024-01-01' + g * INTERVAL '1 h' AS at \
             FROM generate_series(1, 3000) g; INSERT INTO t VALUES (NULL, 7, NULL, NULL)",
        )
        .await;
    let settings = with_connections(of_postgres(&database), 3);
    let mut old = snapshot(&settings).await;
    assert!(old.consistency().contains("shared by all connections"), "{}", old.consistency());
    assert!(old.id().is_some());
    let before = read_split(old.as_mut(), "public", "t", "n").await;
    assert_eq!(before.len(), 3001);
    database
        .run("UPDATE t SET v = 0 WHERE n > 10; DELETE FROM t WHERE n < 5; INSERT INTO t VALUES (99999, 1)")
        .await;
    for by in ["n", "d", "at", "v"] {
        assert!(read_split(old.as_mut(), "public", "t", by).await == before, "by {by}");
    }
    drop(old);
    assert_ne!(read_split(snapshot(&settings).await.as_mut(), "public", "t", "n").await, before);
}

#[tokio::test]
async fn a_column_without_ranges_cannot_be_split_by() {
    let database = postgres::Database::create().await;
    database.run("CREATE TABLE t (n int, x text)").await;
    let mut snapshot = snapshot(&with_connections(of_postgres(&database), 3)).await;
    let mut found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    for by in ["x", "gone"] {
        found.split_by = Some(by.to_owned());
        let error = snapshot.read(&found, &columns).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(by), "{error}");
    }
}

#[tokio::test]
async fn mariadb_gives_one_instant_on_one_connection_and_sqlite_says_that_it_has_none() {
    let database = mariadb::Database::create();
    database.run("CREATE TABLE a (n int) ENGINE=InnoDB; CREATE TABLE b (n int); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)");
    let mut old = snapshot(&of_mariadb(&database)).await;
    assert!(old.consistency().contains("on one connection"), "{}", old.consistency());
    database.run("INSERT INTO a VALUES (2), (NULL); UPDATE b SET n = 9");
    assert_eq!(read_split(old.as_mut(), &database.name, "a", "n").await.len(), 1);
    let seen = read(old.as_mut(), &table(&database.name, "b")).await.unwrap();
    assert_eq!(values(&seen, 0), [Some("1".to_owned())]);

    // SQLite's driver keeps no transaction open, and the plan says so.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    crate::source_sqlite::make(&path, "CREATE TABLE a (n INT); INSERT INTO a VALUES (1)").await;
    let of_sqlite = snapshot(&of_sqlite(&path)).await;
    assert!(of_sqlite.consistency().starts_with("no common instant"), "{}", of_sqlite.consistency());
    assert_eq!(of_sqlite.id(), None);
}

#[tokio::test]
async fn batches_are_bounded_and_nothing_is_lost_between_them() {
    let pg = postgres::Database::create().await;
    pg.run("CREATE TABLE t AS SELECT g AS n, repeat('x', g % 50) AS pad FROM generate_series(1, 40000) g")
        .await;
    let ma = mariadb::Database::create();
    ma.run("CREATE TABLE t AS SELECT seq AS n, repeat('x', seq % 50) AS pad FROM seq_1_to_40000");
    for (settings, schema) in [(of_postgres(&pg), "public"), (of_mariadb(&ma), ma.name.as_str())] {
        let mut snapshot = snapshot(&settings).await;
        let batches = read(snapshot.as_mut(), &table(schema, "t")).await.unwrap();
        assert!(batches.iter().all(|batch| (1..=BATCH_ROWS).contains(&batch.num_rows())));
        let mut numbers: Vec<u32> =
            values(&batches, 0).into_iter().flatten().map(|n| n.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(1..=40_000), "{schema}");
        assert_eq!(read_split(snapshot.as_mut(), schema, "t", "n").await.len(), 40_000, "{schema}");
    }
}

async fn until_quiet(mut busy: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if !busy().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a query is still running");
}

#[tokio::test]
async fn a_dropped_stream_leaves_no_query_running_and_the_snapshot_serves_on() {
    let database = postgres::Database::create().await;
    let mut snapshot_pg = snapshot(&of_postgres(&database)).await;
    for sql in ["SELECT generate_series(1, 1000000000000) AS g", "SELECT 1 AS g FROM pg_sleep(600)"] {
        let endless = relation(snapshot_pg.as_mut(), &query(sql)).await;
        let columns = snapshot_pg.describe(&endless).await.unwrap().columns;
        let mut stream = snapshot_pg.read(&endless, &columns).await.unwrap();
        if sql.contains("generate_series") {
            assert!(stream.next().await.unwrap().is_ok());
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        drop(stream);
        until_quiet(async || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND state = 'active' AND pid <> pg_backend_pid()";
            database.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
        })
        .await;
        assert_eq!(
            rows(&read(snapshot_pg.as_mut(), &query("SELECT 1 AS v")).await.unwrap()).len(),
            1,
            "{sql}"
        );
    }

    let database = mariadb::Database::create();
    let mut snapshot_ma = snapshot(&of_mariadb(&database)).await;
    let endless = relation(snapshot_ma.as_mut(), &query("SELECT SLEEP(600) AS g")).await;
    let columns = snapshot_ma.describe(&endless).await.unwrap().columns;
    let stream = snapshot_ma.read(&endless, &columns).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(stream);
    let running = format!(
        "SELECT count(*) FROM information_schema.processlist WHERE db = '{}' AND command <> 'Sleep' \
         AND info LIKE '%SLEEP(600)%' AND id <> connection_id()",
        database.name
    );
    until_quiet(async || database.run(&running).trim() != "0").await;
    assert_eq!(rows(&read(snapshot_ma.as_mut(), &query("SELECT 1 AS v")).await.unwrap()).len(), 1);
}
