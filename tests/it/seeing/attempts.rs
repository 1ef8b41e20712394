//! Lineage of runs that are tried again, cancelled, or dropped where they stand.

use sealift::govern::Store as _;
use sealift::run::ledger::Trigger;
use sealift::run::progress::Unwatched;
use sealift::run::{Engine, Extent, Job};
use sealift::serve::lineage;
use serde_json::Value;
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

use super::lineage::read;
use super::{ended, house, port, started};
use crate::daemon::wait_for;
use crate::house::{House, connection};
use crate::servers::postgres::Database;

/// A source whose rows wait for as long as the test holds them up.
struct Source(Database);

impl Source {
    async fn new() -> Self {
        let database = Database::create().await;
        database
            .run(
                "CREATE TABLE people (id bigint PRIMARY KEY, email text);
                 INSERT INTO people VALUES (1, 'Wren.Canary@example.org');
                 CREATE FUNCTION let_through() RETURNS boolean LANGUAGE plpgsql AS $$
                 BEGIN
                     PERFORM pg_advisory_lock_shared(7);
                     PERFORM pg_advisory_unlock_shared(7);
                     RETURN true;
                 END $$",
            )
            .await;
        Self(database)
    }

    async fn hold_up(&self) {
        self.0.run("SELECT pg_advisory_lock(7)").await;
    }

    async fn let_go(&self) {
        self.0.run("SELECT pg_advisory_unlock(7)").await;
    }

    /// Waits until rows are held up; `and` is what becomes of the session that asks for them.
    async fn held_up(&self, and: &str) {
        let sql = format!(
            "SELECT {and} FROM pg_locks l JOIN pg_database d ON d.oid = l.database
             WHERE NOT l.granted AND d.datname = $1"
        );
        let asked = || async {
            let rows = self.0.client.query(&sql, &[&self.0.name]).await.unwrap();
            (!rows.is_empty()).then_some(())
        };
        wait_for("rows that are held up", asked).await;
    }

    fn house(&self, port: u16) -> House {
        let house = house(port, "");
        house.config_listening(
            "",
            &connection(&self.0),
            &format!(
                "listen: {{http: \"127.0.0.1:{port}\"}}\nlineage: {{file: {{path: ../out/lineage.jsonl}}}}"
            ),
        );
        house.pipeline(
            "pg",
            "connection: db\ndataset: \"pg.{stream}\"\nretry: {attempts: 2, backoff: 1s}\nstreams:\n  people:\n    \
             query: \"SELECT id, email FROM people WHERE let_through()\"\n    \
             columns: {email: {tag: pii.email}, \"*\": {tag: public}}",
        );
        house
    }
}

/// Runs of a job in the order of their begins, each with its events.
fn runs_of(events: &[Value], job: &str) -> Vec<(Value, Vec<String>)> {
    let mut runs: Vec<(Value, Vec<String>)> = Vec::new();
    for event in events.iter().filter(|event| event["job"] == job) {
        let kind = event["type"].as_str().unwrap().to_owned();
        match runs.iter_mut().find(|(run, _)| *run == event["run"]) {
            Some((_, kinds)) => kinds.push(kind),
            None => runs.push((event["run"].clone(), vec![kind])),
        }
    }
    runs
}

async fn outcome(port: u16, token: &str, run_id: &Value) -> String {
    let url = format!("http://127.0.0.1:{port}/v1/runs/{}", run_id.as_str().unwrap());
    let asked = || async {
        let answer = reqwest::Client::new().get(&url).bearer_auth(token).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["outcome"].as_str().map(str::to_owned)
    };
    wait_for("the end of the run", asked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_has_an_end_of_its_own() {
    let (port, source) = (port(), Source::new().await);
    let mut house = source.house(port);
    let token = house.json(&["token", "create", "tests", "--role", "engineer"], 0)["token"].clone();
    let token = token.as_str().unwrap();
    let daemon = started(&mut house, port).await;

    source.hold_up().await;
    let first = house.json(&["trigger", "pg"], 0)["run_id"].clone();
    source.held_up("pg_terminate_backend(l.pid)").await;
    source.let_go().await;
    assert_eq!(outcome(port, token, &first).await, "done");

    source.hold_up().await;
    let second = house.json(&["trigger", "pg"], 0)["run_id"].clone();
    source.held_up("l.pid").await;
    let url = format!("http://127.0.0.1:{port}/v1/runs/{}/cancel", second.as_str().unwrap());
    let cancel = reqwest::Client::new().post(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(cancel.status(), 202);
    assert_eq!(outcome(port, token, &second).await, "cancelled");
    source.let_go().await;
    ended(&house, daemon);

    let events = read(&house, &std::fs::read_to_string(house.path("out/lineage.jsonl")).unwrap());
    let kinds = |job: &str| runs_of(&events, job).into_iter().map(|(_, kinds)| kinds).collect::<Vec<_>>();
    assert_eq!(kinds("pg"), [["START", "COMPLETE"], ["START", "ABORT"]]);
    assert_eq!(kinds("pg.people"), [["START", "FAIL"], ["START", "COMPLETE"], ["START", "ABORT"]]);
    let parents: Vec<&Value> =
        events.iter().filter(|event| event["job"] == "pg.people").map(|event| &event["parent"]).collect();
    assert_eq!(parents, [&first, &first, &first, &first, &second, &second]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_run_that_is_dropped_are_aborted() {
    let source = Source::new().await;
    let house = source.house(port());
    let engine = Engine::open(&house.path("in/sealift.yaml"), &|_| {}).await.unwrap();
    let pipeline = engine.pipeline("pg").unwrap();
    let _lease = engine.lease(&pipeline.name).await.unwrap();
    let run_id = engine.ledger.queue(&pipeline.name, &pipeline.digest, Trigger::Cli).await.unwrap();
    engine.ledger.start(&run_id).await.unwrap();
    let cancel = CancellationToken::new();
    let job = Job { run_id, pipeline, only: None, extent: &Extent::New, cancel: &cancel };
    source.hold_up().await;
    tokio::select! {
        done = lineage::execute(&engine, &job, &Unwatched) => panic!("{done:?}"),
        () = source.held_up("l.pid") => {}
    }
    let told = || async {
        let rows = sqlx::query("SELECT body FROM outbox ORDER BY message_id").fetch_all(engine.ledger.pool());
        let bodies: Vec<String> = rows.await.unwrap().iter().map(|row| row.get("body")).collect();
        (bodies.len() == 3).then_some(bodies)
    };
    let events = read(&house, &wait_for("three events", told).await.join("\n"));
    let kinds = |job: &str| runs_of(&events, job).into_iter().map(|(_, kinds)| kinds).collect::<Vec<_>>();
    assert_eq!(kinds("pg"), [["START"]]);
    assert_eq!(kinds("pg.people"), [["START", "ABORT"]]);
    source.let_go().await;
}
