//! Takes over what other daemons left, where they share the metadata store.
//!
//! A daemon holds the lease of each pipeline that it runs, and renews it. One that is killed, cut off or stopped for too long
//! does not: the lease runs out, and the first other daemon that finds a run without one gives it back to those that wait.
//! What waits is nobody's: all daemons let it wait, and the first that has a place for it begins it.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatcher;

/// Looks within one lease.
const LOOKS: u32 = 10;

/// How often an SQLite store is brought up to date with its log.
const WRITE_BACK: Duration = Duration::from_secs(1);

/// Looks for what was left, until `stop`. Where leases are locks of one machine, nothing is: a start finds it, and the
/// store is one file that is looked after instead.
pub(super) async fn keep(dispatcher: Dispatcher, stop: CancellationToken) {
    let Some(length) = dispatcher.ledger().lease_length() else {
        return write_back(&dispatcher, &stop).await;
    };
    let mut look = interval(length / LOOKS);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        if let Err(error) = dispatcher.take_over().await {
            tracing::warn!(%error, "it could not be looked for runs of lost daemons");
        }
    }
}

async fn write_back(dispatcher: &Dispatcher, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(WRITE_BACK) => {}
        }
        if let Err(error) = dispatcher.ledger().write_back().await {
            tracing::debug!(%error, "the log of the metadata store stays longer for now");
        }
    }
}
