//! Promise 2 for a cursor: whenever a run is killed, the next ones bring the dataset to what the source is.

use std::time::Duration;

use super::{OPEN, ids, shop, sync};
use crate::house::Dice;

#[tokio::test]
async fn a_run_that_is_killed_at_its_commit_is_not_appended_twice() {
    let sql = "CREATE TABLE orders (id int NOT NULL, n int NOT NULL); INSERT INTO orders SELECT i, i FROM generate_series(1, 50) AS i";
    let (house, database) = shop(sql, &format!("{OPEN}, cursor_field: n, lookback: 10")).await;
    assert_eq!(sync(&house, &[]), 50);
    database.run("INSERT INTO orders SELECT i, i FROM generate_series(51, 100) AS i").await;
    let mut started = house.start(house.command(&["sync", "shop"]));
    while house.versions("shop.orders") < 2 && started.child.try_wait().unwrap().is_none() {
        std::hint::spin_loop();
    }
    started.child.kill().unwrap();
    house.finish(started);
    assert_eq!(house.versions("shop.orders"), 2);
    assert_eq!(sync(&house, &[]), 0, "what landed is known by its commit, not by the ledger");
    assert_eq!(ids(&house), (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn killed_at_random_instants_nothing_is_lost_or_doubled() {
    let mut dice = Dice::new("incremental::killed");
    let sql = "CREATE TABLE orders (id int NOT NULL, n int NOT NULL)";
    let (house, database) = shop(sql, &format!("{OPEN}, cursor_field: n, lookback: 5")).await;
    let mut next = 1;
    for _ in 0..12 {
        let more = 1 + dice.below(20) as i64;
        database
            .run(&format!(
                "INSERT INTO orders SELECT i, i FROM generate_series({next}, {}) AS i",
                next + more - 1
            ))
            .await;
        next += more;
        let mut started = house.start(house.command(&["sync", "shop"]));
        tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        started.child.kill().unwrap();
        house.finish(started);
    }
    sync(&house, &[]);
    assert_eq!(ids(&house), (1..next).collect::<Vec<_>>());
}
