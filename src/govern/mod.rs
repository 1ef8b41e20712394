//! Who may do what, and the record of what was done. Decides; moves no data.

pub mod audit;
pub mod store;
pub mod token;

pub use store::Store;
pub use token::{Principal, Role};
