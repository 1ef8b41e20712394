//! The REST API: routes, handlers, and the JSON they answer with.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::auth::{may_run, require_token};
use super::dispatch::{Dispatcher, Refusal};
use super::metrics;
use super::pauses;
use super::problem::{self, Problem};
use super::schedule::{Clock, Schedules};
use crate::govern::Principal;
use crate::govern::audit::{self, Action};
use crate::run::ledger::{MAX_LISTED, RequestKey, Run, RunId, Trigger};
use crate::spec::PipelineName;
use crate::spec::schedule::Schedule;

/// Most bytes in the body of a request.
const BODY_LIMIT_BYTES: usize = 64 << 10;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Names one wanted run: sent again, it makes no second one (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest time a request may wait for the end of a run, in seconds; below [`REQUEST_TIMEOUT`].
const MAX_WAIT_SECONDS: u32 = 25;
/// Most requests that wait at the same time; further ones are answered at once.
const MAX_WAITING: usize = 512;
/// How often a run is looked at that another process may be running.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Runs in a listing that does not say how many.
const DEFAULT_LISTED: u32 = 50;

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
        .route("/pipelines/{name}/pause", post(pauses::pause))
        .route("/pipelines/{name}/resume", post(pauses::resume))
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

async fn trigger_run(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    may_run(&principal)?;
    expect_no_options(&body)?;
    let actor = principal.actor();
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| RequestKey::of(&actor, key.as_bytes()));
    let key = key.transpose()?;
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "no-such-pipeline", "there is no pipeline of this name")
            .with("help", "`GET /v1/pipelines` lists them")
    };
    let pipeline = PipelineName::parse(&name).map_err(|_| unknown())?;
    let taken = api.dispatcher.trigger(&pipeline, Trigger::Api, &actor, key.as_ref()).await;
    let run_id = taken.map_err(|refusal| match refusal {
        Refusal::Unknown => unknown(),
        Refusal::Active(Some(run_id)) => {
            conflict("run-active", "the pipeline has an active run").with("run_id", run_id.to_string())
        }
        Refusal::Active(None) => conflict("run-active", "another process is running the pipeline"),
        Refusal::OtherPipeline => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key-reused",
            "the idempotency key was used for another pipeline",
        )
        .with("help", "draw a new key for each run that is wanted"),
        Refusal::Full => unavailable("full", "too many runs are waiting"),
        Refusal::Stopping => unavailable("stopping", "the daemon is stopping"),
        Refusal::Ledger(error) => error.into(),
    })?;
    let location = format!("/v1/runs/{run_id}");
    let body = Json(json!({"run_id": run_id.to_string()}));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], body).into_response())
}

