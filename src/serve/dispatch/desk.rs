//! Records what is asked for: what comes while something is being recorded is recorded next, all of it in one go.
//!
//! A store makes some hundred transactions a second durable, and thousands of rows within one.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Result};
use crate::govern::store::in_time;
use crate::run::ledger::{Ledger, Order, RunId};

/// Most orders of one transaction.
const MOST_AT_ONCE: usize = 64;
/// How soon after each other transactions begin at the soonest. Who comes alone waits for nothing; of many, more are
/// recorded together, which the disk and the processor are spared.
const PACE: Duration = Duration::from_millis(4);
/// How long a word to the store may take. A server answers sooner ([`Ledger`] bounds its statements); a connection that is
/// dead without a word must not keep the others from it.
const LIMIT: Duration = Duration::from_mins(1);
/// Most orders that lie on the desk; who comes then waits.
const ROOM: usize = 1024;

type Answer = Result<Option<RunId>>;

struct Asked {
    order: Order,
    tell: oneshot::Sender<Answer>,
}

/// Where orders are left.
#[derive(Debug)]
pub(super) struct Desk(mpsc::Sender<Asked>);

impl Desk {
    /// A desk that is attended to until it is dropped.
    #[expect(clippy::disallowed_methods, reason = "ends once the desk is dropped, and all on it is recorded")]
    pub(super) fn open(ledger: Ledger) -> Self {
        let (desk, orders) = mpsc::channel(ROOM);
        tokio::spawn(attend(ledger, orders));
        Self(desk)
    }

    /// Records one order; answers as [`Ledger::take_orders`] does for it.
    ///
    /// # Errors
    /// Those of the ledger; then nothing of this order is recorded, unless the answer of the store was lost.
    pub(super) async fn take(&self, order: Order) -> Answer {
        let (tell, told) = oneshot::channel();
        let left = self.0.send(Asked { order, tell }).await;
        match (left, told.await) {
            (Ok(()), Ok(answer)) => answer,
            _ => Err(Error::temporary("nobody records runs any more").help("try again later")),
        }
    }
}

async fn attend(ledger: Ledger, mut desk: mpsc::Receiver<Asked>) {
    let mut asked = Vec::with_capacity(MOST_AT_ONCE);
    while desk.recv_many(&mut asked, MOST_AT_ONCE).await > 0 {
        let begun = Instant::now();
        let (orders, tells): (Vec<_>, Vec<_>) =
            asked.drain(..).map(|Asked { order, tell }| (order, tell)).unzip();
        for (tell, answer) in tells.into_iter().zip(record(&ledger, &orders).await) {
            // Who does not listen any more left a run that is wanted.
            let _ = tell.send(answer);
        }
        sleep_until(begun + PACE).await;
    }
}

async fn record(ledger: &Ledger, orders: &[Order]) -> Vec<Answer> {
    match in_time(LIMIT, ledger.write_orders(orders)).await {
        Ok(written) => match in_time(LIMIT, written.commit()).await {
            Ok(taken) => taken.into_iter().map(Ok).collect(),
            // They may be recorded all the same: once more would be another run.
            Err(error) => orders.iter().map(|_| Err(error.clone())).collect(),
        },
        Err(error) if orders.len() == 1 => vec![Err(error)],
        // One that cannot be recorded must not keep the others from it.
        Err(_) => {
            let mut answers = Vec::with_capacity(orders.len());
            for order in orders {
                let taken = in_time(LIMIT, ledger.take_orders(std::slice::from_ref(order))).await;
                answers.push(taken.map(|mut taken| taken.pop().flatten()));
            }
            answers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::govern::Store as _;
    use crate::run::ledger::{Trigger, Under};
    use crate::spec::PipelineName;
    use crate::spec::config::Metadata;

    /// A ledger in which these statements were run.
    async fn ledger(statements: &[&'static str]) -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(ledger.pool()).await.unwrap();
        }
        (folder, ledger)
    }

    fn order(pipeline: &str) -> Order {
        Order {
            pipeline: PipelineName::parse(pipeline).unwrap(),
            spec_digest: "d".to_owned(),
            actor: "token:a".to_owned(),
            under: Under::Nothing(Trigger::Api),
            instead_of: None,
            if_idle: false,
        }
    }

    #[tokio::test]
    async fn an_order_that_cannot_be_recorded_keeps_no_other_one_from_it() {
        let (_folder, ledger) = ledger(&["CREATE TRIGGER no BEFORE INSERT ON runs WHEN NEW.pipeline = 'bad'
             BEGIN SELECT RAISE(ABORT, 'no'); END"])
        .await;
        let answers = record(&ledger, &[order("crm"), order("bad"), order("erp")]).await;
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(ledger.runs(None, 10).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_may_be_recorded_is_not_recorded_once_more() {
        // Only the commit fails, and only of more than one.
        let (_folder, ledger) = ledger(&[
            "CREATE TABLE doubts (run_id TEXT REFERENCES runs (run_id) DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TRIGGER doubt AFTER INSERT ON runs WHEN (SELECT count(*) FROM runs) > 1
             BEGIN INSERT INTO doubts VALUES ('none'); END",
        ])
        .await;
        let answers = record(&ledger, &[order("crm"), order("erp")]).await;
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        assert!(ledger.runs(None, 10).await.unwrap().is_empty());
    }
}
