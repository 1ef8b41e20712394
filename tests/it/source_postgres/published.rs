//! The table of every type, published and read by somebody else.

use serde_json::Value as Json;

use super::said::Value;
use super::torture::{insert, torture};
use super::{columns, snapshot, table};
use crate::house::{House, connection, script};
use crate::servers::postgres::Database;

/// What a Python reader printed, as values.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_built_in_type_is_published_as_pyarrow_reads_it() {
    let database = Database::create().await;
    let types = torture(&database).await;
    insert(&database, &types, |t| &t.fits).await;
    let house = House::new();
    house.config("", &connection(&database));
    // Addresses of the network are among the types.
    let lowered = "classification:\n  lowered: [{dataset: lake.t, column: \"*\", found: \"*\", reason: made up, author: tests, date: 2026-11-01}]";
    house.policy_with("- {tags: [public], action: allow}", lowered);
    house.pipeline(
        "torture",
        "connection: db\ndataset: \"lake.{table}\"\nstreams:\n  public.t: {columns: {\"*\": {tag: public}}}",
    );
    house.json(&["sync", "torture"], 0);

    let read = script("torture.py", &[house.path("out/lake/lake/t").to_str().unwrap()], &[]);
    let mut snapshot = snapshot(&database.settings()).await;
    let described = columns(snapshot.as_mut(), &table("public", "t")).await;
    for t in &types {
        let column = described.iter().find(|column| column.name == t.name).unwrap();
        let said = t.said(&database, column.field().unwrap().data_type()).await;
        assert!(said.len() > 3, "{}", t.name);
        assert_eq!(
            value(&read["values"][&t.name]),
            Value::List(said),
            "{} as {}",
            t.name,
            read["types"][&t.name]
        );
    }
}
