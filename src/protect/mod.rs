//! The protection plan (exactly one action for every leaf column, decided once) and [`Sealed`],
//! the only thing that can be published.

pub mod plan;
pub mod sealed;

pub use plan::{Decision, Plan};
pub use sealed::Sealed;
