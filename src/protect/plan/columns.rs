//! How columns are published: their types, and whom their rows are about.

use arrow::datatypes::{DataType, Field};

use super::{Column, Decision};
use crate::protect::carried::Leaf;
use crate::protect::fit;
use crate::spec::Action;
use crate::spec::action::{Fpe, OnUnfit};

/// The published columns and their fields. There is one decision per leaf by now.
pub(super) fn columns(
    fields: &[Field],
    leaves: &[Leaf],
    decisions: &[Decision],
    problems: &mut Vec<String>,
) -> (Vec<Column>, Vec<Field>) {
    let (mut columns, mut output) = (Vec::new(), Vec::new());
    for (index, field) in fields.iter().enumerate() {
        let of_column = leaves.iter().zip(decisions).filter(|(leaf, _)| leaf.column == index);
        let actions: Vec<(&Leaf, &Decision)> = of_column.collect();
        let Some((_, first)) = actions.first() else { continue };
        let is_gone = |action: &Action| matches!(action, Action::Drop | Action::Nullify);
        let action = if actions.iter().all(|(_, d)| d.action == first.action) {
            first.action.clone()
        } else {
            for (leaf, decision) in actions.iter().filter(|(_, d)| is_gone(&d.action)) {
                problems.push(format!(
                    "column `{}`: `{}` ({}) cannot act on a part of a nested column; let it act on all of `{}`, or leave the part out in the transform",
                    leaf.path, decision.action, decision.because, field.name()
                ));
            }
            Action::Allow
        };
        if let Some((column, field)) = published(index, first, &action, fields, leaves, problems) {
            columns.push(column);
            output.push(field);
        }
    }
    (columns, output)
}

/// How an action publishes the column at `index`, and its field; `None` where it does not.
pub(super) fn published(
    index: usize,
    decision: &Decision,
    action: &Action,
    fields: &[Field],
    leaves: &[Leaf],
    problems: &mut Vec<String>,
) -> Option<(Column, Field)> {
    let field = fields.get(index)?;
    let (data_type, nullable) = match action {
        Action::Drop => return None,
        Action::Nullify => (field.data_type().clone(), true),
        Action::Allow | Action::Encrypt | Action::Generalize(_) | Action::DateShift(_) => {
            (field.data_type().clone(), field.is_nullable())
        }
        Action::TokenizeFpe(Fpe { on_unfit: OnUnfit::Null, .. }) => (DataType::Utf8, true),
        Action::Mask(_)
        | Action::Scrub(_)
        | Action::EncryptValue(_)
        | Action::Tokenize { .. }
        | Action::TokenizeFpe(_)
        | Action::Hash { .. }
        | Action::Redact => (DataType::Utf8, field.is_nullable()),
    };
    let by = subject(action, decision, fields, leaves, problems);
    let column = Column { index, carried: field.data_type().clone(), by, action: action.clone() };
    Some((column, Field::new(field.name(), data_type, nullable)))
}

/// The column that an action of `decision` asks who rows are about.
fn subject(
    action: &Action,
    decision: &Decision,
    fields: &[Field],
    leaves: &[Leaf],
    problems: &mut Vec<String>,
) -> Option<(usize, DataType)> {
    let by = action.by()?;
    let found = fields.iter().position(|field| field.name() == by);
    let plain =
        found.filter(|index| leaves.iter().any(|leaf| leaf.column == *index && fit::names_subjects(leaf)));
    let Some((index, field)) = plain.and_then(|index| Some((index, fields.get(index)?))) else {
        let why = match found {
            None => "the output has no such column; select it in the transform, or let `by` name another",
            Some(_) => {
                "its type cannot say who a row is about; let `by` name a text, number, date or binary column"
            }
        };
        let (path, because) = (&decision.path, &decision.because);
        problems.push(format!("column `{path}`: `{action}` ({because}) goes by `{by}`: {why}"));
        return None;
    };
    Some((index, field.data_type().clone()))
}

pub(super) fn partitions(
    partition_by: &[String],
    leaves: &[Leaf],
    decisions: &[Decision],
    problems: &mut Vec<String>,
) {
    for name in partition_by {
        let found = leaves.iter().zip(decisions).find(|(leaf, _)| !leaf.is_nested && leaf.path == *name);
        match found {
            None => problems.push(format!("partition column `{name}`: the output has no such plain column")),
            Some((_, decision)) if decision.action != Action::Allow => problems.push(format!(
                "partition column `{name}`: its action is `{}` ({}), and partition folder names are readable by anyone",
                decision.action, decision.because
            )),
            Some(_) => {}
        }
    }
}
