//! A mail server: `tests/python/mail.py`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::postgres::{Certificates, certificates};
use crate::house::python;

const PATIENCE: Duration = Duration::from_secs(90);

/// A server; gone when dropped.
pub struct Mail {
    process: Child,
    pub port: u16,
    folder: TempDir,
    certificates: Option<Certificates>,
}

impl Mail {
    /// Without TLS and without a login.
    pub fn start() -> Self {
        Self::with(false)
    }

    /// With STARTTLS, a certificate of a private authority for `localhost`, and a login.
    pub fn start_tls() -> Self {
        Self::with(true)
    }

    fn with(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = tls.then(|| certificates(folder.path(), "DNS:localhost"));
        let mut command = python();
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/mail.py"));
        command.arg(folder.path().join("mails"));
        if let Some(certificates) = &certificates {
            command.args([&certificates.certificate, &certificates.key]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("mail.py does not start: {line}"));
        Self { process, port, folder, certificates }
    }

    /// The authority of its certificate.
    pub fn authority(&self) -> PathBuf {
        self.certificates.as_ref().unwrap().authority.clone()
    }

    /// The mails, once there are so many.
    pub async fn mails(&self, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
            // The last line may be half written.
            let mails: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if mails.len() >= count {
                return mails;
            }
            assert!(begun.elapsed() < PATIENCE, "{count} mails did not come: {mails:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
