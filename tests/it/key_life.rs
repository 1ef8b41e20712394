//! Keys are renewed, destroyed, backed up and put back, and what that means for what is published.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;

use crate::house::{House, script};

const SSN: &str = "sealift:crm.people/ssn@1";

fn house() -> House {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    write_mode: append\n    \
         columns: {ssn: {tag: pii.ssn}, email: {tag: pii.email}, \"*\": {tag: public}}",
    );
    house
}

fn publish(house: &House, number: u32) {
    house.write(
        "in/drops/people.csv",
        &format!("country,ssn,email\nCH,555-01-000{number},{number}@example.com\n"),
    );
    house.run(&["sync", "crm"]).expect(0);
}

/// What stands in each data file, by its name.
fn digests(lake: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(lake.join("crm/people")).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    files
        .map(|path| {
            let digest = Sha256::digest(fs::read(&path).unwrap()).to_vec();
            (path.file_name().unwrap().to_string_lossy().into_owned(), digest)
        })
        .collect()
}

fn ssns(house: &House) -> Value {
    house.query("SELECT ssn FROM crm.people ORDER BY ssn")
}

/// How pyarrow reads a column of every file with the keys that a release gave.
fn read_by_pyarrow(house: &House, keys: &str, column: &str) -> Value {
    house.write("in/keys.json", keys);
    let (table, keys) = (house.path("out/lake/crm/people"), house.path("in/keys.json"));
    script("key_life.py", &[table.to_str().unwrap(), keys.to_str().unwrap(), column], &[])
}

fn released(house: &House) -> String {
    house.run(&["keys", "release", "crm.people", "--json"]).expect(0).stdout.clone()
}

