//! What is fuzzed, compiled by itself: the detectors of `src/classify/values`, without the rest of Sealift.

/// The part of `sealift::classify` that looks at values.
#[path = "."]
pub mod classify {
    #[path = "../../../src/classify/values/mod.rs"]
    pub mod values;
}
