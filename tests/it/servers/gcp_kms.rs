//! A stand-in for Google Cloud KMS, since no server of it can be installed from a package: `tests/python/gcp_kms.py`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::python;

/// A stand-in; gone when dropped.
pub struct GcpKms {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl GcpKms {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = python();
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/gcp_kms.py"));
        command.arg(folder.path());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("gcp_kms.py does not start: {line}"));
        Self { process, address: ([127, 0, 0, 1], port).into(), folder }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The document of a service account: `caller`, `powerless` or `stranger`.
    pub fn account(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.json"))
    }

    /// Makes a key, or changes one; `more` are its `purpose` and the `state` of its primary version.
    pub async fn key(&self, name: &str, more: Value) {
        let mut body = more;
        body["name"] = name.into();
        self.call("key", body).await;
    }

    /// Makes a new version of a key.
    pub async fn rotate(&self, name: &str) {
        self.call("rotate", json!({"name": name})).await;
    }

    /// Answers the next requests with this error: a code of `google.rpc.Code`, or the number of a status alone.
    pub async fn answer_next(&self, error: &str, times: u32) {
        let body = match error.parse::<u16>() {
            Ok(status) => json!({"code": "", "status": status, "times": times}),
            Err(_) => json!({"code": error, "times": times}),
        };
        self.call("answer", body).await;
    }

    /// Changes a bit of the next `plaintext` or `ciphertext`, or of what is `wrapped` or `opened`.
    pub async fn garble(&self, what: &str) {
        self.call("garble", json!({"what": what})).await;
    }

    async fn call(&self, verb: &str, body: Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(format!("http://{}/test/{verb}", self.address)).json(&body);
        let answer = answer.send().await.unwrap();
        assert!(answer.status().is_success(), "{verb}: {}", answer.status());
    }
}

impl Drop for GcpKms {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
