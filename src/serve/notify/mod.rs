//! Tells others of runs: alerts by webhook and mail, OpenLineage events to a server or a file.
//!
//! Both follow the ledger, so that runs of `sealift sync`, and those that a killed process left, are told too. What is to be
//! told is put into the outbox of the metadata store first, and delivered from there: nothing of it can hold up or fail
//! a run, and what could not be delivered yet survives the process.

mod alert;
mod deliver;
mod mail;
mod place;
mod signature;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) use self::deliver::Deliveries;
use self::deliver::Outbox;
use self::place::Place;
pub(super) use self::place::client;
use self::watch::{MARK, Watch};
use super::dispatch::Dispatcher;
use super::lineage;
use super::schedule::{Clock, Schedules};
use crate::error::Result;
use crate::run::Ledger;
use crate::run::ledger::{EndedRun, RunId};
use crate::spec::config::Observability;

/// How long the last messages may take when a run of the command line is over; a daemon that stops gives them as long.
pub const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where nobody was told of ends before, those are told that come from here on.
///
/// # Errors
/// Those of the ledger.
pub(super) async fn begin(ledger: &Ledger) -> Result<()> {
    ledger.watch_mark(MARK).await.map(drop)
}

/// Starts telling others, until `stop`; what waits then is given [`LAST_WORDS`].
///
/// # Errors
/// `Invalid` when a secret that is needed cannot be resolved.
#[expect(clippy::disallowed_methods, reason = "the daemon owns the task and ends it in `shut_down`")]
pub(super) fn start(
    settings: &Observability,
    dispatcher: Dispatcher,
    schedules: Schedules,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<JoinHandle<()>> {
    let outbox = Outbox::open(dispatcher.ledger(), settings, dispatcher.metrics().deliveries())?;
    let watch = Watch::new(settings, dispatcher, outbox.clone(), schedules, clock);
    Ok(tokio::spawn(async move {
        // What the last look finds is delivered, too.
        let looked = CancellationToken::new();
        let look = async {
            watch.keep(stop).await;
            looked.cancel();
        };
        tokio::join!(look, outbox.keep(&looked));
    }))
}

/// Tells of a run of the command line that is over, and delivers what waits, within [`LAST_WORDS`]. What cannot be
/// delivered by then is left to the next daemon or run.
pub async fn tell_now(settings: &Observability, ledger: &Ledger, run_id: &RunId) {
    let Some(lineage) = &settings.lineage else { return };
    let told = async {
        if let Some(run) = ledger.run(run_id).await? {
            let quarantined = run.streams.iter().map(|stream| stream.quarantined).sum();
            let event = lineage::ended(lineage, &EndedRun { run, quarantined, seq: 0 });
            for place in Place::of_lineage(lineage) {
                let _ = lineage::put(ledger, &place.id, &event).await?;
            }
        }
        let lineage_only = Observability { lineage: Some(lineage.clone()), ..Observability::default() };
        Outbox::open(ledger, &lineage_only, Deliveries::default())?.round().await;
        Ok(())
    };
    let told: Result<Result<()>, _> = tokio::time::timeout(LAST_WORDS, told).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::warn!(%run_id, "the lineage of the run waits in the metadata store");
    }
}

/// Where lineage goes, as the outbox names it.
pub(super) fn lineage_places(settings: &crate::spec::config::Lineage) -> Vec<String> {
    Place::of_lineage(settings).into_iter().map(|place| place.id).collect()
}
