//! The audit trail of this house: what signs its checkpoints, where copies of them go, and whether all of it holds.

mod place;
mod proof;

use std::convert::Infallible;
use std::time::Duration;

pub use self::place::Place;
pub use self::proof::{Proof, prove};
use super::{Engine, Ledger};
use crate::error::{Error, Result};
use crate::govern::audit::{self, Action, Checkpoint};
use crate::govern::store::now_ms;
use crate::keys::Keyring;
use crate::spec::{Config, Policy};

/// A checkpoint is due after so many entries …
pub const EVERY: i64 = 256;
/// … and, where a daemon looks after the trail, once so long after the one before, if there are new entries.
const INTERVAL_MS: i64 = 60 * 60 * 1000;
/// How often a daemon looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// The trail with what signs its checkpoints and what keeps them.
#[derive(Debug)]
pub struct Trail<'a> {
    ledger: &'a Ledger,
    keyring: &'a Keyring,
    places: Vec<Place>,
}

impl<'a> Trail<'a> {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `Invalid` when a store cannot be opened.
    pub fn new(config: &Config, ledger: &'a Ledger, keyring: &'a Keyring) -> Result<Self> {
        Ok(Self { ledger, keyring, places: Place::all(config)? })
    }

    /// Signs that the trail ends where it ends now, and keeps that in every place, the metadata store last. `None`
    /// when nothing came since the last time.
    ///
    /// # Errors
    /// As metadata store, keyring and places answer; `Failed` when the trail has lost its end. Nothing is kept in the
    /// metadata store then.
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

    /// Signs where it is due, by the entries and the milliseconds since the last time.
    async fn checkpoint_where(&self, is_due: impl Fn(i64, i64) -> bool) -> Result<Option<Checkpoint>> {
        let head = audit::head(self.ledger).await?.ok_or_else(|| {
            Error::failed("the audit trail has lost its end")
                .help("`sealift audit verify` tells what was done to it")
        })?;
        let (seq, at_ms) = audit::newest_checkpoint(self.ledger, &head.trail).await?.unwrap_or_default();
        if !is_due(head.seq - seq, now_ms() - at_ms) {
            return Ok(None);
        }
        let signer = self.keyring.checkpoint_signer().await?;
        let checkpoint = Checkpoint::of(&head, signer.id(), |bytes| signer.sign(bytes))?;
        for place in &self.places {
            place.keep(&checkpoint).await?;
        }
        audit::keep(self.ledger, &checkpoint).await?;
        tracing::info!(seq = checkpoint.seq, hash = %checkpoint.hash, "the audit trail has a checkpoint");
        Ok(Some(checkpoint))
    }

    /// Records that a daemon begins, and signs.
    ///
    /// # Errors
    /// Those of [`audit::record`]: what cannot be recorded does not begin.
    pub async fn begin(&self, subject: &str) -> Result<()> {
        audit::record(self.ledger, &audit::operator(), Action::DaemonStart, subject).await?;
        told(self.checkpoint().await);
        Ok(())
    }

    /// Signs whenever it is due, for as long as it is waited for. A checkpoint that cannot be made is a warning in
    /// the log, and tried again: what it would have vouched for is recorded all the same.
    pub async fn attend(&self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let is_due = |entries, ms| entries >= EVERY || (entries > 0 && ms >= INTERVAL_MS);
            told(self.checkpoint_where(is_due).await);
        }
    }

    /// Records that a daemon ended, and signs. What fails of it is a warning in the log: it ends anyway.
    pub async fn end(&self, subject: &str) {
        let recorded = audit::record(self.ledger, &audit::operator(), Action::DaemonStop, subject).await;
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

/// What a daemon that begins serves, as its entry tells it.
#[must_use]
pub fn served(engine: &Engine) -> String {
    use sha2::{Digest as _, Sha256};
    let mut pipelines: Vec<String> =
        engine.pipelines.iter().map(|pipeline| format!("{} {}\n", pipeline.name, pipeline.digest)).collect();
    pipelines.sort_unstable();
    let digest = hex::encode(Sha256::digest(pipelines.concat()));
    let Policy { name, digest: policy, .. } = &engine.policy;
    let (version, count) = (env!("CARGO_PKG_VERSION"), pipelines.len());
    format!("sealift {version}, policy {name} {policy}, {count} pipelines {digest}")
}

/// Records that another policy is in force than the one that was recorded last, on behalf of whoever is first to use
/// it.
///
/// # Errors
/// Those of [`audit::record`].
pub async fn policy_in_force(ledger: &Ledger, policy: &Policy) -> Result<()> {
    let action = Action::PolicyChange;
    let recorded = audit::newest_of(ledger, action).await?;
    let before = recorded.as_ref().and_then(|entry| entry.subject.rsplit(' ').next()).unwrap_or("none");
    if before == policy.digest {
        return Ok(());
    }
    let subject = format!("{} from {before} to {}", policy.name, policy.digest);
    audit::record(ledger, &audit::operator(), action, &subject).await
}
