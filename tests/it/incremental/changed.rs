//! What changes between runs: columns by which rows are told, keys of pseudonyms, and what a cursor stands for.

use serde_json::json;

use super::{OPEN, ids, orders, says, shop, sync};
use crate::house::{House, connection};
use crate::servers::postgres::Database;

const PLAIN: &str = "CREATE TABLE orders (id int NOT NULL, n int NOT NULL, note text);
    INSERT INTO orders VALUES (1, 1, 'a'), (2, 2, 'b')";

#[tokio::test]
async fn rows_are_known_by_a_key_that_has_a_new_name() {
    let (house, database) = shop(PLAIN, &format!("{OPEN}, cursor_field: n, lookback: 5")).await;
    sync(&house, &[]);
    database.run("ALTER TABLE orders RENAME id TO number; INSERT INTO orders VALUES (3, 3, 'c')").await;
    let renamed = OPEN.replace("[id]", "[number], schema_contract: {renamed: {number: id}}");
    orders(&house, &format!("{renamed}, cursor_field: n, lookback: 5"));
    assert_eq!(sync(&house, &[]), 1);
    let numbers = house.query("SELECT number FROM shop.orders ORDER BY number");
    assert_eq!(numbers, json!([{"number": 1}, {"number": 2}, {"number": 3}]));
}

#[tokio::test]
async fn rows_are_known_by_a_key_that_has_a_wider_type() {
    let (house, database) = shop(PLAIN, &format!("{OPEN}, cursor_field: n, lookback: 5")).await;
    sync(&house, &[]);
    database
        .run(
            "ALTER TABLE orders ALTER id TYPE bigint, ALTER n TYPE bigint;
             INSERT INTO orders VALUES (5000000000, 3, 'c')",
        )
        .await;
    assert_eq!(sync(&house, &[]), 1);
    assert_eq!(ids(&house), [1, 2, 5_000_000_000]);
}

#[tokio::test]
async fn a_cursor_that_is_published_from_now_on_is_held() {
    let without = format!("{OPEN}, cursor_field: n, lookback: 5, transform: \"SELECT id, note FROM source\"");
    let (house, database) = shop(PLAIN, &without).await;
    sync(&house, &[]);
    orders(&house, &without.replace("id, note", "id, n, note"));
    database.run("INSERT INTO orders VALUES (3, 3, 'c')").await;
    says(house.run(&["sync", "shop"]).expect(76), &["`n` is new in the dataset", "--full-refresh"]);
    assert_eq!(ids(&house), [1, 2]);
    assert_eq!(sync(&house, &["--full-refresh"]), 3);
    assert_eq!(sync(&house, &[]), 0);
}

#[tokio::test]
async fn tokens_of_another_key_are_not_put_beside_those_that_are_there() {
    for mode in ["append", "merge"] {
        let stream = OPEN.replace("{\"*\"", "{id: {tag: pii.id}, \"*\"").replace("append", mode);
        let stream = format!("{stream}, cursor_field: n");
        let (house, database) = shop(PLAIN, &stream).await;
        let policy = |action: &str| {
            house.policy(&format!(
                "- {{tags: [\"pii.*\"], action: {action}}}\n- {{tags: [public], action: allow}}"
            ));
        };
        policy("{tokenize: {join_domain: customer}}");
        sync(&house, &[]);
        database.run("INSERT INTO orders VALUES (3, 3, 'c')").await;
        for action in ["{tokenize: {join_domain: crm}}", "tokenize"] {
            policy(action);
            let words = ["sealift:join/customer#tokenize", "join_domain"];
            says(house.run(&["sync", "shop"]).expect(76), &words);
        }
        policy("{tokenize: {join_domain: customer}}");
        sync(&house, &[]);
        let rows = house.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM shop.orders");
        assert_eq!(rows, json!([{"n": 3, "ids": 3}]), "{mode}");
    }
}

#[tokio::test]
async fn a_full_refresh_of_an_empty_source_forgets_the_cursor() {
    let merge = OPEN.replace("append", "merge");
    let (house, database) = shop(PLAIN, &format!("{merge}, cursor_field: n")).await;
    sync(&house, &[]);
    database.run("TRUNCATE orders").await;
    assert_eq!(sync(&house, &["--full-refresh"]), 0);
    database.run("INSERT INTO orders VALUES (7, 1, 'again')").await;
    assert_eq!(sync(&house, &[]), 1);
    assert_eq!(ids(&house), [1, 2, 7]);
}

#[tokio::test]
async fn a_cursor_does_not_outlive_the_rows_it_stands_for() {
    let (house, _database) = shop(PLAIN, &format!("{OPEN}, cursor_field: n")).await;
    sync(&house, &[]);
    orders(&house, "columns: {\"*\": {tag: public}}, transform: \"SELECT * FROM source WHERE id = 2\"");
    assert_eq!(sync(&house, &[]), 1);
    orders(&house, &format!("{OPEN}, cursor_field: n"));
    assert_eq!(sync(&house, &[]), 1, "all rows are read, and one is known");
    assert_eq!(ids(&house), [1, 2]);
    assert_eq!(sync(&house, &[]), 0);
}

#[tokio::test]
async fn a_full_refresh_does_not_replace_rows_of_another_pipeline() {
    let (eu, us) = (Database::create().await, Database::create().await);
    eu.run(PLAIN).await;
    us.run(&PLAIN.replace("(1, 1,", "(11, 1,").replace("(2, 2,", "(12, 2,")).await;
    let house = House::new();
    house.config("", &format!("{}\n{}", connection(&eu), connection(&us).replacen("db:", "us_db:", 1)));
    house.policy("- {tags: [public], action: allow}");
    for (name, db) in [("eu", "db"), ("us", "us_db")] {
        let stream = format!("\"public.*\": {{{OPEN}, cursor_field: n}}");
        let head = format!("connection: {db}\ndataset: \"shop.{{table}}\"");
        house.pipeline(name, &format!("{head}\nstreams:\n  {stream}"));
    }
    house.run(&["sync", "us"]).expect(0);
    house.run(&["sync", "eu"]).expect(0);
    let ran = house.run(&["sync", "eu", "--full-refresh"]);
    says(ran.expect(76), &["shop.orders is published by us/public.orders"]);
    assert_eq!(ids(&house), [1, 2, 11, 12]);
}
