//! Published columns that a stricter policy wants protected otherwise: what can be made of them without their
//! source, and how.
//!
//! Of a column published as it is, or encrypted, the values are there: every stronger action can act on them. Of
//! one that an action has made something else of, only the presence of values is left to take away.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{Field, SchemaRef};

use super::columns::{columns, partitions};
use super::{Decision, Plan, purpose};
use crate::error::{Error, Result};
use crate::protect::carried::{self, Leaf};
use crate::protect::fit;
use crate::spec::{Action, DatasetName};

/// A leaf column as it is published, and what is asked of it.
#[derive(Clone, Debug)]
pub struct Stands {
    /// Leaf path.
    pub path: String,
    /// The word of the action that made it.
    pub action: String,
    /// What it is to become; `None` leaves it as it is.
    pub wanted: Option<Action>,
}

/// How the rows of a published table are sealed otherwise.
#[derive(Clone, Debug)]
pub struct Resealing {
    plan: Plan,
    open: BTreeSet<String>,
    made: BTreeSet<usize>,
}

/// A table whose columns are to be protected otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a> {
    /// The dataset.
    pub dataset: &'a DatasetName,
    /// Its columns.
    pub schema: &'a SchemaRef,
    /// Its folders.
    pub partition_by: &'a [String],
    /// Leaf paths that may have statistics.
    pub open: &'a BTreeSet<String>,
    /// Leaf paths that are encrypted in any file.
    pub encrypted: &'a BTreeSet<String>,
}

impl Resealing {
    /// Plans it.
    ///
    /// # Errors
    /// `Held`, naming every column whose wanted action cannot be made of what is published: its values are gone,
    /// its type does not take it, it is a folder, or no column would be left.
    pub fn plan(published: Published<'_>, standing: &[Stands]) -> Result<Self> {
        let Published { dataset, schema, partition_by, .. } = published;
        let leaves = carried::leaves(schema)?;
        let standing: BTreeMap<&str, &Stands> =
            standing.iter().map(|stands| (stands.path.as_str(), stands)).collect();
        let mut problems = Vec::new();
        let (mut decisions, mut open, mut made) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for leaf in &leaves {
            let stands = standing.get(leaf.path.as_str()).copied();
            let is_encrypted = published.encrypted.contains(&leaf.path);
            let has_values = is_encrypted || stands.is_some_and(|stands| has_values(&stands.action));
            let wanted = stands.and_then(|stands| stands.wanted.as_ref());
            if let Some(problem) = wanted.and_then(|wanted| obstacle(leaf, wanted, has_values)) {
                problems.push(problem);
            }
            if wanted.is_none() && !is_encrypted && published.open.contains(&leaf.path) {
                open.insert(leaf.path.clone());
            }
            if !has_values {
                made.insert(leaf.column);
            }
            let stays = if is_encrypted { Action::Encrypt } else { Action::Allow };
            decisions.push(decided(dataset, leaf, wanted.cloned().unwrap_or(stays)));
        }
        subjects_are_there(&decisions, &leaves, &made, &mut problems);
        let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        let (columns, output) = columns(&fields, &leaves, &decisions, &mut problems);
        partitions(partition_by, &leaves, &decisions, &mut problems);
        if output.iter().all(|field| partition_by.contains(field.name())) {
            problems.push("no column is left to publish".to_owned());
        }
        if !problems.is_empty() {
            return Err(Error::held(problems.join("\n"))
                .help("publish again from the source: `sealift sync PIPELINE --full-refresh`, with write_mode: overwrite")
                .at(format!("dataset {dataset}")));
        }
        let (input, output) =
            (SchemaRef::clone(schema), SchemaRef::new(arrow::datatypes::Schema::new(output)));
        let plan = Plan { dataset: dataset.clone(), input, output, decisions, columns };
        Ok(Self { plan, open, made })
    }

    /// The plan: columns that stay as they are count as open, but for those that are encrypted.
    #[must_use]
    pub fn plan_of_rows(&self) -> &Plan {
        &self.plan
    }

    /// Leaf paths that are published as they are.
    #[must_use]
    pub fn open(&self) -> &BTreeSet<String> {
        &self.open
    }

    /// Indices of the columns that hold what an earlier action made, so that nobody has digests of their values.
    pub(in crate::protect) fn made(&self) -> &BTreeSet<usize> {
        &self.made
    }
}

/// Whether a column that an action made holds the values that went in.
#[must_use]
pub fn has_values(word: &str) -> bool {
    matches!(word, "allow" | "encrypt")
}

