//! Documents that are not in force as they are written.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::documents::documents;
use super::shapes::DocumentProblem;
use super::{Answer, Api};
use crate::govern::{Permission, Principal};
use crate::serve::auth::require;
use crate::serve::documents::Invalid;
use crate::serve::problem::listed;

/// Most documents of the answer.
const MOST: usize = 100;

/// A document that is not in force as it is written.
#[derive(Serialize, ToSchema)]
pub(super) struct InvalidDocument {
    /// The file, or the folder where that is what cannot be read.
    file: String,
    /// The pipeline that is in force of an earlier text of it.
    #[schema(required)]
    in_force: Option<String>,
    /// What is wrong with it, at most 100 of all.
    #[schema(value_type = Vec<DocumentProblem>)]
    problems: Value,
}

/// Documents that are not in force as they are written.
#[derive(Serialize, ToSchema)]
pub(super) struct InvalidDocuments {
    /// At most 100, in the order of their paths.
    documents: Vec<InvalidDocument>,
    /// How many there are.
    count: usize,
}

impl From<&Invalid> for InvalidDocument {
    fn from(invalid: &Invalid) -> Self {
        Self {
            file: invalid.path.to_string_lossy().into_owned(),
            in_force: invalid.in_force.as_ref().map(ToString::to_string),
            problems: listed(&invalid.problems),
        }
    }
}

/// List invalid documents
///
/// Configuration, policy and pipelines on the daemon's disk that are not in force as they are written, and what is wrong
/// with them. What was in force of them before stays so.
#[utoipa::path(
    get, path = "/problems", operation_id = "listProblems", tag = "pipelines",
    responses((status = 200, description = "What is wrong.", body = InvalidDocuments)),
)]
pub(super) async fn list_problems(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
) -> Answer {
    require(&principal, Permission::PipelineRead, None)?;
    let problems = documents(&api)?.problems();
    let documents = problems.iter().take(MOST).map(InvalidDocument::from).collect();
    Ok(Json(InvalidDocuments { documents, count: problems.len() }).into_response())
}
