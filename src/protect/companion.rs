//! Further columns that are made of one: another action over the same values, such as a token beside the encrypted
//! original. What the policy asks of the values is asked of each of them.

use std::collections::BTreeSet;

use arrow::datatypes::Schema;

use super::carried::Leaf;
use super::choice::{self, Choice};
use super::fit;
use crate::spec::policy::Rule;
use crate::spec::verdict::{Evidence, Verdict, Why};
use crate::spec::{Action, Policy};

/// A further column, and what was chosen for it.
pub(super) struct Companion {
    /// Index of the column that it is made of.
    pub(super) index: usize,
    /// The name of that.
    pub(super) of: String,
    /// Its own name.
    pub(super) name: String,
    pub(super) choice: Choice,
}

/// The further columns of a leaf for which `choice` was made.
pub(super) fn of(
    policy: &Policy,
    leaf: &Leaf,
    verdict: &Verdict,
    choice: &Choice,
    problems: &mut Vec<String>,
) -> Vec<Companion> {
    let declared = verdict.evidence.iter().filter(|evidence| evidence.why == Why::Named);
    let declared = declared.filter_map(|evidence| by_spec(policy, leaf, verdict, evidence, problems));
    let mut companions: Vec<Companion> = declared.collect();
    companions.extend(by_policy(policy, leaf, verdict, choice));
    companions
}

/// Asked for by the spec: it is held against the policy as the column itself is.
fn by_spec(
    policy: &Policy,
    leaf: &Leaf,
    verdict: &Verdict,
    evidence: &Evidence,
    problems: &mut Vec<String>,
) -> Option<Companion> {
    let companion = evidence.declared.companion.as_ref()?;
    if leaf.is_nested || evidence.leaf.is_some() {
        let line = evidence.declared.position.line;
        problems.push(format!(
            "column `{}`: no further column is made of a nested one (spec line {line})",
            leaf.path
        ));
        return None;
    }
    let own = named(leaf, &companion.column);
    let mut alone = verdict.clone();
    for other in alone.evidence.iter_mut().filter(|e| e.declared.position == evidence.declared.position) {
        other.declared.action = Some(companion.action.clone()).filter(|_| other.why == Why::Named);
    }
    let choice = choice::choose(policy, &own, &alone, problems)?;
    if let Some(reason) = unfit(policy, &own, &alone, &choice.action) {
        problems.push(format!("column `{}`: `{}` ({}) {reason}", own.path, choice.action, choice.because));
        return None;
    }
    Some(made(leaf, own.path, choice))
}

/// Asked for by the rule that decides: made where no other rule asks for more, and where its action can act.
fn by_policy(policy: &Policy, leaf: &Leaf, verdict: &Verdict, choice: &Choice) -> Option<Companion> {
    let rule = choice.rule.filter(|_| !leaf.is_nested)?;
    let companion = policy.rules.get(rule)?.companion.as_ref()?;
    let own = named(leaf, &format!("{}{}", leaf.path, companion.suffix));
    // As if the rule asked for that alone, and the spec for nothing.
    let mut instead = policy.clone();
    if let Some(rule) = instead.rules.get_mut(rule) {
        *rule = Rule { action: companion.action.clone(), companion: None, ..rule.clone() };
    }
    let mut alone = verdict.clone();
    alone.evidence.iter_mut().for_each(|evidence| evidence.declared.action = None);
    let mut obstacles = Vec::new();
    let choice = choice::choose(&instead, &own, &alone, &mut obstacles)?;
    let is_asked = obstacles.is_empty() && choice.action == companion.action;
    let is_made = is_asked && unfit(policy, &own, &alone, &choice.action).is_none();
    is_made.then(|| made(leaf, own.path, choice))
}

fn named(leaf: &Leaf, name: &str) -> Leaf {
    Leaf {
        path: name.to_owned(),
        name: name.to_owned(),
        column: leaf.column,
        data_type: leaf.data_type.clone(),
        is_nested: false,
    }
}

fn made(leaf: &Leaf, name: String, choice: Choice) -> Companion {
    Companion { index: leaf.column, of: leaf.path.clone(), name, choice }
}

fn unfit(policy: &Policy, leaf: &Leaf, verdict: &Verdict, action: &Action) -> Option<String> {
    if !fit::can_take(leaf, action) {
        return Some(fit::refusal(leaf));
    }
    choice::tells(policy, leaf, verdict, action)
}

/// Names that two columns would have, which are told apart without regard to case.
pub(super) fn ambiguous(companions: &[Companion], leaves: &[Leaf], problems: &mut Vec<String>) {
    let mut seen: BTreeSet<String> = leaves.iter().map(|leaf| leaf.path.to_lowercase()).collect();
    for one in companions.iter().filter(|one| !seen.insert(one.name.to_lowercase())) {
        problems.push(format!(
            "column `{}`: made of `{}` ({}), it has the name of another column; rename that one, or this",
            one.name, one.of, one.choice.because
        ));
    }
}

/// Further columns of a source column that the output holds under other names only: of which of those they are to be
/// made is not said.
pub(super) fn strays(schema: &Schema, verdicts: &[Verdict], problems: &mut Vec<String>) {
    let mut told = BTreeSet::new();
    for evidence in verdicts.iter().flat_map(|verdict| &verdict.evidence) {
        let (Why::From(source), Some(companion)) = (&evidence.why, &evidence.declared.companion) else {
            continue;
        };
        if schema.field_with_name(source).is_err() && told.insert(source) {
            problems.push(format!(
                "column `{}`: it is to be made of `{source}` (spec line {}), and the output has no such column; \
                 declare it for a column of the output",
                companion.column, evidence.declared.position.line
            ));
        }
    }
}
