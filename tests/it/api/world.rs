//! A daemon over two pipelines of files, and who asks it: an admin.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use crate::house::{House, Started};

const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon that is ready.
pub struct Served {
    pub house: House,
    pub url: String,
    pub token: String,
    http: Client,
    daemon: Started,
}

/// A document that reads `rows.csv` of the drops.
pub fn document(name: &str, description: &str) -> String {
    format!(
        "apiVersion: sealift/v1\nkind: Pipeline\nname: {name}\nowner: tests\ndescription: \"{description}\"\n\
         connection: drops\ndataset: \"{name}.{{stream}}\"\nstreams:\n  rows:\n    path: \"rows*.csv\"\n    \
         format: {{csv: {{}}}}\n    columns: {{ssn: {{tag: pii.us_ssn}}, \"*\": {{tag: public}}}}\n"
    )
}

impl Served {
    /// One with the pipeline `daily`.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// One whose documents `prepare` changes before it starts.
    pub async fn with(prepare: impl FnOnce(&House)) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let house = House::new();
        house.config_listening("", "", &format!("listen: {{http: \"127.0.0.1:{port}\"}}"));
        house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
        house.write("in/drops/rows.csv", "id,city,ssn\n1,Bern,555-01-0001\n2,Chur,555-01-0002\n");
        house.write("in/pipelines/daily.yaml", &document("daily", ""));
        prepare(&house);
        let token = house.json(&["token", "create", "admin", "--role", "admin"], 0)["token"].clone();
        let daemon = house.start(house.command(&["serve"]));
        let url = format!("http://127.0.0.1:{port}");
        let token = token.as_str().unwrap().to_owned();
        let served = Self { house, url, token, http: Client::new(), daemon };
        served.ready().await;
        served
    }

    async fn ready(&self) {
        let begun = Instant::now();
        let ready = format!("{}/readyz", self.url);
        while !matches!(self.http.get(&ready).send().await, Ok(answer) if answer.status() == 200) {
            assert!(begun.elapsed() < PATIENCE, "the daemon is not ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills the daemon where it stands, and starts another one in its place.
    pub async fn lose(&mut self) {
        self.daemon.child.kill().unwrap();
        self.daemon.child.wait().unwrap();
        self.daemon = self.house.start(self.house.command(&["serve"]));
        self.ready().await;
    }

    /// A request of the admin.
    pub fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.ask("GET", path).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Puts a document, under some condition.
    pub async fn put(&self, name: &str, text: &str, condition: Option<(&str, &str)>) -> Response {
        let put =
            self.ask("PUT", &format!("/v1/pipelines/{name}")).header("content-type", "application/yaml");
        let put = condition.into_iter().fold(put, |put, (header, value)| put.header(header, value));
        put.body(text.to_owned()).send().await.unwrap()
    }

    pub async fn trigger(&self, pipeline: &str) -> String {
        let begun = Instant::now();
        loop {
            let answer = self.ask("POST", &format!("/v1/pipelines/{pipeline}/runs")).send().await.unwrap();
            let status = answer.status();
            let said: Value = answer.json().await.unwrap();
            if status == 202 {
                return said["run_id"].as_str().unwrap().to_owned();
            }
            assert!(status == 409 && begun.elapsed() < PATIENCE, "{said}");
        }
    }

    /// The run once it is over.
    pub async fn over(&self, run_id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let (_, run) = self.get(&format!("/v1/runs/{run_id}?wait=20")).await;
            if run["outcome"].is_string() {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "{run}");
        }
    }

    /// Waits until the daemon has logged this.
    pub async fn until_said(&self, words: &str) {
        let begun = Instant::now();
        while !std::fs::read_to_string(&self.daemon.stderr).unwrap().contains(words) {
            assert!(begun.elapsed() < PATIENCE, "the daemon does not say `{words}`");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the daemon.
    pub fn stop(self) {
        let pid =
            i32::try_from(self.daemon.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.house.finish(self.daemon);
    }
}

/// The problem that an answer is.
pub async fn problem(answer: Response) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let status = answer.status().as_u16();
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["status"], status);
    said
}
