//! No value changes: types from edge to edge, compared with the server's own text.

use arrow::datatypes::DataType;
use sealift::error::Kind;
use sealift::source::Carried;
use sealift::spec::config;

use super::{
    columns, mariadb, of_mariadb, of_postgres, of_sqlite, query, read, read_as, rows, snapshot, table, values,
};
use crate::servers::postgres;

/// What a query's column `v` is read as: its values, described and as text on request.
async fn both(settings: &config::Odbc, sql: &str) -> (Vec<Option<String>>, Vec<Option<String>>) {
    let mut snapshot = snapshot(settings).await;
    let described = read(snapshot.as_mut(), &query(sql)).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let texts = read_as(snapshot.as_mut(), &query(sql), |column| column.carried = Carried::AsText).await;
    (values(&described, 0), values(&texts.unwrap_or_else(|e| panic!("{sql}: {e}")), 0))
}

/// A column of a type with these literals: text on request is the server's own, and what is
/// described shows as `shown` makes of it.
async fn at_postgres(data_type: &str, literals: &[&str], shown: fn(&str) -> String) {
    let database = postgres::Database::create().await;
    database.run(&format!("CREATE TABLE t (n serial, v {data_type})")).await;
    for literal in literals {
        database.run(&format!("INSERT INTO t (v) VALUES ({literal})")).await;
    }
    let said = database.client.query("SELECT v::text FROM t ORDER BY n", &[]).await.unwrap();
    let said: Vec<Option<String>> = said.iter().map(|row| row.get(0)).collect();
    let (described, texts) = both(&of_postgres(&database), "SELECT v, n FROM t ORDER BY n").await;
    let expected: Vec<_> = said.iter().map(|text| text.as_deref().map(shown)).collect();
    assert_eq!(described, expected, "{data_type}");
    // char(n) loses its padding when it is cast.
    assert_eq!(texts, said, "{data_type}");
}

fn as_it_is(text: &str) -> String {
    text.to_owned()
}

/// Arrow's display of a PostgreSQL timestamp.
fn iso(text: &str) -> String {
    text.replace(' ', "T")
}

#[tokio::test]
async fn numbers_of_postgresql_are_exact() {
    at_postgres("smallint", &["-32768", "32767", "NULL"], as_it_is).await;
    at_postgres("bigint", &["-9223372036854775808", "9223372036854775807", "NULL"], as_it_is).await;
    let nines = "9".repeat(38);
    at_postgres("numeric(38,0)", &[&nines, &format!("-{nines}"), "0", "NULL"], as_it_is).await;
    at_postgres("numeric(38,38)", &[&format!("0.{nines}"), "0.1", "NULL"], as_it_is).await;
    // Without limits, and with more digits than a decimal holds: as text.
    let long = format!("{}.{}", "7".repeat(300), "3".repeat(200));
    at_postgres("numeric", &[&long, "1.50", "NULL", "'NaN'"], as_it_is).await;
    at_postgres("numeric(50,3)", &["99999999999999999999999999999999999999999999999.125", "NULL"], as_it_is)
        .await;
    let floats = ["0.1", "5e-324", "1.7976931348623157e308", "'NaN'", "'-Infinity'", "'-0'", "NULL"];
    at_postgres("double precision", &floats, |text| format!("{:?}", text.parse::<f64>().unwrap())).await;
    let floats = ["0.1", "1e-38", "3.4028235e38", "'Infinity'", "NULL"];
    at_postgres("real", &floats, |text| format!("{:?}", text.parse::<f32>().unwrap())).await;
}

#[tokio::test]
async fn texts_of_postgresql_are_exact_whatever_their_length() {
    let long = format!("repeat('{}', 300000)", "ž🐎");
    for data_type in ["text", "varchar"] {
        at_postgres(data_type, &["''", "NULL", "' '", "'žluťoučký 🐎'", &long], as_it_is).await;
    }
    at_postgres("varchar(4)", &["'🐎🐎🐎🐎'", "''", "NULL"], as_it_is).await;
    at_postgres("bytea", &["'\\x00ff10'", "'\\x'", "NULL"], |text| text.replace("\\x", "")).await;
}

