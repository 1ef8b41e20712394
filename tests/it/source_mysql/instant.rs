//! One instant for all connections and all tables of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::compute::sum;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use mysql_async::prelude::Queryable;
use sealift::source::Snapshot;
use sealift::spec::config::{self, Limits};

use super::{read, relation, shown, snapshot, table};
use crate::servers::mariadb::Database;

const ACCOUNTS: i64 = 12_000;
const ROUNDS: usize = 12;

/// Money, kept in two tables, that is moved about while it is read: the total never changes.
async fn bank(database: &Database) {
    for name in ["cash", "cards"] {
        database
            .run(&[
                &format!("CREATE TABLE {name} (id int PRIMARY KEY, money bigint NOT NULL, note varchar(200) NOT NULL)"),
                &format!("INSERT INTO {name} SELECT seq, 100, REPEAT('n', 150) FROM seq_1_to_{ACCOUNTS}"),
                &format!("ANALYZE TABLE {name}"),
            ])
            .await;
    }
}

/// Moves money between the tables, inserts accounts and closes others, until told to stop.
async fn trade(database: Arc<Database>, seed: i64, stop: Arc<AtomicBool>) -> u64 {
    let mut client = database.server.client(Some(&database.name)).await;
    let mut moves = 0;
    for step in seed.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (from, to) = (step * 7919 % ACCOUNTS + 1, step * 104_729 % ACCOUNTS + 1);
        let new = 1_000_000 + step;
        for sql in [
            "START TRANSACTION".to_owned(),
            format!("INSERT INTO cash VALUES ({new}, 5, 'new') ON DUPLICATE KEY UPDATE money = money + 5"),
            format!("UPDATE cards SET money = money - 5 WHERE id = {from}"),
            format!("UPDATE cash SET money = money - 3 WHERE id = {to}"),
            format!("UPDATE cards SET money = money + 3 WHERE id = {from}"),
            format!(
                "UPDATE cards SET money = money + IFNULL((SELECT money FROM cash WHERE id = {}), 0) WHERE id = {to}",
                new - 1
            ),
            format!("DELETE FROM cash WHERE id = {}", new - 1),
            "COMMIT".to_owned(),
        ] {
            // A deadlock with the other trader rolls the whole move back.
            if client.query_drop(&sql).await.is_err() {
                let _ = client.query_drop("ROLLBACK").await;
                break;
            }
        }
        moves += 1;
    }
    moves
}

async fn total(snapshot: &mut dyn Snapshot, database: &Database, name: &str) -> (i64, Vec<i32>) {
    let batches = read(snapshot, &table(&database.name, name)).await.unwrap();
    let money = batches.iter().filter_map(|b| sum(b.column(1).as_primitive::<Int64Type>())).sum();
    let ids =
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int32Type>().values().to_vec()).collect();
    (money, ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_reads_of_two_tables_are_of_one_instant() {
    let database = Arc::new(Database::create().await);
    bank(&database).await;
    let stop = Arc::new(AtomicBool::new(false));
    let traders: Vec<_> = [1, 500_000]
        .map(|seed| tokio::spawn(trade(Arc::clone(&database), seed, Arc::clone(&stop))))
        .into_iter()
        .collect();
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        let mut snapshot = snapshot(&database.settings()).await;
        assert!(snapshot.consistency().contains("shared by 3"), "{}", snapshot.consistency());
        let (cash, mut keys) = total(snapshot.as_mut(), &database, "cash").await;
        let (cards, _) = total(snapshot.as_mut(), &database, "cards").await;
        assert_eq!(cash + cards, 2 * 100 * ACCOUNTS, "round {round}");
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "a row came twice");
        ids.push(snapshot.id().unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    for trader in traders {
        assert!(trader.await.unwrap() > 10, "nothing was traded meanwhile");
    }
    let sum = "SELECT (SELECT SUM(money) FROM cash) + (SELECT SUM(money) FROM cards)";
    assert_eq!(database.one(sum).await, (2 * 100 * ACCOUNTS).to_string(), "the traders lost money");
    ids.dedup();
    assert!(ids.len() > 1, "instants have names of their own: {ids:?}");
    assert!(ids[0].contains('@') && ids[0].contains("log."), "{}", ids[0]);
}

#[tokio::test]
async fn without_the_right_one_connection_is_used_and_the_plan_says_so() {
    let database = Database::create().await;
    bank(&database).await;
    let settings = database.as_user("reader", &["SELECT ON {db}.*"]).await;
    let mut snapshot = snapshot(&settings).await;
    assert!(snapshot.consistency().contains("one connection") && snapshot.consistency().contains("RELOAD"));
    database.run(&["UPDATE cash SET money = 0", "DELETE FROM cards"]).await;
    let (cash, _) = total(snapshot.as_mut(), &database, "cash").await;
    let (cards, _) = total(snapshot.as_mut(), &database, "cards").await;
    assert_eq!((cash, cards), (100 * ACCOUNTS, 100 * ACCOUNTS));
}

#[tokio::test]
async fn one_connection_needs_no_lock() {
    let database = Database::create().await;
    let settings =
        config::Mysql { limits: Limits { connections: Some(1), ..Limits::default() }, ..database.settings() };
    let snapshot = snapshot(&settings).await;
    assert!(snapshot.consistency().starts_with("one transaction snapshot;"), "{}", snapshot.consistency());
}

#[tokio::test]
async fn a_table_that_keeps_no_snapshots_is_named() {
    let database = Database::create().await;
    database
        .run(&[
            "CREATE TABLE old (a int PRIMARY KEY) ENGINE = MyISAM",
            "INSERT INTO old VALUES (1)",
            "CREATE TABLE new (a int)",
        ])
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let found = relation(snapshot.as_mut(), &table(&database.name, "new")).await;
    snapshot.describe(&found).await.unwrap();
    assert!(!snapshot.consistency().contains("NOT"), "{}", snapshot.consistency());
    let rows = shown(&read(snapshot.as_mut(), &table(&database.name, "old")).await.unwrap());
    assert_eq!(rows, [[Some("1".to_owned())]]);
    let words = snapshot.consistency();
    assert!(words.contains("NOT of that instant") && words.contains("old (MyISAM)"), "{words}");
}

#[tokio::test]
async fn the_lock_is_gone_when_the_snapshot_is_there() {
    let database = Database::create().await;
    database.run(&["CREATE TABLE t (a int)"]).await;
    let mut held = snapshot(&database.settings()).await;
    // Commits, definitions and other snapshots go on while this one is held.
    database.run(&["INSERT INTO t VALUES (1)", "CREATE TABLE u (a int)"]).await;
    let mut later = snapshot(&database.settings()).await;
    assert!(shown(&read(held.as_mut(), &table(&database.name, "t")).await.unwrap()).is_empty());
    assert_eq!(shown(&read(later.as_mut(), &table(&database.name, "t")).await.unwrap()).len(), 1);
    let found = relation(held.as_mut(), &table(&database.name, "t")).await;
    let columns = held.describe(&found).await.unwrap().columns;
    let batches: Vec<RecordBatch> = held.read(&found, &columns).await.unwrap().try_collect().await.unwrap();
    assert!(batches.is_empty());
}
