//! The ledger: every run, where it stands and what it published. In SQLite, shared by all processes of one machine, or in
//! PostgreSQL, shared by several machines.
//!
//! It is a record, not the truth about the data: that travels in each dataset's own commits, so a
//! lost ledger loses history and nothing else.

use std::path::Path;
use std::time::Duration;

use sqlx::{AnyConnection, AnyPool};
use tokio::runtime::Handle;

use self::connections::Connections;
pub use self::ended::{EndedRun, Ends};
pub use self::keyed::RequestKey;
pub use self::lease::{Lease, let_go};
use self::lease::{Leases, Rows};
pub use self::listing::Wanted;
pub use self::orders::{Order, Under, Written};
pub use self::parts::WrittenPart;
pub use self::schedules::{Awaited, Handled, Turn};
pub use self::tables::Remembered;
pub use self::waiting::Waits;
pub use super::record::{Run, RunId, State, StreamOutcome, StreamState, Trigger};
use crate::error::{At as _, Error, Result};
use crate::govern::audit;
use crate::govern::batch::{Batch, Statement, Value};
use crate::govern::store::{ROWS_AT_ONCE, Store, begin_writing, done_at, fault, get, now_ms};
use crate::spec::config::Metadata;
use crate::spec::{DatasetName, PipelineName};

/// Most runs one listing gives.
pub const MAX_LISTED: u32 = 1000;

/// That the row of `runs` is this process's to change. The placeholder is the epoch of the lease under which the process
/// began the run, NULL where it did not: then it may be one that has not begun. Else the run is still of that epoch, and the
/// pipeline's lease has not been taken since. Where leases are file locks there are no epochs, and who has the lock may.
macro_rules! is_ours {
    ($epoch:literal) => {
        concat!(
            "(coalesce(runs.epoch, 0) = coalesce(",
            $epoch,
            ", 0) AND (runs.epoch IS NULL OR EXISTS
              (SELECT 1 FROM leases WHERE leases.name = runs.pipeline AND leases.epoch = runs.epoch)))"
        )
    };
}

mod address;
mod connections;
mod ended;
mod keyed;
mod lease;
mod listing;
mod open;
mod orders;
mod orphans;
pub mod outbox;
mod parts;
mod schedules;
mod stores;
mod tables;
mod turns;
mod waiting;

/// The record of all runs.
#[derive(Clone, Debug)]
pub struct Ledger {
    connections: Connections,
    leases: Leases,
}

impl Ledger {
    /// Opens the store and brings its tables up to date. An SQLite file is created where there is none, readable by its
    /// owner only; a database of PostgreSQL must be there.
    ///
    /// # Errors
    /// `Invalid` when the folder or file cannot be created, or the address of the database cannot be read or is not
    /// safe; `Temporary` when another process holds the store, or its server does not answer; `Denied` when the server
    /// refuses the role; `Failed` when the store is damaged or newer than this program.
    pub async fn open(settings: &Metadata) -> Result<Self> {
        let ledger = match settings {
            Metadata::Sqlite(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let locks = folder.unwrap_or(Path::new(".")).join("locks");
                let connections = Connections::of_all(open::sqlite(path, &locks).await?);
                Self { connections, leases: Leases::Files(locks) }
            }
            Metadata::Postgres { url, lease } => {
                let holder = lease::holder();
                let address = address::postgres(&url.resolve()?)?;
                let (own, others) = open::postgres(address, &holder).await?;
                let connections = Connections::of_threads(own, others);
                let rows = Rows::new(connections.clone(), holder, *lease);
                Self { connections, leases: Leases::Rows(rows) }
            }
        };
        audit::prepare(&ledger).await.at(|| "metadata store".to_owned())?;
        Ok(ledger)
    }

    /// The connections of the current threads.
    fn here(&self) -> &AnyPool {
        self.connections.here()
    }

    /// How long a lease stands that is not renewed, where several machines share the store; `None` where leases are locks
    /// of one machine, which end with their process.
    #[must_use]
    pub fn lease_length(&self) -> Option<Duration> {
        self.leases.rows().map(|rows| rows.length)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// `Temporary` or `Failed` when it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(self.here()).await.map_err(|e| fault(&e))?;
        Ok(())
    }

    /// Carries over what an SQLite file is behind its log by, so that nobody who records something has to.
    ///
    /// # Errors
    /// As [`Ledger::ping`].
    pub async fn write_back(&self) -> Result<()> {
        match &self.leases {
            Leases::Files(_) => open::write_back(self.here()).await.map_err(|e| fault(&e)),
            Leases::Rows(_) => Ok(()),
        }
    }

