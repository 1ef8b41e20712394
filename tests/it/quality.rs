//! What must hold of rows before they are published: each demand ends the run, sets rows aside or is told;
//! and none of it says a value.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::house::{House, Ran, connection, script};
use crate::needles::Needles;
use crate::servers::postgres::Database;
use crate::source_sqlite;

/// A protected value of a row that violates everything, and one beside it.
const NAME: &str = "Qx7RtLw93KmZ";
const STATUS: &str = "Zt44PqLm81HdWv";

const COLUMNS: &str = "{name: {tag: pii.name}, status: {tag: pii.status}, \"*\": {tag: public}}";

struct Shop {
    house: House,
    path: PathBuf,
}

impl Shop {
    /// Three customers, of which the third is not as it should be.
    async fn open() -> Self {
        let house = House::new();
        let path = house.path("in/shop.db");
        house.config("", &format!("db: {{sqlite: {{path: \"{}\"}}}}", path.display()));
        house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
        let shop = Self { house, path };
        shop.source(&format!(
            "CREATE TABLE customers (id INTEGER, name TEXT, status TEXT, balance INTEGER, since TEXT);
             INSERT INTO customers VALUES (1, 'Ann', 'gold', 10, '2024-01-02'), (2, 'Bob', 'iron', 0, '2024-01-03'),
                 (NULL, '{NAME}', '{STATUS}', -7, '2024-01-04')"
        ))
        .await;
        shop
    }

    async fn source(&self, sql: &str) {
        source_sqlite::make(&self.path, sql).await;
    }

    fn spec(&self, quality: &str) {
        self.spec_with(quality, "");
    }

    fn spec_with(&self, quality: &str, more: &str) {
        self.house.pipeline(
            "shop",
            &format!(
                "connection: db\ndataset: \"shop.{{table}}\"\nstreams:\n  main.customers:\n    columns: {COLUMNS}\n    quality: {quality}{more}"
            ),
        );
    }

    fn sync(&self, code: i32) -> Ran {
        let ran = self.house.run(&["sync", "shop"]);
        ran.expect(code);
        ran
    }

    fn warnings(&self) -> Value {
        self.house.json(&["sync", "shop"], 0)["streams"][0]["warnings"].clone()
    }

    fn count(&self, dataset: &str) -> Value {
        self.house.query(&format!("SELECT count(*) AS n FROM {dataset}"))[0]["n"].clone()
    }
}

/// Every file in the lake.
fn objects(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { objects(&path) } else { 1 }).sum()
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.printed().contains(word), "`{word}` is not in {}", ran.printed());
    }
}

/// Demands on single rows that the third row does not meet, and their names.
const OF_ROWS: [(&str, &str); 5] = [
    ("check: \"balance >= 0\"", "check `balance >= 0`"),
    ("not_null: [id, name]", "not_null [id, name]"),
    ("accepted: {column: status, values: [gold, iron, 7]}", "accepted values of status"),
    ("range: {column: balance, min: 0, max: 1000}", "range of balance"),
    ("range: {column: name, max: C}", "range of name"),
];

#[tokio::test]
async fn a_demand_that_is_not_met_publishes_nothing() {
    let shop = Shop::open().await;
    for (demand, name) in OF_ROWS {
        shop.spec(&format!("[{{{demand}}}]"));
        let ran = shop.sync(65);
        says(
            &ran,
            &[name, "1 row violates it", "line 10 of the pipeline", "nothing of the stream was published"],
        );
        assert_eq!(objects(&shop.house.path("out/lake")), 0, "{demand}");
        // The id of a run has a -7 too.
        let printed = ran.printed();
        let told: Vec<&str> = printed.split_whitespace().filter(|word| !word.contains("run_id=")).collect();
        for value in [NAME, STATUS, "-7"] {
            assert!(!told.join(" ").contains(value), "{demand}: {printed}");
        }
    }
    // All that is wrong is told at once.
    let all: Vec<String> = OF_ROWS.iter().map(|(demand, _)| format!("{{{demand}}}")).collect();
    shop.spec(&format!("[{}]", all.join(", ")));
    says(&shop.sync(65), &OF_ROWS.map(|(_, name)| name));
    shop.source("DELETE FROM customers WHERE id IS NULL").await;
    shop.sync(0);
    assert_eq!(shop.count("shop.customers"), 2);
}

