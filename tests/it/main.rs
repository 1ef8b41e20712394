//! Every integration test, in one binary.

mod query;
mod serve;
