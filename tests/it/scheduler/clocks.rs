//! The real program, and a clock of the machine that is set: where clocks change, in a leap year, and back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::Client;
use serde_json::Value;

use crate::daemon::{free_port, terminate, wait_for};
use crate::house::House;

/// Where Debian puts libfaketime.
fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found =
        folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().expect("libfaketime is missing: run the tests through tests/run")
}

struct Clocked {
    house: House,
    http: Client,
    base: String,
    token: String,
}

impl Clocked {
    /// Sets the clock of the program.
    fn set(&self, text: &str) {
        let wanted: DateTime<Utc> = text.parse().unwrap();
        let offset = (wanted - Utc::now()).num_milliseconds();
        // In one step, so that no half of it is read.
        self.house.write("out/clock.next", &format!("{:+}.{:03}", offset / 1000, (offset % 1000).abs()));
        std::fs::rename(self.house.path("out/clock.next"), self.house.path("out/clock")).unwrap();
    }

    /// How many runs a pipeline has.
    async fn count(&self, pipeline: &str) -> usize {
        let asked = self.http.get(format!("{}/v1/runs?pipeline={pipeline}&limit=1000", self.base));
        let answer = asked.bearer_auth(&self.token).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["runs"].as_array().unwrap().len()
    }

    /// Waits until a pipeline has as many runs.
    async fn has(&self, pipeline: &str, count: usize) {
        let begun = Instant::now();
        loop {
            let found = self.count(pipeline).await;
            if found == count {
                return;
            }
            assert!(
                found < count && begun.elapsed() < Duration::from_secs(60),
                "{pipeline} has {found} runs"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn clocked(begin: &str, schedules: &[(&str, &str)]) -> (Clocked, crate::house::Started) {
    let port = free_port();
    let house = House::new();
    house.config_listening("", "", &format!("listen: {{http: \"127.0.0.1:{port}\"}}"));
    house.policy("- {tags: [public], action: allow}");
    house.write("in/drops/rows.csv", "id,city\n1,Bern\n2,Chur\n");
    for (name, schedule) in schedules {
        house.pipeline(
            name,
            &format!(
                "connection: drops\ndataset: \"{name}.{{stream}}\"\nstreams:\n  rows: {{path: rows.csv, \
                 columns: {{\"*\": {{tag: public}}}}}}\nschedule: {schedule}"
            ),
        );
    }
    // The clock goes on by years.
    let create = ["token", "create", "ops", "--role", "scheduler", "--expires", "never"];
    let token = house.json(&create, 0)["token"].clone();
    let (http, base) = (Client::new(), format!("http://127.0.0.1:{port}"));
    let clocked = Clocked { house, http, base, token: token.as_str().unwrap().to_owned() };
    clocked.set(begin);
    let mut command = clocked.house.command(&["serve"]);
    command
        .env("LD_PRELOAD", libfaketime())
        .env("FAKETIME_TIMESTAMP_FILE", clocked.house.path("out/clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    let daemon = clocked.house.start(command);
    wait_for("readiness", || async {
        let asked = clocked.http.get(format!("{}/readyz", clocked.base)).send().await;
        asked.ok().filter(|answer| answer.status() == 200)
    })
    .await;
    (clocked, daemon)
}

#[tokio::test]
async fn clocks_that_change_or_are_set_give_each_occurrence_one_run() {
    let schedules = [
        ("fixed", "{cron: \"30 2 * * *\", timezone: Europe/Zurich}"),
        ("leap", "{cron: \"0 0 29 2 *\"}"),
        ("half", "{cron: \"30 * * * *\"}"),
        ("next", "{cron: \"31 * * * *\"}"),
        ("full", "{cron: \"0 * * * *\"}"),
    ];
    // Clocks in Zurich go from 02:00 to 03:00, which is 01:00 in UTC.
    let (clocked, daemon) = clocked("2026-03-29T00:40:00Z", &schedules).await;
    clocked.set("2026-03-29T00:59:57Z");
    clocked.has("fixed", 1).await;
    clocked.has("full", 1).await;

    // Half past two comes twice: at 00:30 and at 01:30 in UTC.
    clocked.set("2026-10-25T00:29:57Z");
    clocked.has("fixed", 2).await;
    clocked.has("half", 1).await;
    clocked.set("2026-10-25T01:29:57Z");
    clocked.has("half", 2).await;
    assert_eq!(clocked.count("fixed").await, 2, "once a day, at the first pass");

    clocked.set("2028-02-28T23:59:57Z");
    clocked.has("leap", 1).await;
    clocked.has("full", 2).await;

    // Set back by a moment: half past does not come a second time, and what follows comes.
    clocked.set("2028-02-29T00:29:57Z");
    clocked.has("half", 3).await;
    clocked.set("2028-02-29T00:29:50Z");
    clocked.set("2028-02-29T00:30:57Z");
    clocked.has("next", 1).await;
    assert_eq!(clocked.count("half").await, 3);

    // Set back by two days: nobody is silent for two days.
    clocked.set("2028-02-27T00:29:45Z");
    clocked.has("half", 4).await;
    clocked.set("2028-02-27T00:30:57Z");
    clocked.has("next", 2).await;
    assert_eq!(clocked.count("leap").await, 1);

    terminate(&daemon);
    let ran = clocked.house.finish(daemon);
    assert!(matches!(ran.code, Some(0 | 143)), "{ran:?}");
}
