//! Giving way: a watcher asks the server how loaded it is, and tells the gate.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::error::Subject;
use super::session::{Access, Session};
use crate::error::{Error, Result};
use crate::source::Gate;
use crate::source::gate::Load;
use crate::spec::config::Throttle;

/// A watcher at work; it ends when this is dropped.
pub(super) struct Watch {
    task: JoinHandle<()>,
    gate: Arc<Gate>,
}

impl Watch {
    /// Looks once, then again and again, by a connection of its own that `limits` does not count.
    ///
    /// # Errors
    /// As connecting; `Invalid` when the query does not answer one number.
    pub(super) async fn start(access: &Arc<Access>, throttle: Throttle, gate: &Arc<Gate>) -> Result<Self> {
        let mut session = access.connect().await?;
        gate.set_load(look(&mut session, &throttle).await?);
        let task = watch(session, Arc::clone(access), throttle, Arc::clone(gate));
        #[expect(clippy::disallowed_methods, reason = "the watcher ends with its snapshot")]
        let task = tokio::spawn(task);
        Ok(Self { task, gate: Arc::clone(gate) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        self.gate.set_load(Load::Light);
    }
}

async fn watch(session: Session, access: Arc<Access>, throttle: Throttle, gate: Arc<Gate>) {
    let mut session = Some(session);
    loop {
        sleep(throttle.every).await;
        let found = async {
            let session = match &mut session {
                Some(session) => session,
                none => none.insert(access.connect().await?),
            };
            look(session, &throttle).await
        };
        // Who cannot tell is careful, but does not stand still: a read finds out by itself that
        // the server is gone.
        let load = found.await.unwrap_or_else(|_| {
            session = None;
            Load::Heavy
        });
        gate.set_load(load);
    }
}

async fn look(session: &mut Session, throttle: &Throttle) -> Result<Load> {
    let wrong = || {
        Error::invalid("the throttle's query does not answer one number")
            .help("write a query like `SELECT COUNT(*) FROM information_schema.PROCESSLIST` in `throttle`")
    };
    let subject = Subject::Query { lines_before: 0 };
    let answer =
        session.ask_about(&throttle.query, &subject).await.map_err(|e| e.at("the throttle's query"))?;
    let number = match answer.rows.as_slice() {
        [row] => match row.as_slice() {
            [Some(number)] | [_, Some(number)] => number.parse::<f64>().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    };
    #[expect(clippy::cast_precision_loss, reason = "a threshold that large is none")]
    let above = |limit: u64| number > limit as f64;
    Ok(if above(throttle.pause_above) {
        Load::Overload
    } else if above(throttle.slow_above) {
        Load::Heavy
    } else {
        Load::Light
    })
}
