//! Sealift moves on-premises tables and files to object storage, sealed.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::string_slice,
        reason = "unit tests may use a clock, and fail loudly"
    )
)]

pub mod error;
pub mod secret;

pub mod spec;

pub mod classify;
pub mod keys;
pub mod protect;
pub mod publish;
pub mod source;
pub mod transform;

pub mod cli;
pub mod govern;
pub mod query;
pub mod run;
pub mod serve;

/// Rows on their way through the stages: Arrow batches of one schema, faults as items.
pub type Batches = futures::stream::BoxStream<'static, error::Result<arrow::record_batch::RecordBatch>>;
