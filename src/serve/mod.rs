//! The daemon: the REST API, the schedule, and the runs they start. The only place that spawns
//! tasks which outlive a call.
//!
//! Who owns what: [`Dispatcher`] owns every run from the moment it is asked for: it takes the
//! pipeline's lease, queues the run in the ledger, starts it when it is its turn, tries again where that may help, and
//! records how it ended. A [`Runner`] only does the work in between. The API and the schedule ask the dispatcher,
//! and nobody else starts or stops a run.

pub mod dispatch;
pub mod documents;
pub mod lineage;
pub mod live;
pub mod logs;
pub mod notify;
pub mod registry;
pub mod reload;
pub mod schedule;
pub mod traces;

mod api;
mod auth;
mod door;
#[cfg(test)]
mod fixture;
mod metrics;
mod problem;
mod pulse;
mod supervisor;
mod takeover;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use api::{Views, openapi};
pub use dispatch::{Dispatcher, Limits, Runner};
pub use documents::Documents;
pub use door::{Bounds, Entrance};
pub use live::Live;
pub use logs::RunLogs;
pub use registry::Registry;
pub use reload::Reloads;
pub use schedule::{Clock, SystemClock};

use self::auth::Gate;
use self::door::Door;
use self::supervisor::Supervisor;

use crate::error::{Error, Kind, Result};
use crate::run::ledger::Ledger;
use crate::spec::config::Observability;

/// How long active runs may go on after the daemon was told to stop.
pub const GRACE: Duration = Duration::from_secs(30);
/// How long a cancelled run may take to stop before it is dropped where it stands.
pub const CANCEL_WAIT: Duration = Duration::from_secs(10);
/// How long open connections, and what is left to tell others, may take once the last run is over.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(5);

/// What a daemon is made of.
pub struct Settings {
    /// The pipelines it knows.
    pub registry: Registry,
    /// The documents that they come from; without them they stay as they are.
    pub documents: Option<Documents>,
    /// Tells when files are to be read again.
    pub reloads: Reloads,
    /// What runs tell while they are under way.
    pub views: Views,
    /// Where runs are recorded and tokens are kept.
    pub ledger: Ledger,
    /// Does the runs.
    pub runner: Arc<dyn Runner>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Who is told of runs.
    pub observability: Observability,
    /// How many runs there may be.
    pub limits: Limits,
    /// How long active runs may go on after the daemon was told to stop ([`GRACE`]).
    pub grace: Duration,
    /// How long a run that is told to stop may take before it is dropped ([`CANCEL_WAIT`]).
    pub cancel_wait: Duration,
    /// How clients come in.
    pub entrance: Entrance,
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
    stop_telling: CancellationToken,
    telling: JoinHandle<()>,
    api: JoinHandle<()>,
}

