//! A bad network before an S3 server: a reverse proxy that loses, delays and falsifies what it draws from
//! a seed, and keeps a journal of what passed. The same requests in the same order meet the same faults.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, IF_NONE_MATCH, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::house::Dice;

/// Faults that one request meets in a row; then it passes, so that repeating it helps.
const MOST_IN_A_ROW: u32 = 2;
const MOST_DELAY_MS: u64 = 150;
const MOST_BODY_BYTES: usize = 64 << 20;

/// What a request is for, as far as faults go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Objects and lists are read.
    Read,
    /// An object is written, an upload is begun, or objects are deleted.
    Write,
    /// An object is written where there is none: `If-None-Match`.
    Create,
    /// A part of an upload.
    Part,
    /// The parts of an upload become its object.
    Complete,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It never arrives.
    Lost,
    /// It is carried out; the answer never arrives.
    AnswerLost,
    /// It arrives late.
    Late,
    /// This status is answered, and nothing is done.
    Refused(u16),
    /// It is carried out, and this status is answered all the same.
    Belied(u16),
}

impl Class {
    fn of(request: &Parts) -> Self {
        let asks = |name: &str| request.uri.query().unwrap_or_default().contains(name);
        match request.method {
            Method::GET | Method::HEAD => Self::Read,
            Method::PUT if asks("partNumber=") => Self::Part,
            Method::POST if asks("uploadId=") => Self::Complete,
            Method::PUT if request.headers.contains_key(IF_NONE_MATCH) => Self::Create,
            _ => Self::Write,
        }
    }

    /// The faults that a request may meet. A server answers 409 and 412 to conditional writes, and 409 to
    /// others that contend.
    const fn faults(self) -> &'static [Fault] {
        use Fault::{AnswerLost, Belied, Late, Lost, Refused};
        match self {
            Self::Read => &[Lost, AnswerLost, Late, Refused(503)],
            Self::Write => &[Lost, AnswerLost, Late, Refused(409), Refused(503), Belied(503)],
            Self::Create => &[
                Lost,
                AnswerLost,
                Late,
                Refused(409),
                Refused(412),
                Refused(503),
                Belied(409),
                Belied(412),
                Belied(503),
            ],
            Self::Part => &[Lost, AnswerLost, Late, Refused(503), Belied(503)],
            Self::Complete => &[Lost, AnswerLost, Late, Refused(409), Refused(503), Belied(409), Belied(503)],
        }
    }
}

/// How many in a thousand requests meet a fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub reads: u64,
    pub writes: u64,
    pub creates: u64,
    /// Of parts and of their completion.
    pub uploads: u64,
}

impl Rates {
    const fn of(self, class: Class) -> u64 {
        match class {
            Class::Read => self.reads,
            Class::Write => self.writes,
            Class::Create => self.creates,
            Class::Part | Class::Complete => self.uploads,
        }
    }
}

/// One request of the journal.
#[derive(Clone, Debug)]
pub struct Passed {
    pub class: Class,
    pub method: Method,
    /// `/bucket/key`, without the query.
    pub path: String,
    pub fault: Option<Fault>,
}

/// A proxy on a free loopback port; gone when dropped.
pub struct Unreliable {
    endpoint: String,
    network: Arc<Network>,
    _accepting: JoinSet<()>,
}

struct Network {
    server: String,
    client: reqwest::Client,
    rates: Rates,
    /// What is asked of objects with this in their key meets no fault.
    spared: &'static str,
    is_calm: AtomicBool,
    under_way: AtomicUsize,
    drawn: Mutex<Drawn>,
}

struct Drawn {
    dice: Dice,
    /// Faults in a row, by request.
    in_a_row: HashMap<String, u32>,
    journal: Vec<Passed>,
}

impl Unreliable {
    /// Stands before `server` (`http://host:port`). What is asked of objects with `spared` in their key meets
    /// no fault.
    pub async fn start(server: String, rates: Rates, spared: &'static str, dice: Dice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let network = Arc::new(Network {
            server,
            client,
            rates,
            spared,
            is_calm: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            drawn: Mutex::new(Drawn { dice, in_a_row: HashMap::new(), journal: Vec::new() }),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&network)));
        Self { endpoint, network, _accepting: accepting }
    }

    /// Where it answers, `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// With `true` everything passes from now on.
    pub fn calm(&self, is_calm: bool) {
        self.network.is_calm.store(is_calm, Ordering::SeqCst);
    }

    /// Waits until no request is on its way, also none of a process that is gone.
    pub async fn settled(&self) {
        while self.network.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The requests since the last call, in the order in which they came.
    pub fn journal(&self) -> Vec<Passed> {
        std::mem::take(&mut self.network.drawn().journal)
    }
}

