//! The rows of one stream on their way from the source to objects that nobody sees yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;

use super::draft::Draft;
use super::increment::Asked;
use super::increment::known::Known;
use super::parts::{Loaded, Parts};
use super::passage::{Found, Passage};
use super::progress::Counter;
use super::stream::Stream;
use super::{Memory, cancelled, unless_cancelled};
use crate::error::Result;
use crate::publish::Written;
use crate::source::{Relation, Snapshot};
use crate::{Batches, Rejects};

/// One stream of a run, while it is loaded.
pub(super) struct Load<'a> {
    pub(super) stream: &'a Stream<'a>,
    /// Which rows, and how they are told from those that are published.
    pub(super) asked: &'a Asked,
    /// What is found of the rows on their way.
    pub(super) found: &'a Found,
    /// When the source was read.
    pub(super) taken_at: DateTime<Utc>,
    /// Ends the load, as the run's own token does.
    pub(super) stop: CancellationToken,
    pub(super) counter: Counter,
}

impl Load<'_> {
    /// Reads, decides on types, transforms, seals and writes: in parts, where the load may be gone on with
    /// should it die. `rejects` takes what the decisions reject.
    ///
    /// # Errors
    /// Those of the stages. Parts that were whole before stay, known to the ledger; of the others nothing
    /// is left, but for one that could not be recorded.
    pub(super) async fn write(
        &self,
        snapshot: &mut dyn Snapshot,
        known: Option<Known>,
        rejects: Option<Rejects>,
    ) -> Result<Draft> {
        let Some(mut parts) = Parts::plan(self, snapshot, known.is_some()).await? else {
            let rows = self.read(snapshot, &self.asked.relation).await?;
            return self.seal(rows, known, rejects).await;
        };
        let mut whole = Draft::of(self.stream.engine, self.stream.plan, Written::default()).await?;
        while let Some(part) = parts.next() {
            let loaded = match part.kept {
                Some(kept) => {
                    self.found.is_partial.store(true, Ordering::Relaxed);
                    (self.counter)(kept.read, kept.files.bytes);
                    kept
                }
                None => {
                    let (rows, read) = counted(self.read(snapshot, &part.relation).await?);
                    let written = self.seal(parts.within(&part, rows), None, None).await?.into_written();
                    let loaded = Loaded { files: written, read: read.load(Ordering::Relaxed) };
                    parts.written(self, part.index, &loaded).await?;
                    loaded
                }
            };
            whole.join(loaded.files);
        }
        Ok(whole)
    }

    async fn read(&self, snapshot: &mut dyn Snapshot, relation: &Relation) -> Result<Batches> {
        let rows = unless_cancelled(self.stream.job.cancel, snapshot.read(relation, &self.stream.plan.reads))
            .await?;
        Ok(until_cancelled(rows, self.stop.clone(), self.counter.clone()))
    }

    async fn seal(&self, rows: Batches, known: Option<Known>, rejects: Option<Rejects>) -> Result<Draft> {
        let Self { asked, found, .. } = *self;
        let Stream { engine, store, plan, .. } = *self.stream;
        let passage = Passage { engine, store, plan, asked, found, taken_at: self.taken_at };
        let rows = passage.take(rows, rejects).await?;
        let memory = Memory::of(engine.config.memory_limit_bytes);
        let memory_bytes = match plan.quarantine {
            Some(_) => memory.beside_quarantine().0,
            None => memory.encode_bytes,
        };
        let (protection, folders) = (&plan.protection, &plan.partition_by);
        let keep = known.map(|known| found.brought(plan, known));
        let draft = Draft::write(engine, store, plan, protection, folders, rows, keep, memory_bytes).await?;
        match found.watch.check(engine, plan, protection) {
            Ok(()) => Ok(draft),
            Err(error) => {
                draft.discard(store).await;
                Err(error)
            }
        }
    }
}

/// The rows, and how many of them have passed.
pub(super) fn counted(rows: Batches) -> (Batches, Arc<AtomicU64>) {
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let rows = rows.inspect_ok(move |batch| {
        counter.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
    });
    (rows.boxed(), read)
}

/// The rows, counted, ending with an error as soon as the run is cancelled: the writer then
/// removes what it has written, as after any other fault.
fn until_cancelled(rows: Batches, cancel: CancellationToken, counter: Counter) -> Batches {
    let stopped = cancelled();
    futures::stream::unfold(Some(rows), move |rows| {
        let (cancel, counter, stopped) = (cancel.clone(), counter.clone(), stopped.clone());
        async move {
            let mut rows = rows?;
            tokio::select! {
                biased;
                () = cancel.cancelled() => Some((Err(stopped), None)),
                batch = rows.next() => {
                    let batch = batch?;
                    if let Ok(batch) = &batch {
                        counter(batch.num_rows() as u64, batch.get_array_memory_size() as u64);
                    }
                    Some((batch, Some(rows)))
                }
            }
        }
    })
    .boxed()
}
