//! A daemon with a runner and a clock that do as the test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
use reqwest::{Method, StatusCode};
use sealift::error::{Error, Kind, Result};
use sealift::govern::{Role, token};
use sealift::run::ledger::{Ledger, RunId, StreamOutcome, StreamState};
use sealift::serve::{Bounds, Clock, Daemon, Entrance, Limits, Registry, Reloads, Runner, Settings, Views};
use sealift::spec::config::{Metadata, Observability, Runs};
use sealift::spec::schedule::{LONGEST_ATTEMPT, Priority, Retry, Schedule, Timing};
use sealift::spec::{ConnectionName, Pipeline, PipelineName};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What the fake runner does with a pipeline, by the pipeline's name.
#[derive(Clone, Copy)]
pub enum Act {
    Publish,
    BeHeld,
    Crash,
    WaitForGo,
    WaitForCancel,
    HeedNothing,
    /// Its first attempts, as many, end as temporary.
    Stumble(u32),
    /// Its first attempt waits for `go`, and ends as temporary.
    StumbleOnGo,
}

pub struct Fake {
    pub acts: BTreeMap<&'static str, Act>,
    pub ledger: Ledger,
    pub started: mpsc::UnboundedSender<String>,
    pub go: Arc<Semaphore>,
}

#[async_trait]
impl Runner for Fake {
    async fn run(&self, run_id: &RunId, pipeline: &Pipeline, cancel: CancellationToken) -> Result<()> {
        self.started.send(pipeline.name.to_string()).unwrap();
        match self.acts[pipeline.name.as_str()] {
            Act::Publish => {
                let outcome = StreamOutcome {
                    receipt: None,
                    stream: "people".into(),
                    dataset: "crm.people".into(),
                    version: Some(0),
                    rows: 7,
                    quarantined: 0,
                    bytes: 70,
                    seconds: 0.25,
                    state: StreamState::Published,
                };
                self.ledger.stream_published(run_id, &outcome).await
            }
            Act::BeHeld => Err(Error::held("column `ssn` has no action")),
            Act::Crash => panic!("as the test asked"),
            Act::WaitForGo => {
                self.go.acquire().await.unwrap().forget();
                Ok(())
            }
            Act::WaitForCancel => {
                cancel.cancelled().await;
                Err(Error::new(Kind::Cancelled(15), "stopped on request"))
            }
            Act::HeedNothing => std::future::pending().await,
            Act::Stumble(often) => {
                let attempt = self.ledger.run(run_id).await.unwrap().unwrap().attempt;
                if attempt > often { Ok(()) } else { Err(Error::temporary("the source is away")) }
            }
            Act::StumbleOnGo => {
                let attempt = self.ledger.run(run_id).await.unwrap().unwrap().attempt;
                if attempt > 1 {
                    return Ok(());
                }
                self.go.acquire().await.unwrap().forget();
                Err(Error::temporary("the source is away"))
            }
        }
    }
}

/// A clock that stands still until it is set.
pub struct Still(pub watch::Sender<DateTime<Utc>>);

#[async_trait]
impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    async fn sleep_until(&self, at: DateTime<Utc>) {
        let mut time = self.0.subscribe();
        time.wait_for(|now| *now >= at).await.unwrap();
    }
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub ledger: Ledger,
    pub daemon: Option<Daemon>,
    pub base: String,
    pub token: String,
    pub started: mpsc::UnboundedReceiver<String>,
    pub go: Arc<Semaphore>,
    pub clock: Arc<Still>,
    pub http: reqwest::Client,
    pub registry: Registry,
    fake: Arc<Fake>,
    limits: Limits,
    grace: Duration,
    entrance: Entrance,
    observability: Observability,
}

pub fn pipeline(name: &str, cron: Option<&str>) -> Pipeline {
    Pipeline {
        path: format!("{name}.yaml").into(),
        digest: "d1".into(),
        name: PipelineName::parse(name).unwrap(),
        owner: "retail-data".into(),
        description: "made up".into(),
        connection: ConnectionName::parse("c").unwrap(),
        store: None,
        streams: Vec::new(),
        schedule: cron.map(|cron| Schedule::of(Timing::Cron(cron.into()))),
        retry: Retry::default(),
        timeout: LONGEST_ATTEMPT,
        priority: Priority::default(),
    }
}

pub fn name(text: &str) -> PipelineName {
    PipelineName::parse(text).unwrap()
}

