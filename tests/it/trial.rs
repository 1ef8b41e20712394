//! Promise 2 under everything at once: a source that changes while it is read, runs that are killed, a
//! network that loses and falsifies. After every completed run the dataset equals the source at the run's
//! snapshot, row by row.
//!
//! Each trial prints its seed; `SEALIFT_TEST_SEED` draws the same changes, faults and kills again, as far as
//! time allows. `SEALIFT_TEST_ROUNDS` is how many syncs the incremental modes make together.

mod changes;
mod mode;
mod reading;
mod torn;

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::changes::{Changer, Done};
use self::mode::{Holds, Mode};
use crate::house::{Dice, House, connection};
use crate::servers::faults::{Class, Rates, Unreliable, tally};
use crate::servers::postgres::Database;
use crate::servers::s3;

/// How far back an incremental stream looks: 60 s.
const LOOKBACK_US: i64 = 60_000_000;
/// Runs in a row that may end without success.
const MOST_IN_VAIN: u32 = 25;
/// What the program's own test of a store writes; faults there would only keep it from starting.
const SPARED: &str = "_sealift_check";
const RATES: Rates = Rates { reads: 20, writes: 100, creates: 400, uploads: 0 };

/// One mode under trial.
struct Trial {
    mode: Mode,
    seed: u64,
    dice: Dice,
    runtime: Runtime,
    house: House,
    server: s3::Server,
    network: Unreliable,
    database: Database,
    counts: Counts,
}

/// How the syncs ended.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    syncs: u32,
    completed: u32,
    killed: u32,
    temporary: u32,
}

/// How one sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Completed,
    Killed,
    Temporary,
}

impl Trial {
    fn new(mode: Mode) -> (Self, Changer) {
        let mut dice = Dice::new(&format!("trial of {}", mode.name));
        let seed = dice.seed();
        let (of_changes, of_network) = (Dice::fixed(dice.next()), Dice::fixed(dice.next()));
        let runtime = Runtime::new().unwrap();
        let (server, network, database, changer) = runtime.block_on(async {
            let server = s3::Server::start().await;
            server.create_bucket("lake").await;
            let network = Unreliable::start(server.endpoint(), RATES, SPARED, of_network).await;
            let database = Database::create().await;
            let changer = Changer::new(&database, mode.life, of_changes).await;
            (server, network, database, changer)
        });
        let house = house(&mode, &network, &database);
        (
            Self { mode, seed, dice, runtime, house, server, network, database, counts: Counts::default() },
            changer,
        )
    }

    /// Syncs until `rounds` are done and the last of them completed, and compares after each that did.
    fn run(mut self, changer: Changer, rounds: u32) {
        let begun = Instant::now();
        let stop = CancellationToken::new();
        let changes = self.runtime.spawn(changer.run(stop.clone()));
        let mut whole = Duration::from_secs(1);
        let mut in_vain = 0;
        while self.counts.syncs < rounds || in_vain > 0 {
            let kill = (self.dice.below(10) < 3).then(|| random_instant(&mut self.dice, whole));
            let started = Instant::now();
            let ended = self.sync(kill);
            in_vain = if ended == Ended::Completed { 0 } else { in_vain + 1 };
            assert!(
                in_vain < MOST_IN_VAIN,
                "{}: {in_vain} runs in a row ended without success",
                self.place()
            );
            if ended == Ended::Completed {
                whole = started.elapsed();
                self.compare();
            }
        }
        stop.cancel();
        let done = self.runtime.block_on(changes).unwrap();
        self.network.calm(true);
        assert_eq!(self.sync(None), Ended::Completed, "{}: nothing disturbs it", self.place());
        self.compare();
        self.compare_with_table();
        self.each_run_published_once();
        self.report(&done, begun.elapsed());
    }

