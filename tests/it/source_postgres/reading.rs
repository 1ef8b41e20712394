//! One instant, bounded batches, and an end when it is asked for.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use sealift::error::Kind;
use sealift::source::{BATCH_BYTES, BATCH_ROWS, Snapshot, Source, postgres::Postgres};

use super::{column, query, read, relation, rows, shown, snapshot, table};
use crate::servers::postgres::Database;

#[tokio::test]
async fn all_streams_of_a_snapshot_share_one_instant() {
    let database = Database::create().await;
    database.run("CREATE TABLE a (v int); CREATE TABLE b (v int); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)").await;
    let mut snapshot = snapshot(&database.settings()).await;
    assert!(snapshot.id().is_some_and(|id| id.contains('@')), "{:?}", snapshot.id());
    database.run("INSERT INTO a VALUES (2); INSERT INTO b VALUES (2)").await;
    assert_eq!(rows(&read(snapshot.as_mut(), &table("public", "a")).await.unwrap()), 1);
    database.run("UPDATE b SET v = 7; INSERT INTO a VALUES (3); DELETE FROM b").await;
    let batches = read(snapshot.as_mut(), &table("public", "b")).await.unwrap();
    assert_eq!(shown(&column(&batches, 0)), [Some("1".to_owned())]);
    let mut later = super::snapshot(&database.settings()).await;
    assert_eq!(rows(&read(later.as_mut(), &table("public", "a")).await.unwrap()), 3);
}

#[tokio::test]
async fn a_table_truncated_or_replaced_after_the_instant_is_not_taken_for_an_empty_one() {
    for change in [
        "TRUNCATE t",
        "DROP TABLE t; CREATE TABLE t (v int)",
        "ALTER TABLE t ADD COLUMN w int",
        "ALTER TABLE t ALTER v TYPE int8",
    ] {
        let database = Database::create().await;
        database.run("CREATE TABLE t (v int); INSERT INTO t VALUES (1)").await;
        let mut snapshot = snapshot(&database.settings()).await;
        let found = relation(snapshot.as_mut(), &table("public", "t")).await;
        database.run(change).await;
        let error = snapshot.describe(&found).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Temporary, "{change}: {error}");
    }
}

#[tokio::test]
async fn a_described_table_and_its_partitions_cannot_be_truncated_before_they_are_read() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE t (v int) PARTITION BY LIST (v);
             CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t VALUES (1)",
        )
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let shape = snapshot.describe(&found).await.unwrap();
    let refused =
        database.client.batch_execute("SET lock_timeout = '100ms'; TRUNCATE t_1").await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55P03");
    let batches: Vec<_> = snapshot.read(&found, &shape.columns).await.unwrap().try_collect().await.unwrap();
    assert_eq!(rows(&batches), 1);
}

#[tokio::test]
async fn batches_are_bounded_and_nothing_is_lost_between_them() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE t AS SELECT g AS n, repeat('x', g % 100) AS pad FROM generate_series(1, 100000) g")
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &table("public", "t")).await.unwrap();
    assert!(batches.iter().all(|b| b.num_rows() <= BATCH_ROWS));
    let mut numbers: Vec<u32> =
        shown(&column(&batches, 0)).into_iter().flatten().map(|n| n.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=100_000));
}

#[tokio::test]
async fn trap_a_row_of_20_megabytes_is_read_in_a_batch_of_its_own() {
    let database = Database::create().await;
    // Random enough to be stored out of line (TOAST).
    database
        .run(
            "CREATE TABLE t (n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
        INSERT INTO t VALUES (1, 'small'), (2, repeat('0123456789', 2000000)), (3, 'small')",
        )
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &table("public", "t")).await.unwrap();
    assert_eq!(batches.iter().map(|b| b.num_rows()).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(batches[1].get_array_memory_size() > BATCH_BYTES);
    assert_eq!(shown(&column(&batches, 1))[1].as_ref().unwrap().len(), 20_000_000);
}

/// Sessions of Sealift in this database that are at work.
async fn active(database: &Database) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sealift' \
        AND datname = current_database() AND state = 'active'";
    database.client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until that many sessions are at work.
async fn until_active(database: &Database, sessions: i64) {
    for _ in 0..500 {
        if active(database).await == sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the server never had {sessions} sessions at work");
}

#[tokio::test]
async fn dropping_the_stream_ends_the_query_and_leaves_the_snapshot_usable() {
    let database = Database::create().await;
    database.run("CREATE TABLE t (v int); INSERT INTO t VALUES (1)").await;
    let mut snapshot = snapshot(&database.settings()).await;
    for sql in ["SELECT generate_series(1, 1000000000000) AS g", "SELECT 1 AS g FROM pg_sleep(600)"] {
        let endless = relation(snapshot.as_mut(), &query(sql)).await;
        let columns = snapshot.describe(&endless).await.unwrap().columns;
        let mut stream = snapshot.read(&endless, &columns).await.unwrap();
        if sql.contains("generate_series") {
            stream.next().await.unwrap().unwrap();
        }
        until_active(&database, 1).await;
        drop(stream);
        until_active(&database, 0).await;
        database.run("INSERT INTO t VALUES (2)").await;
        assert_eq!(rows(&read(snapshot.as_mut(), &table("public", "t")).await.unwrap()), 1, "same instant");
    }
}

#[tokio::test]
async fn dropping_the_snapshot_ends_the_session() {
    let database = Database::create().await;
    let mut snapshot = snapshot(&database.settings()).await;
    let endless = relation(snapshot.as_mut(), &query("SELECT generate_series(1, 1000000000000) AS g")).await;
    let columns = snapshot.describe(&endless).await.unwrap().columns;
    let mut stream = snapshot.read(&endless, &columns).await.unwrap();
    drop(snapshot);
    assert!(stream.next().await.unwrap().is_ok(), "a stream outlives its snapshot");
    drop(stream);
    for _ in 0..500 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sealift' AND datname = current_database()";
        let sessions: i64 = database.client.query_one(sql, &[]).await.unwrap().get(0);
        if sessions == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the session is still there");
}

#[tokio::test]
async fn a_second_read_during_the_first_is_an_error_and_not_a_deadlock() {
    let database = Database::create().await;
    let source = Postgres::new(&database.settings(), Default::default()).unwrap();
    let mut snapshot: Box<dyn Snapshot> = source.snapshot().await.unwrap();
    let endless = relation(snapshot.as_mut(), &query("SELECT generate_series(1, 1000000000000) AS g")).await;
    let columns = snapshot.describe(&endless).await.unwrap().columns;
    let mut first = snapshot.read(&endless, &columns).await.unwrap();
    let Err(error) = snapshot.read(&endless, &columns).await else { panic!("two reads at once") };
    assert!(error.message().contains("one relation at a time"));
    assert!(first.next().await.unwrap().is_ok(), "the first goes on");
}
