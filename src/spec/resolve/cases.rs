//! The tests of a policy.

use std::path::PathBuf;

use super::action::action;
use super::not_empty;
use super::policy::all;
use crate::spec::Tag;
use crate::spec::cases::{Case, Expect, PolicyTest, TypeWord};
use crate::spec::faults::{Fault, Faults};
use crate::spec::pipeline::Position;
use crate::spec::raw::cases as raw;
use crate::spec::raw::placed::Placed;

/// Most cases of one document.
const MAX_CASES: usize = 10_000;
/// What stands in the name of a file of cases, between the policy's own name and its ending.
const INFIX: &str = ".test.";

pub(crate) fn policy_test(raw: &raw::PolicyTest, faults: &Faults<'_>) -> Option<PolicyTest> {
    let policy = tested(raw, faults);
    let placed = raw.cases.get();
    if placed.is_some_and(|cases| cases.is_empty() || cases.len() > MAX_CASES) {
        let fault = Fault::new(raw.cases.key, format!("a test has 1 to {MAX_CASES} cases"));
        faults.push(fault.help("write `cases: [{tags: [pii.email], expect: encrypt}]`"));
    }
    let cases = all(placed, |placed| case(placed, faults));
    Some(PolicyTest { policy: policy?, cases: cases?, path: faults.text.path.clone() })
}

/// The policy that is tested: the one that is named, or that of the file's own name without `.test`.
fn tested(raw: &raw::PolicyTest, faults: &Faults<'_>) -> Option<PathBuf> {
    if let Some(named) = &raw.policy {
        return faults.parse(named, not_empty).map(|path| faults.text.resolve(&path));
    }
    let path = &faults.text.path;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some((stem, ending)) = name.rsplit_once(INFIX) {
        return Some(path.with_file_name(format!("{stem}.{ending}")));
    }
    let fault = Fault::new(raw.cases.key, "it does not say which policy it tests");
    faults.push(fault.help("add `policy: policy.yaml`, or call the file `policy.test.yaml`"));
    None
}

fn case(placed: &Placed<raw::Case>, faults: &Faults<'_>) -> Option<Case> {
    let raw = placed.get()?;
    let name = faults.parse_optional(raw.name.as_ref(), not_empty);
    let tags = all(raw.tags.get(), |tag| faults.parse(tag, Tag::parse));
    let of_type = faults.take_optional(raw.of_type.as_ref(), |word| Ok(type_of(word)));
    let held = faults.take_optional(raw.held.as_ref(), |held| Ok(*held));
    let expect = match (&raw.expect, held?) {
        (Some(expected), None) => action(expected, faults).map(Expect::Action),
        (None, Some(true)) => Some(Expect::Held),
        _ => {
            let fault = Fault::new(placed.span, "a case says what is expected, and says one thing");
            faults.push(fault.help("write `expect: ACTION`, or `held: true`"));
            None
        }
    };
    let (line, column) = faults.text.position(placed.span.start);
    let position = Position { line: line as u64, column: column as u64 };
    Some(Case { name: name?, tags: tags?, of_type: of_type?.unwrap_or_default(), expect: expect?, position })
}

const fn type_of(raw: &raw::TypeWord) -> TypeWord {
    match raw {
        raw::TypeWord::Text => TypeWord::Text,
        raw::TypeWord::Integer => TypeWord::Integer,
        raw::TypeWord::Decimal => TypeWord::Decimal,
        raw::TypeWord::Float => TypeWord::Float,
        raw::TypeWord::Boolean => TypeWord::Boolean,
        raw::TypeWord::Date => TypeWord::Date,
        raw::TypeWord::Timestamp => TypeWord::Timestamp,
        raw::TypeWord::Binary => TypeWord::Binary,
    }
}
