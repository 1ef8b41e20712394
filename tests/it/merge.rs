//! `write_mode: merge` and `scd2`: after every sync the dataset is what the source is, row by row, for our
//! own query and for other readers; what is gone is gone, marked, or history.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{House, connection, script};
use crate::servers::postgres::Database;

const PEOPLE: &str = "CREATE TABLE people (id bigint, country text, ssn text, deleted_at timestamptz)";
const COLUMNS: &str = "{ssn: {tag: pii.ssn}, id: {tag: key}, \"*\": {tag: public}}";

/// A pipeline over the table `people`: `how` are the stream's lines, `key` is what the policy does to `id`.
async fn people(how: &str, key: &str) -> (House, Database) {
    let database = Database::create().await;
    database.run(PEOPLE).await;
    let house = House::new();
    house.config("", &connection(&database));
    house.policy(&format!(
        "- {{tags: [\"pii.*\"], action: encrypt}}\n- {{tags: [key], action: {key}}}\n- {{tags: [public], action: allow}}"
    ));
    pipeline(&house, how);
    (house, database)
}

fn pipeline(house: &House, how: &str) {
    house.pipeline(
        "crm",
        &format!(
            "connection: db\ndataset: \"crm.{{table}}\"\nstreams:\n  public.people:\n    columns: {COLUMNS}\n    \
             primary_key: [id]\n{how}"
        ),
    );
}

const MERGE: &str = "    write_mode: merge\n    soft_delete: deleted_at\n";