    /// One sync of the program, killed after `kill` where it still runs then.
    fn sync(&mut self, kill: Option<Duration>) -> Ended {
        self.counts.syncs += 1;
        let mut started = self.house.start(self.house.command(&["sync", "trial", "--json"]));
        if let Some(delay) = kill {
            std::thread::sleep(delay);
            started.child.kill().unwrap();
        }
        let ran = self.house.finish(started);
        self.runtime.block_on(self.network.settled());
        match ran.code {
            Some(0) => {
                self.counts.completed += 1;
                Ended::Completed
            }
            Some(75) => {
                self.counts.temporary += 1;
                Ended::Temporary
            }
            None => {
                self.counts.killed += 1;
                Ended::Killed
            }
            Some(code) => panic!("{}: exit code {code}\n{}", self.place(), ran.printed()),
        }
    }

    /// Where the trial stands, for messages of failure.
    fn place(&self) -> String {
        format!("{}, sync {}, SEALIFT_TEST_SEED={}", self.mode.name, self.counts.syncs, self.seed)
    }

    /// Says what happened, and makes sure that it did.
    fn report(&self, done: &Done, took: Duration) {
        let journal = self.network.journal();
        let faults = tally(&journal);
        println!("{}: {:?} in {took:.0?}, {done:?}, {} requests", self.mode.name, self.counts, journal.len());
        for ((class, fault), times) in &faults {
            println!("  {class:?} {fault:?}: {times}");
        }
        if self.counts.syncs >= 20 {
            assert!(self.counts.killed > 0 && done.late > 0 && done.equal > 0 && done.backward > 0);
            assert!(faults.keys().any(|(class, _)| *class == Class::Create), "{faults:?}");
        }
    }
}

/// A house whose lake is behind the network.
fn lake_behind(network: &Unreliable, database: &Database) -> House {
    let mut house = House::new();
    house.config_on_s3(&network.endpoint(), &connection(database));
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house
}

/// A house with the pipeline of a mode.
fn house(mode: &Mode, network: &Unreliable, database: &Database) -> House {
    let house = lake_behind(network, database);
    let columns = "columns: {name: {tag: pii.name}, \"*\": {tag: public}}";
    // What a run saw travels with it: beside rows that stay from run to run, and in rows that each run adds.
    let streams = match mode.holds {
        Holds::Source { .. } => format!(
            "  public.items: {{{}, dataset: trial.items, {columns}}}\n  \
             seen: {{query: \"SELECT txid_current_snapshot()::text AS seen\", columns: {{\"*\": {{tag: public}}}}}}",
            mode.spec
        ),
        Holds::EverySnapshot => format!(
            "  items: {{query: \"SELECT i.*, txid_current_snapshot()::text AS seen FROM items i\", {}, {columns}}}",
            mode.spec
        ),
    };
    house.pipeline("trial", &format!("connection: db\ndataset: \"trial.{{stream}}\"\nstreams:\n{streams}"));
    house
}

fn random_instant(dice: &mut Dice, whole: Duration) -> Duration {
    // A little past the end too: a kill just after the commit is the dangerous one.
    whole.mul_f64(1.1) * u32::try_from(dice.below(10_000)).unwrap() / 10_000
}

/// Syncs of a mode that takes a share of a thousand of them.
fn rounds(share: u32) -> u32 {
    let all = std::env::var("SEALIFT_TEST_ROUNDS").map_or(60, |text| text.parse().unwrap());
    (all * share).div_ceil(1000)
}

fn try_out(mode: Mode, rounds: u32) {
    let (trial, changer) = Trial::new(mode);
    trial.run(changer, rounds);
}

#[test]
fn overwritten_from_a_moving_source() {
    try_out(mode::OVERWRITE, rounds(75));
}

#[test]
fn appended_from_a_moving_source() {
    try_out(mode::APPEND, rounds(75));
}

#[test]
fn merged_in_full_from_a_moving_source() {
    try_out(mode::FULL_MERGE, rounds(75));
}

#[test]
fn appended_increments_of_a_moving_source() {
    try_out(mode::INCREMENTAL_APPEND, rounds(250));
}

#[test]
fn merged_increments_of_a_moving_source_whose_rows_go() {
    try_out(mode::INCREMENTAL_MERGE, rounds(300));
}

#[test]
fn merged_increments_of_a_moving_source_whose_rows_are_marked_as_gone() {
    try_out(mode::INCREMENTAL_MARKED, rounds(250));
}

#[test]
fn history_of_increments_of_a_moving_source() {
    try_out(mode::INCREMENTAL_HISTORY, rounds(200));
}
