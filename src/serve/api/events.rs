//! What a run tells while it is under way: its log lines, and server-sent events.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::params::{Params, Within};
use super::places::Place;
use super::runs::{LOOK_INTERVAL, find_run, may};
use super::shapes::EventShape;
use super::{Answer, Api, unavailable};
use crate::govern::{Permission, Principal};
use crate::run::RunId;
use crate::run::ledger::Run;
use crate::serve::auth::{Gate, Peer, lost};
use crate::serve::live::StreamProgress;
use crate::serve::logs::MAX_LINES;
use crate::serve::problem::Problem;
use crate::spec::PipelineName;

/// Least time between two pictures of a run's progress.
const PACE: Duration = Duration::from_millis(250);
/// A sign of life after so long without an event.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A listener that takes nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(30);
/// A stream ends after so long; who still wants to know comes back.
const LONGEST: Duration = Duration::from_secs(3600);
/// Events that may be on their way to one listener: each may be of thousands of streams.
const UNDER_WAY: usize = 1;
/// Most bytes of an event's id.
const MOST_ID_BYTES: usize = 64;
/// The id of the last event of a run: who comes back with it has heard all there is.
const END: &str = "end";

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Lines {
    /// The `seq` of the last line that is known.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_u64, default = 0)]
    after: Option<Within<0, 9_007_199_254_740_991>>,
    /// Most lines of the answer.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<Within<1, 1000>>,
}

/// Read the log of a run
///
/// One JSON object a line, `{"seq","at","level","message",…}`, oldest first. The newest 1,000 lines of a run are kept by
/// the process that carries it, for as long as it lives and has room. No line holds a value of a row.
#[utoipa::path(
    get, path = "/runs/{run_id}/logs", operation_id = "readRunLog", tag = "runs",
    params(("run_id" = String, Path, description = "The run.", format = "uuid"), Lines),
    responses(
        (status = 200, description = "Lines of JSON.", body = String, content_type = "application/x-ndjson"),
        (status = 404, description = "`no-such-run`"),
    ),
)]
pub(super) async fn read_log(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(run_id): Path<String>,
    Params(lines): Params<Lines>,
) -> Answer {
    let run = find_run(&api, &run_id).await?;
    may(&principal, Permission::RunRead, &run)?;
    let after = lines.after.map_or(0, Within::get);
    let limit = lines.limit.and_then(|limit| usize::try_from(limit.get()).ok()).unwrap_or(MAX_LINES);
    let lines = api.views.logs.of(&run.run_id, after, limit);
    let text: String = lines.into_iter().map(|line| line.text + "\n").collect();
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
}

/// Follow a run
///
/// Server-sent events. `progress` has `streams`, each with `stream`, `dataset`, `stage` (`waiting`, `reading`,
/// `committing`, `published`), `rows`, `bytes` and `expected_rows`: all of them the first time, so that who comes back has
/// lost nothing, and after that those that changed. The last event is `end`, with the run. A stream ends after an hour at
/// the latest.
#[utoipa::path(
    get, path = "/runs/{run_id}/events", operation_id = "followRun", tag = "runs",
    params(
        ("run_id" = String, Path, description = "The run.", format = "uuid"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was heard.", max_length = 64),
    ),
    responses(
        (status = 200, description = "Events, each of this form.", body = EventShape, content_type = "text/event-stream"),
        (status = 204, description = "The `end` of the run was heard already."),
        (status = 404, description = "`no-such-run`"),
        (status = 503, description = "`listeners`: too many listen already; `busy`; `timeout`"),
    ),
)]
pub(super) async fn follow_run(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(run_id): Path<String>,
    Extension(gate): Extension<Gate>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer {
    let run = find_run(&api, &run_id).await?;
    may(&principal, Permission::RunRead, &run)?;
    let heard = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    if heard.len() > MOST_ID_BYTES {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad-request", "this is the id of no event"));
    }
    if heard == END && run.state.is_final() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Some(place) = api.listeners.take(&principal.actor()) else {
        return Err(unavailable("listeners", "too many listen to runs already"));
    };
    let (events, heard_by) = mpsc::channel(UNDER_WAY);
    let teller = Teller { api, run_id: run.run_id, heard: heard.to_owned(), events, _place: place };
    let pipeline = PipelineName::parse(&run.pipeline).ok();
    tell(teller, lost(gate, peer, headers, Permission::RunRead, pipeline));
    let events = futures::stream::unfold(heard_by, |mut events| async move {
        let event: Event = events.recv().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let kept_alive = Sse::new(events.boxed()).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok((
        [(header::CACHE_CONTROL, "no-store"), (header::HeaderName::from_static("x-accel-buffering"), "no")],
        kept_alive,
    )
        .into_response())
}

/// Tells until the run is over, nobody hears, or `lost` ends: the listener may not hear it any more.
#[expect(clippy::disallowed_methods, reason = "ends with its run, its listener, the daemon or its hour")]
fn tell(teller: Teller, lost: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        let closing = teller.api.closing.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            () = sleep(LONGEST) => {}
            () = lost => {}
            _ = teller.tell() => {}
        }
    });
}

