//! `sealift runs RUN --follow`: how a run of a daemon goes, until it is over.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::remote::Remote;
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
/// Far above any event.
const MOST_BYTES: usize = 4 << 20;

/// Tells of the run until it is over; its outcome is that of the command.
pub(super) async fn follow(context: &Context, remote: &Remote, run_id: &RunId) -> Done {
    let path = format!("/v1/runs/{run_id}/events");
    let line = line(context.json);
    let (mut heard, mut since) = (String::new(), Instant::now());
    loop {
        let error = match remote.listen(&path, &heard, LIMIT).await {
            Ok(answer) => {
                let mut events = Events { answer, text: Vec::new(), ready: VecDeque::new() };
                loop {
                    match events.next().await {
                        Ok(Some(Event { name, .. })) if name.is_empty() => {}
                        Ok(Some(Event { name, data, .. })) if name == "end" => {
                            line.finish_and_clear();
                            return trigger::tell(context, &run_id.to_string(), data);
                        }
                        Ok(Some(event)) => {
                            since = Instant::now();
                            tell(context.json, &line, &event);
                            heard = event.id;
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

fn tell(json: bool, line: &ProgressBar, event: &Event) {
    if json {
        show::json(&event.data);
    } else if event.name == "state" {
        line.set_message(word(&event.data["state"]));
    } else {
        let streams = event.data["streams"].as_array().into_iter().flatten();
        let told: Vec<String> = streams.filter(|stream| stream["stage"] != "waiting").map(stream).collect();
        line.set_message(told.join("; "));
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
    fn events_are_taken_whole() {
        let mut text =
            b":\n\nevent: state\nid: state-running\ndata: {\"state\":\"running\"}\n\nevent: e".to_vec();
        let event =
            Event { name: "state".into(), id: "state-running".into(), data: json!({"state": "running"}) };
        assert_eq!(events(&mut text), [Event::default(), event]);
        assert_eq!(text, b"event: e");
    }
}
