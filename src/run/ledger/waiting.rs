//! Runs that wait for a daemon: which they are, and which of them none has.

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;

use super::listing::{SELECT, read_run};
use super::{Ledger, MAX_LISTED, Run, RunId, fault, get};
use crate::error::Result;
use crate::govern::store::{ROWS_AT_ONCE, begin_writing, now_ms, places};

/// A run that waits for a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Which one.
    pub run_id: RunId,
    /// Of which pipeline.
    pub pipeline: String,
    /// When it was asked for, in milliseconds since 1970.
    pub asked_ms: i64,
}

impl Ledger {
    /// Runs that a daemon queued and that did not begin, or whose next attempt did not: oldest first, at most `most`.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn waiting(&self, most: usize) -> Result<Vec<Waits>> {
        let rows = sqlx::query(
            "SELECT run_id, pipeline, created_ms FROM runs WHERE state = 'queued' AND \"trigger\" <> 'cli'
             ORDER BY created_ms, run_id LIMIT $1",
        )
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(self.here())
        .await
        .map_err(|e| fault(&e))?;
        let read = |row: &AnyRow| -> Result<Waits> {
            let run_id = RunId::parse(&get::<String>(row, "run_id")?)?;
            Ok(Waits { run_id, pipeline: get(row, "pipeline")?, asked_ms: get(row, "created_ms")? })
        };
        rows.iter().map(read).collect()
    }

    /// Those of these runs that wait for a daemon, without their streams, in no order.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn still_waiting(&self, run_ids: &[RunId]) -> Result<Vec<Run>> {
        let mut runs = Vec::with_capacity(run_ids.len());
        for some in run_ids.chunks(ROWS_AT_ONCE) {
            let sql = format!("{SELECT} WHERE r.state = 'queued' AND r.run_id IN {}", places(1, some.len()));
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(some.len() == 1);
            for run_id in some {
                query = query.bind(run_id.to_string());
            }
            let rows = query.fetch_all(self.here()).await.map_err(|e| fault(&e))?;
            for row in &rows {
                runs.push(read_run(row)?);
            }
        }
        Ok(runs)
    }

    /// Of the runs that wait for a daemon those that none said to have since this time ([`Ledger::still_wait`]), and that
    /// were asked for, and were to be tried again, before it: oldest first, at most [`MAX_LISTED`], without their streams.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn abandoned(&self, since: DateTime<Utc>) -> Result<Vec<Run>> {
        let sql = format!(
            "{SELECT} WHERE r.state = 'queued' AND r.\"trigger\" <> 'cli' AND r.created_ms < $1
             AND coalesce(t.not_before_ms, 0) < $1 AND coalesce(r.waited_ms, 0) < $1
             ORDER BY r.created_ms, r.run_id LIMIT $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(since.timestamp_millis())
            .bind(i64::from(MAX_LISTED))
            .fetch_all(self.here())
            .await
            .map_err(|e| fault(&e))?;
        rows.iter().map(read_run).collect()
    }

    /// Records that these runs wait with a daemon, as far as they wait.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn still_wait(&self, run_ids: &[RunId]) -> Result<()> {
        for some in run_ids.chunks(ROWS_AT_ONCE) {
            let sql = format!(
                "UPDATE runs SET waited_ms = ${} WHERE state = 'queued' AND run_id IN {}",
                some.len() + 1,
                places(1, some.len())
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(some.len() == 1);
            for run_id in some {
                query = query.bind(run_id.to_string());
            }
            let query = query.bind(now_ms());
            let mut alone = begin_writing(self.here()).await?;
            query.execute(&mut *alone).await.map_err(|e| fault(&e))?;
            alone.commit().await.map_err(|e| fault(&e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::error::Error;
    use crate::run::ledger::Trigger;
    use crate::spec::PipelineName;
    use crate::spec::config::Metadata;

    #[tokio::test]
    async fn a_run_is_abandoned_that_no_daemon_had_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let mut runs = Vec::new();
        for name in ["nobodys", "waits", "tried", "over"] {
            let pipeline = PipelineName::parse(name).unwrap();
            runs.push(ledger.queue(&pipeline, "d", Trigger::Api).await.unwrap());
        }
        let [nobodys, waits, tried, over] = runs[..] else { panic!("{runs:?}") };
        sqlx::query("UPDATE runs SET created_ms = created_ms - 90000000")
            .execute(ledger.here())
            .await
            .unwrap();
        let now = DateTime::from_timestamp_millis(now_ms()).unwrap();
        let yesterday = now - TimeDelta::days(1);
        ledger.still_wait(&[waits, over]).await.unwrap();
        ledger.conclude(&over, &Err(Error::failed("no"))).await.unwrap();
        ledger.start(&tried).await.unwrap();
        ledger.try_again(&tried, 2, now, "away").await.unwrap();
        let abandoned = async |since| {
            let runs = ledger.abandoned(since).await.unwrap();
            runs.iter().map(|run| run.run_id).collect::<Vec<_>>()
        };
        assert_eq!(abandoned(yesterday).await, [nobodys]);
        assert_eq!(abandoned(now + TimeDelta::seconds(1)).await, [nobodys, waits, tried]);
    }
}
