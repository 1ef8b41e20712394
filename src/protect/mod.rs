//! The protection plan (exactly one action for every leaf column, decided once) and [`Sealed`],
//! the only thing that can be published; [`digest`] tells what its values were. [`rejected`] is the plan of
//! rows that go to a quarantine, [`lifetime`] are the columns of rows that stay as history.

mod carried;
mod choice;
mod companion;
pub mod digest;
mod fit;
#[cfg(test)]
mod fixture;
pub mod kernel;
pub mod lifetime;
pub mod plan;
pub mod rejected;
pub mod sealed;

pub use digest::Digests;
pub use lifetime::Lifetime;
pub use plan::resealing::Resealing;
pub use plan::{Decision, Plan, purpose};
pub use sealed::Sealed;
