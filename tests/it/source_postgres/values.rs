//! No value changes: every carried type from edge to edge, compared with what the server says.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use sealift::error::Kind;
use sealift::source::Carried;

use super::{column, columns, query, read, rows, shown, snapshot, table};
use crate::servers::postgres::Database;

/// A table `t` with the column `v` of a type, holding these literals in order.
async fn with_values(data_type: &str, literals: &[&str]) -> Database {
    let database = Database::create().await;
    database.run(&format!("CREATE TABLE t (n serial, v {data_type})")).await;
    for literal in literals {
        database.run(&format!("INSERT INTO t (v) VALUES ({literal})")).await;
    }
    database
}

/// What the server says of each value, by an expression on `v`.
async fn server_says(database: &Database, expression: &str) -> Vec<Option<String>> {
    let sql = format!("SELECT ({expression})::text FROM t ORDER BY n");
    database.client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn sealift_reads(database: &Database) -> Vec<RecordBatch> {
    let mut snapshot = snapshot(&database.settings()).await;
    read(snapshot.as_mut(), &table("public", "t")).await.unwrap()
}

/// Values whose Arrow display is what `expression` gives at the server.
async fn same_text(data_type: &str, arrow: DataType, literals: &[&str], expression: &str) {
    let database = with_values(data_type, literals).await;
    let batches = sealift_reads(&database).await;
    let values = column(&batches, 1);
    assert_eq!(values.data_type(), &arrow, "{data_type}");
    assert_eq!(shown(&values), server_says(&database, expression).await, "{data_type}");
    assert_eq!(values.len(), literals.len());
}

#[tokio::test]
async fn integers_are_exact() {
    same_text("int2", DataType::Int16, &["-32768", "32767", "0", "NULL"], "v").await;
    same_text("int4", DataType::Int32, &["-2147483648", "2147483647", "NULL"], "v").await;
    same_text("int8", DataType::Int64, &["-9223372036854775808", "9223372036854775807", "NULL"], "v").await;
}

#[tokio::test]
async fn numerics_are_exact() {
    let nines = "9".repeat(38);
    let (high, low) = (nines.clone(), format!("-{nines}"));
    same_text("numeric(38,0)", DataType::Decimal128(38, 0), &[&high, &low, "0", "10000", "NULL"], "v").await;
    let (high, low) = (format!("0.{nines}"), format!("-0.{nines}"));
    let smallest = format!("0.{}1", "0".repeat(37));
    same_text("numeric(38,38)", DataType::Decimal128(38, 38), &[&high, &low, &smallest, "0"], "v").await;
    let split = format!("{}.9", "9".repeat(37));
    same_text("numeric(38,1)", DataType::Decimal128(38, 1), &[&split, "-0.1", "1000000"], "v").await;
    let amounts = ["99999999.99", "-99999999.99", "0.01", "-0.01", "0.10", "1", "10000", "12345.67", "NULL"];
    same_text("numeric(10,2)", DataType::Decimal128(10, 2), &amounts, "v").await;
    same_text("numeric(1,0)", DataType::Decimal128(1, 0), &["9", "-9", "0"], "v").await;
    same_text("numeric(5,5)", DataType::Decimal128(5, 5), &["0.99999", "0.00001", "-0.1"], "v").await;
}

#[tokio::test]
async fn floats_are_the_same_bits() {
    let literals = ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1", "1e-38", "3.4028235e38", "NULL"];
    let database = with_values("float4", &literals).await;
    let values = column(&sealift_reads(&database).await, 1);
    let bits = |f: f32| f.to_bits();
    let ours: Vec<_> = values.as_primitive::<Float32Type>().iter().map(|v| v.map(bits)).collect();
    let said = server_says(&database, "v").await;
    let theirs: Vec<_> = said.iter().map(|v| v.as_ref().map(|v| bits(v.parse().unwrap()))).collect();
    assert_eq!(ours, theirs);

    let literals = ["'NaN'", "'-Infinity'", "'-0'", "0.1", "5e-324", "1.7976931348623157e308", "NULL"];
    let database = with_values("float8", &literals).await;
    let values = column(&sealift_reads(&database).await, 1);
    let bits = |f: f64| f.to_bits();
    let ours: Vec<_> = values.as_primitive::<Float64Type>().iter().map(|v| v.map(bits)).collect();
    let said = server_says(&database, "v").await;
    let theirs: Vec<_> = said.iter().map(|v| v.as_ref().map(|v| bits(v.parse().unwrap()))).collect();
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn texts_and_booleans_are_exact_and_null_is_not_empty() {
    let texts = ["''", "NULL", "' '", "'žluťoučký 🐎'", "E'line\\nbreak\\t\\u0001'", "'\\N'", "'NULL'"];
    same_text("text", DataType::Utf8, &texts, "v").await;
    same_text("varchar(20)", DataType::Utf8, &texts, "v").await;
    same_text("name", DataType::Utf8, &["'pg_class'", "NULL"], "v").await;
    same_text("boolean", DataType::Boolean, &["true", "false", "NULL"], "v").await;
    // char(n) comes padded, as the server keeps it; a cast to text would strip it.
    same_text("char(5)", DataType::Utf8, &["'ab'", "''", "'abcde'", "NULL"], "rpad(v::text, 5)").await;
}

#[tokio::test]
async fn uuid_json_and_bytes_keep_every_value() {
    let uuids = ["'00000000-0000-0000-0000-000000000000'", "'FFFFFFFF-0123-4567-89AB-cdefCDEF0001'", "NULL"];
    same_text("uuid", DataType::Utf8, &uuids, "v").await;
    let documents = ["'{\"b\": 1, \"a\": [1.10, null, \"é\"]}'", "'null'", "'  1 '", "NULL", "'\"\"'"];
    same_text("json", DataType::Utf8, &documents, "v").await;
    same_text("jsonb", DataType::Utf8, &documents, "v").await;
    let bytes = ["'\\x'", "'\\x00ff10'", "NULL"];
    same_text("bytea", DataType::Binary, &bytes, "encode(v, 'hex')").await;
}

#[tokio::test]
async fn trap_dates_before_1582_and_bc_are_proleptic_gregorian() {
    let literals = [
        "'4713-01-01 BC'",
        "'0001-12-31 BC'",
        "'0001-01-01'",
        "'1500-02-28'",
        "'1582-10-04'",
        "'1582-10-10'",
        "'1582-10-15'",
        "'1969-12-31'",
        "'1970-01-01'",
        "'2000-02-29'",
        "'9999-12-31'",
        "'5874897-12-31'",
        "NULL",
    ];
    let database = with_values("date", &literals).await;
    let batches = sealift_reads(&database).await;
    let values = column(&batches, 1);
    // Counted from the Julian day, which knows no calendar.
    let days = values.as_primitive::<Date32Type>();
    let days: Vec<_> = days.iter().map(|day| day.map(|day| day.to_string())).collect();
    assert_eq!(
        days,
        server_says(
            &database,
            "CASE WHEN v < '290000-01-01' THEN to_char(v, 'J')::int - 2440588 ELSE v - '1970-01-01' END"
        )
        .await
    );
    let said = server_says(&database, "CASE WHEN v < '290000-01-01' THEN to_char(v, 'YYYY-MM-DD') END").await;
    assert_eq!(shown(&values)[2..11], said[2..11]);
}

#[tokio::test]
async fn timestamps_are_exact_to_the_microsecond() {
    let literals = [
        "'4713-01-01 00:00:00 BC'",
        "'0001-01-01 00:00:00'",
        "'1582-10-10 12:00:00.000001'",
        "'1969-12-31 23:59:59.999999'",
        "'1970-01-01 00:00:00'",
        "'2026-11-24 14:42:00.123456'",
        "'9999-12-31 23:59:59.999999'",
        "'294246-12-31 23:59:59.999999'",
        "NULL",
    ];
    for (data_type, zone) in [("timestamp", None), ("timestamptz", Some("UTC"))] {
        let database = with_values(data_type, &literals).await;
        let values = column(&sealift_reads(&database).await, 1);
        assert_eq!(values.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into)));
        let micros = values.as_primitive::<TimestampMicrosecondType>();
        let micros: Vec<_> = micros.iter().map(|m| m.map(|m| m.to_string())).collect();
        let said = server_says(&database, "trunc(extract(epoch FROM v) * 1000000)").await;
        assert_eq!(micros, said, "{data_type}");
    }
}

