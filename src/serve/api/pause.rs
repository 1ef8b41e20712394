//! Schedules that rest.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Api, no_such_pipeline};
use crate::govern::Principal;
use crate::serve::auth::may_run;
use crate::spec::PipelineName;

/// Whether the schedule of a pipeline rests.
#[derive(Serialize, ToSchema)]
pub(super) struct Paused {
    /// The pipeline.
    name: String,
    /// Whether it does.
    paused: bool,
}

/// Let a schedule rest
///
/// What falls due is left out; what is asked for runs.
#[utoipa::path(
    post, path = "/pipelines/{name}/pause", operation_id = "pausePipeline", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")),
    responses(
        (status = 200, description = "It rests.", body = Paused),
        (status = 404, description = "`no-such-pipeline`"),
    ),
)]
pub(super) async fn pause_pipeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
) -> Answer {
    may_run(&principal)?;
    let name = PipelineName::parse(&name).map_err(|_| no_such_pipeline())?;
    api.dispatcher.pause(&name, &principal.actor()).await?;
    Ok(Json(Paused { name: name.to_string(), paused: true }).into_response())
}

/// Let a schedule go on
///
/// With what falls due from now on.
#[utoipa::path(
    post, path = "/pipelines/{name}/resume", operation_id = "resumePipeline", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")),
    responses(
        (status = 200, description = "It goes on.", body = Paused),
        (status = 404, description = "`no-such-pipeline`"),
    ),
)]
pub(super) async fn resume_pipeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
) -> Answer {
    may_run(&principal)?;
    let name = PipelineName::parse(&name).map_err(|_| no_such_pipeline())?;
    api.dispatcher.resume(&name, &principal.actor()).await?;
    Ok(Json(Paused { name: name.to_string(), paused: false }).into_response())
}
