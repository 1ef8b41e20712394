//! `sealift trigger`: asks a daemon for a run, and waits for its end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::args::Trigger;
use super::remote::{Remote, Triggered, printable};
use super::runs::{self, MOST_CHARS, word};
use super::{Context, Done, Failure, show};
use crate::error::{Error, Kind, Result};
use crate::spec::PipelineName;

/// How long one request waits for the end of a run.
const WAIT: Duration = Duration::from_secs(20);
/// How long a daemon may be away, to be started anew, before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same where nobody said that they wait.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context, args: &Trigger) -> Done {
    let pipeline = PipelineName::parse(&args.pipeline)?;
    let limit = args.timeout.as_deref().map(humantime::parse_duration).transpose();
    let limit = limit
        .map_err(|_| Error::new(Kind::Usage, "this is not a duration").help("write --timeout 90m or 2h"))?;
    let job = Job { remote: Remote::new(&args.daemon)?, pipeline, begun: Instant::now(), limit };
    let run_id = job.ask(args).await?;
    if !args.wait {
        if context.json {
            show::json(&json!({"run_id": run_id, "pipeline": job.pipeline.as_str()}));
        } else {
            println!("{run_id}");
        }
        return Ok(());
    }
    let told = |words: &str| {
        if !context.json {
            eprintln!("{words}");
        }
    };
    told(&format!("run {run_id} of pipeline {}: Ctrl-C ends the waiting, not the run", job.pipeline));
    let run = job.wait(&run_id, told).await?;
    tell(context, &run_id, run)
}

/// A run that is wanted, within a time.
struct Job {
    remote: Remote,
    pipeline: PipelineName,
    begun: Instant,
    limit: Option<Duration>,
}

impl Job {
    /// Asks until there is an answer: under one key it is one run.
    ///
    /// # Errors
    /// `Temporary` while the pipeline has another run, or when the time is over; those of [`Remote::trigger`].
    async fn ask(&self, args: &Trigger) -> Result<String> {
        let key = args.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let patience = if args.wait { PATIENCE } else { SHORT_PATIENCE };
        loop {
            let error = match self.within(self.remote.trigger(&self.pipeline, &key)).await? {
                Ok(Triggered::Taken(run_id)) => return Ok(run_id),
                Ok(Triggered::Busy { active: Some(run_id), .. }) if args.join => return Ok(run_id),
                // Another process is about to begin one: asked again, it is named.
                Ok(Triggered::Busy { active: None, error }) if args.join => error,
                Ok(Triggered::Busy { error, .. }) => return Err(error),
                Err(error) if error.kind().meaning().retry => error,
                Err(error) => return Err(error),
            };
            if self.begun.elapsed() >= patience {
                return Err(error);
            }
            self.within(tokio::time::sleep(PAUSE)).await?;
        }
    }

    /// The run once it is over. `told` hears each new state.
    ///
    /// # Errors
    /// `Temporary` when the time is over; those of [`Remote::get`] when they last.
    async fn wait(&self, run_id: &str, told: impl Fn(&str)) -> Result<Value> {
        let path = format!("/v1/runs/{run_id}?wait={}", WAIT.as_secs());
        let mut heard = Instant::now();
        let mut last = String::new();
        loop {
            let sent = Instant::now();
            match self.within(self.remote.get(&path)).await? {
                Ok(run) if run["outcome"].is_string() => return Ok(run),
                Ok(run) => {
                    heard = Instant::now();
                    let state = word(&run["state"]);
                    if state != last {
                        told(&state);
                        last = state;
                    }
                }
                Err(error) if error.kind().meaning().retry && heard.elapsed() < PATIENCE => {}
                Err(error) => return Err(error),
            }
            // A daemon that many wait for answers at once.
            self.within(tokio::time::sleep_until(sent + PAUSE)).await?;
        }
    }

    /// # Errors
    /// `Temporary` when the time is over first.
    async fn within<T>(&self, asked: impl Future<Output = T>) -> Result<T> {
        let Some(limit) = self.limit else { return Ok(asked.await) };
        tokio::time::timeout_at(self.begun + limit, asked).await.map_err(|_| {
            Error::temporary("the run is not over within --timeout")
                .help("it goes on; trigger again with --join --wait, or raise --timeout")
        })
    }
}

/// Tells what became of the run; its outcome is that of the command.
pub(super) fn tell(context: &Context, run_id: &str, run: Value) -> Done {
    let outcome = run["outcome"].as_str().unwrap_or_default();
    let kind = Kind::of_outcome(outcome);
    if let Some(kind) = kind.or((outcome != "done").then_some(Kind::Failed)) {
        let ended = format!("run {run_id} ended: {outcome}");
        let said = run["error"].as_str().unwrap_or(&ended);
        // What a run records of its error ends with the remedy.
        let (message, help) = said.split_once("\nhelp: ").map_or((said, None), |(m, h)| (m, Some(h)));
        let error = Error::new(kind, printable(message, MOST_CHARS)).at(format!("run {run_id}"));
        let error = help.into_iter().fold(error, |error, help| error.help(printable(help, MOST_CHARS)));
        return Err(Failure { error, summary: Box::new(run) });
    }
    if context.json {
        show::json(&run);
    } else {
        runs::print_one(&run);
    }
    Ok(())
}
