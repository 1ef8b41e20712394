//! What a source changes about a published schema: what follows, what ends the run, what is left out; and
//! that nothing new, or protected otherwise, passes by the policy.

mod reshaped;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::house::{House, Ran, connection, script};
use crate::servers::postgres::Database;
use crate::source_sqlite;

/// A house with the pipeline `shop` over the table `people` of an SQLite file.
pub(super) struct Shop {
    pub(super) house: House,
    path: PathBuf,
}

/// Every column open but the name, which is encrypted.
pub(super) const COLUMNS: &str = "{name: {tag: pii.name}, \"*\": {tag: public}}";

impl Shop {
    /// Two people, `id` and `name`.
    pub(super) async fn open() -> Self {
        let house = House::new();
        let path = house.path("in/shop.db");
        house.config("", &format!("db: {{sqlite: {{path: \"{}\"}}}}", path.display()));
        house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
        let shop = Self { house, path };
        shop.source(
            "CREATE TABLE people (id INTEGER NOT NULL, name TEXT);
             INSERT INTO people VALUES (1, 'Ann'), (2, 'Bob')",
        )
        .await;
        shop
    }

    /// Changes the source.
    pub(super) async fn source(&self, sql: &str) {
        source_sqlite::make(&self.path, sql).await;
    }

    /// Writes the pipeline; `more` are keys of the stream.
    pub(super) fn spec(&self, write_mode: &str, columns: &str, more: &[&str]) {
        let more: String = more.iter().map(|line| format!("\n    {line}")).collect();
        self.house.pipeline(
            "shop",
            &format!(
                "connection: db\ndataset: \"shop.{{table}}\"\nstreams:\n  main.people:\n    write_mode: {write_mode}\n    columns: {columns}{more}"
            ),
        );
    }

    pub(super) fn sync(&self, code: i32) -> Ran {
        let ran = self.house.run(&["sync", "shop"]);
        ran.expect(code);
        ran
    }

    pub(super) fn rows(&self, columns: &str) -> Value {
        self.house.query(&format!("SELECT {columns} FROM shop.people ORDER BY 1, 2"))
    }

    /// What `plan` says differs: column, change, and what the run does.
    pub(super) fn changes(&self, code: i32) -> Value {
        let plan = self.house.json(&["plan", "shop"], code);
        let changes = plan["streams"][0]["changes"].as_array().unwrap().clone();
        let short = |change: Value| json!([change["column"], change["change"], change["run"]]);
        changes.into_iter().map(short).collect()
    }

    pub(super) fn versions(&self) -> usize {
        self.house.versions("shop.people")
    }
}

#[track_caller]
pub(super) fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.printed().contains(word), "`{word}` is not in {}", ran.printed());
    }
}

/// A new column, and none of the old one `name`.
const CHANGED: &str = "ALTER TABLE people ADD COLUMN country TEXT; ALTER TABLE people DROP COLUMN name;
     DELETE FROM people; INSERT INTO people VALUES (3, 'CH')";

#[tokio::test]
async fn columns_that_come_and_go_are_followed() {
    let shop = Shop::open().await;
    shop.spec("append", COLUMNS, &[]);
    assert_eq!(shop.changes(0), json!([]));
    shop.sync(0);
    shop.source(CHANGED).await;
    assert_eq!(shop.changes(0), json!([["country", "added", "follows"], ["name", "removed", "follows"]]));
    let plan = shop.house.run(&["plan", "shop"]);
    says(
        plan.expect(0),
        &["differs from the published version 0", "added", "it is NULL in the rows", "removed"],
    );
    shop.sync(0);
    assert_eq!(
        shop.rows("id, name, country"),
        json!([
            {"id": 1, "name": "Ann", "country": null},
            {"id": 2, "name": "Bob", "country": null},
            {"id": 3, "name": null, "country": "CH"},
        ])
    );
    let table = shop.house.path("out/lake/shop/people");
    for engine in ["deltalake", "polars", "duckdb"] {
        let read = script("tables.py", &[engine, table.to_str().unwrap()], &[]);
        assert_eq!(read, json!({"rows": 3, "ids": 6, "countries": ["CH", "NULL", "NULL"]}), "{engine}");
    }
    // The same again changes nothing more.
    assert_eq!(shop.changes(0), json!([["name", "removed", "follows"]]));

    shop.spec("overwrite", COLUMNS, &[]);
    shop.sync(0);
    assert_eq!(shop.rows("*"), json!([{"id": 3, "country": "CH"}]));
    assert_eq!(shop.changes(0), json!([]));
}

