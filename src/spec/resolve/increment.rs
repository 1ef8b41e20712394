//! Which rows a stream reads from one run to the next.

use std::time::Duration;

use super::columns::distinct;
use super::not_empty;
use super::quantity::duration_within;
use crate::error::{Error, Result};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::raw::pipeline::Defaults;
use crate::spec::raw::placed::{Many, Placed, Words};
use crate::spec::raw::stream as raw;
use crate::spec::sync::{Cursor, Lookback, SyncMode, WriteMode};
use crate::spec::text::Span;

/// Columns that a cursor may have.
const MOST_FIELDS: usize = 8;

type Fields = Placed<Many<Placed<String>>>;

/// Tells what is wrong in `defaults`; its values are read with each stream.
pub(crate) fn check_defaults(defaults: &Defaults, faults: &Faults<'_>) {
    let _ = defaults.cursor_field.as_ref().map(|placed| fields(placed, faults));
    let _ = faults.take_optional(defaults.lookback.as_ref(), lookback);
}

/// How the stream is read: its own keys, else the pipeline's. `write_mode` is `None` where that is wrong.
pub(crate) fn sync_mode(
    stream: Span,
    raw: &raw::Stream,
    defaults: Option<&Defaults>,
    write_mode: Option<&WriteMode>,
    faults: &Faults<'_>,
) -> Option<SyncMode> {
    let written = raw.sync_mode.as_ref().or(defaults.and_then(|defaults| defaults.sync_mode.as_ref()));
    let is_incremental = match written {
        None => false,
        Some(placed) => matches!(placed.get()?, raw::SyncMode::Incremental),
    };
    if !is_incremental {
        return check_unused(raw, faults).then_some(SyncMode::FullRefresh);
    }
    let own_lookback = faults.take_optional(raw.lookback.as_ref(), lookback);
    let is_sound = check_writing(stream, raw, write_mode, faults);
    let Some(placed) = raw.cursor_field.as_ref().or(defaults.and_then(|d| d.cursor_field.as_ref())) else {
        faults.push(Fault::new(stream, "an incremental stream needs a `cursor_field`").help(
            "name a column of the source that grows with every change, such as `cursor_field: updated_at`",
        ));
        return None;
    };
    let fields = match raw.cursor_field {
        Some(_) => fields(placed, faults),
        // Checked where they stand.
        None => placed.get()?.0.iter().map(|name| name.get().cloned()).collect(),
    };
    let default = defaults.and_then(|defaults| lookback(defaults.lookback.as_ref()?.get()?).ok());
    let lookback = own_lookback?.or(default);
    let fields = fields.filter(|_| is_sound)?;
    Some(SyncMode::Incremental(Cursor { fields, lookback }))
}

/// Tells keys of an incremental stream on one that is not.
fn check_unused(raw: &raw::Stream, faults: &Faults<'_>) -> bool {
    let own = [
        ("cursor_field", raw.cursor_field.as_ref().map(|placed| placed.key)),
        ("lookback", raw.lookback.as_ref().map(|placed| placed.key)),
    ];
    let mut is_right = true;
    for (key, span) in own {
        if let Some(span) = span {
            faults.push(
                Fault::new(span, format!("`{key}` is for incremental streams, and this one reads all rows"))
                    .help("add `sync_mode: incremental`, or remove it"),
            );
            is_right = false;
        }
    }
    is_right
}

/// Rows at the boundary are read twice, so they must be told apart, and the rows that are not read must stay.
fn check_writing(
    stream: Span,
    raw: &raw::Stream,
    write_mode: Option<&WriteMode>,
    faults: &Faults<'_>,
) -> bool {
    if matches!(write_mode, Some(WriteMode::Overwrite)) {
        let span = raw.sync_mode.as_ref().map_or(stream, |placed| placed.span);
        faults.push(
            Fault::new(span, "an incremental stream reads what is new, and `overwrite` would lose the rest")
                .help("write `write_mode: append`, or `full_refresh` to read all rows every time"),
        );
        return false;
    }
    if raw.primary_key.is_none() {
        faults.push(
            Fault::new(
                stream,
                "an incremental stream needs a `primary_key`: rows at the boundary are read twice",
            )
            .help("name the output columns that tell its rows apart, such as `primary_key: [id]`"),
        );
        return false;
    }
    true
}

fn fields(placed: &Fields, faults: &Faults<'_>) -> Option<Vec<String>> {
    let Many(columns) = placed.get()?;
    let fields = distinct(columns, faults)?;
    if fields.is_empty() || fields.len() > MOST_FIELDS {
        let message = format!("a cursor has 1 to {MOST_FIELDS} columns, and this one has {}", fields.len());
        faults.push(Fault::new(placed.span, message).help("name the column that grows with every change"));
        return None;
    }
    Some(fields)
}

/// A duration, or a whole number of steps.
fn lookback(Words(text): &Words) -> Result<Lookback> {
    let text = not_empty(text)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let too_many = |_| Error::invalid(format!("{} is out of bounds", quoted(&text)));
        return Ok(Lookback::Steps(text.parse().map_err(too_many)?));
    }
    let time: Duration = duration_within("1ms", "3660days", &text)?;
    Ok(Lookback::Time(time))
}
