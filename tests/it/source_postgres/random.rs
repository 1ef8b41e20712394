//! Values drawn at random, of each family of types: read back, they are what the server says.

use std::fmt::Write;

use arrow::datatypes::DataType;
use futures::TryStreamExt;
use sealift::source::{Carried, Column};

use super::said;
use super::{read, relation, snapshot, table};
use crate::house::Dice;
use crate::servers::postgres::Database;

const ROWS: usize = 600;

/// A family: the type of the column, the type of its elements where it is an array, and what draws
/// a value in the server's words.
struct Family {
    pg_type: &'static str,
    element: Option<&'static str>,
    draw: fn(&mut Dice) -> String,
}

const fn family(pg_type: &'static str, draw: fn(&mut Dice) -> String) -> Family {
    Family { pg_type, element: None, draw }
}

const fn array(pg_type: &'static str, element: &'static str, draw: fn(&mut Dice) -> String) -> Family {
    Family { pg_type, element: Some(element), draw }
}

const FAMILIES: &[Family] = &[
    family("int8", |d| (d.next() as i64 >> d.below(64)).to_string()),
    family("float8", |d| float(f64::from_bits(d.next()))),
    family("float4", |d| float(f32::from_bits(d.next() as u32))),
    family("numeric", |d| if d.below(20) == 0 { special(d) } else { number(d, 60, 80) }),
    family("numeric(38,10)", |d| number(d, 28, 10)),
    family("numeric(18,0)", |d| number(d, 17, 0)),
    family("numeric(5,-2)", |d| number(d, 6, 1)),
    family("numeric(60,30)", |d| if d.below(20) == 0 { "NaN".into() } else { number(d, 29, 40) }),
    family("date", |d| date(d, 5_874_897)),
    family("timestamp", |d| format!("{} {}", date(d, 294_000), clock(d))),
    family("timestamptz", |d| format!("{} {}{}", date(d, 294_000), clock(d), zone(d))),
    family("time", clock),
    family("timetz", |d| format!("{}{}", clock(d), zone(d))),
    family("interval", interval),
    family("text", text),
    family("bytea", |d| format!("\\x{}", hex(d, 20))),
    family("uuid", |d| format!("{:016x}{:016x}", d.next(), d.next())),
    family("varbit", |d| (0..d.below(70)).map(|_| if d.below(2) == 0 { '0' } else { '1' }).collect()),
    family("inet", inet),
    family("macaddr8", |d| format!("{:016x}", d.next())),
    family("oid", |d| (d.next() as u32).to_string()),
    family("xid8", |d| d.next().to_string()),
    family("money", |d| format!("{}.{:02}", d.next() as i64 / 1000, d.below(100))),
    family("int4range", |d| format!("[{},{})", -(d.below(1 << 31) as i64), d.below(1 << 31))),
    family("numrange", |d| {
        format!("[-{},{}]", number(d, 20, 20).replace('-', ""), number(d, 20, 20).replace('-', ""))
    }),
    array("int4[]", "int4", |d| items(d, |d| (d.next() as i32).to_string())),
    array("float8[]", "float8", |d| items(d, |d| float(f64::from_bits(d.next())))),
    array("text[]", "text", |d| items(d, text)),
    array("numeric(38,10)[]", "numeric", |d| items(d, |d| number(d, 28, 10))),
    array("numeric[]", "numeric", |d| items(d, |d| number(d, 50, 50))),
    array("interval[]", "interval", |d| items(d, interval)),
    array("date[]", "date", |d| items(d, |d| date(d, 9999))),
    array("timestamptz[]", "timestamptz", |d| items(d, |d| format!("{} {}Z", date(d, 9999), clock(d)))),
    array("bytea[]", "bytea", |d| items(d, |d| format!("\\x{}", hex(d, 9)))),
    array("point[]", "point", |d| {
        items(d, |d| format!("({},{})", float(f64::from_bits(d.next())), d.next()))
    }),
];

fn special(d: &mut Dice) -> String {
    ["NaN", "Infinity", "-Infinity", "1e131071", "-1e-16383", "0e-16383"][d.below(6) as usize].into()
}

fn float(value: impl std::fmt::Display + std::fmt::LowerExp) -> String {
    format!("{value:e}").replace("inf", "Infinity").replace("-NaN", "NaN")
}

/// Digits before and after the point, mostly few, often zeros.
fn number(d: &mut Dice, before: u64, after: u64) -> String {
    let mut text = String::from(if d.below(2) == 0 { "-" } else { "" });
    let (before, after) = (1 + d.below(before), d.below(after + 1));
    let digits = |d: &mut Dice, count| {
        let few = d.below(2) == 0;
        (0..count)
            .map(|_| if few && d.below(6) > 0 { '0' } else { char::from(b'0' + d.below(10) as u8) })
            .collect()
    };
    let whole: String = digits(d, before);
    let fraction: String = digits(d, after);
    let _ = write!(text, "{whole}{}{fraction}", if fraction.is_empty() { "" } else { "." });
    text
}

/// Any day that all months have, up to a year, and as far back as there are dates.
fn date(d: &mut Dice, most: u64) -> String {
    let (month, day) = (1 + d.below(12), 1 + d.below(28));
    match d.below(4) {
        0 => format!("{:04}-{month:02}-{day:02} BC", 1 + d.below(4712)),
        _ => format!("{:04}-{month:02}-{day:02}", 1 + d.below(most)),
    }
}

fn clock(d: &mut Dice) -> String {
    let fraction = if d.below(2) == 0 { d.below(1_000_000) } else { d.below(10) * 100_000 };
    format!("{:02}:{:02}:{:02}.{fraction:06}", d.below(24), d.below(60), d.below(60))
}

