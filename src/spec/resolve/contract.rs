//! What may change about a published schema.

use std::collections::BTreeMap;

use crate::spec::contract::{Change, SchemaContract};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::raw::contract as raw;
use crate::spec::raw::pipeline::Defaults;
use crate::spec::raw::placed::{Either, Map, Placed};

/// What one place says of it, as far as it says something.
#[derive(Default)]
struct Said {
    columns: Option<Change>,
    types: Option<Change>,
    renamed: BTreeMap<String, String>,
}

/// The stream's contract; what it leaves open is the pipeline's, else `evolve`.
pub(crate) fn contract(
    own: Option<&Placed<raw::SchemaContract>>,
    defaults: Option<&Defaults>,
    faults: &Faults<'_>,
) -> Option<SchemaContract> {
    let own = said(own, faults);
    // What is wrong in the defaults is told where they stand.
    let default = defaults.and_then(|defaults| defaults.schema_contract.as_ref());
    let default = said(default, &Faults::new(faults.text)).unwrap_or_default();
    let own = own?;
    Some(SchemaContract {
        columns: own.columns.or(default.columns).unwrap_or_default(),
        types: own.types.or(default.types).unwrap_or_default(),
        renamed: own.renamed,
    })
}

/// Tells what is wrong in the pipeline's contract.
pub(crate) fn check_default(placed: Option<&Placed<raw::SchemaContract>>, faults: &Faults<'_>) {
    let _ = said(placed, faults);
    if let Some(Either::Mapping(raw::Each { renamed: Some(renamed), .. })) = placed.and_then(Placed::get) {
        faults.push(
            Fault::new(renamed.key, "columns are renamed stream by stream").help("write it in the stream"),
        );
    }
}

/// What is said; `None` where it is wrong.
fn said(placed: Option<&Placed<raw::SchemaContract>>, faults: &Faults<'_>) -> Option<Said> {
    let Some(placed) = placed else { return Some(Said::default()) };
    match placed.get()? {
        Either::Word(word) => {
            let word = Some(change(*word));
            Some(Said { columns: word, types: word, renamed: BTreeMap::new() })
        }
        Either::Mapping(raw::Each { columns, types, renamed }) => {
            let columns = faults.take_optional(columns.as_ref(), |word| Ok(change(*word)));
            let types = faults.take_optional(types.as_ref(), |word| Ok(change(*word)));
            let renamed = match renamed {
                Some(renamed) => self::renamed(renamed, faults),
                None => Some(BTreeMap::new()),
            };
            Some(Said { columns: columns?, types: types?, renamed: renamed? })
        }
    }
}

fn renamed(placed: &Placed<Map<String>>, faults: &Faults<'_>) -> Option<BTreeMap<String, String>> {
    let mut renamed = BTreeMap::new();
    let mut right = true;
    let entries = &placed.get()?.0;
    let is_new = |name: &String| entries.iter().any(|(new, _)| new.get() == Some(name));
    for (new, old) in entries {
        let (Some(new_name), Some(old_name)) = (new.get(), old.get()) else {
            right = false;
            continue;
        };
        let fault = if new_name.is_empty() || old_name.is_empty() {
            Some(("a column has no name".to_owned(), "write {new_name: old_name}"))
        } else if new_name == old_name {
            Some((format!("{} is the same name", quoted(old_name)), "write {new_name: old_name}"))
        } else if renamed.values().any(|other| other == old_name) {
            Some((format!("{} is renamed twice", quoted(old_name)), "keep one of them"))
        } else if is_new(old_name) {
            let message = format!("{} is both a new name and an old one", quoted(old_name));
            Some((
                message,
                "names are not handed on beside rows that have them: publish once with `write_mode: overwrite`, without `renamed`",
            ))
        } else {
            None
        };
        if let Some((message, help)) = fault {
            faults.push(Fault::new(old.span, message).help(help));
            right = false;
        }
        renamed.insert(new_name.clone(), old_name.clone());
    }
    right.then_some(renamed)
}

const fn change(word: raw::Change) -> Change {
    match word {
        raw::Change::Evolve => Change::Evolve,
        raw::Change::Freeze => Change::Freeze,
        raw::Change::Discard => Change::Discard,
    }
}
