//! What is set once for the whole process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::keys::root;

/// A core dump would hold keys and rows in plaintext, and so would what a debugger reads. Not dumpable, the
/// process is closed to others of its user, its environment with the secrets in it too. It is as well where that
/// cannot be had.
pub(super) fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Has freed memory go back to the system at once, so that the peak of a long run is that of a short one.
///
/// glibc maps large buffers one by one, and what large is grows with the buffers it sees freed: after the
/// first part of an upload nearly nothing is. A size that is set stays as it is, but is read from the
/// environment alone and before `main`, so the process begins anew with it, under its own id. Where that
/// fails, or with another C library, everything works as well, in more memory.
pub(super) fn return_freed_memory() {
    use std::os::unix::process::CommandExt;
    const SETTINGS: [(&str, &str); 2] =
        [("MALLOC_MMAP_THRESHOLD_", "1048576"), ("MALLOC_TRIM_THRESHOLD_", "2097152")];
    let is_set = |name: &str| std::env::var_os(name).is_some();
    if !cfg!(target_env = "gnu") || is_set("GLIBC_TUNABLES") || SETTINGS.iter().any(|(name, _)| is_set(name))
    {
        return;
    }
    let mut args = std::env::args_os();
    if let (Ok(program), Some(name)) = (std::env::current_exe(), args.next()) {
        // Comes back only where it fails.
        let _ = std::process::Command::new(program).arg0(name).args(args).envs(SETTINGS).exec();
    }
}

/// A panic's message may quote what it failed on; only the place is told.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        eprintln!("internal error at {place}; please report it");
    }));
}

/// The runtime of the process. TLS gets its one provider here.
///
/// # Errors
/// `Failed` when the system gives no threads.
pub(super) fn runtime() -> Result<Runtime> {
    // A second call finds the first provider in place, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("the runtime could not be started: {}", e.kind())))
}

/// Threads for the runs of a daemon, apart from those that answer requests, to which they give way.
pub(super) struct Workers(Option<Runtime>);

/// How much they give way, as `nice` counts it, where the system knows no other way.
const WORKERS_NICE: i32 = 10;

/// The calling thread runs where no other of its control group wants to: on Linux as `SCHED_IDLE` (sched(7)), which is
/// interrupted at once when another one wakes. One that is merely nicer is let go on to the end of its slice, and of the
/// dozen wake-ups that a request takes some would wait for that.
fn give_way() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).is_err() {
        // Where neither can be had, requests wait longer.
        let _ = rustix::process::setpriority_process(None, WORKERS_NICE);
    }
}

impl Workers {
    /// As many threads as the machine has cores.
    ///
    /// # Errors
    /// `Failed` when the system gives no threads.
    pub(super) fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("sealift-run")
            .on_thread_start(give_way)
            .build()
            .map_err(|e| Error::failed(format!("the runs' threads could not be started: {}", e.kind())))?;
        Ok(Self(Some(runtime)))
    }

    /// Who hands work to them.
    ///
    /// # Errors
    /// `Failed` once they are gone.
    pub(super) fn handle(&self) -> Result<Handle> {
        self.0
            .as_ref()
            .map(|runtime| runtime.handle().clone())
            .ok_or_else(|| Error::failed("the runs' threads are gone"))
    }
}

impl Drop for Workers {
    /// Without waiting for what still blocks a thread.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// How a person stops what is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    /// Cancelled by the first SIGINT or SIGTERM.
    pub(super) token: CancellationToken,
    signal: Arc<AtomicU8>,
}

impl Stop {
    /// Listens for SIGINT and SIGTERM; a second one ends the process at once.
    #[expect(clippy::disallowed_methods, reason = "listens as long as the process lives")]
    pub(super) fn on_signals() -> Self {
        let stop = Self::default();
        tokio::spawn(stop.clone().listen());
        stop
    }

    async fn listen(self) {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        loop {
            let number = tokio::select! {
                _ = int.recv() => 2,
                _ = term.recv() => 15,
            };
            if self.token.is_cancelled() {
                root::end();
                std::process::exit(128 + i32::from(number));
            }
            eprintln!("stopping: what is being written is removed (again to stop at once)");
            self.signal.store(number, Ordering::Relaxed);
            self.token.cancel();
        }
    }

    /// The same error; a cancellation is told with the signal that asked for it.
    pub(super) fn explain(&self, error: Error) -> Error {
        match (error.kind(), self.signal.load(Ordering::Relaxed)) {
            (Kind::Cancelled(_), number @ 1..) => Error::new(Kind::Cancelled(number), "stopped on request")
                .help("run the same command again: nothing is lost or doubled"),
            _ => error,
        }
    }
}
