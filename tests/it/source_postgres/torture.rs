//! Every type that is built in, from edge to edge. The list comes from the server: a type that a later
//! version brings fails here until values of it are written down.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use sealift::source::{Carried, Column};

use super::said::{self, Value};
use super::{read, relation, snapshot, table};
use crate::servers::postgres::Database;

/// Values of a type as the server reads them. Those after a `!` are beyond what the type is carried
/// as, and go as text only.
#[rustfmt::skip]
fn values(pg_type: &str) -> Option<&'static [&'static str]> {
    Some(match pg_type {
        "bool" => &["true", "false"],
        "int2" => &["-32768", "32767", "0"],
        "int4" => &["-2147483648", "2147483647", "0"],
        "int8" => &["-9223372036854775808", "9223372036854775807", "0"],
        "oid" => &["0", "4294967295", "2147483648"],
        "float4" => &["NaN", "Infinity", "-Infinity", "-0", "0.1", "1e-45", "3.4028235e38", "1234567", "123456"],
        "float8" => &["NaN", "Infinity", "-Infinity", "-0", "0.1", "5e-324", "1.7976931348623157e308", "1e15", "123456789012345"],
        "numeric" => &["0", "0.000", "-0.1", "NaN", "1e131071", "1e-16383", "-12345678901234567890123456789012345678901234567890.00010000", "10000", "0.0001", "Infinity", "-Infinity"],
        "money" => &["0", "-0.01", "92233720368547758.07", "-92233720368547758.08", "1,000.00"],
        "text" | "varchar" => &["", " ", "NULL", "\\N", "žluťoučký 🐎", "a\tb\nc\u{1}", "{\"a\",(b)}"],
        "bpchar" => &["", "ab  ", "é"],
        "name" => &["", "pg_class", "Ünïcode"],
        "char" => &["", "a", " ", "\""],
        "refcursor" => &["", "cursor \"1\""],
        "bytea" => &["\\x", "\\x00ff10"],
        "json" => &["{\"b\": 1,  \"a\": [1.10, null, \"é\"]}", "null", " 1 ", "\"\""],
        "jsonb" => &["{\"b\": 1,  \"a\": [1.10, null, \"é\"]}", "null", " 1 ", "\"\""],
        "jsonpath" => &["$", "$.a[*] ? (@ > 1)", "strict $.\"b c\".size()"],
        "xml" => &["", "<a b=\"c\">é &amp; 🐎</a>", "<?xml version=\"1.0\"?><x/>", "plain"],
        "uuid" => &["00000000-0000-0000-0000-000000000000", "FFFFFFFF-0123-4567-89AB-cdefCDEF0001"],
        "date" => &["4713-01-01 BC", "0001-01-01", "1582-10-10", "1970-01-01", "5874897-12-31", "!infinity", "!-infinity"],
        "time" => &["00:00:00", "24:00:00", "23:59:59.999999", "12:30:00.1"],
        "timetz" => &["00:00:00+15:59", "24:00:00-15:59:59", "12:30:00.000001+00", "12:00:00-03:30", "01:02:03+05:45:01"],
        "timestamp" => &["4713-01-01 00:00:00 BC", "1969-12-31 23:59:59.999999", "294246-12-31 23:59:59.999999", "!infinity", "!-infinity", "!294276-12-31 23:59:59.999999"],
        "timestamptz" => &["4713-01-01 00:00:00 BC", "2026-01-01 00:00:00.5+05:45", "294246-12-31 23:59:59.999999Z", "!infinity", "!-infinity"],
        "interval" => &["0", "1 year -2 months 3 days -4:05:06.7", "-1 day +1 second", "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807", "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807", "00:00:00.000001"],
        "inet" => &["0.0.0.0", "192.168.0.1/24", "255.255.255.255/0", "::", "::1", "::ffff:1.2.3.4", "::1.2.3.4/96", "2001:db8::1:0:0:1/64", "1:0:0:2::", "1:2:3:4:5:6:0:8"],
        "cidr" => &["0.0.0.0/0", "10.0.0.0/8", "192.168.0.1/32", "::/0", "2001:db8::/32", "::1/128"],
        "macaddr" => &["00:00:00:00:00:00", "08:00:2b:01:02:ff"],
        "macaddr8" => &["00:00:00:00:00:00:00:00", "08:00:2b:01:02:03:04:ff"],
        "bit" | "varbit" => &["", "1", "0", "10000000", "101010101", "00000000000000001"],
        "xid" | "cid" => &["0", "4294967295"],
        "xid8" => &["0", "18446744073709551615"],
        "tid" => &["(0,0)", "(4294967295,65535)"],
        "pg_lsn" => &["0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"],
        "txid_snapshot" | "pg_snapshot" => &["10:10:", "10:20:10,14,15"],
        "point" => &["(0,-0)", "(1e300,-Infinity)", "(0.1,NaN)"],
        "lseg" => &["[(0,0),(1,1.5)]"],
        "path" => &["[(0,0),(1,1),(2,0)]", "((0,0),(1,1))"],
        "box" => &["(1,1),(0,0)"],
        "polygon" => &["((0,0),(1,1),(2,0))"],
        "line" => &["{1,-1,0.1}"],
        "circle" => &["<(0,0),1e-300>"],
        "tsvector" => &["", "'a':1A 'fat cat':2,3B '''quoted'''"],
        "tsquery" => &["", "'fat' & ( 'rat':A | !'cat':* ) <-> 'x'"],
        "int2vector" => &["", "1 -2 3"],
        "oidvector" => &["", "1 4294967295"],
        "aclitem" => &["boss=r*w/boss", "=X/boss"],
        "regproc" => &["now", "-"],
        "regprocedure" => &["abs(integer)", "-"],
        "regoper" => &["||/", "0"],
        "regoperator" => &["+(integer,integer)", "0"],
        "regclass" => &["pg_class", "information_schema.tables", "-"],
        "regtype" => &["integer", "double precision[]", "-"],
        "regrole" => &["boss", "-"],
        "regnamespace" => &["pg_catalog", "-"],
        "regconfig" => &["english", "-"],
        "regdictionary" => &["simple", "-"],
        "regcollation" => &["\"C\"", "-"],
        "int4range" | "int8range" => &["empty", "(,)", "[1,10)", "(,5]"],
        "numrange" => &["empty", "(,)", "[0.000,1e50]", "(1,)"],
        "daterange" => &["empty", "[infinity,)", "[2000-01-01,2001-01-01)"],
        "tsrange" => &["(-infinity,infinity)", "[2000-01-01 00:00:00.000001,)"],
        "tstzrange" => &["(-infinity,infinity)", "[2000-01-01 00:00:00+05:45,)"],
        "int4multirange" | "int8multirange" | "nummultirange" => &["{}", "{[1,2),[5,9)}"],
        "datemultirange" | "tsmultirange" | "tstzmultirange" => &["{}", "{[2000-01-01,2001-01-01),[2002-01-01,)}"],
        // Nobody can write these; columns of them hold NULL.
        "pg_node_tree" | "pg_ndistinct" | "pg_dependencies" | "pg_mcv_list" | "gtsvector"
        | "pg_brin_bloom_summary" | "pg_brin_minmax_multi_summary" => &[],
        _ => return None,
    })
}

