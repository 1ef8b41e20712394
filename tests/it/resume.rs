//! A full load that dies goes on with the parts that are missing, as long as the source is what it was.

mod ended;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sealift::run::ledger::Ledger;
use sealift::secret::Reference;
use sealift::spec::config::Metadata;
use serde_json::{Value, json};

use crate::house::{Dice, House, Ran, connection};
use crate::servers::postgres::Database;

const FILES: usize = 6;
const ROWS: usize = 20_000;

/// Data files below a folder, whoever names them.
fn data_files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let count = |path: &Path| match path.is_dir() {
        true => data_files(path),
        false => usize::from(path.extension().is_some_and(|ending| ending == "parquet")),
    };
    entries.map(|entry| count(&entry.unwrap().path())).sum()
}

fn csv(dice: &mut Dice, first: usize) -> String {
    let mut csv = "id,name,note\n".to_owned();
    for id in first..first + ROWS {
        writeln!(csv, "{id},{},{}", dice.text(20), dice.text(40)).unwrap();
    }
    csv
}

fn house(stream: &str) -> House {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline("load", stream);
    house
}

fn house_of_files() -> House {
    let house = house(
        "connection: drops\ndataset: \"load.{stream}\"\nstreams:\n  people:\n    path: \"people*.csv\"\n    \
         parquet: {file_size: 1MiB}\n    columns: {name: {tag: pii.name}, \"*\": {tag: public}}",
    );
    let mut dice = Dice::new("resume");
    for file in 0..FILES {
        house.write(&format!("in/drops/people{file}.csv"), &csv(&mut dice, file * ROWS));
    }
    house
}

/// A house whose metadata are in a file, and one whose metadata are on a server; each with its ledger.
async fn on_both(house: impl Fn() -> House) -> [(House, Ledger, Option<Database>); 2] {
    let (file, server, database) = (house(), house(), Database::create().await);
    let of_file = Ledger::open(&Metadata::Sqlite(file.path("out/var/sealift.db"))).await.unwrap();
    let of_server = on_server(&server, &database).await;
    [(file, of_file, None), (server, of_server, Some(database))]
}

async fn on_server(house: &House, database: &Database) -> Ledger {
    house.write("out/metadata", &database.url());
    let url = house.path("out/metadata");
    house.metadata(&format!("{{postgres: {{url: \"file:{}\", lease: 3s}}}}", url.display()));
    let lease = Duration::from_secs(3);
    Ledger::open(&Metadata::Postgres { url: Reference::File(url), lease }).await.unwrap()
}

