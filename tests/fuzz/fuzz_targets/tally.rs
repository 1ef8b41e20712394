//! `cargo +nightly fuzz run tally`: a column of the lines of the input, as text and as numbers.
#![no_main]

use arrow::array::{Int64Array, StringArray};
use sealift_fuzz::classify::values::{Detectors, Limits, Sample};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().take(256).collect();
    let mut sample = Sample::new(Limits { per_batch: 64, per_column: 64, total_bytes: 1 << 14, ..Limits::default() });
    sample.observe(&StringArray::from(lines));
    let tally = Detectors::builtin().tally(&sample);
    assert!(tally.hits.iter().all(|hit| hit.passed <= hit.formed && hit.formed <= tally.shape.sampled * 4));
    let numbers: Vec<i64> = data.chunks_exact(8).filter_map(|c| c.try_into().ok()).map(i64::from_le_bytes).collect();
    let mut sample = Sample::default();
    sample.observe(&Int64Array::from(numbers));
    let _ = Detectors::builtin().tally(&sample);
});
