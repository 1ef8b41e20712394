//! Who may do what, and the record of what was done. Decides; moves no data.

pub mod audit;
pub(crate) mod batch;
pub mod permission;
pub mod principal;
pub mod store;
pub mod token;

pub use crate::spec::Role;
pub use permission::Permission;
pub use principal::{Principal, Scope, Source};
pub use store::Store;
