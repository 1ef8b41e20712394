//! Runs that ended before their last word, and those that stood still for too long: what they published is published once,
//! and what others made of their files stays.

use std::process::Command;
use std::sync::{Arc, Mutex};

use sealift::error::Kind;
use sealift::govern::Store as _;
use sealift::run::ledger::{Ledger, State};
use sealift::run::progress::Counter;
use sealift::run::{self, Engine, Extent, Job, Progress, Published, StreamPlan, Trigger};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{all, counted, house, house_of_files, on_both, on_server, sync};
use crate::house::House;
use crate::servers::postgres::Database;

/// Once all rows are written it stands still, for so long that another process does the whole load.
struct Still<'a> {
    database: &'a Database,
    other: Mutex<Command>,
}

impl Progress for Still<'_> {
    fn started(&self, _: &StreamPlan) -> Counter {
        Arc::new(|_, _| {})
    }

    fn landing(&self, _: &StreamPlan) {
        let run_out = self.database.run("UPDATE leases SET expires_ms = 1");
        tokio::task::block_in_place(|| Handle::current().block_on(run_out));
        let done = self.other.lock().unwrap().output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("parts are written already"), "{said}");
    }

    fn published(&self, _: &Published) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_lost_its_lease_removes_nothing_that_another_has_published() {
    let (house, database) = (house_of_files(), Database::create().await);
    on_server(&house, &database).await;
    let engine = Engine::open(&house.path("in/sealift.yaml"), &|_| {}).await.unwrap();
    let pipeline = engine.pipeline("load").unwrap();
    let _lease = engine.lease(&pipeline.name).await.unwrap();
    let run_id = engine.ledger.queue(&pipeline.name, &pipeline.digest, Trigger::Cli).await.unwrap();
    engine.ledger.start(&run_id).await.unwrap();
    let (extent, cancel) = (Extent::New, CancellationToken::new());
    let job = Job { run_id, pipeline, only: None, extent: &extent, cancel: &cancel };
    let still = Still { database: &database, other: Mutex::new(house.command(&["sync", "load"])) };
    let error = run::execute(&engine, &job, &still).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    assert_eq!((house.versions("load.people"), counted(&house, "load.people")), (1, all()));
    house.run(&["verify", "load.people"]).expect(0);
}

/// As if the only run had been killed between its commit and its last word, by a clock that was ahead by this much.
async fn killed_at_the_end(ledger: &Ledger, ahead_ms: i64) {
    sqlx::query("DELETE FROM run_streams").execute(ledger.pool()).await.unwrap();
    let failed = "UPDATE runs SET state = 'failed', outcome = 'temporary', created_ms = created_ms + $1";
    sqlx::query(failed).bind(ahead_ms).execute(ledger.pool()).await.unwrap();
}

fn house_of_one(write_mode: &str) -> House {
    let house = house(&format!(
        "connection: drops\ndataset: \"load.{{stream}}\"\nstreams:\n  people:\n    path: people.csv\n    \
         write_mode: {write_mode}\n    columns: {{\"*\": {{tag: public}}}}"
    ));
    house.write("in/drops/people.csv", "id,name,note\n1,Ann,x\n");
    house
}

#[tokio::test]
async fn a_run_that_was_killed_after_its_commit_is_recorded_by_the_next_as_what_it_was() {
    for (house, ledger, _database) in on_both(|| house_of_one("overwrite")).await {
        sync(&house).expect(0);
        killed_at_the_end(&ledger, 0).await;
        sync(&house).expect(0);
        let runs = ledger.runs(None, 10).await.unwrap();
        let told: Vec<_> = runs.iter().map(|run| (run.state, run.streams[0].version)).collect();
        assert_eq!(told, [(State::Succeeded, Some(1)), (State::Succeeded, Some(0))]);
    }
}

#[tokio::test]
async fn a_run_whose_clock_was_ahead_is_stood_for_once() {
    for (house, ledger, _database) in on_both(|| house_of_one("append")).await {
        sync(&house).expect(0);
        killed_at_the_end(&ledger, 86_400_000).await;
        sync(&house).expect(0);
        assert_eq!(house.versions("load.people"), 1, "what it appended is not appended again");
        for versions in 2..=3 {
            sync(&house).expect(0);
            assert_eq!(house.versions("load.people"), versions);
        }
    }
}
