//! An HTTP server that keeps what it is sent, and answers as the test says.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(90);

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path.
    pub path: String,
    /// Its headers, lower-case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
    /// What it was answered with.
    pub status: u16,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone, Default)]
struct Kept {
    requests: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

/// A receiver; gone when dropped.
pub struct Receiver {
    address: SocketAddr,
    kept: Kept,
    task: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener)
    }

    fn on(listener: tokio::net::TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let kept = Kept::default();
        let router = Router::new().fallback(keep).with_state(kept.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, kept, task }
    }

    /// Where it listens, with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next requests with this status; others with 200.
    pub fn answer_next(&self, status: u16, times: usize) {
        self.kept.answers.lock().unwrap().extend(std::iter::repeat_n(status, times));
    }

    /// Answers with 200 from now on.
    pub fn answer_well(&self) {
        self.kept.answers.lock().unwrap().clear();
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.kept.requests.lock().unwrap().clone()
    }

    /// What was taken (200) so far, once there is enough of it.
    pub async fn taken(&self, what: &str, is_enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let begun = Instant::now();
        loop {
            let taken: Vec<_> = self.received().into_iter().filter(|it| it.status == 200).collect();
            if is_enough(&taken) {
                return taken;
            }
            assert!(begun.elapsed() < PATIENCE, "{what} did not come: {:?}", self.received());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(State(kept): State<Kept>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let status = kept.answers.lock().unwrap().pop_front().unwrap_or(200);
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let received = Received { path: uri.path().to_owned(), headers, body: body.to_vec(), status };
    kept.requests.lock().unwrap().push(received);
    StatusCode::from_u16(status).unwrap()
}
