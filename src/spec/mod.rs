//! What people write, resolved into valid types.
//!
//! Three documents: [`Config`], [`Policy`], [`Pipeline`] (YAML, `apiVersion: sealift/v1`).
//! Loading reports every problem at once, each with file, line, column and remedy. The raw mirrors
//! of the documents stay private here; whatever leaves this module is valid.
//!
//! A document goes `Text` -> `tree` (nodes that know their place) -> `raw` (serde mirrors, read by
//! `decode`, which goes on after an error) -> `resolve` (the types here). What is wrong on the way
//! gathers in `Faults` and leaves as [`Problems`].

pub mod access;
pub mod action;
pub mod cases;
pub mod classification;
pub mod config;
pub mod contract;
pub mod listen;
pub mod name;
pub mod pipeline;
pub mod policy;
pub mod quality;
pub mod role;
pub mod schedule;
pub mod schema;
pub mod sync;
pub mod verdict;

mod claims;
mod decode;
mod faults;
mod folder;
mod follow;
mod hidden;
mod keys;
mod load;
mod observability;
mod problem;
mod raw;
mod reader;
mod resolve;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub use action::Action;
pub(crate) use claims::{Claims, dataset as single_dataset};
pub use config::Config;
pub(crate) use folder::{documents_in, read_each};
pub use follow::check_followed;
pub use load::{Document, check_all, check_files, load_all, load_frame};
pub use name::{ConnectionName, DatasetName, PipelineName, StoreName, StreamName, Tag};
pub use pipeline::{Pipeline, Stream};
pub use policy::Policy;
pub use problem::{Problem, Problems};
pub(crate) use reader::{Read, Reader};
pub(crate) use resolve::quantity::{duration_within, size_within};
pub(crate) use resolve::store::{Service, address, is_loopback};
pub use role::Role;
pub(crate) use text::Text;
