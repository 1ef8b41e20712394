//! Who follows a run is woken when it begins or ends.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::run::ledger::RunId;

/// Among so many bells runs are divided: now and then one rings for another run of its own.
const BELLS: u64 = 1024;

/// Bells that ring when runs begin or end.
#[derive(Debug)]
pub(super) struct Ends {
    any: Notify,
    bells: Vec<Notify>,
}

impl Ends {
    pub(super) fn new() -> Self {
        Self { any: Notify::new(), bells: (0..BELLS).map(|_| Notify::new()).collect() }
    }

    /// Wakes who follows this run: it has begun.
    pub(super) fn ring_in(&self, run_id: &RunId) {
        self.bell(run_id).notify_waiters();
    }

    /// Wakes who follows this run, or waits for the end of any: it is over.
    pub(super) fn ring(&self, run_id: &RunId) {
        self.bell(run_id).notify_waiters();
        self.any.notify_waiters();
    }

    /// Ends when a run ends.
    pub(super) fn any(&self) -> Notified<'_> {
        self.any.notified()
    }

    /// Ends when this run begins or ends, and hardly ever when another one does.
    pub(super) fn of(&self, run_id: &RunId) -> Notified<'_> {
        self.bell(run_id).notified()
    }

    fn bell(&self, run_id: &RunId) -> &Notify {
        let mut hasher = DefaultHasher::new();
        run_id.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % BELLS).unwrap_or_default();
        self.bells.get(index).unwrap_or(&self.any)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_end_of_a_run_wakes_who_waits_for_it_and_few_others() {
        let ends = Ends::new();
        let runs: Vec<RunId> = (0..100).map(|_| RunId::draw()).collect();
        let mut waiting: Vec<_> = runs.iter().map(|run_id| Box::pin(ends.of(run_id))).collect();
        let mut any = Box::pin(ends.any());
        any.as_mut().enable();
        for one in &mut waiting {
            one.as_mut().enable();
        }
        ends.ring(&runs[7]);
        assert!(any.now_or_never().is_some());
        let woken: Vec<bool> = waiting.into_iter().map(|one| one.now_or_never().is_some()).collect();
        assert!(woken[7] && woken.iter().filter(|woken| **woken).count() < 10, "{woken:?}");
    }
}
