//! Runs whose process is gone.

use chrono::{DateTime, Utc};
use sqlx::AnyConnection;

use super::ended::number;
use super::listing::unfinished;
use super::turns::wait_again;
use super::{Lease, Ledger, MAX_LISTED, Run, RunId, State, Wanted, fenced};
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Action};
use crate::govern::store::{Alone, begin_writing, fault, now_ms};
use crate::spec::PipelineName;

impl Ledger {
    /// Marks as failed, or as cancelled where it was to stop, what an earlier process left unfinished of the pipeline, given that the caller holds its lease:
    /// every running run, and those of the command line that did not begin. What a daemon queued waits for a daemon.
    /// Answers with their ids. The audit trail has an entry of each.
    ///
    /// # Errors
    /// `Temporary` when the lease is another process's by now; else as [`Ledger::queue`].
    pub async fn bury(&self, pipeline: &PipelineName, lease: &Lease) -> Result<Vec<RunId>> {
        let left = self.in_processes(Some(pipeline)).await?;
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = audit::turn(self).await?;
        self.check(&mut all, pipeline, lease).await?;
        for run in &left {
            let (state, kind, why) = match run.is_to_stop {
                true => {
                    (State::Cancelled, Kind::Cancelled(15), "cancelled, and the process that ran it is gone")
                }
                false => (
                    State::Failed,
                    Kind::Temporary,
                    "interrupted: the process that ran it ended before it did",
                ),
            };
            let done = sqlx::query(
                "UPDATE runs SET state = $1, outcome = $2, error = $3, finished_ms = $4
                 WHERE run_id = $5 AND state IN ('queued', 'running')",
            )
            .bind(state.word())
            .bind(kind.meaning().outcome)
            .bind(why)
            .bind(now_ms())
            .bind(run.run_id.to_string())
            .execute(&mut *all)
            .await
            .map_err(|e| fault(&e))?;
            expect(done.rows_affected())?;
        }
        let run_ids: Vec<RunId> = left.iter().map(|run| run.run_id).collect();
        number(&mut all, &run_ids).await?;
        let over: Vec<_> = left.iter().map(|run| format!("{pipeline} {} over", run.run_id)).collect();
        commit(all, &over).await?;
        Ok(run_ids)
    }

    /// As [`Ledger::try_again`], for a run that another process was at which is gone, given that the caller holds the
    /// pipeline's lease: it is queued again, and whoever comes first makes the next attempt.
    ///
    /// # Errors
    /// `Temporary` when the lease is another process's by now, or the run was not left; else as [`Ledger::queue`].
    pub async fn give_back(
        &self,
        run: &Run,
        lease: &Lease,
        attempt: u32,
        not_before: DateTime<Utc>,
        why: &str,
    ) -> Result<()> {
        let pipeline = PipelineName::parse(&run.pipeline)?;
        let mut all = audit::turn(self).await?;
        self.check(&mut all, &pipeline, lease).await?;
        let done = sqlx::query(
            "UPDATE runs SET state = 'queued', epoch = NULL, holder = NULL WHERE run_id = $1 AND state = 'running'",
        )
        .bind(run.run_id.to_string())
        .execute(&mut *all)
        .await
        .map_err(|e| fault(&e))?;
        expect(done.rows_affected())?;
        wait_again(&mut all, &run.run_id, attempt, not_before, why).await?;
        commit(all, &[format!("{pipeline} {} tried again", run.run_id)]).await
    }

    /// Runs that are over once their process is gone ([`Run::needs_its_process`]), and of which it is: nobody holds
    /// their pipeline's lease. Where leases are file locks, also those whose process is there: who takes the lock knows.
    ///
    /// # Errors
    /// As [`Ledger::queue`].
    pub async fn orphans(&self) -> Result<Vec<Run>> {
        if self.leases.rows().is_none() {
            return self.in_processes(None).await;
        }
        self.list(
            concat!(
                unfinished!(),
                r#" AND (r.state = 'running' OR r."trigger" = 'cli') AND NOT EXISTS
                (SELECT 1 FROM leases WHERE leases.name = r.pipeline
                 AND leases.expires_ms > (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT)"#
            ),
            &Wanted::default(),
            MAX_LISTED,
        )
        .await
    }

    /// That a run may publish: it is under way here, and the lease it runs under stands, by the store's own clock.
    /// Asked before anything is made visible. Where leases are file locks, it may.
    ///
    /// # Errors
    /// `Temporary` when the lease has run out, or another process has it; else as [`Ledger::queue`].
    pub async fn check_standing(&self, run_id: &RunId) -> Result<()> {
        if self.leases.rows().is_none() {
            return Ok(());
        }
        self.begin_standing(run_id).await?.rollback().await.map_err(|e| fault(&e))
    }

    /// As [`Ledger::check_standing`]; until the transaction is over nobody takes the lease.
    pub(super) async fn begin_standing(&self, run_id: &RunId) -> Result<Alone> {
        let mut alone = begin_writing(self.here()).await?;
        let Some(rows) = self.leases.rows() else { return Ok(alone) };
        let found = sqlx::query(
            "SELECT 1 FROM runs JOIN leases ON leases.name = runs.pipeline AND leases.epoch = runs.epoch
             WHERE runs.run_id = $1 AND runs.state = 'running' AND runs.epoch = $2 AND leases.holder = $3
             AND leases.expires_ms > (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT
             FOR SHARE OF leases",
        )
        .bind(run_id.to_string())
        .bind(self.epoch(run_id))
        .bind(&rows.holder)
        .fetch_optional(&mut *alone)
        .await
        .map_err(|e| fault(&e))?;
        match found {
            Some(_) => Ok(alone),
            None => Err(fenced(format!("run {run_id} may not publish any more"))),
        }
    }

    /// That the lease is still the newest of its name.
    async fn check(
        &self,
        connection: &mut AnyConnection,
        pipeline: &PipelineName,
        lease: &Lease,
    ) -> Result<()> {
        let Some(epoch) = lease.epoch() else { return Ok(()) };
        // Nobody takes it until this transaction is over.
        let found = sqlx::query("SELECT 1 FROM leases WHERE name = $1 AND epoch = $2 FOR SHARE")
            .bind(pipeline.as_str())
            .bind(epoch)
            .fetch_optional(connection)
            .await
            .map_err(|e| fault(&e))?;
        found.map(drop).ok_or_else(|| fenced(format!("nothing of pipeline {pipeline} was recorded")))
    }
}

/// Commits, together with entries of the audit trail.
async fn commit(mut all: audit::Turn, taken_over: &[String]) -> Result<()> {
    let actor = audit::operator();
    let deeds = taken_over.iter().map(|subject| (actor.as_str(), subject.as_str()));
    let entries = audit::record_within(&mut all, Action::RunTakeover, deeds).await?;
    audit::commit(all, &entries).await
}

fn expect(rows: u64) -> Result<()> {
    match rows {
        1 => Ok(()),
        _ => Err(Error::temporary("a run that was left has come to its end").help("try again")),
    }
}
