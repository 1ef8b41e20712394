//! Another program appends to a table while it is synced: each commit of either is there, whole, in the order of the
//! log, and a sync that lost says so. The other programs are the `deltalake` package and PySpark's client, on
//! an engine that has a Delta writer of its own.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::house::{House, connection, python, script};
use crate::servers::postgres::Database;

/// Syncs at the least, and at the most where one of the two comes to nothing for long.
const ROUNDS: std::ops::Range<usize> = 18..200;
/// Versions of each that make the trial one.
const PUBLISHED: usize = 3;
const OUTSIDE: usize = 10;
const ROWS: u64 = 20;
/// The first id of the other program: far from those of the source.
const FIRST: &str = "1000000";

/// Taken in turn, each until one is published: so that a merge finds every key once.
const MODES: [&str; 3] =
    ["write_mode: overwrite", "write_mode: merge\n    primary_key: [id]", "write_mode: append"];

fn pipeline(house: &House, mode: &str) {
    house.pipeline(
        "clock",
        &format!(
            "connection: db\ndataset: \"clock.{{table}}\"\nstreams:\n  public.ticks:\n    \
             columns: {{\"*\": {{tag: public}}}}\n    {mode}"
        ),
    );
}

/// A source that never rests, and a table of it.
async fn world() -> (House, Arc<Database>) {
    let database = Arc::new(Database::create().await);
    database
        .run(&format!(
            "CREATE TABLE ticks (id bigint PRIMARY KEY, tick int);
             INSERT INTO ticks SELECT n, 0 FROM generate_series(1, {ROWS}) n"
        ))
        .await;
    let house = House::new();
    house.config("", &connection(&database));
    house.policy("- {tags: [public], action: allow}");
    pipeline(&house, MODES[0]);
    house.run(&["sync", "clock"]).expect(0);
    (house, database)
}

/// Syncs while the source moves; how many were published.
async fn syncs(house: &House, database: &Arc<Database>) -> usize {
    let is_over = Arc::new(AtomicBool::new(false));
    let ticking = {
        let (database, is_over) = (Arc::clone(database), Arc::clone(&is_over));
        tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                database.run("UPDATE ticks SET tick = tick + 1").await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let mut published = 0;
    for round in 0..ROUNDS.end {
        let outside = house.versions("clock.ticks").saturating_sub(1 + published);
        if round >= ROUNDS.start && published >= PUBLISHED && outside >= OUTSIDE {
            break;
        }
        pipeline(house, MODES[published % 3]);
        let ran = house.run(&["sync", "clock"]);
        match ran.code {
            Some(0) => published += 1,
            Some(75) => {}
            _ => panic!("round {round}: {ran:?}"),
        }
    }
    is_over.store(true, Ordering::SeqCst);
    ticking.await.unwrap();
    published
}

/// Checks each version against the one before; the ids that the other program published, in order.
fn replayed(engine: &str, versions: &[Value], published: usize) -> Vec<u64> {
    let mut ours = MODES.iter().copied().cycle().take(published);
    let mut theirs = Vec::new();
    for (number, pair) in versions.windows(2).enumerate() {
        let (before, now) = (&pair[0], &pair[1]);
        let told = format!("{engine}, version {}: {now} after {before}", number + 1);
        let (held, holds) = (ids(&before["outside"]), ids(&now["outside"]));
        let rows = |version: &Value| version["rows"].as_u64().unwrap();
        if !now["engine"].as_str().unwrap().starts_with("sealift") {
            let new: Vec<u64> = holds.iter().copied().filter(|id| !held.contains(id)).collect();
            assert_eq!((new.len(), holds.len()), (1, held.len() + 1), "{told}");
            assert_eq!(rows(now), rows(before), "{told}");
            theirs.extend(new);
            continue;
        }
        let mode = ours.next().unwrap_or_else(|| panic!("{told}: more than the syncs that published"));
        let expected = if mode == MODES[2] { rows(before) + ROWS } else { ROWS };
        assert_eq!((rows(now), now["ids"].as_u64()), (expected, Some(ROWS)), "{mode}, {told}");
        if mode != MODES[2] {
            assert_eq!(now["ticks"][0], now["ticks"][1], "{mode}, {told}: of more than one instant");
        }
        assert_eq!(holds, if mode == MODES[0] { Vec::new() } else { held }, "{mode}, {told}");
    }
    assert_eq!(ours.next(), None, "{engine}: a sync that published left no version");
    theirs
}

async fn nothing_is_lost_beside(engine: &str) {
    let (house, database) = world().await;
    let url = house.path("out/lake/clock/ticks").display().to_string();
    let stop = house.path("out/stop");
    let writer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/outside.py");
    let mut command = python();
    command.args([writer, "write", engine, &url, FIRST]).arg(&stop);
    let mut other = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    while house.versions("clock.ticks") < 3 {
        assert!(other.try_wait().unwrap().is_none(), "{engine}: it ended before it wrote");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let published = syncs(&house, &database).await;
    std::fs::write(&stop, "").unwrap();
    let output = other.wait_with_output().unwrap();
    assert!(output.status.success(), "{engine}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let acknowledged = ids(&told["acknowledged"]);
    println!("{engine}: {} commits of its own, {published} syncs published", acknowledged.len());

    let newest = (house.versions("clock.ticks") - 1).to_string();
    let read = script("outside.py", &["read", &url, &newest, FIRST], &[]);
    let theirs = replayed(engine, read["versions"].as_array().unwrap(), published);
    assert_eq!(theirs, acknowledged, "{engine}: what it was told is published is in the log, in its order");
    assert!(published >= PUBLISHED && theirs.len() >= OUTSIDE, "{engine}: one of the two hardly wrote");
}

fn ids(found: &Value) -> Vec<u64> {
    found.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_deltalake_and_spark_append_beside_syncs_stays() {
    nothing_is_lost_beside("deltalake").await;
    nothing_is_lost_beside("spark").await;
}
