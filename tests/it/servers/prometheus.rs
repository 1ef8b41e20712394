//! A real Prometheus, from Debian's packages.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);

/// A server; gone when dropped.
pub struct Prometheus {
    process: Child,
    url: String,
}

impl Prometheus {
    /// Scrapes what the configuration says; keeps its data in `folder`.
    pub fn start(config: &Path, folder: &Path, port: u16) -> Self {
        let log = File::create(folder.join("prometheus.log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus is missing: run the tests through tests/run");
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }

    /// What a query answers, once it has this value.
    pub async fn becomes(&self, query: &str, value: f64) {
        let begun = Instant::now();
        loop {
            let found = self.query(query).await;
            if found == Some(value) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{query} is {found:?}, not {value}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The value of the first series that a query finds.
    async fn query(&self, query: &str) -> Option<f64> {
        let url = url::Url::parse_with_params(&format!("{}/api/v1/query", self.url), [("query", query)]);
        let answer = reqwest::get(url.unwrap()).await.ok()?;
        let found: Value = answer.json().await.ok()?;
        found["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// What its API answers at a path.
    pub async fn ask(&self, path: &str) -> Value {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap().json().await.unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
