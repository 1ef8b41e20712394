//! What may go to a stream's quarantine.

use super::within;
use crate::error::Result;
use crate::spec::DatasetName;
use crate::spec::faults::{Fault, Faults};
use crate::spec::pipeline::Columns;
use crate::spec::quality::Check;
use crate::spec::raw::pipeline::Defaults;
use crate::spec::raw::placed::Placed;
use crate::spec::raw::stream as raw;
use crate::spec::text::Span;

/// Most rows, where nobody says otherwise.
const MAX_ROWS: u64 = 10_000;
/// Most rows that anybody may ask for: what is wrong with more is no matter of rows.
const MOST_ROWS: u64 = 10_000_000;

/// A written bound on rows.
#[expect(clippy::option_option, reason = "left out and wrong are different things")]
pub(crate) fn bound(placed: Option<&Placed<u64>>, faults: &Faults<'_>) -> Option<Option<u64>> {
    faults.take_optional(placed, within(0, MOST_ROWS))
}

/// The stream's bound, else the pipeline's (which is checked where it stands), else the built-in one.
pub(crate) fn max_rows(raw: &raw::Stream, defaults: Option<&Defaults>, faults: &Faults<'_>) -> Option<u64> {
    let default = defaults.and_then(|defaults| defaults.max_quarantine_rows.as_ref()?.get().copied());
    bound(raw.max_quarantine_rows.as_ref(), faults).map(|own| own.or(default).unwrap_or(MAX_ROWS))
}

/// Whether rows of the stream may go to its quarantine. Tells a bound on what cannot be (whoever wrote it
/// expects rows to be caught), and rows of two shapes in one quarantine.
pub(crate) fn check(
    stream: Span,
    raw: &raw::Stream,
    columns: &Columns,
    quality: &[Check],
    faults: &Faults<'_>,
) -> bool {
    let (of_source, of_output) = (columns.quarantine(), quality.iter().any(Check::quarantines));
    if of_source && of_output {
        faults.push(
            Fault::new(stream, "`on_overflow: quarantine` and `on_fail: quarantine` cannot both be here")
                .help(
                    "the quarantine holds rows as they are read or as they are published: write `on_fail: fail`, \
                     or let what overflows become NULL and catch it by a check",
                ),
        );
    }
    if let Some(placed) = raw.max_quarantine_rows.as_ref().filter(|_| !of_source && !of_output) {
        faults.push(Fault::new(placed.key, "nothing of this stream goes to a quarantine").help(
            "write `on_overflow: quarantine` beside the `as` of a column, `on_fail: quarantine` in an entry of \
             `quality`, or remove `max_quarantine_rows`",
        ));
    }
    of_source || of_output
}

/// Tells a dataset whose quarantine cannot be named. Any other fault of its name is told elsewhere.
pub(crate) fn check_name(dataset: Option<Result<DatasetName>>, span: Span, faults: &Faults<'_>) {
    if let Some(Ok(dataset)) = dataset
        && let Err(error) = dataset.quarantine()
    {
        faults.push(Fault::new(span, error.message()).help(error.remedy().unwrap_or("rename it")));
    }
}
