//! Every type with its extremes, compared with the server's own text; random values of each kind.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, TimeUnit};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sealift::error::Kind;
use sealift::source::{Carried, Column};

use super::{columns, query, read, read_as_text, relation, shown, snapshot, table};
use crate::conformance::Rows;
use crate::servers::mariadb::Database;

/// A type, what the server says its value is (`{}` is the column), and literals of it.
pub(super) type Torture = (&'static str, &'static str, &'static [&'static str]);

const PLAIN: &str = "CAST({} AS CHAR)";
const HEX: &str = "LOWER(HEX({}))";

pub(super) const TORTURE: &[Torture] = &[
    ("tinyint", PLAIN, &["-128", "127", "0"]),
    ("tinyint unsigned", PLAIN, &["0", "255"]),
    ("tinyint(1)", PLAIN, &["2", "0", "1"]),
    ("bool", PLAIN, &["TRUE", "FALSE"]),
    ("smallint", PLAIN, &["-32768", "32767"]),
    ("smallint unsigned", PLAIN, &["65535", "0"]),
    ("mediumint", PLAIN, &["-8388608", "8388607"]),
    ("mediumint unsigned", PLAIN, &["16777215", "0"]),
    ("int", PLAIN, &["-2147483648", "2147483647"]),
    ("int unsigned", PLAIN, &["4294967295", "0"]),
    ("bigint", PLAIN, &["-9223372036854775808", "9223372036854775807"]),
    ("bigint unsigned", PLAIN, &["18446744073709551615", "0"]),
    ("decimal(1,0)", PLAIN, &["-9", "9", "0"]),
    ("decimal(10,2)", PLAIN, &["-99999999.99", "0.01", "-0.01", "0.00"]),
    ("decimal(5,5)", PLAIN, &["0.00001", "-0.99999"]),
    (
        "decimal(38,0)",
        PLAIN,
        &["99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"],
    ),
    ("decimal(38,38)", PLAIN, &["0.00000000000000000000000000000000000001"]),
    ("decimal(20,4) unsigned", PLAIN, &["9999999999999999.9999"]),
    (
        "decimal(65,30)",
        PLAIN,
        &[
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-0.000000000000000000000000000001",
        ],
    ),
    ("decimal(39,0)", PLAIN, &["123456789012345678901234567890123456789"]),
    ("date", PLAIN, &["'1000-01-01'", "'9999-12-31'", "'1582-10-10'", "'0001-01-01'", "'2024-02-29'"]),
    ("datetime", PLAIN, &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'1969-12-31 23:59:59'"]),
    ("datetime(6)", PLAIN, &["'9999-12-31 23:59:59.999999'", "'2024-02-29 01:02:03.000001'"]),
    ("datetime(3)", PLAIN, &["'2024-02-29 01:02:03.120'"]),
    ("timestamp NULL", PLAIN, &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"]),
    ("timestamp(6) NULL", PLAIN, &["'2024-10-27 01:30:00.000001'"]),
    ("time", PLAIN, &["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"]),
    ("time(6)", PLAIN, &["'-838:59:58.999999'", "'00:00:00.000001'", "'24:00:00.500000'"]),
    ("year", "CAST({} + 0 AS CHAR)", &["1901", "2155", "0000"]),
    ("char(5)", PLAIN, &["''", "'ab'", "'é😀x'"]),
    ("char(3) CHARACTER SET latin1", PLAIN, &["'é€'"]),
    ("varchar(20)", PLAIN, &["''", "'  pad  '", "'NULL'", "'a\\'\\\\\\n'"]),
    ("varchar(10) CHARACTER SET utf16", PLAIN, &["'é😀'"]),
    ("varchar(10) CHARACTER SET sjis", PLAIN, &["'日本'"]),
    ("varchar(10) CHARACTER SET ascii", PLAIN, &["'plain'"]),
    ("varchar(10) COLLATE utf8mb4_bin", PLAIN, &["'Straße'"]),
    ("tinytext", PLAIN, &["''", "'t'"]),
    ("mediumtext", PLAIN, &["REPEAT('é', 70000)", "''"]),
    ("longtext", PLAIN, &["REPEAT('x', 300)"]),
    ("binary(4)", HEX, &["x'00ff'", "'abcd'"]),
    ("varbinary(10)", HEX, &["x''", "x'00ff00'"]),
    ("char(4) CHARACTER SET binary", HEX, &["x'80'"]),
    ("blob", HEX, &["x''", "x'fffe00'"]),
    ("longblob", HEX, &["REPEAT(x'80', 300)"]),
    ("enum('a','b,c','')", PLAIN, &["'a'", "'b,c'", "''"]),
    ("set('a','b','c')", PLAIN, &["'a,c'", "''"]),
    ("json", PLAIN, &["'{\"a\": [1, null]}'", "'null'", "'1.0'"]),
    ("uuid", PLAIN, &["'123e4567-e89b-12d3-a456-426655440000'"]),
    ("inet6", PLAIN, &["'::1'", "'2001:db8::ff00:42:8329'"]),
    ("inet4", PLAIN, &["'192.168.0.1'"]),
    ("bit(1)", "CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END", &["b'0'", "b'1'"]),
    ("bit(5)", "LPAD(BIN({}), 5, '0')", &["b'10101'", "b'0'", "b'11111'"]),
    ("bit(64)", "LPAD(BIN({}), 64, '0')", &["18446744073709551615", "0", "1"]),
    (
        "geometry",
        "CONCAT('SRID=', ST_SRID({}), ';', HEX(ST_AsBinary({})))",
        &["ST_GeomFromText('POINT(1 2)', 4326)", "ST_GeomFromText('LINESTRING(0 0,0.1 1e300)')"],
    ),
    ("point", "CONCAT('SRID=', ST_SRID({}), ';', HEX(ST_AsBinary({})))", &["POINT(0.1, -0.2)"]),
    (
        "double",
        PLAIN,
        &["1.7976931348623157e308", "2.2250738585072014e-308", "-0.1", "0", "1e22", "123456789.125"],
    ),
    ("float", "CAST({} AS DOUBLE)", &["3.4028234e38", "1.17549435e-38", "0.1", "16777217", "-1.5"]),
    ("double(10,2)", PLAIN, &["12345.67"]),
    ("float(7,4)", "CAST({} AS DOUBLE)", &["999.9999"]),
];

/// A table `t` with a column for each type, a row for each literal and one of NULLs.
pub(super) async fn torture() -> (Database, Rows) {
    let database = Database::create().await;
    let definitions: Vec<String> =
        TORTURE.iter().enumerate().map(|(i, (data_type, ..))| format!("c{i} {data_type}")).collect();
    database.run(&[&format!("CREATE TABLE t (n int PRIMARY KEY, {})", definitions.join(", "))]).await;
    let most = TORTURE.iter().map(|(.., literals)| literals.len()).max().unwrap();
    for row in 0..=most {
        let values: Vec<&str> = TORTURE.iter().map(|(.., l)| l.get(row).copied().unwrap_or("NULL")).collect();
        database.run(&[&format!("INSERT INTO t VALUES ({row}, {})", values.join(", "))]).await;
    }
    let oracles: Vec<String> = TORTURE
        .iter()
        .enumerate()
        .map(|(i, (_, oracle, _))| oracle.replace("{}", &format!("c{i}")))
        .collect();
    let rows = database.rows(&format!("SELECT n, {} FROM t ORDER BY n", oracles.join(", "))).await;
    (database, rows)
}

/// One column over all rows in the order of `n`, which is the first column.
fn in_order(batches: &[RecordBatch]) -> Rows {
    let mut rows = shown(batches);
    rows.sort_by_key(|row| row[0].clone().unwrap().parse::<i32>().unwrap());
    rows
}

/// What differs in writing only: the `T` of timestamps, zeros at the end of a fraction of seconds,
/// the digits of a float.
fn normal(data_type: &DataType, text: &str) -> String {
    match data_type {
        DataType::Timestamp(..) => {
            let text = text.replace('T', " ").trim_end_matches('Z').to_owned();
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                text
            }
        }
        DataType::Float32 => format!("{:e}", text.parse::<f64>().unwrap() as f32),
        DataType::Float64 => format!("{:e}", text.parse::<f64>().unwrap()),
        _ => text.to_owned(),
    }
}

#[tokio::test]
async fn every_type_reads_as_the_server_says_it() {
    let (database, said) = torture().await;
    let mut snapshot = snapshot(&database.settings()).await;
    let selector = table(&database.name, "t");
    let described = columns(snapshot.as_mut(), &selector).await;
    let found = in_order(&read(snapshot.as_mut(), &selector).await.unwrap());
    assert_eq!(found.len(), said.len());
    for (index, (data_type, ..)) in TORTURE.iter().enumerate() {
        let carried = described[index + 1].field().unwrap();
        for (found, said) in found.iter().zip(&said) {
            let text =
                |row: &[Option<String>]| row[index + 1].as_deref().map(|t| normal(carried.data_type(), t));
            assert_eq!(text(found), text(said), "{data_type} as {}, row {:?}", carried.data_type(), said[0]);
        }
    }
}

#[tokio::test]
async fn every_type_is_carried_as_documented() {
    let (database, _) = torture().await;
    let mut snapshot = snapshot(&database.settings()).await;
    let described = columns(snapshot.as_mut(), &table(&database.name, "t")).await;
    let carried = |wanted: &str| {
        let index = TORTURE.iter().position(|(data_type, ..)| *data_type == wanted).unwrap();
        described[index + 1].carried.clone()
    };
    for (data_type, exact) in [
        ("tinyint(1)", DataType::Int8),
        ("bool", DataType::Int8),
        ("tinyint unsigned", DataType::Int16),
        ("smallint unsigned", DataType::Int32),
        ("mediumint unsigned", DataType::Int32),
        ("int unsigned", DataType::Int64),
        ("bigint unsigned", DataType::Decimal128(20, 0)),
        ("decimal(38,38)", DataType::Decimal128(38, 38)),
        ("float", DataType::Float32),
        ("year", DataType::Int16),
        ("bit(1)", DataType::Boolean),
        ("blob", DataType::Binary),
        ("char(4) CHARACTER SET binary", DataType::Binary),
        ("varchar(10) COLLATE utf8mb4_bin", DataType::Utf8),
        ("mediumtext", DataType::Utf8),
        ("datetime(6)", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("timestamp NULL", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ] {
        assert_eq!(carried(data_type), Carried::Exact(exact), "{data_type}");
    }
    for data_type in [
        "decimal(39,0)",
        "decimal(65,30)",
        "time",
        "bit(5)",
        "enum('a','b,c','')",
        "uuid",
        "inet6",
        "geometry",
    ] {
        assert_eq!(carried(data_type), Carried::AsText, "{data_type}");
    }
}

#[tokio::test]
async fn every_type_can_be_had_as_text() {
    let (database, _) = torture().await;
    let mut snapshot = snapshot(&database.settings()).await;
    let text = |data_type: &str| !["binary", "blob"].iter().any(|word| data_type.contains(word));
    let wanted: Vec<usize> = (0..TORTURE.len()).filter(|i| text(TORTURE[*i].0)).collect();
    let names: Vec<String> = wanted.iter().map(|i| format!("c{i}")).collect();
    let selector = query(&format!("SELECT n, {} FROM t", names.join(", ")));
    let found = in_order(&read_as_text(snapshot.as_mut(), &selector).await.unwrap());
    let oracles: Vec<String> = wanted
        .iter()
        .map(|i| match TORTURE[*i] {
            ("bit(1)", ..) => format!("BIN(c{i})"),
            ("year", ..) => format!("CAST(c{i} AS CHAR)"),
            (data_type, ..) if data_type.starts_with("timestamp") => format!("CONCAT(c{i}, '+00:00')"),
            (_, oracle, _) => oracle.replace("{}", &format!("c{i}")),
        })
        .collect();
    let said = database.rows(&format!("SELECT n, {} FROM t ORDER BY n", oracles.join(", "))).await;
    for (place, index) in wanted.iter().enumerate() {
        let data_type = TORTURE[*index].0;
        for (found, said) in found.iter().zip(&said) {
            let (found, said) = (found[place + 1].as_deref(), said[place + 1].as_deref());
            if data_type.starts_with("float") {
                let same = |text: &str| text.parse::<f64>().unwrap() as f32;
                assert_eq!(found.map(same), said.map(same), "{data_type}");
            } else {
                assert_eq!(found, said, "{data_type}");
            }
        }
    }
}

#[tokio::test]
async fn bytes_asked_for_as_text_are_text_or_an_error() {
    let database = Database::create().await;
    database
        .run(&[
            "CREATE TABLE t (b blob)",
            "INSERT INTO t VALUES ('é')",
            "CREATE TABLE u (b blob)",
            "INSERT INTO u VALUES (x'ff')",
        ])
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read_as_text(snapshot.as_mut(), &table(&database.name, "t")).await.unwrap();
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "é");
    let error = read_as_text(snapshot.as_mut(), &table(&database.name, "u")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data, "{error}");
}

#[tokio::test]
async fn trap_zero_dates_fail_with_what_to_write_and_are_there_as_text() {
    let database = Database::create().await;
    database
        .run(&[
            "CREATE TABLE d (v date)",
            "INSERT INTO d VALUES ('0000-00-00'), ('2024-00-00'), ('2024-05-00'), (NULL)",
            "CREATE TABLE dt (v datetime NOT NULL)",
            "INSERT INTO dt VALUES ('0000-00-00')",
            "CREATE TABLE ts (v timestamp NOT NULL)",
            "INSERT INTO ts VALUES ('0000-00-00')",
            "SET sql_mode = 'ALLOW_INVALID_DATES'",
            "CREATE TABLE inv (v date)",
            "INSERT INTO inv VALUES ('2023-02-31')",
        ])
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    for name in ["d", "dt", "ts", "inv"] {
        let error = read(snapshot.as_mut(), &table(&database.name, name)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{name}: {error}");
        let remedy = error.remedy().unwrap();
        assert!(remedy.contains("{v: {as: text}}") && remedy.contains("on_overflow: null"), "{remedy}");
        assert!(!error.to_string().contains("2024") && !error.to_string().contains("31"), "{error}");
    }
    let mut as_text = async |name: &str| {
        let batches = read_as_text(snapshot.as_mut(), &table(&database.name, name)).await.unwrap();
        shown(&batches).into_iter().map(|row| row[0].clone()).collect::<Vec<_>>()
    };
    let some = |texts: &[&str]| texts.iter().map(|t| Some((*t).to_owned())).collect::<Vec<_>>();
    let zeros = [vec![None], some(&["0000-00-00", "2024-00-00", "2024-05-00"])].concat();
    assert_eq!(as_text("d").await, zeros);
    assert_eq!(as_text("dt").await, some(&["0000-00-00 00:00:00"]));
    assert_eq!(as_text("ts").await, some(&["0000-00-00 00:00:00+00:00"]));
    assert_eq!(as_text("inv").await, some(&["2023-02-31"]));
}

#[tokio::test]
async fn trap_char_is_not_padded_and_null_is_not_empty() {
    let database = Database::create().await;
    database
        .run(&["CREATE TABLE t (c char(5), v varchar(5))", "INSERT INTO t VALUES ('', NULL), (NULL, '')"])
        .await;
    // A server that would pad, and reads quotes and bars in another way.
    database.run(&["SET GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,ANSI,NO_BACKSLASH_ESCAPES'"]).await;
    let mut snapshot = snapshot(&database.settings()).await;
    database.run(&["SET GLOBAL sql_mode = DEFAULT"]).await;
    let rows = shown(&read(snapshot.as_mut(), &table(&database.name, "t")).await.unwrap());
    assert_eq!(rows, [vec![None, Some(String::new())], vec![Some(String::new()), None]]);
    let batches =
        read(snapshot.as_mut(), &query("SELECT \"text\" AS a, CONCAT('a', 'b') AS b")).await.unwrap();
    assert_eq!(shown(&batches), [[Some("text".to_owned()), Some("ab".to_owned())]]);
}

#[tokio::test]
async fn a_row_longer_than_a_packet_and_than_a_batch_comes_whole() {
    let database = Database::create().await;
    database
        .run(&[
            "SET SESSION sql_mode = ''",
            "CREATE TABLE t (id int PRIMARY KEY, v longblob)",
            "SET GLOBAL max_allowed_packet = 1 << 27",
        ])
        .await;
    let mut client = database.server.client(Some(&database.name)).await;
    use mysql_async::prelude::Queryable;
    client
        .query_drop("INSERT INTO t VALUES (1, REPEAT('x', 40000000)), (2, 'y'), (3, REPEAT('z', 16777210))")
        .await
        .unwrap();
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &table(&database.name, "t")).await.unwrap();
    let mut lengths: Vec<(usize, u8)> = batches
        .iter()
        .flat_map(|b| {
            b.column(1)
                .as_binary::<i32>()
                .iter()
                .map(|v| (v.unwrap().len(), v.unwrap()[0]))
                .collect::<Vec<_>>()
        })
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [(1, b'y'), (16_777_210, b'z'), (40_000_000, b'x')]);
}

/// Values of a strategy, always the same.
fn some<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[tokio::test]
async fn random_values_come_back_as_they_went_in() {
    const COUNT: usize = 300;
    let database = Database::create().await;
    database
        .run(&["CREATE TABLE t (id int PRIMARY KEY, d decimal(38,9), f float, g double, s text, b blob, n bigint unsigned, m datetime(6))"])
        .await;
    let decimals = some(-10_i128.pow(38) + 1..10_i128.pow(38), COUNT);
    let floats =
        some(proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL | proptest::num::f32::ZERO, COUNT);
    let doubles = some(proptest::num::f64::NORMAL | proptest::num::f64::ZERO, COUNT);
    let texts = some(any::<String>(), COUNT);
    let bytes = some(any::<Vec<u8>>(), COUNT);
    let numbers = some(any::<u64>(), COUNT);
    let micros = some(-62_135_596_800_000_000_i64..253_402_300_800_000_000, COUNT);
    let hex =
        |bytes: &[u8]| if bytes.is_empty() { "''".to_owned() } else { format!("0x{}", hex::encode(bytes)) };
    for i in 0..COUNT {
        let decimal = format!("{}e-9", decimals[i]);
        let decimal = exact(&decimal);
        let moment =
            chrono::DateTime::from_timestamp_micros(micros[i]).unwrap().format("%Y-%m-%d %H:%M:%S%.6f");
        // A float goes in through the double that equals it.
        database
            .run(&[&format!(
                "INSERT INTO t VALUES ({i}, '{decimal}', {:e}, {:e}, CONVERT({} USING utf8mb4), {}, {}, '{moment}')",
                f64::from(floats[i]),
                doubles[i],
                hex(texts[i].as_bytes()),
                hex(&bytes[i]),
                numbers[i]
            )])
            .await;
    }
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &table(&database.name, "t")).await.unwrap();
    let mut seen = 0;
    for batch in &batches {
        let ids = batch.column(0).as_primitive::<arrow::datatypes::Int32Type>();
        for row in 0..batch.num_rows() {
            let i = ids.value(row) as usize;
            assert_eq!(batch.column(1).as_primitive::<Decimal128Type>().value(row), decimals[i]);
            assert_eq!(batch.column(2).as_primitive::<Float32Type>().value(row), floats[i]);
            assert_eq!(batch.column(3).as_primitive::<Float64Type>().value(row), doubles[i]);
            assert_eq!(batch.column(4).as_string::<i32>().value(row), texts[i]);
            assert_eq!(batch.column(5).as_binary::<i32>().value(row), bytes[i]);
            assert_eq!(batch.column(6).as_primitive::<Decimal128Type>().value(row), i128::from(numbers[i]));
            let moments = batch.column(7).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
            assert_eq!(moments.value(row), micros[i]);
            seen += 1;
        }
    }
    assert_eq!(seen, COUNT);
}

