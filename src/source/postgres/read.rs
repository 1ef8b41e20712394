//! A COPY in progress: a task that decodes ahead of the consumer by a fixed number of batches.
//!
//! The task is there for two reasons. While the consumer encodes one batch, the next is fetched and
//! decoded, so the server is not kept waiting. And a dropped stream has to be answered with a cancel
//! request, which takes more than a `drop` can do.

use std::sync::{Arc, Weak};

use arrow::record_batch::RecordBatch;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::decode::{Decoder, Pause};
use super::error::Subject;
use super::session::Session;
use crate::Batches;
use crate::error::{Error, Result};

/// Batches decoded and not yet asked for.
const BATCHES_AHEAD: usize = 2;

/// A read under way, as the snapshot sees it.
pub(super) struct Reading {
    task: JoinHandle<()>,
    /// Alive as long as the stream is neither at its end nor dropped.
    stream: Weak<()>,
}

impl Reading {
    /// Waits until the server has stopped sending.
    ///
    /// # Errors
    /// `Failed` when the stream is still being read.
    pub(super) async fn settle(self) -> Result<()> {
        if self.stream.strong_count() > 0 {
            return Err(Error::failed("a snapshot reads one relation at a time"));
        }
        self.task.await.map_err(|_| broke_off())
    }

    /// Whether the stream is still being read.
    pub(super) fn is_active(&self) -> bool {
        self.stream.strong_count() > 0
    }
}

/// What the task hands over. A read is complete only if its end was said: a task that panics or is
/// aborted closes the channel too.
enum Step {
    Batch(RecordBatch),
    End,
}

type Sender = mpsc::Sender<Result<Step>>;

/// Starts the read of what the `copy` statement sends. The server answers it only once it has a
/// buffer full of rows, so a fault in starting is the first item of the stream.
pub(super) fn start(
    session: Arc<Session>,
    copy: String,
    decoder: Decoder,
    subject: Subject,
) -> (Batches, Reading) {
    spawn(|sender| run(session, copy, decoder, subject, sender))
}

/// Starts the task, and gives the stream of what it sends.
fn spawn<F, T>(task: F) -> (Batches, Reading)
where
    F: FnOnce(Sender) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let token = Arc::new(());
    let stream = Arc::downgrade(&token);
    #[expect(clippy::disallowed_methods, reason = "the reader ends with its stream")]
    let task = tokio::spawn(task(sender));
    let batches = stream::unfold(Some((receiver, token)), |state| async {
        let (mut receiver, token) = state?;
        match receiver.recv().await {
            Some(Ok(Step::Batch(batch))) => Some((Ok(batch), Some((receiver, token)))),
            Some(Ok(Step::End)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(broke_off()), None)),
        }
    });
    (batches.boxed(), Reading { task, stream })
}

#[cold]
fn broke_off() -> Error {
    Error::failed("the task that reads from PostgreSQL broke off")
}

/// The whole of a read. Whatever way it ends, the server is not left sending.
async fn run(session: Arc<Session>, copy: String, decoder: Decoder, subject: Subject, sender: Sender) {
    let ended = tokio::select! {
        biased;
        () = sender.closed() => None,
        ended = produce(&session, &copy, decoder, &subject, &sender) => Some(ended),
    };
    // A request that is not needed may be late, and then hit the session's next query.
    if !matches!(ended, Some(Ok(()) | Err(Fault::AtServer(_)))) {
        session.cancel().await;
    }
    if let Some(ended) = ended {
        let _ = sender.send(ended.map(|()| Step::End).map_err(Error::from)).await;
    }
}

/// Why a read ended early.
enum Fault {
    /// The server said so, and has stopped sending.
    AtServer(Error),
    /// What it sends cannot be taken; it goes on sending.
    Here(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::AtServer(error) | Fault::Here(error) => error,
        }
    }
}

async fn produce(
    session: &Session,
    copy: &str,
    mut decoder: Decoder,
    subject: &Subject,
    sender: &Sender,
) -> Result<(), Fault> {
    let explain = |e| Fault::AtServer(session.endpoint.failed(&e, subject));
    // A closed channel ends the task from outside.
    let give = async |batch| drop(sender.send(Ok(Step::Batch(batch))).await);
    let mut frames = std::pin::pin!(session.client.copy_out(copy).await.map_err(explain)?);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(explain)?;
        let mut rest = frame.as_ref();
        while decoder.feed(&mut rest)? == Pause::Full {
            if let Some(batch) = decoder.take()? {
                give(batch).await;
            }
        }
    }
    if let Some(batch) = decoder.finish()? {
        give(batch).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;
    use crate::error::Kind;

    async fn give(sender: &Sender) {
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        sender.send(Ok(Step::Batch(batch))).await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_panics_does_not_look_like_the_end() {
        let (mut batches, reading) = spawn(|sender| async move {
            give(&sender).await;
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(batches.next().await.unwrap().is_ok());
        assert_eq!(batches.next().await.unwrap().unwrap_err().kind(), Kind::Failed);
        assert!(batches.next().await.is_none());
        assert!(!reading.is_active());
        assert!(reading.settle().await.is_err());
    }

    #[tokio::test]
    async fn a_task_that_is_aborted_does_not_look_like_the_end() {
        let (mut batches, reading) = spawn(|sender| async move {
            give(&sender).await;
            std::future::pending::<()>().await;
        });
        assert!(batches.next().await.unwrap().is_ok());
        reading.task.abort();
        assert_eq!(batches.next().await.unwrap().unwrap_err().kind(), Kind::Failed);
        assert!(batches.next().await.is_none());
    }

    #[tokio::test]
    async fn only_the_end_mark_ends_a_read() {
        let (mut batches, reading) = spawn(|sender| async move {
            give(&sender).await;
            sender.send(Ok(Step::End)).await.unwrap();
        });
        assert!(batches.next().await.unwrap().is_ok());
        assert!(reading.is_active());
        assert!(batches.next().await.is_none());
        reading.settle().await.unwrap();
    }
}
