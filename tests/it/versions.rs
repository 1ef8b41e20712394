//! Time travel: every version that the write modes leave behind is read by other engines, and by our own
//! query, as what it was when it was published.

use serde_json::{Value, json};

use crate::house::{House, connection, script};
use crate::servers::postgres::Database;
use crate::servers::s3;

/// Rows, the sum of `id` and the sum of `cents`: of open columns, which need no key.
type Sums = [i64; 3];

/// One publication: what happens to the source before it, and how it is published.
struct Step {
    change: &'static str,
    mode: &'static str,
    /// Whether the rows are added to those of the version before, or are all there is.
    adds: bool,
}

const fn step(mode: &'static str, change: &'static str) -> Step {
    Step { change, mode, adds: false }
}

const OVERWRITE: &str = "sync_mode: full_refresh, write_mode: overwrite";
const APPEND: &str = "sync_mode: full_refresh, write_mode: append";
const MERGE: &str = "sync_mode: full_refresh, write_mode: merge, primary_key: [id]";
const MERGE_AND_DELETE: &str =
    "sync_mode: full_refresh, write_mode: merge, primary_key: [id], delete_missing: hard";
const INCREMENT: &str =
    "sync_mode: incremental, write_mode: merge, primary_key: [id], cursor_field: changed, lookback: 10";
const INCREMENT_ADDED: &str =
    "sync_mode: incremental, write_mode: append, primary_key: [id], cursor_field: changed, lookback: 10";

/// More than the ten versions after which a checkpoint is written.
const STEPS: [Step; 14] = [
    step(
        OVERWRITE,
        "INSERT INTO items SELECT g, g * 7, 'x' || g, 'c' || g % 3, g FROM generate_series(1, 400) g",
    ),
    step(OVERWRITE, "DELETE FROM items WHERE id % 5 = 0"),
    Step { mode: APPEND, change: "UPDATE items SET cents = cents + 1", adds: true },
    step(OVERWRITE, "INSERT INTO items SELECT g, g, NULL, 'c9', 400 FROM generate_series(1001, 1100) g"),
    step(MERGE, "UPDATE items SET cents = -cents, country = 'c1' WHERE id % 3 = 0"),
    step(MERGE, "INSERT INTO items SELECT g, g, 'y', 'c2', 500 FROM generate_series(2001, 2003) g"),
    step(MERGE_AND_DELETE, "DELETE FROM items WHERE id % 7 = 0; UPDATE items SET cents = 5 WHERE id = 1"),
    step(INCREMENT, "UPDATE items SET cents = 11, changed = 600 WHERE id < 20"),
    step(INCREMENT, "INSERT INTO items SELECT g, g, 'z', 'c0', 595 FROM generate_series(3001, 3050) g"),
    step(INCREMENT, "UPDATE items SET name = 'w', cents = 12, changed = 601 WHERE id BETWEEN 3001 AND 3010"),
    step(INCREMENT, "SELECT 1"),
    step(INCREMENT_ADDED, "INSERT INTO items SELECT g, g, 'v', 'c0', 602 FROM generate_series(4001, 4010) g"),
    step(INCREMENT_ADDED, "INSERT INTO items SELECT g, g, 'v', 'c1', 602 FROM generate_series(4011, 4020) g"),
    step(
        MERGE_AND_DELETE,
        "DELETE FROM items WHERE id > 4005; UPDATE items SET cents = 0 WHERE country = 'c2'",
    ),
];

async fn sums_of_source(database: &Database) -> Sums {
    let sql = "SELECT count(*), coalesce(sum(id), 0)::bigint, coalesce(sum(cents), 0)::bigint FROM items";
    let row = database.client.query_one(sql, &[]).await.unwrap();
    [row.get(0), row.get(1), row.get(2)]
}

/// Publishes every step; what each version must hold. A step that changes nothing may leave no version.
async fn publish_all(house: &House, database: &Database, partition_by: &str) -> Vec<Sums> {
    database
        .run("CREATE TABLE items (id bigint PRIMARY KEY, cents bigint, name text, country text, changed bigint)")
        .await;
    let mut versions: Vec<Sums> = Vec::new();
    for (at, step) in STEPS.iter().enumerate() {
        database.run(step.change).await;
        house.pipeline(
            "shop",
            &format!(
                "connection: db\ndataset: \"shop.{{table}}\"\nstreams:\n  public.items: {{{}{partition_by}, \
                 columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}}}",
                step.mode
            ),
        );
        let summary = house.json(&["sync", "shop"], 0);
        let mut sums = sums_of_source(database).await;
        if let Some(before) = versions.last().filter(|_| step.adds) {
            sums = std::array::from_fn(|of| sums[of] + before[of]);
        }
        let version = summary["streams"][0]["version"].as_u64().unwrap() as usize;
        assert!(version <= versions.len(), "step {at}: {summary}");
        versions.truncate(version);
        versions.push(sums);
    }
    versions
}

/// Reads every version with every engine.
fn read_all(house: &House, versions: &[Sums], url: &str, env: &[(&str, &str)]) {
    let newest = versions.len() - 1;
    assert!(newest > 10, "the log has a checkpoint");
    for engine in ["deltalake", "polars", "duckdb"] {
        let read = script("versions.py", &[engine, url, &newest.to_string()], env);
        assert_eq!(read["versions"], json!(versions), "{engine}");
    }
    for (version, [rows, ids, cents]) in versions.iter().enumerate() {
        let sql = "SELECT count(*) AS rows, sum(id) AS ids, sum(cents) AS cents, count(name) AS names FROM shop.items";
        let ran = house.run(&["query", sql, "--as-of", &version.to_string(), "--format", "json"]);
        let read: Value = serde_json::from_str(ran.expect(0).stdout.trim()).unwrap();
        let sums = json!([read[0]["rows"], read[0]["ids"], read[0]["cents"]]);
        assert_eq!(sums, json!([rows, ids, cents]), "version {version}");
        assert!(read[0]["names"].as_i64().unwrap() > 0, "the encrypted column opens too");
    }
}

fn policy(house: &House) {
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_in_a_folder_is_read_as_it_was() {
    let database = Database::create().await;
    let house = House::new();
    house.config("", &connection(&database));
    policy(&house);
    let versions = publish_all(&house, &database, "").await;
    read_all(&house, &versions, house.path("out/lake/shop/items").to_str().unwrap(), &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_on_s3_is_read_as_it_was() {
    let database = Database::create().await;
    let server = s3::Server::start().await;
    server.create_bucket("lake").await;
    let mut house = House::new();
    house.config_on_s3(&server.endpoint(), &connection(&database));
    policy(&house);
    let versions = publish_all(&house, &database, ", partition_by: [country]").await;
    let endpoint = server.endpoint();
    let env = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    read_all(&house, &versions, "s3://lake/test/shop/items", &env);
}
