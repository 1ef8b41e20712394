//! Values of persons that are encrypted one by one, with the real program: who is shredded cannot be read by anybody,
//! everybody else stays as they were.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use sealift::keys::Keyring;
use sealift::protect::kernel::encrypt_value::{Keys, open};
use sealift::spec::DatasetName;
use sealift::spec::config;
use serde_json::{Value, json};

use crate::house::{House, Ran};
use crate::needles::Needles;

const SSN: &str = "Qn9182736405";
const BY_SUBJECT: &str =
    "- {tags: [pii.ssn], action: {encrypt_value: {by: id}}}\n- {tags: [public], action: allow}";

fn house(policy: &str) -> House {
    let house = House::new();
    house.policy(policy);
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\ndefaults: {write_mode: append}\nstreams:\n  people:\n    path: people.csv\n    \
         parquet: {compression: none}\n    columns: {ssn: {tag: pii.ssn}, \"*\": {tag: public}}",
    );
    house
}

fn publish(house: &House, rows: &str) -> Ran {
    house.write("in/drops/people.csv", &format!("id,ssn\n{rows}"));
    house.run(&["sync", "crm"])
}

/// The cells by id, as anybody sees them.
fn cells(house: &House) -> BTreeMap<i64, Option<String>> {
    let rows = house.query("SELECT id, ssn FROM crm.people ORDER BY id");
    let row = |row: &Value| (row["id"].as_i64().unwrap(), row["ssn"].as_str().map(str::to_owned));
    rows.as_array().unwrap().iter().map(row).collect()
}

/// What a cell holds for who has this keys folder; `None` where it is shredded.
fn opened(house: &House, keys: &str, cell: &str) -> Option<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = runtime.block_on(async {
        let settings = config::Keys::File { path: house.path(keys), passphrase: None };
        let keyring = Keyring::open(&settings, &|_| {}).await.unwrap();
        Keys::load(&keyring, &DatasetName::parse("crm.people").unwrap(), "ssn").await.unwrap()
    });
    open(cell, &keys).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn shred(house: &House, subjects: &str, args: &[&str]) -> Ran {
    let mut command = house.command(&[&["keys", "shred", "crm.people", "--column", "ssn"], args].concat());
    command.stdin(Stdio::piped());
    let mut started = house.start(command);
    started.child.stdin.take().unwrap().write_all(subjects.as_bytes()).unwrap();
    house.finish(started)
}

#[test]
fn a_shredded_person_is_gone_for_everybody_and_nobody_else_is() {
    let house = house(BY_SUBJECT);
    publish(&house, &format!("1,{SSN}1\n2,{SSN}2\n3,\n4,{SSN}4\n")).expect(0);
    let before = cells(&house);
    assert_eq!(before[&3], None, "NULL stays NULL");
    for (id, cell) in before.iter().filter_map(|(id, cell)| Some((id, cell.as_ref()?))) {
        assert!(cell.starts_with("e1:"), "{cell}");
        assert_eq!(opened(&house, "out/keys", cell), Some(format!("{SSN}{id}")));
    }
    let plan = house.json(&["plan", "crm"], 0);
    let ssn = &plan["streams"][0]["columns"].as_array().unwrap()[1];
    assert_eq!((&ssn["action"], &ssn["type"]), (&json!("encrypt_value"), &json!("string")));
    assert_eq!(ssn["key"], json!("sealift:crm.people/ssn#subject@1"));

    // What is asked without --yes, or of nobody, is not done.
    shred(&house, "2\n", &[]).expect(2);
    let dry = shred(&house, "2\n99\n3\n", &["--dry-run", "--json"]).expect(0).summary();
    let mut values: Vec<u64> =
        dry["columns"][0]["values"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(
        (values, &dry["columns"][0]["shredded"]),
        (vec![0, 0, 1], &json!(0)),
        "NULL is no value: {dry}"
    );
    let shown = shred(&house, "2\n", &["--dry-run"]);
    assert!(shown.expect(0).stdout.trim_end().ends_with(" 1"), "{shown:?}");
    shred(&house, "\n", &["--yes"]).expect(2);
    let wrong = shred(&house, "2\n", &["--yes", "--column", "id"]);
    assert!(
        wrong.expect(2).stderr.contains("`id` of crm.people was never encrypted by subject"),
        "{wrong:?}"
    );
    assert!(opened(&house, "out/keys", before[&2].as_ref().unwrap()).is_some());

    let summary = shred(&house, "2\n", &["--yes", "--json"]).expect(0).summary();
    let column = &summary["columns"][0];
    assert_eq!(
        (&column["column"], &column["shredded"], &summary["outcome"]),
        (&json!("ssn"), &json!(1), &json!("done"))
    );
    let digest = column["subjects"][0].as_str().unwrap().to_owned();
    let open_now = |id: i64| opened(&house, "out/keys", before[&id].as_ref().unwrap());
    assert_eq!(
        (open_now(1), open_now(2), open_now(4)),
        (Some(format!("{SSN}1")), None, Some(format!("{SSN}4")))
    );

    // From a file, with one who was shredded before.
    house.write("in/erased.txt", "4\n2\n");
    let file = house.path("in/erased.txt");
    let again = house.json(
        &[
            "keys",
            "shred",
            "crm.people",
            "--column",
            "ssn",
            "--yes",
            "--subject-file",
            file.to_str().unwrap(),
        ],
        0,
    );
    assert_eq!(again["columns"][0]["shredded"], 1);
    assert_eq!((open_now(1), open_now(2), open_now(4)), (Some(format!("{SSN}1")), None, None));

    // The table is as it was, and goes on with everybody else.
    assert_eq!(cells(&house), before);
    house.json(&["verify", "crm.people"], 0);
    publish(&house, &format!("5,{SSN}5\n2,\n")).expect(0);
    let held = publish(&house, &format!("2,{SSN}2\n"));
    assert!(held.expect(76).stderr.contains("was shredded"), "{held:?}");
    assert!(!held.printed().contains(SSN));
    let shown = house.json(&["plan", "crm"], 0).to_string();
    assert!(shown.contains("sealift:crm.people/ssn#subject@1"), "the tree keeps its name: {shown}");

    // Who did it, to whom by digest; no value anywhere.
    let trail = trail(&house);
    let told: Vec<&String> = trail.iter().filter(|entry| entry.starts_with("subject.shred")).collect();
    assert_eq!(told.len(), 3, "{trail:?}");
    assert!(told[0].contains(&format!("crm.people/ssn {digest}")), "{told:?}");
    let mut needles = Needles::default();
    needles.text("ssn", SSN);
    let found = needles.find_below(&house.path("out"));
    assert!(found.is_empty(), "{found:?}");
}

fn trail(house: &House) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let path = house.path("out/var/sealift.db");
        let ledger = sealift::run::Ledger::open(&config::Metadata::Sqlite(path)).await.unwrap();
        let entries = sealift::govern::audit::entries(&ledger, 100).await.unwrap();
        entries.into_iter().rev().map(|entry| format!("{} {}", entry.action, entry.subject)).collect()
    })
}

