//! Promise 2: killed at any instant and run again, the dataset equals the source, and a version is
//! visible whole or not at all.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use crate::house::{Dice, House};

const ROWS: u64 = 100_000;
const INSTANTS: u64 = 20;

/// Rows of a source, by their number and a digest that does not depend on their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    count: u64,
    digest: u64,
}

impl Rows {
    const NONE: Self = Self { count: 0, digest: 0 };

    fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        lines.fold(Self::NONE, |rows, line| {
            let mut hasher = DefaultHasher::new();
            line.hash(&mut hasher);
            Self { count: rows.count + 1, digest: rows.digest.wrapping_add(hasher.finish()) }
        })
    }

    fn times(self, copies: u64) -> Self {
        Self { count: self.count * copies, digest: self.digest.wrapping_mul(copies) }
    }
}

fn source(dice: &mut Dice, rows: u64) -> String {
    let mut csv = "id,name,city,score\n".to_owned();
    for id in 0..rows {
        let (name, city, score) = (dice.text(14), dice.text(3), dice.below(1_000_000));
        writeln!(csv, "{id},{name},{city},{score}").unwrap();
    }
    csv
}

fn house(write_mode: &str) -> House {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "kill",
        &format!(
            "connection: drops\n\
             dataset: \"kill.{{stream}}\"\n\
             defaults: {{sync_mode: full_refresh, write_mode: {write_mode}}}\n\
             streams:\n  rows:\n    path: rows.csv\n    format: {{csv: {{}}}}\n    \
             columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}"
        ),
    );
    house
}

/// What the dataset shows: every row, decrypted.
fn published(house: &House) -> Rows {
    if house.versions("kill.rows") == 0 {
        return Rows::NONE;
    }
    let ran = house.run(&["query", "SELECT id, name, city, score FROM kill.rows", "--format", "csv"]);
    Rows::of(ran.expect(0).stdout.lines().skip(1))
}

/// The version that each completed run stands for.
fn completed(house: &House) -> Vec<u64> {
    let summary = house.json(&["runs", "--limit", "1000"], 0);
    let runs = summary["runs"].as_array().unwrap_or_else(|| panic!("no runs in {summary}"));
    let done = runs.iter().filter(|run| run["state"] == "succeeded");
    done.map(|run| run["streams"][0]["version"].as_u64().unwrap()).collect()
}

/// One visible version for each completed run. A run that was killed after its commit counts: the
/// next one finds its commit and records it as the success it was.
fn one_version_each(house: &House, delay: Duration) {
    let mut completed = completed(house);
    completed.sort_unstable();
    let visible: Vec<u64> = (0..house.versions("kill.rows") as u64).collect();
    assert_eq!(completed, visible, "killed after {delay:?}");
}

/// Kills a sync after `delay`; a sync that is done by then is left alone.
fn sync_killed_after(house: &House, delay: Duration) {
    let mut started = house.start(house.command(&["sync", "kill"]));
    std::thread::sleep(delay);
    started.child.kill().unwrap();
    house.finish(started);
}

/// How long an undisturbed sync takes here.
fn sync_time(csv: &str) -> Duration {
    let house = house("overwrite");
    house.write("in/drops/rows.csv", csv);
    let begun = Instant::now();
    house.run(&["sync", "kill"]).expect(0);
    begun.elapsed()
}

fn random_instant(dice: &mut Dice, whole: Duration) -> Duration {
    // A little past the end too: a kill just after the commit is the dangerous one.
    whole.mul_f64(1.1) * u32::try_from(dice.below(10_000)).unwrap() / 10_000
}

#[test]
fn killed_while_overwriting_the_dataset_is_the_old_or_the_new_and_then_the_new() {
    let mut dice = Dice::new("kill, overwrite");
    let house = house("overwrite");
    let sources = [source(&mut dice, ROWS), source(&mut dice, ROWS)];
    let rows = sources.each_ref().map(|csv| Rows::of(csv.lines().skip(1)));
    let whole = sync_time(&sources[0]);
    house.write("in/drops/rows.csv", &sources[0]);
    house.run(&["sync", "kill"]).expect(0);

    for instant in 1..=INSTANTS {
        let (old, new) = if instant % 2 == 0 { (1, 0) } else { (0, 1) };
        house.write("in/drops/rows.csv", &sources[new]);
        let delay = random_instant(&mut dice, whole);
        sync_killed_after(&house, delay);
        let seen = published(&house);
        assert!(seen == rows[old] || seen == rows[new], "half a version after {delay:?}: {seen:?}");

        house.run(&["verify", "kill.rows"]).expect(0);
        house.run(&["sync", "kill"]).expect(0);
        assert_eq!(published(&house), rows[new], "killed after {delay:?} and run again");
        house.run(&["verify", "kill.rows"]).expect(0);
        one_version_each(&house, delay);
    }
}

#[test]
fn killed_while_appending_and_run_again_no_row_is_lost_or_doubled() {
    let mut dice = Dice::new("kill, append");
    let csv = source(&mut dice, ROWS);
    let rows = Rows::of(csv.lines().skip(1));
    let whole = sync_time(&csv);

    for _ in 0..INSTANTS {
        let house = house("append");
        house.write("in/drops/rows.csv", &csv);
        let delay = random_instant(&mut dice, whole);
        sync_killed_after(&house, delay);
        // A run that the ledger calls done was not interrupted: the next one appends once more.
        let copies =
            if house.path("out/var/sealift.db").exists() { completed(&house).len() as u64 } else { 0 };
        let seen = published(&house);
        assert!(seen == Rows::NONE || seen == rows, "half a version after {delay:?}: {seen:?}");

        let verified = house.run(&["verify", "kill.rows"]);
        verified.expect(if seen == Rows::NONE { 2 } else { 0 });
        house.run(&["sync", "kill"]).expect(0);
        assert_eq!(published(&house), rows.times(copies + 1), "killed after {delay:?} and run again");
        house.run(&["verify", "kill.rows"]).expect(0);
        one_version_each(&house, delay);
        assert_eq!(house.versions("kill.rows"), completed(&house).len(), "killed after {delay:?}");
    }
}

/// Kills a sync as soon as its commit is visible, before it can say so in the ledger.
fn sync_killed_at_commit(house: &House) {
    let mut started = house.start(house.command(&["sync", "kill"]));
    let commit = house.path("out/lake/kill/rows/_delta_log/00000000000000000000.json");
    while !commit.exists() && started.child.try_wait().unwrap().is_none() {
        std::hint::spin_loop();
    }
    started.child.kill().unwrap();
    let ran = house.finish(started);
    assert!(commit.exists(), "the sync ended without a commit: {ran:?}");
}

#[test]
fn killed_between_the_commit_and_the_ledger_an_append_is_not_done_again() {
    let csv = source(&mut Dice::fixed(1), 1000);
    let rows = Rows::of(csv.lines().skip(1));
    // The ledger may win the race; a few attempts make sure that the instant is hit.
    for _ in 0..20 {
        let house = house("append");
        house.write("in/drops/rows.csv", &csv);
        sync_killed_at_commit(&house);
        assert_eq!(published(&house), rows, "what is visible is whole");
        if completed(&house).is_empty() {
            house.run(&["sync", "kill"]).expect(0);
            assert_eq!(published(&house), rows);
            assert_eq!(completed(&house), [0], "the run that was asked again stands for that version");
            house.run(&["sync", "kill"]).expect(0);
            assert_eq!(published(&house), rows.times(2), "a further run appends");
            return;
        }
    }
    panic!("no kill came between commit and ledger");
}