fn zone(d: &mut Dice) -> String {
    let sign = if d.below(2) == 0 { '+' } else { '-' };
    match d.below(3) {
        0 => format!("{sign}{:02}", d.below(15)),
        1 => format!("{sign}{:02}:{:02}", d.below(15), d.below(60)),
        _ => format!("{sign}{:02}:{:02}:{:02}", d.below(15), d.below(60), d.below(60)),
    }
}

fn interval(d: &mut Dice) -> String {
    let mut part = |most: u64| {
        if d.below(3) == 0 { 0 } else { d.below(2 * most) as i64 - most as i64 }
    };
    let (months, days, seconds, micros) =
        (part(2_000_000), part(2_000_000), part(9_000_000_000), part(1_000_000));
    format!("{months} months {days} days {seconds} seconds {micros} microseconds")
}

/// Text of all kinds of characters, but for the one that PostgreSQL does not take.
fn text(d: &mut Dice) -> String {
    (0..d.below(12))
        .map(|_| match d.below(5) {
            0 => ['"', '\\', ',', '{', '}', ' ', '\n', '\'', '$', '(', ')'][d.below(11) as usize],
            1 => char::from(1 + d.below(127) as u8),
            _ => char::from_u32(d.below(0x11_0000) as u32).filter(|c| *c != '\0').unwrap_or('é'),
        })
        .collect()
}

fn hex(d: &mut Dice, most: u64) -> String {
    (0..d.below(most)).map(|_| format!("{:02x}", d.below(256))).collect()
}

fn inet(d: &mut Dice) -> String {
    let (bits, most) = if d.below(3) == 0 { (d.next() as u32, 33) } else { (0, 129) };
    let address = if most == 33 {
        std::net::Ipv4Addr::from(bits).to_string()
    } else {
        let group =
            |d: &mut Dice| if d.below(2) == 0 { "0".to_owned() } else { format!("{:x}", d.below(1 << 16)) };
        (0..8).map(|_| group(d)).collect::<Vec<_>>().join(":")
    };
    format!("{address}/{}", d.below(most))
}

/// An array of up to five elements, some NULL.
fn items(d: &mut Dice, draw: fn(&mut Dice) -> String) -> String {
    let item = |d: &mut Dice| match d.below(5) {
        0 => "NULL".to_owned(),
        _ => format!("\"{}\"", draw(d).replace('\\', "\\\\").replace('"', "\\\"")),
    };
    let items: Vec<_> = (0..d.below(6)).map(|_| item(d)).collect();
    format!("{{{}}}", items.join(","))
}

/// A table `t` of a column for each family.
async fn filled(database: &Database, dice: &mut Dice) {
    let columns: Vec<_> = FAMILIES.iter().enumerate().map(|(i, f)| format!("c{i} {}", f.pg_type)).collect();
    database.run(&format!("CREATE TABLE t (n int, {})", columns.join(", "))).await;
    let texts: Vec<Vec<Option<String>>> = FAMILIES
        .iter()
        .map(|f| (0..ROWS).map(|_| if dice.below(10) == 0 { None } else { Some((f.draw)(dice)) }).collect())
        .collect();
    let casts: Vec<_> = FAMILIES.iter().enumerate().map(|(i, f)| format!("x{i}::{}", f.pg_type)).collect();
    let names: Vec<_> = (0..FAMILIES.len()).map(|i| format!("x{i}")).collect();
    let places: Vec<_> = (1..=FAMILIES.len()).map(|i| format!("${i}::text[]")).collect();
    let sql = format!(
        "INSERT INTO t SELECT 1000 + n, {} FROM unnest({}) WITH ORDINALITY AS u({}, n)",
        casts.join(", "),
        places.join(", "),
        names.join(", ")
    );
    let parameters: Vec<_> = texts.iter().map(|t| t as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
    database.client.execute(&sql, &parameters).await.unwrap();
}

#[tokio::test]
async fn random_values_of_each_family_are_read_as_the_server_says_them() {
    let mut dice = Dice::new("random values");
    let database = Database::create().await;
    filled(&database, &mut dice).await;
    let mut snapshot = snapshot(&database.settings()).await;
    let batches = read(snapshot.as_mut(), &table("public", "t")).await.unwrap();
    for (i, family) in FAMILIES.iter().enumerate() {
        let ours = said::in_order(&batches, i + 1);
        let said = match (family.element, ours.data_type()) {
            (Some(element), DataType::List(field)) => {
                let expression = said::expression("e", field.data_type(), element);
                said::server_elements(&database.client, &format!("c{i}"), &expression).await
            }
            (_, arrow) => {
                said::server(&database.client, &said::expression(&format!("c{i}"), arrow, family.pg_type))
                    .await
            }
        };
        for (ours, said) in said::arrow(&ours).iter().zip(&said) {
            assert_eq!(ours, said, "{}", family.pg_type);
        }
        assert_eq!(ours.len(), ROWS);
    }

    let relation = relation(snapshot.as_mut(), &table("public", "t")).await;
    let described = snapshot.describe(&relation).await.unwrap().columns;
    let as_text = |column: Column| Column { carried: Carried::AsText, ..column };
    let columns: Vec<Column> = described.into_iter().map(as_text).collect();
    let batches: Vec<_> = snapshot.read(&relation, &columns).await.unwrap().try_collect().await.unwrap();
    for (i, family) in FAMILIES.iter().enumerate() {
        let expression = said::text_expression(&format!("c{i}"), family.pg_type);
        let said = said::server(&database.client, &expression).await;
        for (ours, said) in said::arrow(&said::in_order(&batches, i + 1)).iter().zip(&said) {
            assert_eq!(ours, said, "{} as text", family.pg_type);
        }
    }
}
