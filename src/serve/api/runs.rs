//! Runs: asked for, shown, listed, stopped.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::params::{Limit, Params, Within, cut, entries};
use super::shapes::{Cancelling, NoOptions, RunPage, RunShape, Triggered};
use super::{Answer, Api, conflict, no_such_pipeline};
use crate::govern::audit::{self, Action};
use crate::govern::{Permission, Principal};
use crate::run::ledger::{MAX_LISTED, RequestKey, Run, RunId, State as Stand, Trigger, Wanted};
use crate::serve::auth::require;
use crate::serve::dispatch::Taken;
use crate::serve::problem::Problem;
use crate::spec::PipelineName;

/// Names one wanted run: sent again, it makes no second one (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// How often a run is looked at that another process may be running.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time a request may wait for the end of a run; below [`super::REQUEST_TIMEOUT`].
type Seconds = Within<0, 25>;

/// Ask for a run
///
/// It starts once a slot is free. Sent again under the same key until 24 hours after its end, it is answered with the run
/// that is there; only where that ended as `temporary` or `cancelled` another one is started.
#[utoipa::path(
    post, path = "/pipelines/{name}/runs", operation_id = "triggerRun", tag = "runs",
    params(
        ("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names one wanted run.", pattern = "^[!-~]{1,255}$"),
    ),
    request_body(content = NoOptions, description = "Nothing, or `{}`."),
    responses(
        (status = 202, description = "The run is taken.", body = Triggered,
         headers(("Location" = String, description = "Where the run is shown.")),
         links(
            ("shown" = (operation_id = "showRun", parameters(("run_id" = "$response.body#/run_id")))),
            ("followed" = (operation_id = "followRun", parameters(("run_id" = "$response.body#/run_id")))),
            ("logged" = (operation_id = "readRunLog", parameters(("run_id" = "$response.body#/run_id")))),
            ("cancelled" = (operation_id = "cancelRun", parameters(("run_id" = "$response.body#/run_id")))),
         )),
        (status = 404, description = "`no-such-pipeline`"),
        (status = 409, description = "`run-active`: the pipeline has an active run; `run_id` names it, but for the moment in which another process begins it."),
        (status = 422, description = "`key-reused`: the key was used for another pipeline."),
        (status = 503, description = "`full`: too many runs wait; `stopping`; `busy`; `timeout`"),
    ),
)]
pub(super) async fn trigger_run(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    require(&principal, Permission::RunTrigger, PipelineName::parse(&name).ok().as_ref())?;
    expect_no_options(&headers, &body)?;
    let actor = principal.actor();
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| RequestKey::of(&actor, key.as_bytes()));
    let key = key.transpose()?;
    let pipeline = PipelineName::parse(&name).map_err(|_| no_such_pipeline())?;
    let Taken { run_id, is_new } =
        api.dispatcher.trigger(&pipeline, Trigger::Api, &actor, key.as_ref()).await?;
    let location = format!("/v1/runs/{run_id}");
    let body = Json(json!({"run_id": run_id.to_string(), "created": is_new}));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], body).into_response())
}

/// There are no options yet; one that is sent must not be ignored in silence.
pub(super) fn expect_no_options(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    if !headers.get(header::CONTENT_TYPE).is_none_or(is_json) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "this path takes application/json",
        )
        .with("help", "send no body, or `{}`"));
    }
    // An array is no object, as serde would have it.
    if body.trim_ascii().starts_with(b"{") && serde_json::from_slice::<NoOptions>(body).is_ok() {
        return Ok(());
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "bad-request", "this takes no options")
        .with("help", "send no body, or `{}`"))
}

fn is_json(content_type: &axum::http::HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Waiting {
    /// Seconds to wait for the end of the run; the answer comes once it is over or the time has passed.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 25, default = 0)]
    wait: Option<Seconds>,
}

/// Show a run
#[utoipa::path(
    get, path = "/runs/{run_id}", operation_id = "showRun", tag = "runs",
    params(("run_id" = String, Path, description = "The run.", format = "uuid"), Waiting),
    responses(
        (status = 200, description = "The run.", body = RunShape),
        (status = 404, description = "`no-such-run`"),
    ),
)]
pub(super) async fn show_run(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(run_id): Path<String>,
    Params(waiting): Params<Waiting>,
) -> Answer {
    let seconds = waiting.wait.map_or(0, Seconds::get);
    let run = wait_for_end(&api, &principal, &run_id, Duration::from_secs(seconds)).await?;
    Ok(Json(run.to_json()).into_response())
}

/// The run, once it is over or the time has passed.
async fn wait_for_end(
    api: &Api,
    principal: &Principal,
    run_id: &str,
    limit: Duration,
) -> Result<Run, Problem> {
    let place = api.waiting.take(&principal.actor());
    let until = tokio::time::Instant::now() + limit;
    let known = id_of(run_id)?;
    loop {
        // Listened for before the look, so that an end between the two is heard.
        let mut ended = std::pin::pin!(api.dispatcher.news_of(&known));
        ended.as_mut().enable();
        let run = find_run(api, run_id).await?;
        may(principal, Permission::RunRead, &run)?;
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if run.state.is_final() || left.is_zero() || place.is_none() {
            return Ok(run);
        }
        tokio::select! {
            () = ended => {}
            () = tokio::time::sleep(left.min(LOOK_INTERVAL)) => {}
            // What waits does so with the next daemon.
            () = api.closing.cancelled() => return Ok(run),
        }
    }
}

