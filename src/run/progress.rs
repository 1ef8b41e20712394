//! How a run tells where it stands.

use std::sync::Arc;

use super::{Published, StreamPlan};

/// Told of rows and bytes (in memory) read from the source, batch by batch.
pub type Counter = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Whoever watches a run.
pub trait Progress: Send + Sync {
    /// Every stream of the run has a plan; they follow one after the other, in this order.
    fn planned(&self, _: &[StreamPlan]) {}

    /// A stream starts; the answer is told of its rows.
    fn started(&self, plan: &StreamPlan) -> Counter;

    /// All rows of a stream are written; what is left is to make them visible.
    fn landing(&self, _: &StreamPlan) {}

    /// A stream's version is visible.
    fn published(&self, published: &Published);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn started(&self, _: &StreamPlan) -> Counter {
        Arc::new(|_, _| {})
    }

    fn published(&self, _: &Published) {}
}
