//! What runs of this process tell of themselves while they are under way.
//!
//! A run is watched by counters that it adds to batch by batch. Who looks takes a picture of them, as often as it
//! likes: nothing queues up, however slowly somebody looks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::run::progress::{Counter, Progress};
use crate::run::{Published, RunId, StreamPlan};

/// The runs that are under way. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<BTreeMap<RunId, Arc<Seen>>>>);

/// Where a stream of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its turn is yet to come.
    Waiting,
    /// Rows are read, sealed and written.
    Reading,
    /// All rows are written; the commit that makes them visible is under way.
    Committing,
    /// Its version is visible.
    Published,
}

/// One stream of a run that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
pub struct StreamProgress {
    /// The stream.
    pub stream: String,
    /// Its dataset, `namespace.name`.
    pub dataset: String,
    /// Where it stands.
    pub stage: Stage,
    /// Rows read so far.
    pub rows: u64,
    /// Bytes read so far, as held in memory.
    pub bytes: u64,
    /// Rows that the source expects to give, where it can tell.
    pub expected_rows: Option<u64>,
}

/// One run as it is seen.
#[derive(Debug, Default)]
pub struct Seen {
    streams: Mutex<Vec<Counted>>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Counted {
    told: StreamProgress,
    read: Arc<Read>,
}

#[derive(Debug, Default)]
struct Read {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Live {
    /// Watches a run until the answer is dropped.
    #[must_use]
    pub fn watch(&self, run_id: RunId) -> Watch {
        let seen = Arc::<Seen>::default();
        self.runs().insert(run_id, Arc::clone(&seen));
        Watch { live: self.clone(), run_id, seen }
    }

    /// What is seen of a run; `None` unless it is under way in this process.
    #[must_use]
    pub fn of(&self, run_id: &RunId) -> Option<Arc<Seen>> {
        self.runs().get(run_id).cloned()
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, Arc<Seen>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// The streams, in the order they are run in.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamProgress> {
        let now = |counted: &Counted| StreamProgress {
            rows: counted.read.rows.load(Ordering::Relaxed),
            bytes: counted.read.bytes.load(Ordering::Relaxed),
            ..counted.told.clone()
        };
        self.counted().iter().map(now).collect()
    }

    /// Tells when something changes; its value counts the changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Vec<Counted>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream stands at another place; told of one that is not known, it is.
    fn reach(&self, stream: &str, dataset: &str, stage: Stage) -> Arc<Read> {
        let mut streams = self.counted();
        let at = streams.iter().position(|counted| counted.told.stream == stream);
        let index = at.unwrap_or_else(|| {
            streams.push(Counted::of(stream.to_owned(), dataset.to_owned(), None));
            streams.len() - 1
        });
        let read = streams.get_mut(index).map(|counted| {
            counted.told.stage = stage;
            Arc::clone(&counted.read)
        });
        drop(streams);
        self.tick();
        read.unwrap_or_default()
    }

    fn tick(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

impl Counted {
    fn of(stream: String, dataset: String, expected_rows: Option<u64>) -> Self {
        let told =
            StreamProgress { stream, dataset, stage: Stage::Waiting, rows: 0, bytes: 0, expected_rows };
        Self { told, read: Arc::default() }
    }
}

/// Watches one run.
#[derive(Debug)]
pub struct Watch {
    live: Live,
    run_id: RunId,
    seen: Arc<Seen>,
}

impl Progress for Watch {
    fn planned(&self, plans: &[StreamPlan]) {
        tracing::info!(streams = plans.len(), "planned");
        let waiting = |plan: &StreamPlan| {
            Counted::of(plan.relation.stream.to_string(), plan.dataset.to_string(), plan.rows)
        };
        *self.seen.counted() = plans.iter().map(waiting).collect();
        self.seen.tick();
    }

    fn started(&self, plan: &StreamPlan) -> Counter {
        let (stream, dataset) = (plan.relation.stream.as_str(), plan.dataset.to_string());
        tracing::info!(stream, dataset, expected_rows = plan.rows, "reading");
        let read = self.seen.reach(stream, &dataset, Stage::Reading);
        let seen = Arc::clone(&self.seen);
        Arc::new(move |rows, bytes| {
            read.rows.fetch_add(rows, Ordering::Relaxed);
            read.bytes.fetch_add(bytes, Ordering::Relaxed);
            seen.tick();
        })
    }

    fn landing(&self, plan: &StreamPlan) {
        let (stream, dataset) = (plan.relation.stream.as_str(), plan.dataset.to_string());
        tracing::info!(stream, dataset, "committing");
        self.seen.reach(stream, &dataset, Stage::Committing);
    }

    fn published(&self, published: &Published) {
        let (stream, dataset) = (published.stream.as_str(), published.dataset.to_string());
        let (version, rows, bytes) =
            (published.outcome.version, published.outcome.rows, published.outcome.bytes);
        tracing::info!(stream, dataset, version, rows, bytes, seconds = published.seconds, "published");
        self.seen.reach(stream, &dataset, Stage::Published);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.live.runs().remove(&self.run_id);
        // Wakes who waits for a change: there is none to come.
        self.seen.tick();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_seen_from_its_begin_to_its_end() {
        let live = Live::default();
        let run_id = RunId::draw();
        assert!(live.of(&run_id).is_none());
        let watch = live.watch(run_id);
        let seen = live.of(&run_id).unwrap();
        let changes = seen.changes();
        let read = watch.seen.reach("people", "crm.people", Stage::Reading);
        read.rows.fetch_add(7, Ordering::Relaxed);
        assert!(changes.has_changed().unwrap());
        let told = seen.streams();
        assert_eq!((told[0].rows, told[0].stage), (7, Stage::Reading));
        watch.seen.reach("people", "crm.people", Stage::Published);
        assert_eq!(seen.streams().iter().map(|one| one.stage).collect::<Vec<_>>(), [Stage::Published]);
        drop(watch);
        assert!(live.of(&run_id).is_none());
    }
}
