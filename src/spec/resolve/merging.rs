//! How a stream's rows meet those already there.

use super::not_empty;
use crate::spec::faults::{Fault, Faults};
use crate::spec::raw::pipeline::Defaults;
use crate::spec::raw::stream::{self as raw, DeleteMissing};
use crate::spec::sync::{Deletes, Missing, WriteMode};
use crate::spec::text::Span;

/// The stream's write mode, else the pipeline's, else overwrite, with what a merge is told of rows that are
/// gone. `name` is the place of the stream's name.
pub(crate) fn write_mode(
    raw: &raw::Stream,
    defaults: Option<&Defaults>,
    name: Span,
    faults: &Faults<'_>,
) -> Option<WriteMode> {
    let default = || defaults.and_then(|defaults| defaults.write_mode.as_ref());
    let Some(written) = raw.write_mode.as_ref().or_else(default) else {
        return has_no_deletes(raw, faults).then_some(WriteMode::Overwrite);
    };
    match written.get()? {
        raw::WriteMode::Overwrite => has_no_deletes(raw, faults).then_some(WriteMode::Overwrite),
        raw::WriteMode::Append => has_no_deletes(raw, faults).then_some(WriteMode::Append),
        raw::WriteMode::Merge => {
            let has_key = has_key("merge", raw, name, faults);
            deletes(raw, faults).filter(|_| has_key).map(WriteMode::Merge)
        }
        raw::WriteMode::Scd2 => {
            let is_right = has_key("scd2", raw, name, faults) & keeps_history(raw, faults);
            deletes(raw, faults).filter(|_| is_right).map(WriteMode::Scd2)
        }
    }
}

fn deletes(raw: &raw::Stream, faults: &Faults<'_>) -> Option<Deletes> {
    let soft_delete = faults.parse_optional(raw.soft_delete.as_ref(), not_empty);
    let missing = faults.take_optional(raw.delete_missing.as_ref(), |missing| match missing {
        DeleteMissing::Soft => Ok(Missing::Soft),
        DeleteMissing::Hard => Ok(Missing::Hard),
    });
    Some(Deletes { soft_delete: soft_delete?, missing: missing? })
}

/// Whether there is a key; what is wrong within it is told elsewhere.
fn has_key(mode: &str, raw: &raw::Stream, name: Span, faults: &Faults<'_>) -> bool {
    let has_key =
        raw.primary_key.as_ref().is_some_and(|key| key.get().is_none_or(|columns| !columns.is_empty()));
    if !has_key {
        let span = raw.write_mode.as_ref().map_or(name, |placed| placed.span);
        faults.push(
            Fault::new(span, format!("`{mode}` needs a primary key, and this stream has none"))
                .help("add `primary_key: [id]`: the output columns that tell rows apart"),
        );
    }
    has_key
}

fn keeps_history(raw: &raw::Stream, faults: &Faults<'_>) -> bool {
    let missing = raw.delete_missing.as_ref();
    let stray = missing.filter(|placed| matches!(placed.get(), Some(DeleteMissing::Hard)));
    if let Some(placed) = stray {
        faults.push(
            Fault::new(placed.span, "`scd2` keeps what was, and `hard` takes it out")
                .help("write `delete_missing: soft`: such a row is then no longer current"),
        );
    }
    stray.is_none()
}

/// Tells what only a merge can act upon.
fn has_no_deletes(raw: &raw::Stream, faults: &Faults<'_>) -> bool {
    let soft_delete = raw.soft_delete.as_ref().map(|placed| ("soft_delete", placed.key));
    let missing = raw.delete_missing.as_ref().map(|placed| ("delete_missing", placed.key));
    let stray: Vec<_> = soft_delete.into_iter().chain(missing).collect();
    for (word, span) in &stray {
        faults.push(
            Fault::new(*span, format!("`{word}` is for `merge` and `scd2`, which know rows by their key"))
                .help("write `write_mode: merge` with a `primary_key`, or remove it"),
        );
    }
    stray.is_empty()
}
