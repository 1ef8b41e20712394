//! The audit trail, and somebody who may write to the metadata store.

mod either;
mod stopped;
mod tampered;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::daemon::{free_port, serving, terminate, wait_for};
use crate::house::{House, script};

/// A house with a column that is encrypted. `more` are further lines of the configuration.
fn house(more: &str) -> House {
    let house = House::new();
    house.config_listening("", "", more);
    house.policy("- {tags: [secret], action: encrypt}\n- {tags: [public], action: allow}");
    house.write("in/drops/people.csv", "id,ssn\n1,123-45-6789\n2,987-65-4321\n");
    house.pipeline(
        "crm",
        "connection: drops\ndataset: \"crm.{stream}\"\nstreams:\n  people:\n    path: people.csv\n    \
         format: {csv: {}}\n    columns: {ssn: {tag: secret}, \"*\": {tag: public}}",
    );
    house
}

/// So many entries, one by one.
fn tokens(house: &House, count: usize) {
    for number in 0..count {
        house.run(&["token", "create", &format!("t{number}"), "--role", "auditor"]).expect(0);
    }
}

async fn store(house: &House) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.path("out/var/sealift.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Whoever may write to the store can do away with its guards as well.
async fn tamper(house: &House, statements: &[&str]) {
    let mut store = store(house).await;
    let guards = [
        "audit_entry_is_never_changed",
        "audit_entry_is_never_removed",
        "audit_checkpoint_is_never_changed",
        "audit_checkpoint_is_never_removed",
        "audit_entry_is_numbered_from_one",
    ];
    let drops = guards.map(|guard| format!("DROP TRIGGER IF EXISTS {guard}"));
    for statement in drops.iter().map(String::as_str).chain(statements.iter().copied()) {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut store).await.unwrap();
    }
    store.close().await.unwrap();
}

/// What `sealift audit verify` names, with the entries that it names it of.
fn named(summary: &Value) -> Vec<(String, Option<i64>)> {
    let faults = summary["faults"].as_array().unwrap();
    faults.iter().map(|fault| (fault["what"].as_str().unwrap().to_owned(), fault["seq"].as_i64())).collect()
}

fn listed(house: &House, args: &[&str]) -> Vec<Value> {
    house.json(&[&["audit"], args].concat(), 0)["entries"].as_array().unwrap().clone()
}

fn word<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap()
}

#[test]
fn a_trail_is_listed_verified_and_checked_by_its_layout_alone() {
    let house = house("");
    house.run(&["sync", "crm"]).expect(0);
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(0);
    tokens(&house, 2);

    let all = listed(&house, &["--limit", "1000"]);
    let mut actions: Vec<&str> = all.iter().map(|entry| word(entry, "action")).collect();
    actions.reverse();
    assert_eq!(
        actions,
        [
            "config.change",
            "policy.change",
            "run.trigger",
            "key.use",
            "key.use",
            "token.create",
            "token.create"
        ],
        "{all:?}"
    );
    assert_eq!(listed(&house, &["--action", "token"]).len(), 2);
    assert_eq!(listed(&house, &["--actor", "nobody"]).len(), 0);
    assert_eq!(listed(&house, &["--since", "1h"]).len(), 7);
    assert_eq!(listed(&house, &["--since", "2100-01-01T00:00:00Z"]).len(), 0);
    let first = house.json(&["audit", "--limit", "4"], 0);
    assert_eq!(first["next"], 4);
    let second = house.json(&["audit", "--limit", "4", "--before", "4"], 0);
    assert_eq!((second["entries"].as_array().unwrap().len(), &second["next"]), (3, &Value::Null));
    house.run(&["audit", "--since", "soon"]).expect(2);
    let table = house.run(&["audit"]);
    assert!(table.expect(0).stdout.contains("t1 (auditor)"), "{table:?}");

    let before = house.json(&["audit", "verify"], 0);
    assert_eq!((&before["entries"], &before["signed_outside"]), (&json!(7), &Value::Null), "{before}");
    let made = house.json(&["audit", "checkpoint"], 0);
    assert_eq!((&made["checkpoint"]["seq"], &made["checkpoint"]["hash"]), (&json!(7), &all[0]["hash"]));
    assert_eq!(house.json(&["audit", "checkpoint"], 0)["checkpoint"], Value::Null, "nothing came since");
    let after = house.json(&["audit", "verify"], 0);
    assert_eq!((&after["holds"], &after["signed_outside"]["seq"]), (&json!(true), &json!(7)), "{after}");
    house.run(&["audit", "verify"]).expect(0);

    // An auditor has the public keys, and a copy of the checkpoints.
    house.write("in/keys.json", &house.run(&["keys", "public", "--json"]).expect(0).stdout);
    house.write("in/public", &house.run(&["keys", "public"]).expect(0).stdout);
    fs::copy(house.path("out/var/audit-checkpoints.jsonl"), house.path("in/copy.jsonl")).unwrap();
    let (public, copy) = (house.path("in/public"), house.path("in/copy.jsonl"));
    let given = ["--public-key", public.to_str().unwrap(), "--checkpoints", copy.to_str().unwrap()];
    house.run(&[&["audit", "verify"][..], &given].concat()).expect(0);
    house.run(&["audit", "verify", "--checkpoints", "nowhere"]).expect(2);

    let export = house.run(&["audit", "export", "--json"]);
    house.write("in/export", &export.expect(0).stdout);
    let paths = ["in/export", "in/copy.jsonl", "in/keys.json"].map(|path| house.path(path));
    let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(script("audit.py", &paths, &[]), json!({"entries": 9, "checkpoints": 1, "failed": []}));
    house.write("in/export", &export.stdout.replace("t0 (auditor)", "t0 (admin)"));
    let failed = script("audit.py", &paths, &[]);
    assert_eq!(failed["failed"], json!(["entry 6 has another hash"]));
}