#[tokio::test]
async fn a_demand_that_is_only_told_publishes_all_the_same() {
    let shop = Shop::open().await;
    for (demand, name) in OF_ROWS {
        shop.spec(&format!("[{{{demand}, on_fail: warn}}]"));
        assert_eq!(shop.warnings(), json!([format!("{name}: 1 row violates it")]));
        assert_eq!(shop.count("shop.customers"), 3);
    }
    let ran = shop.sync(0);
    says(&ran, &["warning: main.customers: range of name"]);
}

#[tokio::test]
async fn rows_that_do_not_meet_a_demand_are_set_aside_with_its_name() {
    let shop = Shop::open().await;
    let all: Vec<String> =
        OF_ROWS.iter().map(|(demand, _)| format!("{{{demand}, on_fail: quarantine}}")).collect();
    let transform = "\n    transform: SELECT id, name, status, balance * 2 AS balance FROM source";
    shop.spec_with(&format!("[{}]", all.join(", ")), transform);
    let plan = shop.house.json(&["plan", "shop"], 0);
    let quarantine = &plan["streams"][0]["quarantine"];
    assert_eq!(quarantine["dataset"], "shop.customers__quarantine");
    let columns: Vec<_> =
        quarantine["columns"].as_array().unwrap().iter().map(|c| (&c["column"], &c["action"])).collect();
    assert_eq!(
        json!(columns),
        json!([
            ["_sealift_reason", "allow"],
            ["_sealift_run_id", "allow"],
            ["id", "allow"],
            ["name", "encrypt"],
            ["status", "encrypt"],
            ["balance", "allow"],
        ])
    );
    let summary = shop.house.json(&["sync", "shop"], 0);
    let stream = &summary["streams"][0];
    assert_eq!((&stream["rows"], &stream["quarantined"]), (&json!(2), &json!(1)));
    let rejected =
        shop.house.query("SELECT _sealift_reason AS reason, name, balance FROM shop.customers__quarantine");
    let reasons = OF_ROWS.map(|(_, name)| name).join("; ");
    assert_eq!(rejected, json!([{"reason": reasons, "name": NAME, "balance": -14}]));
    // An overwritten dataset has no quarantine of an older version, and the bound holds.
    shop.source("UPDATE customers SET balance = -1").await;
    shop.spec_with("[{check: \"balance >= 0\", on_fail: quarantine}]", "\n    max_quarantine_rows: 2");
    says(&shop.sync(65), &["than the 2 that may be", "check `balance >= 0`"]);
    assert_eq!(shop.count("shop.customers"), 2);
    shop.source("UPDATE customers SET balance = 1").await;
    shop.sync(0);
    assert_eq!(
        (shop.count("shop.customers"), shop.count("shop.customers__quarantine")),
        (json!(3), json!(0))
    );
}