/// Stop a run
///
/// It stops soon, at a point where nothing half-done is visible; where another daemon is at it, after some seconds.
#[utoipa::path(
    post, path = "/runs/{run_id}/cancel", operation_id = "cancelRun", tag = "runs",
    params(("run_id" = String, Path, description = "The run.", format = "uuid")),
    request_body(content = NoOptions, description = "Nothing, or `{}`."),
    responses(
        (status = 202, description = "The run was told to stop.", body = Cancelling),
        (status = 404, description = "`no-such-run`"),
        (status = 409, description = "`run-over`, or `run-elsewhere`: a command runs it."),
    ),
)]
pub(super) async fn cancel_run(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(run_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let run = find_run(&api, &run_id).await?;
    may(&principal, Permission::RunCancel, &run)?;
    expect_no_options(&headers, &body)?;
    if run.state.is_final() {
        return Err(conflict("run-over", "the run is over").with("state", run.state.word()));
    }
    let subject = format!("{} {}", run.pipeline, run.run_id);
    audit::record(api.dispatcher.ledger(), &principal.actor(), Action::RunCancel, &subject).await?;
    if !api.dispatcher.cancel(&run.run_id).await? {
        let run = find_run(&api, &run_id).await?;
        return Err(match run.state.is_final() {
            true => conflict("run-over", "the run is over").with("state", run.state.word()),
            false => conflict("run-elsewhere", "a command runs it")
                .with("help", "stop `sealift sync` or `sealift backfill` where it was started"),
        });
    }
    let body = Json(json!({"run_id": run.run_id.to_string(), "state": "cancelling"}));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Runs of this pipeline only.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pipeline: Option<String>,
    /// Runs in this state only.
    #[param(value_type = Option<super::shapes::RunState>)]
    state: Option<String>,
    /// Runs asked for at this time or later, RFC 3339.
    #[param(value_type = Option<String>, format = "date-time")]
    since: Option<DateTime<Utc>>,
    /// Most runs of the answer.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 50)]
    limit: Option<Limit>,
    /// What the page before gave as `next`.
    #[param(format = "uuid")]
    after: Option<String>,
    /// Whether runs come with their streams; without them `streams` is empty.
    #[param(value_type = Option<bool>, default = true)]
    streams: Option<bool>,
}

/// Most streams of the runs of a page. Where they are more the page ends before; a run that is alone has them all.
const MOST_STREAMS: usize = 10_000;

/// List runs
///
/// The newest come first. A page may have fewer runs than it may, where they have very many streams.
#[utoipa::path(
    get, path = "/runs", operation_id = "listRuns", tag = "runs",
    params(Listing),
    responses((status = 200, description = "Some runs.", body = RunPage)),
)]
pub(super) async fn list_runs(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Params(listing): Params<Listing>,
) -> Answer {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail);
    let pipeline = listing.pipeline.as_deref().map(PipelineName::parse).transpose();
    let pipeline = pipeline.map_err(|error| bad(error.message().to_owned()))?;
    require(&principal, Permission::RunRead, pipeline.as_ref())?;
    let state = listing.state.as_deref().map(str::parse::<Stand>).transpose();
    let state = state.map_err(|_| {
        bad("this is no state".into()).with("help", "queued, running, succeeded, failed, held or cancelled")
    })?;
    let after = listing.after.as_deref().map(RunId::parse).transpose();
    let after = after.map_err(|error| bad(error.message().to_owned()))?;
    let wanted = Wanted { pipeline: pipeline.as_ref(), state, since: listing.since, after };
    let limit = entries(listing.limit);
    let more = u32::try_from(limit + 1).unwrap_or(MAX_LISTED);
    let ledger = api.dispatcher.ledger();
    let mut runs = ledger.page(&wanted, more).await?;
    let mut next = cut(&mut runs, limit, |run| run.run_id.to_string());
    if listing.streams.unwrap_or(true) && ledger.add_most_streams(&mut runs, MOST_STREAMS).await? {
        next = runs.last().map(|run| run.run_id.to_string());
    }
    let runs: Vec<Value> = runs.iter().map(Run::to_json).collect();
    Ok(Json(json!({"runs": runs, "next": next})).into_response())
}

/// Refuses a principal that may not do this with a run of this pipeline.
pub(super) fn may(principal: &Principal, permission: Permission, run: &Run) -> Result<(), Problem> {
    require(principal, permission, PipelineName::parse(&run.pipeline).ok().as_ref())
}

pub(super) async fn find_run(api: &Api, run_id: &str) -> Result<Run, Problem> {
    api.dispatcher.ledger().run(&id_of(run_id)?).await?.ok_or_else(no_such_run)
}

fn id_of(run_id: &str) -> Result<RunId, Problem> {
    RunId::parse(run_id).map_err(|_| no_such_run())
}

fn no_such_run() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-such-run", "there is no run of this id")
}
