//! The contract of a source, kept through each driver.

use arrow::datatypes::{DataType, Field, TimeUnit};
use sealift::spec::config;

use super::{mariadb, of_mariadb, of_postgres, of_sqlite, source, table};
use crate::conformance::{Expected, conforms};
use crate::servers::postgres;

const INSERT: &str = "INSERT INTO people VALUES \
    (1, 'Ada', 1.5, 12.34, '1815-12-10', '2026-01-02 03:04:05.678901'), (2, '', NULL, 0, NULL, NULL), \
    (-2147483648, NULL, -0.25, -9999999.99, '2024-02-29', '1969-12-31 23:59:59.999999'), \
    (2147483647, 'žluťoučký 🐎', 100, NULL, '9999-12-31', '2026-01-02 03:04:05')";

fn row(cells: [Option<&str>; 6]) -> Vec<Option<String>> {
    cells.map(|cell| cell.map(str::to_owned)).to_vec()
}

async fn keeps_the_contract(settings: &config::Odbc, schema: &str, stream: &'static str, near: &'static str) {
    let field = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
    let expected = Expected {
        stream,
        fields: vec![
            field("id", DataType::Int32, false),
            field("name", DataType::Utf8, true),
            field("score", DataType::Float64, true),
            field("price", DataType::Decimal128(9, 2), true),
            field("born", DataType::Date32, true),
            field("seen", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        ],
        rows: vec![
            row([
                Some("1"),
                Some("Ada"),
                Some("1.5"),
                Some("12.34"),
                Some("1815-12-10"),
                Some("2026-01-02T03:04:05.678901"),
            ]),
            row([Some("2"), Some(""), None, Some("0.00"), None, None]),
            row([
                Some("-2147483648"),
                None,
                Some("-0.25"),
                Some("-9999999.99"),
                Some("2024-02-29"),
                Some("1969-12-31T23:59:59.999999"),
            ]),
            row([
                Some("2147483647"),
                Some("žluťoučký 🐎"),
                Some("100.0"),
                None,
                Some("9999-12-31"),
                Some("2026-01-02T03:04:05"),
            ]),
        ],
        missing: (table(schema, "peopel"), near),
    };
    conforms(Box::new(source(settings)), table(schema, "people"), expected).await;
}

#[tokio::test]
async fn postgresql_keeps_the_contract() {
    let database = postgres::Database::create().await;
    let create = "CREATE TABLE people (id int NOT NULL, name varchar(20), score double precision, \
        price numeric(9,2), born date, seen timestamp)";
    database.run(&format!("{create}; {INSERT}")).await;
    keeps_the_contract(&of_postgres(&database), "public", "public.people", "public.people").await;
}

#[tokio::test]
async fn mariadb_keeps_the_contract() {
    let database = mariadb::Database::create();
    let create = "CREATE TABLE people (id int NOT NULL, name varchar(20), score double, price decimal(9,2), \
        born date, seen datetime(6))";
    database.run(&format!("{create}; {INSERT}"));
    let stream: &'static str = format!("{}.people", database.name).leak();
    keeps_the_contract(&of_mariadb(&database), &database.name, stream, stream).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    crate::source_sqlite::make(
        &path,
        "CREATE TABLE people (id INTEGER NOT NULL, name VARCHAR(5), photo BLOB);
         INSERT INTO people VALUES (1, 'Ada', x'00ff'), (2, '', x'0a'), (-9223372036854775808, NULL, NULL),
           (9223372036854775807, 'žluťoučký 🐎, longer than declared', x'ff')",
    )
    .await;
    let field = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
    let cells = |cells: [Option<&str>; 3]| cells.map(|cell| cell.map(str::to_owned)).to_vec();
    let expected = Expected {
        stream: "main.people",
        fields: vec![
            field("id", DataType::Int64, false),
            field("name", DataType::Utf8, true),
            field("photo", DataType::Binary, true),
        ],
        rows: vec![
            cells([Some("1"), Some("Ada"), Some("00ff")]),
            cells([Some("2"), Some(""), Some("0a")]),
            cells([Some("-9223372036854775808"), None, None]),
            cells([Some("9223372036854775807"), Some("žluťoučký 🐎, longer than declared"), Some("ff")]),
        ],
        missing: (table("main", "peopel"), "main.people"),
    };
    conforms(Box::new(source(&of_sqlite(&path))), table("main", "people"), expected).await;
}