/// How often each fault is in a journal.
pub fn tally(journal: &[Passed]) -> BTreeMap<(Class, Fault), usize> {
    let mut tally = BTreeMap::new();
    for (class, fault) in journal.iter().filter_map(|passed| Some((passed.class, passed.fault?))) {
        *tally.entry((class, fault)).or_default() += 1;
    }
    tally
}

async fn accept(listener: TcpListener, network: Arc<Network>) {
    let mut open = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let network = Arc::clone(&network);
        let service = service_fn(move |request| Arc::clone(&network).answer(request));
        // An error of the service ends the connection, which is how an answer is lost.
        open.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        while open.try_join_next().is_some() {}
    }
}

/// No answer comes: the connection breaks.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Broken {}

impl Network {
    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request that has arrived is carried out even when its sender is gone by then.
    async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Response<Body>, Broken> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), MOST_BODY_BYTES).await.map_err(|_| Broken)?;
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let answer = tokio::spawn(async move {
            let answer = self.treat(parts, body).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            answer
        });
        answer.await.map_err(|_| Broken)?
    }

    async fn treat(&self, request: Parts, body: Bytes) -> Result<Response<Body>, Broken> {
        let (fault, delay) = self.draw(&request, &body);
        match fault {
            Some(Fault::Lost) => return Err(Broken),
            Some(Fault::Refused(status)) => return Ok(says(status)),
            Some(Fault::Late) => tokio::time::sleep(delay).await,
            Some(Fault::AnswerLost | Fault::Belied(_)) | None => {}
        }
        let answer = self.forward(request, body).await.map_err(|_| Broken)?;
        match fault {
            Some(Fault::AnswerLost) => Err(Broken),
            Some(Fault::Belied(status)) => Ok(says(status)),
            _ => Ok(answer),
        }
    }

    /// What becomes of the request, and how late it is where it is late.
    fn draw(&self, request: &Parts, body: &Bytes) -> (Option<Fault>, Duration) {
        let class = Class::of(request);
        let path = request.uri.path().to_owned();
        // Objects are deleted by a list of their keys.
        let is_spared = self.is_calm.load(Ordering::SeqCst)
            || path.contains(self.spared)
            || (path.matches('/').count() == 1 && String::from_utf8_lossy(body).contains(self.spared));
        let key = format!("{} {}", request.method, request.uri);
        let mut drawn = self.drawn();
        // Drawn for every request, so that a calm spell does not change what comes after it.
        let (meets, which, delay) =
            (drawn.dice.below(1000), drawn.dice.next(), drawn.dice.below(MOST_DELAY_MS));
        let met = drawn.in_a_row.remove(&key).unwrap_or(0);
        let mut fault = None;
        if meets < self.rates.of(class) && met < MOST_IN_A_ROW && !is_spared {
            drawn.in_a_row.insert(key, met + 1);
            fault = Some(class.faults()[which as usize % class.faults().len()]);
        }
        drawn.journal.push(Passed { class, method: request.method.clone(), path, fault });
        (fault, Duration::from_millis(delay))
    }

    /// The server's answer. `Host` goes along unchanged: the signature covers it.
    async fn forward(&self, request: Parts, body: Bytes) -> reqwest::Result<Response<Body>> {
        let url = format!("{}{}", self.server, request.uri);
        let is_head = request.method == Method::HEAD;
        let sent = self.client.request(request.method, url).headers(end_to_end(request.headers)).body(body);
        let mut answer = sent.send().await?;
        let (status, mut headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let length = headers.get(CONTENT_LENGTH).cloned();
        headers = end_to_end(headers);
        if let Some(length) = length.filter(|_| is_head) {
            headers.insert(CONTENT_LENGTH, length);
        }
        let mut response = Response::new(Body::from(answer.bytes().await?));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// The headers but those of one connection, and but the length, which follows from the body.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}

/// An answer that the server never gave.
fn says(status: u16) -> Response<Body> {
    let code = match status {
        409 => "OperationAborted",
        412 => "PreconditionFailed",
        _ => "SlowDown",
    };
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
    Response::builder().status(status).body(Body::from(body)).unwrap()
}
