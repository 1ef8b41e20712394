//! Schedules of pipelines: let rest, and gone on with.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::runs::expect_no_options;
use super::shapes::NoOptions;
use super::{Answer, Api, no_such_pipeline};
use crate::govern::{Permission, Principal};
use crate::serve::auth::require;
use crate::spec::PipelineName;

/// Where the schedule of a pipeline stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Rest {
    /// The pipeline.
    pipeline: String,
    /// Whether its schedule rests.
    paused: bool,
}

/// Let a schedule rest
///
/// What falls due is left out until it is resumed; what is asked for runs.
#[utoipa::path(
    post, path = "/pipelines/{name}/pause", operation_id = "pausePipeline", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")),
    request_body(content = NoOptions, description = "Nothing, or `{}`."),
    responses(
        (status = 200, description = "The schedule rests.", body = Rest),
        (status = 404, description = "`no-such-pipeline`"),
    ),
)]
pub(super) async fn pause_pipeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    expect_no_options(&headers, &body)?;
    set(&api, &principal, &name, true).await
}

/// Go on with a schedule
///
/// With what falls due from now on.
#[utoipa::path(
    post, path = "/pipelines/{name}/resume", operation_id = "resumePipeline", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")),
    request_body(content = NoOptions, description = "Nothing, or `{}`."),
    responses(
        (status = 200, description = "The schedule goes on.", body = Rest),
        (status = 404, description = "`no-such-pipeline`"),
    ),
)]
pub(super) async fn resume_pipeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    expect_no_options(&headers, &body)?;
    set(&api, &principal, &name, false).await
}

async fn set(api: &Api, principal: &Principal, name: &str, paused: bool) -> Answer {
    let parsed = PipelineName::parse(name).ok();
    require(principal, Permission::Pause, parsed.as_ref())?;
    let pipeline = parsed.ok_or_else(no_such_pipeline)?;
    let actor = principal.actor();
    match paused {
        true => api.dispatcher.pause(&pipeline, &actor).await?,
        false => api.dispatcher.resume(&pipeline, &actor).await?,
    }
    Ok(Json(Rest { pipeline: pipeline.to_string(), paused }).into_response())
}
