//! The evidence of published versions: it holds where nothing was touched, and each way of touching it is
//! found and named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealift::keys::Keyring;
use sealift::publish::Receipt;
use sealift::spec::config;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::house::{House, connection, script};
use crate::servers::postgres::Database;

mod rebuilt;
mod tampered;

const DATASET: &str = "crm.customers";
/// Stands in protected cells, and may stand in no receipt.
const NEEDLE: &str = "needle-7319";

/// A house with the pipeline `crm` over a file of customers: an open, an encrypted and a tokenized column.
fn house(write_mode: &str) -> House {
    let house = House::new();
    house.policy(
        "- {tags: [pii.email], action: tokenize}\n\
         - {tags: [pii.name], action: encrypt}\n\
         - {tags: [public], action: allow}",
    );
    house.pipeline(
        "crm",
        &format!(
            "connection: drops\ndataset: {DATASET}\nstreams:\n  customers:\n    path: customers.csv\n    \
             write_mode: {write_mode}\n    transform: SELECT * FROM source WHERE id > 0\n    \
             columns: {{id: {{tag: public}}, name: {{tag: pii.name}}, email: {{tag: pii.email}}}}"
        ),
    );
    house
}

/// Publishes customers of these numbers, and one that the transform leaves out.
fn publish(house: &House, ids: std::ops::Range<u32>) {
    write(house, ids);
    house.run(&["sync", "crm"]).expect(0);
}

fn write(house: &House, ids: std::ops::Range<u32>) {
    let row = |id: u32| {
        let name = if id.is_multiple_of(5) { String::new() } else { format!("Name {id:05} {NEEDLE}") };
        format!("{id},{name},{NEEDLE}-{id}@example.com\n")
    };
    let rows: String = ids.map(row).collect();
    house.write("in/drops/customers.csv", &format!("id,name,email\n-1,Nobody,nobody@example.com\n{rows}"));
}

/// A house with three appended versions.
fn three_versions() -> House {
    let house = house("append");
    for start in [1, 1001, 2001] {
        publish(&house, start..start + 1000);
    }
    house
}

fn table(house: &House) -> PathBuf {
    house.path("out/lake/crm/customers")
}

fn named(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    paths.sort();
    paths
}

/// Data files by version: their names sort by time.
fn data_files(house: &House) -> Vec<PathBuf> {
    named(&table(house), ".parquet")
}

fn receipts(house: &House) -> Vec<PathBuf> {
    named(&table(house).join("_sealift/receipts"), ".json")
}

fn commits(house: &House) -> Vec<PathBuf> {
    named(&table(house).join("_delta_log"), ".json")
}

/// What `verify` finds broken: the words, and the messages.
fn faults(house: &House, args: &[&str]) -> Vec<(String, String)> {
    let ran = house.run(&[&["verify", DATASET, "--json"], args].concat());
    let summary = ran.summary();
    let faults = summary["faults"].as_array().unwrap();
    ran.expect(i32::from(!faults.is_empty()));
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    faults.iter().map(|fault| (text(fault, "what"), text(fault, "message"))).collect()
}

fn words(house: &House, args: &[&str]) -> Vec<String> {
    faults(house, args).into_iter().map(|(word, _)| word).collect()
}

