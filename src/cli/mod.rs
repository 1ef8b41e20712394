//! cli.

pub(crate) mod schema;
pub(crate) mod validate;