/// What the source has, but for rows that it calls deleted.
async fn source(database: &Database) -> Vec<(i64, String, String)> {
    let sql = "SELECT id, country, ssn FROM people WHERE deleted_at IS NULL ORDER BY id";
    let rows = database.client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// What the dataset has.
fn published(house: &House, filter: &str) -> Vec<(i64, String, String)> {
    let rows = house.query(&format!("SELECT id, country, ssn FROM crm.people {filter} ORDER BY id"));
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let row = |row: &Value| (row["id"].as_i64().unwrap(), text(row, "country"), text(row, "ssn"));
    rows.as_array().unwrap().iter().map(row).collect()
}

/// Other readers of the table find the source's rows too.
async fn readers_agree(house: &House, database: &Database) {
    let rows = source(database).await;
    let mut countries: Vec<&String> = rows.iter().map(|row| &row.1).collect();
    countries.sort();
    let ids: i64 = rows.iter().map(|row| row.0).sum();
    let expected = json!({"rows": rows.len(), "ids": ids, "countries": countries});
    let url = house.path("out/lake/crm/people");
    let url = url.to_str().unwrap();
    for reader in ["deltalake", "polars", "duckdb"] {
        assert_eq!(script("tables.py", &[reader, url], &[]), expected, "{reader}");
    }
    let keys = house.run(&["keys", "release", "crm.people", "--json"]);
    house.write("in/keys.json", &keys.expect(0).stdout);
    let keys = house.path("in/keys.json");
    let read = script("tables.py", &["pyarrow", url, keys.to_str().unwrap(), "ssn"], &[]);
    let mut ssn: Vec<&String> = rows.iter().map(|row| &row.2).collect();
    ssn.sort();
    assert_eq!(read["values"], json!(ssn), "pyarrow, with keys");
}

fn rows_of(summary: &Value) -> u64 {
    summary["streams"][0]["rows"].as_u64().unwrap()
}

#[tokio::test]
async fn after_every_sync_the_dataset_is_the_source_for_every_reader() {
    let how = format!("{MERGE}    delete_missing: hard\n    partition_by: [country]\n");
    let (house, database) = people(&how, "allow").await;
    database
        .run("INSERT INTO people SELECT n, (ARRAY['CH','FR','IT'])[1 + n % 3], 'ssn-' || n FROM generate_series(1, 500) n")
        .await;
    let changes = [
        ("", 500),
        // A change, one of the partition, new rows, rows called deleted.
        (
            "UPDATE people SET ssn = ssn || 'x' WHERE id % 50 = 0; UPDATE people SET country = 'DE' WHERE id = 7;
             INSERT INTO people SELECT n, 'CH', 'new-' || n FROM generate_series(501, 520) n;
             UPDATE people SET deleted_at = now() WHERE id IN (3, 4, 100)",
            30,
        ),
        // Rows that are gone, and one that is back.
        ("DELETE FROM people WHERE id IN (9, 510); UPDATE people SET deleted_at = NULL WHERE id = 3", 1),
        ("", 0),
        // A whole partition.
        ("DELETE FROM people WHERE country = 'IT'", 0),
    ];
    for (version, (change, added)) in changes.into_iter().enumerate() {
        database.run(change).await;
        let summary = house.json(&["sync", "crm"], 0);
        assert_eq!(rows_of(&summary), added, "{change}");
        assert_eq!(summary["streams"][0]["version"], version);
        assert_eq!(published(&house, ""), source(&database).await, "{change}");
        readers_agree(&house, &database).await;
        house.run(&["verify", "crm.people", "--against-source"]).expect(0);
    }
    database.run("UPDATE people SET ssn = 'other' WHERE id = 1").await;
    let ran = house.run(&["verify", "crm.people", "--against-source"]);
    assert!(ran.expect(1).stdout.contains("other values in column `ssn`"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("column `id`"), "{}", ran.stdout);
    // An older version still reads as it was.
    let rows =
        house.run(&["query", "SELECT count(*) AS n FROM crm.people", "--as-of", "0", "--format", "json"]);
    assert_eq!(rows.expect(0).stdout.trim(), "[{\"n\":500}]");
}

#[tokio::test]
async fn without_delete_missing_rows_that_are_gone_stay_and_protected_keys_are_found() {
    for key in ["tokenize", "encrypt", "hash"] {
        let (house, database) = people("    write_mode: merge\n", key).await;
        database.run("INSERT INTO people SELECT n, 'CH', 'ssn-' || n FROM generate_series(1, 50) n").await;
        house.run(&["sync", "crm"]).expect(0);
        database.run("DELETE FROM people WHERE id <= 10; UPDATE people SET ssn = 'y' WHERE id > 45").await;
        let summary = house.json(&["sync", "crm"], 0);
        assert_eq!(rows_of(&summary), 5, "{key}");
        let found = house.query(
            "SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(CASE WHEN ssn = 'y' THEN 1 END) AS y FROM crm.people",
        );
        assert_eq!(found, json!([{"n": 50, "ids": 50, "y": 5}]), "{key}");
        let ran = house.run(&["verify", "crm.people", "--against-source"]);
        assert!(ran.expect(1).stdout.contains("gives 40 rows, and version 1 holds 50"), "{}", ran.stdout);
        database.run("INSERT INTO people SELECT n, 'CH', 'ssn-' || n FROM generate_series(1, 10) n").await;
        house.run(&["verify", "crm.people", "--against-source"]).expect(0);
    }
}

#[tokio::test]
async fn rows_that_are_missing_are_marked_since_when() {
    let (house, database) = people("    write_mode: merge\n    delete_missing: soft\n", "allow").await;
    database.run("INSERT INTO people SELECT n, 'CH', 'ssn-' || n FROM generate_series(1, 20) n").await;
    house.run(&["sync", "crm"]).expect(0);
    let marked = |house: &House| {
        let rows = house.query("SELECT id, CAST(_deleted_at AS VARCHAR) AS at FROM crm.people WHERE _deleted_at IS NOT NULL ORDER BY id");
        rows.as_array().unwrap().clone()
    };
    assert!(marked(&house).is_empty());
    database.run("DELETE FROM people WHERE id IN (5, 6)").await;
    house.run(&["sync", "crm"]).expect(0);
    let first = marked(&house);
    assert_eq!(first.iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>(), [5, 6]);
    database.run("INSERT INTO people VALUES (6, 'CH', 'ssn-6'); DELETE FROM people WHERE id = 7").await;
    house.run(&["sync", "crm"]).expect(0);
    let second = marked(&house);
    assert_eq!(second.iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>(), [5, 7]);
    assert_eq!(first[0], second[0], "since when it is missing does not move");
    assert_eq!(published(&house, "WHERE _deleted_at IS NULL"), source(&database).await);
    assert_eq!(house.query("SELECT count(*) AS n FROM crm.people"), json!([{"n": 20}]));
    house.run(&["verify", "crm.people", "--against-source"]).expect(0);
}

#[tokio::test]
async fn every_past_of_the_source_can_be_read_from_its_history() {
    let how = "    write_mode: scd2\n    soft_delete: deleted_at\n    delete_missing: soft\n";
    let (house, database) = people(how, "allow").await;
    let changes = [
        "INSERT INTO people SELECT n, 'CH', 'ssn-' || n FROM generate_series(1, 60) n",
        "UPDATE people SET ssn = ssn || 'b' WHERE id % 7 = 0; DELETE FROM people WHERE id = 11",
        "",
        "UPDATE people SET ssn = ssn || 'c' WHERE id % 14 = 0; UPDATE people SET deleted_at = now() WHERE id = 12;
         INSERT INTO people VALUES (61, 'FR', 'ssn-61')",
        "INSERT INTO people VALUES (11, 'CH', 'ssn-11'); UPDATE people SET deleted_at = NULL WHERE id = 12",
    ];
    let mut pasts = Vec::new();
    for change in changes {
        database.run(change).await;
        house.run(&["sync", "crm"]).expect(0);
        assert_eq!(published(&house, "WHERE _is_current"), source(&database).await, "{change}");
        pasts.push((chrono::Utc::now(), source(&database).await));
        std::thread::sleep(Duration::from_millis(20));
    }
    house.run(&["verify", "crm.people", "--against-source"]).expect(0);
    for (instant, past) in pasts {
        let at = format!("TIMESTAMP '{}'", instant.format("%Y-%m-%dT%H:%M:%S%.6fZ"));
        let held = format!("WHERE _valid_from <= {at} AND coalesce(_valid_to > {at}, true)");
        assert_eq!(published(&house, &held), past);
    }
    let whole = house.query(
        "SELECT count(*) AS n, sum(CASE WHEN _is_current THEN 1 ELSE 0 END) AS current, \
         sum(CASE WHEN _is_current = (_valid_to IS NULL) THEN 0 ELSE 1 END) AS odd FROM crm.people",
    );
    // Other readers see every row, whatever columns are ours.
    let sums = house.query("SELECT count(*) AS rows, sum(id) AS ids FROM crm.people");
    let url = house.path("out/lake/crm/people");
    for reader in ["deltalake", "polars", "duckdb"] {
        let read = script("tables.py", &[reader, url.to_str().unwrap()], &[]);
        assert_eq!((&read["rows"], &read["ids"]), (&sums[0]["rows"], &sums[0]["ids"]), "{reader}");
    }
    // 60 rows at first, 8 and 4 that changed, one that is new, two that were gone and are back.
    assert_eq!(whole, json!([{"n": 75, "current": 61, "odd": 0}]));
}

#[tokio::test]
async fn keys_that_do_not_tell_rows_apart_are_refused_without_their_values() {
    let (house, database) = people(MERGE, "allow").await;
    database
        .run("INSERT INTO people VALUES (91827364, 'CH', 'a'), (91827364, 'CH', 'b'), (2, 'CH', 'c')")
        .await;
    let refused = |code: i32, words: &[&str]| {
        let ran = house.run(&["sync", "crm"]);
        ran.expect(code);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in {}", ran.stderr);
        }
        assert!(!ran.printed().contains("91827364"), "{}", ran.printed());
    };
    refused(65, &["1 rows have the primary key (id)", "row_number()", "public.people"]);
    database.run("DELETE FROM people; INSERT INTO people VALUES (NULL, 'CH', 'a')").await;
    refused(65, &["1 rows have NULL in their primary key (id)", "IS NOT NULL"]);
    assert_eq!(house.versions("crm.people"), 0);

    pipeline(&house, "    write_mode: merge\n    soft_delete: id\n");
    refused(78, &["neither true or false nor an instant"]);
    pipeline(&house, &MERGE.replace("deleted_at", "delete_at"));
    refused(78, &["`soft_delete` names the column `delete_at`", "did you mean `deleted_at`?"]);
    pipeline(&house, "    write_mode: merge\n    transform: SELECT ssn AS person, country FROM source\n");
    refused(78, &["`primary_key` names the column `id`"]);
}

#[tokio::test]
async fn keys_that_are_published_alike_or_no_longer_as_before_are_held() {
    let (house, database) = people("", "allow").await;
    database.run("INSERT INTO people VALUES (1, 'CH', 'a'), (2, 'CH', 'b')").await;
    let by_ssn = |action: &str| {
        house.policy(&format!(
            "- {{tags: [\"pii.*\"], action: {action}}}\n- {{tags: [public, key], action: allow}}"
        ));
        house.pipeline(
            "crm",
            &format!(
                "connection: db\ndataset: \"crm.{{table}}\"\nstreams:\n  public.people:\n    columns: {COLUMNS}\n    \
                 primary_key: [ssn]\n    write_mode: merge"
            ),
        );
        house.run(&["sync", "crm"])
    };
    for action in ["{mask: {}}", "redact", "nullify", "drop"] {
        let ran = by_ssn(action);
        ran.expect(76);
        assert!(ran.stderr.contains("different keys look alike"), "{}", ran.stderr);
    }
    by_ssn("allow").expect(0);
    for (action, why) in [("encrypt", "action changed"), ("tokenize", "its keys would not be found again")] {
        let ran = by_ssn(action);
        ran.expect(76);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    assert_eq!(house.query("SELECT count(*) AS n FROM crm.people"), json!([{"n": 2}]));
}

/// A merge is the same whatever came of the run before it.
#[tokio::test]
async fn killed_and_run_again_the_dataset_is_the_source() {
    let (house, database) = people(&format!("{MERGE}    delete_missing: hard\n"), "allow").await;
    database.run("INSERT INTO people SELECT n, 'CH', 'ssn-' || n FROM generate_series(1, 30000) n").await;
    house.run(&["sync", "crm"]).expect(0);
    let mut versions = BTreeSet::new();
    for round in 1..=8_u64 {
        database
            .run(&format!("UPDATE people SET ssn = 'round-{round}' WHERE id % 8 = {round} % 8; DELETE FROM people WHERE id = {round}"))
            .await;
        let mut started = house.start(house.command(&["sync", "crm"]));
        std::thread::sleep(Duration::from_millis(120 * round));
        started.child.kill().unwrap();
        house.finish(started);
        house.run(&["sync", "crm"]).expect(0);
        assert_eq!(published(&house, ""), source(&database).await, "round {round}");
        versions.insert(house.versions("crm.people"));
    }
    assert_eq!(versions.len(), 8, "each round published");
}
