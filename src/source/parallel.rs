//! Several workers that read for one consumer.
//!
//! Each worker has a connection of its own and gives batches into one bounded queue. The consumer
//! sees one stream: it ends when every worker has said that it is done, and with the first error.
//! A worker that panics or is aborted is an error and never looks like the end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Gate;
use crate::Batches;
use crate::error::{Error, Result};

/// What stopping at the source may take in the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);
/// Batches that each worker may have read and nobody has asked for.
const BATCHES_AHEAD: usize = 2;

/// What is to be read, shared by the workers of a read: each takes the next piece as soon as it is
/// done with its last, so one large piece does not hold up the others.
pub(super) struct Work<T>(Arc<Mutex<VecDeque<T>>>);

impl<T> Work<T> {
    pub(super) fn new(pieces: impl IntoIterator<Item = T>) -> Self {
        Self(Arc::new(Mutex::new(pieces.into_iter().collect())))
    }

    /// The next piece; `None` when all are taken.
    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl<T> Clone for Work<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Where a worker puts what it reads.
#[derive(Clone)]
pub(super) struct Output {
    sender: mpsc::Sender<Result<Step>>,
    gate: Arc<Gate>,
    room: Arc<Semaphore>,
}

/// The consumer is gone; there is nothing left to do but to stop at the source.
pub(super) struct Gone;

impl Output {
    /// Gives a batch, as soon as the gate lets it through and there is room.
    pub(super) async fn give(&self, batch: RecordBatch) -> std::result::Result<(), Gone> {
        tokio::select! {
            // A source that stands still must not keep a worker that nobody waits for.
            biased;
            () = self.closed() => return Err(Gone),
            () = self.gate.pass(batch.num_rows(), batch.get_array_memory_size()) => {}
        }
        // A batch larger than all the room takes all of it.
        let room_kib = batch.get_array_memory_size().div_ceil(1024).clamp(1, self.gate.queue_kib());
        let room_kib = u32::try_from(room_kib).unwrap_or(u32::MAX);
        let room = tokio::select! {
            biased;
            () = self.closed() => return Err(Gone),
            room = Arc::clone(&self.room).acquire_many_owned(room_kib) => room.map_err(|_| Gone)?,
        };
        self.sender.send(Ok(Step::Batch { batch, _room: room })).await.map_err(|_| Gone)
    }

    /// Resolves when the consumer is gone.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// What a worker hands over. A read is complete only if every worker said its end.
enum Step {
    /// A batch and the room it takes, which is free again when the consumer has it.
    Batch {
        batch: RecordBatch,
        _room: OwnedSemaphorePermit,
    },
    End,
}

/// One worker: reads until it is done, and then has nothing running at the source. When the
/// output is closed it stops the source and returns `Ok`.
pub(super) type Worker = Box<dyn FnOnce(Output) -> BoxFuture<'static, Result<()>> + Send>;

/// The workers of a read, as the snapshot sees them.
pub(super) struct Reading {
    tasks: Vec<JoinHandle<()>>,
    /// Alive as long as the stream is neither at its end nor dropped.
    stream: Weak<()>,
}

impl Reading {
    /// Whether the stream is still being read.
    pub(super) fn is_active(&self) -> bool {
        self.stream.strong_count() > 0
    }

    /// Waits until every worker has stopped at the source.
    ///
    /// # Errors
    /// `Failed` when the stream is still being read, or a worker panicked.
    pub(super) async fn settle(self) -> Result<()> {
        if self.is_active() {
            return Err(Error::failed("a snapshot reads one relation at a time"));
        }
        for task in self.tasks {
            task.await.map_err(|_| broke_off())?;
        }
        Ok(())
    }
}

/// Waits, for a bounded time, until the workers of a read whose stream is gone have stopped at the
/// source.
pub(super) async fn close(reading: &mut Option<Reading>) {
    if let Some(reading) = reading.take_if(|reading| !reading.is_active()) {
        // A worker that broke off has been told to whoever read.
        let _ = timeout(CLOSE_TIMEOUT, reading.settle()).await;
    }
}

/// Starts the workers and gives the stream of what they read.
pub(super) fn gather(workers: Vec<Worker>, gate: &Arc<Gate>) -> (Batches, Reading) {
    let running = workers.len();
    let (sender, receiver) = mpsc::channel((BATCHES_AHEAD * running).max(1));
    let token = Arc::new(());
    let stream = Arc::downgrade(&token);
    let room = Arc::new(Semaphore::new(gate.queue_kib()));
    let is_broken = Arc::new(AtomicBool::new(false));
    let spawn = |worker: Worker| {
        let output = Output { sender: sender.clone(), gate: Arc::clone(gate), room: Arc::clone(&room) };
        let task = run(worker, output, Unfinished(Some(Arc::clone(&is_broken))));
        #[expect(clippy::disallowed_methods, reason = "a worker ends with the stream it reads for")]
        tokio::spawn(task)
    };
    let tasks = workers.into_iter().map(spawn).collect();
    drop(sender);
    let state = State { receiver, running, is_broken, _token: token };
    let batches = stream::unfold(Some(state), |state| async { next(state?).await });
    (batches.boxed(), Reading { tasks, stream })
}

async fn run(worker: Worker, output: Output, unfinished: Unfinished) {
    let ended = worker(output.clone()).await;
    // Nobody may be there to hear it.
    let _ = output.sender.send(ended.map(|()| Step::End)).await;
    unfinished.finish();
}

/// Tells of a worker that ends without a last word, so that the others need not be waited for.
struct Unfinished(Option<Arc<AtomicBool>>);

impl Unfinished {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(is_broken) = &self.0 {
            is_broken.store(true, Ordering::Release);
        }
    }
}

/// The consumer's end.
struct State {
    receiver: mpsc::Receiver<Result<Step>>,
    running: usize,
    /// A worker ended without a last word.
    is_broken: Arc<AtomicBool>,
    _token: Arc<()>,
}

async fn next(mut state: State) -> Option<(Result<RecordBatch>, Option<State>)> {
    while state.running > 0 {
        let step = state.receiver.recv().await;
        if state.is_broken.load(Ordering::Acquire) {
            return Some((Err(broke_off()), None));
        }
        match step {
            Some(Ok(Step::Batch { batch, .. })) => return Some((Ok(batch), Some(state))),
            Some(Ok(Step::End)) => state.running -= 1,
            Some(Err(error)) => return Some((Err(error), None)),
            None => return Some((Err(broke_off()), None)),
        }
    }
    None
}

#[cold]
fn broke_off() -> Error {
    Error::failed("a task that reads from the source broke off")
}

#[cfg(test)]
mod tests;
