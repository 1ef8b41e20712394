//! Records what is asked for: what comes while something is being recorded is recorded next, all of it in one go.
//!
//! A store makes some hundred transactions a second durable, and thousands of rows within one.

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::run::ledger::{Ledger, Order, RunId};

/// Most orders of one transaction.
const MOST_AT_ONCE: usize = 64;
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
    /// Those of the ledger; then nothing of this order is recorded.
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
        let (orders, tells): (Vec<_>, Vec<_>) =
            asked.drain(..).map(|Asked { order, tell }| (order, tell)).unzip();
        for (tell, answer) in tells.into_iter().zip(record(&ledger, &orders).await) {
            // Who does not listen any more left a run that is wanted.
            let _ = tell.send(answer);
        }
    }
}

async fn record(ledger: &Ledger, orders: &[Order]) -> Vec<Answer> {
    match ledger.take_orders(orders).await {
        Ok(taken) => taken.into_iter().map(Ok).collect(),
        Err(error) if orders.len() == 1 => vec![Err(error)],
        // One that cannot be recorded must not keep the others from it.
        Err(_) => {
            let mut answers = Vec::with_capacity(orders.len());
            for order in orders {
                let taken = ledger.take_orders(std::slice::from_ref(order)).await;
                answers.push(taken.map(|mut taken| taken.pop().flatten()));
            }
            answers
        }
    }
}
