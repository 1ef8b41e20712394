//! Every integration test, in one binary.

mod servers;
mod source_postgres;
mod conformance;
mod source_files;
