//! Pipelines: listed and shown.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::etag::{is_known, quoted};
use super::params::{Limit, Params, cut, entries};
use super::{Answer, Api, no_such_pipeline};
use crate::govern::{Permission, Principal};
use crate::run::RunId;
use crate::serve::auth::require;
use crate::serve::problem::Problem;
use crate::spec::pipeline::Selector;
use crate::spec::schedule::Schedule;
use crate::spec::sync::{SyncMode, WriteMode};
use crate::spec::{ConnectionName, Pipeline, PipelineName, Stream};

/// The tag is of the document alone: a cache that goes by it would show an old run or pause.
const UNSTORED: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// A pipeline in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct PipelineEntry {
    /// Its name.
    name: String,
    /// Who answers for it.
    owner: String,
    /// What it is for; may be empty.
    description: String,
    /// Where its rows come from.
    connection: String,
    /// Where its datasets go; null where the configuration names one store only.
    #[schema(required)]
    store: Option<String>,
    /// When the daemon runs it; null where only on request.
    #[schema(required, value_type = Option<Object>)]
    schedule: Option<Value>,
    /// When that is next.
    #[schema(required, format = "date-time")]
    next_run_at: Option<String>,
    /// Whether its schedule rests.
    paused: bool,
    /// The run of it that waits or is under way in this process.
    #[schema(required, format = "uuid")]
    active_run: Option<String>,
}

/// Some pipelines, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct PipelinePage {
    pipelines: Vec<PipelineEntry>,
    /// `after` of the next page; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// A pipeline.
#[derive(Serialize, ToSchema)]
pub(super) struct PipelineShown {
    #[serde(flatten)]
    entry: PipelineEntry,
    /// SHA-256 of the document that is in force.
    digest: String,
    /// The document's text, as it is on disk; null where this daemon keeps none.
    #[schema(required)]
    document: Option<String>,
    /// Its streams, in the order of the document.
    streams: Vec<StreamShown>,
}

/// One stream entry of a pipeline.
#[derive(Serialize, ToSchema)]
pub(super) struct StreamShown {
    /// The table or its pattern, or the name of a query or file stream.
    stream: String,
    /// `table`, `query` or `files`.
    reads: &'static str,
    /// The dataset, or the template of its name.
    dataset: String,
    /// `full_refresh` or `incremental`.
    sync_mode: &'static str,
    /// `overwrite`, `append`, `merge` or `scd2`.
    write_mode: &'static str,
    /// Output columns that tell rows apart.
    primary_key: Vec<String>,
    /// Output columns that become folders.
    partition_by: Vec<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Pipelines that this owner answers for only.
    #[param(max_length = 255)]
    owner: Option<String>,
    /// Pipelines of this connection only.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    connection: Option<String>,
    /// Most pipelines of the answer.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 50)]
    limit: Option<Limit>,
    /// What the page before gave as `next`.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    after: Option<String>,
}

/// List pipelines
///
/// Those that are in force, by name.
#[utoipa::path(
    get, path = "/pipelines", operation_id = "listPipelines", tag = "pipelines",
    params(Listing),
    responses((status = 200, description = "Some pipelines.", body = PipelinePage)),
)]
pub(super) async fn list_pipelines(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Params(listing): Params<Listing>,
) -> Answer {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail);
    let connection = listing.connection.as_deref().map(ConnectionName::parse).transpose();
    let connection = connection.map_err(|error| bad(error.message()))?;
    let after = listing.after.as_deref().map(PipelineName::parse).transpose();
    let after = after.map_err(|error| bad(error.message()))?;
    if listing.owner.as_ref().is_some_and(|owner| owner.chars().count() > 255) {
        return Err(bad("no owner has so long a name"));
    }
    let limit = entries(listing.limit);
    let active = api.dispatcher.active();
    let registered = api.dispatcher.registry().all();
    let rest = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
    let mut pipelines: Vec<PipelineEntry> = registered
        .range::<PipelineName, _>(rest)
        .map(|(_, pipeline)| pipeline)
        .filter(|pipeline| principal.may(Permission::PipelineRead, Some(&pipeline.name)))
        .filter(|pipeline| listing.owner.as_ref().is_none_or(|owner| *owner == pipeline.owner))
        .filter(|pipeline| connection.as_ref().is_none_or(|connection| *connection == pipeline.connection))
        .take(limit + 1)
        .map(|pipeline| entry(&api, pipeline, &active))
        .collect();
    let next = cut(&mut pipelines, limit, |entry| entry.name.clone());
    Ok(Json(PipelinePage { pipelines, next }).into_response())
}

