//! Which actions a column's type can take.

use std::num::NonZeroU32;

use arrow::datatypes::DataType;

use super::carried::Leaf;
use crate::spec::action::{Canonical, DateShift, EncryptValue, Fpe, Generalize, Mask, Period, Scrub};
use crate::spec::{Action, Tag};

/// Whether the action can act on the leaf. `drop` and `nullify` of a part of a nested column depend
/// on the column's other leaves and are judged by the plan.
pub(super) fn can_take(leaf: &Leaf, action: &Action) -> bool {
    let plain = |fits: bool| !leaf.is_nested && fits;
    let data_type = &leaf.data_type;
    match action {
        Action::Allow | Action::Encrypt | Action::Nullify | Action::Drop => true,
        Action::Mask(_) | Action::Scrub(_) | Action::Redact | Action::TokenizeFpe(_) => {
            plain(*data_type == DataType::Utf8)
        }
        Action::Generalize(how) => plain(can_generalize(data_type, *how)),
        Action::DateShift(_) => plain(matches!(data_type, DataType::Date32 | DataType::Timestamp(..))),
        Action::EncryptValue(_) => plain(is_canonical(data_type)),
        Action::Tokenize { canonical, .. } | Action::Hash { canonical, .. } => {
            plain(is_canonical(data_type) && (!canonical.merges() || has_form(data_type)))
        }
    }
}

fn can_generalize(data_type: &DataType, how: Generalize) -> bool {
    match how {
        Generalize::Width(_) => {
            is_integer(data_type)
                || matches!(data_type, DataType::Decimal128(..) | DataType::Float32 | DataType::Float64)
        }
        // A date is a day already.
        Generalize::To(period) => {
            matches!(data_type, DataType::Timestamp(..))
                || *data_type == DataType::Date32 && period != Period::Day
        }
        Generalize::Prefix(_) | Generalize::Network { .. } => *data_type == DataType::Utf8,
    }
}

/// Whether values can be brought into a form such as that of telephone numbers first.
fn has_form(data_type: &DataType) -> bool {
    *data_type == DataType::Utf8 || is_integer(data_type)
}

/// Whether the leaf's values can say who a row is about.
pub(super) fn names_subjects(leaf: &Leaf) -> bool {
    !leaf.is_nested && is_canonical(&leaf.data_type)
}

const fn is_integer(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// Whether each value has one text form, and there are enough values for a pseudonym to hide one:
/// a floating-point number has many forms, and of two booleans' pseudonyms counting tells which is which.
fn is_canonical(data_type: &DataType) -> bool {
    is_integer(data_type)
        || matches!(
            data_type,
            DataType::Utf8
                | DataType::Binary
                | DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(..)
        )
}

/// Why not, and what instead: ``cannot act on a boolean column; `encrypt`, `nullify` and `drop` can``.
pub(super) fn refusal(leaf: &Leaf) -> String {
    let pseudonym = (None, Canonical::Text);
    let candidates = [
        Action::DateShift(DateShift { max_days: NonZeroU32::MIN, by: None, join_domain: None }),
        Action::Mask(Mask::default()),
        Action::Scrub(Scrub::Label),
        Action::Encrypt,
        Action::EncryptValue(EncryptValue::default()),
        Action::TokenizeFpe(Fpe::default()),
        Action::Tokenize { join_domain: pseudonym.0.clone(), canonical: pseudonym.1 },
        Action::Hash { join_domain: pseudonym.0, canonical: pseudonym.1 },
        Action::Redact,
        Action::Nullify,
        Action::Drop,
    ];
    let coarser = [
        (Generalize::Width(NonZeroU32::MIN), "`generalize: {width: …}`"),
        (Generalize::To(Period::Month), "`generalize: {date: …}`"),
        (Generalize::Prefix(NonZeroU32::MIN), "`generalize: {prefix: …}`"),
        (Generalize::Network { ipv4: 24, ipv6: 48 }, "`generalize: {ipv4: …, ipv6: …}`"),
    ];
    let coarser = coarser.into_iter().filter(|(how, _)| can_take(leaf, &Action::Generalize(*how)));
    let others =
        candidates.iter().filter(|action| can_take(leaf, action)).map(|action| format!("`{action}`"));
    let mut words: Vec<_> = coarser.map(|(_, words)| words.to_owned()).chain(others).collect();
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

/// Tags whose values are so few that of their pseudonyms counting tells which is which: genders, states, yes and no.
/// Each stands for the tags below it too.
const SMALL_DOMAINS: [&str; 12] = [
    "pii.gender",
    "pii.sex",
    "pii.marital_status",
    "pii.title",
    "pii.state",
    "pii.us_state",
    "pii.country",
    "pii.nationality",
    "pii.ethnicity",
    "pii.religion",
    "health.blood_type",
    "pii.age",
];

/// Whether the tag's values are few.
pub(super) fn is_small_domain(tag: &Tag) -> bool {
    SMALL_DOMAINS.iter().any(|small| is_at_or_below(tag, small))
}

/// Most characters that `mask` may keep of values with a tag. Four of a number identify nobody among a bank's
/// customers and still let a clerk compare; of secrets none is harmless. Tags that are not named have no limit of
/// their own.
const MASK_LIMITS: [(&str, usize); 20] = [
    ("pii.us_ssn", 4),
    ("pii.us_itin", 4),
    ("pii.national_id", 4),
    ("pii.passport", 4),
    ("pii.driver_license", 4),
    ("pii.phone", 4),
    ("pii.birth_date", 4),
    ("pii.ip_address", 4),
    ("pii.mac_address", 4),
    ("pii.postal_code", 2),
    ("pii.person_name", 2),
    ("health.medical_record", 4),
    ("health.us_mbi", 4),
    ("health.us_npi", 4),
    ("financial.card_number", 4),
    ("financial.iban", 4),
    ("financial.bank_account", 4),
    ("financial.us_aba_routing", 4),
    ("secret", 0),
    ("credential", 0),
];

/// Most characters that `mask` may keep of values with this tag, where there is a limit.
pub(super) fn mask_limit(tag: &Tag) -> Option<usize> {
    MASK_LIMITS.iter().filter(|(limited, _)| is_at_or_below(tag, limited)).map(|(_, most)| *most).min()
}

fn is_at_or_below(tag: &Tag, name: &str) -> bool {
    tag.as_str().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
