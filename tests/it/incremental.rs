//! Incremental sync against real databases: what is new arrives, nothing is lost or doubled at the boundary,
//! and the cursor is nobody's to read.

mod backfill;
mod changed;
mod killed;
mod others;
mod rejected;

use serde_json::{Value, json};

use crate::house::{House, Ran, connection};
use crate::needles::Needles;
use crate::servers::postgres::Database;

/// Everything is open, and a row is told by its `id`.
const OPEN: &str =
    "columns: {\"*\": {tag: public}}, primary_key: [id], write_mode: append, sync_mode: incremental";

/// A house with the pipeline `shop` over `public.orders` of a database that these statements made.
async fn shop(sql: &str, stream: &str) -> (House, Database) {
    let database = Database::create().await;
    database.run(sql).await;
    let house = House::new();
    house.config("", &connection(&database));
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    orders(&house, stream);
    (house, database)
}

/// Writes the pipeline anew.
fn orders(house: &House, stream: &str) {
    let streams = format!("streams:\n  public.orders: {{{stream}}}");
    house.pipeline("shop", &format!("connection: db\ndataset: \"shop.{{table}}\"\n{streams}"));
}

/// Runs the pipeline, and how many rows it added.
fn sync(house: &House, more: &[&str]) -> u64 {
    let summary = house.json(&[&["sync", "shop"], more].concat(), 0);
    assert_eq!(summary["outcome"], "done");
    summary["streams"][0]["rows"].as_u64().unwrap()
}

