//! Takes over what other daemons left, where they share the metadata store.
//!
//! A daemon holds the lease of each pipeline that it runs, and renews it. One that is killed, cut off or stopped for too long
//! does not: the lease runs out, and the first other daemon that finds a run without one gives it back to those that wait.
//! What waits is nobody's: all daemons let it wait, and the first that has a place for it begins it.

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatcher;

/// Looks within one lease.
const LOOKS: u32 = 10;

/// Looks for what was left, until `stop`. Where leases are locks of one machine, nothing is: a start finds it.
pub(super) async fn keep(dispatcher: Dispatcher, stop: CancellationToken) {
    let Some(length) = dispatcher.ledger().lease_length() else { return };
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
