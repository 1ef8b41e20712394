//! Decisions on types in a whole run: what is exact arrives, what is not ends the run or becomes NULL as
//! the spec says, and a decision declares nothing.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, Time64MicrosecondArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::house::{House, connection};
use crate::servers::postgres::Database;

/// A number that `decimal(10,2)` does not hold, and that may stand in no output.
const MISFIT: &str = "73519.4682";

/// A house with the pipeline `pay` over one table, whose `amount` the source carries as text.
async fn house(amounts: &[&str], columns: &str, more: &str) -> (House, Database) {
    let database = Database::create().await;
    database.run("CREATE TABLE payments (id int, amount json)").await;
    for (id, amount) in amounts.iter().enumerate() {
        database.run(&format!("INSERT INTO payments VALUES ({id}, {amount})")).await;
    }
    let house = House::new();
    house.config("", &connection(&database));
    house.policy("- {tags: [public], action: allow}");
    house.pipeline(
        "pay",
        &format!(
            "connection: db\ndataset: \"pay.{{table}}\"\nstreams:\n  public.payments:\n    columns: {columns}{more}"
        ),
    );
    (house, database)
}

fn fidelity(house: &House, column: &str, code: i32) -> Value {
    let plan = house.json(&["plan", "pay"], code);
    let columns = plan["streams"][0]["columns"].as_array().unwrap().clone();
    columns.into_iter().find(|found| found["column"] == column).unwrap()
}

