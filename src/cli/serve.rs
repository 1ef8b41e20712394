//! `sealift serve`: the daemon.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Context, Done};
use crate::error::Result;
use crate::run::{self, Engine, Extent, Job, RunId};
use crate::serve::{self, Documents, Live, Registry, Runner, Settings, SystemClock, Views};
use crate::spec::Pipeline;

pub(super) async fn run(context: &Context) -> Done {
    let engine = Arc::new(Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?);
    let listen = engine.config.listen.http;
    let registry = Registry::of(engine.pipelines.clone());
    let views = Views { logs: context.logs.clone(), ..Views::default() };
    let settings = Settings {
        registry: registry.clone(),
        documents: Some(Documents::of(Arc::clone(&engine), registry)),
        views: views.clone(),
        ledger: engine.ledger.clone(),
        runner: Arc::new(Runs { engine, live: views.live }),
        clock: Arc::new(SystemClock),
        runs_at_once: serve::RUNS_AT_ONCE,
        grace: serve::GRACE,
        cancel_wait: serve::CANCEL_WAIT,
    };
    eprintln!("sealift serves http://{listen} (loopback only); stop it with Ctrl-C or SIGTERM");
    Ok(serve::serve(settings, listen).await?)
}

/// Runs pipelines for the daemon.
struct Runs {
    engine: Arc<Engine>,
    live: Live,
}

#[async_trait]
impl Runner for Runs {
    async fn run(&self, run_id: &RunId, pipeline: &Pipeline, cancel: CancellationToken) -> Result<()> {
        let job = Job { run_id: *run_id, pipeline, only: None, extent: &Extent::New, cancel: &cancel };
        let watch = self.live.watch(*run_id);
        run::execute(&self.engine, &job, &watch).await.map(|_| ())
    }
}
