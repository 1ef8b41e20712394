//! What type and form of the values say for `internal`.
use arrow::datatypes::DataType;

use super::nature::share;
use super::thresholds::{
    CODES_AT_MOST, CODES_REPEAT, COUNTS_UP, FEW_CODES, FLAG, MOST, NUMBERS, OPAQUE, TEMPORAL, WORDS,
};
use crate::classify::values::tally::{Shape, Tally};

/// What speaks for (or against) nothing sensitive being there, and how strongly.
pub(super) fn plainness(data_type: &DataType, tally: Option<&Tally>) -> (f64, &'static str) {
    match data_type {
        DataType::Boolean => return (FLAG, "flag"),
        t if t.is_temporal() => return (TEMPORAL, "times"),
        _ => {}
    }
    match tally.map(|t| &t.shape).filter(|s| s.sampled > 0) {
        Some(shape) => of_values(shape),
        None if data_type.is_floating() => (NUMBERS, "numbers"),
        None => (0.0, "nothing seen"),
    }
}

fn of_values(shape: &Shape) -> (f64, &'static str) {
    let most = |count: u64| share(count, shape.sampled) >= MOST;
    let repeats = repeats(shape, CODES_AT_MOST);
    if shape.is_sequence {
        (COUNTS_UP, "counts up")
    } else if most(shape.opaque) {
        (OPAQUE, "uuids or digests")
    } else if most(shape.temporal) {
        (TEMPORAL, "times")
    } else if most(shape.digits + shape.numeric) {
        (NUMBERS, "numbers")
    } else if repeats {
        (FEW_CODES, "few codes")
    } else if most(shape.words) {
        (WORDS, "words")
    } else {
        (0.0, "mixed")
    }
}

/// Whether the column is at most `distinct` values that repeat.
pub(super) fn repeats(shape: &Shape, distinct: u64) -> bool {
    shape.sampled <= distinct && shape.offered >= shape.sampled * CODES_REPEAT
}
