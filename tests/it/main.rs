//! Every integration test, in one binary.

mod conformance;
mod source_files;
