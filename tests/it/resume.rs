//! A full load that dies goes on with the parts that are missing, as long as the source is what it was.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

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
    house.run(&["sync", "load"])
}

#[track_caller]
fn says(ran: &Ran, words: &str) {
    assert!(ran.expect(0).printed().contains(words), "`{words}` is not in {}", ran.printed());
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

#[test]
fn what_was_written_is_not_written_again() {
    let house = house_of_files();
    killed_after(&house, 3);
    assert_eq!(house.versions("load.people"), 0);
    says(&sync(&house), &format!("of {FILES} parts are written already"));
    assert_eq!((house.versions("load.people"), counted(&house, "load.people")), (1, all()));
    // At the most the part that was cut off stays as an orphan.
    assert!(data_files(&house.path("out/lake")) <= FILES + 1);
    // What is published is no part of the next load.
    assert!(!sync(&house).expect(0).printed().contains("written already"));
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

#[test]
fn another_instant_starts_over_and_says_so() {
    let house = house_of_files();
    killed_after(&house, 2);
    house.write("in/drops/people0.csv", "id,name,note\n1,Ann,x\n");
    says(&sync(&house), "starts over");
    let rows = (FILES - 1) * ROWS + 1;
    assert_eq!(counted(&house, "load.people"), each(rows));
    assert!(data_files(&house.path("out/lake")) <= FILES + 1, "what was kept is removed");
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

#[tokio::test]
async fn a_table_goes_on_only_where_the_spec_accepts_several_instants() {
    let database = Database::create().await;
    database
        .run(
            "CREATE TABLE people (id int PRIMARY KEY, name text, note text);
             INSERT INTO people SELECT i, md5(i::text) || md5((i + 1)::text), md5((i * 7)::text)
             FROM generate_series(0, 119999) AS i; ANALYZE people;",
        )
        .await;
    let stream = |more: &str| {
        format!(
            "connection: db\ndataset: \"load.{{table}}\"\nstreams:\n  public.people:\n    \
             parquet: {{file_size: 1MiB}}\n    columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}{more}"
        )
    };
    let house = house(&stream("\n    split_by: id\n    resume: mixed_instants"));
    house.config("", &connection(&database));
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