/// A column of the table `t`.
pub(super) struct Torture {
    pub(super) name: String,
    /// The type of the elements, where the column holds arrays.
    pub(super) element: Option<String>,
    pub(super) fits: Vec<String>,
    beyond: Vec<String>,
}

/// Every type that a column can have and its array type.
const BUILT_IN: &str = "
SELECT t.typname::text, e.typname::text
FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm', 'e', 'd')
  AND coalesce(e.typtype, 'b') IN ('b', 'r', 'm', 'e', 'd') ORDER BY t.oid";

impl Torture {
    fn new(name: String, element: Option<String>) -> Self {
        let of = element.as_deref().unwrap_or(&name);
        let values = values(of).unwrap_or_else(|| panic!("no values of the type `{of}` are written down"));
        let literal = |value: &&str| format!("$v${value}$v$::pg_catalog.\"{of}\"");
        let (beyond, fits): (Vec<&str>, Vec<&str>) = values.iter().partition(|value| value.starts_with('!'));
        let mut fits: Vec<String> = fits.iter().map(literal).collect();
        let mut beyond: Vec<String> =
            beyond.iter().map(|value| literal(&value.trim_start_matches('!'))).collect();
        if element.is_some() {
            let first = fits.first().cloned().unwrap_or_else(|| format!("NULL::pg_catalog.\"{of}\""));
            let array = |items: &[String]| format!("ARRAY[{}]::pg_catalog.\"{of}\"[]", items.join(", "));
            fits.insert(1.min(fits.len()), "NULL".to_owned());
            fits = vec![array(&fits), array(&[]), array(&["NULL".to_owned()])];
            let planes = format!("ARRAY[[{first}], [NULL::pg_catalog.\"{of}\"]]");
            beyond = vec![planes, format!("array_fill({first}, ARRAY[2], ARRAY[5])")];
        }
        Self { name, element, fits, beyond }
    }

