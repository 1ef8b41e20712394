//! The audit trail of this house: what signs its checkpoints, where copies of them go, and whether all of it holds.

mod in_force;
mod place;
mod proof;
mod signing;
mod using;

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::Mutex;

pub use self::in_force::{config_in_force, policy_in_force, served};
pub use self::place::Place;
pub use self::proof::{Proof, prove};
use self::signing::Signed;
pub use self::using::using;
use super::Ledger;
use crate::error::Result;
use crate::govern::audit::{self, Action, Checkpoint};
use crate::keys::Keyring;
use crate::spec::Config;

/// A checkpoint is due after so many entries …
pub const EVERY: i64 = 256;
/// … and, where a daemon looks after the trail, once so long after the one before, if there are new entries.
const INTERVAL_MS: i64 = 60 * 60 * 1000;
/// How often a daemon looks; less often while it fails.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How long it waits at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The trail with what signs its checkpoints and what keeps them.
#[derive(Debug)]
pub struct Trail<'a> {
    ledger: &'a Ledger,
    keyring: &'a Keyring,
    places: Vec<Place>,
    signed: Mutex<Option<Signed>>,
}

impl<'a> Trail<'a> {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when a store cannot be opened.
    pub fn new(config: &Config, ledger: &'a Ledger, keyring: &'a Keyring) -> Result<Self> {
        Ok(Self { ledger, keyring, places: Place::all(config)?, signed: Mutex::default() })
    }

    /// Signs that the trail ends where it ends now, and keeps that in every place, the metadata store last. `None`
    /// when nothing came since the last time.
    ///
    /// # Errors
    /// As metadata store, keyring and places answer, and `Temporary` for a place that does not; `Failed` when the trail
    /// has lost its end, `Data` when it is another one than these keys belong to. A place that fails keeps no other from
    /// having the checkpoint, but for the metadata store.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.checkpoint_where(|entries, _| entries > 0).await
    }

    /// As [`Trail::checkpoint`], once 256 entries came since the last one.
    ///
    /// # Errors
    /// As [`Trail::checkpoint`].
    pub async fn checkpoint_if_many(&self) -> Result<Option<Checkpoint>> {
        self.checkpoint_where(|entries, _| entries >= EVERY).await
    }

    /// Records that a daemon begins.
    ///
    /// # Errors
    /// Those of [`audit::record`]: what cannot be recorded does not begin.
    pub async fn begin(&self, subject: &str) -> Result<()> {
        let subject = format!("{}: {subject}", process());
        audit::record(self.ledger, &audit::operator(), Action::DaemonStart, &subject).await
    }

    /// Signs at once, and then whenever it is due, for as long as it is waited for. A checkpoint that cannot be made is
    /// a warning in the log, and tried again: what it would have vouched for is recorded all the same.
    pub async fn attend(&self) -> Infallible {
        let is_due = |entries, ms| entries >= EVERY || (entries > 0 && ms >= INTERVAL_MS);
        let mut made = self.checkpoint().await;
        let mut pause = LOOK_INTERVAL;
        loop {
            pause = if made.is_err() { LONGEST_PAUSE.min(pause * 2) } else { LOOK_INTERVAL };
            told(made);
            tokio::time::sleep(pause).await;
            made = self.checkpoint_where(is_due).await;
        }
    }

    /// Records that a daemon ended, and signs. What fails of it is a warning in the log: it ends anyway.
    pub async fn end(&self, subject: &str) {
        let subject = format!("{}: {subject}", process());
        let recorded = audit::record(self.ledger, &audit::operator(), Action::DaemonStop, &subject).await;
        if let Err(error) = recorded {
            tracing::warn!(%error, "the end of the daemon could not be recorded");
        }
        told(self.checkpoint().await);
    }
}

/// Warns of a checkpoint that could not be made.
pub fn told(made: Result<Option<Checkpoint>>) {
    if let Err(error) = made {
        tracing::warn!(%error, "a checkpoint of the audit trail could not be made");
    }
}

/// This process among those of all machines.
fn process() -> String {
    format!("{}:{}", audit::machine(), std::process::id())
}

#[cfg(test)]
mod tests;
