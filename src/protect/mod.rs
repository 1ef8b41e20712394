//! The protection plan (exactly one action for every leaf column, decided once) and [`Sealed`],
//! the only thing that can be published. [`rejected`] is the plan of rows that go to a quarantine.

mod carried;
mod choice;
mod fit;
#[cfg(test)]
mod fixture;
pub mod kernel;
pub mod plan;
pub mod rejected;
pub mod sealed;

pub use plan::{Decision, Plan};
pub use sealed::Sealed;
