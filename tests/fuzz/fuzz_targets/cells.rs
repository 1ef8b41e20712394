//! `cargo +nightly fuzz run cells`: whatever stands in a column of encrypted values is taken apart or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_fuzz::protect::cell;

fuzz_target!(|text: &str| {
    for text in [text, &format!("e1:{text}")] {
        if let Some((version, sealed)) = cell(text) {
            assert!(text.starts_with(&format!("e{version}:")));
            // Form, salt and nonce stand before it.
            assert!(sealed + 29 <= text.len());
        }
    }
});
