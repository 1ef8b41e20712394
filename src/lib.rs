//! Sealift moves on-premises tables and files to object storage, sealed.
//!
//! A pipeline document is read by [`spec`]. A [`source`] is opened at one instant and gives Arrow
//! batches; [`transform`] runs the stream's SQL over them and tells which source columns each
//! output column comes from; [`classify`] gathers what is declared of each; [`protect`] decides one
//! action per column and applies it, with keys from [`keys`]; what it makes, a
//! [`protect::Sealed`], is all that [`publish`] takes and makes visible by one Delta commit.
//! [`run::execute`] composes these, one call after the other. [`query`] reads what was published,
//! [`serve`] runs pipelines on schedule and on request, [`cli`] talks to people.
//!
//! `docs/architecture.md` is the map, and says who may know whom.
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

pub mod source;

pub mod transform;

pub mod classify;

pub mod protect;

pub mod keys;

pub mod publish;

pub mod run;

pub mod govern;

pub mod query;

pub mod serve;

pub mod cli;

/// Rows on their way through the stages: Arrow batches of one schema, faults as items.
pub type Batches = futures::stream::BoxStream<'static, error::Result<arrow::record_batch::RecordBatch>>;

/// Rows that a stage rejects. No `Debug`: it would print values.
pub struct Rejected {
    /// The rows, as they came.
    pub rows: arrow::record_batch::RecordBatch,
    /// Why, row by row: names and types, never a value.
    pub reasons: arrow::array::StringArray,
}

/// Where a stage hands over what it rejects: a bounded queue, on which the stage waits.
pub type Rejects = tokio::sync::mpsc::Sender<Rejected>;
