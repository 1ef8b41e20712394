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
use sealift::serve::{Clock, Daemon, Registry, Reloads, Runner, Settings, Views};
use sealift::spec::config::Metadata;
use sealift::spec::pipeline::Schedule;
use sealift::spec::{ConnectionName, Pipeline, PipelineName};
use serde_json::Value;
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
        schedule: cron.map(|cron| Schedule { cron: cron.into(), timezone: chrono_tz::Tz::UTC }),
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
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let secret = token::create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
        let token = secret.expose_str().unwrap().to_owned();
        let (started_to, started) = mpsc::unbounded_channel();
        let go = Arc::new(Semaphore::new(0));
        let fake = Fake {
            acts: acts.iter().copied().collect(),
            ledger: ledger.clone(),
            started: started_to,
            go: Arc::clone(&go),
        };
        // Zero would drop a run before it can heed its cancellation.
        let cancel_wait = if acts.iter().any(|(_, act)| matches!(act, Act::HeedNothing)) {
            Duration::ZERO
        } else {
            Duration::from_secs(60)
        };
        let noon = Utc.with_ymd_and_hms(2026, 11, 3, 12, 0, 0).unwrap();
        let clock = Arc::new(Still(watch::channel(noon).0));
        let settings = Settings {
            registry: Registry::of(acts.iter().map(|(name, _)| pipeline(name, cron)).collect()),
            documents: None,
            reloads: Reloads::default(),
            views: Views::default(),
            ledger: ledger.clone(),
            runner: Arc::new(fake),
            clock: clock.clone(),
            runs_at_once,
            grace,
            cancel_wait,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let daemon = Daemon::start(settings, listener).await.unwrap();
        let base = format!("http://{}", daemon.address());
        let http = reqwest::Client::new();
        Self { folder, ledger, daemon: Some(daemon), base, token, started, go, clock, http }
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
