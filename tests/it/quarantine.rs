//! Rows that are set aside: what fits arrives, what does not is in the quarantine with the reason, sealed;
//! and neither is lost or doubled, whatever happens in between.

mod killed;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::house::{House, Ran, connection, script};
use crate::needles::Needles;
use crate::servers::postgres::Database;
use crate::source_sqlite;

/// Columns of which everything is declared.
const COLUMNS: &str = "{payer: {tag: pii.name}, amount: {tag: pii.amount, as: \"decimal(12,2)\", on_overflow: quarantine}, \
     day: {as: date, on_overflow: quarantine}, \"*\": {tag: public}}";
/// A protected number that `decimal(12,2)` does not hold, and a name beside it.
const MISFIT: &str = "9182736405.51927";
const PAYER: &str = "Qx7RtLw93KmZ";
const NOTE: &str = "Nw55TbHy20VcPq";

const REJECTED: &str =
    "SELECT _sealift_reason AS reason, id, payer, amount, day FROM pay.payments__quarantine ORDER BY id";

/// A house with the pipeline `pay` over one table.
fn house(connection: &str, stream: &str, columns: &str, more: &str) -> House {
    let house = House::new();
    house.config("", connection);
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "pay",
        &format!(
            "connection: db\ndataset: \"pay.{{table}}\"\nstreams:\n  {stream}:\n    columns: {columns}{more}"
        ),
    );
    house
}

/// Payments of PostgreSQL, of which the second, third and fourth do not fit.
async fn payments(columns: &str, more: &str) -> (House, Database) {
    let database = Database::create().await;
    database
        .run(&format!(
            "CREATE TABLE payments (id int NOT NULL, payer text, amount numeric, day date NOT NULL, note text);
             INSERT INTO payments VALUES (1, 'Ann', 1.50, '2024-01-02', 'a'), (2, 'Bob', 'NaN', '2024-01-02', 'b'),
                 (3, '{PAYER}', {MISFIT}, 'infinity', '{NOTE}'), (4, 'Dan', 4, '-infinity', 'd'), (5, 'Eve', NULL, '2024-01-03', 'e')"
        ))
        .await;
    (house(&connection(&database), "public.payments", columns, more), database)
}

/// Every file in the lake.
fn objects(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { objects(&path) } else { vec![path] }).collect()
}

fn count(house: &House, dataset: &str) -> Value {
    house.query(&format!("SELECT count(*) AS n FROM {dataset}"))[0]["n"].clone()
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.printed().contains(word), "`{word}` is not in {}", ran.printed());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_set_aside_with_its_reason_and_the_rest_arrives() {
    let (house, _database) = payments(COLUMNS, "").await;
    let plan = house.json(&["plan", "pay"], 0);
    let stream = &plan["streams"][0];
    let fidelity = |columns: &Value, name: &str| {
        let columns = columns.as_array().unwrap();
        columns.iter().find(|column| column["column"] == name).unwrap()["fidelity"].clone()
    };
    assert_eq!(fidelity(&stream["columns"], "amount"), "exact or quarantined");
    let quarantine = &stream["quarantine"];
    assert_eq!(
        (&quarantine["dataset"], &quarantine["max_rows"]),
        (&json!("pay.payments__quarantine"), &json!(10_000))
    );
    assert_eq!(fidelity(&quarantine["columns"], "amount"), "exact-as-text");
    assert_eq!(fidelity(&quarantine["columns"], "id"), "exact");
    let decided: Vec<_> =
        quarantine["columns"].as_array().unwrap().iter().map(|c| (&c["column"], &c["action"])).collect();
    let expected = [
        ("_sealift_reason", "allow"),
        ("_sealift_run_id", "allow"),
        ("id", "allow"),
        ("payer", "encrypt"),
        ("amount", "encrypt"),
        ("day", "allow"),
        ("note", "allow"),
    ];
    assert_eq!(json!(decided), json!(expected));
    says(
        house.run(&["plan", "pay"]).expect(0),
        &["exact or quarantined", "rejected rows -> pay.payments__quarantine"],
    );

    let ran = house.run(&["sync", "pay"]);
    says(ran.expect(0), &["3 rows of public.payments were rejected", "\"pay\".\"payments__quarantine\""]);
    let kept = house.query("SELECT id, CAST(amount AS VARCHAR) AS amount, CAST(day AS VARCHAR) AS day FROM pay.payments ORDER BY id");
    assert_eq!(
        kept,
        json!([{"id": 1, "amount": "1.50", "day": "2024-01-02"}, {"id": 5, "amount": null, "day": "2024-01-03"}])
    );
    let (amount, day) = ("amount: not exactly a decimal(12,2)", "day: not exactly a date");
    assert_eq!(
        house.query(REJECTED),
        json!([
            {"reason": amount, "id": 2, "payer": "Bob", "amount": "NaN", "day": "2024-01-02"},
            {"reason": format!("{amount}; {day}"), "id": 3, "payer": PAYER, "amount": MISFIT, "day": "infinity"},
            {"reason": day, "id": 4, "payer": "Dan", "amount": "4", "day": "-infinity"},
        ])
    );
    let runs = house.json(&["runs"], 0);
    let run = &runs["runs"][0];
    assert_eq!((&run["streams"][0]["rows"], &run["streams"][0]["quarantined"]), (&json!(2), &json!(3)));
    let of_run = house.query("SELECT DISTINCT _sealift_run_id AS run FROM pay.payments__quarantine");
    assert_eq!(of_run, json!([{"run": run["run_id"]}]));
    let shown = house.run(&["runs", run["run_id"].as_str().unwrap()]);
    says(shown.expect(0), &["quarantined"]);
}

