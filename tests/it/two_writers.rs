//! Two programs that know nothing of each other publish the same stream to one lake: each version is one of
//! them, whole, in an order in which the source was read; who loses says so, and nothing is lost.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{House, connection};
use crate::servers::postgres::Database;

const ROUNDS: usize = 50;
const ROWS: u64 = 20;

const MODES: [&str; 3] = [
    "write_mode: overwrite",
    "write_mode: append",
    "write_mode: merge\n    primary_key: [id]\n    delete_missing: hard",
];

/// Writes the pipeline with one of the modes.
fn pipeline(house: &House, mode: &str) {
    house.pipeline(
        "clock",
        &format!(
            "connection: db\ndataset: \"clock.{{table}}\"\nstreams:\n  public.ticks:\n    \
             columns: {{note: {{tag: secret}}, \"*\": {{tag: public}}}}\n    {mode}"
        ),
    );
}

/// A house of its own configuration, ledger and processes. The lake and the keys are the first one's.
fn house(database: &Database, lake: Option<&House>) -> House {
    let house = House::new();
    let store = lake.map(|first| format!("lake: {{url: \"file:{}\"}}", first.path("out/lake").display()));
    house.config(&store.unwrap_or_default(), &connection(database));
    house.policy("- {tags: [secret], action: encrypt}\n- {tags: [public], action: allow}");
    pipeline(&house, MODES[0]);
    if let Some(first) = lake {
        symlink(first.path("out/keys"), house.path("out/keys")).unwrap();
    }
    house
}

/// What a version did, as its commit tells it, and the rows that are then there.
#[derive(Debug)]
struct Version {
    operation: String,
    rows: u64,
    ids: u64,
    first_tick: u64,
    last_tick: u64,
}

fn version(house: &House, number: usize) -> Version {
    let path = house.path(&format!("out/lake/clock/ticks/_delta_log/{number:020}.json"));
    let commit = std::fs::read_to_string(path).unwrap();
    let info: Value = serde_json::from_str(commit.lines().next().unwrap()).unwrap();
    let info = &info["commitInfo"];
    let mode = info["operationParameters"]["mode"].as_str().unwrap_or_default();
    let sql =
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, min(tick) AS a, max(tick) AS b FROM clock.ticks";
    let number = number.to_string();
    let ran = house.run(&["query", sql, "--as-of", &number, "--format", "json"]);
    let found: Value = serde_json::from_str(ran.expect(0).stdout.trim()).unwrap();
    let count = |name: &str| found[0][name].as_u64().unwrap();
    Version {
        operation: format!("{}{mode}", info["operation"].as_str().unwrap()),
        rows: count("n"),
        ids: count("ids"),
        first_tick: count("a"),
        last_tick: count("b"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_rounds_of_two_writers_are_some_serial_order_of_them() {
    let database = Arc::new(Database::create().await);
    database
        .run(&format!(
            "CREATE TABLE ticks (id int PRIMARY KEY, tick int, note text);
             INSERT INTO ticks SELECT n, 0, 'note-' || n FROM generate_series(1, {ROWS}) n"
        ))
        .await;
    let first = house(&database, None);
    let begun = Instant::now();
    first.run(&["sync", "clock"]).expect(0);
    let lone_sync = begun.elapsed();
    let second = house(&database, Some(&first));

    // The source never rests, so that two instants of it always differ.
    let is_over = Arc::new(AtomicBool::new(false));
    let ticking = {
        let (database, is_over) = (Arc::clone(&database), Arc::clone(&is_over));
        tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                database.run("UPDATE ticks SET tick = tick + 1").await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let (mut published, mut lost) = (1, 0);
    for round in 0..ROUNDS {
        pipeline(&first, MODES[round % 3]);
        pipeline(&second, MODES[round / 3 % 3]);
        // Together, or one a little later than the other, as far as this machine's syncs are long; after every
        // tenth round once more in turn, so that versions of both follow each other on the slowest one too.
        let start = |house: &House| house.start(house.command(&["sync", "clock"]));
        let earlier = start(&first);
        std::thread::sleep(lone_sync * (round as u32 * 37 % 100) / 80);
        let later = start(&second);
        let mut ends = vec![first.finish(earlier), second.finish(later)];
        if round % 10 == 9 {
            ends.extend([&second, &first].map(|house| house.run(&["sync", "clock"])));
        }
        let mut winners = 0;
        for ran in ends {
            match ran.code {
                Some(0) => winners += 1,
                Some(75) => lost += 1,
                _ => panic!("round {round}: {ran:?}"),
            }
        }
        assert!(winners > 0, "round {round}: nobody published");
        published += winners;
        assert_eq!(
            first.versions("clock.ticks"),
            published,
            "round {round}: a version for each that says so"
        );
    }
    is_over.store(true, Ordering::SeqCst);
    ticking.await.unwrap();

    let mut before: Option<Version> = None;
    for number in 0..published {
        let now = version(&first, number);
        let (rows, last_tick) = before.as_ref().map_or((0, 0), |before| (before.rows, before.last_tick));
        assert!(now.last_tick >= last_tick, "{number} is older than the one before: {now:?}, {before:?}");
        let expected = if now.operation == "WRITEAppend" { rows + ROWS } else { ROWS };
        assert_eq!((now.rows, now.ids), (expected, ROWS), "{number}: {now:?}, {before:?}");
        if now.operation != "WRITEAppend" {
            assert_eq!(now.first_tick, now.last_tick, "{number} is of more than one instant: {now:?}");
        }
        before = Some(now);
    }
    println!("two writers: {published} versions, {lost} runs lost");
    assert!(lost > 0, "the two never met");
    assert!(published > ROUNDS + 1, "one never followed the other");
}