#[test]
fn evidence_holds_where_nothing_was_touched() {
    let house = three_versions();
    let found = house.json(&["verify", DATASET], 0);
    assert_eq!((&found["version"], &found["holds"]), (&json!(2), &json!(true)));
    assert_eq!((&found["receipts"], &found["files"]), (&json!(3), &json!(3)));
    let compared: Vec<_> = found["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["column"].clone(), c["compared_with"].clone()))
        .collect();
    assert_eq!(
        compared,
        [(json!("email"), Value::Null), (json!("id"), json!("rows")), (json!("name"), json!("rows"))]
    );
    assert_eq!(house.json(&["verify", DATASET, "--version", "1"], 0)["files"], 2);
    let printed = house.run(&["verify", DATASET]);
    assert!(printed.expect(0).stdout.contains("The evidence holds."), "{}", printed.stdout);
    assert!(printed.stdout.contains("email: `tokenize` replaced its values"), "{}", printed.stdout);
    house.run(&["verify", "crm.nobody"]).expect(2);

    let receipt: Value = serde_json::from_slice(&fs::read(&receipts(&house)[2]).unwrap()).unwrap();
    assert_eq!(receipt["rows"], json!({"read": 1001, "filtered": 1, "quarantined": 0, "written": 1000}));
    assert_eq!(receipt["source"]["connection"], "drops");
    assert_eq!((&receipt["trigger"], &receipt["approvals"]), (&json!("cli"), &json!([])));
    let email =
        receipt["columns"].as_array().unwrap().iter().find(|c| c["column"] == "email").unwrap().clone();
    assert_eq!(
        email,
        json!({"column": "email", "tag": "pii.email", "action": "tokenize", "key": "sealift:crm.customers/email#tokenize@1",
               "options": {"canonical": "text"}})
    );
    let name = receipt["values"]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["column"] == "name")
        .unwrap()
        .clone();
    assert_eq!((&name["kind"], &name["nulls"]), (&json!("text"), &json!(200)));
    let run_id = house.json(&["runs"], 0)["runs"][0]["run_id"].clone();
    assert_eq!(receipt["run_id"], run_id);
}

#[test]
fn the_source_is_read_again_and_compared() {
    let house = three_versions();
    let found = house.json(&["verify", DATASET, "--against-source"], 0);
    assert!(found["columns"].as_array().unwrap().iter().all(|c| c["compared_with"] == "source"), "{found}");

    write(&house, 2002..3002);
    let found = faults(&house, &["--against-source"]);
    assert!(found.iter().all(|(word, _)| word == "source_differs"), "{found:?}");
    for column in ["id", "name", "email"] {
        assert!(
            found.iter().any(|(_, message)| message.contains(&format!("column `{column}`"))),
            "{found:?}"
        );
    }
    assert!(found[0].1.contains("a later change"), "{found:?}");
    write(&house, 2001..3000);
    let found = faults(&house, &["--against-source"]);
    assert!(found[0].1.contains("1000 rows, and gave 1001"), "{found:?}");
}

#[test]
fn receipts_hold_no_values() {
    let house = three_versions();
    let all = [receipts(&house), commits(&house)].concat();
    for path in all {
        let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
        assert!(!text.contains(NEEDLE) && !text.contains("example.com"), "{}", path.display());
    }
    // Not even that two versions hold the same values.
    publish(&house, 2001..3001);
    let digests = |path: &PathBuf| {
        let receipt: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        receipt["values"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["digest"].clone())
            .collect::<Vec<_>>()
    };
    let paths = receipts(&house);
    assert!(digests(&paths[2]).iter().zip(digests(&paths[3])).all(|(a, b)| *a != b));
}

#[test]
fn an_auditor_checks_signatures_and_files_without_a_secret() {
    let house = three_versions();
    let keys = house.run(&["keys", "public", "--json"]);
    house.write("in/keys.json", &keys.expect(0).stdout);
    let check = || {
        let (keys, lake) = (house.path("in/keys.json"), house.path("out/lake"));
        script("receipt.py", &[&keys.to_string_lossy(), &lake.to_string_lossy()], &[])
    };
    assert_eq!(check(), json!({"receipts": 3, "failed": {}}));
    let path = receipts(&house).remove(1);
    let edited = fs::read_to_string(&path).unwrap().replace("\"written\":1000", "\"written\":1001");
    fs::write(&path, edited).unwrap();
    let failed = check()["failed"].clone();
    assert_eq!(failed[path.file_name().unwrap().to_str().unwrap()], "not signed by these keys");
}

