//! Three layers of keys: a root key held by a provider wraps dataset keys, a dataset key wraps data
//! keys, a data key seals one column of one file.

pub mod dataset;
pub mod material;
pub mod root;

pub use dataset::{DatasetKey, Keyring, Purpose};
pub use material::DataKey;
