//! Which runs wait and which are under way: who is next, decided without waiting for anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::run::ledger::RunId;
use crate::spec::config::{Connection, Runs};
use crate::spec::{Config, ConnectionName, Pipeline, PipelineName};

/// A run waits this much longer for each step of priority: one of low priority is before any that comes this much
/// later, so that nobody waits for ever.
const STEP_MS: i64 = 600_000;
/// Most steps that a pipeline is set back by for runs that failed in a row.
const MOST_SET_BACK: i64 = 6;

/// How many runs there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub runs: Runs,
    /// Under way at once through one connection, where that is limited.
    pub connections: BTreeMap<ConnectionName, usize>,
}

impl Limits {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let of_connection = |(name, connection): (&ConnectionName, &Connection)| {
            connection.limits().runs.map(|most| (name.clone(), most))
        };
        Self { runs: config.runs, connections: config.connections.iter().filter_map(of_connection).collect() }
    }
}

/// A run that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) run_id: RunId,
    pub(super) pipeline: Arc<Pipeline>,
    /// When it was asked for, in milliseconds since 1970.
    pub(super) asked_ms: i64,
    /// The attempt that waits, from 1.
    pub(super) attempt: u32,
    pub(super) not_before: Option<Instant>,
    pub(super) cancel: CancellationToken,
    /// Within which it was asked for.
    pub(super) asker: tracing::Span,
}

/// A run under way.
#[derive(Debug)]
struct Running {
    run_id: RunId,
    connection: ConnectionName,
    cancel: CancellationToken,
}

/// Every run of this daemon that is not over. A pipeline has at most one under way and one that waits.
#[derive(Debug, Default)]
pub(super) struct Board {
    limits: Limits,
    waiting: BTreeMap<PipelineName, (i64, Waiting)>,
    /// Those whose time has come, by connection and rank: the least of one that has a place is next.
    order: BTreeMap<ConnectionName, BTreeSet<(i64, PipelineName)>>,
    /// The others, and when they may begin.
    later: BTreeSet<(Instant, PipelineName)>,
    running: BTreeMap<PipelineName, Running>,
    busy: BTreeMap<ConnectionName, usize>,
    /// How many runs failed in a row.
    failed: BTreeMap<PipelineName, i64>,
}

impl Board {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Has other limits from here on; what is under way beyond them goes on. False where they are the same.
    pub(super) fn limit(&mut self, limits: Limits) -> bool {
        let is_other = self.limits != limits;
        self.limits = limits;
        is_other
    }

