//! Which actions a column's type can take.

use arrow::datatypes::DataType;

use super::carried::Leaf;
use crate::spec::Action;
use crate::spec::action::{Mask, Scrub};

/// Whether the action can act on the leaf. `drop` and `nullify` of a part of a nested column depend
/// on the column's other leaves and are judged by the plan.
pub(super) fn can_take(leaf: &Leaf, action: &Action) -> bool {
    match action {
        Action::Allow | Action::Encrypt | Action::Nullify | Action::Drop => true,
        Action::Mask(_) | Action::Scrub(_) | Action::Redact => {
            !leaf.is_nested && leaf.data_type == DataType::Utf8
        }
        Action::Tokenize { .. } | Action::Hash { .. } => !leaf.is_nested && is_canonical(&leaf.data_type),
    }
}

/// Whether each value has one text form, and there are enough values for a pseudonym to hide one:
/// a floating-point number has many forms, and of two booleans' pseudonyms counting tells which is which.
fn is_canonical(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8
            | DataType::Binary
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Decimal128(..)
            | DataType::Date32
            | DataType::Timestamp(..)
    )
}

/// Why not, and what instead: ``cannot act on a boolean column; `encrypt`, `nullify` and `drop` can``.
pub(super) fn refusal(leaf: &Leaf) -> String {
    let candidates = [
        Action::Mask(Mask::default()),
        Action::Scrub(Scrub::Label),
        Action::Encrypt,
        Action::Tokenize { join_domain: None },
        Action::Hash { join_domain: None },
        Action::Redact,
        Action::Nullify,
        Action::Drop,
    ];
    let mut words: Vec<_> = candidates
        .iter()
        .filter(|action| can_take(leaf, action))
        .map(|action| format!("`{action}`"))
        .collect();
    let last = words.pop().unwrap_or_default();
    format!("cannot act on {}; {} and {last} can", kind(leaf), words.join(", "))
}

fn kind(leaf: &Leaf) -> &'static str {
    if leaf.is_nested {
        return "a part of a nested column";
    }
    match leaf.data_type {
        DataType::Boolean => "a boolean column",
        DataType::Float32 | DataType::Float64 => "a floating-point column",
        DataType::Utf8 => "a text column",
        DataType::Binary => "a binary column",
        DataType::Date32 | DataType::Timestamp(..) => "a date or time column",
        _ => "a number column",
    }
}