/// Whether an action needs no value to act on.
#[must_use]
pub const fn needs_no_value(action: &Action) -> bool {
    matches!(action, Action::Redact | Action::Nullify | Action::Drop)
}

fn obstacle(leaf: &Leaf, wanted: &Action, has_values: bool) -> Option<String> {
    if !has_values && !needs_no_value(wanted) {
        return Some(format!(
            "column `{}`: its values are gone, so `{wanted}` has nothing to act on",
            leaf.path
        ));
    }
    (!fit::can_take(leaf, wanted))
        .then(|| format!("column `{}`: `{wanted}` {}", leaf.path, fit::refusal(leaf)))
}

/// Who a row is about is told by values, and not by what an action made of them.
fn subjects_are_there(
    decisions: &[Decision],
    leaves: &[Leaf],
    made: &BTreeSet<usize>,
    problems: &mut Vec<String>,
) {
    for decision in decisions {
        let Some(by) = decision.action.by() else { continue };
        if leaves.iter().any(|leaf| leaf.path == by && made.contains(&leaf.column)) {
            let (path, action) = (&decision.path, &decision.action);
            problems.push(format!("column `{path}`: `{action}` goes by `{by}`, whose values are gone"));
        }
    }
}

fn decided(dataset: &DatasetName, leaf: &Leaf, action: Action) -> Decision {
    Decision {
        path: leaf.path.clone(),
        tag: None,
        key: purpose(dataset, &leaf.path, &action).map(|purpose| purpose.base_id()),
        action,
        because: "published, and asked for since".to_owned(),
        companion_of: None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Schema};

    use super::*;
    use crate::spec::action::Canonical;

    fn plan(wanted: &[(&str, &str, Option<Action>)], partition_by: &[String]) -> Result<Resealing> {
        let field = |(name, ..): &(&str, &str, _)| Field::new(*name, DataType::Utf8, true);
        let schema = SchemaRef::new(Schema::new(wanted.iter().map(field).collect::<Vec<_>>()));
        let standing: Vec<Stands> = wanted
            .iter()
            .map(|(path, action, wanted)| Stands {
                path: (*path).to_owned(),
                action: (*action).to_owned(),
                wanted: wanted.clone(),
            })
            .collect();
        let with = |word: &str| wanted.iter().filter(|w| w.1 == word).map(|w| w.0.to_owned()).collect();
        let (open, encrypted) = (with("allow"), with("encrypt"));
        let dataset = &DatasetName::parse("crm.people").unwrap();
        Resealing::plan(
            Published { dataset, schema: &schema, partition_by, open: &open, encrypted: &encrypted },
            &standing,
        )
    }

    #[test]
    fn values_that_are_there_take_every_action_and_others_lose_only_their_presence() {
        let resealing = plan(
            &[
                ("a", "allow", Some(Action::Encrypt)),
                ("b", "encrypt", Some(Action::Hash { join_domain: None, canonical: Canonical::default() })),
                ("c", "hash", Some(Action::Nullify)),
                ("d", "allow", Some(Action::Drop)),
                ("e", "allow", None),
                ("f", "mask", None),
            ],
            &[],
        )
        .unwrap();
        let output = resealing.plan_of_rows().output();
        let names: Vec<&str> = output.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "e", "f"]);
        assert_eq!(resealing.open(), &BTreeSet::from(["e".to_owned()]));
        assert_eq!(resealing.made(), &BTreeSet::from([2, 5]));
    }

    #[test]
    fn what_cannot_be_made_of_published_rows_is_held_all_at_once() {
        let wanted = [
            ("a", "hash", Some(Action::Encrypt)),
            ("b", "allow", Some(Action::Encrypt)),
            ("c", "mask", Some(Action::Tokenize { join_domain: None, canonical: Canonical::default() })),
        ];
        let error = plan(&wanted, &["b".to_owned()]).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Held);
        for told in ["`a`: its values are gone", "`c`: its values are gone", "partition column `b`"] {
            assert!(error.message().contains(told), "{error}");
        }
        let by = Action::EncryptValue(crate::spec::action::EncryptValue { by: Some("b".to_owned()) });
        plan(&[("a", "allow", Some(by.clone())), ("b", "encrypt", None)], &[]).unwrap();
        let gone = plan(&[("a", "allow", Some(by)), ("b", "hash", None)], &[]).unwrap_err();
        assert!(gone.message().contains("goes by `b`, whose values are gone"), "{gone}");
        let nothing = plan(&[("a", "allow", Some(Action::Drop))], &[]).unwrap_err();
        assert!(nothing.message().contains("no column is left"), "{nothing}");
    }
}
