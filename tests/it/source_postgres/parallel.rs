//! Pieces of a relation, read by several connections: every row once, all at one instant.

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use sealift::error::Kind;
use sealift::source::postgres::Postgres;
use sealift::source::{Gate, Relation, Snapshot, Source};
use sealift::spec::config::{self, Limits, Throttle};

use super::faults::as_role;
use super::{column, query, relation, rows, shown, table};
use crate::servers::postgres::Database;

/// A snapshot that may have this many connections.
async fn limited(settings: &config::Postgres, connections: usize) -> Box<dyn Snapshot> {
    let gate = Arc::new(Gate::new(Limits { connections: Some(connections), ..Limits::default() }));
    Postgres::new(settings, gate).unwrap().snapshot().await.unwrap()
}

/// Sessions of Sealift in this database.
async fn sessions(database: &Database) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sealift' \
        AND datname = current_database()";
    database.client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn all(snapshot: &mut dyn Snapshot, relation: &Relation) -> Vec<RecordBatch> {
    let columns = snapshot.describe(relation).await.unwrap().columns;
    snapshot.read(relation, &columns).await.unwrap().try_collect().await.unwrap()
}

/// The whole numbers of the first column, sorted, NULL as -1.
fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    let texts = shown(&column(batches, 0));
    let mut numbers: Vec<i64> =
        texts.iter().map(|text| text.as_deref().map_or(-1, |t| t.parse().unwrap())).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_table_in_pieces_has_every_row_once() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE whole AS SELECT g::int8 AS n, repeat('x', 150) AS pad FROM generate_series(1, 60000) g;
             DELETE FROM whole WHERE n % 7 = 0; INSERT INTO whole SELECT g, 'again' FROM generate_series(60001, 60500) g;
             CREATE TABLE parts (n int8, pad text) PARTITION BY RANGE (n);
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (50000);
             CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
             INSERT INTO parts SELECT * FROM whole;
             CREATE TABLE parent (n int8, pad text); CREATE TABLE child () INHERITS (parent);
             INSERT INTO parent SELECT * FROM whole WHERE n < 100; INSERT INTO child SELECT * FROM whole WHERE n >= 100;
             CREATE MATERIALIZED VIEW kept AS SELECT * FROM whole",
        )
        .await;
    let expected: Vec<i64> = (1..=60_500).filter(|n| n % 7 != 0 || *n > 60_000).collect();
    for connections in [1, 2, 4] {
        let mut snapshot = limited(&database.settings(), connections).await;
        for name in ["whole", "parts", "parent", "kept"] {
            let found = relation(snapshot.as_mut(), &table("public", name)).await;
            let batches = all(snapshot.as_mut(), &found).await;
            assert!(numbers(&batches) == expected, "{name} over {connections} connections");
            assert!(sessions(&database).await <= i64::try_from(connections).unwrap(), "{name}");
        }
    }
}

#[tokio::test]
async fn several_connections_read_one_table() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE t AS SELECT g AS n, repeat('x', 500) AS pad FROM generate_series(1, 200000) g")
        .await;
    let mut snapshot = limited(&database.settings(), 4).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(sessions(&database).await, 4);
    assert!(stream.try_fold(0, async |n, batch| Ok(n + batch.num_rows())).await.unwrap() < 200_000);
}

#[tokio::test]
async fn views_and_queries_are_split_by_a_column() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE t AS SELECT g AS n, CASE WHEN g % 10 = 0 THEN NULL ELSE g END AS k,
               '2024-01-01'::date + g % 400 AS day, now() + g * interval '1 minute' AS at FROM generate_series(0, 9999) g;
             INSERT INTO t VALUES (10000, 2147483647, 'infinity', '-infinity'), (10001, -2147483648, '-infinity', NULL);
             CREATE VIEW v AS SELECT * FROM t",
        )
        .await;
    let mut snapshot = limited(&database.settings(), 3).await;
    let expected: Vec<i64> = (0..=10_001).collect();
    for key in ["n", "k", "day", "at"] {
        for selector in [table("public", "v"), table("public", "t"), query("SELECT n, k, day, at FROM t;")] {
            let mut found = relation(snapshot.as_mut(), &selector).await;
            found.split_by = Some(key.into());
            let columns = snapshot.describe(&found).await.unwrap().columns;
            let batches: Vec<_> =
                snapshot.read(&found, &columns[..1]).await.unwrap().try_collect().await.unwrap();
            assert!(numbers(&batches) == expected, "{selector:?} by {key}");
        }
    }
    // Nothing to split: no rows, one value, NULL alone.
    for sql in ["SELECT 1 AS n WHERE false", "SELECT 1 AS n", "SELECT NULL::int AS n"] {
        let mut found = relation(snapshot.as_mut(), &query(sql)).await;
        found.split_by = Some("n".into());
        assert_eq!(
            rows(&all(snapshot.as_mut(), &found).await),
            usize::from(!sql.ends_with("false")),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_column_that_cannot_split_is_refused_with_a_remedy() {
    let database = Database::create().await;
    database.run("CREATE TABLE t (n int, name text)").await;
    let mut snapshot = limited(&database.settings(), 2).await;
    for (key, message) in [("name", "of type text"), ("nme", "does not have")] {
        let mut found = relation(snapshot.as_mut(), &table("public", "t")).await;
        found.split_by = Some(key.into());
        let columns = snapshot.describe(&found).await.unwrap().columns;
        let Err(error) = snapshot.read(&found, &columns).await else { panic!("split by {key}") };
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.message().contains(message), "{error}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_export_its_snapshot_reads_over_one_connection() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE t AS SELECT g AS n, repeat('x', 150) AS pad FROM generate_series(1, 50000) g;
              REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC",
        )
        .await;
    let settings = as_role(&database, "alone", "GRANT SELECT ON t TO ROLE").await;
    let mut snapshot = limited(&settings, 4).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    assert_eq!(rows(&all(snapshot.as_mut(), &found).await), 50_000);
    assert_eq!(sessions(&database).await, 1);
}

#[tokio::test]
async fn rows_changed_while_pieces_are_read_are_those_of_the_instant() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE t AS SELECT g AS n, 100 AS amount, repeat('x', 300) AS pad FROM generate_series(1, 60000) g")
        .await;
    let mut snapshot = limited(&database.settings(), 3).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns[1..2]).await.unwrap();
    let mut batches = vec![stream.next().await.unwrap().unwrap()];
    // Moves rows to other blocks, behind and before what is being read.
    database.run("UPDATE t SET amount = 0 WHERE n % 2 = 0; DELETE FROM t WHERE n % 3 = 0; INSERT INTO t SELECT g, 0, '' FROM generate_series(1, 5000) g").await;
    batches.extend(stream.try_collect::<Vec<_>>().await.unwrap());
    let amounts = numbers(&batches);
    assert_eq!((amounts.len(), amounts.iter().sum::<i64>()), (60_000, 6_000_000));
}

