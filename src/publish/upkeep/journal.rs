//! Who is told of versions that no run publishes.

use std::fmt;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::publish::Outcome;
use crate::spec::DatasetName;

/// Remembers what upkeep does, apart from the table and its log: of a version that is taken out of the log again
/// nobody else knows.
pub trait Journal: fmt::Debug + Send + Sync {
    /// A version is about to be tried.
    ///
    /// # Errors
    /// When it cannot be remembered; then nothing is tried.
    fn tried<'a>(&'a self, dataset: &'a DatasetName, run_id: &'a str) -> BoxFuture<'a, Result<()>>;

    /// A version has landed.
    ///
    /// # Errors
    /// When it cannot be remembered.
    fn landed<'a>(
        &'a self,
        dataset: &'a DatasetName,
        run_id: &'a str,
        outcome: &'a Outcome,
    ) -> BoxFuture<'a, Result<()>>;
}
