//! Every integration test, in one binary.

mod bad_documents;