#[tokio::test]
async fn one_connection_lost_of_several_is_a_passing_fault() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE t AS SELECT g AS n, repeat('x', 500) AS pad FROM generate_series(1, 300000) g")
        .await;
    // Without a limit the connection that holds the snapshot copies nothing.
    let mut snapshot = super::snapshot(&database.settings()).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns).await.unwrap();
    stream.next().await.unwrap().unwrap();
    database
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sealift'
              AND datname = current_database() AND query LIKE 'COPY%' LIMIT 1",
        )
        .await;
    let error = stream.try_for_each(|_| async { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    // The others have stopped, and the snapshot serves on.
    assert_eq!(rows(&all(snapshot.as_mut(), &found).await), 300_000);
}

#[tokio::test]
async fn a_read_stands_still_while_the_server_is_under_load() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE load AS SELECT 100 AS now;
              CREATE TABLE t AS SELECT g AS n, repeat('x', 500) AS pad FROM generate_series(1, 100000) g",
        )
        .await;
    let throttle = Throttle {
        query: "SELECT now FROM load".into(),
        slow_above: 10,
        pause_above: 20,
        every: Duration::from_millis(20),
    };
    let settings = config::Postgres { throttle: Some(throttle), ..database.settings() };
    let mut snapshot = super::snapshot(&settings).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    let mut stream = snapshot.read(&found, &columns).await.unwrap();
    // The load was seen before the first batch could be given.
    let first = tokio::time::timeout(Duration::from_millis(700), stream.next()).await;
    assert!(first.is_err(), "a batch came in spite of the load");
    database.run("UPDATE load SET now = 0").await;
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(rows(&batches), 100_000);
    // The look needs a connection: with one in all there is none to spare.
    let gate = Arc::new(Gate::new(Limits { connections: Some(1), ..Limits::default() }));
    let Err(error) = Postgres::new(&settings, gate).unwrap().snapshot().await else { panic!("no look") };
    assert_eq!(error.kind(), Kind::Temporary);
}

#[tokio::test]
async fn a_partition_that_was_detached_after_the_instant_is_not_silently_left_out() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE t (n int) PARTITION BY RANGE (n);
             CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10);
             CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (10) TO (20);
             INSERT INTO t SELECT generate_series(0, 19)",
        )
        .await;
    let mut changed = limited(&database.settings(), 2).await;
    let found = relation(changed.as_mut(), &table("public", "t")).await;
    database.run("ALTER TABLE t DETACH PARTITION t_2").await;
    let error = changed.describe(&found).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    let mut anew = limited(&database.settings(), 2).await;
    assert_eq!(rows(&all(anew.as_mut(), &found).await), 10);
}

#[tokio::test]
async fn rows_of_other_servers_are_named_and_never_cut() {
    let database = Database::create().await;
    let settings = database.settings();
    database
        .run(&format!(
            "CREATE EXTENSION postgres_fdw;
             CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
               OPTIONS (host '127.0.0.1', port '{}', dbname '{}');
             CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user '{}', password '{}');
             CREATE TABLE there AS SELECT g AS n, repeat('x', 200) AS pad FROM generate_series(1, 20000) g;
             CREATE FOREIGN TABLE far_there (n int, pad text) SERVER far OPTIONS (table_name 'there');
             CREATE TABLE parent (n int, pad text);
             INSERT INTO parent SELECT g, repeat('x', 200) FROM generate_series(20001, 40000) g;
             ALTER FOREIGN TABLE far_there INHERIT parent",
            settings.port,
            settings.database,
            settings.user,
            std::fs::read_to_string(database.server.folder().join("password")).unwrap(),
        ))
        .await;
    let mut snapshot = limited(&settings, 3).await;
    assert_eq!(snapshot.consistency(), "one transaction snapshot");
    let found = relation(snapshot.as_mut(), &table("public", "parent")).await;
    assert!(numbers(&all(snapshot.as_mut(), &found).await).into_iter().eq(1..=40_000));
    assert!(snapshot.consistency().contains("public.parent"), "{}", snapshot.consistency());
}
