//! Files that are written again: a wider type, and a new name, of a dataset that is added to.

use serde_json::json;

use super::{Shop, says};
use crate::house::script;

fn columns(to: &str) -> String {
    format!("{{name: {{tag: pii.name}}, n: {{tag: pii.n, as: {to}}}, \"*\": {{tag: public}}}}")
}

async fn with_numbers() -> Shop {
    let shop = Shop::open().await;
    shop.source("ALTER TABLE people ADD COLUMN n; UPDATE people SET n = id * 10").await;
    shop
}

#[tokio::test]
async fn a_wider_type_is_taken_by_the_rows_that_are_there() {
    let shop = with_numbers().await;
    let folders = "partition_by: [id]";
    shop.spec("append", &columns("int32"), &[folders]);
    shop.sync(0);
    shop.source("DELETE FROM people; INSERT INTO people VALUES (3, 'Eve', 5000000000), (4, 'Dan', NULL)")
        .await;
    shop.spec("append", &columns("int64"), &[folders, "schema_contract: {types: freeze}"]);
    says(&shop.sync(65), &["widened", "cast it to integer in `transform`"]);
    shop.spec("append", &columns("int64"), &[folders]);
    assert_eq!(shop.changes(0), json!([["n", "widened", "follows"]]));
    assert_eq!(shop.versions(), 1, "a plan writes nothing");
    let summary = shop.house.json(&["sync", "shop"], 0);
    assert_eq!((&summary["streams"][0]["version"], &summary["streams"][0]["rows"]), (&json!(2), &json!(2)));
    assert_eq!(
        shop.rows("id, n, name"),
        json!([
            {"id": 1, "n": 10, "name": "Ann"},
            {"id": 2, "n": 20, "name": "Bob"},
            {"id": 3, "n": 5_000_000_000_u64, "name": "Eve"},
            {"id": 4, "n": null, "name": "Dan"},
        ])
    );
    let typed = shop.house.query("SELECT DISTINCT arrow_typeof(n) AS t FROM shop.people");
    assert_eq!(typed, json!([{"t": "Int64"}]));
    // An older version is as it was.
    let old =
        shop.house.run(&["query", "SELECT max(n) AS n FROM shop.people", "--as-of", "0", "--format", "json"]);
    assert_eq!(old.expect(0).stdout.trim(), "[{\"n\":20}]");
    // The files written again are encrypted as before: without the key every one refuses.
    let table = shop.house.path("out/lake/shop/people");
    let refused = script("tables.py", &["refused", table.to_str().unwrap(), "n"], &[]);
    assert_eq!((&refused["files"], &refused["refused"]), (&json!(4), &json!(4)));
    // Once is enough.
    shop.sync(0);
    assert_eq!(shop.versions(), 4);
}

#[tokio::test]
async fn a_new_name_is_taken_by_the_rows_that_are_there() {
    let shop = with_numbers().await;
    shop.spec("append", &columns("int32"), &[]);
    shop.sync(0);
    shop.source("ALTER TABLE people RENAME COLUMN name TO full_name").await;
    let columns = columns("int32").replace("{name:", "{full_name:");
    // Without the word for it, it is one column that goes and another that comes.
    shop.spec("append", &columns, &[]);
    assert_eq!(shop.changes(0), json!([["full_name", "added", "follows"], ["name", "removed", "follows"]]));
    shop.spec("append", &columns, &["schema_contract: {renamed: {fullname: name}}"]);
    says(&shop.sync(78), &["`renamed` says that `name` is `fullname` now", "did you mean `full_name`?"]);
    let contract = "schema_contract: {columns: freeze, renamed: {full_name: name}}";
    shop.spec("append", &columns, &[contract]);
    assert_eq!(shop.changes(0), json!([["full_name", "renamed", "follows"]]));
    shop.sync(0);
    assert_eq!(
        shop.house.query("SELECT full_name, count(*) AS c FROM shop.people GROUP BY full_name ORDER BY 1"),
        json!([{"full_name": "Ann", "c": 2}, {"full_name": "Bob", "c": 2}])
    );
    assert!(shop.rows("*")[0].get("name").is_none());
    assert_eq!(shop.changes(0), json!([]), "what has taken place is no change");

    let shop = with_numbers().await;
    let pseudonyms = "{name: {action: tokenize}, \"*\": {tag: public}}";
    shop.spec("append", pseudonyms, &[]);
    shop.sync(0);
    shop.source("ALTER TABLE people RENAME COLUMN name TO full_name").await;
    let columns = pseudonyms.replace("{name:", "{full_name:");
    shop.spec("append", &columns, &[contract]);
    says(&shop.sync(76), &["its pseudonyms belong to the old name"]);
    shop.spec("overwrite", &columns, &[contract]);
    shop.sync(0);
}

#[tokio::test]
async fn a_run_that_fails_writes_nothing_again() {
    let shop = with_numbers().await;
    shop.spec("append", &columns("int32"), &[]);
    shop.sync(0);
    shop.source("UPDATE people SET n = 'many'").await;
    shop.spec("append", &columns("int64"), &[]);
    says(&shop.sync(65), &["column `n`"]);
    assert_eq!(shop.versions(), 1);
}
