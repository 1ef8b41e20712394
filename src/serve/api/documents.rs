//! Pipelines: checked, planned, registered and removed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::etag::{expected, quoted};
use super::params::Params;
use super::shapes::{DocumentProblem, PipelineDocument, PlanShape};
use super::{Answer, Api, no_such_pipeline, unavailable};
use crate::error::Error;
use crate::govern::{Permission, Principal};
use crate::run::classification::Look;
use crate::run::plan::{Rehearsal, rehearse};
use crate::serve::auth::require;
use crate::serve::documents::{Deleted, Documents, Registered, Unfit};
use crate::serve::problem::{Problem, listed};
use crate::spec::{PipelineName, Problems, StreamName};

/// How long a plan may take; below [`super::REQUEST_TIMEOUT`].
const PLAN_LIMIT: Duration = Duration::from_secs(25);

/// Who may write some pipeline: known before the document is read.
pub(super) struct Writer(Principal);

impl<S: Sync> FromRequestParts<S> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Error::failed("nobody is known to send this"))?;
        if !principal.may_some(Permission::PipelineWrite) {
            require(&principal, Permission::PipelineWrite, None)?;
        }
        Ok(Self(principal))
    }
}

/// What is found of a document that was sent.
#[derive(Serialize, ToSchema)]
pub(super) struct Validated {
    /// Whether it could be registered as it is.
    valid: bool,
    /// The pipeline's name, where it is valid.
    #[schema(required)]
    name: Option<String>,
    /// What is wrong with it, at most 100 of all.
    #[schema(value_type = Vec<DocumentProblem>)]
    problems: Value,
}

/// Check a document
///
/// Against the configuration, the policy and the other pipelines in force. Nothing is contacted or written.
#[utoipa::path(
    post, path = "/pipelines/validate", operation_id = "validatePipeline", tag = "pipelines",
    request_body(content = PipelineDocument, content_type = "application/yaml", description = "A pipeline document.", example = json!({
        "apiVersion": "sealift/v1", "kind": "Pipeline", "name": "drops", "owner": "retail-data", "connection": "drops",
        "dataset": "drops.{stream}",
        "streams": {"rows": {"path": "rows*.csv", "format": {"csv": {}}, "columns": {"*": {"tag": "public"}}}},
    })),
    responses(
        (status = 200, description = "What was found.", body = Validated),
        (status = 503, description = "`checks`: as many documents are checked as can be; `busy`; `timeout`"),
    ),
)]
pub(super) async fn validate_pipeline(
    State(api): State<Api>,
    Writer(principal): Writer,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let text = yaml(&headers, &body)?.to_owned();
    let documents = documents(&api)?.clone();
    let place = Arc::clone(&api.checks).try_acquire_owned();
    let place = place.map_err(|_| unavailable("checks", "other documents are being checked"))?;
    // Reading a large document takes a while, and goes on where nobody waits for it any more: so long it has its place.
    let checked = tokio::task::spawn_blocking(move || {
        let checked = documents.validate(&text);
        drop(place);
        checked
    });
    let checked = checked.await.map_err(|_| Error::failed("the check of the document was cut off"))?;
    let validated = match checked {
        Ok(pipeline) => {
            require(&principal, Permission::PipelineWrite, Some(&pipeline.name))?;
            Validated { valid: true, name: Some(pipeline.name.to_string()), problems: json!([]) }
        }
        Err(problems) => Validated { valid: false, name: None, problems: told_to(&principal, &problems) },
    };
    Ok(Json(validated).into_response())
}

