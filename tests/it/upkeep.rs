//! Upkeep with the real program: small files are joined, rows are erased, and what is not needed any more is
//! gone; every reader sees the same before and after, and nobody is named anywhere.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{House, Ran, script};
use crate::needles::Needles;
use crate::servers::s3;
use crate::source_sqlite;

/// Somebody who is to be forgotten: an open name, the last of all in order, and a protected number.
const NAME: &str = "Zx7RtLw93KmZ";
const SSN: &str = "918273640551";

/// A house with the pipeline `crm` over files of people, which appends.
fn house(more: &str) -> House {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "crm",
        &format!(
            "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
             write_mode: append\n    parquet: {{compression: none}}\n    \
             columns: {{ssn: {{tag: pii.ssn}}, \"*\": {{tag: public}}}}{more}"
        ),
    );
    house
}

/// Publishes rows of `id,country,name,ssn`.
fn sync(house: &House, rows: &[(i64, &str, &str, &str)]) {
    let lines = rows.iter().map(|(id, country, name, ssn)| format!("{id},{country},{name},{ssn}\n"));
    house.write("in/drops/people.csv", &format!("id,country,name,ssn\n{}", lines.collect::<String>()));
    house.run(&["sync", "crm"]).expect(0);
}

/// Six people in two countries, by the number of the run.
fn people(run: i64) -> Vec<(i64, &'static str, &'static str, &'static str)> {
    (run * 6..run * 6 + 6).map(|id| (id, ["CH", "DE"][id as usize % 2], "Ann", "5550001")).collect()
}

fn table(house: &House) -> String {
    house.path("out/lake/crm/people").to_str().unwrap().to_owned()
}

/// What every reader sees of the open columns.
#[track_caller]
fn seen(house: &House) -> Value {
    let url = table(house);
    let mut seen = ["deltalake", "polars", "duckdb"].map(|reader| script("tables.py", &[reader, &url], &[]));
    seen.sort_by_key(ToString::to_string);
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    seen[0].clone()
}

/// The encrypted numbers as pyarrow reads them with the keys; without, every file refuses them.
fn numbers(house: &House) -> Value {
    let refused = script("tables.py", &["refused", &table(house), "ssn"], &[]);
    assert!(refused["files"].as_u64() > Some(0) && refused["files"] == refused["refused"], "{refused}");
    let keys = house.run(&["keys", "release", "crm.people", "--json"]);
    house.write("in/keys.json", &keys.expect(0).stdout);
    let keys = house.path("in/keys.json");
    script("tables.py", &["pyarrow", &table(house), keys.to_str().unwrap(), "ssn"], &[])
}

/// Names of the objects below a folder, relative to it.
fn objects(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(objects(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.insert(name);
        }
    }
    found
}

fn data(house: &House) -> BTreeSet<String> {
    objects(Path::new(&table(house))).into_iter().filter(|name| !name.starts_with('_')).collect()
}

#[track_caller]
fn says(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.printed().contains(part), "`{part}` in {}", ran.printed());
    }
}

