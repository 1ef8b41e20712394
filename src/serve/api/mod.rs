//! The REST API: routes, handlers, and the JSON they answer with.

mod health;
mod pipelines;
mod runs;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde_json::json;
use tokio::sync::Semaphore;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use self::health::{show_metrics, show_readiness};
use self::pipelines::list_pipelines;
use self::runs::{cancel_run, list_runs, show_run, trigger_run};
use super::auth::require_token;
use super::dispatch::Dispatcher;
use super::metrics;
use super::problem::{self, Problem};
use super::schedule::{Clock, Schedules};

/// Most bytes in the body of a request.
const BODY_LIMIT_BYTES: usize = 64 << 10;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Most requests that wait at the same time; further ones are answered at once.
const MAX_WAITING: usize = 512;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) dispatcher: Dispatcher,
    pub(super) schedules: Schedules,
    pub(super) clock: Arc<dyn Clock>,
    /// Places for requests that wait.
    waiting: Arc<Semaphore>,
}

impl Api {
    pub(super) fn new(dispatcher: Dispatcher, schedules: Schedules, clock: Arc<dyn Clock>) -> Self {
        Self { dispatcher, schedules, clock, waiting: Arc::new(Semaphore::new(MAX_WAITING)) }
    }
}

type Answer = Result<Response, Problem>;

/// Every route of the daemon.
pub(super) fn router(api: Api) -> Router {
    let v1 = Router::new()
        .route("/pipelines", get(list_pipelines))
        .route("/pipelines/{name}/runs", post(trigger_run))
        .route("/runs", get(list_runs))
        .route("/runs/{run_id}", get(show_run))
        .route("/runs/{run_id}/cancel", post(cancel_run))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(middleware::from_fn_with_state(api.clone(), require_token));
    let scraped = Router::new()
        .route("/metrics", get(show_metrics))
        .layer(middleware::from_fn_with_state(api.clone(), require_token));
    let counted = middleware::from_fn_with_state(api.clone(), metrics::counted);
    Router::new()
        .nest("/v1", v1)
        .merge(scraped)
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(show_readiness))
        .with_state(api)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT_BYTES))
        .layer(middleware::map_response(problem::everywhere))
        .layer(counted)
}

fn conflict(kind: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, kind, detail)
}

fn unavailable(kind: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
}
