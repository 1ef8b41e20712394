//! Private S3 servers on free loopback ports: moto over HTTP for everything that commits (with conditional
//! puts made atomic, `tests/python/s3.py`), s3s-fs in this process for what must be signed. moto takes any
//! credential; s3s-fs checks the signature, but its conditional put is check-then-write, so no commit is
//! tested on it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use sealift::secret::Reference;
use sealift::spec::config;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::house::python;

const START_LIMIT: Duration = Duration::from_secs(90);

/// A moto server; gone when dropped.
pub struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = python()
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/s3.py"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, endpoint: format!("http://127.0.0.1:{port}") };
        let start = Instant::now();
        while client().get(&server.endpoint).send().await.is_err() {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < START_LIMIT, "moto does not start: {ended:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server
    }

    /// Where it answers, `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, bucket: &str) {
        let answer = client().put(format!("{}/{bucket}", self.endpoint)).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// A store below `prefix` of the bucket.
    pub fn store(&self, bucket: &str, prefix: &str) -> config::Store {
        settings(&self.endpoint, bucket, prefix, &credentials("moto"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Files with a key id and a secret, and references to them: the environment of a test process is
/// shared by its tests.
pub struct Credentials {
    folder: PathBuf,
}

/// Credentials in a folder that outlives the test.
pub fn credentials(secret: &str) -> Credentials {
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::write(folder.join("id"), "test-key-id").unwrap();
    std::fs::write(folder.join("secret"), secret).unwrap();
    Credentials { folder }
}

/// A path-style store.
pub fn settings(endpoint: &str, bucket: &str, prefix: &str, credentials: &Credentials) -> config::Store {
    config::Store::S3(config::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: "us-east-1".to_owned(),
        access_key_id: Some(Reference::File(credentials.folder.join("id"))),
        secret_access_key: Some(Reference::File(credentials.folder.join("secret"))),
        session_token: None,
        path_style: true,
    })
}

/// An s3s-fs server in this process that accepts `test-key-id` with `secret`; gone when dropped.
pub struct Signed {
    pub endpoint: String,
    _root: TempDir,
    _connections: JoinSet<()>,
}

impl Signed {
    /// Starts one with an empty bucket.
    pub async fn start(bucket: &str, secret: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(bucket)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("test-key-id", secret));
        let service = service.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            let http = Builder::new(TokioExecutor::new());
            while let Ok((socket, _)) = listener.accept().await {
                let connection = http.serve_connection(TokioIo::new(socket), service.clone()).into_owned();
                open.spawn(async move {
                    let _ = connection.await;
                });
            }
        });
        Self { endpoint, _root: root, _connections: connections }
    }
}
