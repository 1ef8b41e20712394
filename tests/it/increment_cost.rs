//! An increment costs what has changed, not what is there: the requests that a sync makes of the lake, and
//! the data files among them, do not grow with the dataset. `benches/increment/run` measures the time.

use std::collections::BTreeSet;

use crate::house::{Dice, House, connection};
use crate::servers::faults::{Passed, Rates, Unreliable};
use crate::servers::postgres::Database;
use crate::servers::s3;

const ROWS: i64 = 4_000;
const NEW_ROWS: i64 = 100;
const FEW_FILES: i64 = 4;
const MANY_FILES: i64 = 64;

/// What a sync asked of the lake.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    requests: usize,
    /// Of those that were there before.
    data_files_read: usize,
    data_files_written: usize,
}

impl Asked {
    /// The test of the store is among them, where one was made.
    fn of(journal: &[Passed]) -> Self {
        let data_files = |method: &str| {
            let of_data =
                journal.iter().filter(|passed| passed.path.contains("/part-") && passed.method == method);
            of_data.map(|passed| &passed.path).collect::<BTreeSet<_>>()
        };
        let (read, written) = (data_files("GET"), data_files("PUT"));
        Self {
            requests: journal.len(),
            data_files_read: read.difference(&written).count(),
            data_files_written: written.len(),
        }
    }
}

/// A dataset of `files` files, one for each value of `part`.
struct Shop {
    house: House,
    network: Unreliable,
    database: Database,
    _server: s3::Server,
}

impl Shop {
    async fn new(files: i64, mode: &str) -> Self {
        let server = s3::Server::start().await;
        server.create_bucket("lake").await;
        let dice = Dice::fixed(0);
        let network = Unreliable::start(server.endpoint(), Rates::default(), "nothing", dice).await;
        let database = Database::create().await;
        database
            .run(&format!(
                "CREATE TABLE items (id bigint PRIMARY KEY, part bigint, name text, changed bigint);
                 INSERT INTO items SELECT g, g * {files} / {ROWS}, 'x' || g, g FROM generate_series(0, {ROWS} - 1) g"
            ))
            .await;
        let mut house = House::new();
        house.config_on_s3(&network.endpoint(), &connection(&database));
        house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
        house.pipeline(
            "shop",
            &format!(
                "connection: db\ndataset: \"shop.{{table}}\"\nstreams:\n  public.items: {{sync_mode: incremental, \
                 cursor_field: changed, primary_key: [id], {mode}, partition_by: [part], \
                 columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}}}"
            ),
        );
        let shop = Self { house, network, database, _server: server };
        let asked = shop.sync().await;
        assert_eq!(asked.data_files_written as i64, files);
        shop
    }

    async fn sync(&self) -> Asked {
        self.house.run(&["sync", "shop"]).expect(0);
        self.network.settled().await;
        Asked::of(&self.network.journal())
    }

    /// Adds rows to the last part.
    async fn add(&self, files: i64) {
        let sql = format!(
            "INSERT INTO items SELECT g, {files} - 1, 'y' || g, g FROM generate_series({ROWS}, {ROWS} + {NEW_ROWS} - 1) g"
        );
        self.database.run(&sql).await;
    }

    fn rows(&self) -> i64 {
        let found = self.house.query("SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM shop.items");
        assert_eq!(found[0]["rows"], found[0]["ids"]);
        self.network.journal();
        found[0]["rows"].as_i64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_rows_cost_the_same_however_many_files_there_are() {
    for mode in ["write_mode: append", "write_mode: merge"] {
        let mut asked = Vec::new();
        for files in [FEW_FILES, MANY_FILES] {
            let shop = Shop::new(files, mode).await;
            shop.add(files).await;
            let of_this = shop.sync().await;
            assert_eq!(shop.rows(), ROWS + NEW_ROWS);
            asked.push(of_this);
        }
        println!("{mode}, of {FEW_FILES} and of {MANY_FILES} files: {asked:?}");
        // The row at the boundary is read again, and only its file may hold its key.
        assert!(asked.iter().all(|asked| asked.data_files_read <= 1), "{mode}: {asked:?}");
        assert_eq!(asked[0], asked[1], "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_rows_cost_the_files_that_hold_them() {
    let shop = Shop::new(MANY_FILES, "write_mode: merge").await;
    shop.database.run(&format!("UPDATE items SET name = 'z', changed = {ROWS} WHERE part IN (3, 40)")).await;
    let asked = shop.sync().await;
    assert_eq!(shop.rows(), ROWS);
    // Two parts, and the one at the boundary.
    assert!(asked.data_files_read <= 3 && asked.data_files_written <= 3, "{asked:?}");
    let found = shop.house.query("SELECT count(*) AS rows FROM shop.items WHERE name = 'z'");
    assert_eq!(found[0]["rows"], 2 * ROWS / MANY_FILES);
}
