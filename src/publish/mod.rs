//! Sealed rows become Parquet objects, and one Delta commit makes them visible.
//!
//! [`write()`] streams sealed rows into objects no reader sees yet; [`commit()`] makes them visible,
//! whole or not at all; [`Table`] is what readers see; [`Reading`] reads published rows back; [`receipt`] is
//! the evidence of a version; [`Upkeep`] keeps a table in order. `docs/tables.md` describes the bytes.

pub mod commit;
pub(crate) mod fault;
pub mod history;
pub mod merge;
pub mod parquet;
pub mod path;
pub mod reading;
pub mod receipt;
pub mod recorded;
pub mod store;
pub mod table;
pub mod upkeep;

pub use commit::{
    Change, Effect, Evolution, Mode, Order, Outcome, Provenance, Rewrite, Shift, check_schema, commit, shift,
    type_name,
};
pub use history::{Account, History, Publication};
pub use merge::Merge;
pub use parquet::{Written, write};
pub use path::ObjectPath;
pub use reading::Reading;
pub use receipt::{Decided, Receipt};
pub use recorded::{Facts, Recorded};
pub use store::Store;
pub use table::Table;
pub use upkeep::Upkeep;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod scripted;