#[tokio::test]
async fn timestamptz_is_the_instant_whatever_zone_the_role_prefers() {
    let database = Database::create().await;
    database.run(&format!("ALTER DATABASE {} SET timezone = 'Asia/Kathmandu'", database.name)).await;
    let mut snapshot = snapshot(&database.settings()).await;
    let sql = "SELECT '2026-01-01 00:00:00+02'::timestamptz AS v";
    let batches = read(snapshot.as_mut(), &query(sql)).await.unwrap();
    assert_eq!(shown(batches[0].column(0)), [Some("2025-12-31T22:00:00Z".to_owned())]);
}

#[tokio::test]
async fn trap_values_that_do_not_fit_are_refused_with_the_column_and_without_the_value() {
    for (expression, words) in [
        ("'NaN'::numeric(10,2)", "NaN"),
        ("'{1.5,NaN}'::numeric(10,2)[]", "NaN"),
        ("'{{1,2}}'::int4[]", "an array of more than one dimension"),
        ("'[0:0]={1}'::int4[]", "an array whose first index is not 1"),
        ("'infinity'::date", "an infinite date"),
        ("'-infinity'::date", "an infinite date"),
        ("'infinity'::timestamp", "an infinite timestamp"),
        ("'-infinity'::timestamptz", "an infinite timestamp"),
        ("'294276-12-31'::timestamp", "a timestamp beyond 64 bits of microseconds"),
    ] {
        let database = Database::create().await;
        let mut snapshot = snapshot(&database.settings()).await;
        let error = read(snapshot.as_mut(), &query(&format!("SELECT 1 AS n, {expression} AS due")))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{expression}");
        assert_eq!(error.message(), format!("column `due` holds {words}, which is not carried as its type"));
    }
}