/// A trigger takes no options yet; one that is sent must not be ignored in silence.
fn expect_no_options(body: &[u8]) -> Result<(), Problem> {
    let is_empty = body.trim_ascii().is_empty()
        || matches!(serde_json::from_slice(body), Ok(Value::Object(options)) if options.is_empty());
    if is_empty {
        return Ok(());
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "bad-request", "a trigger takes no options")
        .with("help", "send no body, or `{}`"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    wait: Option<u32>,
}

async fn show_run(
    State(api): State<Api>,
    Path(run_id): Path<String>,
    waiting: Result<Query<Waiting>, QueryRejection>,
) -> Answer {
    let seconds = waiting.ok().map(|Query(waiting)| waiting.wait.unwrap_or(0));
    let seconds = seconds.filter(|seconds| *seconds <= MAX_WAIT_SECONDS).ok_or_else(|| {
        let help = format!("the parameter is `wait`, a number of seconds from 0 to {MAX_WAIT_SECONDS}");
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", help)
    })?;
    let run = wait_for_end(&api, &run_id, Duration::from_secs(seconds.into())).await?;
    Ok(Json(run.to_json()).into_response())
}

/// The run, once it is over or the time has passed.
async fn wait_for_end(api: &Api, run_id: &str, limit: Duration) -> Result<Run, Problem> {
    let place = api.waiting.try_acquire();
    let until = tokio::time::Instant::now() + limit;
    loop {
        // Listened for before the look, so that an end between the two is heard.
        let mut ended = std::pin::pin!(api.dispatcher.ended());
        ended.as_mut().enable();
        let run = find_run(api, run_id).await?;
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if run.state.is_final() || left.is_zero() || place.is_err() {
            return Ok(run);
        }
        let _ = tokio::time::timeout(left.min(LOOK_INTERVAL), ended).await;
    }
}

async fn cancel_run(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(run_id): Path<String>,
    body: Bytes,
) -> Answer {
    may_run(&principal)?;
    expect_no_options(&body)?;
    let run = find_run(&api, &run_id).await?;
    if run.state.is_final() {
        return Err(conflict("run-over", "the run is over").with("state", run.state.word()));
    }
    audit::record(api.dispatcher.ledger(), &principal.actor(), Action::RunCancel, &run.run_id.to_string())
        .await?;
    if !api.dispatcher.cancel(&run.run_id).await {
        return Err(conflict("run-elsewhere", "the run is over, or another process runs it"));
    }
    let body = Json(json!({"run_id": run.run_id.to_string(), "state": "cancelling"}));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    pipeline: Option<String>,
    limit: Option<u32>,
}

async fn list_runs(State(api): State<Api>, listing: Result<Query<Listing>, QueryRejection>) -> Answer {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail);
    let help = || format!("the parameters are `pipeline` and `limit`, a number from 1 to {MAX_LISTED}");
    let Query(listing) = listing.map_err(|_| bad(help()))?;
    let limit = listing.limit.unwrap_or(DEFAULT_LISTED);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(bad(help()));
    }
    let pipeline = listing.pipeline.as_deref().map(PipelineName::parse).transpose();
    let pipeline = pipeline.map_err(|error| bad(error.message().to_owned()))?;
    let runs = api.dispatcher.ledger().runs(pipeline.as_ref(), limit).await?;
    let runs: Vec<Value> = runs.iter().map(Run::to_json).collect();
    Ok(Json(json!({"runs": runs})).into_response())
}

async fn list_pipelines(State(api): State<Api>) -> Answer {
    let active = api.dispatcher.active();
    let now = api.clock.now();
    let registered = api.dispatcher.registry().all();
    let pipelines: Vec<Value> = registered
        .values()
        .map(|pipeline| {
            json!({
                "name": pipeline.name.as_str(),
                "owner": pipeline.owner,
                "description": pipeline.description,
                "schedule": pipeline.schedule.as_ref().map(Schedule::to_json),
                "next_run_at": api.schedules.next_after(&pipeline.name, now).map(|at| at.to_rfc3339()),
                "paused": api.dispatcher.is_paused(&pipeline.name),
                "active_run": active.get(&pipeline.name).map(ToString::to_string),
            })
        })
        .collect();
    Ok(Json(json!({"pipelines": pipelines})).into_response())
}

async fn show_metrics(State(api): State<Api>) -> Answer {
    let text = api.dispatcher.metrics().text(api.dispatcher.count())?;
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}

async fn show_readiness(State(api): State<Api>) -> Answer {
    if !api.dispatcher.is_open() {
        return Err(unavailable("stopping", "the daemon is stopping"));
    }
    if api.dispatcher.ledger().ping().await.is_err() {
        return Err(unavailable("ledger", "the metadata store does not answer"));
    }
    Ok(Json(json!({"status": "ready", "pipelines": api.dispatcher.registry().all().len()})).into_response())
}

async fn find_run(api: &Api, run_id: &str) -> Result<Run, Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "no-such-run", "there is no run of this id");
    let run_id = RunId::parse(run_id).map_err(|_| unknown())?;
    api.dispatcher.ledger().run(&run_id).await?.ok_or_else(unknown)
}

fn conflict(kind: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, kind, detail)
}

fn unavailable(kind: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
}
