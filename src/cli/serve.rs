//! `sealift serve`: the daemon.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Context, Done};
use crate::error::Result;
use crate::run::progress::Unwatched;
use crate::run::{Engine, Extent, Job, RunId};
use crate::serve::{self, Registry, Runner, Settings, SystemClock};
use crate::spec::Pipeline;

pub(super) async fn run(context: &Context) -> Done {
    let engine = Arc::new(Engine::open(&context.config, &|notice| tracing::warn!("{notice}")).await?);
    context.begin_traces(&engine)?;
    let listen = engine.config.listen.http;
    let settings = Settings {
        registry: Registry::of(engine.pipelines.clone()),
        ledger: engine.ledger.clone(),
        runner: Arc::new(Runs(engine.clone())),
        clock: Arc::new(SystemClock),
        observability: engine.config.observability.clone(),
        runs_at_once: serve::RUNS_AT_ONCE,
        grace: serve::GRACE,
        cancel_wait: serve::CANCEL_WAIT,
    };
    Ok(serve::serve(settings, listen).await?)
}

/// Runs pipelines for the daemon.
struct Runs(Arc<Engine>);

#[async_trait]
impl Runner for Runs {
    async fn run(&self, run_id: &RunId, pipeline: &Pipeline, cancel: CancellationToken) -> Result<()> {
        let job = Job { run_id: *run_id, pipeline, only: None, extent: &Extent::New, cancel: &cancel };
        serve::lineage::execute(&self.0, &job, &Unwatched).await.map(|_| ())
    }
}
