//! How the daemon itself is.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Api, unavailable};
use crate::govern::{Permission, Principal};
use crate::serve::auth::require;
use crate::serve::metrics;

/// Whether the process answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// `ok`
    status: &'static str,
}

/// Whether work is taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready`
    status: &'static str,
    /// Pipelines that are in force.
    pipelines: usize,
    /// Documents that are not in force as they are written; `GET /v1/problems` tells what is wrong with them.
    invalid_documents: usize,
}

/// Tell whether the process answers
#[utoipa::path(
    get, path = "/healthz", operation_id = "showHealth", tag = "daemon", security(()),
    responses((status = 200, description = "It does.", body = Alive)),
)]
pub(super) async fn show_health() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Tell whether runs are taken
#[utoipa::path(
    get, path = "/readyz", operation_id = "showReadiness", tag = "daemon", security(()),
    responses(
        (status = 200, description = "They are.", body = Ready),
        (status = 503, description = "`stopping`; `ledger`: the metadata store does not answer."),
    ),
)]
pub(super) async fn show_readiness(State(api): State<Api>) -> Answer {
    if !api.dispatcher.is_open() {
        return Err(unavailable("stopping", "the daemon is stopping"));
    }
    if api.dispatcher.ledger().ping().await.is_err() {
        return Err(unavailable("ledger", "the metadata store does not answer"));
    }
    let pipelines = api.dispatcher.registry().all().len();
    let invalid_documents = api.invalid_documents();
    Ok(Json(Ready { status: "ready", pipelines, invalid_documents }).into_response())
}

/// Read the metrics
///
/// OpenMetrics 1.0, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "readMetrics", tag = "daemon",
    responses((status = 200, description = "Metrics.", body = String,
               content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8")),
)]
pub(super) async fn show_metrics(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
) -> Answer {
    require(&principal, Permission::MetricsRead, None)?;
    metrics::show(&api, &headers).await
}
