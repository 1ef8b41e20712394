//! What is declared of columns.

use super::Context;
use super::action::action;
use crate::spec::Tag;
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::pipeline::{Column, Columns, Position};
use crate::spec::raw::placed::{Map, Placed};
use crate::spec::raw::stream as raw;

pub(crate) fn columns(
    placed: Option<&Placed<Map<raw::Column>>>,
    context: &Context,
    faults: &Faults<'_>,
) -> Option<Columns> {
    let Some(placed) = placed else { return Some(Columns::default()) };
    let mut columns = Columns::default();
    let mut right = true;
    for (name, raw) in &placed.get()?.0 {
        let column = raw.get().and_then(|raw| column(name, raw, context, faults));
        match (name.get().map(String::as_str), column) {
            (Some("*"), Some(column)) => columns.default = Some(column),
            (Some(name), Some(column)) if !name.is_empty() => {
                columns.named.insert(name.to_owned(), column);
            }
            _ => right = false,
        }
        right &= check_wildcard(name, faults);
    }
    right.then_some(columns)
}

/// A column is named as it is: `*` alone is the default, and nothing else is a pattern.
fn check_wildcard(name: &Placed<String>, faults: &Faults<'_>) -> bool {
    let Some(text) = name.get() else { return false };
    if text.is_empty() {
        faults.push(
            Fault::new(name.span, "a column has no name").help("name it, or write \"*\" for all others"),
        );
        return false;
    }
    if text != "*" && text.contains('*') {
        faults.push(
            Fault::new(name.span, format!("{} is no column: patterns are not used here", quoted(text)))
                .help("name each column; \"*\" alone is the default for columns not named"),
        );
        return false;
    }
    true
}

fn column(
    name: &Placed<String>,
    raw: &raw::Column,
    context: &Context,
    faults: &Faults<'_>,
) -> Option<Column> {
    if raw.tag.is_none() && raw.action.is_none() {
        faults.push(
            Fault::new(name.span, "nothing is declared of this column")
                .help("write {tag: pii.email}, {action: encrypt}, or both"),
        );
        return None;
    }
    let tag = faults.parse_optional(raw.tag.as_ref(), Tag::parse);
    let action = raw.action.as_ref().map_or(Some(None), |placed| action(placed, faults).map(Some));
    let (line, column) = faults.text.position(name.span.start);
    let column = Column {
        tag: tag?,
        action: action?,
        position: Position { line: line as u64, column: column as u64 },
    };
    check_strength(&column, raw, context, faults);
    Some(column)
}

/// Tells an action that is weaker than what the policy asks of the tag beside it.
fn check_strength(column: &Column, raw: &raw::Column, context: &Context, faults: &Faults<'_>) {
    let (Some(policy), Some(tag), Some(action)) = (&context.policy, &column.tag, &column.action) else {
        return;
    };
    let Some((_, rule)) = policy.rule_for(tag) else { return };
    if let Some(placed) = raw.action.as_ref().filter(|_| action.strength() < rule.action.strength()) {
        let message =
            format!("`{action}` is weaker than `{}`, which the policy asks of `{tag}`", rule.action);
        faults
            .push(Fault::new(placed.span, message).help(
                "remove `action`, or choose a stricter one; a pipeline can only strengthen the policy",
            ));
    }
}
