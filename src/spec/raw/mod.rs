//! The documents as they are written, before anything is checked. Private to `spec`: what leaves
//! it is resolved.
//!
//! The JSON Schemas come from these types, so a doc comment here is what an editor shows. Keys that
//! the design knows and this version does not have are read (and refused with a clear word) but
//! left out of the schemas.

pub(crate) mod access;
pub(crate) mod action;
pub(crate) mod cases;
pub(crate) mod classification;
pub(crate) mod config;
pub(crate) mod contract;
pub(crate) mod keys;
pub(crate) mod listen;
pub(crate) mod observability;
pub(crate) mod pipeline;
pub(crate) mod placed;
pub(crate) mod policy;
pub(crate) mod quality;
pub(crate) mod schedule;
pub(crate) mod stream;

use schemars::JsonSchema;
use serde::Deserialize;

/// The version of the document format.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(crate) enum ApiVersion {
    #[serde(rename = "sealift/v1")]
    V1,
}