#[tokio::test]
async fn trap_no_value_of_a_row_that_is_checked_stands_in_any_byte_written() {
    let mut shop = Shop::open().await;
    shop.house.env("RUST_LOG", "trace");
    shop.house.env("SEALIFT_LOG", "trace");
    for on_fail in ["fail", "warn", "quarantine"] {
        let all: Vec<String> =
            OF_ROWS.iter().map(|(demand, _)| format!("{{{demand}, on_fail: {on_fail}}}")).collect();
        shop.spec(&format!("[{}, {{check: \"length(name) < 100\"}}]", all.join(", ")));
        shop.house.run(&["plan", "shop"]).expect(0);
        shop.sync(if on_fail == "fail" { 65 } else { 0 });
    }
    // An expression that cannot be computed quotes its value in the engine's own words.
    shop.spec("[{check: \"CAST(name AS INT) > 0\"}]");
    says(&shop.sync(65), &["cannot be computed of a row", "check `CAST(name AS INT) > 0`"]);
    let (lake, decoded) = (shop.house.path("out/lake"), shop.house.path("out/decoded"));
    script("open_pages.py", &[lake.to_str().unwrap(), decoded.to_str().unwrap()], &[]);
    let mut needles = Needles::default();
    needles.text("protected", NAME);
    needles.text("protected", STATUS);
    needles.text("open", "2024-01-04");
    let found = needles.find_below(&shop.house.path("out"));
    assert!(found.iter().any(|found| found.label == "open"), "the search does not see even the open column");
    let leaks: Vec<_> = found.into_iter().filter(|found| found.label == "protected").collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[tokio::test]
async fn demands_on_all_rows_are_concluded_before_the_commit() {
    let shop = Shop::open().await;
    shop.source("INSERT INTO customers VALUES (2, 'Cid', 'gold', 1, '2024-01-05')").await;
    for (demand, words) in [
        ("unique: [id]", "unique [id]: 1 row repeats a key"),
        ("row_count: {min: 5}", "row_count: 4 rows, and at least 5 are due"),
        ("row_count: {max: 3}", "row_count: 4 rows, and at most 3 are due"),
        (
            "freshness: {column: day, max_age: 2days}",
            "freshness of day: the newest value is older than `max_age`",
        ),
    ] {
        let transform = "\n    transform: SELECT id, name, CAST(since AS DATE) AS day FROM source";
        shop.spec_with(&format!("[{{{demand}}}]"), transform);
        says(&shop.sync(65), &[words]);
        assert_eq!(objects(&shop.house.path("out/lake")), 0, "{demand}");
        shop.spec_with(&format!("[{{{demand}, on_fail: warn}}]"), transform);
        assert_eq!(shop.warnings(), json!([words]));
        fs::remove_dir_all(shop.house.path("out/lake/shop")).unwrap();
    }
    shop.spec("[{unique: [id, name]}, {row_count: {min: 4, max: 4}}]");
    shop.sync(0);
    let tomorrow = (chrono::Utc::now() + chrono::Duration::days(1)).format("%Y-%m-%d");
    shop.source(&format!("UPDATE customers SET since = '{tomorrow}' WHERE id = 1")).await;
    shop.spec_with(
        "[{freshness: {column: day, max_age: 2days}}]",
        "\n    transform: SELECT id, name, CAST(since AS DATE) AS day FROM source",
    );
    shop.sync(0);
}

#[tokio::test]
async fn a_run_that_brings_much_less_than_the_last_is_told() {
    let shop = Shop::open().await;
    shop.source(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO customers SELECT i, 'x', 'gold', i, '2024-01-02' FROM n",
    )
    .await;
    let drift = "[{drift: {rows_percent: 50, nulls_points: 10}}]";
    shop.spec(drift);
    shop.sync(0);
    shop.source("UPDATE customers SET since = NULL WHERE id > 50").await;
    says(&shop.sync(65), &["drift: another share of NULL in `since` than the last time"]);
    // What is NULL among protected values is nobody's to know.
    shop.source("UPDATE customers SET since = 'x', name = NULL").await;
    shop.sync(0);
    let log = shop.house.path("out/lake/shop/customers/_delta_log/00000000000000000001.json");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("\"nulls\":{\"balance\":0,\"id\":1,\"since\":0}"), "{log}");
    shop.source("DELETE FROM customers WHERE id > 20").await;
    says(&shop.sync(65), &["drift: 14 rows, and 94 the last time"]);
    shop.spec(&drift.replace("10}}", "10}, on_fail: warn}"));
    shop.sync(0);
    shop.spec(drift);
    shop.sync(0);
}