impl World {
    pub async fn new(acts: &[(&'static str, Act)]) -> Self {
        Self::with(acts, None, Duration::from_secs(60), 2).await
    }

    pub async fn with(
        acts: &[(&'static str, Act)],
        cron: Option<&str>,
        grace: Duration,
        runs_at_once: usize,
    ) -> Self {
        let pipelines = acts.iter().map(|(name, _)| pipeline(name, cron)).collect();
        let limits = Limits { runs: Runs { at_once: runs_at_once, ..Runs::default() }, ..Limits::default() };
        Self::of(acts, pipelines, limits, grace).await
    }

    pub async fn of(
        acts: &[(&'static str, Act)],
        pipelines: Vec<Pipeline>,
        limits: Limits,
        grace: Duration,
    ) -> Self {
        Self::telling(acts, pipelines, limits, grace, Observability::default()).await
    }

    /// One whose clients come in like this.
    pub async fn through(entrance: Entrance) -> Self {
        let pipelines = vec![pipeline("crm", None)];
        let (limits, grace) = (Limits::default(), Duration::from_secs(60));
        let quiet = Observability::default();
        Self::built(&[("crm", Act::Publish)], pipelines, limits, grace, entrance, quiet).await
    }

    /// One that takes no more than this.
    pub async fn within(acts: &[(&'static str, Act)], bounds: Bounds, limits: Limits) -> Self {
        let pipelines = acts.iter().map(|(name, _)| pipeline(name, None)).collect();
        let (entrance, quiet) = (Entrance { bounds, ..Entrance::default() }, Observability::default());
        Self::built(acts, pipelines, limits, Duration::from_secs(60), entrance, quiet).await
    }

    pub async fn telling(
        acts: &[(&'static str, Act)],
        pipelines: Vec<Pipeline>,
        limits: Limits,
        grace: Duration,
        observability: Observability,
    ) -> Self {
        Self::built(acts, pipelines, limits, grace, Entrance::default(), observability).await
    }

    async fn built(
        acts: &[(&'static str, Act)],
        pipelines: Vec<Pipeline>,
        limits: Limits,
        grace: Duration,
        entrance: Entrance,
        observability: Observability,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let secret = token::create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
        let token = secret.expose_str().unwrap().to_owned();
        let (started_to, started) = mpsc::unbounded_channel();
        let go = Arc::new(Semaphore::new(0));
        let fake = Arc::new(Fake {
            acts: acts.iter().copied().collect(),
            ledger: ledger.clone(),
            started: started_to,
            go: Arc::clone(&go),
        });
        let noon = Utc.with_ymd_and_hms(2026, 11, 3, 12, 0, 0).unwrap();
        let clock = Arc::new(Still(watch::channel(noon).0));
        let registry = Registry::of(pipelines);
        let http = reqwest::Client::new();
        let base = String::new();
        let daemon = None;
        let mut world = Self {
            folder,
            ledger,
            daemon,
            base,
            token,
            started,
            go,
            clock,
            http,
            registry,
            fake,
            limits,
            grace,
            entrance,
            observability,
        };
        world.start().await;
        world
    }

    /// Starts a daemon on what is there, beside any that serves already.
    pub async fn start(&mut self) {
        // Zero would drop a run before it can heed its cancellation.
        let heeds_nothing = self.fake.acts.values().any(|act| matches!(act, Act::HeedNothing));
        let settings = Settings {
            registry: self.registry.clone(),
            documents: None,
            reloads: Reloads::default(),
            views: Views::default(),
            ledger: self.ledger.clone(),
            runner: self.fake.clone(),
            clock: self.clock.clone(),
            observability: self.observability.clone(),
            limits: self.limits.clone(),
            grace: self.grace,
            cancel_wait: if heeds_nothing { Duration::ZERO } else { Duration::from_secs(60) },
            entrance: self.entrance.clone(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let daemon = Daemon::start(settings, listener).await.unwrap();
        let scheme = if self.entrance.tls.is_some() { "https" } else { "http" };
        self.base = format!("{scheme}://{}", daemon.address());
        self.daemon = Some(daemon);
    }

    /// Its metadata store, beside the daemon.
    pub async fn store(&self) -> SqliteConnection {
        let file = format!("sqlite://{}", self.folder.path().join("sealift.db").display());
        SqliteConnection::connect(&file).await.unwrap()
    }

    pub async fn ask(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let response = self.request(method, path).bearer_auth(&self.token).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub async fn trigger(&self, name: &str) -> String {
        let (status, body) = self.ask(Method::POST, &format!("/v1/pipelines/{name}/runs")).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["run_id"].as_str().unwrap().to_owned()
    }

    /// Waits until the run is over, and shows it.
    pub async fn over(&self, run_id: &str) -> Value {
        loop {
            let (status, run) = self.ask(Method::GET, &format!("/v1/runs/{run_id}")).await;
            assert_eq!(status, StatusCode::OK);
            if !matches!(run["state"].as_str().unwrap(), "queued" | "running") {
                return run;
            }
            tokio::task::yield_now().await;
        }
    }
}
