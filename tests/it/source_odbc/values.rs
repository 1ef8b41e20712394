//! No value changes: types from edge to edge, compared with the server's own text.

use super::{columns, mariadb, of_mariadb, of_postgres, of_sqlite, query, read, read_as, rows, snapshot, table};
use crate::servers::postgres;

#[tokio::test]
async fn explore() {
    let database = postgres::Database::create().await;
    database.run("CREATE TABLE t (b bool, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(38,10), n3 numeric(50,3), t text, v varchar, v2 varchar(10), c char(5), by bytea, d date, ts timestamp, tz timestamptz, tm time, u uuid, j jsonb, iv interval, a int[], m money, o oid)").await;
    database.run("INSERT INTO t VALUES (true, -32768, 9223372036854775807, 0.1, 0.1, 1234567890123456789012345678901234567890.123, 1.5, 99999999999999999999999999999999999999999999999.125, 'žluť', 'x', 'ž🐎', 'ab', '\\x00ff', '2024-02-29', '2024-02-29 01:02:03.000001', '2024-02-29 01:02:03.5+02', '23:59:59.999999', '00000000-0000-0000-0000-000000000001', '{\"a\": 1}', '1 year 2 days 03:04:05.6', '{1,2}', 12.5, 77)").await;
    let mut s = snapshot(&of_postgres(&database)).await;
    for c in columns(s.as_mut(), &table("public", "t")).await { println!("PG {} | {} | {:?}", c.name, c.source_type, c.carried); }
    for c in columns(s.as_mut(), &query("SELECT * FROM t")).await { println!("PGQ {} | {} | {:?}", c.name, c.source_type, c.carried); }
    println!("PG {:?}", read(s.as_mut(), &table("public", "t")).await.map(|b| rows(&b)));
    println!("PG text {:?}", read_as(s.as_mut(), &table("public", "t"), |c| c.carried = sealift::source::Carried::AsText).await.map(|b| rows(&b)));
    for literal in ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12345-01-01'", "'0001-01-01'", "'99999-12-31'"] {
        println!("PG {literal} date {:?}", read(s.as_mut(), &query(&format!("SELECT {literal}::date AS v"))).await.map(|b| rows(&b)));
        println!("PG {literal} ts {:?}", read(s.as_mut(), &query(&format!("SELECT {literal}::timestamp AS v"))).await.map(|b| rows(&b)));
        println!("PG {literal} date text {:?}", read_as(s.as_mut(), &query(&format!("SELECT {literal}::date AS v")), |c| c.carried = sealift::source::Carried::AsText).await.map(|b| rows(&b)));
    }
    println!("PG nan {:?}", read(s.as_mut(), &query("SELECT 'NaN'::numeric(5,2) AS v")).await.map(|b| rows(&b)));
    println!("PG fl {:?}", read(s.as_mut(), &query("SELECT 'NaN'::float8 AS v, 'Infinity'::float8 AS w, '-Infinity'::float4 AS x, 5e-324::float8 AS y, 1.7976931348623157e308::float8 AS z, 3.4028235e38::float4 AS zz, 'é' AS tt")).await.map(|b| rows(&b)));

    let database = mariadb::Database::create();
    database.run("CREATE TABLE t (b bool, b1 bit(1), b9 bit(9), i1 tinyint unsigned, i2 smallint unsigned, i3 mediumint unsigned, i4 int unsigned, i8 bigint unsigned, si8 bigint, f4 float, f8 double, n decimal(38,10), n3 decimal(65,30), t text, lt longtext, v2 varchar(10), c char(5), vb varbinary(10), bl blob, d date, dt datetime, dt6 datetime(6), ts timestamp(6), tm time(6), y year, e enum('a','b'), s set('a','b'), j json, u uuid)");
    database.run("INSERT INTO t VALUES (true, b'1', b'101010101', 255, 65535, 16777215, 4294967295, 18446744073709551615, -9223372036854775808, 0.1, 0.1, 1.5, 99999999999999999999999999999999999.123456789012345678901234567890, 'žluť', 'x', 'ž🐎', 'ab', x'00ff', x'00ff', '2024-02-29', '2024-02-29 01:02:03', '2024-02-29 01:02:03.000001', '2024-02-29 01:02:03.5', '-838:59:59.999999', 2024, 'b', 'a,b', '{\"a\": 1}', '00000000-0000-0000-0000-000000000001')");
    let mut s = snapshot(&of_mariadb(&database)).await;
    let t = table(&database.name, "t");
    for c in columns(s.as_mut(), &t).await { println!("MA {} | {} | {:?}", c.name, c.source_type, c.carried); }
    for c in columns(s.as_mut(), &query("SELECT * FROM t")).await { println!("MAQ {} | {} | {:?}", c.name, c.source_type, c.carried); }
    println!("MA {:?}", read(s.as_mut(), &t).await.map(|b| rows(&b)));
    for c in ["b","b1","b9","i1","i2","i3","i4","i8","si8","f4","f8","n","n3","t","lt","v2","c","vb","bl","d","dt","dt6","ts","tm","y","e","s","j","u"] {
      println!("MA {c} {:?} {:?}", read(s.as_mut(), &query(&format!("SELECT {c} FROM t"))).await.map(|b| rows(&b)),
       read_as(s.as_mut(), &query(&format!("SELECT {c} FROM t")), |c| c.carried = sealift::source::Carried::AsText).await.map(|b| rows(&b)));
    }
    println!("MA {:?}", read(s.as_mut(), &query("SELECT 'é' AS v, CAST('0000-00-00' AS date) AS w")).await.map(|b| rows(&b)));
    database.run("SET sql_mode=''; CREATE TABLE z (n int, d date, dt datetime); INSERT INTO z VALUES (1, '0000-00-00', NULL), (2, NULL, '0000-00-00 00:00:00'), (3, '2024-00-10', NULL), (4, '0001-01-01', '9999-12-31 23:59:59')");
    let mut s = snapshot(&of_mariadb(&database)).await;
    for n in 1..5 { println!("MA z{n} {:?}", read(s.as_mut(), &query(&format!("SELECT * FROM z WHERE n = {n}"))).await.map(|b| rows(&b))); 
     println!("MA z{n} {:?}", read_as(s.as_mut(), &query(&format!("SELECT * FROM z WHERE n = {n}")), |c| c.carried = sealift::source::Carried::AsText).await.map(|b| rows(&b))); }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    crate::source_sqlite::make(&path, "CREATE TABLE t (i INTEGER, bi BIGINT, r REAL, d DOUBLE, n DECIMAL(10,2), x TEXT, b BLOB, dt DATE, ts TIMESTAMP, bo BOOLEAN); INSERT INTO t VALUES (1, 9223372036854775807, 0.1, 0.30000000000000004, 12.5, 'ž', x'00', '2024-02-29', '2024-02-29 01:02:03.5', 1), (9223372036854775807, 1, 1e300, 5e-324, 1, '', x'', 'x', 'y', 0)").await;
    let mut s = snapshot(&of_sqlite(&path)).await;
    for c in columns(s.as_mut(), &table("main", "t")).await { println!("SQ {} | {} | {:?}", c.name, c.source_type, c.carried); }
    for c in ["i","bi","r","d","n","x","b","dt","ts","bo"] {
    println!("SQ {c} {:?}", read(s.as_mut(), &query(&format!("SELECT {c} FROM t"))).await.map(|b| rows(&b)));
    println!("SQ {c} {:?}", read_as(s.as_mut(), &query(&format!("SELECT {c} FROM t")), |c| c.carried = sealift::source::Carried::AsText).await.map(|b| rows(&b)));
    }
    println!("SQ {:?}", read(s.as_mut(), &query("SELECT 'é' AS v, count(*) AS n FROM t")).await.map(|b| rows(&b)));
}
