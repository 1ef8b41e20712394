//! Who may do what only one may at a time: run a pipeline, keep up a dataset.
//!
//! With an SQLite store this is a file lock, which the operating system lets go when the process ends in any way. With a
//! PostgreSQL store it is a row that is renewed for as long as it is held, and whose epoch grows each time it is taken:
//! a holder that was away for too long finds a greater one, and the store refuses what it still wants to record.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::RunId;
use super::connections::Connections;
use crate::error::{Error, Kind, Result};
use crate::govern::audit::machine;
use crate::govern::store::{fault, now_ms};

/// How long letting a row go may take; else it runs out by itself.
const LETTING_GO: Duration = Duration::from_secs(5);

/// How often who holds a row looks whether the clock jumped.
const LOOK: Duration = Duration::from_secs(1);

/// The tasks that renew what is held. Each ends with its lease.
static KEEPERS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Waits, though not for long, until all leases that were dropped are let go: before a process ends.
pub async fn let_go() {
    KEEPERS.close();
    let _ = timeout(LETTING_GO, KEEPERS.wait()).await;
}

/// Where leases are kept.
#[derive(Clone, Debug)]
pub(super) enum Leases {
    /// Locks on files of this folder.
    Files(PathBuf),
    /// Rows of the store.
    Rows(Rows),
}

/// Leases as rows of PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    connections: Connections,
    /// This process, and no other one ever.
    pub(super) holder: String,
    /// How long a lease stands without being renewed.
    pub(super) length: Duration,
    /// The runs that this process is at, and under which epoch it began them.
    begun: Arc<Mutex<BTreeMap<RunId, i64>>>,
}

/// A right that at most one holder has, among all processes that share the store. Let go when dropped, or ended.
#[derive(Debug)]
pub struct Lease(Held);

#[derive(Debug)]
enum Held {
    File { _file: File },
    Row(Row),
}

/// A row that is renewed until this is dropped.
#[derive(Debug)]
struct Row {
    name: String,
    epoch: i64,
    /// Until when it stands at least.
    until: watch::Receiver<Instant>,
    /// Fires in time before it runs out, where it could not be renewed, and when another has it.
    lost: CancellationToken,
    ended: CancellationToken,
    keeper: Option<JoinHandle<()>>,
}

impl Leases {
    /// Those of rows.
    pub(super) const fn rows(&self) -> Option<&Rows> {
        match self {
            Self::Files(_) => None,
            Self::Rows(rows) => Some(rows),
        }
    }

    /// Takes the lease of this name; `None` when someone else has it, in this process or another.
    pub(super) async fn take(&self, name: &str) -> Result<Option<Lease>> {
        match self {
            Self::Files(folder) => lock(folder, name),
            Self::Rows(rows) => rows.take(name).await,
        }
    }
}

impl Lease {
    /// Does `work`, and stops it before the lease runs out where it cannot be renewed: first by `cancel`, at last by
    /// dropping it where it stands.
    ///
    /// # Errors
    /// `Temporary` when the lease was lost; else those of `work`.
    pub async fn guard<T>(
        &self,
        cancel: &CancellationToken,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Held::Row(row) = &self.0 else { return work.await };
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = row.lost.cancelled() => {}
        }
        tracing::warn!(lease = %row.name, "the lease is lost: what was done under it is stopped");
        cancel.cancel();
        let until = *row.until.borrow();
        match timeout_at(until, work).await {
            Ok(Err(error)) if matches!(error.kind(), Kind::Cancelled(_)) => Err(lost(&row.name)),
            Ok(done) => done,
            Err(_) => Err(lost(&row.name)),
        }
    }

    /// Does `work` while all of these are held, and drops it where it stands once one of them could not be renewed in time.
    ///
    /// # Errors
    /// `Temporary` when one was lost; else those of `work`.
    pub async fn under<'l, T>(
        held: impl IntoIterator<Item = &'l Self>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let rows = held.into_iter().filter_map(|lease| match &lease.0 {
            Held::Row(row) => Some(row),
            Held::File { .. } => None,
        });
        let mut losses: FuturesUnordered<_> = rows
            .map(|row| async move {
                row.lost.cancelled().await;
                &row.name
            })
            .collect();
        tokio::select! {
            biased;
            done = work => done,
            Some(name) = losses.next() => {
                tracing::warn!(lease = %name, "the lease is lost: what was done under it is stopped");
                Err(lost(name).help("the metadata store was away, or this process stood still; run it again"))
            }
        }
    }

    /// Whether it could not be renewed in time, or another has it: what was done under it was stopped.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(&self.0, Held::Row(row) if row.lost.is_cancelled())
    }

    /// Lets it go, and waits until that is known to others.
    pub async fn end(self) {
        if let Held::Row(mut row) = self.0 {
            row.ended.cancel();
            if let Some(keeper) = row.keeper.take() {
                let _ = keeper.await;
            }
        }
    }

    /// Which taking of this lease it is, where it is a row.
    pub(super) const fn epoch(&self) -> Option<i64> {
        match &self.0 {
            Held::File { .. } => None,
            Held::Row(row) => Some(row.epoch),
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Rows {
    pub(super) fn new(connections: Connections, holder: String, length: Duration) -> Self {
        Self { connections, holder, length, begun: Arc::default() }
    }

    pub(super) fn begun(&self) -> MutexGuard<'_, BTreeMap<RunId, i64>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, name: &str) -> Result<Option<Lease>> {
        // Before it is asked: the store's own end of the lease is not earlier than ours.
        let asked = Instant::now();
        let Some(epoch) = self.insert(name).await? else { return Ok(None) };
        let (tell, until) = watch::channel(asked + self.length);
        let (lost, ended) = (CancellationToken::new(), CancellationToken::new());
        let keeper = Keeper {
            rows: self.clone(),
            name: name.to_owned(),
            epoch,
            until: tell,
            lost: lost.clone(),
            ended: ended.clone(),
        };
        let keeper = Some(KEEPERS.spawn(keeper.keep()));
        Ok(Some(Lease(Held::Row(Row { name: name.to_owned(), epoch, until, lost, ended, keeper }))))
    }

    /// Writes the row, if there is none that stands. All times are the server's.
    async fn insert(&self, name: &str) -> Result<Option<i64>> {
        sqlx::query_scalar(
            "INSERT INTO leases (name, holder, epoch, expires_ms)
             VALUES ($1, $2, 1, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + $3)
             ON CONFLICT (name) DO UPDATE
             SET holder = excluded.holder, epoch = leases.epoch + 1,
                 expires_ms = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + $3
             WHERE leases.expires_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT
             RETURNING epoch",
        )
        .bind(name)
        .bind(&self.holder)
        .bind(ms(self.length))
        .fetch_optional(self.connections.here())
        .await
        .map_err(|e| fault(&e))
    }

    /// Whether it stands for another length. One that has run out is not renewed, even while nobody else has it.
    async fn renew(&self, name: &str, epoch: i64) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE leases SET expires_ms = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + $4
             WHERE name = $1 AND holder = $2 AND epoch = $3
             AND expires_ms > (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT",
        )
        .bind(name)
        .bind(&self.holder)
        .bind(epoch)
        .bind(ms(self.length))
        .execute(self.connections.here())
        .await
        .map_err(|e| fault(&e))?;
        Ok(done.rows_affected() == 1)
    }

    async fn let_go(&self, name: &str, epoch: i64) {
        let gone =
            sqlx::query("UPDATE leases SET expires_ms = 0 WHERE name = $1 AND holder = $2 AND epoch = $3")
                .bind(name)
                .bind(&self.holder)
                .bind(epoch)
                .execute(self.connections.here());
        if !matches!(timeout(LETTING_GO, gone).await, Ok(Ok(_))) {
            tracing::warn!(lease = %name, "the lease could not be let go: it runs out by itself");
        }
    }
}