#[test]
fn a_vacuum_by_another_tool_leaves_receipts_alone() {
    let house = house("overwrite");
    publish(&house, 1..101);
    publish(&house, 1..101);
    let vacuum = "import sys, deltalake; print(deltalake.DeltaTable(sys.argv[1]).vacuum(\
                  retention_hours=0, dry_run=False, enforce_retention_duration=False))";
    let output = crate::house::python().arg("-c").arg(vacuum).arg(table(&house)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((data_files(&house).len(), receipts(&house).len()), (1, 2));
    let found = house.json(&["verify", DATASET], 0);
    assert!(found["notes"].to_string().contains("made by another writer"), "{found}");
}

#[tokio::test]
async fn a_quarantine_has_evidence_of_its_own() {
    let database = Database::create().await;
    database.run("CREATE TABLE payments (id int, amount numeric)").await;
    database.run("INSERT INTO payments SELECT n, n + 0.5 FROM generate_series(1, 100) n").await;
    database.run("INSERT INTO payments VALUES (101, 0.123), (102, 'NaN')").await;
    let house = House::new();
    house.config("", &connection(&database));
    house.policy("- {tags: [public], action: allow}");
    house.pipeline(
        "pay",
        "connection: db\ndataset: \"pay.{table}\"\nstreams:\n  public.payments:\n    columns: \
         {amount: {tag: public, as: \"decimal(10,2)\", on_overflow: quarantine}, id: {tag: public}}",
    );
    house.run(&["sync", "pay"]).expect(0);
    for (dataset, written) in [("pay.payments", 100), ("pay.payments__quarantine", 2)] {
        let found = house.json(&["verify", dataset], 0);
        assert_eq!((&found["receipts"], &found["files"]), (&json!(1), &json!(1)), "{dataset}");
        let folder = house.path(&format!("out/lake/{}/_sealift/receipts", dataset.replace('.', "/")));
        let receipt: Value = serde_json::from_slice(&fs::read(&named(&folder, ".json")[0]).unwrap()).unwrap();
        assert_eq!(receipt["rows"]["written"], written);
    }
    let log = house.path("out/lake/pay/payments__quarantine/_delta_log");
    let commit = named(&log, ".json").remove(0);
    let kept = fs::read(&commit).unwrap();
    fs::remove_file(&commit).unwrap();
    let ran = house.run(&["verify", "pay.payments__quarantine"]);
    assert!(ran.expect(1).stdout.contains("the log is gone"), "{}", ran.stdout);
    // Its dataset's receipts speak of it.
    let ran = house.run(&["verify", "pay.payments"]);
    assert!(ran.expect(1).stdout.contains("2 rows went to pay.payments__quarantine"), "{}", ran.stdout);
    fs::write(&commit, kept).unwrap();
    house.run(&["verify", "pay.payments", "--against-source"]).expect(0);
    database.run("UPDATE payments SET amount = amount + 1 WHERE id = 7").await;
    let ran = house.run(&["verify", "pay.payments", "--against-source"]);
    assert!(ran.expect(1).stdout.contains("other values in column `amount`"), "{}", ran.stdout);
}

#[test]
fn receipts_name_no_folder() {
    let house = house("append");
    house.pipeline(
        "crm",
        &format!(
            "connection: drops\ndataset: {DATASET}\nstreams:\n  customers:\n    path: customers.csv\n    \
             write_mode: overwrite\n    partition_by: [land]\n    columns: {{id: {{tag: public}}, land: {{tag: public}}}}"
        ),
    );
    for _ in 0..2 {
        house.write("in/drops/customers.csv", "id,land\n1,Atlantis\n2,Avalon\n");
        house.run(&["sync", "crm"]).expect(0);
    }
    let found = house.json(&["verify", DATASET], 0);
    assert_eq!((&found["receipts"], &found["files"]), (&json!(2), &json!(2)));
    for path in receipts(&house) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"part-") && !text.contains("Atlantis") && !text.contains("Avalon"), "{text}");
    }
}
