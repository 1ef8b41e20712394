//! `sealift serve`: the daemon.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Context, Done};
use crate::error::Result;
use crate::run::progress::Unwatched;
use crate::run::{self, Engine, Extent, Job, RunId};
use crate::serve::{self, Entrance, Registry, Runner, Settings, SystemClock};
use crate::spec::Pipeline;

pub(super) async fn run(context: &Context) -> Done {
    let engine = Arc::new(Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?);
    let listen = engine.config.listen.clone();
    let entrance = Entrance {
        tls: listen.tls.clone(),
        access: engine.config.access.clone(),
        limits: serve::Limits::default(),
    };
    let settings = Settings {
        registry: Registry::of(engine.pipelines.clone()),
        ledger: engine.ledger.clone(),
        runner: Arc::new(Runs(engine)),
        clock: Arc::new(SystemClock),
        runs_at_once: serve::RUNS_AT_ONCE,
        grace: serve::GRACE,
        cancel_wait: serve::CANCEL_WAIT,
        entrance,
    };
    let address = listen.http;
    let scheme = if listen.tls.is_some() { "https" } else { "http" };
    eprintln!("sealift serves {scheme}://{address}; stop it with Ctrl-C or SIGTERM");
    if listen.is_open() {
        eprintln!("warning: tokens and passwords come unencrypted from other machines (`plaintext_allowed`)");
    }
    Ok(serve::serve(settings, address).await?)
}

/// Runs pipelines for the daemon.
struct Runs(Arc<Engine>);

#[async_trait]
impl Runner for Runs {
    async fn run(&self, run_id: &RunId, pipeline: &Pipeline, cancel: CancellationToken) -> Result<()> {
        let job = Job { run_id: *run_id, pipeline, only: None, extent: &Extent::New, cancel: &cancel };
        run::execute(&self.0, &job, &Unwatched).await.map(|_| ())
    }
}
