//! Promise 2 for two tables at once: a run that is killed between the commit of the quarantine and that of
//! the dataset leaves rows that the next run rejects again, and takes back.

use std::fs;

use serde_json::{Value, json};

use super::{COLUMNS, count, house, payments};
use crate::house::{House, connection};
use crate::servers::postgres::Database;

const APPEND: &str = "\n    write_mode: append";

/// Kills a sync as soon as the quarantine is visible; whether it was before the dataset was.
fn killed_between(house: &House) -> bool {
    let log = |table: &str| house.path(&format!("out/lake/pay/{table}/_delta_log/00000000000000000000.json"));
    let mut started = house.start(house.command(&["sync", "pay"]));
    while !log("payments__quarantine").exists() && started.child.try_wait().unwrap().is_none() {
        std::hint::spin_loop();
    }
    started.child.kill().unwrap();
    let ran = house.finish(started);
    assert!(log("payments__quarantine").exists(), "the sync ended without a commit: {ran:?}");
    !log("payments").exists()
}

/// A house in which the first run was killed between the two commits. The second commit may win the race;
/// a few attempts make sure that the instant is hit.
fn after_the_kill(database: &Database) -> House {
    for _ in 0..20 {
        let house = house(&connection(database), "public.payments", COLUMNS, APPEND);
        if killed_between(&house) {
            assert_eq!(count(&house, "pay.payments__quarantine"), 3, "what is visible is whole");
            return house;
        }
        // The version that is there stands for the run that is asked again, with the rows it rejected.
        let summary = house.json(&["sync", "pay"], 0);
        assert_eq!(summary["streams"][0]["quarantined"], 3);
        let runs = house.versions("pay.payments");
        assert_eq!(count(&house, "pay.payments__quarantine"), 3 * runs);
    }
    panic!("no kill came between the two commits");
}

/// The `sealift` part of the newest commit, and how many files it removes.
fn newest(house: &House, dataset: &str) -> (Value, usize) {
    let log = house.path("out/lake").join(dataset.replace('.', "/")).join("_delta_log");
    let version = house.versions(dataset) - 1;
    let text = fs::read_to_string(log.join(format!("{version:020}.json"))).unwrap();
    let actions: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let removed = actions.iter().filter(|action| action.get("remove").is_some()).count();
    (actions[0]["commitInfo"]["sealift"].clone(), removed)
}

#[tokio::test]
async fn killed_between_the_two_commits_rejected_rows_are_not_doubled() {
    let (_, database) = payments(COLUMNS, APPEND).await;
    let house = after_the_kill(&database);
    for run in 1..=2 {
        let summary = house.json(&["sync", "pay"], 0);
        assert_eq!(summary["streams"][0]["quarantined"], 3);
        assert_eq!(
            (count(&house, "pay.payments"), count(&house, "pay.payments__quarantine")),
            (json!(2 * run), json!(3 * run)),
        );
        let (commit, removed) = newest(&house, "pay.payments__quarantine");
        let expected = if run == 1 { (json!([0]), 1) } else { (json!([]), 0) };
        assert_eq!((commit["withdrawn"].clone(), removed), expected);
        assert_eq!(commit["run_id"], newest(&house, "pay.payments").0["run_id"]);
    }
}

#[tokio::test]
async fn killed_between_the_two_commits_rows_that_fit_by_now_do_not_stay_in_the_quarantine() {
    let (_, database) = payments(COLUMNS, APPEND).await;
    let house = after_the_kill(&database);
    database.run("UPDATE payments SET amount = 2, day = '2024-01-04' WHERE id IN (2, 3, 4)").await;
    for run in 1..=2 {
        house.run(&["sync", "pay"]).expect(0);
        assert_eq!(
            (count(&house, "pay.payments"), count(&house, "pay.payments__quarantine")),
            (json!(5 * run), json!(0)),
        );
        assert_eq!(house.versions("pay.payments__quarantine"), 2, "only the first of them has to take back");
    }
}
