//! How the daemon itself is.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;

use super::{Answer, Api, unavailable};
use crate::serve::metrics;

pub(super) async fn show_metrics(State(api): State<Api>) -> Answer {
    let active = api.dispatcher.active().await.len();
    let text = api.dispatcher.metrics().text(active)?;
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}

pub(super) async fn show_readiness(State(api): State<Api>) -> Answer {
    if !api.dispatcher.is_open() {
        return Err(unavailable("stopping", "the daemon is stopping"));
    }
    if api.dispatcher.ledger().ping().await.is_err() {
        return Err(unavailable("ledger", "the metadata store does not answer"));
    }
    Ok(Json(json!({"status": "ready", "pipelines": api.dispatcher.registry().all().len()})).into_response())
}
