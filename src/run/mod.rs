//! run.

pub mod ledger;
pub mod record;