fn states(house: &House) -> BTreeMap<String, String> {
    let listed = house.json(&["keys", "list"], 0);
    let keys = listed["keys"].as_array().unwrap().iter();
    keys.map(|key| (key["id"].as_str().unwrap().to_owned(), key["state"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn a_new_root_key_changes_no_byte_of_a_data_file_and_all_of_them_read() {
    let house = house();
    publish(&house, 1);
    publish(&house, 2);
    let (before, keys) = (digests(&house.path("out/lake")), states(&house).len());
    let old_root = fs::read(house.path("out/keys/root.key")).unwrap();
    let rotated = house.json(&["keys", "rotate", "--root"], 0);
    assert_eq!(rotated["keys"], keys);
    assert_ne!(fs::read(house.path("out/keys/root.key")).unwrap(), old_root);
    assert_eq!(digests(&house.path("out/lake")), before);
    assert_eq!(ssns(&house), json!([{"ssn": "555-01-0001"}, {"ssn": "555-01-0002"}]));
    assert_eq!(
        read_by_pyarrow(&house, &released(&house), "ssn")["read"],
        json!(["555-01-0001", "555-01-0002"])
    );
    house.run(&["verify", "crm.people"]).expect(0);
    publish(&house, 3);
    house.run(&["keys", "check"]).expect(0);
    // Whoever kept the old root key can do nothing with it.
    fs::write(house.path("out/keys/root.key"), old_root).unwrap();
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(1);
}

#[test]
fn a_new_dataset_key_is_for_new_files_only() {
    let house = house();
    publish(&house, 1);
    let before = digests(&house.path("out/lake"));
    let first = released(&house);
    let rotated = house.json(&["keys", "rotate", "crm.people", "--column", "ssn"], 0);
    assert_eq!(rotated["keys"], json!([{"id": "sealift:crm.people/ssn@2"}]));
    publish(&house, 2);
    let after = digests(&house.path("out/lake"));
    assert!(before.iter().all(|(file, digest)| after.get(file) == Some(digest)) && after.len() == 2);
    assert_eq!(ssns(&house), json!([{"ssn": "555-01-0001"}, {"ssn": "555-01-0002"}]));
    // The key that was released before opens the old file and not the new one.
    let read = read_by_pyarrow(&house, &first, "ssn");
    assert_eq!((&read["read"], &read["refused"]), (&json!(["555-01-0001"]), &json!(1)), "{read}");
    assert_eq!(read_by_pyarrow(&house, &released(&house), "ssn")["refused"], 0);
    let states = states(&house);
    assert_eq!((states[SSN].as_str(), states["sealift:crm.people/ssn@2"].as_str()), ("older", "current"));
}

#[test]
fn a_key_that_is_missing_is_named_with_all_its_versions() {
    let house = house();
    publish(&house, 1);
    house.run(&["keys", "rotate", "crm.people", "--column", "ssn"]).expect(0);
    publish(&house, 2);
    house.run(&["keys", "check"]).expect(0);
    let record = |part: &str| {
        let mut folders =
            fs::read_dir(house.path("out/keys/datasets")).unwrap().map(|one| one.unwrap().path());
        let folder = folders.find(|path| path.to_string_lossy().ends_with(part)).unwrap();
        fs::read_dir(folder).unwrap().map(|one| one.unwrap().path()).min().unwrap()
    };
    for (part, id) in [("people%2fssn", SSN), ("_footer", "_footer@1")] {
        let path = record(part);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let said = house.run(&["keys", "check"]);
        assert!(said.expect(1).stderr.contains(id) && said.stderr.contains("is not here"), "{said:?}");
        fs::write(path, kept).unwrap();
    }
    house.run(&["keys", "check"]).expect(0);
}

#[test]
fn rejected_rows_are_destroyed_with_the_others_and_half_a_name_is_no_key() {
    let house = house();
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    write_mode: append\n    \
         columns: {ssn: {tag: pii.ssn}, email: {tag: pii.email}, \"*\": {tag: public}}\n    \
         quality: [{accepted: {column: country, values: [CH]}, on_fail: quarantine}]",
    );
    let rows = "country,ssn,email\nCH,555-01-0001,1@example.com\nXX,555-01-0002,2@example.com\n";
    house.write("in/drops/people.csv", rows);
    house.run(&["sync", "crm"]).expect(0);
    let rejected = "SELECT ssn FROM crm.people__quarantine";
    assert_eq!(house.query(rejected), json!([{"ssn": "555-01-0002"}]));
    let half = SSN.strip_suffix("sn@1").unwrap();
    house.run(&["keys", "destroy", "--key", half, "--yes"]).expect(2);
    house.run(&["keys", "destroy", "crm.people", "--column", "ssn", "--after", "0s", "--yes"]).expect(0);
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(77);
    house.run(&["query", rejected]).expect(77);
}

#[test]
fn what_a_destroyed_key_sealed_opens_to_nobody() {
    let house = house();
    publish(&house, 1);
    publish(&house, 2);
    let said = house.run(&["keys", "destroy", "crm.people", "--column", "ssn"]);
    assert!(said.expect(0).stdout.contains("Nothing was changed"), "{said:?}");
    assert_eq!(ssns(&house).as_array().unwrap().len(), 2);

    house.run(&["keys", "destroy", "crm.people", "--column", "ssn", "--yes"]).expect(0);
    let refused = house.run(&["query", "SELECT ssn FROM crm.people"]);
    assert!(refused.expect(77).stderr.contains("ssn"), "{refused:?}");
    assert!(house.run(&["keys", "check"]).expect(1).stderr.contains("to be destroyed after"));
    let held = house.run(&["sync", "crm"]);
    assert!(held.expect(77).stderr.contains("--cancel"), "{held:?}");
    house.run(&["keys", "destroy", "crm.people", "--column", "ssn", "--cancel"]).expect(0);
    assert_eq!(ssns(&house).as_array().unwrap().len(), 2);

    house.run(&["keys", "destroy", "crm.people", "--column", "ssn", "--after", "0s", "--yes"]).expect(0);
    assert_eq!(states(&house)[SSN], "destroyed");
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(77);
    let read = read_by_pyarrow(&house, &released(&house), "ssn");
    assert_eq!((&read["read"], &read["refused"]), (&json!([]), &json!(2)), "{read}");
    // The other columns are as they were.
    let emails = house.query("SELECT email FROM crm.people ORDER BY email");
    assert_eq!(emails, json!([{"email": "1@example.com"}, {"email": "2@example.com"}]));
    assert_eq!(read_by_pyarrow(&house, &released(&house), "email")["refused"], 0);
    // What comes next is sealed by a key of its own.
    publish(&house, 3);
    assert_eq!(states(&house)["sealift:crm.people/ssn@2"], "current");
    assert_eq!(read_by_pyarrow(&house, &released(&house), "ssn")["read"], json!(["555-01-0003"]));
}

#[test]
fn a_lost_folder_comes_back_from_its_backup_without_what_was_destroyed() {
    let mut house = house();
    house.env("BACKUP_PASSPHRASE", "correct horse");
    publish(&house, 1);
    let file = house.path("out/keys.backup");
    let file = file.to_str().unwrap();
    let passphrase = ["--passphrase", "env:BACKUP_PASSPHRASE"];
    house.run(&[["keys", "backup", file].as_slice(), &passphrase].concat()).expect(0);
    house.run(&[["keys", "backup", file].as_slice(), &passphrase].concat()).expect(1);

    fs::rename(house.path("out/keys"), house.path("out/lost")).unwrap();
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(77);
    fs::remove_dir_all(house.path("out/keys")).unwrap();
    let restored = house.json(&[["keys", "restore", file].as_slice(), &passphrase].concat(), 0);
    assert!(restored["written"].as_u64() > Some(3), "{restored}");
    assert_eq!(ssns(&house), json!([{"ssn": "555-01-0001"}]));
    house.run(&["keys", "check"]).expect(0);

    house.run(&["keys", "destroy", "--key", SSN, "--after", "0s", "--yes"]).expect(0);
    let restored = house.json(&[["keys", "restore", file].as_slice(), &passphrase].concat(), 0);
    assert_eq!(restored["destroyed"], json!([SSN]));
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(77);
}

#[test]
fn a_new_key_of_tokens_holds_what_would_mix_them() {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: {tokenize: {join_domain: customer}}}\n- {tags: [public], action: allow}");
    let pipeline = |mode: &str| {
        house.pipeline(
            "crm",
            &format!(
                "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
                 write_mode: {mode}\n    columns: {{email: {{tag: pii.email}}, \"*\": {{tag: public}}}}"
            ),
        );
    };
    house.write("in/drops/people.csv", "country,email\nCH,a@example.com\n");
    pipeline("append");
    house.run(&["sync", "crm"]).expect(0);
    let tokens = || house.query("SELECT DISTINCT email FROM crm.people");
    let first = tokens();
    let rotated = house.run(&["keys", "rotate", "--key", "sealift:join/customer#tokenize"]);
    assert!(rotated.expect(0).stdout.contains("look otherwise"), "{rotated:?}");
    house.run(&["sync", "crm"]).expect(76);
    pipeline("overwrite");
    house.run(&["sync", "crm"]).expect(0);
    let second = tokens();
    assert!(first[0]["email"].as_str().unwrap().starts_with("t1:"), "{first}");
    assert!(second[0]["email"].as_str().unwrap().starts_with("t2:"), "{second}");
}

/// What the audit trail says of keys, oldest first: actions and subjects.
async fn trail(house: &House) -> Vec<(String, String)> {
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(house.path("out/var/sealift.db")).read_only(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let keys = "SELECT action, subject FROM audit WHERE action LIKE 'key.%' ORDER BY seq";
    sqlx::query_as(keys).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn what_was_done_to_keys_and_with_them_is_in_the_trail() {
    let mut house = house();
    house.env("BACKUP_PASSPHRASE", "correct horse");
    publish(&house, 1);
    ssns(&house);
    house.run(&["keys", "rotate", "crm.people"]).expect(0);
    house.run(&["keys", "rotate", "--root"]).expect(0);
    house.run(&["keys", "destroy", "--key", SSN, "--yes"]).expect(0);
    house.run(&["keys", "destroy", "--key", SSN, "--cancel"]).expect(0);
    let file = house.path("out/keys.backup");
    house.run(&["keys", "backup", file.to_str().unwrap(), "--passphrase", "env:BACKUP_PASSPHRASE"]).expect(0);
    house.run(&["keys", "public"]).expect(0);
    house.run(&["keys", "destroy", "--key", SSN, "--after", "0s", "--yes"]).expect(0);
    let trail = trail(&house).await;
    let actions: Vec<&str> = trail.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "key.use",
            "key.use",
            "key.rotate",
            "key.rotate",
            "key.destroy",
            "key.keep",
            "key.backup",
            "key.use",
            "key.destroy",
            "key.destroyed"
        ]
    );
    assert!(trail[0].1.contains("sealift:crm.people/_footer@1"), "{trail:?}");
    assert_eq!(trail[7].1, "public keys sealift:receipts#sign sealift:audit#sign");
    assert_eq!(trail[9].1, SSN);
    assert!(trail[0].1.starts_with("seal crm.people ") && trail[0].1.contains(SSN), "{trail:?}");
    assert!(trail[1].1.starts_with("query ") && trail[1].1.contains(SSN), "{trail:?}");
    assert!(trail[4].1.contains(SSN) && trail[4].1.starts_with("after 2"), "{trail:?}");
}

#[test]
fn what_cannot_be_done_says_what_can() {
    let house = house();
    publish(&house, 1);
    for (args, code, words) in [
        (&["keys", "rotate"][..], 2, "DATASET"),
        (&["keys", "rotate", "crm.peple"], 2, "keys list"),
        (&["keys", "rotate", "--key", "sealift:crm.people/dob"], 2, "keys list"),
        (&["keys", "destroy"], 2, "--key"),
        (&["keys", "destroy", "crm.people", "--column", "dob", "--yes"], 2, "keys list"),
        (&["keys", "destroy", "--key", SSN, "--after", "soon", "--yes"], 2, "--after 7days"),
        (&["keys", "destroy", "--key", "sealift:receipts#sign@1", "--yes"], 78, "signs receipts"),
        (&["keys", "backup", "x", "--passphrase", "secret"], 78, "env:NAME"),
        (&["keys", "restore", "x", "--passphrase", "env:NONE_SUCH"], 78, "NONE_SUCH"),
    ] {
        let ran = house.run(args);
        assert!(ran.expect(code).stderr.contains(words), "{args:?}: {}", ran.stderr);
    }
    house.run(&["keys", "check"]).expect(0);
}
