//! Every integration test, in one binary.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test may fail loudly"
)]

mod access;
mod api;
mod audit;
mod bad_documents;
mod broken_source;
mod canary;
mod classification;
mod companion;
mod conformance;
mod contract;
mod daemon;
mod decisions;
mod evidence;
mod exit_codes;
mod house;
mod increment_cost;
mod incremental;
mod instant;
mod interop;
mod key_life;
mod kill;
mod killed_daemon;
mod limits;
mod merge;
mod metadata;
mod needles;
mod outside_writer;
mod policy;
mod providers;
mod publish;
mod quality;
mod quarantine;
mod query;
mod raw_keys;
mod relations;
mod reload;
mod reseal;
mod resume;
mod reveal;
mod scheduler;
mod schedulers;
mod schemathesis;
mod seeing;
mod serve;
mod servers;
mod shred;
mod source_files;
mod source_mysql;
#[cfg(feature = "odbc")]
mod source_odbc;
mod source_postgres;
mod source_sqlite;
mod spark;
mod spill;
mod split;
mod standing;
mod tidy;
mod trial;
mod two_daemons;
mod two_writers;
mod upkeep;
mod versions;
