//! OpenLineage events of runs: which tables became which, column by column, and how they were protected.
//!
//! A run of a pipeline is a job without data of its own; each of its streams is a child of it, with one input and its
//! outputs, so that lineage says which table came from which. Events go to the outbox of the metadata store; nothing of
//! it can hold up or fail a run. They hold names, types, counts and digests: no SQL, which may quote a value, and no value.

mod event;
mod naming;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Instrument as _;
use uuid::Uuid;

pub(super) use self::event::Event;
use self::event::{Kind, facet, job_facets, parent_of, run_facets};
use super::notify::lineage_places;
use crate::error::{Error, Result};
use crate::govern::store::now_ms;
use crate::run::ledger::outbox::{Outgoing, Put};
use crate::run::ledger::{EndedRun, Ledger, State, Trigger};
use crate::run::progress::{Both, Counter};
use crate::run::{self, Engine, Job, Progress, Published, StreamPlan};
use crate::spec::config::Lineage;

/// Events of one run that wait to be written; further ones are lost.
const QUEUE: usize = 256;
/// How long the metadata store may take for one event.
const LIMIT: Duration = Duration::from_secs(5);

/// As [`run::execute`], and puts the events of the streams out where the configuration asks for lineage. Dropped, it tells
/// that the streams under way were aborted.
///
/// # Errors
/// Those of [`run::execute`]; what befalls an event is only logged.
#[expect(
    clippy::disallowed_methods,
    reason = "awaited here; dropped, it has a bounded number of events to write"
)]
pub async fn execute(engine: &Engine, job: &Job<'_>, progress: &dyn Progress) -> Result<Vec<Published>> {
    let Some(settings) = &engine.config.observability.lineage else {
        return run::execute(engine, job, progress).await;
    };
    let (sender, events) = mpsc::channel(QUEUE);
    let written = write(engine.ledger.clone(), lineage_places(settings), events).in_current_span();
    let written = tokio::spawn(written);
    let recorder = Recorder { engine, job, settings, sender, open: Mutex::default() };
    recorder.begin();
    let done = run::execute(engine, job, &Both(progress, &recorder)).await;
    recorder.end(done.as_ref().err());
    drop(recorder);
    // It does not panic.
    let _ = written.await;
    done
}

/// The end of a run, as the ledger has it.
pub(super) fn ended(settings: &Lineage, ended: &EndedRun) -> Event {
    let run = &ended.run;
    let kind = match run.state {
        State::Succeeded => Kind::Complete,
        State::Cancelled => Kind::Abort,
        _ => Kind::Fail,
    };
    let mut facets = run_facets(run.error.as_deref());
    if run.trigger == Trigger::Schedule {
        facets.insert(
            "nominalTime".into(),
            facet(
                "1-0-1",
                "NominalTimeRunFacet",
                json!({"nominalStartTime": event::written(run.created_at)}),
            ),
        );
    }
    let told = json!({
        "trigger": run.trigger.word(), "outcome": run.outcome, "specDigest": run.spec_digest,
        "quarantinedRows": ended.quarantined,
    });
    facets.insert("sealift_run".into(), event::own_facet("run", told));
    let job = json!({"namespace": settings.namespace, "name": run.pipeline, "facets": job_facets(None)});
    let at = run.finished_at.unwrap_or(run.created_at);
    Event::new(
        kind,
        at,
        json!({"runId": run.run_id.to_string(), "facets": facets}),
        job,
        [Value::Null, Value::Null],
    )
}

/// Puts an event out for one place.
///
/// # Errors
/// Those of the metadata store.
pub(super) async fn put(ledger: &Ledger, place: &str, event: &Event) -> Result<Put> {
    let told = format!("{place} {}", event.key);
    let put = ledger.put(Outgoing { place, told: &told, body: &event.body }).await?;
    if put == Put::Full {
        tracing::warn!("an event of lineage was lost: too many wait for its receiver");
    }
    Ok(put)
}

