//! Policies, verdicts and plans for tests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::Plan;
use crate::error::Result;
use crate::spec::action::Canonical;
use crate::spec::classification::Classification;
use crate::spec::pipeline::{Column, Position};
use crate::spec::policy::{Rule, TagGlob, Unmatched};
use crate::spec::verdict::{Evidence, Origin, Verdict, Why};
use crate::spec::{Action, DatasetName, Policy, Tag};

pub(super) fn policy(unmatched: Unmatched, rules: &[(&str, Action)]) -> Policy {
    let rule = |(glob, action): &(&str, Action)| Rule {
        tags: vec![TagGlob::of(glob)],
        action: action.clone(),
        companion: None,
        allow_small_domain: false,
    };
    Policy {
        name: "test".to_owned(),
        unmatched,
        rules: rules.iter().map(rule).collect(),
        classification: Classification::default(),
        reveal: Vec::new(),
        digest: String::new(),
        path: PathBuf::new(),
    }
}

pub(super) fn tokenize(join_domain: &str) -> Action {
    let join_domain = (!join_domain.is_empty()).then(|| join_domain.to_owned());
    Action::Tokenize { join_domain, canonical: Canonical::Text }
}

pub(super) fn hash(join_domain: &str) -> Action {
    let join_domain = (!join_domain.is_empty()).then(|| join_domain.to_owned());
    Action::Hash { join_domain, canonical: Canonical::Text }
}

pub(super) fn evidence(
    leaf: Option<&str>,
    why: Why,
    tag: &str,
    action: Option<Action>,
    line: u64,
) -> Evidence {
    let tag = (!tag.is_empty()).then(|| Tag::parse(tag).unwrap());
    let declared = Column {
        tag: tag.clone(),
        action,
        conversion: None,
        companion: None,
        position: Position { line, column: 5 },
    };
    Evidence { leaf: leaf.map(str::to_owned), why, tag, declared }
}

/// A verdict of a column that is published as it comes.
pub(super) fn verdict(column: &str, evidence: Vec<Evidence>) -> Verdict {
    let origin = Origin::Columns(BTreeSet::from([column.to_owned()]));
    let is_named = evidence.iter().any(|e| e.leaf.is_none() && e.why == Why::Named);
    let undeclared = if is_named { Vec::new() } else { vec![column.to_owned()] };
    Verdict { column: column.to_owned(), evidence, origin, copy_of: Some(column.to_owned()), undeclared }
}

/// A verdict of one declaration that names the column.
pub(super) fn named(column: &str, tag: &str, action: Option<Action>) -> Verdict {
    verdict(column, vec![evidence(None, Why::Named, tag, action, 14)])
}

pub(super) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

pub(super) fn dataset() -> DatasetName {
    DatasetName::parse("crm.customers").unwrap()
}

pub(super) fn decide(policy: &Policy, schema: &SchemaRef, verdicts: &[Verdict]) -> Result<Plan> {
    Plan::decide(&dataset(), policy, schema.clone(), verdicts, &[])
}

/// `address` (street, city) beside `id`.
pub(super) fn nested() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    schema(&[
        ("id", DataType::Int64),
        ("address", DataType::Struct(vec![text("street"), text("city")].into())),
    ])
}
