//! What is told of one stream: its input, its outputs, their columns and where those come from.

use arrow::datatypes::SchemaRef;
use serde_json::{Map, Value, json};

use super::event::{facet, own_facet};
use super::naming::Named;
use crate::protect::{Decision, Plan};
use crate::publish::type_name;
use crate::run::{Engine, Published, StreamPlan};
use crate::spec::verdict::{Origin, Verdict};
use crate::spec::{Action, Pipeline};

/// Input and outputs of a stream, as events tell them.
pub(super) struct Described {
    input: Value,
    own: Option<Value>,
    quarantine: Option<Value>,
    /// Whether rows went to the quarantine.
    rejects: bool,
}

impl Described {
    pub(super) fn of(engine: &Engine, pipeline: &Pipeline, plan: &StreamPlan) -> Self {
        let source = Named::source(&engine.config, pipeline, &plan.relation);
        let store = engine.places(pipeline).ok().map(|(store, _)| store);
        let named = |dataset| store.as_ref().map(|store| Named::published(store, dataset));
        let input = source.as_ref().map_or(Value::Null, |source| {
            let fields: Vec<Value> = plan
                .source_columns
                .iter()
                .map(|column| json!({"name": column.name(), "type": column.described.source_type}))
                .collect();
            let origin = json!({"name": pipeline.connection.as_str(), "uri": source.namespace});
            json!([{
                "namespace": source.namespace, "name": source.name, "inputFacets": {},
                "facets": {
                    "schema": facet("1-2-0", "SchemaDatasetFacet", json!({"fields": fields})),
                    "dataSource": facet("1-0-1", "DatasourceDatasetFacet", origin),
                },
            }])
        });
        let own = named(&plan.dataset).map(|output| {
            let mut described = dataset(&output, &plan.protection);
            if let Some(source) = &source {
                described["facets"]["columnLineage"] = column_lineage(plan, source);
            }
            described
        });
        let quarantine = plan.quarantine.as_ref();
        let quarantine = quarantine.and_then(|it| Some(dataset(&named(&it.dataset)?, &it.protection)));
        Self { input, own, quarantine, rejects: false }
    }

    /// What became of it.
    pub(super) fn became(&mut self, published: &Published) {
        if let Some(own) = &mut self.own {
            let outcome = &published.outcome;
            let version = json!({"datasetVersion": outcome.version.to_string()});
            own["facets"]["version"] = facet("1-0-1", "DatasetVersionDatasetFacet", version);
            if let Some(receipt) = &outcome.receipt {
                own["facets"]["sealift_receipt"] = own_facet("receipt", json!({"sha256": receipt}));
            }
            own["outputFacets"] = statistics(outcome.rows, Some(outcome.bytes));
        }
        let rejected = published.quarantined.as_ref().map_or(0, |quarantined| quarantined.rows);
        self.rejects = rejected > 0;
        if let Some(quarantine) = &mut self.quarantine {
            quarantine["outputFacets"] = statistics(rejected, None);
        }
    }

    /// Inputs and outputs.
    pub(super) fn datasets(&self) -> [Value; 2] {
        let quarantine = self.quarantine.iter().filter(|_| self.rejects);
        let outputs: Vec<Value> = self.own.iter().chain(quarantine).cloned().collect();
        [self.input.clone(), Value::Array(outputs)]
    }
}

fn statistics(rows: u64, bytes: Option<u64>) -> Value {
    let mut told = json!({"rowCount": rows});
    if let Some(bytes) = bytes {
        told["size"] = json!(bytes);
    }
    json!({"outputStatistics": facet("1-0-2", "OutputStatisticsOutputDatasetFacet", told)})
}

/// A published dataset: its columns, and what is done to each.
fn dataset(named: &Named, protection: &Plan) -> Value {
    let storage = json!({"storageLayer": "delta", "fileFormat": "parquet"});
    let origin = json!({"name": named.namespace, "uri": named.namespace});
    let decided = json!({"columns": protection.decisions().iter().map(decided).collect::<Vec<_>>()});
    json!({
        "namespace": named.namespace, "name": named.name, "outputFacets": {},
        "facets": {
            "schema": facet("1-2-0", "SchemaDatasetFacet", json!({"fields": fields(protection.output())})),
            "dataSource": facet("1-0-1", "DatasourceDatasetFacet", origin),
            "storage": facet("1-0-1", "StorageDatasetFacet", storage),
            "sealift_protection": own_facet("protection", decided),
        },
    })
}