#[tokio::test]
async fn a_foreign_key_is_looked_up_in_the_newest_version() {
    let database = Database::create().await;
    database
        .run(&format!(
            "CREATE TABLE customers (id bigint, code text);
             CREATE TABLE orders (id int, customer_id int, code text);
             INSERT INTO customers VALUES (1, 'a'), (2, 'b'), (5000000000, 'c');
             INSERT INTO orders VALUES (10, 1, 'a'), (11, 2, 'b'), (12, NULL, 'x'), (13, 7, '{NAME}')"
        ))
        .await;
    let house = House::new();
    house.config("", &connection(&database));
    let policy = "- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}";
    house.policy(policy);
    let spec = |customers: &str, quality: &str| {
        house.pipeline(
            "crm",
            &format!(
                "connection: db\ndataset: \"crm.{{table}}\"\nstreams:\n  public.customers: {{columns: {customers}}}\n  public.orders:\n    columns: {{code: {{tag: pii.code}}, \"*\": {{tag: public}}}}\n    quality: {quality}"
            ),
        );
    };
    let customers = "{code: {tag: pii.code}, \"*\": {tag: public}}";
    let key = |columns: &str, references: &str, on_fail: &str| {
        format!(
            "[{{foreign_key: {{columns: [{columns}], dataset: crm.customers, references: [{references}]}}, on_fail: {on_fail}}}]"
        )
    };
    // The other dataset is published by the same run; its key is encrypted, and of another type.
    spec(customers, &key("customer_id", "id", "fail"));
    let ran = house.run(&["sync", "crm"]);
    says(ran.expect(65), &["foreign_key [customer_id] into crm.customers: 1 row has no counterpart"]);
    assert_eq!((house.versions("crm.customers"), house.versions("crm.orders")), (1, 0));
    spec(customers, &key("customer_id, code", "id, code", "warn"));
    let summary = house.json(&["sync", "crm"], 0);
    assert_eq!(
        summary["streams"][1]["warnings"],
        json!(["foreign_key [customer_id, code] into crm.customers: 1 row has no counterpart"])
    );
    spec(customers, &key("code", "code", "quarantine"));
    house.run(&["sync", "crm"]).expect(0);
    let rejected = house.query("SELECT id, code FROM crm.orders__quarantine ORDER BY id");
    assert_eq!(rejected, json!([{"id": 12, "code": "x"}, {"id": 13, "code": NAME}]));

    // What cannot be compared is refused before a row moves.
    spec(customers, &key("code", "id", "fail"));
    says(house.run(&["plan", "crm"]).expect(78), &["cannot be compared with one of type long"]);
    spec(customers, &key("code", "cod", "fail"));
    says(house.run(&["plan", "crm"]).expect(78), &["did you mean `code`?", "dataset crm.customers"]);
    spec("{code: {action: tokenize}, \"*\": {tag: public}}", "[]");
    house.run(&["sync", "crm"]).expect(0);
    spec("{code: {action: tokenize}, \"*\": {tag: public}}", &key("code", "code", "fail"));
    says(house.run(&["plan", "crm"]).expect(76), &["holds no values to compare with: tokenize"]);
    spec(customers, &key("code", "code", "fail").replace("crm.customers", "crm.nobody"));
    says(house.run(&["sync", "crm"]).expect(65), &["dataset crm.nobody is not published"]);
}

#[tokio::test]
async fn a_check_that_is_wrong_is_told_when_it_is_planned() {
    let shop = Shop::open().await;
    for (quality, words) in [
        ("[{not_null: [idd]}]", ["`idd` is no column of the output", "did you mean `id`?"]),
        ("[{check: \"balance >\"}]", ["the condition cannot be planned", "line 10 of the pipeline"]),
        ("[{check: \"balnce > 0\"}]", ["names a column `balnce`", "did you mean `balance`?"]),
        ("[{check: \"balance + 1\"}]", ["this is no condition", "Int64"]),
        (
            "[{range: {column: balance, min: many}}]",
            ["`many` is no value of column `balance`", "range of balance"],
        ),
        (
            "[{freshness: {column: balance, max_age: 1h}}]",
            ["column `balance` is of type long", "a date or a timestamp"],
        ),
    ] {
        shop.spec(quality);
        for command in ["plan", "sync"] {
            says(shop.house.run(&[command, "shop"]).expect(78), &words);
        }
    }
    assert_eq!(objects(&shop.house.path("out/lake")), 0);
}

#[tokio::test]
async fn more_keys_than_memory_holds_end_the_run_with_the_remedy() {
    let shop = Shop::open().await;
    shop.house.write(
        "in/sealift.yaml",
        &fs::read_to_string(shop.house.path("in/sealift.yaml"))
            .unwrap()
            .replace("stores:", "memory_limit_mb: 256\nstores:"),
    );
    shop.source(
        "DELETE FROM customers; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000)
         INSERT INTO customers SELECT i, 'x', 'gold', i, '2024-01-02' FROM n",
    )
    .await;
    shop.spec("[{unique: [id]}]");
    says(&shop.sync(1), &["unique [id]", "memory_limit_mb"]);
    assert_eq!(objects(&shop.house.path("out/lake")), 0);
}
