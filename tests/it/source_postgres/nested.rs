//! Types that people make: composite types, domains, enums, extensions.

use arrow::datatypes::{DataType, Field, Fields};
use futures::TryStreamExt;
use sealift::error::Kind;
use sealift::source::Carried;

use super::said::{self, Value};
use super::{columns, query, read, relation, snapshot, table};
use crate::servers::postgres::Database;

fn list(element: DataType) -> DataType {
    DataType::List(Field::new("element", element, true).into())
}

fn fields(fields: &[(&str, DataType)]) -> DataType {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    DataType::Struct(fields.iter().map(field).collect::<Fields>())
}

/// How each column of `t` after `n` is carried.
async fn described(database: &Database) -> Vec<(String, Carried)> {
    let mut snapshot = snapshot(&database.settings()).await;
    let columns = columns(snapshot.as_mut(), &table("public", "t")).await;
    columns.into_iter().skip(1).map(|column| (column.name, column.carried)).collect()
}

/// The values of each column of `t` after `n`.
async fn values(database: &Database) -> Vec<Vec<Value>> {
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &table("public", "t")).await.unwrap();
    let columns = batches[0].num_columns();
    (1..columns).map(|index| said::arrow(&said::in_order(&batches, index))).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn composite_types_are_structs_of_what_their_fields_are_carried_as() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(8,2);
            CREATE TYPE part AS (a numeric(5,2), gone int, \"B b\" text, days date[]);
            ALTER TYPE part DROP ATTRIBUTE gone; ALTER TYPE part ADD ATTRIBUTE late numeric;
            CREATE TYPE whole AS (part part, parts part[], price price, mood mood);
            CREATE DOMAIN little AS part CHECK ((VALUE).a < 100);
            CREATE TABLE t (n int, v whole, w whole[], little little);
            INSERT INTO t VALUES
              (1, ROW(ROW(1.5, '', '{1970-01-02,NULL}', 1e3), '{}', 2.5, 'ok'), NULL, ROW(1, 'x', '{}', NULL)),
              (2, ROW(NULL, ARRAY[ROW(NULL, NULL, NULL, 'NaN')::part, NULL], NULL, NULL), '{NULL}', NULL),
              (3, NULL, ARRAY[ROW(NULL, NULL, NULL, NULL)::whole], ROW(NULL, NULL, NULL, NULL))",
        )
        .await;
    let part = fields(&[
        ("a", DataType::Decimal128(5, 2)),
        ("B b", DataType::Utf8),
        ("days", list(DataType::Date32)),
        ("late", DataType::Utf8),
    ]);
    let whole = fields(&[
        ("part", part.clone()),
        ("parts", list(part.clone())),
        ("price", DataType::Decimal128(8, 2)),
        ("mood", DataType::Utf8),
    ]);
    let expected = [("v", whole.clone()), ("w", list(whole)), ("little", part)];
    let expected: Vec<_> = expected.map(|(name, t)| (name.to_owned(), Carried::Exact(t))).into();
    assert_eq!(described(&database).await, expected);

    let nulls = || Value::List(vec![Value::Null; 4]);
    let values = values(&database).await;
    let days = Value::List(vec![text("1"), Value::Null]);
    let part = Value::List(vec![text("1.50"), text(""), days, text("1000")]);
    let late = Value::List(vec![Value::Null, Value::Null, Value::Null, text("NaN")]);
    assert_eq!(
        values[0],
        [
            Value::List(vec![part, Value::List(vec![]), text("2.50"), text("ok")]),
            Value::List(vec![Value::Null, Value::List(vec![late, Value::Null]), Value::Null, Value::Null]),
            Value::Null,
        ]
    );
    assert_eq!(values[1], [Value::Null, Value::List(vec![Value::Null]), Value::List(vec![nulls()])]);
    let little = Value::List(vec![text("1.00"), text("x"), Value::List(vec![]), Value::Null]);
    assert_eq!(values[2], [little, Value::Null, nulls()]);
}

#[tokio::test]
async fn domains_are_carried_as_what_they_are_over_at_every_level() {
    let database = Database::create().await;
    database
        .run(
            "CREATE DOMAIN price AS numeric(8,2); CREATE DOMAIN dear AS price CHECK (VALUE > 100);
            CREATE DOMAIN dears AS dear[]; CREATE DOMAIN spans AS interval[];
            CREATE TABLE t (n int, a dear, b dear[], c dears, d dears[], e spans);
            INSERT INTO t VALUES
              (1, 123.45, '{101,NULL}', '{102}', '{\"{103,104}\",NULL}', '{1 day}'),
              (2, NULL, '{}', NULL, '{}', '{}')",
        )
        .await;
    let decimal = DataType::Decimal128(8, 2);
    let expected: Vec<_> = [
        decimal.clone(),
        list(decimal.clone()),
        list(decimal.clone()),
        list(list(decimal)),
        list(DataType::Utf8),
    ]
    .map(Carried::Exact)
    .into();
    assert_eq!(described(&database).await.into_iter().map(|(_, c)| c).collect::<Vec<_>>(), expected);
    let values = values(&database).await;
    assert_eq!(values[0], [text("123.45"), Value::Null]);
    assert_eq!(values[1], [Value::List(vec![text("101.00"), Value::Null]), Value::List(vec![])]);
    assert_eq!(values[2], [Value::List(vec![text("102.00")]), Value::Null]);
    let inner = Value::List(vec![text("103.00"), text("104.00")]);
    assert_eq!(values[3], [Value::List(vec![inner, Value::Null]), Value::List(vec![])]);
    assert_eq!(values[4], [Value::List(vec![text("1 day")]), Value::List(vec![])]);
}

