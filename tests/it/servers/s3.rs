//! An S3 server of a test's own: `moto`, whose conditional put holds.

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::house::python;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server, empty at first; gone when dropped.
pub struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts a server on a free loopback port.
    pub async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = python()
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, port };
        let begun = Instant::now();
        while reqwest::get(server.endpoint()).await.is_err() {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < START_LIMIT, "moto does not start: {ended:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, bucket: &str) {
        let url = format!("{}/{bucket}", self.endpoint());
        let answer = reqwest::Client::new().put(url).send().await.unwrap();
        assert!(answer.status().is_success(), "bucket {bucket}: {}", answer.status());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