/// Tells one listener of one run.
struct Teller {
    api: Api,
    run_id: RunId,
    /// The id of the event that was heard last.
    heard: String,
    events: mpsc::Sender<Event>,
    _place: Place,
}

impl Teller {
    /// Tells until the run is over; `None` once nobody hears.
    async fn tell(mut self) -> Option<()> {
        let dispatcher = self.api.dispatcher.clone();
        let (mut state, mut streams) = (None, Vec::new());
        loop {
            let mut news = std::pin::pin!(dispatcher.news_of(&self.run_id));
            news.as_mut().enable();
            let Ok(Some(run)) = dispatcher.ledger().run(&self.run_id).await else {
                // The store is away for a moment.
                tokio::select! {
                    () = self.events.closed() => return None,
                    () = sleep(LOOK_INTERVAL) => continue,
                }
            };
            if run.state.is_final() {
                return self.send(END, Event::default().event("end").id(END), &run.to_json()).await;
            }
            if state != Some(run.state) {
                self.state(&run).await?;
                state = Some(run.state);
            }
            // What another process does is seen in the ledger alone.
            let look_again = sleep(LOOK_INTERVAL);
            tokio::pin!(look_again);
            loop {
                let changes = self.see(&mut streams).await?;
                sleep(PACE).await;
                if changes.is_none() && self.api.views.live.of(&self.run_id).is_some() {
                    // From here on there is something to see.
                    continue;
                }
                tokio::select! {
                    () = &mut news => break,
                    () = &mut look_again => break,
                    () = changed(changes) => {}
                    () = self.events.closed() => return None,
                }
            }
        }
    }

    /// Tells where the streams stand, where that is not as it was `before`; answers what hears of the next change, where one
    /// can be seen from here.
    async fn see(&mut self, before: &mut Vec<StreamProgress>) -> Option<Option<watch::Receiver<u64>>> {
        let seen = self.api.views.live.of(&self.run_id);
        let changes = seen.as_ref().map(|seen| seen.changes());
        let streams = seen.map(|seen| seen.streams()).unwrap_or_default();
        if streams != *before {
            self.progress(&streams, before).await?;
        }
        *before = streams;
        // What was heard is spared at the begin alone: the same is news when it comes again.
        self.heard.clear();
        Some(changes)
    }

    async fn state(&mut self, run: &Run) -> Option<()> {
        let id = format!("state-{}", run.state.word());
        let told = json!({"run_id": run.run_id.to_string(), "state": run.state.word()});
        self.send(&id, Event::default().event("state").id(&id), &told).await
    }

    /// Tells of the streams that are not as they were `before`.
    async fn progress(&mut self, streams: &[StreamProgress], before: &[StreamProgress]) -> Option<()> {
        let changed = changed_since(streams, before);
        if changed.is_empty() {
            return Some(());
        }
        let id = id_of(streams);
        let told = json!({"run_id": self.run_id.to_string(), "streams": changed});
        self.send(&id, Event::default().event("progress").id(&id), &told).await
    }

    /// Sends an event, unless it is the one that was heard last.
    async fn send(&mut self, id: &str, event: Event, told: &serde_json::Value) -> Option<()> {
        if self.heard == id {
            return Some(());
        }
        let event = event.data(told.to_string());
        timeout(PATIENCE, self.events.send(event)).await.ok()?.ok()
    }
}

/// The streams that are not as they were `before`.
fn changed_since<'s>(streams: &'s [StreamProgress], before: &[StreamProgress]) -> Vec<&'s StreamProgress> {
    let others = streams.iter().enumerate().filter(|(place, stream)| before.get(*place) != Some(*stream));
    others.map(|(_, stream)| stream).collect()
}

/// The id of the event after which it is known where all of these streams stand.
fn id_of(streams: &[StreamProgress]) -> String {
    let mut picture = DefaultHasher::new();
    streams.hash(&mut picture);
    format!("progress-{:016x}", picture.finish())
}

/// Ends at the next change; never where none can be seen from here.
async fn changed(changes: Option<watch::Receiver<u64>>) {
    match changes {
        Some(mut changes) => {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::live::Stage;

    #[test]
    fn streams_are_told_when_they_changed() {
        let one = |stream: &str, rows| StreamProgress {
            stream: stream.to_owned(),
            dataset: format!("crm.{stream}"),
            stage: Stage::Reading,
            rows,
            bytes: 0,
            expected_rows: None,
        };
        let (before, after) = (vec![one("a", 1), one("b", 1)], vec![one("a", 1), one("b", 2), one("c", 0)]);
        assert_eq!(changed_since(&before, &[]), [&before[0], &before[1]]);
        assert_eq!(changed_since(&after, &before), [&after[1], &after[2]]);
        assert!(changed_since(&after, &after).is_empty());
        assert_ne!(id_of(&before), id_of(&after));
        assert_eq!(id_of(&after), id_of(&after.clone()));
    }
}
