//! What the ledger remembers of tables, and what it learns from them again.

use chrono::DateTime;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Ledger, MAX_LISTED, Run, RunId, State, StreamOutcome, get, to_i64};
use crate::error::Result;
use crate::govern::store::fault;
use crate::publish::Outcome;
use crate::publish::upkeep::Journal;
use crate::spec::DatasetName;

/// A version that a run, or upkeep, recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The version.
    pub version: u64,
    /// The run, or the work.
    pub run_id: RunId,
    /// SHA-256 of its receipt, if it was recorded.
    pub receipt: Option<String>,
}

impl Ledger {
    /// The versions of a dataset that runs and upkeep recorded, newest first; at most [`MAX_LISTED`].
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn remembered(&self, dataset: &DatasetName) -> Result<Vec<Remembered>> {
        let rows = sqlx::query(
            "SELECT version, run_id, receipt FROM run_streams
             WHERE dataset = $1 AND version IS NOT NULL AND state = 'published'
             UNION
             SELECT version, run_id, receipt FROM versions WHERE dataset = $1 AND version IS NOT NULL
             ORDER BY version DESC, run_id DESC LIMIT $2",
        )
        .bind(dataset.to_string())
        .bind(i64::from(MAX_LISTED))
        .fetch_all(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Remembered {
                version: get::<i64>(row, "version")?.unsigned_abs(),
                run_id: RunId::parse(&get::<String>(row, "run_id")?)?,
                receipt: get(row, "receipt")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Records work on a dataset that is of no stream: before it is tried with no version, and each version that
    /// it made, with the SHA-256 of its receipt. Told again, nothing changes.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn remember(
        &self,
        dataset: &DatasetName,
        run_id: &str,
        version: Option<(u64, Option<&str>)>,
    ) -> Result<()> {
        let (version, receipt) = version.map_or((None, None), |(version, receipt)| (Some(version), receipt));
        sqlx::query(
            "INSERT INTO versions (dataset, run_id, version, receipt) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(dataset.to_string())
        .bind(run_id)
        .bind(version.map(to_i64))
        .bind(receipt)
        .execute(self.here())
        .await
        .map_err(|e| fault(&e))?;
        Ok(())
    }

    /// Whether work of this id on a dataset was begun.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn has_tried(&self, dataset: &DatasetName, run_id: &RunId) -> Result<bool> {
        let row = sqlx::query("SELECT 1 FROM versions WHERE dataset = $1 AND run_id = $2 LIMIT 1")
            .bind(dataset.to_string())
            .bind(run_id.to_string())
            .fetch_optional(self.here())
            .await
            .map_err(|e| fault(&e))?;
        Ok(row.is_some())
    }

    /// Records a run that succeeded with what one of its streams published, as far as the ledger does not
    /// know them; what it knows stays. Tells whether run and stream were new.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn restore(&self, run: &Run, stream: &StreamOutcome) -> Result<(bool, bool)> {
        let ms = |at: Option<DateTime<chrono::Utc>>| at.map(|at| at.timestamp_millis());
        let new_run = sqlx::query(
            r#"INSERT INTO runs (run_id, pipeline, spec_digest, "trigger", state, outcome, created_ms, started_ms,
                                 finished_ms)
               VALUES ($1, $2, $3, $4, $5, 'done', $6, $7, $8)
               ON CONFLICT (run_id) DO NOTHING"#,
        )
        .bind(run.run_id.to_string())
        .bind(&run.pipeline)
        .bind(&run.spec_digest)
        .bind(run.trigger.word())
        .bind(State::Succeeded.word())
        .bind(run.created_at.timestamp_millis())
        .bind(ms(run.started_at))
        .bind(ms(run.finished_at))
        .execute(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let new_stream = sqlx::query(
            "INSERT INTO run_streams (run_id, stream, dataset, version, rows, quarantined, bytes, seconds, receipt,
                                      state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (run_id, stream) DO NOTHING",
        )
        .bind(run.run_id.to_string())
        .bind(&stream.stream)
        .bind(&stream.dataset)
        .bind(stream.version.map(to_i64))
        .bind(to_i64(stream.rows))
        .bind(to_i64(stream.quarantined))
        .bind(to_i64(stream.bytes))
        .bind(stream.seconds)
        .bind(&stream.receipt)
        .bind(stream.state.word())
        .execute(self.here())
        .await
        .map_err(|e| fault(&e))?;
        Ok((new_run.rows_affected() == 1, new_stream.rows_affected() == 1))
    }

    /// Widens the time of a restored run by that of another of its streams.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn widen(&self, run: &Run) -> Result<()> {
        sqlx::query(
            "UPDATE runs SET started_ms = CASE WHEN $2 < started_ms THEN $2 ELSE started_ms END,
                 finished_ms = CASE WHEN $3 > finished_ms THEN $3 ELSE finished_ms END
             WHERE run_id = $1",
        )
        .bind(run.run_id.to_string())
        .bind(run.started_at.map(|at| at.timestamp_millis()))
        .bind(run.finished_at.map(|at| at.timestamp_millis()))
        .execute(self.here())
        .await
        .map_err(|e| fault(&e))?;
        Ok(())
    }
}

/// Upkeep is no run; what it does is remembered all the same.
impl Journal for Ledger {
    fn tried<'a>(&'a self, dataset: &'a DatasetName, run_id: &'a str) -> BoxFuture<'a, Result<()>> {
        self.remember(dataset, run_id, None).boxed()
    }

    fn landed<'a>(
        &'a self,
        dataset: &'a DatasetName,
        run_id: &'a str,
        outcome: &'a Outcome,
    ) -> BoxFuture<'a, Result<()>> {
        self.remember(dataset, run_id, Some((outcome.version, outcome.receipt.as_deref()))).boxed()
    }
}
