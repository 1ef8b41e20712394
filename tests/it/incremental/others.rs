//! The same of other sources, as far as they differ.

use sealift::secret::Reference;
use serde_json::json;

use crate::house::House;
use crate::servers::mariadb;
use crate::source_sqlite;

fn house(connection: &str, stream: &str, more: &str) -> House {
    let house = House::new();
    house.config("", connection);
    house.policy("- {tags: [public], action: allow}");
    house.pipeline(
        "shop",
        &format!(
            "connection: db\ndataset: \"shop.orders\"\nstreams:\n  {stream}: {{{more}, columns: {{\"*\": {{tag: public}}}}, \
             primary_key: [id], write_mode: append, sync_mode: incremental}}"
        ),
    );
    house
}

fn sync(house: &House) -> u64 {
    house.json(&["sync", "shop"], 0)["streams"][0]["rows"].as_u64().unwrap()
}

fn ids(house: &House) -> serde_json::Value {
    house.query("SELECT id FROM shop.orders ORDER BY id")
}

#[tokio::test]
async fn sqlite_follows_texts_and_whole_numbers() {
    for (cursor, values) in [("code", ["'f'", "'F'", "'é'"]), ("n", ["-9", "-10", "5"])] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let sql = format!(
            "CREATE TABLE orders (id INTEGER NOT NULL, code TEXT COLLATE NOCASE, n INTEGER);
             INSERT INTO orders (id, {cursor}) VALUES (1, {})",
            values[0]
        );
        source_sqlite::make(&file, &sql).await;
        let connection = format!("db: {{sqlite: {{path: {}}}}}", file.display());
        let house = house(&connection, "main.orders", &format!("cursor_field: {cursor}"));
        assert_eq!(sync(&house), 1);
        let sql = format!(
            "INSERT INTO orders (id, {cursor}) VALUES (2, {}), (3, {}), (4, NULL)",
            values[1], values[2]
        );
        source_sqlite::make(&file, &sql).await;
        assert_eq!((sync(&house), sync(&house)), (2, 0));
        assert_eq!(ids(&house), json!([{"id": 1}, {"id": 3}, {"id": 4}]));
    }
}

#[tokio::test]
async fn sqlite_follows_what_is_decided_to_be_an_instant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    source_sqlite::make(
        &file,
        "CREATE TABLE orders (id INTEGER NOT NULL, at DATETIME); INSERT INTO orders VALUES (1, '2024-01-01 10:00:00')",
    )
    .await;
    let connection = format!("db: {{sqlite: {{path: {}}}}}", file.display());
    let house = house(&connection, "main.orders", "cursor_field: at, lookback: 1h");
    house.run(&["plan", "shop"]).expect(76);
    let text = std::fs::read_to_string(house.path("in/pipelines/shop.yaml")).unwrap();
    house.write("in/pipelines/shop.yaml", &text.replace("columns: {", "columns: {at: {as: timestamp}, "));
    assert_eq!(sync(&house), 1);
    // Another way to write an instant, which has another order as a text.
    source_sqlite::make(
        &file,
        "INSERT INTO orders VALUES (2, '2024-01-01T09:30:00'), (3, '2024-01-01T08:59:59')",
    )
    .await;
    assert_eq!((sync(&house), sync(&house)), (1, 0));
}

