//! `cargo +nightly fuzz run backup`: what a backup holds is refused, or is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_fuzz::keys::backup::decode;

fuzz_target!(|data: &[u8]| {
    if let Some((files, again)) = decode(data) {
        assert_eq!(again, data);
        assert!(files * 8 <= data.len());
    }
});
