//! `cargo +nightly fuzz run find`: spans are in order, disjoint and on character boundaries.
#![no_main]

use sealift_fuzz::classify::values::find;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut end = 0;
    for span in find(text) {
        assert!(span.range.start >= end && span.range.end > span.range.start);
        assert!(text.get(span.range.clone()).is_some());
        end = span.range.end;
    }
});
