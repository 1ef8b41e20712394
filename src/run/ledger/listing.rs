//! The runs that are recorded, read back.

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;

use super::{Ledger, MAX_LISTED, Run, RunId, State, StreamOutcome, fault, get};
use crate::error::Result;
use crate::govern::store::{ROWS_AT_ONCE, places};
use crate::spec::PipelineName;

/// Runs with what their attempts came to.
pub(super) const SELECT: &str = "SELECT r.*, t.attempt, t.heartbeat_ms, t.not_before_ms, t.cancel_ms,
                             t.error AS attempt_error
                      FROM runs r LEFT JOIN run_turns t ON t.run_id = r.run_id";

/// That a run is not over, as the index `runs_unfinished` has it.
macro_rules! unfinished {
    () => {
        "AND r.state IN ('queued', 'running')"
    };
}
pub(super) use unfinished;

/// Which runs are wanted; without anything all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Those of one pipeline.
    pub pipeline: Option<&'a PipelineName>,
    /// Those in one state.
    pub state: Option<State>,
    /// Those asked for at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Those that come after this run in the list.
    pub after: Option<RunId>,
}

impl Ledger {
    /// One run with its streams; `None` when there is none of this id.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn run(&self, run_id: &RunId) -> Result<Option<Run>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE r.run_id = $1")))
            .bind(run_id.to_string())
            .fetch_optional(self.here())
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
        self.list("", &Wanted { pipeline, ..Wanted::default() }, limit.min(MAX_LISTED)).await
    }

    /// The newest of the wanted runs first, without their streams; at most `limit`, never over [`MAX_LISTED`] and one
    /// more, which tells that others follow.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn page(&self, wanted: &Wanted<'_>, limit: u32) -> Result<Vec<Run>> {
        self.rows("", wanted, limit).await
    }

    /// Reads the streams of some runs, `most` in all: where they are more, the last runs are left out, but never the
    /// first. Whether some were.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn add_most_streams(&self, runs: &mut Vec<Run>, most: usize) -> Result<bool> {
        let (mut kept, mut streams) = (0, 0);
        'all: for some in runs.chunks(ROWS_AT_ONCE) {
            let counts = self.stream_counts(some).await?;
            for run in some {
                streams += counts.get(&run.run_id.to_string()).copied().unwrap_or(0);
                if streams > most && kept > 0 {
                    break 'all;
                }
                kept += 1;
            }
        }
        let is_cut = kept < runs.len();
        runs.truncate(kept);
        for some in runs.chunks_mut(ROWS_AT_ONCE) {
            self.add_streams(some).await?;
        }
        Ok(is_cut)
    }

    /// Runs that are queued or running, newest first. One whose pipeline's lease can be taken is
    /// not: its process ended before it did.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn unfinished(&self, pipeline: Option<&PipelineName>) -> Result<Vec<Run>> {
        let wanted = Wanted { pipeline, ..Wanted::default() };
        self.list(unfinished!(), &wanted, MAX_LISTED).await
    }

    /// Runs that are over once their process is gone ([`Run::needs_its_process`]), newest first, of one pipeline or of all.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn in_processes(&self, pipeline: Option<&PipelineName>) -> Result<Vec<Run>> {
        let filter = concat!(unfinished!(), " AND (r.state = 'running' OR r.\"trigger\" = 'cli')");
        self.list(filter, &Wanted { pipeline, ..Wanted::default() }, MAX_LISTED).await
    }

    /// Lists runs with their streams; `filter` is one of our own constants.
    pub(super) async fn list(
        &self,
        filter: &'static str,
        wanted: &Wanted<'_>,
        limit: u32,
    ) -> Result<Vec<Run>> {
        let mut runs = self.rows(filter, wanted, limit).await?;
        for runs in runs.chunks_mut(ROWS_AT_ONCE) {
            self.add_streams(runs).await?;
        }
        Ok(runs)
    }

    async fn rows(&self, filter: &'static str, wanted: &Wanted<'_>, limit: u32) -> Result<Vec<Run>> {
        // Only what is asked for is a condition: one that may be left out would keep the store from its indexes.
        let asked = [
            (wanted.pipeline.is_some(), "r.pipeline = ", ""),
            (wanted.state.is_some(), "r.state = ", ""),
            (wanted.since.is_some(), "r.created_ms >= ", ""),
            (
                wanted.after.is_some(),
                "(r.created_ms, r.run_id) < (SELECT created_ms, run_id FROM runs WHERE run_id = ",
                ")",
            ),
        ];
        let mut sql = format!("{SELECT} WHERE 1 = 1 {filter}");
        let mut place = 0;
        for (_, before, after) in asked.iter().filter(|(is_asked, ..)| *is_asked) {
            place += 1;
            let _ = write!(sql, " AND {before}${place}{after}");
        }
        // What is filtered is little among many: SQLite is to find it and sort it, and not to look through all by age.
        let age = if filter.is_empty() { "r.created_ms" } else { "r.created_ms + 0" };
        let _ = write!(sql, " ORDER BY {age} DESC, r.run_id DESC LIMIT ${}", place + 1);
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        if let Some(pipeline) = wanted.pipeline {
            query = query.bind(pipeline.as_str());
        }
        if let Some(state) = wanted.state {
            query = query.bind(state.word());
        }
        if let Some(since) = wanted.since {
            query = query.bind(since.timestamp_millis());
        }
        if let Some(after) = wanted.after {
            query = query.bind(after.to_string());
        }
        let query = query.bind(i64::from(limit.min(MAX_LISTED + 1)));
        let rows = query.fetch_all(self.here()).await.map_err(|e| fault(&e))?;
        rows.iter().map(read_run).collect()
    }

    async fn with_streams(&self, row: &AnyRow) -> Result<Run> {
        let mut run = [read_run(row)?];
        self.add_streams(&mut run).await?;
        let [run] = run;
        Ok(run)
    }

    /// How many streams some runs have; nothing of those that have none.
    async fn stream_counts(&self, runs: &[Run]) -> Result<HashMap<String, usize>> {
        let rows = self.of_runs("SELECT run_id, COUNT(*) AS streams", "GROUP BY run_id", runs).await?;
        let count = |row: &AnyRow| -> Result<(String, usize)> {
            let streams: i64 = get(row, "streams")?;
            Ok((get(row, "run_id")?, usize::try_from(streams).unwrap_or(0)))
        };
        rows.iter().map(count).collect()
    }

    /// What `run_streams` has of some runs.
    async fn of_runs(&self, what: &'static str, how: &'static str, runs: &[Run]) -> Result<Vec<AnyRow>> {
        let sql = format!("{what} FROM run_streams WHERE run_id IN {} {how}", places(1, runs.len()));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(runs.len() == 1);
        for run in runs {
            query = query.bind(run.run_id.to_string());
        }
        query.fetch_all(self.here()).await.map_err(|e| fault(&e))
    }

    /// Reads the streams of some runs.
    async fn add_streams(&self, runs: &mut [Run]) -> Result<()> {
        let rows = self.of_runs("SELECT *", "ORDER BY stream", runs).await?;
        let mut streams: HashMap<String, Vec<StreamOutcome>> = HashMap::new();
        for row in &rows {
            streams.entry(get(row, "run_id")?).or_default().push(read_stream(row)?);
        }
        for run in runs {
            run.streams = streams.remove(&run.run_id.to_string()).unwrap_or_default();
        }
        Ok(())
    }
}

pub(super) fn read_run(row: &AnyRow) -> Result<Run> {
    let time = |column: &str| -> Result<Option<DateTime<Utc>>> {
        let ms: Option<i64> = get(row, column)?;
        Ok(ms.and_then(DateTime::from_timestamp_millis))
    };
    let state: State = get::<String>(row, "state")?.parse()?;
    let attempt: Option<i64> = get(row, "attempt")?;
    let attempt_error = get::<Option<String>>(row, "attempt_error")?.filter(|_| !state.is_final());
    Ok(Run {
        run_id: RunId::parse(&get::<String>(row, "run_id")?)?,
        pipeline: get(row, "pipeline")?,
        spec_digest: get(row, "spec_digest")?,
        trigger: get::<String>(row, "trigger")?.parse()?,
        state,
        outcome: get(row, "outcome")?,
        error: get::<Option<String>>(row, "error")?.or(attempt_error),
        attempt: attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1),
        heartbeat_at: time("heartbeat_ms")?,
        not_before: time("not_before_ms")?,
        is_to_stop: time("cancel_ms")?.is_some(),
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
