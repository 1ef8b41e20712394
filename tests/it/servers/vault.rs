//! A stand-in for the transit engine of Vault, since no server of it can be installed from a package here:
//! `tests/python/vault.py`, over HTTP or TLS.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::postgres::{Certificates, certificates};
use crate::house::python;

/// The token that may use the keys.
pub const TOKEN: &str = "hvs.token-of-tests-61803";
/// A token that is known and may do nothing.
pub const POWERLESS: &str = "hvs.powerless-of-tests";

/// A stand-in; gone when dropped.
pub struct Vault {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
    certificates: Option<Certificates>,
}

impl Vault {
    /// Over plain HTTP.
    pub fn start() -> Self {
        Self::with(false)
    }

    /// Over TLS, with a certificate of a private authority for `localhost`.
    pub fn start_tls() -> Self {
        Self::with(true)
    }

    fn with(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = tls.then(|| certificates(folder.path(), "DNS:localhost"));
        let mut command = python();
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/vault.py"));
        command.args([TOKEN, POWERLESS]);
        if let Some(certificates) = &certificates {
            command.args([&certificates.certificate, &certificates.key]);
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("vault.py does not start: {line}"));
        Self { process, address: ([127, 0, 0, 1], port).into(), _folder: folder, certificates }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority of its certificate.
    pub fn authority(&self) -> PathBuf {
        self.certificates.as_ref().unwrap().authority.clone()
    }

    /// Makes a key, as its owner; `more` are options of `POST /v1/transit/keys/NAME`.
    pub async fn create_key(&self, name: &str, more: Value) {
        self.call(Method::POST, &format!("v1/transit/keys/{name}"), more).await;
    }

    /// Makes a new version of a key.
    pub async fn rotate(&self, name: &str) {
        self.call(Method::POST, &format!("v1/transit/keys/{name}/rotate"), json!({})).await;
    }

    /// Answers the next requests with this status.
    pub async fn answer_next(&self, status: u16, times: u32) {
        self.call(Method::POST, "test/answer", json!({"status": status, "times": times})).await;
    }

    async fn call(&self, method: Method, path: &str, body: Value) {
        let scheme = if self.certificates.is_some() { "https://localhost" } else { "http://127.0.0.1" };
        let url = format!("{scheme}:{}/{path}", self.address.port());
        let client = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().unwrap();
        let sent = client.request(method, url).header("x-vault-token", "root").json(&body);
        let answer = sent.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