fn fields(schema: &SchemaRef) -> Vec<Value> {
    let fields = schema.fields().iter();
    fields.map(|field| json!({"name": field.name(), "type": type_name(field.data_type())})).collect()
}

fn decided(decision: &Decision) -> Value {
    json!({
        "column": decision.path, "tag": decision.tag.as_ref().map(ToString::to_string),
        "action": decision.action.word(), "because": decision.because, "key": decision.key,
    })
}

/// From which source columns each published column comes. Where that cannot be told it is all of them.
fn column_lineage(plan: &StreamPlan, source: &Named) -> Value {
    let mut lineage = Map::new();
    for field in plan.protection.output().fields() {
        let decision = strictest(plan.protection.decisions(), field.name());
        let made_of = decision.map_or(field.name().as_str(), |one| top(one.made_of()));
        let verdict = plan.verdicts.iter().find(|verdict| verdict.column == made_of);
        let inputs: Vec<Value> = from(plan, verdict)
            .into_iter()
            .map(|column| {
                json!({
                    "namespace": source.namespace, "name": source.name, "field": column,
                    "transformations": [transformation(plan, made_of, verdict, decision)],
                })
            })
            .collect();
        if !inputs.is_empty() {
            lineage.insert(field.name().clone(), json!({"inputFields": inputs}));
        }
    }
    facet("1-2-0", "ColumnLineageDatasetFacet", json!({"fields": lineage}))
}

/// What is done to a column; of a nested one with decisions for its parts the strictest.
fn strictest<'a>(decisions: &'a [Decision], column: &str) -> Option<&'a Decision> {
    decisions.iter().filter(|one| top(&one.path) == column).max_by_key(|one| one.action.strength())
}

fn from(plan: &StreamPlan, verdict: Option<&Verdict>) -> Vec<String> {
    match verdict.map(|verdict| &verdict.origin) {
        Some(Origin::Columns(columns)) => columns.iter().cloned().collect(),
        Some(Origin::Unknown) => plan.reads.iter().map(|column| column.name.clone()).collect(),
        // A column that the run adds, such as when a row was seen.
        None => Vec::new(),
    }
}

/// How a column is made, in the specification's words; masking is whatever an action does to values.
fn transformation(
    plan: &StreamPlan,
    column: &str,
    verdict: Option<&Verdict>,
    decision: Option<&Decision>,
) -> Value {
    let index = plan.transform.output().index_of(column).ok();
    let aggregate = index.and_then(|index| plan.transform.aggregates().get(index)?.as_ref());
    let action = decision.map_or(&Action::Allow, |decision| &decision.action);
    let is_copy = verdict.is_some_and(|verdict| verdict.copy_of.is_some());
    json!({
        "type": "DIRECT", "subtype": subtype(aggregate.is_some(), is_copy, action), "description": action.word(),
        "masking": *action != Action::Allow,
    })
}

/// A copy is one only where who may read it gets the value itself.
fn subtype(is_aggregate: bool, is_copy: bool, action: &Action) -> &'static str {
    match action {
        _ if is_aggregate => "AGGREGATION",
        Action::Allow | Action::Encrypt if is_copy => "IDENTITY",
        _ => "TRANSFORMATION",
    }
}

fn top(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(path: &str, action: Action) -> Decision {
        Decision {
            path: path.into(),
            tag: None,
            key: None,
            action,
            because: String::new(),
            companion_of: None,
        }
    }

    #[test]
    fn a_struct_is_as_protected_as_its_strictest_part() {
        let decisions = [
            decision("person.name", Action::Allow),
            decision("person.ssn", Action::Encrypt),
            decision("person.note", Action::Allow),
            decision("id", Action::Allow),
        ];
        assert_eq!(strictest(&decisions, "person").unwrap().action, Action::Encrypt);
        assert_eq!(strictest(&decisions, "id").unwrap().action, Action::Allow);
        assert!(strictest(&decisions, "seen_at").is_none());
    }

    #[test]
    fn only_a_value_that_stays_is_the_same() {
        assert_eq!(subtype(false, true, &Action::Allow), "IDENTITY");
        assert_eq!(subtype(false, true, &Action::Encrypt), "IDENTITY");
        assert_eq!(subtype(false, true, &Action::Nullify), "TRANSFORMATION");
        assert_eq!(subtype(false, false, &Action::Allow), "TRANSFORMATION");
        assert_eq!(subtype(true, false, &Action::Encrypt), "AGGREGATION");
    }
}
