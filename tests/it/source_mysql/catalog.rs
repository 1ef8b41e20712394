//! Finding and describing.

use sealift::error::Kind;
use sealift::source::{Carried, Snapshot};

use super::{columns, query, read, relation, shown, snapshot, table};
use crate::servers::mariadb::Database;

async fn names(snapshot: &mut dyn Snapshot, schema: &str, name: &str) -> Vec<String> {
    let found = snapshot.find(&table(schema, name)).await.unwrap();
    found.into_iter().map(|relation| relation.stream.as_str().to_owned()).collect()
}

#[tokio::test]
async fn wildcards_find_tables_and_views_of_user_databases() {
    let database = Database::create().await;
    let db = database.name.clone();
    database
        .run(&[
            "CREATE TABLE order_2025 (a int)",
            "CREATE TABLE order_2026 (a int)",
            "CREATE TABLE orderx2026 (a int)",
            "CREATE TABLE Order_2027 (a int)",
            "CREATE VIEW order_view AS SELECT 1 AS a",
            "CREATE SEQUENCE order_sequence",
        ])
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let full = |names: &[&str]| names.iter().map(|n| format!("{db}.{n}")).collect::<Vec<_>>();
    assert_eq!(
        names(snapshot.as_mut(), &db, "order_*").await,
        full(&["order_2025", "order_2026", "order_view"])
    );
    assert_eq!(names(snapshot.as_mut(), &db, "order_202?").await, full(&["order_2025", "order_2026"]));
    assert_eq!(names(snapshot.as_mut(), &db, "Order_2027").await, full(&["Order_2027"]), "case is kept");
    let all = names(snapshot.as_mut(), "*", "*").await;
    assert!(all.iter().all(|n| n.starts_with("test_")), "no system tables: {all:?}");
    let found = relation(snapshot.as_mut(), &table(&db, "order_view")).await;
    assert_eq!((found.schema.as_deref(), found.table.as_str()), (Some(db.as_str()), "order_view"));
}

#[tokio::test]
async fn names_are_only_names() {
    let database = Database::create().await;
    database
        .run(&[
            "CREATE TABLE `Weird ``Name'\" x\\; DROP` (`A b` int NOT NULL, `c``d` text, `select` int)",
            "INSERT INTO `Weird ``Name'\" x\\; DROP` VALUES (1, 'x', 2)",
        ])
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let selector = table(&database.name, "Weird `Name'\" x\\; DROP");
    let described = columns(snapshot.as_mut(), &selector).await;
    assert_eq!(described.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["A b", "c`d", "select"]);
    assert_eq!(described.iter().map(|c| c.nullable).collect::<Vec<_>>(), [false, true, true]);
    let rows = shown(&read(snapshot.as_mut(), &selector).await.unwrap());
    assert_eq!(rows, [[Some("1".to_owned()), Some("x".into()), Some("2".into())]]);
}

#[tokio::test]
async fn a_missing_table_names_the_nearest() {
    let database = Database::create().await;
    let db = &database.name;
    database.run(&["CREATE TABLE customers_of_ours (a int)"]).await;
    let mut snapshot = snapshot(&database.settings()).await;
    let error = snapshot.find(&table(db, "custmers_of_ours")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.remedy().unwrap(), format!("did you mean `{db}.customers_of_ours`?"));
    let error = snapshot.find(&table("zzz", "q*")).await.unwrap_err();
    assert!(error.message().contains("no table matches `zzz.q*`"), "{error}");
}

#[tokio::test]
async fn a_table_is_described_with_its_size() {
    let database = Database::create().await;
    database
        .run(&[
            "CREATE TABLE t (a int NOT NULL, gone int, b varchar(7), c decimal(9,3), hidden int INVISIBLE, \
             twice int GENERATED ALWAYS AS (a * 2) STORED)",
            "ALTER TABLE t DROP COLUMN gone",
            "INSERT INTO t (a, b, c) VALUES (4, 'x', 1.5)",
            "ANALYZE TABLE t",
        ])
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let found = relation(snapshot.as_mut(), &table(&database.name, "t")).await;
    let shape = snapshot.describe(&found).await.unwrap();
    let described: Vec<_> =
        shape.columns.iter().map(|c| (c.name.as_str(), c.source_type.as_str(), c.nullable)).collect();
    assert_eq!(
        described,
        [
            ("a", "int(11)", false),
            ("b", "varchar(7)", true),
            ("c", "decimal(9,3)", true),
            ("hidden", "int(11)", true),
            ("twice", "int(11)", true)
        ]
    );
    assert_eq!(shape.rows, Some(1));
    assert!(shape.bytes > Some(0));
}

#[tokio::test]
async fn a_column_without_the_right_is_refused_and_the_others_are_read() {
    let database = Database::create().await;
    database.run(&["CREATE TABLE t (open int, closed int)", "INSERT INTO t VALUES (1, 2)"]).await;
    let settings = database.as_user("partly", &["SELECT (open) ON {db}.t"]).await;
    let mut snapshot = snapshot(&settings).await;
    let found = relation(snapshot.as_mut(), &table(&database.name, "t")).await;
    let columns = snapshot.describe(&found).await.unwrap().columns;
    assert!(columns.iter().all(|c| c.name == "open"), "the catalog hides what may not be read: {columns:?}");
    let batches: Vec<_> =
        futures::TryStreamExt::try_collect(snapshot.read(&found, &columns[..1]).await.unwrap())
            .await
            .unwrap();
    assert_eq!(shown(&batches), [[Some("1".to_owned())]]);
    assert!(matches!(columns[0].carried, Carried::Exact(_)));
}

#[tokio::test]
async fn a_query_that_fails_says_where_and_keeps_the_snapshot() {
    let database = Database::create().await;
    database.run(&["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"]).await;
    let mut snapshot = snapshot(&database.settings()).await;
    for (sql, part) in [
        ("SELECT *\nFROM t\nWHER a", "at line 3"),
        ("SELECT * FROM nowhere", "there is no such table"),
        ("SELECT b FROM t", "there is no such column"),
        ("SELECT a, a FROM t", "two columns"),
        ("SELECT a FROM t WHERE a = ?", "parameter"),
        ("SELECT nothing_of_the_kind(a) FROM t", "there is no such function"),
    ] {
        let found = relation(snapshot.as_mut(), &query(sql)).await;
        let error = snapshot.describe(&found).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{sql}: {error}");
        assert!(error.message().contains(part), "{sql}: {error}");
    }
    let rows = shown(&read(snapshot.as_mut(), &query("SELECT a + 1 AS b FROM t;\n")).await.unwrap());
    assert_eq!(rows, [[Some("2".to_owned())]]);
}