#[test]
fn many_appends_become_few_files_and_every_reader_sees_the_same() {
    let house = house("\n    partition_by: [country]");
    for run in 0..11 {
        sync(&house, &people(run));
    }
    let (before, secret) = (seen(&house), numbers(&house));
    assert_eq!((before["rows"].as_u64(), data(&house).len()), (Some(66), 22));

    let summary = house.json(&["compact", "crm.people"], 0);
    assert_eq!((&summary["versions"], &summary["before"]["count"]), (&json!([11]), &json!(22)));
    assert_eq!(summary["after"]["count"], 2);
    assert_eq!((seen(&house), numbers(&house)), (before.clone(), secret.clone()));
    let text = house.run(&["compact", "crm.people"]);
    says(text.expect(0), &["crm.people has no files to join"]);
    // Older versions read as they did, and the stream goes on.
    let old =
        house.run(&["query", "SELECT count(*) AS n FROM crm.people", "--as-of", "4", "--format", "json"]);
    assert!(old.expect(0).stdout.contains("30"));
    sync(&house, &people(11));

    // Nothing is old enough yet, and less than that must be meant.
    let summary = house.json(&["vacuum", "crm.people"], 0);
    assert_eq!(
        (&summary["files"], &summary["strays"], &summary["log"]),
        (&json!([]), &json!([]), &json!([]))
    );
    says(house.run(&["vacuum", "crm.people", "--retain", "1h"]).expect(2), &["--force", "below 7 days"]);
    let all = data(&house);
    let dry = house.json(&["vacuum", "crm.people", "--retain", "0s", "--force", "--dry-run"], 0);
    assert_eq!((dry["files"].as_array().unwrap().len(), &data(&house)), (22, &all));
    let summary = house.json(&["vacuum", "crm.people", "--retain", "0s", "--force"], 0);
    assert_eq!((&summary["files"], &summary["oldest_version"]), (&dry["files"], &json!(12)));
    let gone: BTreeSet<String> =
        summary["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect();
    assert_eq!(data(&house), all.difference(&gone).cloned().collect());
    assert_eq!((seen(&house)["rows"].as_u64(), data(&house).len()), (Some(72), 4));
    let old = house.run(&["query", "SELECT count(*) AS n FROM crm.people", "--as-of", "4"]);
    says(old.expect(1), &["version 4 of crm.people cannot be read", "cleaned up"]);
    sync(&house, &people(12));
    assert_eq!(seen(&house)["rows"], 78);
}

#[test]
fn every_version_that_is_kept_can_be_read_by_others() {
    let house = house("");
    for run in 0..11 {
        sync(&house, &people(run));
    }
    std::thread::sleep(Duration::from_secs(2));
    house.run(&["compact", "crm.people"]).expect(0);
    house.run(&["erase", "crm.people", "--where", "id = 7"]).expect(0);
    sync(&house, &people(11));
    let summary = house.json(&["vacuum", "crm.people", "--retain", "2s", "--force"], 0);
    // The tenth has a checkpoint and is older than two seconds; how many since then are depends on the machine.
    let oldest = summary["oldest_version"].as_u64().unwrap();
    assert!((10..=13).contains(&oldest) && !summary["log"].as_array().unwrap().is_empty(), "{summary}");
    let rows: Vec<u64> = (oldest..=13).map(|version| [66, 66, 65, 71][version as usize - 10]).collect();
    let read = script("tables.py", &["versions", &table(&house), &oldest.to_string()], &[]);
    assert_eq!(read, json!({"deltalake": rows, "polars": rows}));
}

#[test]
fn clustered_files_have_narrow_ranges() {
    let house = house("");
    // Two runs of which each holds every tenth of the numbers.
    for run in 0..2 {
        let rows: Vec<_> =
            (0..5_000).map(|row| (row * 7_919 % 10_000 + run, "CH", "Ann", "5550001")).collect();
        sync(&house, &rows);
    }
    let before = seen(&house);
    says(
        house.run(&["compact", "crm.people", "--cluster-by", "ssn"]).expect(76),
        &["`ssn`, which is protected"],
    );
    says(
        house.run(&["compact", "crm.people", "--cluster-by", "nam"]).expect(78),
        &["no column `nam`", "name"],
    );
    let summary = house.json(&["compact", "crm.people", "--cluster-by", "id"], 0);
    assert_eq!((&summary["before"]["count"], &summary["after"]["count"]), (&json!(2), &json!(1)));
    assert_eq!(seen(&house), before);
    let ids = house.query("SELECT id FROM crm.people");
    let ids: Vec<i64> = ids.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
    assert!(ids.len() == 10_000 && ids.is_sorted());
}

#[test]
fn somebody_is_forgotten_and_named_nowhere() {
    let house = house("\n    partition_by: [country]");
    let mut rows = people(0);
    rows.push((100, "CH", NAME, SSN));
    sync(&house, &rows);
    sync(&house, &people(1));
    let mut needles = Needles::default();
    needles.text("name", NAME);
    needles.text("ssn", SSN);
    let in_lake = |house: &House| -> Vec<String> {
        needles.find_below(&house.path("out/lake")).into_iter().map(|found| found.place).collect()
    };
    // The open name is in its file, and as the greatest one in the log.
    assert!(in_lake(&house).iter().any(|place| place.ends_with(".parquet")));
    assert!(in_lake(&house).iter().any(|place| place.ends_with("00000000000000000000.json")));

    let by_number = format!("ssn = '{SSN}'");
    let counted = house.json(&["erase", "crm.people", "--where", &by_number, "--dry-run"], 0);
    assert_eq!(
        (&counted["rows"], &counted["version"], &counted["condition"]),
        (&json!(1), &Value::Null, &Value::Null)
    );
    assert_eq!(house.versions("crm.people"), 2);
    let erased = house.json(&["erase", "crm.people", "--where", &by_number, "--reason", "ticket 7"], 0);
    assert_eq!((&erased["rows"], &erased["version"]), (&json!(1), &json!(2)));
    assert_eq!((&erased["older_versions"]["from"], &erased["older_versions"]["to"]), (&json!(0), &json!(1)));
    assert!(erased["files"][0].as_str().unwrap().starts_with("country=CH/part-"), "{erased}");
    assert_eq!(seen(&house)["rows"], 12);
    assert_eq!(numbers(&house)["values"].as_array().unwrap().len(), 12);
    assert_eq!(house.query("SELECT count(*) AS n FROM crm.people WHERE id = 100"), json!([{"n": 0}]));
    let log = fs::read_to_string(format!("{}/_delta_log/00000000000000000002.json", table(&house))).unwrap();
    assert!(log.contains("ticket 7") && log.contains(erased["condition"].as_str().unwrap()), "{log}");
    assert!(!in_lake(&house).iter().any(|place| place.ends_with("00000000000000000002.json")));

    // A second time there is nobody, and older versions are still told of; the condition comes by the pipe.
    house.write("in/condition.sql", &format!("name = '{NAME}'\n"));
    let mut again = house.command(&["erase", "crm.people", "--where", "-"]);
    again.stdin(File::open(house.path("in/condition.sql")).unwrap());
    let again = house.finish(house.start(again));
    says(
        again.expect(0),
        &["0 rows", "Versions 0 to 1 can still be read", "vacuum crm.people --retain 0s --force"],
    );
    assert_eq!(house.versions("crm.people"), 3);

    // The log's word of the last run stays, so somebody is gone once the stream has published again.
    sync(&house, &people(2));
    let summary = house.json(&["vacuum", "crm.people", "--retain", "0s", "--force"], 0);
    assert_eq!(summary["log_kept_from"], Value::Null, "{summary}");
    assert_eq!(needles.find_below(&house.path("out")), []);
    assert_eq!(seen(&house)["rows"], 18);
}

#[test]
fn what_is_wrong_with_a_condition_is_said_without_it() {
    let house = house("");
    sync(&house, &people(0));
    let mut needles = Needles::default();
    needles.text("name", NAME);
    let cases = [
        (format!("nme = '{NAME}'"), 78, "did you mean `name`?"),
        (format!("name = \"{NAME}\""), 78, "names a column that is not there"),
        (format!("name = '{NAME}"), 78, "cannot be understood"),
        (format!("'{NAME}' = '{NAME}'"), 78, "looks at no column"),
        (format!("cast(name AS int) = 1 OR name = '{NAME}'"), 65, "does not fit the type"),
    ];
    for (condition, code, what) in cases {
        says(house.run(&["erase", "crm.people", "--where", &condition]).expect(code), &[what]);
    }
    says(
        house.run(&["erase", "crm.nobody", "--where", "id = 1"]).expect(2),
        &["there is no dataset crm.nobody"],
    );
    says(
        house.run(&["erase", "crm.people", "--where", "id = 1", "--reason", "a\nb"]).expect(2),
        &["one line"],
    );
    for verb in ["compact", "vacuum"] {
        house.run(&[verb, "crm.nobody"]).expect(2);
    }
    assert_eq!(needles.find_below(&house.path("out")), []);
    assert_eq!(house.versions("crm.people"), 1);
}

#[tokio::test]
async fn rows_in_the_quarantine_are_erased_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    source_sqlite::make(
        &path,
        "CREATE TABLE payments (id INTEGER NOT NULL, payer TEXT, amount);
         INSERT INTO payments VALUES (1, 'Ann', 1.5), (2, 'Bob', 'much'), (3, 'Cid', 0.125), (4, 'Bob', 2)",
    )
    .await;
    let house = House::new();
    house.config("", &format!("db: {{sqlite: {{path: \"{}\"}}}}", path.display()));
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "pay",
        "connection: db\ndataset: pay.payments\nstreams:\n  main.payments:\n    write_mode: append\n    columns: \
         {payer: {tag: pii.name}, amount: {tag: pii.amount, as: \"decimal(12,2)\", on_overflow: quarantine}, \"*\": {tag: public}}",
    );
    house.json(&["sync", "pay"], 0);
    let erased = house.json(&["erase", "pay.payments", "--where", "payer = 'Bob'"], 0);
    assert_eq!((&erased["rows"], &erased["quarantine"]["rows"]), (&json!(1), &json!(1)));
    let left = |dataset: &str| house.query(&format!("SELECT id FROM {dataset} ORDER BY id"));
    assert_eq!(left("pay.payments"), json!([{"id": 1}]));
    assert_eq!(left("pay.payments__quarantine"), json!([{"id": 3}]));
    // Its columns are the source's own text: a condition on numbers does not fit.
    let unfit = house.json(&["erase", "pay.payments", "--where", "amount - 1 = 0.5", "--dry-run"], 0);
    assert!(unfit["rows"] == 1 && unfit["quarantine"]["unfit"].is_string(), "{unfit}");
    says(house.run(&["compact", "pay.payments__quarantine"]).expect(78), &["is a quarantine"]);
    let summary = house.json(&["sync", "pay"], 0);
    assert_eq!(
        (&summary["streams"][0]["rows"], &summary["streams"][0]["quarantined"]),
        (&json!(2), &json!(2))
    );

    // As if the last run had been killed between the two: the next one takes back what it left, as it was.
    fs::remove_file(house.path("out/lake/pay/payments/_delta_log/00000000000000000002.json")).unwrap();
    for dataset in ["pay.payments", "pay.payments__quarantine"] {
        let ran = house.run(&["erase", dataset, "--where", "id = 3"]);
        says(ran.expect(75), &["pay/main.payments ended between", "let the pipeline run"]);
    }
    house.run(&["sync", "pay"]).expect(0);
    let erased = house.json(&["erase", "pay.payments__quarantine", "--where", "id = 3"], 0);
    assert_eq!((&erased["rows"], &left("pay.payments__quarantine")), (&json!(2), &json!([{"id": 2}])));
}

