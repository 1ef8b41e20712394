//! Finding and describing.

use sealift::error::Kind;
use sealift::source::{Carried, Snapshot};

use super::{columns, query, read, relation, rows, shown, snapshot, table};
use crate::servers::postgres::Database;

async fn names(snapshot: &mut dyn Snapshot, schema: &str, name: &str) -> Vec<String> {
    let found = snapshot.find(&table(schema, name)).await.unwrap();
    found.into_iter().map(|relation| relation.stream.as_str().to_owned()).collect()
}

#[tokio::test]
async fn wildcards_find_tables_and_views_of_user_schemas() {
    let database = Database::create().await;
    database
        .run("CREATE SCHEMA sales; CREATE TABLE sales.order_2025 (a int); CREATE TABLE sales.order_2026 (a int);
            CREATE TABLE sales.orderx2026 (a int); CREATE VIEW sales.order_view AS SELECT 1 AS a;
            CREATE MATERIALIZED VIEW public.order_sums AS SELECT 1 AS a; CREATE INDEX order_index ON sales.order_2025 (a)")
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let found = names(snapshot.as_mut(), "sales", "order_*").await;
    assert_eq!(found, ["sales.order_2025", "sales.order_2026", "sales.order_view"]);
    assert_eq!(
        names(snapshot.as_mut(), "sales", "order_202?").await,
        ["sales.order_2025", "sales.order_2026"]
    );
    let all = names(snapshot.as_mut(), "*", "*").await;
    assert_eq!(all.len(), 5, "no system tables: {all:?}");
    let found = relation(snapshot.as_mut(), &table("public", "order_sums")).await;
    assert_eq!((found.schema.as_deref(), found.table.as_str()), (Some("public"), "order_sums"));
}

#[tokio::test]
async fn a_partition_is_not_read_twice() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE m (d date, v int) PARTITION BY RANGE (d);
            CREATE TABLE m_25 PARTITION OF m FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
            CREATE TABLE m_26 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY RANGE (v);
            CREATE TABLE m_26_low PARTITION OF m_26 FOR VALUES FROM (0) TO (10);
            INSERT INTO m VALUES ('2025-05-05', 1), ('2026-05-05', 2); ANALYZE m, m_25, m_26_low")
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    assert_eq!(names(snapshot.as_mut(), "*", "m*").await, ["public.m"]);
    assert_eq!(names(snapshot.as_mut(), "public", "m_*").await, ["public.m_25", "public.m_26"]);
    assert_eq!(names(snapshot.as_mut(), "public", "m_26_low").await, ["public.m_26_low"]);
    assert_eq!(rows(&read(snapshot.as_mut(), &table("public", "m")).await.unwrap()), 2);
    let parent = relation(snapshot.as_mut(), &table("public", "m")).await;
    let shape = snapshot.describe(&parent).await.unwrap();
    assert_eq!(shape.rows, Some(2));
    assert!(shape.bytes > Some(0));
}