#[tokio::test]
async fn mariadb_follows_every_kind_of_cursor() {
    for (kind, values) in [
        ("int unsigned", ["7", "6", "8"]),
        ("bigint unsigned", ["18446744073709551000", "5", "18446744073709551615"]),
        ("decimal(10,3)", ["-1.005", "-1.006", "-1.004"]),
        ("varchar(20) CHARACTER SET latin1 COLLATE latin1_german1_ci", ["'f'", "'F'", "'é'"]),
        ("date", ["'2024-01-01'", "'2023-12-31'", "'2024-01-02'"]),
        (
            "datetime(6)",
            ["'2024-01-01 10:00:00.000002'", "'2024-01-01 10:00:00.000001'", "'2024-01-01 10:00:00.000003'"],
        ),
        (
            "timestamp(6) NULL",
            ["'2024-01-01 10:00:00.5'", "'2024-01-01 10:00:00.4'", "'2024-01-01 10:00:00.6'"],
        ),
    ] {
        let database = mariadb::Database::create().await;
        database.run(&[&format!("CREATE TABLE orders (id int NOT NULL, c {kind} NULL)")]).await;
        let values: Vec<String> =
            values.iter().enumerate().map(|(id, value)| format!("({}, {value})", id + 1)).collect();
        database.run(&[&format!("INSERT INTO orders VALUES {}", values[0])]).await;
        let settings = database.settings();
        let Some(Reference::File(password)) = &settings.password else { panic!("the password is in a file") };
        let connection = format!(
            "db: {{mysql: {{host: {}, port: {}, database: {}, user: {}, tls: disable, password: \"file:{}\"}}}}",
            settings.host,
            settings.port,
            settings.database,
            settings.user,
            password.display()
        );
        let house = house(&connection, &format!("{}.orders", database.name), "cursor_field: c");
        assert_eq!(sync(&house), 1, "{kind}");
        database.run(&[&format!("INSERT INTO orders VALUES {}, {}, (4, NULL)", values[1], values[2])]).await;
        assert_eq!((sync(&house), sync(&house)), (2, 0), "{kind}");
        assert_eq!(ids(&house), json!([{"id": 1}, {"id": 3}, {"id": 4}]), "{kind}");
    }
}

/// A table `orders` of an SQLite file with these rows (id and instant), and its pipeline.
async fn stamped(rows: &str, more: &str) -> (tempfile::TempDir, House) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    let sql =
        format!("CREATE TABLE orders (id INTEGER NOT NULL, at DATETIME); INSERT INTO orders VALUES {rows}");
    source_sqlite::make(&file, &sql).await;
    let connection = format!("db: {{sqlite: {{path: {}}}}}", file.display());
    let house = house(&connection, "main.orders", &format!("cursor_field: at, {more}"));
    let text = std::fs::read_to_string(house.path("in/pipelines/shop.yaml")).unwrap();
    house.write("in/pipelines/shop.yaml", &text.replace("columns: {", "columns: {at: {as: timestamp}, "));
    (folder, house)
}

#[tokio::test]
async fn trap_a_row_from_the_future_hides_none_of_now() {
    let rows = "(1, '2024-01-01 10:00:00'), (2, '9999-12-31 00:00:00')";
    let (folder, house) = stamped(rows, "quality: [{check: \"id > 0\"}]").await;
    let first = house.json(&["sync", "shop"], 0);
    assert_eq!(first["streams"][0]["rows"], 2);
    assert!(first["streams"][0]["warnings"][0].as_str().unwrap().contains("later than now"), "{first}");
    let now = "INSERT INTO orders VALUES (3, '2024-01-02 10:00:00')";
    source_sqlite::make(&folder.path().join("shop.db"), now).await;
    assert_eq!((sync(&house), sync(&house)), (1, 0));
    assert_eq!(ids(&house), json!([{"id": 1}, {"id": 2}, {"id": 3}]));
}

#[tokio::test]
async fn rows_that_are_read_again_are_none_that_a_run_brings() {
    let (folder, house) = stamped("(1, '2024-01-01 10:00:00')", "quality: [{row_count: {min: 1}}]").await;
    assert_eq!(sync(&house), 1);
    let told = house.run(&["sync", "shop"]);
    told.expect(65);
    assert!(told.printed().contains("row_count: 0 rows, and at least 1 are due"), "{}", told.printed());
    let more = "INSERT INTO orders VALUES (2, '2024-01-01 10:00:00')";
    source_sqlite::make(&folder.path().join("shop.db"), more).await;
    assert_eq!(sync(&house), 1);
}

#[tokio::test]
async fn what_is_made_of_many_rows_is_not_made_of_some_of_them() {
    let sql = "transform: \"SELECT id, count(*) AS n FROM source GROUP BY id\"";
    let (_folder, house) = stamped("(1, '2024-01-01 10:00:00')", sql).await;
    let held = house.run(&["plan", "shop"]);
    held.expect(76);
    assert!(held.printed().contains("groups or counts"), "{}", held.printed());
}
