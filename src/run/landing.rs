//! What a stream has written, made visible in its order: the files that were there in a new shape, then rejected
//! rows, then the stream's own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};

use super::draft::{Draft, Merging};
use super::increment::Asked;
use super::quarantine::{self, Quarantined};
use super::stream::Stream;
use super::{Engine, Job, StreamPlan, unless_cancelled};
use crate::error::{Error, Result};
use crate::govern::audit;
use crate::keys::Purpose;
use crate::publish::receipt::Rows;
use crate::publish::{Effect, Mode, Order, Outcome, Provenance, Store};
use crate::spec::DatasetName;

/// The drafts of one stream. One that has landed is gone from here.
#[derive(Default)]
pub(super) struct Drafts {
    /// Its own rows.
    pub(super) own: Option<Draft>,
    /// Rows that were rejected.
    pub(super) rejected: Option<Draft>,
    /// The source's keys, which are never published.
    pub(super) keys: Option<Draft>,
}

impl Drafts {
    /// How many rows are the stream's own, and how many were rejected.
    pub(super) fn rows(&self) -> (u64, u64) {
        let rows = |draft: &Option<Draft>| draft.as_ref().map_or(0, Draft::rows);
        (rows(&self.own), rows(&self.rejected))
    }

    /// Removes what is left.
    pub(super) async fn discard(self, store: &Store) {
        for draft in [self.own, self.rejected, self.keys].into_iter().flatten() {
            draft.discard(store).await;
        }
    }
}

/// Tells the audit trail which keys may have sealed rows of a stream that nobody sees. How the stream ended is decided
/// by now: where the trail cannot be told, a warning has to do.
pub(super) async fn record_unpublished(engine: &Engine, job: &Job<'_>, plan: &StreamPlan) {
    let set_aside = plan.quarantine.as_ref().map(|quarantine| (&quarantine.dataset, &quarantine.protection));
    for (dataset, protection) in [(&plan.dataset, &plan.protection)].into_iter().chain(set_aside) {
        let told = async {
            let mut keys = Draft::keys_of(engine, protection).await?;
            keys.extend(engine.keyring.peek(&Purpose::Footer(dataset.clone())).await?);
            record_keys(engine, job, &format!("seal {dataset}, not published"), keys).await
        };
        if let Err(error) = told.await {
            tracing::warn!(%dataset, %error, "the keys of rows that are not published are not in the audit trail");
        }
    }
}

async fn record_keys(engine: &Engine, job: &Job<'_>, deed: &str, keys: BTreeSet<String>) -> Result<()> {
    let keys: Vec<String> = keys.into_iter().collect();
    audit::key_use(&engine.ledger, &format!("run:{}", job.run_id), deed, &keys).await
}

/// Where the drafts of a stream go.
pub(super) struct Landing<'a> {
    pub(super) stream: &'a Stream<'a>,
    pub(super) asked: &'a Asked,
    /// When the source was read.
    pub(super) taken_at: DateTime<Utc>,
    /// Set once the audit trail knows the keys.
    pub(super) lands: &'a AtomicBool,
}

