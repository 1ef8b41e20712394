//! Rejected rows of streams that read some rows twice: none is lost and none is there twice, also where a run
//! ended between its two commits.

use std::fs;

use serde_json::{Value, json};

use super::{OPEN, STAMPED, commit, ids, says, shop, sync};
use crate::house::House;

const DECIDED: &str = "{amount: {tag: pii.amount, as: \"decimal(10,2)\", on_overflow: quarantine}, \"*\"";
const AMOUNTS: &str = "CREATE TABLE orders (id int NOT NULL, n int NOT NULL, amount numeric);
    INSERT INTO orders VALUES (1, 1, 1), (2, 2, 'NaN')";

fn stream(mode: &str, more: &str) -> String {
    format!("{}{more}", OPEN.replace("{\"*\"", DECIDED).replace("append", mode))
}

fn rejected(house: &House) -> Value {
    house.query("SELECT id FROM shop.orders__quarantine ORDER BY id")
}

fn log(house: &House, version: usize) -> std::path::PathBuf {
    house.path("out/lake/shop/orders/_delta_log").join(format!("{version:020}.json"))
}

#[tokio::test]
async fn rows_that_a_run_rejected_whose_own_commit_did_not_come_are_rejected_once() {
    for mode in ["append", "merge"] {
        let (house, database) = shop(AMOUNTS, &stream(mode, ", cursor_field: n, lookback: 5")).await;
        sync(&house, &[]);
        database.run("INSERT INTO orders VALUES (3, 3, 3), (4, 4, 'NaN')").await;
        sync(&house, &[]);
        assert_eq!(rejected(&house), json!([{"id": 2}, {"id": 4}]), "{mode}");
        // As if it had been killed before its own commit.
        fs::remove_file(log(&house, 1)).unwrap();
        let summary = house.json(&["sync", "shop"], 0);
        assert_eq!(summary["streams"][0]["quarantined"], 1, "{mode}");
        assert_eq!((rejected(&house), ids(&house)), (json!([{"id": 2}, {"id": 4}]), vec![1, 3]), "{mode}");
        // The run that left them can publish no longer.
        assert!(commit(&house, 1)["fenced_by"].is_string(), "{mode}");
        sync(&house, &[]);
        assert_eq!((rejected(&house), ids(&house)), (json!([{"id": 2}, {"id": 4}]), vec![1, 3]), "{mode}");
    }
}

#[tokio::test]
async fn rows_of_a_first_run_that_did_not_end_are_taken_back_where_they_are_gone() {
    let (house, database) = shop(AMOUNTS, &stream("merge", ", cursor_field: n")).await;
    sync(&house, &[]);
    database.run("INSERT INTO orders VALUES (3, 3, 'NaN')").await;
    sync(&house, &[]);
    fs::remove_file(log(&house, 1)).unwrap();
    database.run("DELETE FROM orders WHERE id = 3").await;
    sync(&house, &[]);
    assert_eq!((rejected(&house), ids(&house)), (json!([{"id": 2}]), vec![1]));
    let versions = house.versions("shop.orders");
    sync(&house, &[]);
    assert_eq!(house.versions("shop.orders"), versions, "and then nothing is new");
}

#[tokio::test]
async fn a_merge_that_fails_by_its_keys_leaves_no_rejected_rows() {
    for sync_mode in ["incremental, cursor_field: n", "full_refresh"] {
        let stream = stream("merge", "").replace("incremental", sync_mode);
        let (house, database) = shop(AMOUNTS, &stream).await;
        database.run("INSERT INTO orders VALUES (1, 1, 7)").await;
        says(house.run(&["sync", "shop"]).expect(65), &["primary key (id) of another row"]);
        assert_eq!(house.versions("shop.orders__quarantine"), 0, "{sync_mode}");
    }
}

#[tokio::test]
async fn a_full_refresh_that_keeps_rows_sets_the_same_ones_aside_once() {
    for mode in ["append", "merge"] {
        let stream = stream(mode, "").replace("incremental", "full_refresh");
        let (house, database) = shop(AMOUNTS, &stream).await;
        sync(&house, &[]);
        sync(&house, &[]);
        assert_eq!((rejected(&house), ids(&house)), (json!([{"id": 2}]), vec![1]), "{mode}");
        database.run("INSERT INTO orders VALUES (3, 3, 'NaN')").await;
        sync(&house, &[]);
        assert_eq!(rejected(&house), json!([{"id": 2}, {"id": 3}]), "{mode}");
    }
}

#[tokio::test]
async fn a_column_that_is_new_at_the_source_does_not_make_rejected_rows_new() {
    let (house, database) = shop(AMOUNTS, &stream("append", ", cursor_field: n, lookback: 5")).await;
    sync(&house, &[]);
    database.run("ALTER TABLE orders ADD COLUMN note text; INSERT INTO orders VALUES (3, 3, 3, 'c')").await;
    sync(&house, &[]);
    assert_eq!((rejected(&house), ids(&house)), (json!([{"id": 2}]), vec![1, 3]));
}

#[tokio::test]
async fn a_cursor_that_is_published_bounds_what_is_looked_at() {
    let decided = OPEN.replace("{\"*\"", "{note: {as: date, on_overflow: quarantine}, \"*\"");
    let (house, database) = shop(STAMPED, &format!("{decided}, cursor_field: at")).await;
    sync(&house, &[]);
    let all = json!([{"id": 1}, {"id": 2}, {"id": 3}]);
    assert_eq!(rejected(&house), all);
    // Those at the cursor and those without one are read again.
    sync(&house, &[]);
    assert_eq!(rejected(&house), all);
    database.run("INSERT INTO orders VALUES (4, '2024-01-01 11:00Z', 'd'), (3, NULL, 'other')").await;
    sync(&house, &[]);
    assert_eq!(rejected(&house), json!([{"id": 1}, {"id": 2}, {"id": 3}, {"id": 3}, {"id": 4}]));
}
