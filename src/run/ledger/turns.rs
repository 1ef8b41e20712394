//! The attempts of runs: when one is alive, and when the next one may begin.

use chrono::{DateTime, Utc};
use sqlx::AnyConnection;

use super::{Ledger, RunId, State, fault, fenced, get};
use crate::error::{Error, Result};
use crate::govern::store::{begin_writing, now_ms};

impl Ledger {
    /// Records that an attempt of a queued run began. Where leases are rows, this process holds the pipeline's, and the
    /// attempt is of its epoch.
    ///
    /// # Errors
    /// `Failed` when the run is not queued, `Temporary` when the lease is another process's; else as [`Ledger::queue`].
    pub async fn start(&self, run_id: &RunId) -> Result<()> {
        match self.begin_as(run_id, None).await? {
            true => Ok(()),
            false => Err(self.not_begun(run_id).await?),
        }
    }

    /// As [`Ledger::start`], for attempt number `attempt`, which goes by the document of this digest. False when the run
    /// does not wait for this attempt, or the lease is another process's.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn begin(&self, run_id: &RunId, attempt: u32, spec_digest: &str) -> Result<bool> {
        self.begin_as(run_id, Some((attempt, spec_digest))).await
    }

    async fn begin_as(&self, run_id: &RunId, wanted: Option<(u32, &str)>) -> Result<bool> {
        let rows = self.leases.rows();
        let mut both = begin_writing(self.here()).await?;
        let begun = sqlx::query(
            "UPDATE runs SET state = 'running', started_ms = coalesce(started_ms, $1), holder = $3,
                 spec_digest = coalesce($4, spec_digest),
                 epoch = (SELECT epoch FROM leases WHERE name = runs.pipeline AND holder = $3)
             WHERE run_id = $2 AND state = 'queued'
             AND ($3 IS NULL OR EXISTS (SELECT 1 FROM leases WHERE name = runs.pipeline AND leases.holder = $3))
             AND ($5 IS NULL OR $5 = coalesce((SELECT t.attempt FROM run_turns t WHERE t.run_id = runs.run_id), 1))
             RETURNING epoch",
        )
        .bind(now_ms())
        .bind(run_id.to_string())
        .bind(rows.map(|rows| rows.holder.as_str()))
        .bind(wanted.map(|(_, spec_digest)| spec_digest))
        .bind(wanted.map(|(attempt, _)| i64::from(attempt)))
        .fetch_optional(&mut *both)
        .await
        .map_err(|e| fault(&e))?;
        let Some(begun) = begun else {
            both.rollback().await.map_err(|e| fault(&e))?;
            return Ok(false);
        };
        sqlx::query(
            "INSERT INTO run_turns (run_id, attempt, heartbeat_ms) VALUES ($1, 1, $2)
             ON CONFLICT (run_id) DO UPDATE SET heartbeat_ms = excluded.heartbeat_ms, not_before_ms = NULL",
        )
        .bind(run_id.to_string())
        .bind(now_ms())
        .execute(&mut *both)
        .await
        .map_err(|e| fault(&e))?;
        both.commit().await.map_err(|e| fault(&e))?;
        if let (Some(rows), Some(epoch)) = (rows, get::<Option<i64>>(&begun, "epoch")?) {
            rows.begun().insert(*run_id, epoch);
        }
        Ok(true)
    }

    /// Why a run could not begin.
    async fn not_begun(&self, run_id: &RunId) -> Result<Error> {
        let state = self.run(run_id).await?.map(|run| run.state);
        Ok(match state {
            Some(State::Queued) => fenced(format!("run {run_id} did not begin")),
            _ => Error::failed(format!("run {run_id} is not queued")),
        })
    }

    /// Records that a run is alive. Whether it was asked to stop ([`Ledger::ask_to_stop`]).
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn beat(&self, run_id: &RunId) -> Result<bool> {
        let mut alone = begin_writing(self.here()).await?;
        let row = sqlx::query(concat!(
            "UPDATE run_turns SET heartbeat_ms = $1 WHERE run_id = $2
             AND EXISTS (SELECT 1 FROM runs WHERE runs.run_id = $2 AND ",
            is_ours!("$3"),
            ") RETURNING cancel_ms"
        ))
        .bind(now_ms())
        .bind(run_id.to_string())
        .bind(self.epoch(run_id))
        .fetch_optional(&mut *alone)
        .await
        .map_err(|e| fault(&e))?;
        alone.commit().await.map_err(|e| fault(&e))?;
        let asked: Option<Option<i64>> = row.map(|row| get(&row, "cancel_ms")).transpose()?;
        Ok(asked.flatten().is_some())
    }

    /// Asks a run to stop that a daemon is at, which finds that with its next [`Ledger::beat`]. False where none is.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn ask_to_stop(&self, run_id: &RunId) -> Result<bool> {
        let mut alone = begin_writing(self.here()).await?;
        let asked = sqlx::query(
            "UPDATE run_turns SET cancel_ms = coalesce(cancel_ms, $1) WHERE run_id = $2
             AND EXISTS (SELECT 1 FROM runs WHERE runs.run_id = $2 AND state = 'running' AND \"trigger\" <> 'cli')",
        )
        .bind(now_ms())
        .bind(run_id.to_string())
        .execute(&mut *alone)
        .await
        .map_err(|e| fault(&e))?;
        alone.commit().await.map_err(|e| fault(&e))?;
        Ok(asked.rows_affected() == 1)
    }

    /// Records that an attempt of a running run failed, for `why` (the text of one of our own errors), and that attempt
    /// number `attempt` begins not before an instant: it is the same run, which is queued again. False where it was asked to
    /// stop meanwhile: then it is under way as before, and the caller records its end.
    ///
    /// # Errors
    /// `Failed` when the run is not running, `Temporary` when another process has it by now; else as [`Ledger::queue`].
    pub async fn try_again(
        &self,
        run_id: &RunId,
        attempt: u32,
        not_before: DateTime<Utc>,
        why: &str,
    ) -> Result<bool> {
        let mut both = begin_writing(self.here()).await?;
        let done = sqlx::query(concat!(
            "UPDATE runs SET state = 'queued', epoch = NULL, holder = NULL
             WHERE run_id = $1 AND state = 'running' AND NOT EXISTS
               (SELECT 1 FROM run_turns t WHERE t.run_id = runs.run_id AND t.cancel_ms IS NOT NULL) AND ",
            is_ours!("$2")
        ))
        .bind(run_id.to_string())
        .bind(self.epoch(run_id))
        .execute(&mut *both)
        .await
        .map_err(|e| fault(&e))?;
        if done.rows_affected() != 1 {
            both.rollback().await.map_err(|e| fault(&e))?;
            let run = self.run(run_id).await?;
            if run.is_some_and(|run| run.state == State::Running && run.is_to_stop) {
                return Ok(false);
            }
            return self.expect_one(0, run_id, "running").await.map(|()| true);
        }
        wait_again(&mut both, run_id, attempt, not_before, why).await?;
        both.commit().await.map_err(|e| fault(&e))?;
        self.forget(run_id);
        Ok(true)
    }
}