    /// Records that a run was asked for.
    ///
    /// # Errors
    /// `Temporary` when another process keeps the store busy, `Failed` when it cannot be written.
    pub async fn queue(&self, pipeline: &PipelineName, spec_digest: &str, trigger: Trigger) -> Result<RunId> {
        let run_id = RunId::draw();
        let mut alone = begin_writing(self.here()).await?;
        let mut batch = Batch::default();
        insert_queued(&mut batch, &[Queued { run_id, pipeline, spec_digest, trigger }]);
        batch.run(&mut alone).await?;
        alone.commit().await.map_err(|e| fault(&e))?;
        Ok(run_id)
    }

    /// Records what became of a stream; told again of the same stream, the later word stands.
    ///
    /// # Errors
    /// `Failed` for an unknown run, `Temporary` when another process has it by now; else as [`Ledger::queue`].
    pub async fn stream_published(&self, run_id: &RunId, outcome: &StreamOutcome) -> Result<()> {
        let (ledger, run_id, outcome) = (self.clone(), *run_id, outcome.clone());
        let recording = async move {
            let mut alone = begin_writing(ledger.here()).await?;
            let rows = record_stream(&mut alone, &run_id, &outcome, ledger.epoch(&run_id)).await?;
            alone.commit().await.map_err(|e| fault(&e))?;
            ledger.expect_one(rows, &run_id, "known").await
        };
        done_at(self.home(), recording).await
    }

    /// Records the end of a run that was queued or running. `error` is the text of one of our own
    /// errors, which hold no row value.
    ///
    /// # Errors
    /// `Failed` when the run is over already, `Temporary` when another process has it by now; else as
    /// [`Ledger::queue`].
    pub async fn finish(
        &self,
        run_id: &RunId,
        state: State,
        outcome: &str,
        error: Option<&str>,
    ) -> Result<()> {
        let mut both = begin_writing(self.here()).await?;
        let done = sqlx::query(concat!(
            "UPDATE runs SET state = $1, outcome = $2, error = $3, finished_ms = $4
             WHERE run_id = $5 AND state IN ('queued', 'running') AND ",
            is_ours!("$6")
        ))
        .bind(state.word())
        .bind(outcome)
        .bind(error)
        .bind(now_ms())
        .bind(run_id.to_string())
        .bind(self.epoch(run_id))
        .execute(&mut *both)
        .await
        .map_err(|e| fault(&e))?;
        if done.rows_affected() == 1 {
            ended::number(&mut both, &[*run_id]).await?;
        }
        both.commit().await.map_err(|e| fault(&e))?;
        self.expect_one(done.rows_affected(), run_id, "active").await?;
        self.forget(run_id);
        Ok(())
    }

    /// Records the end of a run from its result: `done`, or the outcome the error table gives.
    ///
    /// # Errors
    /// As [`Ledger::finish`].
    pub async fn conclude(&self, run_id: &RunId, result: &Result<()>) -> Result<()> {
        match result {
            Ok(()) => self.finish(run_id, State::Succeeded, "done", None).await,
            Err(error) => {
                let kind = error.kind();
                let text = error.to_string();
                self.finish(run_id, State::after(kind), kind.meaning().outcome, Some(&text)).await
            }
        }
    }

    /// Takes the right to run a pipeline; `None` when someone else has it, in this process or another. What is recorded of
    /// its runs is recorded by who holds it.
    ///
    /// # Errors
    /// `Failed` when the lock file cannot be made; else as [`Ledger::queue`].
    pub async fn lease(&self, pipeline: &PipelineName) -> Result<Option<Lease>> {
        self.leases.take(pipeline.as_str()).await
    }

    /// Takes the right to do the upkeep of a dataset, likewise.
    ///
    /// # Errors
    /// As [`Ledger::lease`].
    pub async fn lease_upkeep(&self, dataset: &DatasetName) -> Result<Option<Lease>> {
        // A pipeline's name has no dot, so the two never meet.
        self.leases.take(&dataset.to_string()).await
    }

