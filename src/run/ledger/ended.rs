//! Runs that are over, in the order of their ends.

use std::collections::BTreeMap;

use super::listing::{SELECT, read_run};
use super::{Ledger, Run, fault, get};
use crate::error::Result;
use crate::spec::PipelineName;

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedRun {
    /// The run; its streams are left out.
    pub run: Run,
    /// Rows of all its streams that went to a quarantine.
    pub quarantined: u64,
}

impl Ledger {
    /// Runs that ended after an instant (Unix milliseconds), or at it with a greater id, in that order; at most
    /// `limit`.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn ended_after(&self, at_ms: i64, run_id: &str, limit: u32) -> Result<Vec<EndedRun>> {
        let sql = format!(
            "SELECT known.*, COALESCE(
                 (SELECT CAST(sum(s.quarantined) AS BIGINT) FROM run_streams s WHERE s.run_id = known.run_id), 0
             ) AS set_aside
             FROM ({SELECT} WHERE r.finished_ms >= $1 AND (r.finished_ms > $2 OR r.run_id > $3)
                   ORDER BY r.finished_ms, r.run_id LIMIT $4) AS known
             ORDER BY known.finished_ms, known.run_id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(at_ms)
            .bind(at_ms)
            .bind(run_id)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        let mut ended = Vec::with_capacity(rows.len());
        for row in &rows {
            let quarantined = get::<i64>(row, "set_aside")?.unsigned_abs();
            ended.push(EndedRun { run: read_run(row)?, quarantined });
        }
        Ok(ended)
    }

    /// When a run of the pipeline last succeeded, in Unix milliseconds.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn last_success_ms(&self, pipeline: &PipelineName) -> Result<Option<i64>> {
        let row = sqlx::query(
            "SELECT max(finished_ms) AS at_ms FROM runs WHERE pipeline = $1 AND state = 'succeeded'",
        )
        .bind(pipeline.as_str())
        .fetch_one(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        get(&row, "at_ms")
    }

    /// When a run of each pipeline last succeeded, in Unix milliseconds.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn last_successes_ms(&self) -> Result<BTreeMap<String, i64>> {
        let rows = sqlx::query(
            "SELECT pipeline, max(finished_ms) AS at_ms FROM runs WHERE state = 'succeeded' GROUP BY pipeline",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        let mut successes = BTreeMap::new();
        for row in &rows {
            if let Some(at_ms) = get::<Option<i64>>(row, "at_ms")? {
                successes.insert(get(row, "pipeline")?, at_ms);
            }
        }
        Ok(successes)
    }

    /// How far something was looked at, in Unix milliseconds; `else_ms`, and recorded so, where it never was.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn watch_mark(&self, name: &str, else_ms: i64) -> Result<i64> {
        sqlx::query("INSERT INTO watch_marks (name, at_ms) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(else_ms)
            .execute(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        let row = sqlx::query("SELECT at_ms FROM watch_marks WHERE name = $1")
            .bind(name)
            .fetch_one(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        get(&row, "at_ms")
    }

    /// Records how far something was looked at; it never goes back.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn move_watch_mark(&self, name: &str, at_ms: i64) -> Result<()> {
        sqlx::query("UPDATE watch_marks SET at_ms = $1 WHERE name = $2 AND at_ms < $3")
            .bind(at_ms)
            .bind(name)
            .bind(at_ms)
            .execute(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        Ok(())
    }
}
