//! The REST API: routes, handlers, and the JSON they answer with.

mod audit;
mod datasets;
mod documents;
mod etag;
mod events;
mod health;
mod limits;
mod openapi;
mod params;
mod pauses;
mod pipelines;
mod places;
mod problems;
mod runs;
mod shapes;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, middleware};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::limits::Limits;
use self::openapi::Document;
use self::places::Places;
use super::auth::{Gate, require_principal};
use super::dispatch::{Dispatcher, Refusal};
use super::documents::Documents;
use super::door::Bounds;
use super::live::Live;
use super::logs::RunLogs;
use super::metrics;
use super::problem::{self, Problem};
use super::pulse::Pulse;
use super::schedule::{Clock, Schedules};
use super::traces;

/// Most bytes in the body of a request.
const BODY_LIMIT_BYTES: usize = 64 << 10;
/// Most bytes of a document, as everywhere.
const DOCUMENT_LIMIT_BYTES: usize = 1 << 20;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Most requests that wait at the same time; further ones are answered at once.
const MAX_WAITING: usize = 512;
/// Of those, most of one caller: fewer than the connections that one address may have, so that some are left to it.
const MAX_WAITING_EACH: usize = 256;
/// Most listeners to events.
const MAX_LISTENERS: usize = 256;
/// Of those, most of one caller.
const MAX_LISTENERS_EACH: usize = 64;
/// Documents that are checked at the same time, beside the one that is registered.
const CHECKS_AT_ONCE: usize = 4;
/// Plans that are made at the same time: each connects to a source.
const PLANS_AT_ONCE: usize = 2;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) dispatcher: Dispatcher,
    pub(super) schedules: Schedules,
    pub(super) clock: Arc<dyn Clock>,
    /// The documents on disk; what is asked of documents and datasets is refused without them.
    documents: Option<Documents>,
    views: Views,
    /// Places for requests that wait.
    waiting: Arc<Places>,
    /// Places for listeners to events.
    listeners: Arc<Places>,
    /// Places for checks of documents.
    checks: Arc<Semaphore>,
    /// Places for plans.
    plans: Arc<Semaphore>,
    /// Places for looks at datasets.
    looks: Arc<Semaphore>,
    limits: Arc<Limits>,
    pulse: Arc<Pulse>,
    /// Fires when no more is answered.
    closing: CancellationToken,
}

/// What runs of this process tell beside the ledger.
#[derive(Clone, Debug, Default)]
pub struct Views {
    /// Where those stand that are under way.
    pub live: Live,
    /// What they logged.
    pub logs: RunLogs,
}

impl Api {
    pub(super) fn new(
        dispatcher: Dispatcher,
        schedules: Schedules,
        clock: Arc<dyn Clock>,
        documents: Option<Documents>,
        views: Views,
        bounds: &Bounds,
        closing: CancellationToken,
    ) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            dispatcher,
            schedules,
            clock,
            documents,
            views,
            waiting: Places::new(MAX_WAITING, MAX_WAITING_EACH),
            listeners: Places::new(MAX_LISTENERS, MAX_LISTENERS_EACH),
            checks: places(CHECKS_AT_ONCE),
            plans: places(PLANS_AT_ONCE),
            looks: places(datasets::LOOKS_AT_ONCE),
            limits: Arc::new(Limits::of(bounds)),
            pulse: Arc::new(Pulse::start()),
            closing,
        }
    }
}

impl Api {
    /// How many documents on disk are not in force as they are written.
    pub(super) fn invalid_documents(&self) -> usize {
        self.documents.as_ref().map_or(0, |documents| documents.problems().len())
    }
}

type Answer = Result<Response, Problem>;

/// Every route of the daemon.
pub(super) fn router(api: Api, gate: Gate) -> Router {
    let (routes, document) = described(&api, &gate);
    let served = Document::of(document);
    let counted = middleware::from_fn_with_state(api.clone(), metrics::counted);
    let admitted = middleware::from_fn_with_state(api.clone(), limits::admitted);
    routes
        .route("/v1/openapi.json", get(move || std::future::ready(served.answer())))
        .with_state(api)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(admitted)
        .layer(middleware::map_response(problem::everywhere))
        .layer(counted)
        .layer(middleware::from_fn(traces::traced))
}

/// The routes, and what they say of themselves.
fn described(api: &Api, gate: &Gate) -> (Router<Api>, OpenApi) {
    let known = || middleware::from_fn_with_state(gate.clone(), require_principal);
    let paced = || middleware::from_fn_with_state(api.clone(), limits::paced);
    let v1 = v1().fallback(|| async { StatusCode::NOT_FOUND }).layer(paced()).layer(known());
    let scraped = scraped().layer(paced()).layer(known());
    OpenApiRouter::default().nest("/v1", v1).merge(scraped).merge(open()).split_for_parts()
}

/// What needs no token.
fn open() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(health::show_health)).routes(routes!(health::show_readiness))
}

fn scraped() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(health::show_metrics))
}

/// What needs a token.
fn v1() -> OpenApiRouter<Api> {
    let documents = OpenApiRouter::default()
        .routes(routes!(documents::validate_pipeline))
        .routes(routes!(pipelines::show_pipeline, documents::register_pipeline, documents::delete_pipeline))
        .layer(DefaultBodyLimit::max(DOCUMENT_LIMIT_BYTES));
    OpenApiRouter::default()
        .routes(routes!(pipelines::list_pipelines))
        .routes(routes!(problems::list_problems))
        .routes(routes!(documents::plan_pipeline))
        .routes(routes!(pauses::pause_pipeline))
        .routes(routes!(pauses::resume_pipeline))
        .routes(routes!(runs::trigger_run))
        .routes(routes!(runs::list_runs))
        .routes(routes!(runs::show_run))
        .routes(routes!(runs::cancel_run))
        .routes(routes!(events::read_log))
        .routes(routes!(events::follow_run))
        .routes(routes!(datasets::list_datasets))
        .routes(routes!(datasets::show_dataset))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::read_receipt))
        .routes(routes!(versions::show_lineage))
        .routes(routes!(audit::list_audit))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .merge(documents)
}

/// The OpenAPI document of the API, as the daemon serves it.
#[must_use]
pub fn openapi() -> String {
    let document = OpenApiRouter::default().nest("/v1", v1()).merge(scraped()).merge(open()).into_openapi();
    Document::of(document).text().to_owned()
}

fn no_such_pipeline() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-such-pipeline", "there is no pipeline of this name")
        .with("help", "`GET /v1/pipelines` lists them")
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => no_such_pipeline(),
            Refusal::Active(run_id) => {
                conflict("run-active", "the pipeline has an active run").with("run_id", run_id.to_string())
            }
            Refusal::Elsewhere(run_id) => {
                let elsewhere = conflict("run-active", "another process is running the pipeline");
                match run_id {
                    Some(run_id) => elsewhere.with("run_id", run_id.to_string()),
                    None => elsewhere,
                }
            }
            Refusal::OtherPipeline => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "the idempotency key was used for another pipeline",
            )
            .with("help", "draw a new key for each run that is wanted"),
            Refusal::Full => unavailable("full", "too many runs are waiting"),
            Refusal::Stopping => unavailable("stopping", "the daemon is stopping"),
            Refusal::Ledger(error) => error.into(),
        }
    }
}

fn conflict(kind: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, kind, detail)
}

fn unavailable(kind: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
}
