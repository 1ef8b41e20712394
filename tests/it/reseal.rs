//! Published columns become as a stricter policy asks, without their source: every reader sees the same rows, what
//! was open is not, and the evidence holds.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use serde_json::json;

use crate::house::{House, script};
use crate::needles::Needles;

/// A value of each column that is to be found nowhere afterwards.
const SSN: &str = "Qn9182736405";
const CITY: &str = "Zx7RtLw93KmZ";

const OPEN: &str = "- {tags: [\"*\"], action: allow}";
const STRICT: &str = "- {tags: [pii.ssn], action: encrypt}\n\
                      - {tags: [pii.city], action: {hash: {join_domain: places}}}\n- {tags: [pii.note], action: drop}\n\
                      - {tags: [public], action: allow}";

fn house(rows: u32) -> House {
    let house = House::new();
    house.policy(OPEN);
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
         write_mode: append\n    partition_by: [country]\n    parquet: {compression: none}\n    columns: {ssn: \
         {tag: pii.ssn}, city: {tag: pii.city}, note: {tag: pii.note}, \"*\": {tag: public}}",
    );
    for country in ["CH", "DE"] {
        publish(&house, country, rows);
    }
    house
}

fn publish(house: &House, country: &str, rows: u32) {
    let lines: String = (0..rows).map(|id| format!("{id},{country},{SSN}{id},{CITY}{id},n{id}\n")).collect();
    house.write("in/drops/people.csv", &format!("id,country,ssn,city,note\n{lines}"));
    house.run(&["sync", "crm"]).expect(0);
}