    /// Corrects the record of a run that ended without a word although it had published all its
    /// streams: it succeeded. The run `by` found that out, and is this process's: it has the pipeline now.
    ///
    /// # Errors
    /// `Failed` when the run is not recorded as ended without success, `Temporary` when another process has `by`; else
    /// as [`Ledger::queue`].
    pub async fn settle(&self, run_id: &RunId, streams: &[StreamOutcome], by: &RunId) -> Result<()> {
        let mut all = begin_writing(self.here()).await?;
        // Who began it is gone, whatever its epoch was: from here on it has none.
        let done = sqlx::query(concat!(
            "UPDATE runs SET state = 'succeeded', outcome = 'done', error = NULL, epoch = NULL, holder = NULL
             WHERE run_id = $1 AND state IN ('failed', 'cancelled')
             AND EXISTS (SELECT 1 FROM runs WHERE runs.run_id = $2 AND ",
            is_ours!("$3"),
            ")"
        ))
        .bind(run_id.to_string())
        .bind(by.to_string())
        .bind(self.epoch(by))
        .execute(&mut *all)
        .await
        .map_err(|e| fault(&e))?;
        if done.rows_affected() != 1 {
            all.rollback().await.map_err(|e| fault(&e))?;
            return Err(match self.is_fenced(by).await? {
                true => fenced(format!("run {run_id} was not recorded")),
                false => Error::failed(format!("run {run_id} is not over without success")),
            });
        }
        for outcome in streams {
            record_stream(&mut all, run_id, outcome, None).await?;
        }
        ended::number(&mut all, &[*run_id]).await?;
        all.commit().await.map_err(|e| fault(&e))
    }

    /// Under which epoch of its pipeline's lease this process began a run; `None` where it did not, and where leases are
    /// file locks.
    fn epoch(&self, run_id: &RunId) -> Option<i64> {
        self.leases.rows().and_then(|rows| rows.begun().get(run_id).copied())
    }

    /// The run is not this process's any more.
    pub(crate) fn forget(&self, run_id: &RunId) {
        if let Some(rows) = self.leases.rows() {
            rows.begun().remove(run_id);
        }
    }

    /// That one run was changed, or why not.
    async fn expect_one(&self, rows: u64, run_id: &RunId, state: &str) -> Result<()> {
        if rows == 1 {
            return Ok(());
        }
        Err(match self.is_fenced(run_id).await? {
            true => fenced(format!("run {run_id} was not recorded")),
            false => Error::failed(format!("run {run_id} is not {state}")),
        })
    }

    /// Whether a run is another process's.
    pub(crate) async fn is_fenced(&self, run_id: &RunId) -> Result<bool> {
        let found = sqlx::query(concat!("SELECT 1 FROM runs WHERE run_id = $1 AND NOT ", is_ours!("$2")))
            .bind(run_id.to_string())
            .bind(self.epoch(run_id))
            .fetch_optional(self.here())
            .await
            .map_err(|e| fault(&e))?;
        Ok(found.is_some())
    }
}

impl Store for Ledger {
    fn pool(&self) -> &AnyPool {
        self.here()
    }

    fn home(&self) -> Option<&Handle> {
        Some(self.connections.home())
    }
}

/// A run as it is when it is asked for.
struct Queued<'a> {
    run_id: RunId,
    pipeline: &'a PipelineName,
    spec_digest: &'a str,
    trigger: Trigger,
}

fn insert_queued(batch: &mut Batch, runs: &[Queued<'_>]) {
    for some in runs.chunks(ROWS_AT_ONCE) {
        let row = |Queued { run_id, pipeline, spec_digest, trigger }: &Queued<'_>| {
            let [pipeline, spec_digest, trigger, state] =
                [pipeline.as_str(), spec_digest, trigger.word(), State::Queued.word()].map(Value::from);
            [run_id.to_string().into(), pipeline, spec_digest, trigger, state, now_ms().into()]
        };
        let into =
            r#"INSERT INTO runs (run_id, pipeline, spec_digest, "trigger", state, created_ms) VALUES "#;
        batch.add(Statement::new(into).rows(some.iter().map(row)));
    }
}

/// Records what became of a stream of a run that is of this epoch; how many rows were changed.
async fn record_stream(
    store: &mut AnyConnection,
    run_id: &RunId,
    outcome: &StreamOutcome,
    epoch: Option<i64>,
) -> Result<u64> {
    let done = sqlx::query(concat!(
        "INSERT INTO run_streams (run_id, stream, dataset, version, rows, quarantined, bytes, seconds, receipt,
                                  state)
         SELECT run_id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM runs WHERE run_id = $1 AND ",
        is_ours!("$11"),
        " ON CONFLICT (run_id, stream) DO UPDATE
         SET dataset = excluded.dataset, version = excluded.version, rows = excluded.rows,
             quarantined = excluded.quarantined, bytes = excluded.bytes, seconds = excluded.seconds,
             receipt = excluded.receipt, state = excluded.state"
    ))
    .bind(run_id.to_string())
    .bind(&outcome.stream)
    .bind(&outcome.dataset)
    .bind(outcome.version.map(to_i64))
    .bind(to_i64(outcome.rows))
    .bind(to_i64(outcome.quarantined))
    .bind(to_i64(outcome.bytes))
    .bind(outcome.seconds)
    .bind(&outcome.receipt)
    .bind(outcome.state.word())
    .bind(epoch)
    .execute(store)
    .await
    .map_err(|e| fault(&e))?;
    Ok(done.rows_affected())
}

/// What a holder wants that has lost its lease.
fn fenced(what: String) -> Error {
    Error::temporary(format!("{what}: another process has the pipeline by now")).help(
        "this process stood still, or could not reach the metadata store, for longer than a lease stands",
    )
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