#[tokio::test]
async fn what_has_no_layout_of_its_own_is_the_server_s_text() {
    let database = Database::create().await;
    for extension in ["hstore", "citext", "ltree", "cube", "isn", "lo"] {
        database.run(&format!("CREATE EXTENSION {extension}")).await;
    }
    database
        .run(
            "CREATE TYPE mood AS ENUM ('sad', 'o k'); CREATE TYPE nothing AS ();
            CREATE TYPE place AS (name text, at point); CREATE TYPE floats AS RANGE (subtype = float8);
            CREATE TABLE other (a int, b text); CREATE TABLE t (n int, mood mood, nothing nothing, place place,
              floats floats, manys floats_multirange, store hstore, ci citext, tree ltree, cube cube, book isbn,
              other other, places place[], moods mood[], stores hstore[], lo lo, short \"char\", big \"char\");
            INSERT INTO t VALUES
              (1, 'o k', ROW(), ROW('a \"b\", c', '(0.1,1e300)'), '[0.1,1e300)', '{[0.1,0.2)}',
               '\"a b\"=>\"c\", n=>NULL', 'MiXed', 'Top.Sub_1', '(0.1,2),(3,4)', '978-0-393-04002-9',
               ROW(1, NULL), ARRAY[ROW(NULL, '(1,2)')::place, NULL], '{sad,NULL}', '{a=>1,NULL}', 4294967295,
               'x', (-1)::\"char\");
            INSERT INTO t (n) VALUES (2)",
        )
        .await;
    let described = described(&database).await;
    let values = values(&database).await;
    database.client.batch_execute(said::FORMS).await.unwrap();
    for ((name, carried), ours) in described.iter().zip(&values) {
        match name.as_str() {
            "other" => {
                assert_eq!(
                    carried,
                    &Carried::Exact(fields(&[("a", DataType::Int32), ("b", DataType::Utf8)]))
                );
                assert_eq!(ours, &[Value::List(vec![text("1"), Value::Null]), Value::Null]);
            }
            "places" | "moods" | "stores" => {
                assert_eq!(carried, &Carried::Exact(list(DataType::Utf8)), "{name}");
                let said = said::server_elements(&database.client, name, "e::text").await;
                assert_eq!(ours, &said, "{name}");
            }
            "lo" => assert_eq!(ours, &[text("4294967295"), Value::Null]),
            // From 128 on it is no character: the server writes it so from version 16 on, and before
            // sends a byte that is no text.
            "big" => assert_eq!(ours, &[text("\\377"), Value::Null]),
            _ => {
                assert_eq!(carried, &Carried::AsText, "{name}");
                assert_eq!(ours, &said::server(&database.client, &format!("{name}::text")).await, "{name}");
                assert_ne!(ours[0], Value::Null, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn trap_the_text_of_a_value_does_not_hang_on_what_the_role_prefers() {
    let database = Database::create().await;
    for setting in [
        "DateStyle = 'German'",
        "IntervalStyle = 'sql_standard'",
        "extra_float_digits = 0",
        "bytea_output = 'escape'",
        "timezone = 'Asia/Kathmandu'",
    ] {
        database.run(&format!("ALTER DATABASE {} SET {setting}", database.name)).await;
    }
    let sql = "SELECT '1 day -00:00:01'::interval AS a, '(0.1,0.30000000000000004)'::point AS b, \
        '[2000-12-31,2001-01-01)'::daterange AS c, '[2000-12-31 00:00:00+00,)'::tstzrange AS d, \
        ARRAY['\\x00ff'::bytea]::text AS e";
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &query(sql)).await.unwrap();
    let values: Vec<_> = batches[0].columns().iter().flat_map(said::arrow).collect();
    assert_eq!(
        values,
        [
            "1 day -00:00:01",
            "(0.1,0.30000000000000004)",
            "[2000-12-31,2001-01-01)",
            "[\"2000-12-31 00:00:00+00\",)",
            "{\"\\\\x00ff\"}",
        ]
        .map(text)
    );
}

#[tokio::test]
async fn a_type_altered_between_plan_and_read_is_noticed() {
    let database = Database::create().await;
    database
        .run("CREATE TYPE part AS (a int, b int); CREATE TABLE t (n int, v part); INSERT INTO t VALUES (1, (1, 2))")
        .await;
    let mut snapshot = snapshot(&database.settings()).await;
    let relation = relation(snapshot.as_mut(), &table("public", "t")).await;
    let described = snapshot.describe(&relation).await.unwrap().columns;
    database.run("ALTER TYPE part ADD ATTRIBUTE c int").await;
    let error = match snapshot.read(&relation, &described).await {
        Ok(batches) => batches.try_collect::<Vec<_>>().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    assert!(error.message().contains("`v`"), "{error}");
}

#[tokio::test]
async fn columns_of_a_query_are_carried_as_those_of_a_table() {
    let database = Database::create().await;
    let sql = "SELECT 1.50 AS a, ARRAY[1, NULL] AS b, ROW(1, 'x') AS c, NULL AS d, 1::money AS e, now() - now() AS f";
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &query(sql)).await.unwrap();
    let values: Vec<_> = batches[0].columns().iter().flat_map(said::arrow).collect();
    let list = Value::List(vec![text("1"), Value::Null]);
    assert_eq!(values, [text("1.50"), list, text("(1,x)"), Value::Null, text("1.00"), text("00:00:00")]);
}