#[test]
fn processes_that_record_at_once_make_one_chain() {
    let house = house("");
    let started: Vec<_> = (0..24)
        .map(|number| {
            house.start(house.command(&["token", "create", &format!("t{number}"), "--role", "admin"]))
        })
        .collect();
    for one in started {
        house.finish(one).expect(0);
    }
    let found = house.json(&["audit", "verify"], 0);
    assert_eq!((&found["entries"], &found["last"]), (&json!(24), &json!(24)), "{found}");
}

#[tokio::test]
async fn entries_of_before_the_chain_are_taken_over_as_they_are() {
    let house = house("");
    tokens(&house, 1);
    let before = [
        "DROP TABLE audit",
        "DROP TABLE audit_head",
        "DROP TABLE audit_checkpoints",
        "ALTER TABLE audit_unchained RENAME TO audit",
        "DELETE FROM _sqlx_migrations WHERE version = 20",
        "INSERT INTO audit (at_ms, actor, action, subject) VALUES (1000, 'os:7', 'key.release', 'crm.people/ssn')",
        "INSERT INTO audit (id, at_ms, actor, action, subject) VALUES (9, 2000, 'os:8', 'run.trigger', 'crm 1')",
    ];
    tamper(&house, &before).await;
    tokens_named(&house, "later");
    let told: Vec<(i64, String, i64)> = listed(&house, &[])
        .iter()
        .map(|entry| {
            (
                entry["seq"].as_i64().unwrap(),
                word(entry, "actor").to_owned(),
                entry["at_ms"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told[1..], [(2, "os:8".to_owned(), 2000), (1, "os:7".to_owned(), 1000)], "{told:?}");
    house.run(&["audit", "verify"]).expect(0);
    tamper(&house, &["UPDATE audit SET subject = 'crm.people/id' WHERE seq = 1"]).await;
    assert_eq!(named(&house.json(&["audit", "verify"], 65)), [("edited".to_owned(), Some(1))]);
}

fn tokens_named(house: &House, name: &str) {
    house.run(&["token", "create", name, "--role", "auditor"]).expect(0);
}

#[tokio::test]
async fn a_daemon_records_and_signs_its_begin_and_its_end_and_a_changed_policy() {
    let port = free_port();
    let house = house(&format!("listen: {{http: \"127.0.0.1:{port}\"}}\naudit: {{checkpoints: lake}}"));
    house.run(&["plan", "crm"]).expect(0);
    house.policy("- {tags: [secret], action: redact}\n- {tags: [public], action: allow}");
    let daemon = house.start(house.command(&["serve"]));
    let url = format!("http://127.0.0.1:{port}/readyz");
    wait_for("the daemon", || async {
        reqwest::get(&url).await.ok().filter(|answer| answer.status().is_success())
    })
    .await;
    let witness = house.path("out/lake/_sealift_audit");
    wait_for("its first checkpoint", || async { witness.is_dir().then_some(()) }).await;
    terminate(&daemon);
    house.finish(daemon).expect(0);

    let mut told = listed(&house, &[]);
    told.reverse();
    let actions: Vec<&str> = told.iter().map(|entry| word(entry, "action")).collect();
    assert_eq!(actions, ["config.change", "policy.change", "policy.change", "daemon.start", "daemon.stop"]);
    let digests: Vec<&str> =
        told.iter().take(3).map(|entry| word(entry, "subject").rsplit(' ').next().unwrap()).collect();
    assert_eq!(word(&told[0], "subject"), format!("from none to {}", digests[0]));
    assert_eq!(word(&told[1], "subject"), format!("test-policy from none to {}", digests[1]));
    assert_eq!(word(&told[2], "subject"), format!("test-policy from {} to {}", digests[1], digests[2]));
    let begun = word(&told[3], "subject");
    assert!(begun.contains(digests[0]) && begun.contains(digests[2]), "{told:?}");
    let process = begun.split(": ").next().unwrap();
    assert!(process.starts_with(&sealift::govern::audit::machine()), "{told:?}");
    assert_eq!(word(&told[4], "subject"), format!("{process}: asked to"));

    let found = house.json(&["audit", "verify"], 0);
    assert_eq!((&found["checkpoints"], &found["signed_outside"]["seq"]), (&json!(2), &json!(5)), "{found}");
    let kept = witness.join(found["trail"].as_str().unwrap());
    let mut names: Vec<_> = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["00000000000000000004.json", "00000000000000000005.json"]);
    assert_eq!(house.json(&["datasets"], 0)["datasets"], json!([]), "checkpoints are no dataset");

    // The end is cut off, in the store and in the file beside it: the other store remembers.
    let head = "UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4)";
    let cut = ["DELETE FROM audit WHERE seq = 5", head, "DELETE FROM audit_checkpoints WHERE seq = 5"];
    tamper(&house, &cut).await;
    first_line_only(&house.path("out/var/audit-checkpoints.jsonl"));
    assert_eq!(named(&house.json(&["audit", "verify"], 65)), [("truncated".to_owned(), Some(5))]);
}

#[test]
fn keys_that_evidence_is_checked_with_are_named() {
    let house = house("");
    house.run(&["sync", "crm"]).expect(0);
    house.run(&["verify", "crm.people", "--against-source"]).expect(0);
    let used = listed(&house, &["--action", "key.use"]);
    for deed in ["verify crm.people ", "compare crm.people "] {
        let entry = used.iter().find(|entry| word(entry, "subject").starts_with(deed)).unwrap();
        for key in ["sealift:crm.people/ssn@1", "sealift:crm.people/_footer@1", "sealift:receipts#sign@1"] {
            assert!(word(entry, "subject").contains(key), "{entry}");
        }
    }
}

#[test]
fn keys_of_rows_that_are_not_published_are_named() {
    let house = house("");
    let spec = house.path("in/pipelines/crm.yaml");
    let demand = format!(
        "{}\n    quality: [{{range: {{column: id, max: 1}}}}]\n",
        fs::read_to_string(&spec).unwrap().trim_end()
    );
    fs::write(&spec, demand).unwrap();
    house.run(&["sync", "crm"]).expect(65);
    let used = listed(&house, &["--action", "key.use"]);
    let [entry] = used.as_slice() else { panic!("{used:?}") };
    assert_eq!(
        word(entry, "subject"),
        "seal crm.people, not published sealift:crm.people/_footer@1 sealift:crm.people/ssn@1"
    );
    assert!(word(entry, "actor").starts_with("run:"), "{entry}");

    // Where no row was read, no key has sealed one.
    fs::remove_file(house.path("in/drops/people.csv")).unwrap();
    assert_ne!(house.run(&["sync", "crm"]).code, Some(0));
    assert_eq!(listed(&house, &["--action", "key.use"]).len(), 1);
}

#[test]
fn another_configuration_is_on_the_record_whoever_uses_it_first() {
    let house = house("");
    house.run(&["plan", "crm"]).expect(0);
    let changes = || {
        let entries = listed(&house, &["--action", "config.change"]);
        entries.iter().map(|entry| word(entry, "subject").to_owned()).collect::<Vec<_>>()
    };
    let first = changes();
    let digest = first[0].strip_prefix("from none to ").unwrap();
    let config = fs::read_to_string(house.path("in/sealift.yaml")).unwrap();
    house.write("in/sealift.yaml", &format!("{config}audit: {{checkpoints: lake}}\n"));
    // What hands keys out takes no less note of it than a run.
    house.run(&["keys", "list"]).expect(0);
    house.run(&["plan", "crm"]).expect(0);
    house.write("in/sealift.yaml", &config);
    house.run(&["plan", "crm"]).expect(0);
    let told = changes();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[1].starts_with(&format!("from {digest} to ")) && told[0].ends_with(digest), "{told:?}");
}

fn first_line_only(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, format!("{}\n", text.lines().next().unwrap())).unwrap();
}

#[test]
fn a_store_of_checkpoints_must_be_one_of_the_stores() {
    let ran = house("audit: {checkpoints: nowhere}").run(&["audit"]);
    assert!(ran.expect(78).stderr.contains("there is no store `nowhere`"), "{ran:?}");
}