/// What is wrong with a document. How to mend it names what others have: that is not for those who are limited to some
/// pipelines.
fn told_to(principal: &Principal, problems: &Problems) -> Value {
    let mut listed = listed(problems);
    if !principal.may(Permission::PipelineRead, None) {
        for problem in listed.as_array_mut().into_iter().flatten() {
            problem["help"] = Value::Null;
        }
    }
    listed
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Planning {
    /// One stream only.
    #[param(pattern = "^[ -~]{1,255}$")]
    stream: Option<String>,
}

/// Plan a run
///
/// Connects to the source and writes nothing. What stands in the way of a run is part of the answer.
#[utoipa::path(
    post, path = "/pipelines/{name}/plan", operation_id = "planPipeline", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$"), Planning),
    responses(
        (status = 200, description = "What a run would do.", body = PlanShape),
        (status = 404, description = "`no-such-pipeline`"),
        (status = 503, description = "`plans`: as many plans are made as can be; `busy`; `timeout`: the source took too long"),
    ),
)]
pub(super) async fn plan_pipeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    Params(planning): Params<Planning>,
) -> Answer {
    let name = PipelineName::parse(&name).map_err(|_| no_such_pipeline())?;
    require(&principal, Permission::PipelinePlan, Some(&name))?;
    let pipeline = api.dispatcher.registry().get(&name).ok_or_else(no_such_pipeline)?;
    let only = planning.stream.as_deref().map(StreamName::parse).transpose();
    let only = only.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad-request", error.message()))?;
    let engine = documents(&api)?.engine();
    let _place = api.plans.try_acquire().map_err(|_| unavailable("plans", "other plans are being made"))?;
    let planned = rehearse(&engine, &pipeline, only.as_ref(), Look::Always);
    let Ok(planned) = tokio::time::timeout(PLAN_LIMIT, planned).await else {
        return Err(
            unavailable("timeout", "the source took too long").with("help", "`sealift plan` waits longer")
        );
    };
    let (streams, error) = match planned {
        Ok(Rehearsal { streams, error }) => (streams, error),
        Err(error) => (Vec::new(), Some(error)),
    };
    let outcome = error.as_ref().map_or("done", |error| error.kind().meaning().outcome);
    let error = error.map(|error| {
        json!({
            "message": error.message(), "context": error.context(), "help": error.remedy(),
            "retry": error.kind().meaning().retry,
        })
    });
    Ok(Json(json!({"outcome": outcome, "error": error, "streams": streams})).into_response())
}

/// A pipeline that was registered.
#[derive(Serialize, ToSchema)]
pub(super) struct RegisteredPipeline {
    /// Its name.
    name: String,
    /// SHA-256 of its document.
    digest: String,
    /// `created`, `replaced` or `unchanged`.
    outcome: &'static str,
}

/// Register a pipeline
///
/// The document is checked as by `POST /v1/pipelines/validate`, written whole or not at all, and in force at once; a run
/// that is under way goes on as it began.
#[utoipa::path(
    put, path = "/pipelines/{name}", operation_id = "registerPipeline", tag = "pipelines",
    params(
        ("name" = String, Path, description = "The pipeline: the name in the document.", example = "drops", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$"),
        ("If-Match" = Option<String>, Header, description = "Only where the document has this ETag.", pattern = "^(\"[^\"]*\"|[*])$", max_length = 512),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only where there is none.", pattern = "^[*]$"),
    ),
    request_body(content = PipelineDocument, content_type = "application/yaml", description = "A pipeline document.", example = json!({
        "apiVersion": "sealift/v1", "kind": "Pipeline", "name": "drops", "owner": "retail-data", "connection": "drops",
        "dataset": "drops.{stream}",
        "streams": {"rows": {"path": "rows*.csv", "format": {"csv": {}}, "columns": {"*": {"tag": "public"}}}},
    })),
    responses(
        (status = 200, description = "It took the place of another document, or was there already.", body = RegisteredPipeline,
         headers(("ETag" = String, description = "SHA-256 of the document, quoted."))),
        (status = 201, description = "There is a pipeline more.", body = RegisteredPipeline, headers(
            ("ETag" = String, description = "SHA-256 of the document, quoted."),
            ("Location" = String, description = "Where the pipeline is shown.")
        )),
        (status = 412, description = "`precondition`: the document is another one than was expected."),
        (status = 422, description = "`invalid`: the document is not valid, or of another name."),
    ),
)]
pub(super) async fn register_pipeline(
    State(api): State<Api>,
    Writer(principal): Writer,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    require(&principal, Permission::PipelineWrite, PipelineName::parse(&name).ok().as_ref())?;
    let name = PipelineName::parse(&name)?;
    let text = yaml(&headers, &body)?;
    let expected = expected(&headers)?;
    let registered = documents(&api)?.register(&principal.actor(), &name, text, expected).await;
    let registered = registered.map_err(|unfit| match unfit {
        Unfit::Invalid(problems) => {
            let told = told_to(&principal, &problems);
            Problem::from(problems).with("problems", told)
        }
        Unfit::Fault(error) => error.into(),
    })?;
    let (status, outcome) = match registered {
        Registered::Created => (StatusCode::CREATED, "created"),
        Registered::Replaced => (StatusCode::OK, "replaced"),
        Registered::Unchanged => (StatusCode::OK, "unchanged"),
        Registered::Conflict => return Err(precondition()),
    };
    let digest = hex::encode(Sha256::digest(text));
    let etag = [(header::ETAG, quoted(&digest))];
    let told = Json(RegisteredPipeline { name: name.to_string(), digest, outcome });
    if status == StatusCode::CREATED {
        return Ok(
            (status, etag, [(header::LOCATION, format!("/v1/pipelines/{name}"))], told).into_response()
        );
    }
    Ok((status, etag, told).into_response())
}

