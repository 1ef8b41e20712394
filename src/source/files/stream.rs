//! Blocking work that yields batches, as an async stream with a bound.

use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use futures::stream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Batches;
use crate::error::{Error, Result};

/// Batches read ahead of the consumer.
const AHEAD_BATCHES: usize = 2;

/// Where blocking work puts its batches.
pub(super) struct Outlet {
    sender: mpsc::Sender<Result<RecordBatch>>,
}

impl Outlet {
    /// Hands a batch over, waiting for room. False when nobody wants more.
    #[must_use]
    pub(super) fn give(&self, batch: RecordBatch) -> bool {
        self.sender.blocking_send(Ok(batch)).is_ok()
    }

    /// Whether nobody wants more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Runs `work` on a blocking thread; its batches, then its error if it ends in one. The work ends
/// soon after the stream is dropped.
pub(super) fn batches<F>(file_kind: &'static str, work: F) -> Batches
where
    F: FnOnce(&Outlet) -> Result<()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD_BATCHES);
    let task = tokio::task::spawn_blocking(move || work(&Outlet { sender }));
    // The task's own end is waited for: a thread that broke off must not look like the last batch.
    stream::unfold((receiver, Some(task)), move |(mut receiver, task)| async move {
        if let Some(item) = receiver.recv().await {
            return Some((item, (receiver, task)));
        }
        let outcome = task?.await.unwrap_or_else(|_| Err(broke_off(file_kind)));
        outcome.err().map(|error| (Err(error), (receiver, None)))
    })
    .boxed()
}

/// Runs `work` on a blocking thread to its end. The token it is given is cancelled when the
/// returned future is dropped.
///
/// # Errors
/// What the work answers.
pub(super) async fn blocking<T, F>(file_kind: &'static str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&CancellationToken) -> Result<T> + Send + 'static,
{
    let token = CancellationToken::new();
    let stop = token.clone();
    let _guard = token.drop_guard();
    tokio::task::spawn_blocking(move || work(&stop)).await.unwrap_or_else(|_| Err(broke_off(file_kind)))
}

/// A panic in a reader: the parsers of others are not free of them on malformed files.
fn broke_off(file_kind: &str) -> Error {
    Error::data(format!("the {file_kind} reader broke off: a file is malformed in a way it does not expect"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_breaks_off_does_not_look_like_the_end() {
        let mut stream = batches("test", |_| std::panic::resume_unwind(Box::new(())));
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn the_work_ends_when_the_stream_is_dropped() {
        let (done, ended) = tokio::sync::oneshot::channel();
        let mut stream = batches("test", move |outlet| {
            let empty = || RecordBatch::new_empty(arrow::datatypes::Schema::empty().into());
            while outlet.give(empty()) {}
            assert!(outlet.is_closed());
            done.send(()).unwrap();
            Ok(())
        });
        assert!(stream.next().await.unwrap().is_ok());
        drop(stream);
        ended.await.unwrap();
    }
}
