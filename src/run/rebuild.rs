//! A lost ledger, rebuilt from what the tables' commits say.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;

use super::Ledger;
use super::ledger::{Run, RunId, State, StreamOutcome, StreamState, Trigger};
use crate::error::{At as _, Result};
use crate::publish::receipt::{self, Named};
use crate::publish::{Account, Publication, Store, Table, table};
use crate::spec::DatasetName;

/// What was recorded again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Datasets that were looked at.
    pub datasets: u64,
    /// Runs that the ledger did not know.
    pub runs: u64,
    /// What they published, stream by stream.
    pub streams: u64,
}

/// Records every run again that published something and that the ledger does not know, as far back as the
/// logs are kept. What the ledger knows stays as it is, so that doing this twice changes nothing. That a run
/// failed after its first stream is in no table: it is recorded as a success.
///
/// Memory grows by 16 bytes for each run that is restored.
///
/// # Errors
/// As the stores and the ledger answer.
pub async fn rebuild(ledger: &Ledger, stores: &[Store]) -> Result<Rebuilt> {
    let mut rebuilt = Rebuilt::default();
    let mut restored = HashSet::new();
    for store in stores {
        for dataset in Table::list(store).await.at(|| format!("store {}", store.url()))? {
            rebuilt.datasets += u64::from(!dataset.is_quarantine());
            restore(ledger, store, &dataset, &mut restored, &mut rebuilt)
                .await
                .at(|| format!("dataset {dataset}"))?;
        }
    }
    Ok(rebuilt)
}

async fn restore(
    ledger: &Ledger,
    store: &Store,
    dataset: &DatasetName,
    restored: &mut HashSet<RunId>,
    rebuilt: &mut Rebuilt,
) -> Result<()> {
    let Some(newest) = table::versions(store, dataset).await?.last().copied() else { return Ok(()) };
    let mut commits = table::commits(store, dataset, 0..=newest);
    while let Some((version, commit)) = commits.try_next().await? {
        // A quarantine's rows are told by the commit of the dataset itself.
        let told = Account::of(version, &commit).filter(|_| !dataset.is_quarantine());
        let Some((run, stream)) = told.and_then(|told| record(dataset, told)) else {
            if let Some(Named { sha256, run_id: Some(run_id), .. }) = receipt::named(&commit) {
                ledger.remember(dataset, &run_id, Some((version, sha256.as_deref()))).await?;
            }
            continue;
        };
        let (new_run, new_stream) = ledger.restore(&run, &stream).await?;
        rebuilt.runs += u64::from(new_run);
        rebuilt.streams += u64::from(new_stream);
        if new_run {
            restored.insert(run.run_id);
        } else if restored.contains(&run.run_id) {
            ledger.widen(&run).await?;
        }
    }
    Ok(())
}

/// The records that a commit stands for; `None` where it is not that of a run.
fn record(dataset: &DatasetName, told: Account) -> Option<(Run, StreamOutcome)> {
    let Account { publication, spec_digest, trigger, quarantined, started_ms, committed_ms } = told;
    let Publication { run_id, stream, outcome, .. } = publication;
    let (pipeline, stream) = stream.split_once('/')?;
    let run_id = RunId::parse(&run_id).ok()?;
    let at = |ms| DateTime::<Utc>::from_timestamp_millis(ms);
    let run = Run {
        run_id,
        pipeline: pipeline.to_owned(),
        spec_digest,
        trigger: trigger.parse().unwrap_or(Trigger::Cli),
        state: State::Succeeded,
        outcome: None,
        error: None,
        created_at: at(started_ms)?,
        started_at: at(started_ms),
        finished_at: at(committed_ms),
        attempt: 1,
        heartbeat_at: None,
        not_before: None,
        is_to_stop: false,
        streams: Vec::new(),
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let seconds = committed_ms.saturating_sub(started_ms).max(0) as f64 / 1_000.0;
    let stream = StreamOutcome {
        stream: stream.to_owned(),
        dataset: dataset.to_string(),
        version: Some(outcome.version),
        rows: outcome.rows,
        quarantined,
        bytes: outcome.bytes,
        seconds,
        receipt: outcome.receipt,
        state: StreamState::Published,
    };
    Some((run, stream))
}
