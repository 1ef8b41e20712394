//! A daemon that is killed at random instants while jobs trigger runs, wait, and force-start what did not
//! come to its end: every run ends in a true state, and every order is carried out once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::daemon::{free_port, terminate, wait_for};
use crate::house::{Dice, House, Started};

/// How long one order may take, restarts included.
const PATIENCE: Duration = Duration::from_secs(600);
const ROWS: u64 = 20_000;
/// A pipeline for each way a version is written.
const PIPELINES: [&str; 3] = ["replaced", "added", "merged"];

/// Runs that are asked for: 30, or as many as `SEALIFT_TEST_ROUNDS` says.
fn orders() -> usize {
    std::env::var("SEALIFT_TEST_ROUNDS").map_or(30, |text| text.parse().unwrap())
}

fn house(port: u16, dice: &mut Dice) -> House {
    let house = House::new();
    house.config_listening("", "", &format!("listen: {{http: \"127.0.0.1:{port}\"}}"));
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    let mut csv = "id,name,score\n".to_owned();
    for id in 0..ROWS {
        writeln!(csv, "{id},{},{}", dice.text(12), dice.below(1_000)).unwrap();
    }
    house.write("in/drops/rows.csv", &csv);
    for (name, mode) in PIPELINES.iter().zip(["overwrite", "append", "merge, primary_key: [id]"]) {
        house.pipeline(
            name,
            &format!(
                "connection: drops\ndataset: \"{name}.{{stream}}\"\nstreams:\n  rows: {{path: rows.csv, \
                 sync_mode: full_refresh, write_mode: {mode}, \
                 columns: {{name: {{tag: pii.name}}, \"*\": {{tag: public}}}}}}"
            ),
        );
    }
    house
}

/// What a job of a scheduler knows.
struct Job {
    http: Client,
    base: String,
    token: String,
}

impl Job {
    /// Starts the order anew, under its key, until it is done; the run that it became.
    async fn carry_out(&self, pipeline: &str, order: usize) -> String {
        let begun = Instant::now();
        loop {
            match self.start(pipeline, order).await {
                Some(run) if run["outcome"] == "done" => return run["run_id"].as_str().unwrap().to_owned(),
                Some(run) => assert_eq!(run["outcome"], "temporary", "{run}"),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            assert!(begun.elapsed() < PATIENCE, "order {order} of {pipeline} does not come to its end");
        }
    }

    /// The run at its end; `None` when the daemon is away, or takes nothing now.
    async fn start(&self, pipeline: &str, order: usize) -> Option<Value> {
        let trigger = self.http.post(format!("{}/v1/pipelines/{pipeline}/runs", self.base));
        let key = format!("{pipeline}-{order}");
        let answer = trigger.bearer_auth(&self.token).header("idempotency-key", key).send().await.ok()?;
        match answer.status() {
            StatusCode::ACCEPTED => {}
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => return None,
            other => panic!("{other}: {}", answer.text().await.unwrap_or_default()),
        }
        let run_id = answer.json::<Value>().await.ok()?["run_id"].as_str().unwrap().to_owned();
        loop {
            let asked = self.http.get(format!("{}/v1/runs/{run_id}?wait=20", self.base));
            let answer = asked.bearer_auth(&self.token).send().await.ok()?;
            assert_eq!(answer.status(), 200, "a run that was taken is known ever after");
            let run = answer.json::<Value>().await.ok()?;
            if run["outcome"].is_string() {
                return Some(run);
            }
        }
    }
}

/// Keeps a daemon serving that is killed and started again, until `done`. Answers how often it was killed.
async fn killed_again_and_again(
    house: &House,
    dice: &mut Dice,
    longest: Duration,
    done: &CancellationToken,
) -> u32 {
    let mut kills = 0;
    loop {
        let mut daemon = house.start(house.command(&["serve"]));
        let delay = longest * u32::try_from(dice.below(10_000)).unwrap() / 10_000;
        tokio::select! {
            () = tokio::time::sleep(delay) => daemon.child.kill().unwrap(),
            () = done.cancelled() => {
                stopped(house, daemon);
                return kills;
            }
        }
        house.finish(daemon);
        kills += 1;
    }
}

fn stopped(house: &House, daemon: Started) {
    terminate(&daemon);
    house.finish(daemon).expect(0);
}

/// The time from the start of a daemon to the end of one run of each pipeline.
async fn undisturbed(house: &House, job: &Job) -> Duration {
    let begun = Instant::now();
    let daemon = house.start(house.command(&["serve"]));
    let ready = format!("{}/readyz", job.base);
    wait_for("readiness", || async { job.http.get(&ready).send().await.ok().map(|answer| answer.status()) })
        .await;
    for pipeline in PIPELINES {
        job.carry_out(pipeline, 0).await;
    }
    let took = begun.elapsed();
    stopped(house, daemon);
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_killed_each_order_is_carried_out_once_and_every_run_ends_in_a_true_state() {
    let mut dice = Dice::new("killed daemon");
    let port = free_port();
    let house = house(port, &mut dice);
    let token = house.json(&["token", "create", "control-m", "--role", "scheduler"], 0)["token"].clone();
    let token = token.as_str().unwrap().to_owned();
    let job = Job { http: Client::new(), base: format!("http://127.0.0.1:{port}"), token };
    let longest = undisturbed(&house, &job).await * 2;

    let each = orders().div_ceil(PIPELINES.len());
    let done = CancellationToken::new();
    let jobs = async {
        let of_pipeline = |pipeline| {
            let job = &job;
            async move {
                let mut became = Vec::new();
                for order in 1..=each {
                    became.push(job.carry_out(pipeline, order).await);
                }
                became
            }
        };
        let became = futures::future::join_all(PIPELINES.map(of_pipeline)).await;
        done.cancel();
        became.concat()
    };
    let (became, kills) = tokio::join!(jobs, killed_again_and_again(&house, &mut dice, longest, &done));
    println!("{} orders, killed {kills} times", became.len());
    assert!(kills > 0, "the daemon was never killed");
    assert_eq!(became.iter().collect::<BTreeSet<_>>().len(), became.len(), "each order is a run of its own");

    let runs = house.json(&["runs", "--limit", "1000"], 0);
    let runs = runs["runs"].as_array().unwrap();
    for run in runs {
        let is_true = match run["state"].as_str().unwrap() {
            "succeeded" => run["streams"][0]["version"].is_u64(),
            "failed" => run["outcome"] == "temporary" && run["error"].is_string(),
            _ => false,
        };
        assert!(is_true, "{run}");
    }
    for run_id in &became {
        let run = runs.iter().find(|run| run["run_id"] == run_id.as_str()).unwrap();
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    let appended = each + 1;
    assert_eq!(house.versions("added.rows"), appended, "each order appended once");
    equals_its_source(&house, appended);
}

fn equals_its_source(house: &House, appended: usize) {
    let csv = std::fs::read_to_string(house.path("in/drops/rows.csv")).unwrap();
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    for (pipeline, copies) in PIPELINES.iter().zip([1, appended, 1]) {
        let sql = format!("SELECT id, name, score FROM {pipeline}.rows ORDER BY id");
        let found = house.run(&["query", &sql, "--format", "csv"]);
        let found: Vec<&str> = found.expect(0).stdout.lines().skip(1).collect();
        let expected: Vec<&str> = rows.iter().flat_map(|row| std::iter::repeat_n(*row, copies)).collect();
        assert!(found == expected, "{pipeline} differs from its source");
    }
}
