//! What people write, resolved into valid types.
//!
//! Three documents: [`Config`], [`Policy`], [`Pipeline`] (YAML, `apiVersion: sealift/v1`).
//! Loading reports every problem at once, each with file, line, column and remedy. The raw mirrors
//! of the documents stay private here; whatever leaves this module is valid.

pub mod action;
pub mod config;
pub mod name;
pub mod pipeline;
pub mod policy;
pub mod verdict;

pub use action::Action;
pub use config::Config;
pub use name::{ConnectionName, DatasetName, PipelineName, StoreName, StreamName, Tag};
pub use pipeline::{Pipeline, Stream};
pub use policy::Policy;
