//! How a stream's rows meet those already there, decided with the stream.

use arrow::datatypes::{DataType, Schema};

use crate::error::{Error, Result};
use crate::protect::{self, Decision};
use crate::publish::merge::Rules;
use crate::spec::sync::{Deletes, WriteMode};
use crate::spec::{Action, Stream};

/// The rules of a stream that merges, for the `output` of its transform; `None` for any other. Of each, the key
/// is checked: increments know rows by it.
///
/// # Errors
/// `Invalid` for a column that the output lacks, or a flag that is neither a boolean nor an instant; `Held`
/// for a key that is protected so that keys no longer differ, and for a flag that is not published.
pub(super) fn rules(stream: &Stream, output: &Schema, protection: &protect::Plan) -> Result<Option<Rules>> {
    for name in &stream.primary_key {
        check_key(name, output, protection)?;
    }
    let (deletes, keeps_history) = match &stream.write_mode {
        WriteMode::Overwrite | WriteMode::Append => return Ok(None),
        WriteMode::Merge(deletes) => (deletes, false),
        WriteMode::Scd2(deletes) => (deletes, true),
    };
    let cells = protection.decisions().iter().find(|one| matches!(one.action, Action::EncryptValue(_)));
    if let Some(cells) = cells.filter(|_| keeps_history) {
        return Err(Error::held(format!(
            "column `{}` of a stream that keeps history is published by `{}` ({}): the same value looks otherwise each \
             time, so that every row that is read again would count as changed",
            cells.path, cells.action, cells.because
        ))
        .help("ask for `encrypt` or `tokenize`, or let the stream `merge`"));
    }
    let Deletes { soft_delete, missing } = deletes.clone();
    if let Some(name) = &soft_delete {
        check_flag(name, output, protection)?;
    }
    Ok(Some(Rules { key: stream.primary_key.clone(), soft_delete, missing, keeps_history }))
}

fn check_key(name: &str, output: &Schema, protection: &protect::Plan) -> Result<()> {
    let place = "primary_key";
    let field = output.field_with_name(name).map_err(|_| no_column(place, name, output))?;
    if field.data_type().is_nested() {
        return Err(Error::invalid(format!("column `{name}` of `{place}` is nested"))
            .help("name columns of plain types, such as a part of it that `transform` takes out"));
    }
    match decision(name, protection) {
        Some(Decision { action, .. }) if action.keeps_apart() => Ok(()),
        decision => Err(Error::held(format!(
            "column `{name}` of `{place}` is published so that {}{}",
            match decision {
                Some(Decision { action: Action::EncryptValue(_), .. }) => "equal keys look different",
                _ => "different keys look alike",
            },
            told(decision)
        ))
        .help("ask for `tokenize` or `hash` (without `canonical`), `tokenize_fpe` (without `on_unfit: null`) or `encrypt`, which keep keys apart, or name another key")),
    }
}

/// A number or a text would say "deleted" with 0 and with `N`.
fn check_flag(name: &str, output: &Schema, protection: &protect::Plan) -> Result<()> {
    let place = "soft_delete";
    let field = output.field_with_name(name).map_err(|_| no_column(place, name, output))?;
    if !matches!(field.data_type(), DataType::Boolean | DataType::Date32 | DataType::Timestamp(..)) {
        return Err(Error::invalid(format!(
            "column `{name}` of `{place}` is neither true or false nor an instant, so it does not say which rows \
             are deleted"
        ))
        .help(format!("make it a boolean in `transform`, such as {name} = 1 AS {name}")));
    }
    match decision(name, protection) {
        Some(Decision { action: Action::Drop | Action::Nullify, .. }) | None => {
            let why = told(decision(name, protection));
            Err(Error::held(format!("column `{name}` of `{place}` is not published{why}"))
                .help("let it be encrypted or allowed: a merge reads it from the rows it has written"))
        }
        Some(_) => Ok(()),
    }
}

fn decision<'p>(name: &str, protection: &'p protect::Plan) -> Option<&'p Decision> {
    protection.decisions().iter().find(|decision| decision.path == name)
}

fn told(decision: Option<&Decision>) -> String {
    decision.map(|decision| format!(": `{}` ({})", decision.action, decision.because)).unwrap_or_default()
}

fn no_column(place: &str, name: &str, output: &Schema) -> Error {
    let distance = |other: &&str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let names = output.fields().iter().map(|field| field.name().as_str());
    let nearest = names.min_by_key(distance).filter(|other| distance(other) <= 2.max(name.len() / 3));
    let error = Error::invalid(format!("`{place}` names the column `{name}`, which the output lacks"));
    match nearest {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("name columns as they are published, after `transform`"),
    }
}