#[test]
fn only_a_copy_of_the_keys_of_before_opens_what_was_shredded() {
    let house = house(BY_SUBJECT);
    publish(&house, &format!("1,{SSN}1\n2,{SSN}2\n")).expect(0);
    let cells = cells(&house);
    let copied = std::process::Command::new("cp")
        .args(["-a".as_ref(), house.path("out/keys").as_os_str(), house.path("in/backup").as_os_str()])
        .status();
    assert!(copied.unwrap().success());
    shred(&house, "1\n", &["--yes"]).expect(0);
    let cell = cells[&1].as_ref().unwrap();
    assert_eq!(opened(&house, "out/keys", cell), None);
    assert_eq!(opened(&house, "in/backup", cell), Some(format!("{SSN}1")), "as docs/protection.md says");
    // The tree that is left is no use without its key, and no old one is left.
    let tree = house.path("out/keys/datasets/sealift%3acrm.people%2fssn%23subject");
    let mut left: Vec<String> =
        fs::read_dir(&tree).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["2.json", "2.tree", "lock"]);
}

#[test]
fn a_value_of_nobody_is_refused_and_a_column_of_one_key_needs_nobody() {
    let house = house(BY_SUBJECT);
    let refused = publish(&house, &format!("1,{SSN}1\n,{SSN}2\n"));
    assert!(refused.expect(65).stderr.contains("whose `id` is NULL"), "{refused:?}");
    assert!(!refused.printed().contains(SSN));
    house.policy("- {tags: [pii.ssn], action: encrypt_value}\n- {tags: [public], action: allow}");
    publish(&house, &format!("1,{SSN}1\n,{SSN}2\n")).expect(0);
    let rows = house.query("SELECT ssn FROM crm.people");
    let cells: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["ssn"].as_str().unwrap()).collect();
    let mut values: Vec<_> = cells.iter().map(|cell| opened(&house, "out/keys", cell).unwrap()).collect();
    values.sort();
    assert_eq!(values, [format!("{SSN}1"), format!("{SSN}2")]);
    // Keys of persons and one key for all do not mix in a table.
    house.policy(BY_SUBJECT);
    publish(&house, &format!("3,{SSN}3\n")).expect(76);
}

#[test]
fn what_differs_each_time_is_no_key_and_has_no_history() {
    let house = House::new();
    house.policy(BY_SUBJECT);
    for (mode, key, word) in [
        ("merge", "ssn", "equal keys look different"),
        ("scd2", "id", "the same value looks otherwise each time"),
    ] {
        house.pipeline(
            "crm",
            &format!(
                "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    write_mode: {mode}\n    \
                 primary_key: [{key}]\n    columns: {{ssn: {{tag: pii.ssn}}, \"*\": {{tag: public}}}}"
            ),
        );
        let held = publish(&house, &format!("1,{SSN}1\n"));
        assert!(held.expect(76).stderr.contains(word), "{held:?}");
    }
}

#[test]
fn who_is_permitted_sees_values_until_the_person_is_shredded() {
    let house = house(BY_SUBJECT);
    let reveal =
        "reveal:\n  - {tags: [pii.ssn], actors: [\"os:*\"], purposes: [fraud], max_values_per_hour: 100}\n";
    house.policy_with(BY_SUBJECT, reveal);
    publish(&house, &format!("1,{SSN}\n2,078-05-1120\n3,\n")).expect(0);
    let sql = "SELECT id, decrypt_value(ssn) AS ssn FROM crm.people ORDER BY id";
    house.run(&["query", sql]).expect(77);
    let read = || -> Value {
        let ran = house.run(&["query", sql, "--reveal", "fraud", "--format", "json"]);
        serde_json::from_str(ran.expect(0).stdout.trim()).unwrap()
    };
    let rows = |first: Value| json!([{"id": 1, "ssn": first}, {"id": 2, "ssn": "078-05-1120"}, {"id": 3, "ssn": null}]);
    assert_eq!(read(), rows(json!(SSN)));
    shred(&house, "1\n", &["--yes"]).expect(0);
    assert_eq!(read(), rows(Value::Null));
    let wrong = "SELECT detokenize(ssn) FROM crm.people";
    let wrong = house.run(&["query", wrong, "--reveal", "fraud"]);
    assert!(wrong.expect(78).stderr.contains("decrypt_value"), "{wrong:?}");
}