/// Show a pipeline
///
/// The `ETag` is the digest of its document, for `If-Match` and `If-None-Match`.
#[utoipa::path(
    get, path = "/pipelines/{name}", operation_id = "showPipeline", tag = "pipelines",
    params(
        ("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$"),
        ("If-None-Match" = Option<String>, Header, description = "Answer 304 where the document has this ETag.", max_length = 512),
    ),
    responses(
        (status = 200, description = "The pipeline.", body = PipelineShown, headers(
            ("ETag" = String, description = "SHA-256 of the document, quoted.")
        )),
        (status = 304, description = "The document is the one that is known."),
        (status = 404, description = "`no-such-pipeline`"),
    ),
)]
pub(super) async fn show_pipeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let name = PipelineName::parse(&name).map_err(|_| no_such_pipeline())?;
    require(&principal, Permission::PipelineRead, Some(&name))?;
    let pipeline = api.dispatcher.registry().get(&name).ok_or_else(no_such_pipeline)?;
    let stored = match &api.documents {
        Some(documents) => documents.text(&name).await?,
        None => None,
    };
    let etag = quoted(stored.as_ref().map_or(&pipeline.digest, |stored| &stored.etag));
    if is_known(&headers, &etag)? {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)], UNSTORED).into_response());
    }
    let active = api.dispatcher.active();
    let shown = PipelineShown {
        entry: entry(&api, &pipeline, &active),
        digest: pipeline.digest.clone(),
        document: stored.map(|stored| stored.text),
        streams: pipeline.streams.iter().map(stream).collect(),
    };
    Ok(([(header::ETAG, etag)], UNSTORED, Json(shown)).into_response())
}

fn entry(api: &Api, pipeline: &Pipeline, active: &BTreeMap<PipelineName, RunId>) -> PipelineEntry {
    let next = api.schedules.next_after(&pipeline.name, api.clock.now());
    PipelineEntry {
        name: pipeline.name.to_string(),
        owner: pipeline.owner.clone(),
        description: pipeline.description.clone(),
        connection: pipeline.connection.to_string(),
        store: pipeline.store.as_ref().map(ToString::to_string),
        schedule: pipeline.schedule.as_ref().map(Schedule::to_json),
        next_run_at: next.map(|at| at.to_rfc3339()),
        paused: api.dispatcher.is_paused(&pipeline.name),
        active_run: active.get(&pipeline.name).map(ToString::to_string),
    }
}

fn stream(stream: &Stream) -> StreamShown {
    let (name, reads) = match &stream.selector {
        Selector::Table(pattern) => (format!("{}.{}", pattern.schema, pattern.table), "table"),
        Selector::Query { name, .. } => (name.to_string(), "query"),
        Selector::Files(files) => (files.name.to_string(), "files"),
    };
    let sync_mode = match stream.sync_mode {
        SyncMode::FullRefresh => "full_refresh",
        SyncMode::Incremental(_) => "incremental",
    };
    let write_mode = match stream.write_mode {
        WriteMode::Overwrite => "overwrite",
        WriteMode::Append => "append",
        WriteMode::Merge(_) => "merge",
        WriteMode::Scd2(_) => "scd2",
    };
    StreamShown {
        stream: name,
        reads,
        dataset: stream.dataset.as_str().to_owned(),
        sync_mode,
        write_mode,
        primary_key: stream.primary_key.clone(),
        partition_by: stream.partition_by.clone(),
    }
}
