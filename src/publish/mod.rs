//! Sealed rows become Parquet objects, and one Delta commit makes them visible.

pub mod commit;
pub mod parquet;
pub mod store;
pub mod table;

pub use commit::{Mode, Outcome, Provenance};
pub use parquet::{Written, write};
pub use store::Store;
pub use table::Table;