/// Writes events as they come, until the run is over.
async fn write(ledger: Ledger, places: Vec<String>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        for place in &places {
            if !matches!(tokio::time::timeout(LIMIT, put(&ledger, place, &event)).await, Ok(Ok(_))) {
                tracing::warn!("an event of lineage was lost: the metadata store does not answer");
            }
        }
    }
}

/// Watches a run for its events.
struct Recorder<'a> {
    engine: &'a Engine,
    job: &'a Job<'a>,
    settings: &'a Lineage,
    sender: mpsc::Sender<Event>,
    /// Streams that have begun and not ended.
    open: Mutex<BTreeMap<String, Begun>>,
}

/// A stream that has begun.
struct Begun {
    /// A run of its own, which is of this attempt: another one begins another.
    run_id: Uuid,
    described: stream::Described,
}

impl Recorder<'_> {
    fn begin(&self) {
        let pipeline = self.job.pipeline;
        let job = json!({
            "namespace": self.settings.namespace, "name": pipeline.name.as_str(), "facets": job_facets(Some(&pipeline.owner)),
        });
        let run = json!({"runId": self.job.run_id.to_string(), "facets": run_facets(None)});
        self.send(Event::new(Kind::Start, now(), run, job, [Value::Null, Value::Null]));
    }

    /// Streams that have not ended by themselves ended with the attempt.
    fn end(&self, error: Option<&Error>) {
        let Some(error) = error else { return self.open().clear() };
        let kind = match error.kind() {
            crate::error::Kind::Cancelled(_) => Kind::Abort,
            _ => Kind::Fail,
        };
        self.end_all(kind, &error.to_string());
    }

    fn end_all(&self, kind: Kind, error: &str) {
        let open = std::mem::take(&mut *self.open());
        for (stream, begun) in open {
            self.tell(kind, &stream, &begun, Some(error));
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Begun>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, kind: Kind, stream: &str, begun: &Begun, error: Option<&str>) {
        let pipeline = self.job.pipeline;
        let namespace = &self.settings.namespace;
        let mut facets = run_facets(error);
        let parent = parent_of(&self.job.run_id.to_string(), namespace, pipeline.name.as_str());
        facets.insert("parent".into(), parent);
        let policy = &self.engine.policy;
        let told = json!({
            "policy": policy.name, "policyDigest": policy.digest, "specDigest": pipeline.digest,
            "connection": pipeline.connection.as_str(),
        });
        facets.insert("sealift_stream".into(), event::own_facet("stream", told));
        let run = json!({"runId": begun.run_id.to_string(), "facets": facets});
        let name = format!("{}.{stream}", pipeline.name);
        let job = json!({"namespace": namespace, "name": name, "facets": job_facets(Some(&pipeline.owner))});
        self.send(Event::new(kind, now(), run, job, begun.described.datasets()));
    }

    fn send(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            tracing::warn!(run_id = %self.job.run_id, "an event of lineage was lost: too many wait");
        }
    }
}

impl Progress for Recorder<'_> {
    fn started(&self, plan: &StreamPlan) -> Counter {
        let stream = plan.relation.stream.to_string();
        let described = stream::Described::of(self.engine, self.job.pipeline, plan);
        let begun = Begun { run_id: Uuid::now_v7(), described };
        self.tell(Kind::Start, &stream, &begun, None);
        self.open().insert(stream, begun);
        std::sync::Arc::new(|_, _| {})
    }

    fn published(&self, published: &Published) {
        let stream = published.stream.to_string();
        let open = self.open().remove(&stream);
        // A stream that an earlier run published has not begun in this one.
        if let Some(mut begun) = open {
            begun.described.became(published);
            self.tell(Kind::Complete, &stream, &begun, None);
        }
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        self.end_all(Kind::Abort, "stopped where it stood");
    }
}

fn now() -> chrono::DateTime<Utc> {
    chrono::DateTime::from_timestamp_millis(now_ms()).unwrap_or_default()
}
