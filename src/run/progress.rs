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

/// Two watch.
pub struct Both<'a>(pub &'a dyn Progress, pub &'a dyn Progress);

impl Progress for Both<'_> {
    fn planned(&self, plans: &[StreamPlan]) {
        self.0.planned(plans);
        self.1.planned(plans);
    }

    fn landing(&self, plan: &StreamPlan) {
        self.0.landing(plan);
        self.1.landing(plan);
    }

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
