//! `sealift pause` and `sealift resume`: ask a daemon to let the schedule of a pipeline rest, and to go on with it.

use serde_json::Value;

use super::args::OfDaemon;
use super::remote::Remote;
use super::{Context, Done, show};
use crate::spec::PipelineName;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Pause,
    Resume,
}

pub(super) async fn run(context: &Context, args: &OfDaemon, verb: Verb) -> Done {
    let pipeline = PipelineName::parse(&args.pipeline)?;
    let word = if verb == Verb::Pause { "pause" } else { "resume" };
    let remote = Remote::new(&args.daemon)?;
    let said: Value = remote.post(&format!("/v1/pipelines/{pipeline}/{word}")).await?;
    if context.json {
        show::json(&said);
    } else if verb == Verb::Pause {
        println!("the schedule of {pipeline} rests; `sealift resume {pipeline}` ends that");
    } else {
        println!("the schedule of {pipeline} goes on");
    }
    Ok(())
}