#[tokio::test]
async fn a_frozen_schema_ends_the_run_with_what_differs() {
    for write_mode in ["overwrite", "append"] {
        let shop = Shop::open().await;
        shop.spec(write_mode, COLUMNS, &["schema_contract: freeze"]);
        shop.sync(0);
        shop.sync(0);
        shop.source(CHANGED).await;
        let ran = shop.sync(65);
        says(
            &ran,
            &[
                "differs from the published version 1",
                "country  added",
                "leave it out in `transform`",
                "name     removed",
                "stream main.people",
            ],
        );
        assert_eq!(
            shop.changes(65),
            json!([["country", "added", "fails"], ["name", "removed", "fails"]]),
            "{write_mode}"
        );
        assert_eq!(shop.versions(), 2);
        // Types are another matter than columns.
        shop.spec(write_mode, COLUMNS, &["schema_contract: {types: freeze}"]);
        shop.sync(0);
    }
}

#[tokio::test]
async fn a_contract_of_the_defaults_gives_way_key_by_key() {
    let shop = Shop::open().await;
    shop.spec("append", COLUMNS, &[]);
    shop.sync(0);
    shop.source("ALTER TABLE people ADD COLUMN country TEXT").await;
    let with_default = |own: &str| {
        shop.house.pipeline(
            "shop",
            &format!(
                "connection: db\ndataset: \"shop.{{table}}\"\ndefaults: {{schema_contract: freeze, write_mode: append}}\nstreams:\n  main.people: {{{own}columns: {COLUMNS}}}"
            ),
        );
    };
    with_default("");
    shop.sync(65);
    with_default("schema_contract: {types: evolve}, ");
    shop.sync(65);
    with_default("schema_contract: {columns: evolve}, ");
    shop.sync(0);
}

#[tokio::test]
async fn what_is_discarded_is_not_even_read() {
    for write_mode in ["overwrite", "append"] {
        let shop = Shop::open().await;
        let contract = "schema_contract: {columns: discard}";
        // Nothing covers a new column: under `discard` it needs no cover.
        let columns = "{name: {tag: pii.name}, id: {tag: public}}";
        shop.spec(write_mode, columns, &[contract]);
        shop.sync(0);
        shop.source("ALTER TABLE people ADD COLUMN c9 TEXT; UPDATE people SET c9 = '555-' || id").await;
        assert_eq!(shop.changes(0), json!([["c9", "added", "follows"]]));
        shop.sync(0);
        assert!(shop.rows("*")[0].get("c9").is_none(), "{write_mode}");
        // Under SQL too, of which only what is kept is computed.
        let transform = "transform: \"SELECT *, CAST(c9 AS INT) AS digits FROM source\"";
        shop.spec(write_mode, columns, &[contract, transform]);
        assert_eq!(shop.changes(0), json!([["c9", "added", "follows"], ["digits", "added", "follows"]]));
        shop.sync(0);
        // Where it is no longer discarded it is held, as nothing covers it.
        shop.spec(write_mode, columns, &[]);
        says(&shop.sync(76), &["column `c9`"]);
        // A column that goes: rows that stay keep it, and a dataset that is replaced could not stay as it is.
        shop.spec(write_mode, columns, &[contract]);
        shop.source("ALTER TABLE people DROP COLUMN name").await;
        shop.sync(if write_mode == "append" { 0 } else { 65 });
    }
}