/// `123e-9` without the exponent.
fn exact(text: &str) -> String {
    let (digits, _) = text.split_once('e').unwrap();
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = format!("{digits:0>10}");
    let (whole, fraction) = digits.split_at(digits.len() - 9);
    format!("{sign}{whole}.{fraction}")
}

#[tokio::test]
async fn what_a_query_computes_is_typed_too() {
    let database = Database::create().await;
    let sql = "SELECT 1 AS i, 1.5 AS d, NULL AS n, NOW(6) AS m, CURRENT_DATE AS t, 'x' AS s, x'00' AS b, \
               SUM(1) AS total, 1e0 AS e, TRUE AS yes, SEC_TO_TIME(90000.25) AS long_time -- a comment";
    let mut snapshot = snapshot(&database.settings()).await;
    let selector = query(sql);
    let described = columns(snapshot.as_mut(), &selector).await;
    let types: Vec<&str> = described.iter().map(|c| c.source_type.as_str()).collect();
    assert_eq!(types[1], "decimal(2,1)");
    assert!(described.iter().all(|c| c.nullable));
    let batches = read(snapshot.as_mut(), &selector).await.unwrap();
    let row = &shown(&batches)[0];
    assert_eq!(row[1].as_deref(), Some("1.5"));
    assert_eq!(row[2], None);
    assert_eq!(row[6].as_deref(), Some("00"));
    assert_eq!(row[10].as_deref(), Some("25:00:00.25"));
    let found = relation(snapshot.as_mut(), &selector).await;
    let one = [Column { carried: Carried::AsText, ..described[1].clone() }];
    let stream = snapshot.read(&found, &one).await.unwrap();
    let batches: Vec<RecordBatch> = futures::TryStreamExt::try_collect(stream).await.unwrap();
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "1.5");
    assert_eq!(batches[0].column(0).null_count(), 0);
}
