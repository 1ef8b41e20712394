//! How gently a source is treated: connections, rows and bytes that all reads through one
//! connection share, and giving way when the source is under load.

mod pace;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch as channel};
use tokio::time::{Instant, sleep_until, timeout};

use self::pace::Pace;
pub use self::watch::{Watcher, watch};
use crate::error::{Error, Result};
use crate::spec::ConnectionName;
use crate::spec::config::{Config, Connection, Limits};

/// Most connections of one read where the configuration sets no limit.
const MOST_CONNECTIONS: usize = 8;
/// Bytes of batches ahead where nobody says otherwise.
const QUEUE_BYTES: u64 = 64 << 20;
/// How long a read waits for its first connection while others hold them all.
const SLOT_TIMEOUT: Duration = Duration::from_secs(600);

/// The gates of every connection of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Gates(BTreeMap<ConnectionName, Arc<Gate>>);

impl Gates {
    /// One gate for each connection; a read through one keeps at most `queue_bytes` of batches ahead.
    #[must_use]
    pub fn new(config: &Config, queue_bytes: u64) -> Self {
        let gate = |(name, connection): (&ConnectionName, &Connection)| {
            let gate = Gate { queue_kib: kib(queue_bytes), ..Gate::new(connection.limits()) };
            (name.clone(), Arc::new(gate))
        };
        Self(config.connections.iter().map(gate).collect())
    }

    /// The gates of another configuration. Where a connection may take as much as before, its gate is the same one, and
    /// shared with who holds it.
    #[must_use]
    pub fn renewed(&self, config: &Config, queue_bytes: u64) -> Self {
        let mut gates = Self::new(config, queue_bytes);
        for (name, gate) in &mut gates.0 {
            let old = self.0.get(name);
            if let Some(old) = old.filter(|old| old.limits == gate.limits && old.queue_kib == gate.queue_kib)
            {
                *gate = Arc::clone(old);
            }
        }
        gates
    }

    /// The gate of a connection; an unlimited one for a name that is not there.
    #[must_use]
    pub fn of(&self, connection: &ConnectionName) -> Arc<Gate> {
        self.0.get(connection).cloned().unwrap_or_else(|| Arc::new(Gate::new(Limits::default())))
    }
}

/// How loaded a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Reads go as fast as they can.
    Light,
    /// Reads go at about a quarter of their speed.
    Heavy,
    /// Reads stand still.
    Overload,
}

/// What all reads through one connection share.
#[derive(Debug)]
pub struct Gate {
    slots: Arc<Semaphore>,
    most_connections: usize,
    queue_kib: usize,
    limits: Limits,
    pace: Mutex<Pace>,
    load: channel::Sender<Load>,
    /// How many look at the load; without any it counts as light.
    watchers: AtomicUsize,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// The right to one connection, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// A batch's place in the pace; one that is given up before it is due gives its time back.
struct Turn<'a> {
    gate: &'a Gate,
    due: Instant,
    cost: Duration,
    is_taken: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.gate.pace().give_back(self.cost);
        }
    }
}

/// Whole KiB of some bytes, as many as a semaphore counts.
fn kib(bytes: u64) -> usize {
    usize::try_from(bytes / 1024).unwrap_or(usize::MAX).clamp(1, u32::MAX as usize)
}

impl Gate {
    /// A gate of these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let most_connections = limits.connections.unwrap_or_else(|| cores.clamp(2, MOST_CONNECTIONS));
        // Without a limit of the configuration, every read may have its own.
        let slots = limits.connections.unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            most_connections,
            queue_kib: kib(QUEUE_BYTES),
            limits,
            pace: Mutex::default(),
            load: channel::Sender::new(Load::Light),
            watchers: AtomicUsize::new(0),
        }
    }

    /// Most connections that one read opens.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        self.most_connections
    }

    /// Most KiB of batches that the workers of one read have ready and nobody has taken.
    pub(super) fn queue_kib(&self) -> usize {
        self.queue_kib
    }

    /// Whether the configuration limits connections.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits.connections.is_some()
    }

    /// The first connection of a read: waits for one.
    ///
    /// # Errors
    /// `Temporary` when other reads hold them all for ten minutes.
    pub async fn enter(&self) -> Result<Slot> {
        let permit = timeout(SLOT_TIMEOUT, Arc::clone(&self.slots).acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(Slot { _permit: permit }),
            _ => Err(Error::temporary("other runs hold every connection that `limits` allows")
                .help("run again later, or raise `limits: {connections}` of the connection")),
        }
    }

    /// A further connection, if one is free: a read that has one never waits for another.
    #[must_use]
    pub fn try_enter(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit })
    }

    /// The connection that looks at the load. A read that has one never waits for it.
    ///
    /// # Errors
    /// `Temporary` when there is none to spare.
    pub fn enter_to_look(&self) -> Result<Slot> {
        self.try_enter().ok_or_else(|| {
            Error::temporary(
                "other runs hold every connection that `limits` allows, and `throttle` needs one",
            )
            .help("run again later, or raise `limits: {connections}` of the connection")
        })
    }

    /// Waits until a batch of this size may be given. Batches of all reads share the pace, so the
    /// limits hold over any number of workers, and no more than one batch comes at once.
    pub async fn pass(&self, rows: usize, bytes: usize) {
        self.stand_still().await;
        let now = Instant::now();
        let mut turn = self.turn(rows, bytes, now);
        // The timer is coarse: nothing asks it that need not wait.
        if turn.due > now {
            sleep_until(turn.due).await;
        }
        turn.is_taken = true;
        self.stand_still().await;
    }

    /// Tells how loaded the source is.
    pub fn set_load(&self, load: Load) {
        self.load.send_replace(load);
    }

    /// What is known of the source's load.
    #[must_use]
    pub fn load(&self) -> Load {
        *self.load.borrow()
    }

    fn turn(&self, rows: usize, bytes: usize, now: Instant) -> Turn<'_> {
        let cost = self.cost(rows, bytes);
        let (due, cost) = self.pace().take(now, cost, self.load() != Load::Light);
        Turn { gate: self, due, cost, is_taken: false }
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that a batch takes at the allowed speed.
    fn cost(&self, rows: usize, bytes: usize) -> Duration {
        let at = |amount: usize, per_second: Option<u64>| match per_second {
            #[expect(clippy::cast_precision_loss, reason = "a pause need not be exact")]
            Some(per_second) => Duration::from_secs_f64(amount as f64 / per_second.max(1) as f64),
            None => Duration::ZERO,
        };
        at(rows, self.limits.rows_per_second).max(at(bytes, self.limits.bytes_per_second))
    }

    /// Waits until the source is not overloaded.
    async fn stand_still(&self) {
        let mut load = self.load.subscribe();
        // The sender lives as long as the gate.
        let _ = load.wait_for(|load| *load != Load::Overload).await;
    }
}

#[cfg(test)]
mod tests;
