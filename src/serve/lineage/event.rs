//! The envelope of an event, and the facets that all of them have (OpenLineage 2-0-2).

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// Who writes events, and which release.
const PRODUCER: &str = concat!("urn:sealift:", env!("CARGO_PKG_VERSION"));
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Start,
    Complete,
    Fail,
    Abort,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Complete => "COMPLETE",
            Self::Fail => "FAIL",
            Self::Abort => "ABORT",
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Event {
    /// What it tells: run and kind. Told again it is the same event.
    pub(in crate::serve) key: String,
    /// The JSON text.
    pub(in crate::serve) body: String,
}

impl Event {
    /// `run` and `job` are those of the specification; of inputs and outputs `null` is none.
    pub(super) fn new(kind: Kind, at: DateTime<Utc>, run: Value, job: Value, datasets: [Value; 2]) -> Self {
        let run_id = run.get("runId").and_then(Value::as_str).unwrap_or_default();
        let key = format!("{run_id} {}", kind.word());
        let [inputs, outputs] = datasets.map(|list| if list.is_null() { json!([]) } else { list });
        let body = json!({
            "eventType": kind.word(), "eventTime": written(at), "run": run, "job": job,
            "inputs": inputs, "outputs": outputs, "producer": PRODUCER, "schemaURL": SCHEMA,
        });
        Self { key, body: body.to_string() }
    }
}

/// A facet of the specification, in this version of it.
pub(super) fn facet(version: &str, name: &str, fields: Value) -> Value {
    let url = format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}");
    with_source(&url, fields)
}

/// A facet of our own, which docs/observability.md describes.
pub(super) fn own_facet(name: &str, fields: Value) -> Value {
    with_source(&format!("urn:sealift:lineage:{name}:1"), fields)
}

fn with_source(url: &str, fields: Value) -> Value {
    let mut facet = Map::new();
    facet.insert("_producer".into(), json!(PRODUCER));
    facet.insert("_schemaURL".into(), json!(url));
    if let Value::Object(fields) = fields {
        facet.extend(fields);
    }
    Value::Object(facet)
}

/// What every run says. An error is one of our own, without a value.
pub(super) fn run_facets(error: Option<&str>) -> Map<String, Value> {
    let version = env!("CARGO_PKG_VERSION");
    let engine = json!({"name": "Sealift", "version": version, "openlineageAdapterVersion": version});
    let mut facets = Map::new();
    facets.insert("processing_engine".into(), facet("1-1-1", "ProcessingEngineRunFacet", engine));
    if let Some(error) = error {
        let told = json!({"message": error, "programmingLanguage": "RUST"});
        facets.insert("errorMessage".into(), facet("1-0-1", "ErrorMessageRunFacet", told));
    }
    facets
}

/// What every job says.
pub(super) fn job_facets(owner: Option<&str>) -> Map<String, Value> {
    let mut facets = Map::new();
    let kind = json!({"processingType": "BATCH", "integration": "SEALIFT", "jobType": "SYNC"});
    facets.insert("jobType".into(), facet("2-0-4", "JobTypeJobFacet", kind));
    if let Some(owner) = owner {
        let owners = json!({"owners": [{"name": owner}]});
        facets.insert("ownership".into(), facet("1-0-1", "OwnershipJobFacet", owners));
    }
    facets
}

/// The facet by which a stream's run names the pipeline's.
pub(super) fn parent_of(run_id: &str, namespace: &str, pipeline: &str) -> Value {
    let parent = json!({"run": {"runId": run_id}, "job": {"namespace": namespace, "name": pipeline}});
    facet("1-2-0", "ParentRunFacet", parent)
}

/// An instant as the specification writes it.
pub(super) fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