#[test]
fn files_of_a_run_that_may_be_under_way_are_spared_and_two_do_not_work_on_one_dataset() {
    let house = house("");
    sync(&house, &people(0));
    let stray = house.path("out/lake/crm/people/part-01900000-0000-7000-8000-000000000000.parquet");
    fs::write(&stray, "x").unwrap();
    let vacuum = ["vacuum", "crm.people", "--retain", "0s", "--force"];
    let running = File::open(house.path("out/var/locks/crm.lock")).unwrap();
    running.lock().unwrap();
    let summary = house.json(&vacuum, 0);
    assert_eq!((&summary["spared_strays"], &summary["strays"]), (&json!(true), &json!([])));
    says(house.run(&vacuum).expect(0), &["A pipeline is running"]);
    drop(running);
    assert!(stray.exists());

    let other = File::create(house.path("out/var/locks/crm.people.lock")).unwrap();
    other.lock().unwrap();
    for args in [&vacuum[..], &["compact", "crm.people"], &["erase", "crm.people", "--where", "id = 1"]] {
        says(house.run(args).expect(75), &["another upkeep of crm.people is under way"]);
    }
    drop(other);
    assert_eq!(house.json(&vacuum, 0)["strays"].as_array().unwrap().len(), 1);
    assert!(!stray.exists());
    assert_eq!(seen(&house)["rows"], 6);
}