#[tokio::test]
async fn rows_that_do_not_fit_the_published_types_are_left_out_and_counted() {
    for write_mode in ["overwrite", "append"] {
        let shop = Shop::open().await;
        shop.source("ALTER TABLE people ADD COLUMN n; UPDATE people SET n = id").await;
        let columns =
            |to: &str| format!("{{name: {{tag: pii.name}}, n: {{as: {to}}}, \"*\": {{tag: public}}}}");
        shop.spec(write_mode, &columns("int32"), &[]);
        shop.sync(0);
        shop.source("UPDATE people SET n = 5000000000 WHERE id = 1; INSERT INTO people VALUES (3, 'Eve', 3)")
            .await;
        shop.spec(write_mode, &columns("int64"), &["schema_contract: {types: discard}"]);
        assert_eq!(shop.changes(0), json!([["n", "widened", "follows"]]));
        let summary = shop.house.json(&["sync", "shop"], 0);
        let stream = &summary["streams"][0];
        assert_eq!(stream["rows"], 2);
        assert_eq!(
            stream["warnings"],
            json!(["1 row was left out: a value does not fit the published type of `n`"])
        );
        let all = shop.house.query("SELECT arrow_typeof(n) AS t, count(*) AS c FROM shop.people GROUP BY 1");
        assert_eq!(all[0]["t"], "Int32", "{write_mode}");
        says(&shop.house.run(&["sync", "shop"]), &["warning: main.people: 1 row was left out"]);
    }
}

#[tokio::test]
async fn trap_a_row_that_is_left_out_is_not_missing() {
    let shop = Shop::open().await;
    shop.source(
        "ALTER TABLE people ADD COLUMN n; UPDATE people SET n = id; INSERT INTO people VALUES (3, 'Eve', 3)",
    )
    .await;
    let columns = |to: &str| {
        format!(
            "{{name: {{tag: pii.name}}, id: {{as: {to}, tag: public}}, n: {{as: {to}}}, \"*\": {{tag: public}}}}"
        )
    };
    let (key, missing) = ("primary_key: [id]", "delete_missing: hard");
    shop.spec("merge", &columns("int32"), &[key, missing]);
    shop.sync(0);
    shop.source(
        "UPDATE people SET n = 5000000000 WHERE id = 1; DELETE FROM people WHERE id = 3;
         INSERT INTO people VALUES (5000000000, 'Far', 4)",
    )
    .await;
    shop.spec("merge", &columns("int64"), &[key, missing, "schema_contract: {types: discard}"]);
    says(&shop.sync(0), &["2 rows were left out"]);
    assert_eq!(shop.rows("id, n"), json!([{"id": 1, "n": 1}, {"id": 2, "n": 2}]));
}

#[tokio::test]
async fn a_type_that_breaks_is_taken_by_an_overwrite_alone() {
    let shop = Shop::open().await;
    shop.source("ALTER TABLE people ADD COLUMN n; UPDATE people SET n = id").await;
    let columns = |to: &str| format!("{{name: {{tag: pii.name}}, n: {{as: {to}}}, \"*\": {{tag: public}}}}");
    shop.spec("append", &columns("int64"), &[]);
    shop.sync(0);
    for narrower in ["int32", "text"] {
        shop.spec("append", &columns(narrower), &[]);
        says(
            &shop.sync(65),
            &["n       breaking  long", "cast it to long in `transform`", "write_mode: overwrite"],
        );
        assert_eq!(shop.changes(65), json!([["n", "breaking", "fails"]]));
        shop.spec("overwrite", &columns(narrower), &["schema_contract: {types: freeze}"]);
        shop.sync(65);
    }
    assert_eq!(shop.versions(), 1);
    shop.spec("overwrite", &columns("text"), &[]);
    shop.sync(0);
    assert_eq!(shop.rows("n, id")[0]["n"], "1");
}

