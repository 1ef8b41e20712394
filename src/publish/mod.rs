//! Sealed rows become Parquet objects, and one Delta commit makes them visible.
//!
//! [`write()`] streams sealed rows into objects no reader sees yet; [`commit()`] makes them visible,
//! whole or not at all; [`Table`] is what readers see; [`Reading`] reads published rows back. `docs/tables.md` describes the bytes.

pub mod commit;
pub(crate) mod fault;
pub mod merge;
pub mod parquet;
pub mod path;
pub mod reading;
pub mod store;
pub mod table;

pub use commit::{
    Change, Effect, Mode, Order, Outcome, Provenance, Rewrite, check_schema, commit, type_name,
};
pub use merge::Merge;
pub use parquet::{Written, write};
pub use path::ObjectPath;
pub use reading::Reading;
pub use store::Store;
pub use table::{History, Publication, Table};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod scripted;
