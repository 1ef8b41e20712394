//! What is set once for the whole process.

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::args::LogFormat;
use crate::error::{Error, Result};

/// A core dump would hold keys and rows in plaintext.
pub(super) fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Log lines on stderr: warnings by default, more with `-v`, or as `SEALIFT_LOG` says.
///
/// Only Sealift's own lines: a library's debug line may hold a row or a key.
pub(super) fn start_tracing(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let level = std::env::var("SEALIFT_LOG").unwrap_or_else(|_| level.to_owned());
    let level: tracing::level_filters::LevelFilter =
        level.parse().unwrap_or(tracing::level_filters::LevelFilter::WARN);
    let filter = EnvFilter::new(format!("off,sealift={level}"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(super::show::colour(&std::io::stderr())).init(),
        LogFormat::Json => lines.json().init(),
    }
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

/// A token that the first SIGINT or SIGTERM cancels; a second one ends the process at once.
pub(super) fn cancelled_by_signals() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        for second in [false, true] {
            let number = tokio::select! {
                _ = int.recv() => 2,
                _ = term.recv() => 15,
            };
            if second {
                std::process::exit(128 + number);
            }
            eprintln!("stopping: what is being written is removed (again to stop at once)");
            cancel.cancel();
        }
    });
    token
}