/// Renews a row.
struct Keeper {
    rows: Rows,
    name: String,
    epoch: i64,
    until: watch::Sender<Instant>,
    lost: CancellationToken,
    ended: CancellationToken,
}

impl Keeper {
    async fn keep(self) {
        let length = self.rows.length;
        let mut pause = length / 3;
        loop {
            tokio::select! {
                () = self.ended.cancelled() => break,
                () = rest(pause) => {}
            }
            let asked = Instant::now();
            // Who holds it needs some time to stop.
            let latest = *self.until.borrow() - length / 4;
            match timeout_at(latest, self.rows.renew(&self.name, self.epoch)).await {
                Ok(Ok(true)) => {
                    self.until.send_replace(asked + length);
                    pause = length / 3;
                }
                Ok(Err(error)) if Instant::now() < latest => {
                    tracing::warn!(lease = %self.name, %error, "the lease could not be renewed yet");
                    pause = length / 12;
                }
                answer => {
                    if let Ok(Ok(false)) = answer {
                        // It has run out by the store's clock: what goes on under it has a moment to stop.
                        self.until.send_modify(|until| *until = (*until).min(Instant::now() + LOOK));
                    }
                    self.lost.cancel();
                    self.ended.cancelled().await;
                    break;
                }
            }
        }
        self.rows.let_go(&self.name, self.epoch).await;
    }
}

/// Waits for so long, or until the clock jumps: timers leave out the time that a machine was suspended.
async fn rest(pause: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < pause {
        let (looked, looked_ms) = (Instant::now(), now_ms());
        sleep(LOOK.min(pause.saturating_sub(begun.elapsed()))).await;
        if now_ms() - looked_ms > ms(looked.elapsed() + LOOK) {
            return;
        }
    }
}

/// A name for this process that no other one has, on any machine: `host:pid:random`.
pub(super) fn holder() -> String {
    let (host, pid) = (machine(), std::process::id());
    // Drawn as ids of runs are.
    let drawn = RunId::draw().to_string();
    let unique = drawn.rsplit('-').next().unwrap_or(&drawn);
    format!("{host}:{pid}:{unique}")
}

fn lost(name: &str) -> Error {
    Error::temporary(format!("the lease of {name} was lost: it could not be renewed in time"))
        .help("the metadata store was away, or this process stood still; another daemon takes the work over")
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn lock(folder: &Path, name: &str) -> Result<Option<Lease>> {
    let path = folder.join(format!("{name}.lock"));
    let file = open_lock(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lease(Held::File { _file: file }))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(lock_error(&path, &e)),
    }
}

pub(super) fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(|e| {
        Error::failed(format!("cannot open the lock {}: {}", path.display(), e.kind()))
            .help("the folder of the metadata store must be writable for this user")
    })
}

pub(super) fn lock_error(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot lock {}: {}", path.display(), error.kind()))
        .help("the metadata store must lie on a local disk that supports file locks")
}