    /// What the server says of the column, for values that are carried as `arrow`.
    pub(super) async fn said(&self, database: &Database, arrow: &DataType) -> Vec<Value> {
        let name = format!("\"{}\"", self.name);
        match (&self.element, arrow) {
            (Some(element), DataType::List(field)) => {
                let expression = said::expression("e", field.data_type(), element);
                said::server_elements(&database.client, &name, &expression).await
            }
            (None, arrow) => {
                said::server(&database.client, &said::expression(&name, arrow, &self.name)).await
            }
            (Some(_), arrow) => panic!("{name} is carried as {arrow}"),
        }
    }
}

/// Fills `t` with the values, the n-th of each type in the n-th row; where there is none, with NULL.
pub(super) async fn insert(database: &Database, types: &[Torture], values: impl Fn(&Torture) -> &[String]) {
    let rows = types.iter().map(|t| values(t).len()).max().unwrap() + 1;
    let sql =
        format!("INSERT INTO t (n) SELECT nextval('t_n_seq') FROM generate_series(1, {rows}) RETURNING n");
    let numbers = database.client.query(&sql, &[]).await.unwrap();
    for t in types {
        for (value, number) in values(t).iter().zip(&numbers) {
            let number: i32 = number.get(0);
            database.run(&format!("UPDATE t SET \"{}\" = {value} WHERE n = {number}", t.name)).await;
        }
    }
}

/// An empty table `t` with a column of each type.
pub(super) async fn torture(database: &Database) -> Vec<Torture> {
    let rows = database.client.query(BUILT_IN, &[]).await.unwrap();
    let types: Vec<Torture> = rows.iter().map(|row| Torture::new(row.get(0), row.get(1))).collect();
    let columns: Vec<_> = types.iter().map(|t| format!("\"{0}\" pg_catalog.\"{0}\"", t.name)).collect();
    // Numbers of one length, which are in order as text too.
    database.run("CREATE SEQUENCE t_n_seq START 1000").await;
    database.run(&format!("CREATE TABLE t (n int, {})", columns.join(", "))).await;
    types
}

/// Reads all columns as text, also those that are described otherwise.
async fn read_as_text(database: &Database) -> Vec<RecordBatch> {
    let mut snapshot = snapshot(&database.settings()).await;
    let relation = relation(snapshot.as_mut(), &table("public", "t")).await;
    let described = snapshot.describe(&relation).await.unwrap().columns;
    let as_text = |column: Column| Column { carried: Carried::AsText, ..column };
    let columns: Vec<Column> = described.into_iter().map(as_text).collect();
    snapshot.read(&relation, &columns).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn every_built_in_type_is_carried_without_loss() {
    let database = Database::create().await;
    let types = torture(&database).await;
    assert!(types.len() > 140, "{}", types.len());
    insert(&database, &types, |t| &t.fits).await;
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &table("public", "t")).await.unwrap();
    for (index, t) in types.iter().enumerate() {
        let array = said::in_order(&batches, index + 1);
        let name = &t.name;
        let said = t.said(&database, array.data_type()).await;
        assert!(said.iter().filter(|v| **v != Value::Null).count() >= t.fits.len(), "{name}");
        assert_eq!(said::arrow(&array), said, "{name} as {}", array.data_type());
    }
}

#[tokio::test]
async fn every_built_in_type_is_given_as_text_when_asked() {
    let database = Database::create().await;
    let types = torture(&database).await;
    insert(&database, &types, |t| &t.fits).await;
    insert(&database, &types, |t| &t.beyond).await;
    let batches = read_as_text(&database).await;
    for (index, t) in types.iter().enumerate() {
        let array = said::in_order(&batches, index + 1);
        assert_eq!(array.data_type(), &DataType::Utf8);
        let name = format!("\"{}\"", t.name);
        let said = said::server(&database.client, &said::text_expression(&name, &t.name)).await;
        assert_eq!(said::arrow(&array), said, "{name}");
    }
}
