//! The plan, as it is told to people and programs: a line for each column.

use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};

use super::Planned;
use crate::classify::Found;
use crate::protect::Decision;
use crate::run::contract::{Change, Comparison};
use crate::run::fidelity::SourceColumn;
use crate::run::{Quarantine, StreamPlan};
use crate::spec::verdict::Origin;

/// One stream for programs: `{"stream","dataset","rows","bytes","incremental","columns","published_version","changes",
/// "quarantine","warnings"}`.
#[must_use]
pub fn stream(planned: &Planned) -> Value {
    let plan = match planned {
        Ok(plan) => plan,
        Err(held) => {
            return json!({
                "stream": held.stream.as_str(), "dataset": null, "rows": null, "bytes": null, "incremental": null,
                "columns": lines(&unplanned(&held.source_columns)), "published_version": null, "changes": null,
                "quarantine": null, "warnings": [],
            });
        }
    };
    let quarantine = plan.quarantine.as_ref().map(|quarantine| {
        json!({
            "dataset": quarantine.dataset.to_string(),
            "max_rows": quarantine.max_rows,
            "columns": lines(&quarantined(plan, quarantine)),
            "changes": changes(&quarantine.comparison),
        })
    });
    let incremental = plan
        .increment
        .as_ref()
        .map(|increment| json!({"cursor_field": increment.columns(), "lookback": increment.lookback()}));
    json!({
        "stream": plan.relation.stream.as_str(),
        "dataset": plan.dataset.to_string(),
        "rows": plan.rows,
        "bytes": plan.bytes,
        "incremental": incremental,
        "columns": lines(&columns(plan)),
        "published_version": plan.comparison.version,
        "changes": changes(&plan.comparison),
        "quarantine": quarantine,
        "warnings": plan.warnings,
    })
}

fn lines(columns: &[Column]) -> Vec<Value> {
    columns.iter().map(Column::to_json).collect()
}

/// What differs from what is published.
fn changes(comparison: &Comparison) -> Vec<Value> {
    let change = |change: &Change| {
        json!({
            "column": change.column, "change": change.kind.to_string(), "published": change.published,
            "planned": change.planned, "run": change.then.word(), "what": change.then.text(),
        })
    };
    comparison.changes.iter().map(change).collect()
}

/// One line of the plan.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// Its leaf path.
    pub name: String,
    /// The type that the source has.
    pub source_type: Option<String>,
    /// The type that it is carried as.
    pub arrow_type: Option<String>,
    /// The type that is published.
    pub published_type: Option<String>,
    /// What carrying it does to its values.
    pub fidelity: String,
    /// Its class of data.
    pub tag: Option<String>,
    /// What happens to it.
    pub action: String,
    /// Who decided that.
    pub because: String,
    /// Id of the key it uses.
    pub key: Option<String>,
    /// Source columns that it comes from; `None` where that is not known.
    pub lineage: Option<Vec<String>>,
    /// The expressions between it and those, the last one first.
    pub path: Vec<String>,
    /// What was found in the source column that it is a copy of.
    pub found: Option<Found>,
    /// Of a computed column, what was found in those that it comes from.
    pub found_in_sources: Vec<Found>,
}

impl Column {
    /// The line for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "column": self.name, "source_type": self.source_type, "arrow_type": self.arrow_type,
            "type": self.published_type, "fidelity": self.fidelity, "tag": self.tag, "action": self.action,
            "because": self.because, "key": self.key, "lineage": self.lineage, "path": self.path,
            "found": self.found.as_ref().map(Found::to_json),
            "found_in_sources": self.found_in_sources.iter().map(Found::to_json).collect::<Vec<_>>(),
        })
    }

    /// What is decided of a column.
    fn of_decision(decision: &Decision) -> Self {
        Self {
            name: decision.path.clone(),
            tag: decision.tag.as_ref().map(ToString::to_string),
            action: decision.action.to_string(),
            because: decision.because.clone(),
            key: decision.key.clone(),
            ..Self::default()
        }
    }

    /// A column of the source, as far as it is known before anything is decided about its output.
    fn of_source(source: &SourceColumn) -> Self {
        let arrow = source.arrow_type();
        Self {
            name: source.name().to_owned(),
            source_type: Some(source.described.source_type.clone()),
            arrow_type: arrow.as_ref().map(ToString::to_string),
            fidelity: source.fidelity().to_string(),
            lineage: Some(vec![source.name().to_owned()]),
            ..Self::default()
        }
    }
}

/// What happens to the columns of a stream, those that are not read too.
#[must_use]
pub fn columns(plan: &StreamPlan) -> Vec<Column> {
    let mut columns: Vec<Column> =
        plan.protection.decisions().iter().map(|decision| column(plan, decision)).collect();
    let unread =
        plan.source_columns.iter().filter(|source| plan.unread.iter().any(|name| name == source.name()));
    columns.extend(unread.map(|source| Column {
        arrow_type: None,
        fidelity: "not read".into(),
        action: "drop".into(),
        because: "spec".into(),
        ..Column::of_source(source)
    }));
    columns
}