#[tokio::test]
async fn a_decided_type_is_published_exactly_and_shown_in_the_plan() {
    let columns = "{amount: {tag: public, as: \"decimal(10,2)\"}, id: {tag: public}}";
    let (house, _database) = house(&["'1.50'", "'25e-1'", "NULL", "'-3.000'"], columns, "").await;
    let shown = fidelity(&house, "amount", 0);
    assert_eq!(shown["source_type"], "json");
    assert_eq!(shown["arrow_type"], "Decimal128(10, 2)");
    assert_eq!(shown["type"], "decimal(10,2)");
    assert_eq!(shown["fidelity"], "exact or fail");
    assert_eq!(fidelity(&house, "id", 0)["fidelity"], "exact");
    let printed = house.run(&["plan", "pay"]);
    assert!(printed.expect(0).stdout.contains("exact or fail"), "{}", printed.stdout);

    house.run(&["sync", "pay"]).expect(0);
    let rows = house.query("SELECT id, CAST(amount AS VARCHAR) AS amount FROM pay.payments ORDER BY id");
    let amounts: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["amount"].clone()).collect();
    assert_eq!(amounts, [json!("1.50"), json!("2.50"), Value::Null, json!("-3.00")]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_fails_the_run_and_is_not_shown() {
    let columns = "{amount: {tag: public, as: \"decimal(10,2)\"}, id: {tag: public}}";
    let (house, _database) = house(&["'1.50'", &format!("'{MISFIT}'")], columns, "").await;
    let ran = house.run(&["sync", "pay"]);
    ran.expect(65);
    for says in ["`amount`", "decimal(10,2)", "columns: {amount: {as: text}}", "on_overflow: null"] {
        assert!(ran.stderr.contains(says), "`{says}` is not in the message: {}", ran.stderr);
    }
    assert!(!ran.printed().contains(MISFIT), "a value is shown: {}", ran.printed());
    assert_eq!(house.versions("pay.payments"), 0);
}

#[tokio::test]
async fn a_value_that_does_not_fit_becomes_null_where_the_spec_says_so() {
    let columns = "{amount: {tag: public, as: \"decimal(10,2)\", on_overflow: null}, \"*\": {tag: public}}";
    let transform = "\n    transform: SELECT id, amount, amount * 2 AS twice FROM source";
    let (house, _database) =
        house(&["'1.50'", &format!("'{MISFIT}'"), "'\"NaN\"'"], columns, transform).await;
    assert_eq!(fidelity(&house, "amount", 0)["fidelity"], "lossy: NULL beyond decimal(10,2)");
    let twice = fidelity(&house, "twice", 0);
    assert_eq!(twice["fidelity"], "computed from amount (lossy: NULL beyond decimal(10,2))");
    house.run(&["sync", "pay"]).expect(0);
    let found = house.query("SELECT count(*) AS all_rows, count(amount) AS kept FROM pay.payments");
    assert_eq!(found, json!([{"all_rows": 3, "kept": 1}]));
}

#[tokio::test]
async fn trap_a_decision_alone_declares_nothing() {
    let columns = "{amount: {as: \"decimal(10,2)\"}, id: {tag: public}}";
    let (house, _database) = house(&["'1.50'"], columns, "").await;
    for command in ["plan", "sync"] {
        let ran = house.run(&[command, "pay"]);
        assert!(
            ran.expect(76).stderr.contains("column `amount`: no policy rule covers its tag financial.amount"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(house.versions("pay.payments"), 0);
}

#[tokio::test]
async fn a_decision_on_no_column_of_the_source_is_invalid_and_the_nearest_is_named() {
    let columns = "{amuont: {tag: public, as: text}, \"*\": {tag: public}}";
    let (house, _database) = house(&["'1.50'"], columns, "").await;
    let ran = house.run(&["plan", "pay"]);
    assert!(ran.expect(78).stderr.contains("did you mean `amount`?"), "{}", ran.stderr);
    // A column that the transform computes has the type that its SQL gives it.
    let columns = "{twice: {tag: public, as: int64}, \"*\": {tag: public}}";
    let transform = "\n    transform: SELECT id, id * 2 AS twice FROM source";
    let (house, _database) = self::house(&["'1.50'"], columns, transform).await;
    let ran = house.run(&["sync", "pay"]);
    assert!(ran.expect(78).stderr.contains("CAST"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_digits_of_bits_and_bytes_are_no_numbers() {
    let database = Database::create().await;
    database.run("CREATE TABLE payments (id int, flags bit(8), raw bytea); INSERT INTO payments VALUES (1, B'00010000', '\\x10')").await;
    let house = House::new();
    house.config("", &connection(&database));
    house.policy("- {tags: [public], action: allow}");
    for (column, to, code) in
        [("flags", "int32", 78), ("raw", "int64", 78), ("flags", "boolean", 78), ("flags", "text", 0)]
    {
        house.pipeline(
            "pay",
            &format!(
                "connection: db\ndataset: \"pay.{{table}}\"\nstreams:\n  public.payments: \
                 {{columns: {{{column}: {{as: {to}, tag: public}}, \"*\": {{tag: public}}}}}}"
            ),
        );
        let ran = house.run(&["sync", "pay"]);
        ran.expect(code);
        assert!(code == 0 || ran.stderr.contains(&format!("column `{column}`")), "{}", ran.stderr);
    }
}

#[test]
fn what_cannot_be_carried_is_held_and_stands_in_the_table_of_the_plan() {
    let house = House::new();
    house.policy("- {tags: [public], action: allow}");
    house.pipeline(
        "pay",
        "connection: drops\ndataset: \"pay.rows\"\nstreams:\n  rows:\n    path: rows.parquet\n    columns: {\"*\": {tag: public}}",
    );
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let spot: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("id", id), ("spot", spot)]).unwrap();
    let file = File::create(house.path("in/drops/rows.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let shown = fidelity(&house, "spot", 76);
    assert_eq!(shown["fidelity"], "refused");
    assert_eq!((&shown["arrow_type"], &shown["type"]), (&Value::Null, &Value::Null));
    assert_eq!(fidelity(&house, "id", 76)["fidelity"], "exact");
    let ran = house.run(&["plan", "pay"]);
    assert!(ran.expect(76).stdout.contains("refused"), "{}", ran.stdout);
    house.run(&["sync", "pay"]).expect(76);
}
