//! A read in progress: workers that take one piece after the other, each on its own connection.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{FutureExt, StreamExt};

use super::decode::{Decoder, Pause};
use super::error::Subject;
use super::line::{Fault, Line};
use super::session::Session;
use crate::error::Result;
use crate::source::parallel::{Output, Work, Worker};

/// Connections that have the snapshot and nothing to do.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Line>>);

impl Pool {
    pub(super) fn take(&self) -> Option<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Ends them in good order.
    pub(super) async fn close(&self) {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        futures::future::join_all(lines.into_iter().map(Line::close)).await;
    }

    pub(super) fn put(&self, line: Line) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let lines = std::mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner));
        // Without a runtime the sockets just close.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for line in lines {
            #[expect(clippy::disallowed_methods, reason = "a goodbye of bounded time that nobody waits for")]
            runtime.spawn(line.close());
        }
    }
}

/// What every worker of a read knows.
#[derive(Clone)]
pub(super) struct Task {
    /// The COPY statements that are left.
    pub(super) work: Work<String>,
    pub(super) subject: Subject,
}

/// A worker on a connection that only copies.
pub(super) fn by_line(mut line: Line, pool: Arc<Pool>, mut decoder: Decoder, task: Task) -> Worker {
    Box::new(move |output| {
        async move {
            while let Some(copy) = task.work.take() {
                let ended = tokio::select! {
                    biased;
                    () = output.closed() => Err(Fault::Gone),
                    ended = line.copy(&copy, &mut decoder, &output, &task.subject) => ended,
                };
                match ended {
                    Ok(()) => {}
                    Err(Fault::AtServer(error)) => {
                        line.close().await;
                        return Err(error);
                    }
                    Err(Fault::Here(error)) => {
                        line.cancel().await;
                        return Err(error);
                    }
                    Err(Fault::Gone) => {
                        line.cancel().await;
                        return Ok(());
                    }
                }
            }
            pool.put(line);
            last(decoder, &output).await
        }
        .boxed()
    })
}

/// A worker on the connection that holds the snapshot, where there may be no other.
pub(super) fn by_session(session: Arc<Session>, mut decoder: Decoder, task: Task) -> Worker {
    Box::new(move |output| {
        async move {
            while let Some(copy) = task.work.take() {
                let ended = tokio::select! {
                    biased;
                    () = output.closed() => Err(Fault::Gone),
                    ended = copy_out(&session, &copy, &mut decoder, &output, &task.subject) => ended,
                };
                match ended {
                    Ok(()) => {}
                    Err(Fault::AtServer(error)) => return Err(error),
                    Err(Fault::Here(error)) => {
                        session.stop().await;
                        return Err(error);
                    }
                    Err(Fault::Gone) => {
                        session.stop().await;
                        return Ok(());
                    }
                }
            }
            last(decoder, &output).await
        }
        .boxed()
    })
}

/// Gives the rows that did not fill a batch.
async fn last(mut decoder: Decoder, output: &Output) -> Result<()> {
    if let Some(batch) = decoder.take()? {
        // A consumer that is gone does not miss it.
        let _ = output.give(batch).await;
    }
    Ok(())
}

/// As [`Line::copy`], through the client library.
async fn copy_out(
    session: &Session,
    copy: &str,
    decoder: &mut Decoder,
    output: &Output,
    subject: &Subject,
) -> std::result::Result<(), Fault> {
    let explain = |e| Fault::AtServer(session.endpoint.failed(&e, subject));
    let mut frames = std::pin::pin!(session.client.copy_out(copy).await.map_err(explain)?);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(explain)?;
        let mut rest = frame.as_ref();
        while decoder.feed(&mut rest)? == Pause::Full {
            if let Some(batch) = decoder.take()? {
                output.give(batch).await.map_err(|_| Fault::Gone)?;
            }
        }
    }
    decoder.end_copy()?;
    Ok(())
}