#[tokio::test]
async fn no_protected_value_of_a_rejected_row_stands_in_any_byte_written() {
    let (mut house, _database) = payments(COLUMNS, "").await;
    house.env("RUST_LOG", "trace");
    house.env("SEALIFT_LOG", "trace");
    house.json(&["plan", "pay"], 0);
    house.json(&["sync", "pay"], 0);
    house.run(&["sync", "pay"]).expect(0);
    assert_eq!(count(&house, "pay.payments__quarantine"), 3);

    let (lake, decoded) = (house.path("out/lake"), house.path("out/decoded"));
    script("open_pages.py", &[lake.to_str().unwrap(), decoded.to_str().unwrap()], &[]);
    let mut needles = Needles::default();
    needles.text("protected", MISFIT);
    needles.text("protected", PAYER);
    needles.text("open", NOTE);
    let found = needles.find_below(&house.path("out"));
    assert!(found.iter().any(|found| found.label == "open"), "the search does not see even the open column");
    let leaks: Vec<_> = found.into_iter().filter(|found| found.label == "protected").collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[tokio::test]
async fn where_more_rows_are_rejected_than_may_be_nothing_is_published() {
    let bound = "\n    max_quarantine_rows: 30";
    let (house, database) = payments(COLUMNS, bound).await;
    // Three and the first batch's rows are within the bound: the quarantine is being written when it ends.
    database
        .run(
            "INSERT INTO payments SELECT n, 'x', CASE WHEN n % 1000 = 0 THEN 'NaN' ELSE n::numeric END, '2024-01-02', ''
             FROM generate_series(6, 60000) AS n",
        )
        .await;
    let ran = house.run(&["sync", "pay"]);
    says(ran.expect(65), &["than the 30 that may be", "max_quarantine_rows", "pay.payments__quarantine"]);
    assert_eq!(objects(&house.path("out/lake")), [""; 0].map(PathBuf::from));
    let used = house.json(&["audit", "--action", "key.use"], 0)["entries"].to_string();
    for dataset in ["pay.payments", "pay.payments__quarantine"] {
        assert!(used.contains(&format!("seal {dataset}, not published sealift:{dataset}/")), "{used}");
    }

    // The dataset's own fault leaves nothing of the quarantine either.
    let columns = COLUMNS.replace("\"*\"", "id: {tag: public, as: int32}, \"*\"");
    database.run("ALTER TABLE payments ALTER id TYPE bigint; INSERT INTO payments VALUES (5000000000, 'x', 1, '2024-01-02', '')").await;
    let house = self::house(&connection(&database), "public.payments", &columns, "");
    let ran = house.run(&["sync", "pay"]);
    says(ran.expect(65), &["column `id`"]);
    assert_eq!(objects(&house.path("out/lake")), [""; 0].map(PathBuf::from));
}

#[tokio::test]
async fn an_overwritten_dataset_has_no_quarantine_of_an_older_version() {
    let (house, database) = payments(COLUMNS, "").await;
    house.run(&["sync", "pay"]).expect(0);
    assert_eq!(count(&house, "pay.payments__quarantine"), 3);
    house.run(&["sync", "pay"]).expect(0);
    assert_eq!(count(&house, "pay.payments__quarantine"), 3, "its rows are replaced too");

    database.run("UPDATE payments SET amount = 2, day = '2024-01-04' WHERE id IN (2, 3, 4)").await;
    let summary = house.json(&["sync", "pay"], 0);
    assert_eq!(summary["streams"][0]["quarantined"], 0);
    assert_eq!(
        (count(&house, "pay.payments"), count(&house, "pay.payments__quarantine")),
        (json!(5), json!(0))
    );
    assert_eq!((house.versions("pay.payments"), house.versions("pay.payments__quarantine")), (3, 3));

    // Where nothing was ever rejected, there is no table; nor are there keys of one.
    let house = self::house(&connection(&database), "public.payments", COLUMNS, "");
    house.run(&["sync", "pay"]).expect(0);
    assert_eq!(house.versions("pay.payments__quarantine"), 0);
    assert!(!house.run(&["keys", "list"]).expect(0).stdout.contains("__quarantine"));
}

#[tokio::test]
async fn trap_a_column_that_only_the_quarantine_would_show_must_be_covered() {
    let columns =
        "{id: {tag: public}, amount: {tag: pii.amount, as: \"decimal(12,2)\", on_overflow: quarantine}}";
    let transform = "\n    transform: SELECT id, amount FROM source WHERE payer IS NOT NULL";
    let untold = "\n    transform: SELECT id, amount FROM source WHERE c9 IS NULL";
    let (house, database) = payments(columns, untold).await;
    database.run("ALTER TABLE payments ADD COLUMN c9 text").await;
    for command in ["plan", "sync"] {
        let ran = house.run(&[command, "pay"]);
        says(ran.expect(76), &["column `c9`: it has no tag", "quarantine", "under `columns`"]);
        assert!(!ran.stderr.contains("`note`"), "a column that is not read: {}", ran.stderr);
    }
    let columns = columns.replace("{id", "{payer: {tag: pii.name}, id");
    let house = self::house(&connection(&database), "public.payments", &columns, transform);
    house.run(&["sync", "pay"]).expect(0);
    let rejected = house.query("SELECT * FROM pay.payments__quarantine ORDER BY id");
    assert_eq!(rejected[0]["payer"], "Bob");
    assert_eq!(rejected[0].get("note"), None);
    // What is read is dropped here too, where the policy says so.
    house.policy("- {tags: [pii.name], action: drop}\n- {tags: [pii.amount], action: nullify}\n- {tags: [public], action: allow}");
    house.run(&["sync", "pay"]).expect(0);
    let rejected = house.query("SELECT * FROM pay.payments__quarantine ORDER BY id");
    assert_eq!((rejected[0].get("payer"), rejected[0].get("amount")), (None, Some(&Value::Null)));
}

#[tokio::test]
async fn names_that_are_kept_are_refused() {
    let (house, database) = payments(COLUMNS, "\n    dataset: pay.any__quarantine").await;
    says(house.run(&["validate"]).expect(78), &["kept for rejected rows", "__quarantine"]);
    // What only the source tells is found when it is asked.
    database.run("CREATE TABLE a__quarantine (id int)").await;
    let house = self::house(&connection(&database), "\"public.a*\"", "{\"*\": {tag: public}}", "");
    says(house.run(&["plan", "pay"]).expect(78), &["`pay.a__quarantine` is kept", "`dataset:` of its own"]);
    database.run("ALTER TABLE payments RENAME note TO \"_Sealift_Reason\"").await;
    let house = self::house(&connection(&database), "public.payments", COLUMNS, "");
    says(house.run(&["sync", "pay"]).expect(78), &["`_Sealift_Reason` is kept", "query"]);
    assert_eq!(objects(&house.path("out/lake")), [""; 0].map(PathBuf::from));
}

#[tokio::test]
async fn a_quarantine_whose_keys_are_missing_is_not_given_new_ones() {
    let (house, _database) = payments(COLUMNS, "").await;
    house.run(&["sync", "pay"]).expect(0);
    fs::remove_dir_all(house.path("out/lake/pay/payments")).unwrap();
    fs::remove_dir_all(house.path("out/keys")).unwrap();
    for command in ["plan", "sync"] {
        let ran = house.run(&[command, "pay"]);
        says(ran.expect(76), &["pay.payments__quarantine is published, but its keys are not here"]);
    }
    assert_eq!(house.versions("pay.payments__quarantine"), 1);
}

#[tokio::test]
async fn rows_of_sqlite_are_set_aside_as_its_own_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    source_sqlite::make(
        &path,
        "CREATE TABLE payments (id INTEGER NOT NULL, payer TEXT, amount, day);
         INSERT INTO payments VALUES (1, 'Ann', 1.5, '2024-01-02'), (2, 'Bob', 'much', '2024-01-02'), (3, 'Cid', 0.125, NULL)",
    )
    .await;
    let connection = format!("db: {{sqlite: {{path: \"{}\"}}}}", path.display());
    let house = house(&connection, "main.payments", COLUMNS, "\n    write_mode: append");
    for run in 1..=2 {
        let summary = house.json(&["sync", "pay"], 0);
        let stream = &summary["streams"][0];
        assert_eq!((&stream["rows"], &stream["quarantined"]), (&json!(1), &json!(2)));
        assert_eq!(
            (count(&house, "pay.payments"), count(&house, "pay.payments__quarantine")),
            (json!(run), json!(2 * run))
        );
    }
    let rejected = house.query(REJECTED);
    let amounts: Vec<_> = rejected.as_array().unwrap().iter().map(|row| row["amount"].clone()).collect();
    assert_eq!(amounts, ["much", "much", "0.125", "0.125"]);
}
