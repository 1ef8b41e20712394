//! A ledger that is lost is rebuilt from the tables.

use super::*;

fn without_ids(runs: &Value) -> Vec<Value> {
    let runs = runs["runs"].as_array().unwrap();
    let shown = |run: &Value| {
        json!({
            "run_id": run["run_id"], "pipeline": run["pipeline"], "state": run["state"], "outcome": run["outcome"],
            "trigger": run["trigger"], "spec_digest": run["spec_digest"],
            "streams": run["streams"].as_array().unwrap().iter().map(|stream| {
                json!([stream["stream"], stream["dataset"], stream["version"], stream["rows"], stream["bytes"], stream["state"]])
            }).collect::<Vec<_>>(),
        })
    };
    runs.iter().map(shown).collect()
}

#[test]
fn a_lost_ledger_is_rebuilt_from_the_tables() {
    let house = three_versions();
    let before = house.json(&["runs"], 0);
    // Nothing is missing yet.
    let rebuilt = house.json(&["datasets", "--rebuild"], 0);
    assert_eq!(rebuilt, json!({"datasets": 1, "runs": 0, "streams": 0}));
    assert_eq!(house.json(&["runs"], 0), before);

    fs::remove_dir_all(house.path("out/var")).unwrap();
    assert_eq!(house.json(&["runs"], 0)["runs"], json!([]));
    let rebuilt = house.json(&["datasets", "--rebuild"], 0);
    assert_eq!(rebuilt, json!({"datasets": 1, "runs": 3, "streams": 3}));
    let after = house.json(&["runs"], 0);
    assert_eq!(without_ids(&after), without_ids(&before));
    for (old, new) in before["runs"].as_array().unwrap().iter().zip(after["runs"].as_array().unwrap()) {
        let day = |run: &Value| run["started_at"].as_str().unwrap()[..10].to_owned();
        assert_eq!(day(old), day(new));
        assert!(new["finished_at"].as_str().unwrap() >= new["started_at"].as_str().unwrap());
    }
    let again = house.json(&["datasets", "--rebuild"], 0);
    assert_eq!(again, json!({"datasets": 1, "runs": 0, "streams": 0}));
    assert_eq!(house.json(&["runs"], 0), after);

    publish(&house, 3001..3011);
    let found = house.json(&["verify", DATASET], 0);
    assert_eq!((&found["version"], &found["receipts"]), (&json!(3), &json!(4)));
    assert_eq!(house.query("SELECT count(*) AS n FROM crm.customers"), json!([{"n": 3010}]));
    assert_eq!(house.json(&["runs"], 0)["runs"].as_array().unwrap().len(), 4);
}
