//! `POST /v1/pipelines/{name}/pause` and `/resume`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;

use super::api::Api;
use super::auth::may_run;
use super::dispatch::Refusal;
use super::problem::Problem;
use crate::govern::Principal;
use crate::spec::PipelineName;

/// Lets the schedule of a pipeline rest.
pub(super) async fn pause(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set(&api, &principal, &name, true).await
}

/// Ends the rest of a pipeline's schedule.
pub(super) async fn resume(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set(&api, &principal, &name, false).await
}

async fn set(api: &Api, principal: &Principal, name: &str, paused: bool) -> Result<Response, Problem> {
    may_run(principal)?;
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "no-such-pipeline", "there is no pipeline of this name")
            .with("help", "`GET /v1/pipelines` lists them")
    };
    let pipeline = PipelineName::parse(name).map_err(|_| unknown())?;
    let actor = principal.actor();
    let set = match paused {
        true => api.dispatcher.pause(&pipeline, &actor).await,
        false => api.dispatcher.resume(&pipeline, &actor).await,
    };
    match set {
        Ok(()) => Ok(Json(json!({"pipeline": pipeline.as_str(), "paused": paused})).into_response()),
        Err(Refusal::Ledger(error)) => Err(error.into()),
        Err(_) => Err(unknown()),
    }
}
