//! `sealift runs RUN --follow`: how a run of a daemon goes, until it is over.

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::remote::{MOST_BYTES, Remote};
use super::runs::word;
use super::{Context, Done, show, trigger};
use crate::error::{Error, Kind, Result};
use crate::run::RunId;

/// Longer than a daemon tells without a pause.
const LIMIT: Duration = Duration::from_secs(3700);
/// Longer than a daemon says nothing at all.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a daemon may be away, to be started anew, before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// Tells of the run until it is over; its outcome is that of the command.
pub(super) async fn follow(context: &Context, remote: &Remote, run_id: &RunId) -> Done {
    let path = format!("/v1/runs/{run_id}/events");
    let mut shown = Shown { json: context.json, line: line(context.json), streams: BTreeMap::new() };
    // Any sign of life counts: of a run that waits, or that another daemon carries, there may be nothing to tell for long.
    let (mut heard, mut since) = (String::new(), Instant::now());
    loop {
        let error = match remote.listen(&path, &heard, LIMIT).await {
            Ok(answer) => {
                since = Instant::now();
                let mut events = Events { answer, text: Vec::new(), ready: VecDeque::new() };
                loop {
                    match events.next().await {
                        Ok(Some(Event { name, data, .. })) if name == "end" => {
                            shown.line.finish_and_clear();
                            return trigger::tell(context, &run_id.to_string(), data);
                        }
                        Ok(Some(event)) => {
                            since = Instant::now();
                            if !event.name.is_empty() {
                                shown.tell(&event);
                                heard = event.id;
                            }
                        }
                        // It ends its streams now and then, and when it stops.
                        Ok(None) => break away(),
                        Err(error) => break error,
                    }
                }
            }
            Err(error) => error,
        };
        if !error.kind().meaning().retry || since.elapsed() >= PATIENCE {
            return Err(error.into());
        }
        sleep(PAUSE).await;
    }
}

fn away() -> Error {
    Error::new(Kind::Unreachable, "the daemon does not tell of the run any more")
        .help("start it with `sealift serve`, or write its address in SEALIFT_URL")
}

/// A line that tells where the run stands, on a terminal.
fn line(json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let line = ProgressBar::new_spinner();
    line.enable_steady_tick(Duration::from_millis(100));
    line
}

/// What is shown of a run.
struct Shown {
    json: bool,
    line: ProgressBar,
    /// Its streams that are not waiting, each as it was told last.
    streams: BTreeMap<String, String>,
}

impl Shown {
    fn tell(&mut self, event: &Event) {
        if self.json {
            show::json(&event.data);
        } else if event.name == "state" {
            self.line.set_message(word(&event.data["state"]));
        } else {
            for told in event.data["streams"].as_array().into_iter().flatten() {
                let name = word(&told["stream"]);
                if told["stage"] == "waiting" {
                    self.streams.remove(&name);
                } else {
                    self.streams.insert(name, stream(told));
                }
            }
            let told: Vec<&str> = self.streams.values().map(String::as_str).collect();
            self.line.set_message(told.join("; "));
        }
    }
}

fn stream(told: &Value) -> String {
    let rows = show::count(told["rows"].as_u64().unwrap_or_default());
    let expected = told["expected_rows"].as_u64().map(|rows| format!(" of about {}", show::count(rows)));
    format!("{} {}: {rows}{} rows", word(&told["stream"]), word(&told["stage"]), expected.unwrap_or_default())
}

/// One server-sent event; a comment has no name.
#[derive(Debug, Default, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

/// The events of an answer.
struct Events {
    answer: Response,
    text: Vec<u8>,
    ready: VecDeque<Event>,
}

impl Events {
    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// `Unreachable` when the daemon says nothing for a minute, or too much at once.
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let chunk = timeout(SILENCE, self.answer.chunk()).await.map_err(|_| away())?;
            let Some(chunk) = chunk.map_err(|_| away())? else { return Ok(None) };
            self.text.extend_from_slice(&chunk);
            self.ready.extend(events(&mut self.text));
            if self.text.len() > MOST_BYTES {
                return Err(away());
            }
        }
    }
}

/// Takes whole events off the begin of a text.
fn events(text: &mut Vec<u8>) -> Vec<Event> {
    let mut found = Vec::new();
    while let Some(end) = text.windows(2).position(|window| window == b"\n\n") {
        let block: Vec<u8> = text.drain(..end + 2).collect();
        let mut event = Event::default();
        for line in String::from_utf8_lossy(&block).lines() {
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => id.clone_into(&mut event.id),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap_or_default(),
                _ => {}
            }
        }
        found.push(event);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn streams_are_shown_as_they_were_told_last() {
        let mut shown = Shown { json: false, line: ProgressBar::hidden(), streams: BTreeMap::new() };
        let mut tell = |streams: Value| {
            let data = json!({"streams": streams});
            shown.tell(&Event { name: "progress".into(), id: String::new(), data });
            shown.streams.values().cloned().collect::<Vec<_>>()
        };
        let one = |stage: &str, rows: u64| json!({"stream": "a", "stage": stage, "rows": rows});
        tell(
            json!([one("reading", 1), {"stream": "b", "stage": "waiting"}, {"stream": "c", "stage": "published"}]),
        );
        assert_eq!(tell(json!([one("reading", 2)])), ["a reading: 2 rows", "c published: 0 rows"]);
        assert_eq!(tell(json!([one("waiting", 0)])), ["c published: 0 rows"], "it is tried again");
    }

    #[test]
    fn events_are_taken_whole() {
        let mut text =
            b":\n\nevent: state\nid: state-running\ndata: {\"state\":\"running\"}\n\nevent: e".to_vec();
        let event =
            Event { name: "state".into(), id: "state-running".into(), data: json!({"state": "running"}) };
        assert_eq!(events(&mut text), [Event::default(), event]);
        assert_eq!(text, b"event: e");
    }
}
