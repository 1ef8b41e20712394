//! Runs that are asked for: each wanted run is recorded once, together with who asked for it.

use super::keyed::RequestKey;
use super::schedules::{Turn, take_turn};
use super::{Ledger, RunId, Trigger, insert_queued};
use crate::error::Result;
use crate::govern::audit::{self, Action};
use crate::govern::store::{Alone, fault};
use crate::spec::PipelineName;

/// A run that is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Of which pipeline.
    pub pipeline: PipelineName,
    /// The digest of the document it is asked for by.
    pub spec_digest: String,
    /// Who asks, as the audit trail names them.
    pub actor: String,
    /// What it is wanted under.
    pub under: Under,
    /// The run that has the key, which this one is wanted instead of; `None` where no run has.
    pub instead_of: Option<RunId>,
}

/// What makes a wanted run one that was wanted before.
#[derive(Clone, Debug)]
pub enum Under {
    /// Nothing: each is another one.
    Nothing(Trigger),
    /// The key of a caller.
    Key(Trigger, RequestKey),
    /// The turn of a schedule.
    Turn(Turn),
}

impl Under {
    /// What asks.
    #[must_use]
    pub const fn trigger(&self) -> Trigger {
        match self {
            Self::Nothing(trigger) | Self::Key(trigger, _) => *trigger,
            Self::Turn(_) => Trigger::Schedule,
        }
    }
}

impl Ledger {
    /// Records runs, each with its key or turn and its entry in the audit trail (`run.trigger`, `PIPELINE RUN`). All of
    /// it is recorded, or nothing. Answers in the order that was asked; `None` where the key is another run's by now, or
    /// the turn is taken, by this process or another.
    ///
    /// # Errors
    /// As [`Ledger::queue`], and as [`audit::record`].
    pub async fn take_orders(&self, orders: &[Order]) -> Result<Vec<Option<RunId>>> {
        self.write_orders(orders).await?.commit().await
    }

    /// As [`Ledger::take_orders`], but nothing is recorded before it is committed: after an error here nothing is.
    ///
    /// # Errors
    /// As [`Ledger::take_orders`].
    pub async fn write_orders(&self, orders: &[Order]) -> Result<Written> {
        let mut alone = audit::turn(self).await?;
        if orders.iter().any(|order| matches!(order.under, Under::Key(..))) {
            super::keyed::forget_old(&mut alone).await?;
        }
        let mut taken = Vec::with_capacity(orders.len());
        let mut subjects = Vec::with_capacity(orders.len());
        for order in orders {
            let run_id = take(&mut alone, order).await?;
            subjects.extend(run_id.map(|run_id| (order, format!("{} {run_id}", order.pipeline))));
            taken.push(run_id);
        }
        let deeds = subjects.iter().map(|(order, subject)| (order.actor.as_str(), subject.as_str()));
        let entries = audit::record_within(&mut alone, Action::RunTrigger, deeds).await?;
        Ok(Written { alone, taken, entries })
    }
}

/// Orders that are written and not yet committed; dropped, none of them is recorded.
#[derive(Debug)]
pub struct Written {
    alone: Alone,
    taken: Vec<Option<RunId>>,
    entries: Vec<audit::Entry>,
}

impl Written {
    /// Records them; answers as [`Ledger::take_orders`].
    ///
    /// # Errors
    /// Those of the store. Where its answer was lost, all of it may be recorded all the same.
    pub async fn commit(self) -> Result<Vec<Option<RunId>>> {
        audit::commit(self.alone, &self.entries).await?;
        Ok(self.taken)
    }
}

async fn take(alone: &mut Alone, order: &Order) -> Result<Option<RunId>> {
    let Order { pipeline, spec_digest, under, instead_of, .. } = order;
    if let Under::Turn(turn) = under
        && !take_turn(alone, pipeline, turn).await?
    {
        return Ok(None);
    }
    let run_id = insert_queued(&mut **alone, pipeline, spec_digest, under.trigger()).await?;
    match under {
        Under::Key(_, key) if !key.name(alone, &run_id, instead_of.as_ref()).await? => {
            sqlx::query("DELETE FROM runs WHERE run_id = $1")
                .bind(run_id.to_string())
                .execute(&mut **alone)
                .await
                .map_err(|e| fault(&e))?;
            Ok(None)
        }
        _ => Ok(Some(run_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::govern::audit::entries;
    use crate::govern::store::Store as _;
    use crate::spec::config::Metadata;

    fn order(pipeline: &str, key: &str) -> Order {
        Order {
            pipeline: PipelineName::parse(pipeline).unwrap(),
            spec_digest: "d".to_owned(),
            actor: "token:a".to_owned(),
            under: Under::Key(Trigger::Api, RequestKey::of("token:a", key.as_bytes()).unwrap()),
            instead_of: None,
        }
    }

    #[tokio::test]
    async fn runs_are_recorded_together_with_who_asked_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let orders = [order("crm", "1"), order("crm", "1"), order("erp", "2")];
        let taken = ledger.take_orders(&orders).await.unwrap();
        let [Some(crm), None, Some(erp)] = taken[..] else { panic!("{taken:?}") };
        assert_eq!(ledger.runs(None, 10).await.unwrap().len(), 2, "what was not taken left no run");

        let entries = entries(&ledger, 10).await.unwrap();
        let told: Vec<&str> = entries.iter().rev().map(|entry| entry.subject.as_str()).collect();
        assert_eq!(told, [format!("crm {crm}"), format!("erp {erp}")]);
        assert_eq!(entries[0].prev, entries[1].hash);
    }

    #[tokio::test]
    async fn what_the_trail_does_not_take_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        sqlx::query("DELETE FROM audit_head").execute(ledger.pool()).await.unwrap();
        assert_eq!(ledger.take_orders(&[order("crm", "1")]).await.unwrap_err().kind(), Kind::Failed);
        assert!(ledger.runs(None, 10).await.unwrap().is_empty());
        assert_eq!(ledger.asked_under(&RequestKey::of("token:a", b"1").unwrap()).await.unwrap(), None);
    }
}
