//! How a run tells where it stands.

use std::sync::Arc;

use super::{Published, StreamPlan};

/// Told of rows and bytes (in memory) read from the source, batch by batch.
pub type Counter = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Whoever watches a run.
pub trait Progress: Send + Sync {
    /// A stream starts; the answer is told of its rows.
    fn started(&self, plan: &StreamPlan) -> Counter;

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

/// Two watch.
pub struct Both<'a>(pub &'a dyn Progress, pub &'a dyn Progress);

impl Progress for Both<'_> {
    fn started(&self, plan: &StreamPlan) -> Counter {
        let (first, second) = (self.0.started(plan), self.1.started(plan));
        Arc::new(move |rows, bytes| {
            first(rows, bytes);
            second(rows, bytes);
        })
    }

    fn published(&self, published: &Published) {
        self.0.published(published);
        self.1.published(published);
    }
}