#[tokio::test]
async fn names_are_only_names() {
    let database = Database::create().await;
    database
        .run(r#"CREATE SCHEMA "My ""S"""; CREATE TABLE "My ""S"""."Weird ""Name"""" x'; DROP" ("A b" int NOT NULL, "c""d" text, "select" int);
            INSERT INTO "My ""S"""."Weird ""Name"""" x'; DROP" VALUES (1, 'x', 2)"#)
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let selector = table("My \"S\"", "Weird \"Name\"\" x'; DROP");
    let described = columns(snapshot.as_mut(), &selector).await;
    assert_eq!(described.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["A b", "c\"d", "select"]);
    assert_eq!(described.iter().map(|c| c.nullable).collect::<Vec<_>>(), [false, true, true]);
    let batches = read(snapshot.as_mut(), &selector).await.unwrap();
    assert_eq!(shown(batches[0].column(1)), [Some("x".to_owned())]);
}

#[tokio::test]
async fn a_missing_table_names_the_nearest() {
    let database = Database::create().await;
    database.run("CREATE SCHEMA crm; CREATE TABLE crm.customers (a int)").await;
    let mut snapshot = snapshot(&database.settings()).await;
    let error = snapshot.find(&table("crm", "custmers")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.remedy(), Some("did you mean `crm.customers`?"));
    let error = snapshot.find(&table("public", "Customers")).await.unwrap_err();
    assert_eq!(error.remedy(), Some("did you mean `crm.customers`?"));
    let error = snapshot.find(&table("zzz", "q*")).await.unwrap_err();
    assert!(error.message().contains("no table matches `zzz.q*`"), "{error}");
}

#[tokio::test]
async fn columns_come_in_source_order_without_dropped_ones() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE t (a int, gone int, b varchar(7) NOT NULL, c numeric(9,3), twice int GENERATED ALWAYS AS (a * 2) STORED);
            ALTER TABLE t DROP COLUMN gone; INSERT INTO t VALUES (4, 'x', 1.5); ANALYZE t")
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let shape = snapshot.describe(&found).await.unwrap();
    let described: Vec<_> =
        shape.columns.iter().map(|c| (c.name.as_str(), c.source_type.as_str(), c.nullable)).collect();
    assert_eq!(
        described,
        [
            ("a", "integer", true),
            ("b", "character varying(7)", false),
            ("c", "numeric(9,3)", true),
            ("twice", "integer", true)
        ]
    );
    assert_eq!(shape.rows, Some(1));
    // A sub-list, in another order.
    let asked = [shape.columns[3].clone(), shape.columns[1].clone()];
    let batches: Vec<_> =
        futures::TryStreamExt::try_collect(snapshot.read(&found, &asked).await.unwrap()).await.unwrap();
    let batches: Vec<arrow::record_batch::RecordBatch> = batches;
    assert_eq!(shown(batches[0].column(0)), [Some("8".to_owned())]);
    assert_eq!(batches[0].num_columns(), 2);
}

#[tokio::test]
async fn queries_views_and_comments_are_described() {
    let database = Database::create().await;
    database.run("CREATE TABLE t (a int NOT NULL); INSERT INTO t SELECT generate_series(1, 100); ANALYZE t; CREATE VIEW v AS SELECT a, a::text AS s FROM t").await;
    let mut snapshot = snapshot(&database.settings()).await;
    let selector = query("SELECT a, 'x'::varchar(3) AS s FROM t -- all of it\n;\n");
    let found = relation(snapshot.as_mut(), &selector).await;
    let shape = snapshot.describe(&found).await.unwrap();
    assert_eq!(shape.columns[1].source_type, "character varying(3)");
    assert!(shape.columns[0].nullable);
    assert_eq!(shape.rows, Some(100));
    assert_eq!(rows(&read(snapshot.as_mut(), &selector).await.unwrap()), 100);
    let view = relation(snapshot.as_mut(), &table("public", "v")).await;
    assert_eq!(snapshot.describe(&view).await.unwrap().rows, Some(100));
    assert_eq!(rows(&read(snapshot.as_mut(), &table("public", "v")).await.unwrap()), 100);
}

#[tokio::test]
async fn a_column_the_role_may_not_read_is_refused_alone() {
    let database = Database::create().await;
    database.run("CREATE TABLE t (a int, secret text); INSERT INTO t VALUES (1, 'x')").await;
    let settings = super::faults::as_role(&database, "partly", "GRANT SELECT (a) ON t TO ROLE").await;
    let mut snapshot = snapshot(&settings).await;
    let found = relation(snapshot.as_mut(), &table("public", "t")).await;
    let described = snapshot.describe(&found).await.unwrap().columns;
    assert!(described[0].field().is_some());
    let Carried::Refused { remedy } = &described[1].carried else { panic!("may be read") };
    assert!(remedy.contains("GRANT SELECT (secret) ON public.t TO"), "{remedy}");
    let batches: Vec<arrow::record_batch::RecordBatch> =
        futures::TryStreamExt::try_collect(snapshot.read(&found, &described[..1]).await.unwrap())
            .await
            .unwrap();
    assert_eq!(rows(&batches), 1);
}
