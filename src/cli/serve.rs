//! `sealift serve`: the daemon.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::process::Workers;
use super::{Context, Done};
use crate::error::{Error, Kind, Result};
use crate::run::trail::{self, Trail};
use crate::run::{Extent, Job, RunId};
use crate::serve::{
    self, Bounds, Documents, Entrance, Limits, Live, Reloads, Runner, Settings, Signals, SystemClock, Views,
};
use crate::spec::Pipeline;

pub(super) async fn run(context: &Context) -> Done {
    let signals = Signals::listen()?;
    let workers = Workers::start()?;
    let documents = Documents::open(&context.config, &|notice| tracing::warn!("{notice}")).await?;
    let engine = documents.engine();
    context.begin_traces(&engine)?;
    let listen = engine.config.listen.clone();
    let access = engine.config.access.clone();
    let entrance = Entrance { tls: listen.tls.clone(), access, bounds: Bounds::default() };
    let trail = Trail::new(&engine.config, &engine.ledger, &engine.keyring)?;
    let views = Views { logs: context.logs.clone(), ..Views::default() };
    let settings = Settings {
        registry: documents.registry().clone(),
        documents: Some(documents.clone()),
        reloads: Reloads::default(),
        views: views.clone(),
        ledger: engine.ledger.clone(),
        runner: Arc::new(Runs { documents, live: views.live, workers: workers.handle()? }),
        clock: Arc::new(SystemClock),
        observability: engine.config.observability.clone(),
        limits: Limits::of(&engine.config),
        grace: serve::GRACE,
        cancel_wait: serve::CANCEL_WAIT,
        entrance,
    };
    trail.begin(&trail::served(&engine)).await?;
    let address = listen.http;
    if listen.is_open() {
        tracing::warn!("tokens and passwords come unencrypted from other machines (`plaintext_allowed`)");
    }
    let served = tokio::select! {
        served = serve::serve(settings, address, signals) => served,
        never = trail.attend() => match never {},
    };
    trail.end(served.as_ref().map_or_else(|error| error.message(), |()| "asked to")).await;
    Ok(served?)
}

/// Runs pipelines for the daemon, each from its begin to its end with the documents that were in force when it began.
struct Runs {
    documents: Documents,
    live: Live,
    workers: Handle,
}

#[async_trait]
impl Runner for Runs {
    async fn run(&self, run_id: &RunId, pipeline: &Pipeline, cancel: CancellationToken) -> Result<()> {
        let (run_id, pipeline, live) = (*run_id, pipeline.clone(), self.live.clone());
        let engine = self.documents.engine();
        let work = async move {
            let job = Job { run_id, pipeline: &pipeline, only: None, extent: &Extent::New, cancel: &cancel };
            let watch = live.watch(run_id);
            serve::lineage::execute(&engine, &job, &watch).await.map(|_| ())
        };
        #[expect(clippy::disallowed_methods, reason = "awaited here, and dropped where this is dropped")]
        let work = AbortOnDropHandle::new(self.workers.spawn(work.in_current_span()));
        match work.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::new(Kind::Cancelled(15), "the daemon stopped")),
        }
    }
}
