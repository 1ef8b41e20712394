//! `sealift serve`: the daemon.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Context, Done};
use crate::error::Result;
use crate::run::progress::Unwatched;
use crate::run::trail::{self, Trail};
use crate::run::{self, Engine, Extent, Job, RunId};
use crate::serve::{self, Limits, Registry, Runner, Settings, SystemClock};
use crate::spec::config::Connection;
use crate::spec::{ConnectionName, Pipeline};

pub(super) async fn run(context: &Context) -> Done {
    let engine = Arc::new(Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?);
    let listen = engine.config.listen.http;
    let of_connection = |(name, connection): (&ConnectionName, &Connection)| {
        connection.limits().runs.map(|most| (name.clone(), most))
    };
    let connections = engine.config.connections.iter().filter_map(of_connection).collect();
    let limits = Limits { runs: engine.config.runs, connections };
    let trail = Trail::new(&engine.config, &engine.ledger, &engine.keyring)?;
    let settings = Settings {
        registry: Registry::of(engine.pipelines.clone()),
        ledger: engine.ledger.clone(),
        runner: Arc::new(Runs(Arc::clone(&engine))),
        clock: Arc::new(SystemClock),
        limits,
        grace: serve::GRACE,
        cancel_wait: serve::CANCEL_WAIT,
    };
    trail.begin(&trail::served(&engine)).await?;
    eprintln!("sealift serves http://{listen} (loopback only); stop it with Ctrl-C or SIGTERM");
    let served = tokio::select! {
        served = serve::serve(settings, listen) => served,
        never = trail.attend() => match never {},
    };
    trail.end(served.as_ref().map_or_else(|error| error.message(), |()| "asked to")).await;
    Ok(served?)
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