/// Remove a pipeline
///
/// Its document is removed; what it published stays.
#[utoipa::path(
    delete, path = "/pipelines/{name}", operation_id = "deletePipeline", tag = "pipelines",
    params(
        ("name" = String, Path, description = "The pipeline.", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$"),
        ("If-Match" = Option<String>, Header, description = "Only where the document has this ETag.", pattern = "^(\"[^\"]*\"|[*])$", max_length = 512),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`no-such-pipeline`"),
        (status = 409, description = "`run-active`: a run of it waits or is under way."),
        (status = 412, description = "`precondition`: the document is another one than was expected."),
    ),
)]
pub(super) async fn delete_pipeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    require(&principal, Permission::PipelineWrite, PipelineName::parse(&name).ok().as_ref())?;
    let name = PipelineName::parse(&name).map_err(|_| no_such_pipeline())?;
    let documents = documents(&api)?;
    if api.dispatcher.registry().get(&name).is_none() {
        return Err(no_such_pipeline());
    }
    let expected = expected(&headers)?;
    // Held until it is gone, so that no process begins a run in between.
    let idle = api.dispatcher.hold_idle(&name).await?;
    let deleted = documents.delete(&principal.actor(), &name, expected).await;
    idle.end().await;
    match deleted? {
        Deleted::Deleted => Ok(StatusCode::NO_CONTENT.into_response()),
        Deleted::Absent => Err(no_such_pipeline()),
        Deleted::Conflict => Err(precondition()),
    }
}

pub(super) fn documents(api: &Api) -> Result<&Documents, Problem> {
    api.documents.as_ref().ok_or_else(|| unavailable("documents", "this daemon keeps no documents"))
}

fn precondition() -> Problem {
    let detail = "the document is another one than was expected";
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition", detail)
        .with("help", "look at it again, and send its new ETag")
}

/// The text of a YAML body.
fn yaml<'b>(headers: &HeaderMap, body: &'b [u8]) -> Result<&'b str, Problem> {
    let sent = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let essence = sent.map(|sent| sent.split(';').next().unwrap_or_default().trim());
    if essence.is_some_and(|essence| !essence.eq_ignore_ascii_case("application/yaml")) {
        let detail = "this path takes application/yaml";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail)
            .with("help", "send `Content-Type: application/yaml`"));
    }
    std::str::from_utf8(body)
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "bad-request", "the document is not UTF-8 text"))
}
