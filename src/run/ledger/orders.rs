//! Runs that are asked for: each wanted run is recorded once, together with who asked for it.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::keyed::{self, RequestKey};
use super::schedules::{Turn, take_turn};
use super::{Ledger, Queued, RunId, Trigger, insert_queued};
use crate::error::Result;
use crate::govern::audit::{self, Action};
use crate::govern::batch::Batch;
use crate::govern::store::{Alone, ROWS_AT_ONCE, fault, get, places};
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
    /// Only where no run of the pipeline waits or is under way.
    pub if_idle: bool,
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

    /// The key of a caller.
    const fn key(&self) -> Option<&RequestKey> {
        match self {
            Self::Key(_, key) => Some(key),
            Self::Nothing(_) | Self::Turn(_) => None,
        }
    }
}

impl Ledger {
    /// Records runs, each with its key or turn and its entry in the audit trail (`run.trigger`, `PIPELINE RUN`). All of
    /// it is recorded, or nothing. Answers in the order that was asked; `None` where the key is another run's by now, or
    /// the turn is taken, by this process or another, or the pipeline is not idle where it is to be.
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
        let taken = draw(&mut alone, orders).await?;
        let new: Vec<(&Order, RunId)> =
            orders.iter().zip(&taken).filter_map(|(order, run_id)| Some((order, (*run_id)?))).collect();
        let runs: Vec<Queued<'_>> = new.iter().map(|(order, run_id)| order.queued(*run_id)).collect();
        let mut batch = Batch::default();
        insert_queued(&mut batch, &runs);
        let named: Vec<_> =
            new.iter().filter_map(|(order, run_id)| Some((order.under.key()?, *run_id))).collect();
        keyed::name(&mut batch, &named);
        let subjects: Vec<String> =
            new.iter().map(|(order, run_id)| format!("{} {run_id}", order.pipeline)).collect();
        let deeds =
            new.iter().zip(&subjects).map(|((order, _), subject)| (order.actor.as_str(), subject.as_str()));
        let entries = audit::record_with(&mut alone, batch, Action::RunTrigger, deeds).await?;
        Ok(Written { alone, taken, entries })
    }
}

impl Order {
    const fn queued(&self, run_id: RunId) -> Queued<'_> {
        let Self { pipeline, spec_digest, under, .. } = self;
        Queued { run_id, pipeline, spec_digest: spec_digest.as_str(), trigger: under.trigger() }
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

/// A new run for each order that may have one. Nobody else writes orders meanwhile.
async fn draw(alone: &mut Alone, orders: &[Order]) -> Result<Vec<Option<RunId>>> {
    let keys: Vec<&RequestKey> = orders.iter().filter_map(|order| order.under.key()).collect();
    let mut holders = keyed::holders(alone, &keys).await?;
    let idle: Vec<&PipelineName> =
        orders.iter().filter(|order| order.if_idle).map(|order| &order.pipeline).collect();
    let mut busy = busy(alone, &idle).await?;
    let mut drawn = Vec::with_capacity(orders.len());
    for Order { pipeline, under, instead_of, if_idle, .. } in orders {
        let is_free = match under {
            _ if *if_idle && busy.contains(pipeline.as_str()) => false,
            Under::Nothing(_) => true,
            Under::Key(_, key) => holders.get(key).is_none_or(|holder| instead_of.as_ref() == Some(holder)),
            Under::Turn(turn) => take_turn(alone, pipeline, turn).await?,
        };
        let run_id = is_free.then(RunId::draw);
        if let (Some(key), Some(run_id)) = (under.key(), run_id) {
            holders.insert(key.clone(), run_id);
        }
        if run_id.is_some() {
            busy.insert(pipeline.to_string());
        }
        drawn.push(run_id);
    }
    Ok(drawn)
}

/// Those of these pipelines of which a run waits or is under way.
async fn busy(alone: &mut Alone, pipelines: &[&PipelineName]) -> Result<HashSet<String>> {
    let mut busy = HashSet::new();
    for some in pipelines.chunks(ROWS_AT_ONCE) {
        let sql = format!(
            "SELECT DISTINCT pipeline FROM runs WHERE state IN ('queued', 'running') AND pipeline IN {}",
            places(1, some.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(some.len() == 1);
        for pipeline in some {
            query = query.bind(pipeline.as_str());
        }
        for row in query.fetch_all(&mut **alone).await.map_err(|e| fault(&e))? {
            busy.insert(get(&row, "pipeline")?);
        }
    }
    Ok(busy)
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
            if_idle: false,
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
    async fn a_pipeline_that_is_to_be_idle_has_no_second_run() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        let if_idle = |pipeline, key| Order { if_idle: true, ..order(pipeline, key) };
        let orders = [if_idle("crm", "1"), if_idle("crm", "2"), if_idle("erp", "3")];
        let taken = ledger.take_orders(&orders).await.unwrap();
        let [Some(crm), None, Some(_)] = taken[..] else { panic!("{taken:?}") };
        assert_eq!(ledger.take_orders(&[if_idle("crm", "2")]).await.unwrap(), [None]);
        assert!(ledger.take_orders(&[order("crm", "4")]).await.unwrap()[0].is_some(), "it may wait");
        ledger.start(&crm).await.unwrap();
        assert_eq!(ledger.take_orders(&[if_idle("crm", "2")]).await.unwrap(), [None]);
        for run in ledger.unfinished(Some(&PipelineName::parse("crm").unwrap())).await.unwrap() {
            ledger.conclude(&run.run_id, &Ok(())).await.unwrap();
        }
        assert!(ledger.take_orders(&[if_idle("crm", "2")]).await.unwrap()[0].is_some());
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
