//! A COPY in progress: a task that decodes ahead of the consumer by a fixed number of batches.
//!
//! The task is there for two reasons. While the consumer encodes one batch, the next is fetched and
//! decoded, so the server is not kept waiting. And a dropped stream has to be answered with a cancel
//! request, which takes more than a `drop` can do.

use std::sync::{Arc, Weak};

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
        self.task.await.map_err(|_| Error::failed("the task that reads from PostgreSQL broke down"))
    }

    /// Whether the stream is still being read.
    pub(super) fn is_active(&self) -> bool {
        self.stream.strong_count() > 0
    }
}

/// Starts the read of what the `copy` statement sends. The server answers it only once it has a
/// buffer full of rows, so a fault in starting is the first item of the stream.
pub(super) fn start(
    session: Arc<Session>,
    copy: String,
    decoder: Decoder,
    subject: Subject,
) -> (Batches, Reading) {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let token = Arc::new(());
    let alive = Arc::downgrade(&token);
    #[expect(clippy::disallowed_methods, reason = "the reader ends with its stream")]
    let task = tokio::spawn(run(session, copy, decoder, subject, sender));
    let batches = stream::unfold((receiver, token), |(mut receiver, token)| async move {
        receiver.recv().await.map(|batch| (batch, (receiver, token)))
    });
    (batches.boxed(), Reading { task, stream: alive })
}

type Sender = mpsc::Sender<Result<arrow::record_batch::RecordBatch>>;

/// The whole of a read. Whatever way it ends, the server is not left sending.
async fn run(session: Arc<Session>, copy: String, decoder: Decoder, subject: Subject, sender: Sender) {
    let ended = tokio::select! {
        biased;
        () = sender.closed() => None,
        ended = produce(&session, &copy, decoder, &subject, &sender) => Some(ended),
    };
    if !matches!(ended, Some(Ok(()))) {
        session.cancel().await;
    }
    if let Some(Err(error)) = ended {
        let _ = sender.send(Err(error)).await;
    }
}

async fn produce(
    session: &Session,
    copy: &str,
    mut decoder: Decoder,
    subject: &Subject,
    sender: &Sender,
) -> Result<()> {
    let explain = |e| session.endpoint.failed(&e, subject);
    let mut frames = std::pin::pin!(session.client.copy_out(copy).await.map_err(explain)?);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(explain)?;
        let mut rest = frame.as_ref();
        while decoder.feed(&mut rest)? == Pause::Full {
            if let Some(batch) = decoder.take()? {
                // A closed channel ends the task from outside.
                let _ = sender.send(Ok(batch)).await;
            }
        }
    }
    if let Some(batch) = decoder.finish()? {
        let _ = sender.send(Ok(batch)).await;
    }
    Ok(())
}
