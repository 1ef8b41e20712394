//! A past range, read again by hand or window by window.

use super::{OPEN, commit, ids, says, shop, sync};

const NUMBERED: &str = "CREATE TABLE orders (id int NOT NULL, n int NOT NULL);
    INSERT INTO orders SELECT i, i FROM generate_series(100, 110) AS i";

#[tokio::test]
async fn a_range_is_read_without_moving_the_cursor() {
    let (house, database) = shop(NUMBERED, &format!("{OPEN}, cursor_field: n")).await;
    assert_eq!(sync(&house, &[]), 11);
    database.run("INSERT INTO orders SELECT i, i FROM generate_series(1, 20) AS i").await;
    assert_eq!(sync(&house, &["--from", "5", "--to", "8"]), 3);
    assert!(commit(&house, 1)["cursor"].is_null(), "the cursor of the version before stays");
    assert_eq!(sync(&house, &["--from", "5", "--to", "9"]), 1, "what is there is known");
    assert_eq!(sync(&house, &["--from", "5", "--to", "9"]), 0);
    assert_eq!(sync(&house, &[]), 0, "rows below the cursor are not new");
    database.run("INSERT INTO orders VALUES (200, 200), (300, 300)").await;
    assert_eq!(sync(&house, &["--from", "250"]), 1);
    assert_eq!(sync(&house, &[]), 1, "a range beyond the cursor does not hide what is between");
    let expected: Vec<i64> = [5, 6, 7, 8].into_iter().chain(100..=110).chain([200, 300]).collect();
    assert_eq!(ids(&house), expected);
    for (args, words) in [
        (["--from", "x", "--to", "8"], "no value of the cursor's type"),
        (["--from", "8", "--to", "8"], "ends before it begins"),
    ] {
        let ran = house.run(&[&["sync", "shop"], &args[..]].concat());
        says(ran.expect(2), &[words]);
    }
    house.run(&["sync", "shop", "--full-refresh", "--from", "8"]).expect(2);
}

#[tokio::test]
async fn a_backfill_that_was_killed_goes_on_behind_its_last_window() {
    let (house, database) = shop(NUMBERED, &format!("{OPEN}, cursor_field: n")).await;
    assert_eq!(sync(&house, &[]), 11);
    database.run("INSERT INTO orders SELECT i, i FROM generate_series(1, 99) AS i").await;
    let backfill = ["backfill", "shop", "--from", "0", "--to", "100", "--window", "10"];
    let mut started = house.start(house.command(&backfill));
    while house.versions("shop.orders") < 4 && started.child.try_wait().unwrap().is_none() {
        std::hint::spin_loop();
    }
    started.child.kill().unwrap();
    house.finish(started);
    let landed = house.versions("shop.orders") - 1;
    assert!((3..10).contains(&landed), "{landed} windows had landed");
    // An incremental run in between does not make it forget.
    database.run("INSERT INTO orders VALUES (500, 500)").await;
    assert_eq!(sync(&house, &[]), 1);
    let summary = house.json(&backfill, 0);
    assert_eq!(summary["windows"].as_array().unwrap().len(), 10 - landed, "{summary}");
    assert_eq!(house.versions("shop.orders"), 12);
    assert_eq!(ids(&house), (1..=110).chain([500]).collect::<Vec<_>>());
    assert_eq!(sync(&house, &[]), 0, "the cursor stayed where it was");
    // It came to its end, so it begins anew; all is there.
    let summary = house.json(&backfill, 0);
    let windows = summary["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 10);
    assert!(windows.iter().all(|window| window["streams"][0]["rows"] == 0), "{summary}");
    assert_eq!(ids(&house).len(), 111);
}

#[tokio::test]
async fn a_backfill_needs_a_cursor_with_distances() {
    let sql = "CREATE TABLE orders (id int NOT NULL, code text NOT NULL)";
    let (house, _database) = shop(sql, &format!("{OPEN}, cursor_field: code")).await;
    let ran = house.run(&["backfill", "shop", "--from", "a", "--to", "b", "--window", "1"]);
    says(ran.expect(2), &["no distance"]);
    super::orders(&house, "columns: {\"*\": {tag: public}}");
    let ran = house.run(&["backfill", "shop", "--from", "1", "--to", "2", "--window", "1"]);
    says(ran.expect(2), &["has no cursor"]);
}