/// What happens to the columns of rejected rows.
#[must_use]
pub fn quarantined(plan: &StreamPlan, quarantine: &Quarantine) -> Vec<Column> {
    let column = |decision: &Decision| {
        let top = decision.made_of().split('.').next().unwrap_or(&decision.path);
        let own = if decision.companion_of.is_some() { &decision.path } else { top };
        let source = plan.source_columns.iter().find(|source| source.name() == top);
        let field =
            |schema: &SchemaRef, name: &str| Some(schema.field_with_name(name).ok()?.data_type().clone());
        Column {
            arrow_type: field(quarantine.protection.input(), top).map(|arrow| arrow.to_string()),
            published_type: field(quarantine.protection.output(), own).map(|t| crate::publish::type_name(&t)),
            fidelity: source.map(|source| source.as_read().to_string()).unwrap_or_default(),
            source_type: source.map(|source| source.described.source_type.clone()),
            lineage: Some(source.map(|source| source.name().to_owned()).into_iter().collect()),
            ..Column::of_decision(decision)
        }
    };
    quarantine.protection.decisions().iter().map(column).collect()
}

/// What is known of the columns of a stream that cannot run.
#[must_use]
pub fn unplanned(source: &[SourceColumn]) -> Vec<Column> {
    source.iter().map(Column::of_source).collect()
}

fn column(plan: &StreamPlan, decision: &Decision) -> Column {
    let top = decision.made_of().split('.').next().unwrap_or(&decision.path);
    let verdict = plan.verdicts.iter().find(|v| v.column == decision.made_of() || v.column == top);
    let lineage = verdict.and_then(|verdict| match &verdict.origin {
        Origin::Columns(names) => Some(names.iter().cloned().collect::<Vec<_>>()),
        Origin::Unknown => None,
    });
    let index = plan.transform.output().index_of(top).ok();
    let copied = index.and_then(|index| plan.transform.copies().get(index)?.as_ref());
    let source = copied.and_then(|name| plan.source_columns.iter().find(|column| column.name() == name));
    let own = if decision.companion_of.is_some() { &decision.path } else { top };
    let published = plan.protection.output().field_with_name(own).ok();
    let computed = plan.transform.output().field_with_name(top).ok();
    let arrow = source.and_then(SourceColumn::arrow_type).or(computed.map(|field| field.data_type().clone()));
    Column {
        source_type: source.map(|column| column.described.source_type.clone()),
        arrow_type: arrow.map(|arrow| arrow.to_string()),
        published_type: published.map(|field| crate::publish::type_name(field.data_type())),
        fidelity: source
            .map_or_else(|| computed_from(plan, lineage.as_deref()), |c| c.fidelity().to_string()),
        found_in_sources: found_in_sources(plan, copied.is_some(), lineage.as_deref()),
        lineage,
        path: plan.transform.path(top).to_vec(),
        found: found(plan, decision, copied.map(String::as_str)),
        ..Column::of_decision(decision)
    }
}

/// What was found in the part of the source that a leaf is a copy of.
fn found(plan: &StreamPlan, decision: &Decision, copied: Option<&str>) -> Option<Found> {
    let path = decision.dotted();
    let below = path.split_once('.').map_or_else(String::new, |(_, below)| format!(".{below}"));
    let name = format!("{}{below}", copied?);
    plan.found.iter().find(|found| found.name == name).cloned()
}

/// What was found in the columns that a computed one comes from; in all of them where that is not known.
fn found_in_sources(plan: &StreamPlan, is_copy: bool, lineage: Option<&[String]>) -> Vec<Found> {
    let is_source = |found: &&Found| {
        let top = found.name.split('.').next().unwrap_or(&found.name);
        !is_copy && lineage.is_none_or(|names| names.iter().any(|name| name == top))
    };
    plan.found.iter().filter(is_source).cloned().collect()
}

/// A computed column is what its SQL makes of its sources; those that lose values are named.
fn computed_from(plan: &StreamPlan, lineage: Option<&[String]>) -> String {
    let is_source = |name: &str| lineage.is_none_or(|names| names.iter().any(|other| other == name));
    let lossy = plan.source_columns.iter().filter(|source| source.fidelity().is_lossy());
    // A refused column that nothing reads brings no values.
    let is_read = |source: &&SourceColumn| plan.reads.iter().any(|read| read.name == source.name());
    let lossy: Vec<String> = lossy
        .filter(|source| is_source(source.name()))
        .filter(is_read)
        .map(|source| format!("{} ({})", source.name(), source.fidelity()))
        .collect();
    if lossy.is_empty() { "computed".to_owned() } else { format!("computed from {}", lossy.join(", ")) }
}