#[tokio::test]
async fn trap_a_new_column_is_covered_before_a_value_leaves() {
    for write_mode in ["overwrite", "append"] {
        let shop = Shop::open().await;
        shop.spec(write_mode, "{name: {tag: pii.name}, id: {tag: public}}", &[]);
        shop.sync(0);
        shop.source("ALTER TABLE people ADD COLUMN c9 TEXT").await;
        says(&shop.sync(76), &["column `c9`", "no tag"]);
        assert_eq!(shop.versions(), 1);
        // What is found in it is published as the policy says.
        shop.source(
            "ALTER TABLE people DROP COLUMN c9; ALTER TABLE people ADD COLUMN ssn TEXT;
             UPDATE people SET ssn = '123-45-6789'",
        )
        .await;
        says(&shop.sync(0), &["pii.us_ssn", "encrypted"]);
        let found = shop.house.query("SELECT count(*) AS n FROM shop.people WHERE ssn = '123-45-6789'");
        assert_eq!(found[0]["n"], 2);
        let mut needles = crate::needles::Needles::default();
        needles.text("ssn", "123-45-6789");
        let decoded = shop.house.path("out/decoded");
        script(
            "open_pages.py",
            &[shop.house.path("out/lake").to_str().unwrap(), decoded.to_str().unwrap()],
            &[],
        );
        let found: Vec<_> = needles.find_below(&shop.house.path("out"));
        assert!(found.is_empty(), "{write_mode}: {found:#?}");
    }
}

#[tokio::test]
async fn trap_rows_that_stay_are_not_protected_otherwise_than_new_ones() {
    let shop = Shop::open().await;
    let open = "{\"*\": {tag: public}}";
    shop.spec("append", open, &[]);
    shop.sync(0);
    // Stricter or weaker, by the spec or by the policy: never beside what is there.
    for columns in [
        COLUMNS,
        "{name: {action: tokenize}, \"*\": {tag: public}}",
        "{name: {action: drop}, \"*\": {tag: public}}",
    ] {
        shop.spec("append", columns, &[]);
        says(&shop.sync(76), &["name", "publish once with `write_mode: overwrite`"]);
        assert_eq!(shop.versions(), 1);
    }
    shop.spec("append", COLUMNS, &[]);
    assert_eq!(shop.changes(76), json!([["name", "action changed", "held"]]));
    shop.spec("overwrite", COLUMNS, &["schema_contract: freeze"]);
    assert_eq!(shop.changes(0), json!([["name", "action changed", "follows"]]));
    shop.sync(0);
    shop.spec("append", open, &[]);
    says(&shop.sync(76), &["encrypt (pii.name)", "allow (public)"]);
    // A tag alone is recorded.
    shop.house.policy("- {tags: [\"pii.*\", secret], action: encrypt}\n- {tags: [public], action: allow}");
    shop.spec("append", "{name: {tag: secret}, \"*\": {tag: public}}", &[]);
    assert_eq!(shop.changes(0), json!([["name", "tag changed", "follows"]]));
    shop.sync(0);
    assert_eq!(shop.changes(0), json!([]));
}

#[tokio::test]
async fn trap_a_column_that_was_away_comes_back_as_it_was_protected() {
    let shop = Shop::open().await;
    shop.spec("append", COLUMNS, &[]);
    shop.sync(0);
    shop.source("ALTER TABLE people DROP COLUMN name").await;
    shop.sync(0);
    shop.sync(0);
    shop.source("ALTER TABLE people ADD COLUMN name TEXT").await;
    shop.spec("append", "{\"*\": {tag: public}}", &[]);
    says(&shop.sync(76), &["name", "encrypt (pii.name)"]);
    shop.spec("append", COLUMNS, &[]);
    shop.sync(0);
}