/// Kills a sync as soon as it has written `parts` parts whole, and the next has begun.
fn killed_after(house: &House, parts: usize) {
    let mut started = house.start(house.command(&["sync", "load"]));
    let begun = Instant::now();
    while data_files(&house.path("out/lake")) <= parts {
        assert!(begun.elapsed() < Duration::from_secs(60), "no part was written");
        assert!(started.child.try_wait().unwrap().is_none(), "it was done before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    started.child.kill().unwrap();
    house.finish(started);
}

fn sync(house: &House) -> Ran {
    patiently(house, &["sync", "load"])
}

/// Calls the program once the lease of one that was killed has run out.
fn patiently(house: &House, args: &[&str]) -> Ran {
    let begun = Instant::now();
    loop {
        let ran = house.run(args);
        if !ran.stderr.contains("is running already") || begun.elapsed() > Duration::from_secs(60) {
            return ran;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[track_caller]
fn says(ran: &Ran, words: &str) {
    assert!(ran.expect(0).printed().contains(words), "`{words}` is not in {}", ran.printed());
}

/// How many parts a load that went on took over.
#[track_caller]
fn taken_over(ran: &Ran) -> usize {
    let printed = ran.expect(0).printed();
    let count = printed.split("a load that died goes on: ").nth(1).and_then(|rest| rest.split(' ').next());
    count.unwrap_or_else(|| panic!("it did not go on: {printed}")).parse().unwrap()
}

fn counted(house: &House, dataset: &str) -> Value {
    let sql = format!(
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, count(DISTINCT name) AS names, count(DISTINCT note) AS notes \
         FROM {dataset}"
    );
    house.query(&sql)[0].clone()
}

fn all() -> Value {
    each(FILES * ROWS)
}

fn each(rows: usize) -> Value {
    json!({"n": rows, "ids": rows, "names": rows, "notes": rows})
}

#[tokio::test]
async fn what_was_written_is_not_written_again() {
    for (house, _ledger, _database) in on_both(house_of_files).await {
        killed_after(&house, 3);
        assert_eq!(house.versions("load.people"), 0);
        let ran = sync(&house);
        says(&ran, &format!("of {FILES} parts are written already"));
        let taken = taken_over(&ran);
        assert!((3..=FILES).contains(&taken), "{taken} parts were taken over, of at least 3 that were whole");
        assert_eq!((house.versions("load.people"), counted(&house, "load.people")), (1, all()));
        // At the most the part that was cut off stays as an orphan.
        assert!(data_files(&house.path("out/lake")) <= FILES + 1);
        // What is published is no part of the next load.
        assert!(!sync(&house).expect(0).printed().contains("written already"));
    }
}

#[test]
fn a_kept_file_that_was_altered_is_written_again() {
    let house = house_of_files();
    killed_after(&house, 3);
    let folder = house.path("out/lake/load/people");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    sync(&house).expect(0);
    assert_eq!(counted(&house, "load.people"), all());
}

#[tokio::test]
async fn another_instant_starts_over_and_says_so() {
    for (house, _ledger, _database) in on_both(house_of_files).await {
        killed_after(&house, 2);
        house.write("in/drops/people0.csv", "id,name,note\n1,Ann,x\n");
        says(&sync(&house), "starts over");
        let rows = (FILES - 1) * ROWS + 1;
        assert_eq!(counted(&house, "load.people"), each(rows));
        assert!(data_files(&house.path("out/lake")) <= FILES + 1, "what was kept is removed");
    }
}

#[test]
fn another_pipeline_starts_over_and_says_so() {
    let house = house_of_files();
    killed_after(&house, 2);
    house.pipeline(
        "load",
        "connection: drops\ndataset: \"load.{stream}\"\nstreams:\n  people:\n    path: \"people*.csv\"\n    \
         parquet: {file_size: 1MiB}\n    columns: {\"*\": {tag: public}}",
    );
    says(&sync(&house), "starts over");
    assert_eq!(counted(&house, "load.people"), all());
}

/// A table of 120,000 people.
async fn people() -> Database {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE people (id int PRIMARY KEY, name text, note text);
             INSERT INTO people SELECT i, md5(i::text) || md5((i + 1)::text), md5((i * 7)::text)
             FROM generate_series(0, 119999) AS i; ANALYZE people;",
        )
        .await;
    database
}

fn house_of_people(database: &Database, more: &str) -> House {
    let house = house(&format!(
        "connection: db\ndataset: \"load.{{table}}\"\nstreams:\n  public.people:\n    \
         parquet: {{file_size: 1MiB}}\n    columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}{more}"
    ));
    house.config("", &connection(database));
    house
}

#[tokio::test]
async fn a_table_begins_anew_and_says_so_where_the_spec_accepts_one_instant() {
    let database = people().await;
    let house = house_of_people(&database, "");
    killed_after(&house, 0);
    assert_eq!(house.versions("load.people"), 0);
    database.run("UPDATE people SET note = 'later'").await;
    let ran = sync(&house);
    ran.expect(0);
    for words in ["begins anew", "`resume: mixed_instants`"] {
        assert!(ran.stderr.contains(words), "`{words}` is not in {}", ran.stderr);
    }
    let rows = house.query("SELECT count(*) AS n, count(DISTINCT note) AS notes FROM load.people");
    assert_eq!(rows[0], json!({"n": 120_000, "notes": 1}), "all rows are of one instant");
    // After a run that came to its end there is nothing to tell.
    assert!(!sync(&house).expect(0).printed().contains("begins anew"));
}

#[tokio::test]
async fn a_table_goes_on_only_where_the_spec_accepts_several_instants() {
    let database = people().await;
    let house = house_of_people(&database, "\n    split_by: id\n    resume: mixed_instants");
    killed_after(&house, 3);
    // What happens meanwhile in parts that are to come is seen; each part is of one instant.
    database.run("UPDATE people SET note = 'later'; INSERT INTO people VALUES (120000, 'Zed', 'new')").await;
    says(&sync(&house), "parts are written already");
    let rows = counted(&house, "load.people");
    assert_eq!(
        (&rows["n"], &rows["ids"], &rows["names"]),
        (&json!(120_001), &json!(120_001), &json!(120_001))
    );
    let later = house.query("SELECT count(*) AS n FROM load.people WHERE note = 'later'");
    let later = later[0]["n"].as_u64().unwrap();
    assert!(later > 0 && later < 120_000, "{later} rows are of the later instant");
}

/// The metadata store as it is now, to be put back later.
fn ledger(house: &House) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(house.path("out/var")).unwrap().map(|entry| entry.unwrap().path());
    let is_ledger = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("sealift.db");
    files.filter(is_ledger).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Puts an older metadata store back: it lists parts that are published since.
fn restore(house: &House, older: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in ledger(house) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in older {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn parts_that_are_published_are_neither_taken_over_nor_removed() {
    for mode in ["overwrite", "append"] {
        let house = house_of_files();
        let document = fs::read_to_string(house.path("in/pipelines/load.yaml")).unwrap();
        let column = format!("    write_mode: {mode}\n    columns:");
        house.write("in/pipelines/load.yaml", &document.replace("    columns:", &column));
        killed_after(&house, 3);
        let older = ledger(&house);
        says(&sync(&house), "parts are written already");
        assert_eq!(counted(&house, "load.people"), all());
        // The source as it was: what is published may not be published again by the same names.
        restore(&house, &older);
        sync(&house).expect(0);
        let times = if mode == "append" { 2 } else { 1 };
        let rows = house.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM load.people");
        assert_eq!(rows[0], json!({"n": times * FILES * ROWS, "ids": FILES * ROWS}), "{mode}");
        // Another source: what is of no use to the load is still of use to readers.
        restore(&house, &older);
        house.write("in/drops/people0.csv", "id,name,note\n0,Ann,x\n");
        sync(&house).expect(0);
        let one = (FILES - 1) * ROWS + 1;
        let rows = house.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM load.people");
        let (n, ids) = if mode == "append" { (2 * FILES * ROWS + one, FILES * ROWS) } else { (one, one) };
        assert_eq!(rows[0], json!({"n": n, "ids": ids}), "{mode}");
        let first = house.run(&["query", "SELECT count(*) AS n FROM load.people", "--as-of", "0"]);
        first.expect(0);
        house.run(&["verify", "load.people"]).expect(0);
    }
}

#[test]
fn the_receipt_of_a_load_that_went_on_counts_what_the_source_gave() {
    let house = house_of_files();
    let document = fs::read_to_string(house.path("in/pipelines/load.yaml")).unwrap();
    let transform = "    transform: SELECT * FROM source WHERE id % 2 = 0\n    columns:";
    house.write("in/pipelines/load.yaml", &document.replace("    columns:", transform));
    killed_after(&house, 3);
    says(&sync(&house), "parts are written already");
    let folder = house.path("out/lake/load/people/_sealift/receipts");
    let receipt = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let receipt: Value = serde_json::from_slice(&fs::read(receipt).unwrap()).unwrap();
    let (all, half) = (FILES * ROWS, FILES * ROWS / 2);
    assert_eq!(receipt["rows"], json!({"read": all, "filtered": half, "quarantined": 0, "written": half}));
    house.run(&["verify", "load.people", "--against-source"]).expect(0);
}

#[tokio::test]
async fn an_erasure_takes_the_parts_that_are_kept() {
    for (house, _ledger, _database) in on_both(house_of_files).await {
        sync(&house).expect(0);
        // Another instant, of which a part is kept.
        house.write("in/drops/people0.csv", &csv(&mut Dice::new("erased"), 0));
        let before = data_files(&house.path("out/lake"));
        killed_after(&house, before + 2);
        patiently(&house, &["erase", "load.people", "--where", "id = 7"]).expect(0);
        assert!(!sync(&house).expect(0).printed().contains("written already"));
    }
}