impl Landing<'_> {
    /// Makes all visible that is to be; whatever the end, nothing is left of the drafts but what is visible,
    /// or may be. The ledger lists none of their files as parts any more: nobody else has them.
    ///
    /// # Errors
    /// Those of the commits; what was visible before the one that failed stays.
    pub(super) async fn land(
        &self,
        mut drafts: Drafts,
        provenance: Provenance,
    ) -> Result<(Outcome, Option<Quarantined>)> {
        let landed = self.each(&mut drafts, provenance).await;
        drafts.discard(self.stream.store).await;
        landed
    }

    async fn each(
        &self,
        drafts: &mut Drafts,
        provenance: Provenance,
    ) -> Result<(Outcome, Option<Quarantined>)> {
        let Stream { engine, store, plan, .. } = *self.stream;
        let asked = self.asked;
        let marked = asked.mark(engine, plan, provenance.clone()).await?;
        let nothing = || Error::failed("there is nothing to publish");
        let own = drafts.own.as_ref().ok_or_else(nothing)?;
        // Whatever can fail does so before anything of the run is visible.
        if let (Some(merging), Some(_)) =
            (self.merging(None, self.stream.standing.order(), &marked), &drafts.rejected)
        {
            unless_cancelled(self.stream.job.cancel, own.check_keys(&merging)).await?;
        }
        plan.comparison.reshape(engine, store, plan, &plan.dataset, &marked).await?;
        self.record_keys(&plan.dataset, own).await?;
        if let (Some(rejected), Some(quarantine)) = (&drafts.rejected, &plan.quarantine) {
            self.record_keys(&quarantine.dataset, rejected).await?;
        }
        self.lands.store(true, Ordering::Relaxed);
        // The log itself refuses what comes out of order; this is sooner, and says why.
        engine.ledger.check_standing(&self.stream.job.run_id).await?;
        let order = self.fence(own, &provenance).await?;
        let quarantined = self.rejected(drafts.rejected.take(), &provenance).await?;
        let own = drafts.own.take().ok_or_else(nothing)?;
        let outcome = self.own(own, drafts.keys.as_ref(), order, &marked).await?;
        Ok((outcome, quarantined))
    }

    /// Tells the audit trail which keys sealed the columns, and which a merge may read and write again what is there with;
    /// what cannot be told is not published.
    async fn record_keys(&self, dataset: &DatasetName, draft: &Draft) -> Result<()> {
        let keyring = &self.stream.engine.keyring;
        let mut keys: BTreeSet<String> = draft.keys().map(str::to_owned).collect();
        keys.extend(keyring.peek(&Purpose::Footer(dataset.clone())).await?);
        if self.asked.mode == Mode::Merge {
            keys.extend(keyring.list(Some(dataset)).await?);
        }
        record_keys(self.stream.engine, self.stream.job, &format!("seal {dataset}"), keys).await
    }

    /// What the stream's own version comes after. Where rejected rows of another run are to be taken back, that run
    /// must not publish any longer what they were left out of.
    async fn fence(&self, own: &Draft, provenance: &Provenance) -> Result<Order> {
        let Stream { store, plan, standing, .. } = *self.stream;
        let order = standing.order();
        if plan.quarantine.is_none()
            || quarantine::withdrawn(self.asked.mode, &provenance.stream, standing).is_empty()
        {
            return Ok(order);
        }
        own.fence(store, order, provenance).await?;
        Ok(Order::After(Some(standing.dataset.txn.map_or(0, |txn| txn + 1))))
    }

    fn merging<'m>(
        &'m self,
        keys: Option<&'m Draft>,
        order: Order,
        provenance: &'m Provenance,
    ) -> Option<Merging<'m>> {
        let Stream { engine, store, plan, .. } = *self.stream;
        let rules = plan.rules.as_ref()?;
        let (at_us, stop) = (self.taken_at.timestamp_micros(), self.stream.job.cancel);
        Some(Merging { engine, store, plan, rules, keys, at_us, order, provenance, stop })
    }

    async fn own(
        &self,
        own: Draft,
        keys: Option<&Draft>,
        order: Order,
        provenance: &Provenance,
    ) -> Result<Outcome> {
        if let Some(merging) = self.merging(keys, order, provenance) {
            return own.merge(&merging).await;
        }
        let effect = match self.asked.mode {
            Mode::Overwrite => Effect::Overwrite,
            Mode::Append | Mode::Merge => Effect::Append { withdrawn: &[], unseen: self.asked.unseen() },
        };
        own.commit(self.stream.store, effect, order, self.stream.plan.comparison.evolution(), provenance)
            .await
    }

    /// Rejected rows, where the stream has a quarantine.
    async fn rejected(&self, draft: Option<Draft>, told: &Provenance) -> Result<Option<Quarantined>> {
        let Stream { engine, store, plan, standing, .. } = *self.stream;
        let Some(quarantine) = &plan.quarantine else { return Ok(None) };
        let set_aside = told.rows.quarantined;
        let provenance = Provenance {
            rows: Rows::of(set_aside, 0, set_aside),
            columns: quarantine.comparison.stays().to_vec(),
            facts: None,
            ..told.clone()
        };
        quarantine.commit(engine, store, plan, self.asked.mode, draft, standing, &provenance).await.map(Some)
    }
}
