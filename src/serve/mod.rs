//! The daemon: the REST API, the schedule, and the runs they start. The only place that spawns
//! tasks which outlive a call.
//!
//! Who owns what: [`Dispatcher`] owns every run from the moment it is asked for: it takes the
//! pipeline's lease, queues the run in the ledger, starts it when a slot is free, and records how it
//! ended. A [`Runner`] only does the work in between. The API and the schedule ask the dispatcher,
//! and nobody else starts or stops a run.

pub mod dispatch;
pub mod registry;
pub mod schedule;

mod api;
mod auth;
mod metrics;
mod problem;
mod supervisor;
mod takeover;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use dispatch::{Dispatcher, Runner};
pub use registry::Registry;
pub use schedule::{Clock, SystemClock};

use self::supervisor::Supervisor;

use crate::error::{Error, Kind, Result};
use crate::run::ledger::Ledger;
use crate::spec::PipelineName;

/// How long active runs may go on after the daemon was told to stop.
pub const GRACE: Duration = Duration::from_secs(30);
/// How long a cancelled run may take to stop before it is dropped where it stands.
pub const CANCEL_WAIT: Duration = Duration::from_secs(10);
/// Runs under way at the same time.
pub const RUNS_AT_ONCE: usize = 2;
/// How long open connections may take to end once the last run is over.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(5);

/// What a daemon is made of.
pub struct Settings {
    /// The pipelines it knows.
    pub registry: Registry,
    /// Where runs are recorded and tokens are kept.
    pub ledger: Ledger,
    /// Does the runs.
    pub runner: Arc<dyn Runner>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Runs under way at the same time ([`RUNS_AT_ONCE`]).
    pub runs_at_once: usize,
    /// How long active runs may go on after the daemon was told to stop ([`GRACE`]).
    pub grace: Duration,
    /// How long a cancelled run may take to stop before it is dropped ([`CANCEL_WAIT`]).
    pub cancel_wait: Duration,
}

/// A daemon that is serving.
pub struct Daemon {
    address: SocketAddr,
    dispatcher: Dispatcher,
    grace: Duration,
    cancel_wait: Duration,
    stop_schedule: CancellationToken,
    stop_api: CancellationToken,
    schedule: JoinHandle<()>,
    takeover: JoinHandle<()>,
    api: JoinHandle<std::io::Result<()>>,
}

impl Daemon {
    /// Marks runs that an earlier process left unfinished as interrupted, then serves the API on
    /// `listener` and runs the schedule. Occurrences missed while no daemon ran are skipped.
    ///
    /// # Errors
    /// `Invalid` when a schedule cannot be read; `Temporary` or `Failed` when the ledger does not
    /// answer.
    #[expect(clippy::disallowed_methods, reason = "the daemon owns its tasks and ends them in `shut_down`")]
    pub async fn start(settings: Settings, listener: TcpListener) -> Result<Self> {
        let address = listener
            .local_addr()
            .map_err(|e| Error::failed(format!("the listening socket has no address: {}", e.kind())))?;
        // Where machines share the store, what a process left is taken over rather than given up.
        if settings.ledger.lease_length().is_none() {
            bury_interrupted(&settings.ledger).await?;
        }
        let schedules = schedule::Schedules::read(&settings.registry.all())?;
        let dispatcher =
            Dispatcher::new(settings.ledger, settings.registry, settings.runner, settings.runs_at_once);

        let stop_schedule = CancellationToken::new();
        let schedule = tokio::spawn(schedule::keep(
            schedules.clone(),
            dispatcher.clone(),
            Arc::clone(&settings.clock),
            stop_schedule.clone(),
        ));
        let takeover = tokio::spawn(takeover::keep(dispatcher.clone(), stop_schedule.clone()));
        let stop_api = CancellationToken::new();
        let router = api::router(api::Api::new(dispatcher.clone(), schedules, settings.clock));
        let stopped = stop_api.clone().cancelled_owned();
        let api =
            tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        tracing::info!(%address, "serving");
        let (grace, cancel_wait) = (settings.grace, settings.cancel_wait);
        Ok(Self { address, dispatcher, grace, cancel_wait, stop_schedule, stop_api, schedule, takeover, api })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more runs, lets active ones go on for the grace period (or until `hurry`), then
    /// cancels those left. The API answers until the last run is over. `signal` is what asked for it.
    ///
    /// # Errors
    /// `Cancelled(signal)` when a run had to be cancelled.
    pub async fn shut_down(self, signal: u8, hurry: CancellationToken) -> Result<()> {
        tracing::info!("stopping: no new runs are taken");
        self.stop_schedule.cancel();
        let cancelled = self.dispatcher.drain(self.grace, self.cancel_wait, &hurry).await;
        self.stop_api.cancel();
        let mut api = self.api;
        if tokio::time::timeout(CONNECTIONS_GRACE, &mut api).await.is_err() {
            api.abort();
        }
        self.schedule.abort();
        self.takeover.abort();
        if cancelled == 0 {
            return Ok(());
        }
        Err(Error::new(Kind::Cancelled(signal), format!("stopped with {cancelled} runs cancelled"))
            .help("they start anew when triggered again; nothing of them is visible"))
    }
}

/// Serves on `listen` until SIGTERM or SIGINT, then shuts down; a second signal ends the grace period.
///
/// # Errors
/// `Invalid` when the address cannot be listened on; else those of [`Daemon::start`] and
/// [`Daemon::shut_down`].
pub async fn serve(settings: Settings, listen: SocketAddr) -> Result<()> {
    let mut signals = Signals::listen()?;
    let listener = TcpListener::bind(listen).await.map_err(|e| {
        Error::invalid(format!("cannot listen on {listen}: {}", e.kind()))
            .help("stop the other process, or set `listen: {http: …}` to a free loopback port")
    })?;
    let pipelines = settings.registry.all().len();
    let longest_stop = settings.grace + settings.cancel_wait + CONNECTIONS_GRACE;
    let daemon = Daemon::start(settings, listener).await?;
    let mut supervisor = Supervisor::of_environment();
    supervisor.ready(daemon.address(), pipelines);
    let signal = tokio::select! {
        signal = signals.next() => signal,
        never = supervisor.keep_alive() => match never {},
    };
    supervisor.stopping(longest_stop);
    let hurry = CancellationToken::new();
    let stopping = daemon.shut_down(signal, hurry.clone());
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            result = &mut stopping => return result,
            _ = signals.next() => hurry.cancel(),
            never = supervisor.keep_alive() => match never {},
        }
    }
}

/// The signals that stop a daemon.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let heard = |kind| {
            signal(kind).map_err(|e| Error::failed(format!("cannot listen for signals: {}", e.kind())))
        };
        Ok(Self { terminate: heard(SignalKind::terminate())?, interrupt: heard(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }
}

/// Runs that are unfinished while nobody holds their pipeline's lease have no process any more.
async fn bury_interrupted(ledger: &Ledger) -> Result<()> {
    for run in ledger.unfinished(None).await? {
        let Ok(pipeline) = PipelineName::parse(&run.pipeline) else { continue };
        if let Some(lease) = ledger.lease(&pipeline).await? {
            for run_id in ledger.bury(&pipeline, &lease).await? {
                tracing::warn!(%run_id, %pipeline, "marked as interrupted");
            }
        }
    }
    Ok(())
}
