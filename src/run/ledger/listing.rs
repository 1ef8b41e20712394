//! The runs that are recorded, read back.

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;

use super::{Ledger, MAX_LISTED, Run, RunId, StreamOutcome, fault, get};
use crate::error::Result;
use crate::spec::PipelineName;

impl Ledger {
    /// One run with its streams; `None` when there is none of this id.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn run(&self, run_id: &RunId) -> Result<Option<Run>> {
        let row = sqlx::query("SELECT * FROM runs WHERE run_id = $1")
            .bind(run_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        match row {
            None => Ok(None),
            Some(row) => Ok(Some(self.with_streams(&row).await?)),
        }
    }

    /// The newest runs first, of one pipeline or of all; at most `limit`, never over
    /// [`MAX_LISTED`].
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn runs(&self, pipeline: Option<&PipelineName>, limit: u32) -> Result<Vec<Run>> {
        self.list("", pipeline, limit).await
    }

    /// Runs that are queued or running, newest first. One whose pipeline's lease can be taken is
    /// not: its process ended before it did.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn unfinished(&self, pipeline: Option<&PipelineName>) -> Result<Vec<Run>> {
        self.list("AND state IN ('queued', 'running')", pipeline, MAX_LISTED).await
    }

    /// Lists runs; `filter` is one of our own constants.
    pub(super) async fn list(
        &self,
        filter: &'static str,
        pipeline: Option<&PipelineName>,
        limit: u32,
    ) -> Result<Vec<Run>> {
        let sql = format!(
            "SELECT * FROM runs WHERE ($1 IS NULL OR pipeline = $1) {filter}
             ORDER BY created_ms DESC, run_id DESC LIMIT $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(pipeline.map(PipelineName::as_str))
            .bind(i64::from(limit.min(MAX_LISTED)))
            .fetch_all(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push(self.with_streams(row).await?);
        }
        Ok(runs)
    }

    async fn with_streams(&self, row: &AnyRow) -> Result<Run> {
        let mut run = read_run(row)?;
        let streams = sqlx::query("SELECT * FROM run_streams WHERE run_id = $1 ORDER BY stream")
            .bind(run.run_id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(|e| fault(&e))?;
        run.streams = streams.iter().map(read_stream).collect::<Result<_>>()?;
        Ok(run)
    }
}

fn read_run(row: &AnyRow) -> Result<Run> {
    let time = |column: &str| -> Result<Option<DateTime<Utc>>> {
        let ms: Option<i64> = get(row, column)?;
        Ok(ms.and_then(DateTime::from_timestamp_millis))
    };
    Ok(Run {
        run_id: RunId::parse(&get::<String>(row, "run_id")?)?,
        pipeline: get(row, "pipeline")?,
        spec_digest: get(row, "spec_digest")?,
        trigger: get::<String>(row, "trigger")?.parse()?,
        state: get::<String>(row, "state")?.parse()?,
        outcome: get(row, "outcome")?,
        error: get(row, "error")?,
        created_at: time("created_ms")?.unwrap_or_default(),
        started_at: time("started_ms")?,
        finished_at: time("finished_ms")?,
        streams: Vec::new(),
    })
}

fn read_stream(row: &AnyRow) -> Result<StreamOutcome> {
    Ok(StreamOutcome {
        stream: get(row, "stream")?,
        dataset: get(row, "dataset")?,
        version: get::<Option<i64>>(row, "version")?.map(i64::unsigned_abs),
        rows: get::<i64>(row, "rows")?.unsigned_abs(),
        quarantined: get::<i64>(row, "quarantined")?.unsigned_abs(),
        bytes: get::<i64>(row, "bytes")?.unsigned_abs(),
        seconds: get(row, "seconds")?,
        receipt: get(row, "receipt")?,
        state: get::<String>(row, "state")?.parse()?,
    })
}
