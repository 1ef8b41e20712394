//! What the daemon tells the service manager that started it, as sd_notify(3) of systemd has it. Where none did, it tells
//! nobody.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The shortest time between two signs of life.
const SHORTEST: Duration = Duration::from_millis(1);

/// The service manager.
pub(super) struct Supervisor {
    /// When it wants a sign of life; `None` where it wants none.
    alive: Option<Interval>,
}

impl Supervisor {
    /// As the environment names it (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
    pub(super) fn of_environment() -> Self {
        let alive = sd_notify::watchdog_enabled().map(|limit| {
            // Half of it, as sd_watchdog_enabled(3) asks.
            let mut alive = interval((limit / 2).max(SHORTEST));
            alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
            alive
        });
        Self { alive }
    }

    /// Triggers are taken.
    pub(super) fn ready(&self, address: SocketAddr, pipelines: usize) {
        let status = format!("serves {pipelines} pipelines at {address}");
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// No more triggers are taken; what is under way may take `most`.
    pub(super) fn stopping(&self, most: Duration) {
        let micros = u32::try_from(most.as_micros()).unwrap_or(u32::MAX);
        let status = NotifyState::Status("lets active runs come to their end");
        tell(&[NotifyState::Stopping, status, NotifyState::ExtendTimeoutUsec(micros)]);
    }

    /// Gives signs of life for as long as it is awaited, beside what else is awaited there: a daemon that does nothing any
    /// more gives none.
    pub(super) async fn keep_alive(&mut self) -> Infallible {
        let Some(alive) = &mut self.alive else { return std::future::pending().await };
        loop {
            alive.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// The documents are read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(kind = %error.kind(), "the service manager could not be told"),
    }
}

/// They are read; `counts` of them are in force as pipelines, and invalid.
pub(super) fn reloaded(counts: Option<(usize, usize)>) {
    let status = counts.map(|(pipelines, invalid)| match invalid {
        0 => format!("serves {pipelines} pipelines"),
        1 => format!("serves {pipelines} pipelines; 1 document is invalid"),
        invalid => format!("serves {pipelines} pipelines; {invalid} documents are invalid"),
    });
    let status = status.unwrap_or_default();
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(kind = %error.kind(), "the service manager could not be told");
    }
}
