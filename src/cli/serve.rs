//! `sealift serve`: the daemon.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Context, Done};
use crate::error::Result;
use crate::run::progress::Unwatched;
use crate::run::{self, Extent, Job, RunId};
use crate::serve::{self, Documents, Reloads, Runner, Settings, Signals, SystemClock};
use crate::spec::Pipeline;

pub(super) async fn run(context: &Context) -> Done {
    let signals = Signals::listen()?;
    let documents = Documents::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let engine = documents.engine();
    let listen = engine.config.listen.http;
    let settings = Settings {
        registry: documents.registry().clone(),
        documents: Some(documents.clone()),
        reloads: Reloads::default(),
        ledger: engine.ledger.clone(),
        runner: Arc::new(Runs(documents)),
        clock: Arc::new(SystemClock),
        runs_at_once: serve::RUNS_AT_ONCE,
        grace: serve::GRACE,
        cancel_wait: serve::CANCEL_WAIT,
    };
    eprintln!("sealift serves http://{listen} (loopback only); stop it with Ctrl-C or SIGTERM");
    Ok(serve::serve(settings, listen, signals).await?)
}

/// Runs pipelines for the daemon, each from its begin to its end with the documents that were in force when it began.
struct Runs(Documents);

#[async_trait]
impl Runner for Runs {
    async fn run(&self, run_id: &RunId, pipeline: &Pipeline, cancel: CancellationToken) -> Result<()> {
        let job = Job { run_id: *run_id, pipeline, only: None, extent: &Extent::New, cancel: &cancel };
        let engine = self.0.engine();
        run::execute(&engine, &job, &Unwatched).await.map(|_| ())
    }
}
