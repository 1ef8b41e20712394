//! `sealift trigger`: asks a daemon for a run, and waits for its end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::args::Trigger;
use super::remote::{Remote, printable};
use super::{Context, Done, Failure, show};
use crate::error::{Error, Kind, Result};
use crate::spec::PipelineName;

/// How long one request waits for the end of a run, in seconds.
const WAIT_SECONDS: u32 = 20;
/// How long a daemon may be away, to be started anew, before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// Times a trigger is sent that got no answer.
const ATTEMPTS: u32 = 3;

pub(super) async fn run(context: &Context, args: &Trigger) -> Done {
    let pipeline = PipelineName::parse(&args.pipeline)?;
    let limit = args.timeout.as_deref().map(humantime::parse_duration).transpose();
    let limit = limit
        .map_err(|_| Error::new(Kind::Usage, "this is not a duration").help("write --timeout 90m or 2h"))?;
    let remote = Remote::new(&args.url, &args.token)?;
    let key = args.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let asked = ask(&remote, &pipeline, &key, args.join).await?;
    let run_id = asked["run_id"].as_str().map(printable).unwrap_or_default();
    if !args.wait {
        if context.json {
            show::json(&json!({"run_id": run_id, "pipeline": pipeline.as_str()}));
        } else {
            println!("{run_id}");
        }
        return Ok(());
    }
    if !context.json {
        eprintln!("run {run_id} of pipeline {pipeline}: Ctrl-C ends the waiting, not the run");
    }
    let run = wait(&remote, &run_id, limit, |state| {
        if !context.json {
            eprintln!("{state}");
        }
    })
    .await?;
    tell(context, &run_id, run)
}

/// Asks until there is an answer: under one key it is one run.
async fn ask(remote: &Remote, pipeline: &PipelineName, key: &str, join: bool) -> Result<Value> {
    let path = format!("/v1/pipelines/{pipeline}/runs");
    let mut attempt = 1;
    loop {
        let answer = remote.post(&path, ("idempotency-key", key)).await;
        match answer {
            Err(error) if error.kind() == Kind::Unreachable && attempt < ATTEMPTS => attempt += 1,
            Err(error) if error.kind() == Kind::Temporary && join => {
                return active(remote, pipeline).await?.ok_or(error);
            }
            answer => return answer,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The active run of a pipeline.
async fn active(remote: &Remote, pipeline: &PipelineName) -> Result<Option<Value>> {
    let said = remote.get("/v1/pipelines").await?;
    let mut pipelines = said["pipelines"].as_array().into_iter().flatten();
    let found = pipelines.find(|one| one["name"] == pipeline.as_str()).map(|one| one["active_run"].clone());
    Ok(found.filter(Value::is_string).map(|run_id| json!({"run_id": run_id})))
}

/// The run once it is over. `told` hears each new state.
///
/// # Errors
/// `Temporary` when the time is over, `Unreachable` when the daemon is away for long.
async fn wait(remote: &Remote, run_id: &str, limit: Option<Duration>, told: impl Fn(&str)) -> Result<Value> {
    let begun = Instant::now();
    let mut heard = begun;
    let mut last = String::new();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
        let seconds = left.map_or(WAIT_SECONDS, |left| {
            u32::try_from(left.as_secs()).unwrap_or(WAIT_SECONDS).min(WAIT_SECONDS)
        });
        match remote.get(&format!("/v1/runs/{run_id}?wait={seconds}")).await {
            Ok(run) if run["outcome"].is_string() => return Ok(run),
            Ok(run) => {
                heard = Instant::now();
                let state = printable(run["state"].as_str().unwrap_or_default());
                if state != last {
                    told(&state);
                    last = state;
                }
            }
            Err(error) if error.kind().meaning().retry && heard.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::temporary(format!("run {run_id} is not over yet"))
                .help("it goes on; trigger again with --join --wait, or raise --timeout"));
        }
    }
}

/// Tells what became of the run; its outcome is that of the command.
fn tell(context: &Context, run_id: &str, run: Value) -> Done {
    let outcome = run["outcome"].as_str().unwrap_or_default();
    let kind = Kind::of_outcome(outcome);
    if let Some(kind) = kind.or((outcome != "done").then_some(Kind::Failed)) {
        let said = run["error"].as_str().map_or_else(|| format!("run {run_id} ended: {outcome}"), printable);
        // What a run records of its error ends with the remedy.
        let (message, help) =
            said.split_once("\nhelp: ").map_or((said.as_str(), None), |(m, h)| (m, Some(h)));
        let error = Error::new(kind, message).at(format!("run {run_id}"));
        let error = help.into_iter().fold(error, |error, help| error.help(help));
        return Err(Failure { error, summary: Box::new(run) });
    }
    if context.json {
        show::json(&run);
    } else {
        print(run_id, &run);
    }
    Ok(())
}

fn print(run_id: &str, run: &Value) {
    println!("run {run_id} of pipeline {}: {}", word(&run["pipeline"]), word(&run["state"]));
    let mut table = show::table(
        &["stream", "dataset", "version", "rows", "quarantined", "bytes", "seconds"],
        &[2, 3, 4, 5, 6],
    );
    for stream in run["streams"].as_array().into_iter().flatten() {
        table.add_row([
            word(&stream["stream"]),
            word(&stream["dataset"]),
            stream["version"].as_u64().map(|version| version.to_string()).unwrap_or_default(),
            show::count(stream["rows"].as_u64().unwrap_or_default()),
            show::count(stream["quarantined"].as_u64().unwrap_or_default()),
            show::bytes(stream["bytes"].as_u64().unwrap_or_default()),
            format!("{:.2}", stream["seconds"].as_f64().unwrap_or_default()),
        ]);
    }
    println!("{table}");
}

fn word(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}