/// Records what the next attempt of a run waits for.
pub(super) async fn wait_again(
    connection: &mut AnyConnection,
    run_id: &RunId,
    attempt: u32,
    not_before: DateTime<Utc>,
    why: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO run_turns (run_id, attempt, not_before_ms, error) VALUES ($1, $2, $3, $4)
         ON CONFLICT (run_id) DO UPDATE SET attempt = excluded.attempt, heartbeat_ms = NULL,
             not_before_ms = excluded.not_before_ms, error = excluded.error",
    )
    .bind(run_id.to_string())
    .bind(i64::from(attempt))
    .bind(not_before.timestamp_millis())
    .bind(why)
    .execute(connection)
    .await
    .map_err(|e| fault(&e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::run::ledger::Trigger;
    use crate::spec::PipelineName;
    use crate::spec::config::Metadata;

    #[tokio::test]
    async fn an_attempt_that_failed_is_followed_by_one_of_the_same_run() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let run_id = ledger.queue(&PipelineName::parse("crm").unwrap(), "d", Trigger::Api).await.unwrap();
        let shown = async || ledger.run(&run_id).await.unwrap().unwrap();
        assert_eq!((shown().await.attempt, shown().await.heartbeat_at), (1, None));
        let later = DateTime::from_timestamp_millis(now_ms() + 60_000).unwrap();
        let early = ledger.try_again(&run_id, 2, later, "away").await.unwrap_err();
        assert_eq!(early.kind(), Kind::Failed, "it has not begun");

        ledger.start(&run_id).await.unwrap();
        let first = shown().await;
        assert!(first.state == State::Running && first.heartbeat_at.is_some());
        ledger.try_again(&run_id, 2, later, "away").await.unwrap();
        let waits = shown().await;
        assert_eq!((waits.state, waits.attempt, waits.not_before), (State::Queued, 2, Some(later)));
        assert_eq!((waits.error.as_deref(), waits.finished_at), (Some("away"), None));

        ledger.start(&run_id).await.unwrap();
        assert!(!ledger.beat(&run_id).await.unwrap());
        assert!(ledger.ask_to_stop(&run_id).await.unwrap());
        assert!(ledger.beat(&run_id).await.unwrap());
        assert!(!ledger.try_again(&run_id, 3, later, "away").await.unwrap(), "it is to stop");
        assert_eq!(shown().await.state, State::Running);
        let second = shown().await;
        assert_eq!((second.attempt, second.not_before, second.started_at), (2, None, first.started_at));
        ledger.conclude(&run_id, &Err(Error::temporary("away"))).await.unwrap();
        let over = shown().await;
        assert_eq!((over.state, over.outcome.as_deref()), (State::Failed, Some("temporary")));
        assert!(!ledger.ask_to_stop(&run_id).await.unwrap(), "it is over");
    }

    #[tokio::test]
    async fn only_the_attempt_that_waits_begins_and_by_the_document_of_now() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let run_id = ledger.queue(&PipelineName::parse("crm").unwrap(), "asked", Trigger::Api).await.unwrap();
        assert!(!ledger.begin(&run_id, 2, "later").await.unwrap());
        assert!(ledger.begin(&run_id, 1, "first").await.unwrap());
        assert!(!ledger.begin(&run_id, 1, "again").await.unwrap(), "it is under way");
        let now = DateTime::from_timestamp_millis(now_ms()).unwrap();
        ledger.try_again(&run_id, 2, now, "away").await.unwrap();
        assert!(!ledger.begin(&run_id, 1, "first").await.unwrap(), "it had its first attempt");
        assert_eq!(ledger.run(&run_id).await.unwrap().unwrap().spec_digest, "first");
        assert!(ledger.begin(&run_id, 2, "second").await.unwrap());
        let run = ledger.run(&run_id).await.unwrap().unwrap();
        assert_eq!((run.state, run.attempt, run.spec_digest.as_str()), (State::Running, 2, "second"));
    }
}