#[test]
fn what_was_open_is_protected_and_the_stream_goes_on() {
    let house = house(6);
    let city = house.query("SELECT count(DISTINCT city) AS n FROM crm.people");
    house.policy(STRICT);
    // An append would mix rows of two kinds, and says what helps.
    let held = house.run(&["sync", "crm"]);
    assert!(held.expect(76).stderr.contains("sealift reseal"), "{held:?}");

    let dry = house.json(&["reseal", "crm.people", "--dry-run"], 0);
    assert_eq!((&dry["version"], dry["columns"].as_array().map(Vec::len)), (&json!(null), Some(3)));
    assert_eq!(house.versions("crm.people"), 2);
    let summary = house.json(&["reseal", "crm.people"], 0);
    assert_eq!((&summary["version"], &summary["rows"]), (&json!(2), &json!(12)));
    assert_eq!(summary["older_versions"]["from"], 0);

    // The rows are there, the values are as they were, for those with keys.
    let found = house.query(&format!(
        "SELECT count(*) AS n, count(DISTINCT country) AS countries, count(DISTINCT city) AS cities, \
         sum(CASE WHEN ssn LIKE '{SSN}%' THEN 1 ELSE 0 END) AS ssns FROM crm.people"
    ));
    assert_eq!(found[0], json!({"n": 12, "countries": 2, "cities": city[0]["n"], "ssns": 12}));
    let columns = house.json(&["datasets", "crm.people"], 0)["columns"].to_string();
    assert!(!columns.contains("note"), "{columns}");
    house.json(&["verify", "crm.people"], 0);
    let table = house.path("out/lake/crm/people");
    let url = table.to_str().unwrap();
    for reader in ["deltalake", "polars", "duckdb"] {
        assert_eq!(script("tables.py", &[reader, url], &[])["rows"], 12, "{reader}");
    }
    let refused = script("tables.py", &["refused", url, "ssn"], &[]);
    assert_eq!(refused["files"], refused["refused"]);

    // Nothing is left to do, and the stream goes on under the stricter policy.
    assert_eq!(house.json(&["reseal", "crm.people"], 0)["columns"], json!([]));
    publish(&house, "AT", 6);
    house.json(&["verify", "crm.people"], 0);
    house.json(&["compact", "crm.people"], 0);
    house.json(&["verify", "crm.people"], 0);

    // With the older versions gone, no byte of the table holds a value.
    std::thread::sleep(Duration::from_millis(1_100));
    house.json(&["vacuum", "crm.people", "--retain", "0s", "--force"], 0);
    let mut needles = Needles::default();
    needles.text("ssn", SSN);
    needles.text("city", CITY);
    let mut open = Vec::new();
    for entry in fs::read_dir(&table).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && !entry.file_name().unwrap().to_str().unwrap().starts_with('_') {
            open.extend(needles.find_below(&entry));
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn what_is_gone_cannot_be_sealed_again() {
    let house = house(3);
    house.policy(STRICT);
    house.json(&["reseal", "crm.people"], 0);
    house.policy("- {tags: [pii.city], action: redact}\n- {tags: [pii.ssn], action: mask}\n- {tags: [\"*\"], action: allow}");
    let summary = house.json(&["reseal", "crm.people"], 0);
    assert_eq!(
        summary["columns"],
        json!([{"column": "city", "tag": "pii.city", "from": "hash", "to": "redact"}])
    );
    house.policy("- {tags: [pii.city], action: nullify}\n- {tags: [pii.ssn], action: {hash: {}}}\n- {tags: [\"*\"], action: allow}");
    house.json(&["reseal", "crm.people"], 0);
    let found = house.query("SELECT count(city) AS cities, min(ssn) AS ssn FROM crm.people");
    assert!(found[0]["cities"] == 0 && found[0]["ssn"].as_str().unwrap().starts_with("h1:"), "{found}");
    house.json(&["verify", "crm.people"], 0);

    house.policy(
        "- {tags: [pii.ssn], action: {hash: {join_domain: other}}}\n- {tags: [pii.city], action: nullify}\n\
         - {tags: [public], action: encrypt}\n- {tags: [pii.note], action: allow}",
    );
    let held = house.run(&["reseal", "crm.people"]);
    let told = &held.expect(76).stderr;
    assert!(told.contains("`ssn`: it is published as `hash`") && told.contains("--full-refresh"), "{told}");
    assert!(told.contains("`ssn`"), "{told}");
    // One column at a time goes; a folder's name does not.
    house.json(&["reseal", "crm.people", "--column", "id"], 0);
    let held = house.run(&["reseal", "crm.people", "--column", "country"]);
    assert!(held.expect(76).stderr.contains("partition folder names are readable"), "{held:?}");
    let usage = house.run(&["reseal", "crm.people", "--column", "idd"]);
    assert!(usage.expect(2).stderr.contains("its columns are"), "{usage:?}");
    house.json(&["verify", "crm.people"], 0);
}

#[test]
fn killed_at_any_instant_the_table_is_as_before_or_as_asked() {
    let house = house(20_000);
    house.policy(STRICT);
    let whole = |house: &House| {
        let found = house.query("SELECT count(*) AS n, count(DISTINCT ssn) AS ssns FROM crm.people");
        assert_eq!(found[0], json!({"n": 40_000, "ssns": 20_000}));
    };
    let mut killed = 0;
    for after_ms in [20, 60, 120, 180, 240, 320, 400] {
        let mut started = house.start(house.command(&["reseal", "crm.people"]));
        std::thread::sleep(Duration::from_millis(after_ms));
        let _ = started.child.kill();
        killed += u32::from(started.child.wait().unwrap().signal().is_some());
        whole(&house);
        house.json(&["verify", "crm.people"], 0);
    }
    assert!(killed > 0, "no reseal was killed");
    house.json(&["reseal", "crm.people"], 0);
    whole(&house);
    assert_eq!(house.json(&["reseal", "crm.people"], 0)["columns"], json!([]));
    house.json(&["verify", "crm.people"], 0);
}

/// The key of a merge becomes a token: rows are found by it as before.
#[test]
fn a_merge_finds_its_rows_by_their_new_form() {
    let house = House::new();
    house.policy(OPEN);
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
         write_mode: merge\n    primary_key: [ssn]\n    columns: {ssn: {tag: pii.ssn}, city: {tag: pii.city}}",
    );
    let merge = |city: &str| {
        house.write("in/drops/people.csv", &format!("ssn,city\n{SSN}1,{city}\n{SSN}2,{city}\n"));
        house.run(&["sync", "crm"])
    };
    merge("Bern").expect(0);
    let tokens = |domain: &str| {
        format!(
            "- {{tags: [pii.ssn], action: {{tokenize: {{join_domain: {domain}}}}}}}\n- {{tags: [pii.city], action: encrypt}}"
        )
    };
    house.policy(&tokens("customer"));
    merge("Chur").expect(76);
    house.json(&["reseal", "crm.people"], 0);
    merge("Chur").expect(0);
    let found =
        house.query("SELECT count(*) AS n, min(city) AS least, count(DISTINCT ssn) AS ssns FROM crm.people");
    assert_eq!(found[0], json!({"n": 2, "least": "Chur", "ssns": 2}));
    house.json(&["verify", "crm.people"], 0);
    // Tokens of another key would not find them, and that the log still tells.
    house.policy(&tokens("other"));
    let held = merge("Genf");
    assert!(held.expect(76).stderr.contains("join/customer"), "{held:?}");
}
