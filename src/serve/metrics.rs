//! What the daemon tells Prometheus, as OpenMetrics 1.0 or as text 0.0.4. Labels are names of our own: pipelines, datasets,
//! routes, outcomes; never a value of a row. A pipeline has a series from the first, two more once it ran, one where it goes by
//! the clock, and one for each way in which its runs were asked for and ended.

mod process;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use self::process::Process;
use super::api::Api;
use super::notify::Deliveries;
use super::problem::Problem;
use super::registry::Pipelines;
use crate::error::{Error, Result};
use crate::run::ledger::{self, Run};
use crate::spec::single_dataset;

/// How the metrics are written.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the metadata store may take while it is looked at.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// Upper bounds in seconds: a run takes from a fraction of a second to half a day.
const RUN_SECONDS: [f64; 12] =
    [0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0];
/// A request may wait for 25 seconds.
const REQUEST_SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// How late the schedule may be.
const LAG_SECONDS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    pipeline: String,
    trigger: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPipeline {
    pipeline: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDataset {
    dataset: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: String,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// Counted since the daemon began.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    runs: Family<Ended, Counter>,
    failed: Family<OfPipeline, Counter>,
    run_seconds: Seconds<OfOutcome>,
    last_seconds: Family<OfPipeline, Gauge<f64, AtomicU64>>,
    last_success: Family<OfPipeline, Gauge<f64, AtomicU64>>,
    late: Family<OfPipeline, Gauge>,
    rows: Family<OfDataset, Counter>,
    quarantined: Family<OfDataset, Counter>,
    bytes: Family<OfDataset, Counter>,
    active: Gauge,
    running: Gauge,
    queued: Gauge,
    invalid_documents: Gauge,
    store_up: Gauge,
    store_seconds: Gauge<f64, AtomicU64>,
    outbox: Family<OfKind, Gauge>,
    deliveries: Deliveries,
    lag: Histogram,
    requests: Family<Answered, Counter>,
    request_seconds: Seconds<OfRoute>,
    /// Past the newest version of each dataset that is counted.
    counted: Mutex<BTreeMap<String, u64>>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut new = Self {
            registry: Registry::default(),
            runs: Family::default(),
            failed: Family::default(),
            run_seconds: Family::new_with_constructor(|| Histogram::new(RUN_SECONDS)),
            last_seconds: Family::default(),
            last_success: Family::default(),
            late: Family::default(),
            rows: Family::default(),
            quarantined: Family::default(),
            bytes: Family::default(),
            active: Gauge::default(),
            running: Gauge::default(),
            queued: Gauge::default(),
            invalid_documents: Gauge::default(),
            store_up: Gauge::default(),
            store_seconds: Gauge::default(),
            outbox: Family::default(),
            deliveries: Deliveries::default(),
            lag: Histogram::new(LAG_SECONDS),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            counted: Mutex::default(),
        };
        new.register();
        new
    }

    fn register(&mut self) {
        let new = self;
        new.registry.register_collector(Box::new(Process));
        let registry = new.registry.sub_registry_with_prefix("sealift");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", version);
        registry.register("runs", "Runs that are over", new.runs.clone());
        let help = "Runs that did not succeed, cancelled ones left out";
        registry.register("failed_runs", help, new.failed.clone());
        let help = "From the begin of a run to its end";
        registry.register_with_unit("run_duration", help, Unit::Seconds, new.run_seconds.clone());
        let help = "How long the last run of the pipeline took";
        registry.register_with_unit("last_run_duration", help, Unit::Seconds, new.last_seconds.clone());
        let help = "When a run of the pipeline last succeeded, in Unix time";
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, new.last_success.clone());
        let help = "1 while the pipeline has not succeeded although it was due an hour ago";
        registry.register("pipeline_late", help, new.late.clone());
        registry.register("published_rows", "Rows that became visible", new.rows.clone());
        registry.register("quarantined_rows", "Rows that went to a quarantine", new.quarantined.clone());
        let help = "Bytes of data files that became visible";
        registry.register_with_unit("published", help, Unit::Bytes, new.bytes.clone());
        registry.register("active_runs", "Runs that wait or are under way", new.active.clone());
        registry.register("running_runs", "Runs under way", new.running.clone());
        registry.register("queued_runs", "Runs that wait for a slot", new.queued.clone());
        let help = "Documents on disk that are not in force as they are written";
        registry.register("invalid_documents", help, new.invalid_documents.clone());
        registry.register("metadata_store_up", "1 while the metadata store answers", new.store_up.clone());
        let help = "How long the metadata store took to answer at this scrape";
        registry.register_with_unit(
            "metadata_store_response",
            help,
            Unit::Seconds,
            new.store_seconds.clone(),
        );
        let help = "Alerts and events of lineage that wait for their delivery";
        registry.register("outbox_messages", help, new.outbox.clone());
        let help = "Attempts to deliver an alert or an event of lineage";
        registry.register("deliveries", help, new.deliveries.clone());
        let help = "How late the schedule triggers what is due";
        registry.register_with_unit("schedule_lag", help, Unit::Seconds, new.lag.clone());
        registry.register("http_requests", "Requests that were answered", new.requests.clone());
        let help = "From a request to its answer; it may ask to wait";
        registry.register_with_unit(
            "http_request_duration",
            help,
            Unit::Seconds,
            new.request_seconds.clone(),
        );
    }

    /// Counts deliveries.
    pub(super) fn deliveries(&self) -> Deliveries {
        self.deliveries.clone()
    }

    /// How many messages wait, by kind.
    pub(super) fn outbox_holds(&self, depths: &[(&'static str, i64)]) {
        for (kind, waiting) in depths {
            self.outbox.get_or_create(&OfKind { kind }).set(*waiting);
        }
    }

    /// When each pipeline last succeeded before this daemon began, in Unix milliseconds.
    pub(super) fn remember_successes(&self, successes: &BTreeMap<String, i64>) {
        for (pipeline, at_ms) in successes {
            let of_pipeline = OfPipeline { pipeline: pipeline.clone() };
            let last = self.last_success.get_or_create(&of_pipeline);
            last.set(last.get().max(seconds(*at_ms)));
        }
    }

    /// A run of the pipeline succeeded, in this process or another.
    pub(super) fn succeeded(&self, pipeline: &str, at: Option<DateTime<Utc>>) {
        if let Some(at) = at {
            let of_pipeline = OfPipeline { pipeline: pipeline.to_owned() };
            self.last_success.get_or_create(&of_pipeline).set(seconds(at.timestamp_millis()));
        }
    }

    /// Whether the pipeline is late; `None` where nothing makes it so.
    pub(super) fn late(&self, pipeline: &str, is_late: Option<bool>) {
        let of_pipeline = OfPipeline { pipeline: pipeline.to_owned() };
        match is_late {
            Some(is_late) => {
                self.late.get_or_create(&of_pipeline).set(is_late.into());
            }
            None => {
                self.late.remove(&of_pipeline);
            }
        }
    }

    /// These are in force. Counters of theirs begin at 0: what a series is born with, nobody sees to come.
    pub(super) fn in_force(&self, pipelines: &Pipelines) {
        for (name, pipeline) in pipelines {
            drop(self.failed.get_or_create(&OfPipeline { pipeline: name.to_string() }));
            let streams = pipeline.streams.iter();
            for dataset in streams.filter_map(|one| single_dataset(&one.selector, &one.dataset)?.ok()) {
                let of_dataset = OfDataset { dataset: dataset.to_string() };
                for counter in [&self.rows, &self.quarantined, &self.bytes] {
                    drop(counter.get_or_create(&of_dataset));
                }
            }
        }
    }

    /// The pipeline is not there any more. What was counted of it stays.
    pub(super) fn forget(&self, pipeline: &str) {
        let of_pipeline = OfPipeline { pipeline: pipeline.to_owned() };
        self.last_success.remove(&of_pipeline);
        self.last_seconds.remove(&of_pipeline);
        self.late.remove(&of_pipeline);
    }

    /// Counts a run as under way until the answer is dropped.
    pub(super) fn running(&self) -> impl Drop + use<> {
        self.running.inc();
        Running(self.running.clone())
    }

    /// A run is over, as the ledger has it. One whose end could not be recorded is not counted.
    pub(super) fn run_ended(&self, run: &Run) {
        if !run.state.is_final() {
            return;
        }
        let outcome = run.outcome.clone().unwrap_or_default();
        let of_pipeline = OfPipeline { pipeline: run.pipeline.clone() };
        let ended = Ended { pipeline: run.pipeline.clone(), trigger: run.trigger.word(), outcome };
        self.runs.get_or_create(&ended).inc();
        if !matches!(run.state, ledger::State::Succeeded | ledger::State::Cancelled) {
            self.failed.get_or_create(&of_pipeline).inc();
        }
        if let (Some(began), Some(finished)) = (run.started_at, run.finished_at) {
            let took = (finished - began).to_std().unwrap_or_default().as_secs_f64();
            self.run_seconds.get_or_create(&OfOutcome { outcome: ended.outcome.clone() }).observe(took);
            self.last_seconds.get_or_create(&of_pipeline).set(took);
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in &run.streams {
            // A run that goes on where another one ended tells of that one's versions too.
            let newest = counted.entry(stream.dataset.clone()).or_default();
            if stream.version.is_some_and(|version| *newest > version) {
                continue;
            }
            *newest = stream.version.map_or(*newest, |version| version + 1);
            let of_dataset = OfDataset { dataset: stream.dataset.clone() };
            self.rows.get_or_create(&of_dataset).inc_by(stream.rows);
            self.quarantined.get_or_create(&of_dataset).inc_by(stream.quarantined);
            self.bytes.get_or_create(&of_dataset).inc_by(stream.bytes);
        }
    }

    /// The schedule triggered something this long after it was due.
    pub(super) fn triggered_late(&self, by: Duration) {
        self.lag.observe(by.as_secs_f64());
    }

    /// All of it, as OpenMetrics or as text 0.0.4; `active` is how many runs wait or are under way.
    ///
    /// # Errors
    /// `Failed` when it cannot be written.
    fn text(&self, active: usize, is_open: bool) -> Result<String> {
        let active = i64::try_from(active).unwrap_or(i64::MAX);
        self.active.set(active);
        self.queued.set((active - self.running.get()).max(0));
        let mut out = String::new();
        let written = if is_open {
            text::encode(&mut out, &self.registry)
        } else {
            prometheus_text::encode(&mut out, &self.registry)
        };
        written.map_err(|_| Error::failed("the metrics could not be written"))?;
        Ok(out)
    }
}

struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries are exact")]
fn seconds(at_ms: i64) -> f64 {
    at_ms as f64 / 1e3
}

/// `GET /metrics`: OpenMetrics, unless the caller takes only other text.
pub(super) async fn show(api: &Api, headers: &HeaderMap) -> Result<Response, Problem> {
    let metrics = api.dispatcher.metrics();
    let asked = tokio::time::Instant::now();
    let answered = tokio::time::timeout(STORE_LIMIT, api.dispatcher.ledger().ping()).await;
    metrics.store_up.set(i64::from(matches!(answered, Ok(Ok(())))));
    metrics.store_seconds.set(asked.elapsed().as_secs_f64());
    metrics.invalid_documents.set(i64::try_from(api.invalid_documents()).unwrap_or(i64::MAX));
    let active = api.dispatcher.count();
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_open = accepted.is_none_or(|accepted| {
        accepted.contains("application/openmetrics-text") || !accepted.contains("text/plain")
    });
    let media_type = if is_open { OPEN_METRICS } else { prometheus_text::CONTENT_TYPE };
    let text = metrics.text(active, is_open)?;
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

/// Counts a request and its answer.
pub(super) async fn counted(State(api): State<Api>, request: Request, next: Next) -> Response {
    let method = word(request.method());
    // A path that is none of ours would be a label of the caller's making.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let begun = tokio::time::Instant::now();
    let answer = next.run(request).await;
    let metrics = api.dispatcher.metrics();
    let of_route = OfRoute { route: route.clone() };
    metrics.request_seconds.get_or_create(&of_route).observe(begun.elapsed().as_secs_f64());
    metrics.requests.get_or_create(&Answered { method, route, status: answer.status().as_u16() }).inc();
    answer
}

/// Others are of the caller's making, too.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
