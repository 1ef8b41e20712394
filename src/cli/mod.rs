//! The command line: one file per verb.
//!
//! Results go to stdout, everything else to stderr. Under `--json` the last line of stdout is one
//! JSON object, also when the command failed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the part that talks to people")]

mod args;
mod audit;
mod backfill;
mod classify;
mod compact;
mod completions;
mod datasets;
mod doctor;
mod erase;
mod follow;
mod health;
mod keys;
mod logs;
mod pause;
mod plan;
mod policy;
mod process;
mod progress;
mod query;
mod remote;
mod reseal;
mod runs;
mod schema;
mod serve;
mod show;
mod sync;
mod token;
mod trigger;
mod vacuum;
mod validate;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use crate::error::{Error, Kind};
use crate::keys::root;
use crate::run::Engine;
use crate::serve::RunLogs;
use crate::serve::traces::Traces;
use crate::spec::Problems;
use args::{Args, Command};

/// What every verb is told.
#[derive(Debug)]
struct Context {
    /// The configuration document.
    config: PathBuf,
    /// Answer for programs.
    json: bool,
    /// The log lines of a daemon's runs.
    logs: RunLogs,
    /// Nothing is sent before they begin.
    traces: Traces,
}

impl Context {
    /// Sends traces where the configuration says.
    fn begin_traces(&self, engine: &Engine) -> Result<(), Error> {
        engine.config.observability.traces.as_ref().map_or(Ok(()), |settings| self.traces.begin(settings))
    }
}

/// A verb that failed, with what it has to tell programs beside the error.
#[derive(Debug)]
struct Failure {
    error: Error,
    summary: Box<Value>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, summary: Box::new(json!({})) }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self { summary: Box::new(problems.to_json()), error: problems.into() }
    }
}

/// The result of a verb.
type Done = Result<(), Failure>;

/// Runs the command line of this process to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    process::return_freed_memory();
    process::forbid_core_dumps();
    process::quiet_panics();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            let code = if error.use_stderr() { Kind::Usage.meaning().exit_code } else { 0 };
            return ExitCode::from(code);
        }
    };
    let is_daemon = matches!(args.command, Command::Serve);
    // A daemon's log is its diary; a command's is for what went wrong.
    let level = if is_daemon { LevelFilter::INFO } else { LevelFilter::WARN };
    let runs = is_daemon.then(RunLogs::default);
    let traces = logs::start(args.verbose, level, args.log_format, runs.clone());
    let context = Context { config: args.config, json: args.json, logs: runs.unwrap_or_default(), traces };
    let done = process::runtime().map_err(Failure::from).and_then(|runtime| {
        let done = runtime.block_on(async {
            let done = dispatch(&context, args.command).await;
            context.traces.end().await;
            done
        });
        // What still runs after its verb ended (a read that blocks, a log line) must not hold up the exit.
        runtime.shutdown_background();
        root::end();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&context, failure),
    }
}

async fn dispatch(context: &Context, command: Command) -> Done {
    let done = match command {
        Command::Validate(args) => validate::run(context, &args),
        Command::Plan(args) => plan::run(context, &args).await,
        Command::Classify(args) => classify::run(context, &args).await,
        Command::Sync(args) => sync::run(context, &args).await,
        Command::Backfill(args) => backfill::run(context, &args).await,
        Command::Query(args) => query::run(context, &args).await,
        Command::Runs(args) => runs::run(context, &args).await,
        Command::Datasets(args) => datasets::run(context, &args).await,
        Command::Erase(args) => erase::run(context, &args).await,
        Command::Compact(args) => compact::run(context, &args).await,
        Command::Reseal(args) => reseal::run(context, &args).await,
        Command::Vacuum(args) => vacuum::run(context, &args).await,
        Command::Verify(args) => verify::run(context, &args).await,
        Command::Keys(args) => keys::run(context, &args).await,
        Command::Audit(args) => audit::run(context, &args).await,
        Command::Policy(args) => policy::run(context, &args).await,
        Command::Serve => serve::run(context).await,
        Command::Trigger(args) => trigger::run(context, &args).await,
        Command::Pause(args) => pause::run(context, &args, pause::Verb::Pause).await,
        Command::Resume(args) => pause::run(context, &args, pause::Verb::Resume).await,
        Command::Health(args) => health::run(context, &args).await,
        Command::Token(args) => token::run(context, &args).await,
        Command::Doctor => doctor::run(context).await,
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    crate::run::ledger::let_go().await;
    done
}

/// Prints the error for people, the summary for programs, and picks the exit code.
fn report(context: &Context, failure: Failure) -> ExitCode {
    let Failure { error, mut summary } = failure;
    show::error(&error);
    let meaning = error.kind().meaning();
    if context.json {
        if let Value::Object(summary) = summary.as_mut() {
            summary.insert("outcome".into(), json!(meaning.outcome));
            summary.insert("error".into(), show::error_json(&error));
        }
        show::json(&summary);
    }
    ExitCode::from(meaning.exit_code)
}