#[tokio::test]
async fn trap_years_before_1_and_infinities_do_not_become_other_days() {
    let dates = ["'0001-01-01'", "'1582-10-10'", "'9999-12-31'", "'2024-02-29'", "NULL"];
    at_postgres("date", &dates, as_it_is).await;
    let instants =
        ["'0001-01-01 00:00:00'", "'2024-02-29 23:59:59.000001'", "'9999-12-31 23:59:59.999999'", "NULL"];
    at_postgres("timestamp", &instants, iso).await;
    let database = postgres::Database::create().await;
    let mut snapshot = snapshot(&of_postgres(&database)).await;
    // The driver's own structures hold 44 AD and the last second of 9999 for these.
    let batches =
        read(snapshot.as_mut(), &query("SELECT '0044-03-15 BC'::date AS v, '0044-03-15 BC'::timestamp AS w"))
            .await;
    assert_eq!(
        rows(&batches.unwrap()),
        [["-0043-03-15", "-0043-03-15T00:00:00"].map(|v| Some(v.to_owned())).to_vec()]
    );
    for value in
        ["'infinity'::date", "'-infinity'::date", "'infinity'::timestamp", "'-infinity'::timestamptz"]
    {
        let error = read(snapshot.as_mut(), &query(&format!("SELECT {value} AS v"))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{value}");
        assert!(error.message().contains("column `v` holds an infinite date"), "{error}");
    }
}

#[tokio::test]
async fn other_types_of_postgresql_are_their_text() {
    at_postgres("uuid", &["'00000000-0000-0000-0000-00000000000a'", "NULL"], as_it_is).await;
    at_postgres("jsonb", &["'{\"b\": [1, null]}'", "NULL"], as_it_is).await;
    at_postgres("time", &["'23:59:59.999999'", "'24:00'", "NULL"], as_it_is).await;
    at_postgres("interval", &["'1 year -2 days 03:04:05.6'", "NULL"], as_it_is).await;
    at_postgres("int[]", &["'{1,NULL,3}'", "NULL"], as_it_is).await;
    let database = postgres::Database::create().await;
    database.run("CREATE TABLE t (m money, tz timestamptz, b bool); INSERT INTO t VALUES (92233720368547758.07, '2024-02-29 01:02:03.5+02', true)").await;
    let mut snapshot = snapshot(&of_postgres(&database)).await;
    let batches = read(snapshot.as_mut(), &table("public", "t")).await.unwrap();
    let row = ["$92,233,720,368,547,758.07", "2024-02-28T23:02:03.500Z", "true"];
    assert_eq!(rows(&batches), [row.map(|v| Some(v.to_owned())).to_vec()]);
    // A query's driver calls money a float: refused and not rounded.
    assert_eq!(read(snapshot.as_mut(), &query("SELECT m FROM t")).await.unwrap_err().kind(), Kind::Data);
}

/// The types of MariaDB, a value from each edge, and how that shows when it is carried.
const MARIADB: &[(&str, &str, &str)] = &[
    ("tinyint unsigned", "255", "255"),
    ("smallint unsigned", "65535", "65535"),
    ("mediumint unsigned", "16777215", "16777215"),
    ("int unsigned", "4294967295", "4294967295"),
    ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("bit(1)", "b'1'", "true"),
    ("bit(9)", "b'101010101'", "0155"),
    ("float", "0.1", "0.1"),
    ("double", "5e-324", "5e-324"),
    ("double", "0.30000000000000004", "0.30000000000000004"),
    ("decimal(38,10)", "-1.5", "-1.5000000000"),
    (
        "decimal(65,30)",
        "99999999999999999999999999999999999.123456789012345678901234567890",
        "99999999999999999999999999999999999.123456789012345678901234567890",
    ),
    ("varchar(4)", "'🐎🐎🐎🐎'", "🐎🐎🐎🐎"),
    ("text", "''", ""),
    ("varbinary(10)", "x'00ff'", "00ff"),
    ("date", "'0001-01-01'", "0001-01-01"),
    ("datetime(6)", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
    ("time(6)", "'-838:59:59.999999'", "-838:59:59.999999"),
    ("year", "2155", "2155"),
    ("enum('a','žž')", "'žž'", "žž"),
    ("json", "'{\"a\": 1}'", "{\"a\": 1}"),
];

#[tokio::test]
async fn types_of_mariadb_keep_their_edges_and_their_nulls() {
    let database = mariadb::Database::create();
    for (index, (data_type, literal, shown)) in MARIADB.iter().enumerate() {
        database.run(&format!(
            "CREATE TABLE t{index} (v {data_type} NULL); INSERT INTO t{index} VALUES ({literal}), (NULL)"
        ));
        let (mut described, texts) = both(&of_mariadb(&database), &format!("SELECT v FROM t{index}")).await;
        described.sort();
        assert_eq!(described, [None, Some((*shown).to_owned())], "{data_type}");
        assert_eq!(texts.iter().filter(|text| text.is_none()).count(), 1, "{data_type}");
    }
    // A value longer than its bulk buffers could ever be.
    let long = "CREATE TABLE l (v longtext); INSERT INTO l VALUES (repeat('ž🐎', 1000000))";
    database.run(long);
    let (described, _) = both(&of_mariadb(&database), "SELECT v FROM l").await;
    assert_eq!(described, [Some("ž🐎".repeat(1_000_000))]);
}

#[tokio::test]
async fn trap_zero_dates_are_refused_and_given_as_text_on_request() {
    let database = mariadb::Database::create();
    database.run("SET sql_mode = ''; CREATE TABLE t (v date); INSERT INTO t VALUES ('0000-00-00')");
    let mut snapshot = snapshot(&of_mariadb(&database)).await;
    let selector = table(&database.name, "t");
    assert_eq!(read(snapshot.as_mut(), &selector).await.unwrap_err().kind(), Kind::Data);
    let texts =
        read_as(snapshot.as_mut(), &selector, |column| column.carried = Carried::AsText).await.unwrap();
    assert_eq!(values(&texts, 0), [Some("0000-00-00".to_owned())]);
}

#[tokio::test]
async fn trap_sqlites_driver_rounds_and_coerces_so_such_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let sql = "CREATE TABLE t (i INTEGER, r REAL, d DECIMAL(9,2), n, at DATE, b BOOLEAN, x TEXT);
        INSERT INTO t VALUES (9223372036854775807, 0.30000000000000004, 1.5, 0.30000000000000004, 2460000.5, 1, 'a');
        CREATE TABLE mixed (v INTEGER); INSERT INTO mixed VALUES (1.5)";
    crate::source_sqlite::make(&path, sql).await;
    let mut snapshot = snapshot(&of_sqlite(&path)).await;
    for column in columns(snapshot.as_mut(), &table("main", "t")).await {
        match column.name.as_str() {
            "i" => assert_eq!(column.carried, Carried::Exact(DataType::Int64)),
            "x" => assert_eq!(column.carried, Carried::Exact(DataType::Utf8)),
            name => assert!(
                matches!(&column.carried, Carried::Refused { remedy } if remedy.contains("sqlite")),
                "{name}: {:?}",
                column.carried
            ),
        }
    }
    assert_eq!(read(snapshot.as_mut(), &table("main", "mixed")).await.unwrap_err().kind(), Kind::Data);
    let of_query = columns(snapshot.as_mut(), &query("SELECT avg(i) AS v FROM t")).await;
    assert!(matches!(of_query[0].carried, Carried::Refused { .. }));
}

#[tokio::test]
async fn a_value_over_the_bound_fails_and_is_never_cut() {
    let database = postgres::Database::create().await;
    database.run("CREATE TABLE t AS SELECT 1 AS n, repeat('x', 40000000) AS v").await;
    let mut snapshot = snapshot(&of_postgres(&database)).await;
    let error = read(snapshot.as_mut(), &table("public", "t")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data, "{error}");
    assert!(error.message().contains("64 MiB"), "{error}");
    // The snapshot serves on.
    assert_eq!(values(&read(snapshot.as_mut(), &query("SELECT n FROM t")).await.unwrap(), 0).len(), 1);
}

#[tokio::test]
async fn words_beyond_ascii_reach_the_server_in_a_query_and_in_names() {
    let database = postgres::Database::create().await;
    database.run("CREATE TABLE \"účty\" (\"č\" text); INSERT INTO \"účty\" VALUES ('ž'), ('z')").await;
    let mut snapshot_pg = snapshot(&of_postgres(&database)).await;
    let batches =
        read(snapshot_pg.as_mut(), &query("SELECT \"č\" FROM \"účty\" WHERE \"č\" = 'ž'")).await.unwrap();
    assert_eq!(values(&batches, 0), [Some("ž".to_owned())]);
    let batches = read(snapshot_pg.as_mut(), &table("public", "účty")).await.unwrap();
    assert_eq!(batches[0].schema().field(0).name(), "č");
    let database = mariadb::Database::create();
    database.run("CREATE TABLE `účty` (`č` varchar(9)); INSERT INTO `účty` VALUES ('ž'), ('x')");
    let mut snapshot_ma = snapshot(&of_mariadb(&database)).await;
    let batches = read(snapshot_ma.as_mut(), &query("SELECT `č` FROM `účty` WHERE `č` = 'ž'")).await.unwrap();
    assert_eq!(values(&batches, 0), [Some("ž".to_owned())]);
    assert_eq!(rows(&read(snapshot_ma.as_mut(), &table(&database.name, "účty")).await.unwrap()).len(), 2);
}
