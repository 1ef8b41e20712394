//! The workers of a read, one for each connection, each on a blocking thread.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::dbms::Instant;
use super::error::Subject;
use super::fetch::{self, Plan};
use super::link::{Link, Login};
use crate::error::{Error, Result};
use crate::source::gate::Slot;
use crate::source::parallel::{Output, Work, Worker};

/// How long a read has to stop by itself before the server is told.
const GRACE: Duration = Duration::from_millis(500);

/// What the workers of one read share.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) login: Arc<Login>,
    pub(super) instant: Instant,
    /// `SELECT` statements.
    pub(super) work: Work<String>,
    pub(super) plan: Plan,
    pub(super) subject: Subject,
}

/// The worker of the snapshot's own connection.
pub(super) fn first(job: Job, link: Arc<Mutex<Link>>, identity: Option<String>) -> Worker {
    Box::new(move |output| {
        Box::pin(async move {
            let login = Arc::clone(&job.login);
            let run = move |output: &Output, handle: &Handle| {
                let link = link.lock().unwrap_or_else(PoisonError::into_inner);
                job.run(&link, output, handle)
            };
            watched(run, output, &login, identity).await
        })
    })
}

/// A worker with a connection of its own, at the same instant.
pub(super) fn further(job: Job, slot: Slot) -> Worker {
    Box::new(move |output| {
        Box::pin(async move {
            let _slot = slot;
            let login = Arc::clone(&job.login);
            let link = spawn_blocking({
                let (login, instant) = (Arc::clone(&login), job.instant.clone());
                move || login.open().and_then(|link| link.join(&instant).map(|()| link))
            });
            let link = link.await.map_err(|_| broke_off())??;
            let identity = link.identity.clone();
            let run = move |output: &Output, handle: &Handle| job.run(&link, output, handle);
            watched(run, output, &login, identity).await
        })
    })
}

impl Job {
    fn run(&self, link: &Link, output: &Output, handle: &Handle) -> Result<()> {
        let mut gone = false;
        while let Some(sql) = self.work.take() {
            let mut sink = |batch| match handle.block_on(output.give(batch)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => {
                    gone = true;
                    ControlFlow::Break(())
                }
            };
            fetch::select(link, &sql, &self.subject, &self.plan, &mut sink)?;
            if gone {
                break;
            }
        }
        Ok(())
    }
}

/// Runs on a blocking thread; when nobody waits for it any more, has the server stop what it does.
async fn watched<F>(run: F, output: Output, login: &Arc<Login>, identity: Option<String>) -> Result<()>
where
    F: FnOnce(&Output, &Handle) -> Result<()> + Send + 'static,
{
    let (given, handle) = (output.clone(), Handle::current());
    let mut task = spawn_blocking(move || run(&given, &handle));
    tokio::select! {
        ended = &mut task => return ended.map_err(|_| broke_off())?,
        () = output.closed() => {}
    }
    // Between two rows it sees for itself that nobody is there.
    let mut stopped = timeout(GRACE, &mut task).await.is_ok();
    while !stopped {
        let login = Arc::clone(login);
        let Some(identity) = identity.clone() else {
            // The driver gives no way to stop a statement; it ends at the statement timeout.
            let _ = task.await;
            return Ok(());
        };
        let cancel = spawn_blocking(move || {
            let link = login.open()?;
            link.dbms.cancel(&identity).map_or(Ok(()), |sql| link.run(&sql))
        });
        let _ = cancel.await;
        stopped = timeout(GRACE, &mut task).await.is_ok();
    }
    // What a stopped statement says of itself is no fault.
    Ok(())
}

#[cold]
fn broke_off() -> Error {
    Error::failed("a thread that reads through the ODBC driver broke off")
}
