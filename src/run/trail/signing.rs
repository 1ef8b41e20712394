//! When the end of the trail is signed, and what becomes of that in each place.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Trail;
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Checkpoint, Head};
use crate::govern::store::now_ms;

/// How long a place may take to keep a checkpoint: who waits for it has something else to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// What this process signed last.
#[derive(Debug)]
pub(super) struct Signed {
    checkpoint: Checkpoint,
    at: Instant,
    /// Who has to keep it still; `None` once the metadata store does, which is the last.
    owed: Option<Vec<usize>>,
}

impl Trail<'_> {
    /// Signs where it is due, by the entries and the milliseconds since the last time; and has those places keep what was
    /// signed that could not.
    pub(super) async fn checkpoint_where(
        &self,
        is_due: impl Fn(i64, i64) -> bool,
    ) -> Result<Option<Checkpoint>> {
        let mut signed = self.signed.lock().await;
        let head = self.head().await?;
        self.expect_ours(&head).await?;
        if self.is_to_be_signed(signed.as_ref(), &head, is_due).await? {
            self.look_back(signed.as_ref(), &head).await?;
            let signer = self.keyring.checkpoint_signer().await?;
            let checkpoint = Checkpoint::of(&head, signer.id(), |bytes| signer.sign(bytes))?;
            let owed = Some((0..self.places.len()).collect());
            *signed = Some(Signed { checkpoint, at: Instant::now(), owed });
        }
        match signed.as_mut() {
            Some(signed) if signed.owed.is_some() => self.hand_out(signed).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn head(&self) -> Result<Head> {
        audit::head(self.ledger).await?.ok_or_else(|| {
            Error::failed("the audit trail has lost its end")
                .help("`sealift audit verify` tells what was done to it")
        })
    }

    /// Refuses a trail that took the place of the one that the keys belong to.
    async fn expect_ours(&self, head: &Head) -> Result<()> {
        let ours = self.keyring.trail(&head.trail).await?;
        if ours == head.trail {
            return Ok(());
        }
        Err(Error::data(format!(
            "the metadata store has the audit trail {}, and these keys belong to {ours}: it was replaced, or begun anew",
            head.trail
        ))
        .help(format!(
            "`sealift audit verify` tells more; if that was meant, remove {}",
            self.keyring.trail_file().display()
        )))
    }

    /// By what this process signed, where there is such, and else by what the metadata store has: anybody may have put
    /// that there, so that only what is signed by us and of this trail counts.
    async fn is_to_be_signed(
        &self,
        signed: Option<&Signed>,
        head: &Head,
        is_due: impl Fn(i64, i64) -> bool,
    ) -> Result<bool> {
        if let Some(Signed { checkpoint, at, .. }) = signed {
            if checkpoint.seq > head.seq {
                return Ok(true);
            }
            let ms = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
            if !is_due(head.seq - checkpoint.seq, ms) {
                return Ok(false);
            }
        }
        for kept in audit::newest_checkpoints(self.ledger, &head.trail, head.seq).await? {
            if self.signed_by_us(&kept).await? {
                // A clock that was ahead once says nothing of how long ago it was.
                let ms = now_ms().checked_sub(kept.at_ms).filter(|ms| *ms >= 0).unwrap_or(i64::MAX);
                return Ok(is_due(head.seq - kept.seq, ms));
            }
            tracing::error!(
                seq = kept.seq,
                "a checkpoint in the metadata store is not signed by a key of ours"
            );
        }
        Ok(is_due(head.seq, i64::MAX))
    }

    async fn signed_by_us(&self, checkpoint: &Checkpoint) -> Result<bool> {
        match self.keyring.checkpoint_key(&checkpoint.signer).await {
            Ok(key) => Ok(key.verifies(&checkpoint.message(), &checkpoint.signature)),
            Err(error) if error.kind() == Kind::Denied => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells the log of what was signed once and is not there any more. What there is now is signed all the same.
    async fn look_back(&self, signed: Option<&Signed>, head: &Head) -> Result<()> {
        if let Some(Signed { checkpoint: Checkpoint { seq, hash, .. }, .. }) = signed {
            let there = audit::hash_of(self.ledger, *seq).await?;
            if there != Some(hash.to_string()) {
                tracing::error!(
                    seq,
                    "the audit trail has lost an entry that was signed: it was cut, or written anew"
                );
            }
        }
        let beyond = audit::newest_checkpoints(self.ledger, &head.trail, i64::MAX).await?;
        if beyond.iter().all(|checkpoint| checkpoint.seq <= head.seq) {
            return Ok(());
        }
        // Another process may have signed what came meanwhile.
        let head = self.head().await?;
        for Checkpoint { seq, .. } in beyond.iter().filter(|checkpoint| checkpoint.seq > head.seq) {
            tracing::error!(
                seq,
                end = head.seq,
                "the metadata store has a checkpoint of an entry that is not there"
            );
        }
        Ok(())
    }

    /// Has every place keep what was signed that does not yet, each by itself, and then the metadata store.
    async fn hand_out(&self, signed: &mut Signed) -> Result<Checkpoint> {
        let Signed { checkpoint, owed, .. } = signed;
        let (mut failed, mut left) = (None, Vec::new());
        for (index, place) in self.places.iter().enumerate() {
            if !owed.as_ref().is_some_and(|owed| owed.contains(&index)) {
                continue;
            }
            let late = || Error::temporary(format!("{place} takes too long"));
            let kept = timeout(PATIENCE, place.keep(checkpoint)).await.unwrap_or_else(|_| Err(late()));
            if let Err(error) = kept {
                left.push(index);
                failed = Some(error);
            }
        }
        *owed = Some(left);
        if let Some(error) = failed {
            return Err(error);
        }
        audit::keep(self.ledger, checkpoint).await?;
        *owed = None;
        tracing::info!(seq = checkpoint.seq, hash = %checkpoint.hash, "the audit trail has a checkpoint");
        Ok(checkpoint.clone())
    }
}