impl Daemon {
    /// Takes on what an earlier process queued, marks the runs that it was at as interrupted, then serves the API on
    /// `listener` and keeps the schedules.
    ///
    /// # Errors
    /// `Invalid` when a schedule, a certificate or a secret of the entrance cannot be read; `Temporary` or `Failed`
    /// when the ledger does not answer.
    #[expect(clippy::disallowed_methods, reason = "the daemon owns its tasks and ends them in `shut_down`")]
    pub async fn start(settings: Settings, listener: TcpListener) -> Result<Self> {
        let address = listener
            .local_addr()
            .map_err(|e| Error::failed(format!("the listening socket has no address: {}", e.kind())))?;
        let schedules = schedule::Schedules::read(&settings.registry.all())?;
        let Settings {
            registry,
            documents,
            views,
            ledger,
            runner,
            clock,
            observability,
            limits,
            grace,
            cancel_wait,
            entrance,
            reloads,
        } = settings;
        let gate = Gate::new(ledger.clone(), entrance.access.clone())?;
        let dispatcher = Dispatcher::new(ledger, registry, runner, limits, cancel_wait);
        notify::begin(dispatcher.ledger()).await?;
        dispatcher.take_over().await?;

        let stop_telling = CancellationToken::new();
        let telling = notify::start(
            &observability,
            dispatcher.clone(),
            schedules.clone(),
            Arc::clone(&clock),
            stop_telling.clone(),
        )?;
        let stop_api = CancellationToken::new();
        let (kept, ticking) = (schedules.clone(), Arc::clone(&clock));
        let (bounds, closing) = (&entrance.bounds, stop_api.clone());
        let api = api::Api::new(dispatcher.clone(), schedules, clock, documents, views, bounds, closing);
        let router = api::router(api, gate.clone());
        let door = Door::new(listener, entrance, router, gate, reloads.subscribe(), stop_api.clone())?;
        let stop_schedule = CancellationToken::new();
        let schedule = tokio::spawn(schedule::keep(kept, dispatcher.clone(), ticking, stop_schedule.clone()));
        let takeover = tokio::spawn(takeover::keep(dispatcher.clone(), stop_schedule.clone()));
        let api = tokio::spawn(door.serve());
        tracing::info!(%address, "serving; stop it with Ctrl-C or SIGTERM");
        Ok(Self {
            address,
            dispatcher,
            grace,
            cancel_wait,
            stop_schedule,
            stop_api,
            schedule,
            takeover,
            stop_telling,
            telling,
            api,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who hands out its runs.
    #[must_use]
    pub const fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Takes no more runs, lets active ones go on for the grace period (or until `hurry`), then
    /// stops those left. They, and what waits, are left to the next daemon. The API answers until the last run has stopped.
    /// `signal` is what asked for it.
    ///
    /// # Errors
    /// `Cancelled(signal)` when a run had to be stopped.
    pub async fn shut_down(self, signal: u8, hurry: CancellationToken) -> Result<()> {
        tracing::info!("stopping: no new runs are taken");
        self.stop_schedule.cancel();
        let cut_short = self.dispatcher.drain(self.grace, self.cancel_wait, &hurry).await;
        self.stop_telling.cancel();
        self.stop_api.cancel();
        let (mut api, mut telling) = (self.api, self.telling);
        let both = async { tokio::join!(&mut api, &mut telling) };
        if tokio::time::timeout(CONNECTIONS_GRACE, both).await.is_err() {
            api.abort();
            telling.abort();
        }
        self.schedule.abort();
        self.takeover.abort();
        if cut_short == 0 {
            return Ok(());
        }
        Err(Error::new(Kind::Cancelled(signal), format!("stopped with {cut_short} runs cut short"))
            .help("the next daemon makes another attempt of them; nothing half-done is visible"))
    }
}

/// Serves on `listen` until SIGTERM or SIGINT, then shuts down; a second signal ends the grace period. What changes on
/// disk is put into force meanwhile.
///
/// # Errors
/// `Invalid` when the address cannot be listened on; else those of [`Daemon::start`] and
/// [`Daemon::shut_down`].
pub async fn serve(settings: Settings, listen: SocketAddr, signals: Signals) -> Result<()> {
    let Signals { stop: mut stops, hang_up } = signals;
    let listener = TcpListener::bind(listen).await.map_err(|e| {
        Error::invalid(format!("cannot listen on {listen}: {}", e.kind()))
            .help("stop the other process, or set `listen: {http: …}` to a free loopback port")
    })?;
    let pipelines = settings.registry.all().len();
    let longest_stop = settings.grace + settings.cancel_wait + CONNECTIONS_GRACE;
    let (documents, reloads) = (settings.documents.clone(), settings.reloads.clone());
    let daemon = Daemon::start(settings, listener).await?;
    let reloading = reload::keep(documents, daemon.dispatcher().clone(), reloads, hang_up);
    let mut supervisor = Supervisor::of_environment();
    supervisor.ready(daemon.address(), pipelines);
    let signal = tokio::select! {
        signal = stops.next() => signal,
        never = supervisor.keep_alive() => match never {},
        never = reloading => match never {},
    };
    supervisor.stopping(longest_stop);
    let hurry = CancellationToken::new();
    let stopping = daemon.shut_down(signal, hurry.clone());
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            result = &mut stopping => return result,
            _ = stops.next() => hurry.cancel(),
            never = supervisor.keep_alive() => match never {},
        }
    }
}

/// The signals that a daemon heeds. Listened for from the start, so that none ends it while it loads.
pub struct Signals {
    stop: Stop,
    /// SIGHUP.
    hang_up: Signal,
}

/// The signals that stop a daemon.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// `Failed` when the system does not let it.
    pub fn listen() -> Result<Self> {
        let heard = |kind| {
            signal(kind).map_err(|e| Error::failed(format!("cannot listen for signals: {}", e.kind())))
        };
        let stop =
            Stop { terminate: heard(SignalKind::terminate())?, interrupt: heard(SignalKind::interrupt())? };
        Ok(Self { stop, hang_up: heard(SignalKind::hangup())? })
    }
}

impl Stop {
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }
}