#[tokio::test]
async fn a_table_in_s3_is_kept_in_order_too() {
    let server = s3::Server::start().await;
    server.create_bucket("lake").await;
    let mut house = house("\n    partition_by: [country]");
    let store = format!(
        "lake: {{url: \"s3://lake/a\", endpoint: \"{}\", access_key_id: \"env:TEST_KEY_ID\", \
         secret_access_key: \"env:TEST_SECRET\"}}",
        server.endpoint()
    );
    house.config(&store, "");
    house.env("TEST_KEY_ID", "test");
    house.env("TEST_SECRET", "test");
    for run in 0..3 {
        sync(&house, &people(run));
    }
    assert_eq!(house.json(&["compact", "crm.people"], 0)["after"]["count"], 2);
    assert_eq!(house.json(&["erase", "crm.people", "--where", "id = 3"], 0)["rows"], 1);
    let vacuum = ["vacuum", "crm.people", "--retain", "0s", "--force"];
    let summary = house.json(&vacuum, 0);
    // Six that were joined, and one of the two joined ones.
    assert_eq!(summary["files"].as_array().unwrap().len(), 7, "{summary}");
    assert_eq!(house.json(&vacuum, 0)["files"], json!([]));
    assert_eq!(
        house.query("SELECT count(*) AS n, sum(id) AS ids FROM crm.people"),
        json!([{"n": 17, "ids": 150}])
    );
}
