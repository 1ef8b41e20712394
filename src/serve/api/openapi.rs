//! The OpenAPI document: made of the routes themselves, so that the two cannot part.

use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Required,
    Response as Told, ResponseBuilder, Schema, SecurityRequirement, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::shapes::ProblemShape;
use crate::serve::problem;

/// The one security scheme.
const BEARER: &str = "bearer";
/// The name of the problem's schema in the document.
const PROBLEM: &str = "Problem";
/// What each part of the API is about.
const TAGS: [(&str, &str); 5] = [
    ("pipelines", "The documents that say what is read and what becomes of it."),
    ("runs", "Executions of pipelines."),
    ("datasets", "What is published."),
    ("audit", "Who did what."),
    ("daemon", "How the daemon itself is."),
];
/// Answers that any request may get.
const ANY: [(&str, &str); 3] = [
    ("400", "`bad-request`: the request cannot be read, or a parameter is not what it should be."),
    ("500", "`failed`: a fault of the daemon or of its metadata store, which trying again does not mend."),
    (
        "503",
        "`busy`, `timeout`, `temporary`, `no-access` (a store or a folder refuses the daemon): try again later.",
    ),
];
/// Answers that any request may get that needs a token.
const WITH_TOKEN: [(&str, &str); 3] = [
    ("401", "`unauthorized`: there is no token, or it is unknown or has expired."),
    ("403", "`denied`: the role may not do this."),
    (
        "429",
        "`rate`: too many requests of one caller; `throttled`: too many attempts were wrong; `Retry-After` tells when to come back.",
    ),
];
/// Answers that any request may get that has a body.
const WITH_BODY: [(&str, &str); 3] = [
    ("408", "`too-slow`: the body took more than 20 seconds."),
    ("413", "`too-large`: the body is larger than 64 KiB, or a document than 1 MiB."),
    ("415", "`media-type`: the body is of another content type."),
];

/// The document, as it is served.
#[derive(Clone)]
pub(super) struct Document(Arc<str>);

impl Document {
    /// Of what the routes say.
    pub(super) fn of(routes: OpenApi) -> Self {
        let text = serde_json::to_string_pretty(&complete(routes)).unwrap_or_default();
        Self(Arc::from(text + "\n"))
    }

    /// Its text.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// The answer to who asks for it.
    pub(super) fn answer(&self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0.to_string()).into_response()
    }
}

/// What no route says by itself.
fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Sealift")
        .description(Some(
            "The daemon of Sealift: pipelines, their runs, and the datasets that they publish. Every error is an RFC \
             9457 problem, whose `type` is `urn:sealift:problem:` and one of the words that the answers below name. \
             Parameters of lists that are not known are refused.",
        ))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    document.tags = Some(
        TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build())
            .into_iter()
            .collect(),
    );
    document.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(
        BEARER,
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("A token of `sealift token create`."))
                .build(),
        ),
    );
    components.schemas.insert(PROBLEM.to_owned(), ProblemShape::schema());
    let mut below = Vec::new();
    ProblemShape::schemas(&mut below);
    components.schemas.extend(below);
    for item in document.paths.paths.values_mut() {
        operations(item).for_each(|operation| {
            spare_options(operation);
            never_null(operation);
            add_problems(operation);
        });
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, .. } = item;
    [get, put, post, delete].into_iter().filter_map(Option::as_mut)
}

/// A body that takes no options may be left out.
fn spare_options(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    let takes_none = |content: &RefOr<Content>| match content {
        RefOr::T(content) => {
            matches!(&content.schema, Some(RefOr::Ref(named)) if named.ref_location.ends_with("/NoOptions"))
        }
        RefOr::Ref(_) => false,
    };
    if body.content.values().any(takes_none) {
        body.required = Some(Required::False);
    }
}

/// A parameter that may be left out is not sent as null.
fn never_null(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
            && let SchemaType::Array(kinds) = &object.schema_type
            && let [kind, Type::Null] = kinds.as_slice()
        {
            object.schema_type = SchemaType::Type(kind.clone());
        }
    }
}

/// What is an error is a problem, and some problems any request may have.
fn add_problems(operation: &mut Operation) {
    let is_open = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    let more = ANY.iter();
    let more = more.chain(WITH_TOKEN.iter().filter(|_| !is_open));
    let more = more.chain(WITH_BODY.iter().filter(|_| has_body));
    let responses = &mut operation.responses.responses;
    for (status, description) in more {
        let told = ResponseBuilder::new().description(*description).build();
        responses.entry((*status).to_owned()).or_insert(RefOr::T(told));
    }
    for (status, told) in responses {
        if let RefOr::T(told) = told
            && status.starts_with(['4', '5'])
        {
            *told = as_problem(told);
        }
    }
}

fn as_problem(told: &Told) -> Told {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
    ResponseBuilder::new().description(told.description.clone()).content(problem::MEDIA_TYPE, content).build()
}
