//! What answers look like that are made of JSON elsewhere: for the OpenAPI document alone.
#![expect(dead_code, reason = "these describe; nobody makes one")]

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// An RFC 9457 problem. No problem holds a value of a row.
#[derive(ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemShape {
    /// Names the problem for programs.
    #[schema(pattern = "^urn:sealift:problem:[a-z0-9-]+$")]
    r#type: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, for people.
    detail: String,
    /// What to do about it, where that is known.
    #[schema(nullable = false)]
    help: Option<String>,
    /// The active run that stands in the way (`run-active`).
    #[schema(format = "uuid", nullable = false)]
    run_id: Option<String>,
    /// What is wrong with the document (`invalid`), at most 100 of all.
    #[schema(nullable = false)]
    problems: Option<Vec<DocumentProblem>>,
}

/// One thing that is wrong in a document.
#[derive(ToSchema)]
pub(super) struct DocumentProblem {
    /// The document.
    file: String,
    /// Line, from 1.
    #[schema(minimum = 1)]
    line: u64,
    /// Column in characters, from 1.
    #[schema(minimum = 1)]
    column: u64,
    /// What is wrong.
    message: String,
    /// What to do about it.
    #[schema(required)]
    help: Option<String>,
}

/// Where a run stands.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum RunState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Held,
    Cancelled,
}

/// A run.
#[derive(ToSchema)]
#[schema(as = Run)]
pub(super) struct RunShape {
    /// Its id.
    #[schema(format = "uuid")]
    run_id: String,
    /// The pipeline's name.
    pipeline: String,
    /// Where it stands.
    state: RunState,
    /// Null until the run is over, then `done` or the word of the table of exit codes: `failed`, `data`, `temporary`,
    /// `held`, `denied`, `invalid`, `cancelled` …
    #[schema(required)]
    outcome: Option<String>,
    /// What went wrong, until it is over with its last attempt; its last line may begin with `help: `.
    #[schema(required)]
    error: Option<String>,
    /// The attempt that is under way or waits, from 1; once over, the last one.
    attempt: u32,
    /// Who asked: `api`, `cli` or `schedule`.
    trigger: String,
    /// SHA-256 of the document that it runs.
    spec_digest: String,
    /// When it was asked for.
    #[schema(format = "date-time")]
    created_at: String,
    /// When it began.
    #[schema(format = "date-time", required)]
    started_at: Option<String>,
    /// When it was over.
    #[schema(format = "date-time", required)]
    finished_at: Option<String>,
    /// When the process that runs it last said that it does.
    #[schema(format = "date-time", required)]
    heartbeat_at: Option<String>,
    /// When the attempt that waits may begin.
    #[schema(format = "date-time", required)]
    not_before: Option<String>,
    /// What became of its streams so far.
    streams: Vec<RunStream>,
}

/// What became of one stream of a run.
#[derive(ToSchema)]
pub(super) struct RunStream {
    /// The stream.
    stream: String,
    /// Its dataset, `namespace.name`.
    dataset: String,
    /// The version that is visible.
    #[schema(required)]
    version: Option<u64>,
    /// Rows added.
    rows: u64,
    /// Rows that went to its quarantine instead.
    quarantined: u64,
    /// Bytes added.
    bytes: u64,
    /// How long it took.
    seconds: f64,
    /// `published`, `failed`, `held` or `cancelled`.
    state: String,
}

/// One server-sent event of a run.
#[derive(ToSchema)]
#[schema(as = Event)]
pub(super) struct EventShape {
    /// `state`, `progress` or `end`.
    event: String,
    /// What `Last-Event-ID` tells it by.
    id: String,
    /// A JSON object.
    data: String,
}

/// Some runs, newest first.
#[derive(ToSchema)]
pub(super) struct RunPage {
    runs: Vec<RunShape>,
    /// `after` of the next page; null at the end.
    #[schema(format = "uuid", required)]
    next: Option<String>,
}

/// The run that was asked for.
#[derive(ToSchema)]
pub(super) struct Triggered {
    #[schema(format = "uuid")]
    run_id: String,
    /// Whether it was not there yet; false where the key has found it.
    created: bool,
}

/// The run that is being stopped.
#[derive(ToSchema)]
pub(super) struct Cancelling {
    #[schema(format = "uuid")]
    run_id: String,
    /// `cancelling`.
    state: String,
}

/// Takes no options.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoOptions {}

/// A pipeline document: what it holds at the least. `sealift schema pipeline` tells all of it.
#[derive(ToSchema)]
pub(super) struct PipelineDocument {
    /// `sealift/v1`.
    #[schema(rename = "apiVersion")]
    api_version: String,
    /// `Pipeline`.
    kind: String,
    /// Its name.
    name: String,
    /// Who answers for it.
    owner: String,
    /// A connection of the configuration.
    connection: String,
    /// Names the datasets: `crm.{table}`.
    dataset: String,
    /// What is read, stream by stream.
    #[schema(value_type = Object)]
    streams: Value,
}

/// What a run would do.
#[derive(ToSchema)]
#[schema(as = Plan)]
pub(super) struct PlanShape {
    /// `done` where a run may come to its end, or the outcome that it would have.
    outcome: String,
    /// What stands in the way.
    #[schema(required)]
    error: Option<PlanError>,
    streams: Vec<PlannedStream>,
}

/// What stands in the way of a run.
#[derive(ToSchema)]
pub(super) struct PlanError {
    message: String,
    /// Where, innermost first.
    context: Vec<String>,
    #[schema(required)]
    help: Option<String>,
    /// Whether the same may succeed later.
    retry: bool,
}

/// What a run would do with one stream, as `sealift plan --json` tells it.
#[derive(ToSchema)]
pub(super) struct PlannedStream {
    stream: String,
    #[schema(required)]
    dataset: Option<String>,
    /// Rows that the source expects to give, where it can tell.
    #[schema(required)]
    rows: Option<u64>,
    /// Likewise bytes.
    #[schema(required)]
    bytes: Option<u64>,
    columns: Vec<PlannedColumn>,
    #[schema(required)]
    published_version: Option<u64>,
    warnings: Vec<String>,
}

/// What would happen to one column.
#[derive(ToSchema)]
pub(super) struct PlannedColumn {
    column: String,
    #[schema(required)]
    source_type: Option<String>,
    #[schema(required)]
    r#type: Option<String>,
    fidelity: String,
    #[schema(required)]
    tag: Option<String>,
    action: String,
    #[schema(required)]
    key: Option<String>,
    /// Source columns that it comes from; null where that is not known.
    #[schema(required)]
    lineage: Option<Vec<String>>,
}

/// The signed evidence of a version, as it is stored; `docs/evidence.md` describes every field.
#[derive(ToSchema)]
#[schema(as = Receipt)]
pub(super) struct ReceiptShape {
    format: String,
    dataset: String,
    version: u64,
    run_id: String,
    /// Base64 of the Ed25519 signature of the canonical form without this field.
    signature: String,
}