/// The published ids, those twice that are there twice.
fn ids(house: &House) -> Vec<i64> {
    let rows = house.query("SELECT id FROM shop.orders ORDER BY id");
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// The `sealift` part of a commit.
fn commit(house: &House, version: usize) -> Value {
    let log = house.path("out/lake/shop/orders/_delta_log").join(format!("{version:020}.json"));
    let text = std::fs::read_to_string(log).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    first["commitInfo"]["sealift"].clone()
}

const STAMPED: &str = "CREATE TABLE orders (id int NOT NULL, at timestamptz, note text);
    INSERT INTO orders VALUES (1, '2024-01-01 10:00Z', 'a'), (2, '2024-01-01 11:00Z', 'b'), (3, NULL, 'c')";

#[tokio::test]
async fn rows_that_share_the_last_cursor_arrive_once_and_rows_without_one_too() {
    let (house, database) = shop(STAMPED, &format!("{OPEN}, cursor_field: at")).await;
    assert_eq!(sync(&house, &[]), 3);
    assert_eq!(sync(&house, &[]), 0);
    assert_eq!(house.versions("shop.orders"), 1, "nothing is new, so there is no new version");
    database
        .run(
            "INSERT INTO orders VALUES (4, '2024-01-01 11:00Z', 'tie'), (5, '2024-01-01 10:59:59.999999Z', 'late'),
             (6, NULL, 'none'), (7, '2024-01-02Z', 'new')",
        )
        .await;
    assert_eq!(sync(&house, &[]), 3, "the tie, the one without a cursor and the new one");
    assert_eq!(ids(&house), [1, 2, 3, 4, 6, 7]);
    assert_eq!(sync(&house, &[]), 0);
    assert_eq!(house.versions("shop.orders"), 2);
    // A row that changes has a new cursor: it is added as it is now.
    database.run("UPDATE orders SET at = '2024-01-03Z', note = 'changed' WHERE id IN (2, 6)").await;
    assert_eq!(sync(&house, &[]), 2);
    assert_eq!(ids(&house), [1, 2, 2, 3, 4, 6, 6, 7]);

    // Everything again: what was appended is replaced.
    assert_eq!(sync(&house, &["--full-refresh"]), 7);
    assert_eq!(ids(&house), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(sync(&house, &[]), 0, "and from there on");
}

#[tokio::test]
async fn a_commit_that_comes_late_is_caught_by_the_lookback_and_by_nothing_else() {
    for (lookback, caught) in [("", 0), (", lookback: 1h", 1)] {
        let (house, database) = shop(STAMPED, &format!("{OPEN}, cursor_field: at{lookback}")).await;
        let late = database.server.client(&database.name).await;
        late.batch_execute("BEGIN; INSERT INTO orders VALUES (9, '2024-01-01 10:30Z', 'late')")
            .await
            .unwrap();
        assert_eq!(sync(&house, &[]), 3);
        late.batch_execute("COMMIT").await.unwrap();
        assert_eq!(sync(&house, &[]), caught, "`{lookback}`");
        assert_eq!(sync(&house, &[]), 0, "what was caught is known");
    }
}

#[tokio::test]
async fn texts_compare_by_their_bytes_whatever_the_collation() {
    let sql = "CREATE TABLE orders (id int NOT NULL, code text COLLATE \"und-x-icu\" NOT NULL);
        INSERT INTO orders VALUES (1, 'a'), (2, 'f')";
    let (house, database) = shop(sql, &format!("{OPEN}, cursor_field: code")).await;
    assert_eq!(sync(&house, &[]), 2);
    // For the collation é is before f and F behind it; by their bytes it is the other way round.
    database.run("INSERT INTO orders VALUES (3, 'é'), (4, 'F'), (5, 'it''s \\ new')").await;
    assert_eq!(sync(&house, &[]), 2);
    assert_eq!(ids(&house), [1, 2, 3, 5]);
}

#[tokio::test]
async fn several_columns_compare_one_after_the_other() {
    let sql = "CREATE TABLE orders (id int NOT NULL, day date NOT NULL, n numeric(6,2));
        INSERT INTO orders VALUES (1, '2024-01-01', 5), (2, '2024-01-02', 5)";
    let (house, database) = shop(sql, &format!("{OPEN}, cursor_field: [day, n]")).await;
    assert_eq!(sync(&house, &[]), 2);
    database
        .run(
            "INSERT INTO orders VALUES (3, '2024-01-02', 5.01), (4, '2024-01-02', 4.99), (5, '2024-01-02', 5),
             (6, '2024-01-03', 1), (7, '2024-01-01', 99), (8, '2023-01-01', NULL)",
        )
        .await;
    assert_eq!(sync(&house, &[]), 4);
    assert_eq!(ids(&house), [1, 2, 3, 5, 6, 8]);
}

#[tokio::test]
async fn the_cursor_is_followed_where_nothing_of_it_is_published() {
    let stream = format!(
        "{OPEN}, cursor_field: at, transform: \"SELECT id, upper(note) AS note FROM source WHERE note <> 'skip'\""
    );
    let (house, database) = shop(STAMPED, &stream).await;
    assert_eq!(sync(&house, &[]), 3);
    database.run("INSERT INTO orders VALUES (4, '2024-01-01 11:00Z', 'd'), (5, '2024-01-05Z', 'skip')").await;
    assert_eq!(sync(&house, &[]), 1, "the row below the cursor and the one without are known by their ids");
    assert_eq!(house.query("SELECT note FROM shop.orders WHERE id = 4"), json!([{"note": "D"}]));
    // The row that the transform left out has moved the cursor all the same.
    database.run("INSERT INTO orders VALUES (6, '2024-01-04Z', 'below'), (7, '2024-01-06Z', 'g')").await;
    assert_eq!(sync(&house, &[]), 1);
    assert_eq!(ids(&house), [1, 2, 3, 4, 7]);
    let plan = house.json(&["plan", "shop"], 0);
    let columns: Vec<&Value> =
        plan["streams"][0]["columns"].as_array().unwrap().iter().map(|column| &column["column"]).collect();
    assert_eq!(json!(columns), json!(["id", "note"]));
}

#[tokio::test]
async fn the_cursor_is_in_no_byte_that_is_written() {
    let first = "Zq81LmXc0Pw4";
    let (house, database) = shop(
        &format!("CREATE TABLE orders (id int NOT NULL, code text NOT NULL); INSERT INTO orders VALUES (1, '{first}')"),
        &format!("{}, cursor_field: code", OPEN.replace("{\"*\"", "{code: {tag: pii.code}, \"*\"")),
    )
    .await;
    assert_eq!(sync(&house, &[]), 1);
    let cursor = commit(&house, 0)["cursor"].clone();
    assert!(cursor["key"].as_str().unwrap().starts_with("sealift:shop.orders#note@"), "{cursor}");
    let last = "zz93KdYtRv7B";
    database.run(&format!("INSERT INTO orders VALUES (2, '{last}'), (3, '{first}')")).await;
    house.run(&["-vv", "plan", "shop"]).expect(0);
    house.run(&["-vv", "sync", "shop"]).expect(0);
    assert_eq!(
        ids(&house),
        [1, 2, 3],
        "the tie is told from the row that is there although both are encrypted"
    );
    assert_eq!(sync(&house, &[]), 0);
    // A query that the database refuses in the middle of an incremental read.
    database.run("INSERT INTO orders VALUES (4, 'zzz')").await;
    database.run("ALTER TABLE orders RENAME COLUMN code TO other").await;
    house.run(&["-vv", "sync", "shop"]).expect(78);
    let mut needles = Needles::default();
    needles.text("the first cursor", first);
    needles.text("the last cursor", last);
    assert_eq!(needles.find_below(&house.path("out")), []);
}

#[tokio::test]
async fn another_cursor_is_held_until_everything_is_read_again() {
    let (house, _database) = shop(STAMPED, &format!("{OPEN}, cursor_field: at")).await;
    sync(&house, &[]);
    orders(&house, &format!("{OPEN}, cursor_field: id"));
    let ran = house.run(&["sync", "shop"]);
    says(ran.expect(76), &["followed another cursor", "--full-refresh"]);
    assert_eq!(sync(&house, &["--full-refresh"]), 3);
    assert_eq!(sync(&house, &[]), 0);
}

#[tokio::test]
async fn what_is_no_cursor_is_told_before_a_row_moves() {
    let sql = "CREATE TABLE orders (id int NOT NULL, f float8, n numeric, b boolean, t text, at timestamp)";
    let (house, _database) = shop(sql, &format!("{OPEN}, cursor_field: id")).await;
    for (cursor, code, words) in [
        ("f", 76, "no exact order"),
        ("b", 76, "no exact order"),
        ("n", 76, "as: \"decimal(38,6)\""),
        ("gone", 78, "names `gone`"),
        ("t, lookback: 1h", 78, "no distance"),
        ("at, lookback: 5", 78, "no distance"),
        ("id, lookback: 1h", 78, "no distance"),
    ] {
        orders(&house, &format!("{OPEN}, cursor_field: {cursor}"));
        says(house.run(&["plan", "shop"]).expect(code), &[words]);
    }
    let masked = OPEN.replace("{\"*\"", "{id: {action: nullify}, \"*\"");
    orders(&house, &format!("{masked}, cursor_field: at"));
    says(house.run(&["plan", "shop"]).expect(76), &["`id` of `primary_key`", "different keys look alike"]);
}

#[tokio::test]
async fn a_decided_type_is_compared_as_what_it_becomes() {
    let sql = "CREATE TABLE orders (id int NOT NULL, n numeric NOT NULL); INSERT INTO orders VALUES (1, 9.5), (2, 8)";
    let decided = OPEN.replace("{\"*\"", "{n: {as: \"decimal(10,2)\"}, \"*\"");
    let (house, database) = shop(sql, &format!("{decided}, cursor_field: n, lookback: 1")).await;
    assert_eq!(sync(&house, &[]), 2);
    database.run("INSERT INTO orders VALUES (3, 10), (4, 8.5), (5, 8.49)").await;
    assert_eq!(sync(&house, &[]), 2, "10 is more than 9.5, and 8.5 is one less");
    assert_eq!(ids(&house), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_merge_reads_what_changed_and_finds_what_is_gone() {
    let merge = OPEN.replace("append", "merge");
    let (house, database) =
        shop(STAMPED, &format!("{merge}, cursor_field: at, lookback: 1h, delete_missing: hard")).await;
    assert_eq!(sync(&house, &[]), 3);
    database
        .run(
            "UPDATE orders SET at = '2024-01-03Z', note = 'changed' WHERE id = 1;
             UPDATE orders SET note = 'unseen' WHERE id = 2; INSERT INTO orders VALUES (4, '2024-01-02Z', 'd')",
        )
        .await;
    sync(&house, &[]);
    let notes = || house.query("SELECT id, note FROM shop.orders ORDER BY id");
    let expected = [(1, "changed"), (2, "unseen"), (3, "c"), (4, "d")];
    assert_eq!(notes(), json!(expected.map(|(id, note)| json!({"id": id, "note": note}))));
    database
        .run("UPDATE orders SET note = 'below the cursor' WHERE id = 2; DELETE FROM orders WHERE id = 4")
        .await;
    sync(&house, &[]);
    let expected = [(1, "changed"), (2, "unseen"), (3, "c")];
    assert_eq!(notes(), json!(expected.map(|(id, note)| json!({"id": id, "note": note}))));
    house.run(&["verify", "shop.orders", "--against-source"]).expect(1);
    sync(&house, &["--from", "2024-01-01", "--to", "2024-01-02"]);
    assert_eq!(
        house.query("SELECT note FROM shop.orders WHERE id = 2"),
        json!([{"note": "below the cursor"}])
    );
    house.run(&["verify", "shop.orders", "--against-source"]).expect(0);
}

#[tokio::test]
async fn a_row_that_is_rejected_again_is_set_aside_once() {
    let sql = "CREATE TABLE orders (id int NOT NULL, at timestamptz NOT NULL, amount numeric, note text);
        INSERT INTO orders VALUES (1, '2024-01-01Z', 1, 'fits'), (2, '2024-01-02Z', 'NaN', NULL)";
    let decided = "{amount: {tag: pii.amount, as: \"decimal(10,2)\", on_overflow: quarantine}, \"*\"";
    for mode in ["append", "merge"] {
        let stream = OPEN.replace("{\"*\"", decided).replace("append", mode);
        let (house, database) = shop(sql, &format!("{stream}, cursor_field: at, lookback: 1day")).await;
        let rejected = || house.query("SELECT id FROM shop.orders__quarantine ORDER BY id");
        sync(&house, &[]);
        sync(&house, &[]);
        assert_eq!(rejected(), json!([{"id": 2}]), "{mode}");
        assert_eq!(house.versions("shop.orders__quarantine"), 1);
        // The same key, and another row.
        database
            .run("INSERT INTO orders VALUES (2, '2024-01-02Z', 'NaN', ''), (3, '2024-01-03Z', 3, 'fits')")
            .await;
        sync(&house, &[]);
        assert_eq!((rejected(), ids(&house)), (json!([{"id": 2}, {"id": 2}]), vec![1, 3]), "{mode}");
    }
}

#[tokio::test]
async fn a_merge_of_nothing_new_is_no_version() {
    let merge = OPEN.replace("append", "merge");
    let (house, database) = shop(
        "CREATE TABLE orders (id int NOT NULL, n int NOT NULL); INSERT INTO orders VALUES (1, 1), (2, 2)",
        &format!("{merge}, cursor_field: n"),
    )
    .await;
    sync(&house, &[]);
    sync(&house, &[]);
    database.run("INSERT INTO orders VALUES (3, 1)").await;
    sync(&house, &["--full-refresh"]);
    assert_eq!(ids(&house), [1, 2, 3]);
    database.run("DELETE FROM orders").await;
    let versions = house.versions("shop.orders");
    assert_eq!(sync(&house, &[]), 0);
    assert_eq!(house.versions("shop.orders"), versions);
    assert_eq!(ids(&house), [1, 2, 3]);
}

#[tokio::test]
async fn an_index_on_the_cursor_is_used() {
    let sql = "CREATE TABLE orders (id int NOT NULL, at timestamptz, note text);
        INSERT INTO orders SELECT i, '2024-01-01Z'::timestamptz + i * interval '1 s', repeat('x', 200)
            FROM generate_series(1, 40000) AS i;
        CREATE INDEX ON orders (at); ANALYZE orders";
    let (house, database) = shop(sql, &format!("{OPEN}, cursor_field: at, lookback: 1s")).await;
    assert_eq!(sync(&house, &[]), 40_000);
    let scans = async || {
        let row = database
            .client
            .query_one("SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'orders'", &[])
            .await
            .unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    // The server tells its counts a little later.
    let mut before = scans().await;
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let now = scans().await;
        if now == before && now.0 > 0 {
            break;
        }
        before = now;
    }
    database.run("INSERT INTO orders VALUES (50000, '2025-01-01Z', 'new')").await;
    assert_eq!(sync(&house, &[]), 1);
    for _ in 0..50 {
        if scans().await.1 > before.1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let after = scans().await;
    assert_eq!(after.0, before.0, "no scan of the table");
    // One for the range and one for NULL, and what the planner looks up at the index's ends when it is asked and
    // when it reads; sixteen pieces of the table would each be as many.
    assert!((1..=8).contains(&(after.1 - before.1)), "{before:?} {after:?}");
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.printed().contains(word), "`{word}` is not in {}", ran.printed());
    }
}