    /// Whether no more runs may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.most_waiting()
    }

    /// How many runs may wait.
    pub(super) fn most_waiting(&self) -> usize {
        self.limits.runs.waiting
    }

    /// The run of a pipeline that is under way.
    pub(super) fn running(&self, pipeline: &PipelineName) -> Option<RunId> {
        self.running.get(pipeline).map(|run| run.run_id)
    }

    /// The run of a pipeline that waits.
    pub(super) fn waiting(&self, pipeline: &PipelineName) -> Option<RunId> {
        self.waiting.get(pipeline).map(|(_, run)| run.run_id)
    }

    /// Whether this run of a pipeline waits or is under way.
    pub(super) fn has(&self, pipeline: &PipelineName, run_id: &RunId) -> bool {
        [self.running(pipeline), self.waiting(pipeline)].contains(&Some(*run_id))
    }

    /// All that wait: of which pipeline, and when they were asked for.
    pub(super) fn all_waiting(&self) -> Vec<(PipelineName, RunId, i64)> {
        self.waiting.iter().map(|(name, (_, run))| (name.clone(), run.run_id, run.asked_ms)).collect()
    }

    /// The run of each pipeline that has one: that under way rather than that which waits.
    pub(super) fn active(&self) -> BTreeMap<PipelineName, RunId> {
        let waiting = self.waiting.iter().map(|(name, (_, run))| (name.clone(), run.run_id));
        waiting.chain(self.running.iter().map(|(name, run)| (name.clone(), run.run_id))).collect()
    }

    /// How many wait or are under way.
    pub(super) fn count(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Lets a run wait; false when one of its pipeline does already.
    pub(super) fn wait(&mut self, run: Waiting) -> bool {
        let name = run.pipeline.name.clone();
        if self.waiting.contains_key(&name) {
            return false;
        }
        let set_back = self.failed.get(&name).copied().unwrap_or(0).min(MOST_SET_BACK);
        let steps = set_back.saturating_sub(run.pipeline.priority.level());
        let rank = run.asked_ms.saturating_add(steps.saturating_mul(STEP_MS));
        match run.not_before {
            Some(at) => drop(self.later.insert((at, name.clone()))),
            None => self.line_up(run.pipeline.connection.clone(), rank, name.clone()),
        }
        self.waiting.insert(name, (rank, run));
        true
    }

    /// The next run that may begin, which counts as under way from here on. One that has to wait holds up nobody.
    pub(super) fn begin_next(&mut self, now: Instant) -> Option<Waiting> {
        self.line_up_due(now);
        if self.running.len() >= self.limits.runs.at_once {
            return None;
        }
        let with_place = self.order.iter().filter(|(connection, _)| self.has_place(connection));
        let firsts = with_place
            .filter_map(|(_, order)| order.iter().find(|(_, name)| !self.running.contains_key(name)));
        let (_, name) = firsts.min()?.clone();
        let run = self.remove(&name)?;
        let connection = run.pipeline.connection.clone();
        *self.busy.entry(connection.clone()).or_default() += 1;
        self.running.insert(name, Running { run_id: run.run_id, connection, cancel: run.cancel.clone() });
        Some(run)
    }

    fn line_up(&mut self, connection: ConnectionName, rank: i64, name: PipelineName) {
        self.order.entry(connection).or_default().insert((rank, name));
    }

    fn line_up_due(&mut self, now: Instant) {
        while let Some((at, name)) = self.later.pop_first() {
            if at > now {
                self.later.insert((at, name));
                break;
            }
            if let Some((rank, run)) = self.waiting.get(&name) {
                self.line_up(run.pipeline.connection.clone(), *rank, name);
            }
        }
    }

    fn has_place(&self, connection: &ConnectionName) -> bool {
        let busy = self.busy.get(connection).copied().unwrap_or(0);
        self.limits.connections.get(connection).is_none_or(|most| busy < *most)
    }

    /// When a run may begin that could not before for its own sake.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// A run is no longer under way.
    pub(super) fn end(&mut self, pipeline: &PipelineName) {
        let Some(run) = self.running.remove(pipeline) else { return };
        if let Some(busy) = self.busy.get_mut(&run.connection) {
            *busy = busy.saturating_sub(1);
        }
        if self.busy.get(&run.connection) == Some(&0) {
            self.busy.remove(&run.connection);
        }
    }

    /// Remembers how a run came out, for those that follow it.
    pub(super) fn came_out(&mut self, pipeline: &PipelineName, well: bool) {
        if well {
            self.failed.remove(pipeline);
        } else {
            *self.failed.entry(pipeline.clone()).or_default() += 1;
        }
    }

    /// Takes a run out, where it waits.
    pub(super) fn take(&mut self, pipeline: &PipelineName, run_id: &RunId) -> Option<Waiting> {
        if self.waiting(pipeline) == Some(*run_id) { self.remove(pipeline) } else { None }
    }

    fn remove(&mut self, pipeline: &PipelineName) -> Option<Waiting> {
        let (rank, run) = self.waiting.remove(pipeline)?;
        let connection = &run.pipeline.connection;
        if let Some(order) = self.order.get_mut(connection) {
            order.remove(&(rank, pipeline.clone()));
            if order.is_empty() {
                self.order.remove(connection);
            }
        }
        if let Some(at) = run.not_before {
            self.later.remove(&(at, pipeline.clone()));
        }
        Some(run)
    }

    /// Takes out all that wait; how many that were.
    pub(super) fn clear(&mut self) -> usize {
        self.order.clear();
        self.later.clear();
        std::mem::take(&mut self.waiting).len()
    }

    /// Whether this run is under way.
    pub(super) fn is_at(&self, run_id: &RunId) -> bool {
        self.running.values().any(|run| run.run_id == *run_id)
    }

    /// Tells a run to stop that is under way; false when it is not here.
    pub(super) fn stop(&self, run_id: &RunId) -> bool {
        let run = self.running.values().find(|run| run.run_id == *run_id);
        run.inspect(|run| run.cancel.cancel()).is_some()
    }
}

/// How long a run whose pipeline another process runs waits before it is looked at again.
pub(super) const ELSEWHERE_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