#[tokio::test]
async fn folders_change_with_an_overwrite_alone() {
    let shop = Shop::open().await;
    shop.source("ALTER TABLE people ADD COLUMN country TEXT; UPDATE people SET country = 'CH'").await;
    shop.spec("append", COLUMNS, &[]);
    shop.sync(0);
    shop.spec("append", COLUMNS, &["partition_by: [country]"]);
    says(&shop.sync(65), &["partitioning changed", "[country]", "write `partition_by` as it was"]);
    shop.spec("overwrite", COLUMNS, &["partition_by: [country]"]);
    shop.sync(0);
    assert_eq!(shop.rows("id, country").as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_name_that_differs_in_case_alone_is_no_new_column_beside_the_old() {
    let shop = Shop::open().await;
    shop.spec("append", COLUMNS, &[]);
    shop.sync(0);
    let upper = "transform: \"SELECT id AS \\\"ID\\\", name FROM source\"";
    shop.spec("append", COLUMNS, &[upper]);
    says(&shop.sync(65), &["write `renamed: {ID: id}`"]);
    shop.spec("overwrite", COLUMNS, &[upper]);
    shop.sync(0);
}

#[tokio::test]
async fn the_quarantine_follows_too() {
    let shop = Shop::open().await;
    shop.source("ALTER TABLE people ADD COLUMN n; UPDATE people SET n = 'much'").await;
    let columns =
        "{name: {tag: pii.name}, n: {tag: public, as: int32, on_overflow: quarantine}, \"*\": {tag: public}}";
    shop.spec("append", columns, &[]);
    shop.sync(0);
    shop.source("ALTER TABLE people ADD COLUMN country TEXT").await;
    shop.sync(0);
    let found = shop.house.query("SELECT count(*) AS n, count(name) AS names FROM shop.people__quarantine");
    assert_eq!(found, json!([{"n": 4, "names": 4}]));
    let plan = shop.house.json(&["plan", "shop"], 0);
    assert_eq!(plan["streams"][0]["quarantine"]["changes"], json!([]));
    let columns = columns.replace("pii.name", "public");
    shop.spec("append", &columns, &[]);
    says(&shop.sync(76), &["action changed"]);
}

#[tokio::test]
async fn a_table_of_postgresql_evolves() {
    let database = Database::create().await;
    database
        .run("CREATE TABLE orders (id int NOT NULL, amount numeric(10,2)); INSERT INTO orders VALUES (1, 1.50)")
        .await;
    let house = House::new();
    house.config("", &connection(&database));
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    let spec = |more: &str| {
        house.pipeline(
            "sales",
            &format!(
                "connection: db\ndataset: \"sales.{{table}}\"\nstreams:\n  public.orders:\n    write_mode: append\n    columns: {{amount: {{tag: pii.amount}}, \"*\": {{tag: public}}}}{more}"
            ),
        );
    };
    spec("");
    house.run(&["sync", "sales"]).expect(0);
    database
        .run(
            "ALTER TABLE orders ALTER id TYPE bigint; ALTER TABLE orders ALTER amount TYPE numeric(14,2);
             ALTER TABLE orders ADD note text; UPDATE orders SET id = 5000000000, amount = 123456789012.25, note = 'x'",
        )
        .await;
    spec("\n    schema_contract: freeze");
    let ran = house.run(&["sync", "sales"]);
    says(ran.expect(65), &["id      widened  integer", "decimal(10,2)", "decimal(14,2)", "note    added"]);
    spec("");
    house.run(&["sync", "sales"]).expect(0);
    assert_eq!(
        house.query("SELECT id, CAST(amount AS VARCHAR) AS amount, note FROM sales.orders ORDER BY id"),
        json!([{"id": 1, "amount": "1.50", "note": null}, {"id": 5_000_000_000_u64, "amount": "123456789012.25", "note": "x"}])
    );
}
