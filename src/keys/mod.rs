//! Three layers of keys: a root key held by a provider wraps dataset keys, a dataset key wraps data
//! keys, a data key seals one column of one file.

mod aead;
pub mod backup;
pub mod dataset;
pub mod destruction;
mod durable;
pub mod health;
mod hkdf;
mod lock;
pub mod material;
pub mod note;
mod pinned;
pub mod purpose;
mod records;
pub mod root;
pub mod rotation;
pub mod signer;
pub mod subject;

pub use dataset::{DatasetKey, Keyring};
pub use hkdf::Hkdf;
pub use material::DataKey;
pub use note::Note;
pub use pinned::pinned_trail;
pub use purpose::{Domain, DomainKey, Purpose, split_id};
pub use signer::{GivenKey, PublicKey, Signer};
pub use subject::Subjects;
