//! Takes over what other daemons left, where they share the metadata store.
//!
//! A daemon holds the lease of each pipeline that it runs, and renews it. One that is killed, cut off or stopped for too long
//! does not: the lease runs out, and the first other daemon that finds a run without one takes the pipeline.

use std::collections::BTreeSet;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatcher;
use crate::error::Result;
use crate::spec::PipelineName;

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
        if let Err(error) = take_over(&dispatcher).await {
            tracing::warn!(%error, "it could not be looked for runs of lost daemons");
        }
    }
}

async fn take_over(dispatcher: &Dispatcher) -> Result<()> {
    let orphans = dispatcher.ledger().orphans().await?;
    let names: BTreeSet<_> =
        orphans.iter().filter_map(|run| PipelineName::parse(&run.pipeline).ok()).collect();
    for name in names {
        // One that this daemon does not know is for one that does.
        if let Some(pipeline) = dispatcher.registry().get(&name) {
            dispatcher.take_over(pipeline).await?;
        }
    }
    Ok(())
}
