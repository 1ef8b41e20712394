//! Runs whose process is gone: marked as interrupted, and where machines share the store, taken over.

use sqlx::AnyConnection;

use super::lease::Leases;
use super::{Lease, Ledger, Run, RunId, State, Trigger, fenced};
use crate::error::{Error, Kind, Result};
use crate::govern::store::{begin_alone, fault, get, now_ms};
use crate::spec::PipelineName;

/// How often work is taken over in turn: one that ends each daemon that does it must not end them all for ever.
const MOST_TAKEOVERS: i64 = 3;

/// What was done about the runs that a process left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Those that are marked as interrupted.
    pub interrupted: Vec<RunId>,
    /// The run that takes their place, and what asked for them.
    pub queued: Option<(RunId, Trigger)>,
}

/// A run that was left.
struct Left {
    run_id: String,
    trigger: Trigger,
    takeovers: i64,
}

impl Ledger {
    /// Marks as failed what an earlier process left unfinished: every queued or running run of the
    /// pipeline, given that the caller holds its lease. Answers with their ids.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn bury(&self, pipeline: &PipelineName, lease: &Lease) -> Result<Vec<RunId>> {
        if self.unfinished(Some(pipeline)).await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = begin_alone(&self.pool, pipeline.as_str()).await?;
        self.check(&mut all, pipeline, lease).await?;
        let left = left(&mut all, pipeline).await?;
        let text = "interrupted: the process that ran it ended before it did";
        for run in &left {
            interrupt(&mut all, &run.run_id, text).await?;
        }
        all.commit().await.map_err(|e| fault(&e))?;
        left.iter().map(|run| RunId::parse(&run.run_id)).collect()
    }

    /// As [`Ledger::bury`], and queues a run that takes the place of the newest of them, with the keys it was asked for
    /// under: all of it or nothing. Runs of `sealift sync` are not run again, whose operator saw them end, nor work that
    /// was taken over often already.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn take_over(
        &self,
        pipeline: &PipelineName,
        spec_digest: &str,
        lease: &Lease,
    ) -> Result<TakenOver> {
        let mut all = begin_alone(&self.pool, pipeline.as_str()).await?;
        self.check(&mut all, pipeline, lease).await?;
        let left = left(&mut all, pipeline).await?;
        let again = left.first().filter(|run| run.trigger != Trigger::Cli && run.takeovers < MOST_TAKEOVERS);
        let mut taken = TakenOver::default();
        if let Some(run) = again {
            let run_id = self.insert_queued(&mut *all, pipeline, spec_digest, run.trigger).await?;
            sqlx::query("UPDATE runs SET takeovers = $1 WHERE run_id = $2")
                .bind(run.takeovers + 1)
                .bind(run_id.to_string())
                .execute(&mut *all)
                .await
                .map_err(|e| fault(&e))?;
            taken.queued = Some((run_id, run.trigger));
        }
        let text = match &taken.queued {
            Some((run_id, _)) => {
                format!("interrupted: its daemon was lost, and run {run_id} takes its place")
            }
            None => "interrupted: the process that ran it was lost".to_owned(),
        };
        for run in &left {
            interrupt(&mut all, &run.run_id, &text).await?;
            if let Some((run_id, _)) = &taken.queued {
                sqlx::query("UPDATE run_keys SET run_id = $1 WHERE run_id = $2")
                    .bind(run_id.to_string())
                    .bind(&run.run_id)
                    .execute(&mut *all)
                    .await
                    .map_err(|e| fault(&e))?;
            }
            taken.interrupted.push(RunId::parse(&run.run_id)?);
        }
        all.commit().await.map_err(|e| fault(&e))?;
        Ok(taken)
    }

    /// Where machines share the store: unfinished runs, newest first, whose pipeline's lease nobody holds any more. They
    /// are of processes that are gone, or cannot reach the store. Where leases are file locks, none are told.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn orphans(&self) -> Result<Vec<Run>> {
        let Leases::Rows(_) = &self.leases else { return Ok(Vec::new()) };
        self.list(
            "AND state IN ('queued', 'running') AND NOT EXISTS
             (SELECT 1 FROM leases WHERE leases.name = runs.pipeline
              AND leases.expires_ms > (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT)",
            None,
            super::MAX_LISTED,
        )
        .await
    }

    /// That a run may publish: it is under way here, and the lease it runs under stands, by the store's own clock.
    /// Asked before anything is made visible. Where leases are file locks, it may.
    ///
    /// # Errors
    /// `Temporary` when the lease has run out, or another process has it; else as [`Ledger::queue`].
    pub async fn check_standing(&self, run_id: &RunId) -> Result<()> {
        let Leases::Rows(rows) = &self.leases else { return Ok(()) };
        let found = sqlx::query(
            "SELECT 1 FROM runs JOIN leases ON leases.name = runs.pipeline AND leases.epoch = runs.epoch
             WHERE runs.run_id = $1 AND runs.state = 'running' AND leases.holder = $2
             AND leases.expires_ms > (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT",
        )
        .bind(run_id.to_string())
        .bind(&rows.holder)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| fault(&e))?;
        found.map(drop).ok_or_else(|| fenced(format!("run {run_id} may not publish any more")))
    }

    /// That the lease is still the newest of its name.
    async fn check(
        &self,
        connection: &mut AnyConnection,
        pipeline: &PipelineName,
        lease: &Lease,
    ) -> Result<()> {
        let Some(epoch) = lease.epoch() else { return Ok(()) };
        let found = sqlx::query("SELECT 1 FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3")
            .bind(pipeline.as_str())
            .bind(self.holder())
            .bind(epoch)
            .fetch_optional(connection)
            .await
            .map_err(|e| fault(&e))?;
        found.map(drop).ok_or_else(|| fenced(format!("nothing of pipeline {pipeline} was recorded")))
    }
}

/// The unfinished runs of a pipeline, newest first.
async fn left(connection: &mut AnyConnection, pipeline: &PipelineName) -> Result<Vec<Left>> {
    let rows = sqlx::query(
        r#"SELECT run_id, "trigger", takeovers FROM runs WHERE pipeline = $1 AND state IN ('queued', 'running')
           ORDER BY created_ms DESC, run_id DESC"#,
    )
    .bind(pipeline.as_str())
    .fetch_all(connection)
    .await
    .map_err(|e| fault(&e))?;
    let read = |row| {
        Ok(Left {
            run_id: get(row, "run_id")?,
            trigger: get::<String>(row, "trigger")?.parse()?,
            takeovers: get::<Option<i64>>(row, "takeovers")?.unwrap_or_default(),
        })
    };
    rows.iter().map(read).collect()
}

async fn interrupt(connection: &mut AnyConnection, run_id: &str, text: &str) -> Result<()> {
    let done = sqlx::query(
        "UPDATE runs SET state = $1, outcome = $2, error = $3, finished_ms = $4
         WHERE run_id = $5 AND state IN ('queued', 'running')",
    )
    .bind(State::Failed.word())
    .bind(Kind::Temporary.meaning().outcome)
    .bind(text)
    .bind(now_ms())
    .bind(run_id)
    .execute(connection)
    .await
    .map_err(|e| fault(&e))?;
    match done.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::temporary("a run that was left has come to its end").help("try again")),
    }
}