#[tokio::test]
async fn a_column_of_nulls_an_empty_table_and_no_columns_at_all_are_read() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE empty (a int, b text); CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES")
        .await;
    database.run("CREATE TABLE nulls AS SELECT NULL::numeric(9,2) AS a, NULL::bytea AS b, NULL::uuid AS c, NULL::bool AS d, NULL::jsonb AS e, NULL::date AS f FROM generate_series(1, 20000)").await;
    let mut snapshot = snapshot(&database.settings()).await;
    assert_eq!(rows(&read(snapshot.as_mut(), &table("public", "empty")).await.unwrap()), 0);
    assert_eq!(rows(&read(snapshot.as_mut(), &table("public", "bare")).await.unwrap()), 1);
    let batches = read(snapshot.as_mut(), &table("public", "nulls")).await.unwrap();
    assert_eq!(rows(&batches), 20_000);
    assert!((0..6).all(|i| column(&batches, i).null_count() == 20_000));
}

#[tokio::test]
async fn domains_are_carried_as_their_base_type() {
    let database = Database::create().await;
    database.run("CREATE DOMAIN price AS numeric(8,2); CREATE DOMAIN dear AS price CHECK (VALUE > 100); CREATE TABLE t (v dear); INSERT INTO t VALUES (123.45)").await;
    let mut snapshot = snapshot(&database.settings()).await;
    let described = columns(snapshot.as_mut(), &table("public", "t")).await;
    assert_eq!(described[0].source_type, "dear");
    assert_eq!(described[0].carried, Carried::Exact(DataType::Decimal128(8, 2)));
    let batches = read(snapshot.as_mut(), &table("public", "t")).await.unwrap();
    assert_eq!(shown(batches[0].column(0)), [Some("123.45".to_owned())]);
}
