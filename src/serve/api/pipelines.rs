//! Pipelines: listed.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::{Answer, Api};

pub(super) async fn list_pipelines(State(api): State<Api>) -> Answer {
    let active = api.dispatcher.active().await;
    let now = api.clock.now();
    let registered = api.dispatcher.registry().all();
    let pipelines: Vec<Value> = registered
        .values()
        .map(|pipeline| {
            let schedule = pipeline.schedule.as_ref();
            json!({
                "name": pipeline.name.as_str(),
                "owner": pipeline.owner,
                "description": pipeline.description,
                "schedule": schedule.map(|s| json!({"cron": s.cron, "timezone": s.timezone.name()})),
                "next_run_at": api.schedules.next_after(&pipeline.name, now).map(|at| at.to_rfc3339()),
                "active_run": active.get(&pipeline.name).map(ToString::to_string),
            })
        })
        .collect();
    Ok(Json(json!({"pipelines": pipelines})).into_response())
}
