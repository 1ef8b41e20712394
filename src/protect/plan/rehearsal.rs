//! What a policy makes of a column that does not exist: for its tests.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::protect::{carried, choice, fit};
use crate::spec::pipeline::{Column, Position};
use crate::spec::verdict::{Evidence, Origin, Verdict, Why};
use crate::spec::{Action, Policy, Tag};

/// What becomes of a column of this type that has these tags, by the rules that plan every run, and why
/// (`policy rule 2 (pii.*)`).
///
/// # Errors
/// `Held` where a run would be, with what it would say.
pub fn rehearse(policy: &Policy, tags: &[Tag], data_type: DataType) -> Result<(Action, String)> {
    let name = "column".to_owned();
    let leaves = carried::leaves(&Schema::new(vec![Field::new(&name, data_type, true)]))?;
    let evidence = tags.iter().map(|tag| Evidence {
        leaf: None,
        why: Why::Named,
        tag: Some(tag.clone()),
        declared: Column {
            tag: Some(tag.clone()),
            action: None,
            conversion: None,
            companion: None,
            position: Position { line: 0, column: 0 },
        },
    });
    let verdict = Verdict {
        column: name.clone(),
        evidence: evidence.collect(),
        origin: Origin::Columns(BTreeSet::from([name.clone()])),
        copy_of: Some(name.clone()),
        undeclared: if tags.is_empty() { vec![name] } else { Vec::new() },
    };
    let mut problems = Vec::new();
    let leaf = leaves.first().ok_or_else(|| Error::failed("a column has no leaf"))?;
    let choice = choice::choose(policy, leaf, &verdict, &mut problems);
    let Some(choice) = choice.filter(|_| problems.is_empty()) else {
        return Err(Error::held(problems.join("; ")));
    };
    if !fit::can_take(leaf, &choice.action) {
        return Err(Error::held(format!("`{}` ({}) {}", choice.action, choice.because, fit::refusal(leaf))));
    }
    Ok((choice.action, choice.because))
}
