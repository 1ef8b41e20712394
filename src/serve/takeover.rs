//! Takes on what waits in the metadata store, and takes over what other daemons left where they share it.
//!
//! A daemon holds the lease of each pipeline that it runs, and renews it. One that is killed, cut off or stopped for too long
//! does not: the lease runs out, and the first other daemon that finds a run without one gives it back to those that wait.
//! What waits is nobody's: all daemons let it wait, and the first that has a place for it begins it. All of them say now and
//! then that it waits with them; what none says that of is abandoned.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatcher;

/// Looks within one lease.
const LOOKS: u32 = 10;
/// How often it is looked where leases are locks of one machine.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is said what waits here, and old keys are forgotten; far more often than once in the time after which what
/// waits is abandoned.
const TELL_INTERVAL: Duration = Duration::from_hours(1);
/// How often an SQLite store is brought up to date with its log.
const WRITE_BACK: Duration = Duration::from_secs(1);

/// Looks for what was left and what waits, until `stop`. Where leases are locks of one machine, what was left is found by the
/// next start, and by the next run of its pipeline; and the store is one file that is looked after.
pub(super) async fn keep(dispatcher: Dispatcher, stop: CancellationToken) {
    let length = dispatcher.ledger().lease_length();
    let mut look = every(length.map_or(LOOK_INTERVAL, |length| length / LOOKS));
    // The start has just looked.
    look.reset();
    let (mut tell, mut write_back) = (every(TELL_INTERVAL), every(WRITE_BACK));
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => match length {
                Some(_) => dispatcher.take_over().await,
                None => dispatcher.adopt().await,
            },
            _ = tell.tick() => {
                if let Err(error) = dispatcher.keep_records().await {
                    tracing::warn!(%error, "it could not be said which runs wait here, or old keys not be forgotten");
                }
                continue;
            }
            _ = write_back.tick(), if length.is_none() => {
                if let Err(error) = dispatcher.ledger().write_back().await {
                    tracing::debug!(%error, "the log of the metadata store stays longer for now");
                }
                continue;
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "it could not be looked for runs that wait, or that lost daemons left");
        }
    }
}

fn every(pause: Duration) -> Interval {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
