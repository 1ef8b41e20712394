//! How late the daemon is: 10,000 pipelines with an interval of 100 seconds each, so that 100 are due in every second,
//! and a runner that does nothing. Fails where the daemon takes 3 seconds to start, or a run begins a second late.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement may fail loudly"
)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sealift::error::Result;
use sealift::run::ledger::{Ledger, RunId};
use sealift::serve::{Daemon, Entrance, Limits, Registry, Reloads, Runner, Settings, SystemClock, Views};
use sealift::spec::config::{Metadata, Observability, Runs};
use sealift::spec::schedule::{LONGEST_ATTEMPT, Priority, Retry, Schedule, Timing};
use sealift::spec::{ConnectionName, Pipeline, PipelineName};
use tokio_util::sync::CancellationToken;

const PIPELINES: u32 = 10_000;
const INTERVAL: Duration = Duration::from_secs(100);
const LONGEST_START: Duration = Duration::from_secs(3);
const LONGEST_LAG_MS: i64 = 1_000;

/// Does nothing, and notes how long after it was due.
#[derive(Default)]
struct Nothing(Mutex<Vec<i64>>);

#[async_trait]
impl Runner for Nothing {
    async fn run(&self, _: &RunId, pipeline: &Pipeline, _: CancellationToken) -> Result<()> {
        let Some(Schedule { timing: Timing::Every { anchor, .. }, .. }) = &pipeline.schedule else {
            return Ok(());
        };
        let late_ms = (Utc::now() - anchor).num_milliseconds().rem_euclid(100_000);
        self.0.lock().unwrap().push(late_ms);
        Ok(())
    }
}

fn pipeline(index: u32) -> Pipeline {
    let anchor = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(i64::from(index) * 10);
    Pipeline {
        path: format!("p{index}.yaml").into(),
        digest: "0".repeat(64),
        name: PipelineName::parse(&format!("p{index}")).unwrap(),
        owner: "bench".into(),
        description: String::new(),
        connection: ConnectionName::parse("c").unwrap(),
        store: None,
        streams: Vec::new(),
        schedule: Some(Schedule::of(Timing::Every { interval: INTERVAL, anchor })),
        retry: Retry::default(),
        timeout: LONGEST_ATTEMPT,
        priority: Priority::default(),
    }
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_000
}

/// Runs the measurement for so many seconds; false when a bound is missed.
pub async fn measure(seconds: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
    let runner = Arc::new(Nothing::default());
    let settings = Settings {
        registry: Registry::of((0..PIPELINES).map(pipeline).collect()),
        documents: None,
        reloads: Reloads::default(),
        views: Views::default(),
        ledger: ledger.clone(),
        runner: runner.clone(),
        clock: Arc::new(SystemClock),
        limits: Limits { runs: Runs { at_once: 64, ..Runs::default() }, ..Limits::default() },
        grace: Duration::from_secs(30),
        cancel_wait: Duration::from_secs(1),
        observability: Observability::default(),
        entrance: Entrance::default(),
    };
    let begun = Instant::now();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let daemon = Daemon::start(settings, listener).await.unwrap();
    while ledger.schedules().await.unwrap().len() < PIPELINES as usize {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let start = begun.elapsed();
    println!("{PIPELINES} pipelines: started in {:.2} s, {} MB resident", start.as_secs_f64(), resident_mb());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    daemon.shut_down(15, CancellationToken::new()).await.unwrap();

    let mut late_ms = std::mem::take(&mut *runner.0.lock().unwrap());
    late_ms.sort_unstable();
    let part =
        |of: usize| late_ms.get(late_ms.len().saturating_sub(1) * of / 1000).copied().unwrap_or_default();
    let rate = late_ms.len() as f64 / seconds as f64;
    println!(
        "{} runs, {rate:.1} a second; begun after they were due: p50 {} ms, p99 {} ms, max {} ms; {} MB resident",
        late_ms.len(),
        part(500),
        part(990),
        part(1000),
        resident_mb()
    );
    start < LONGEST_START && part(1000) < LONGEST_LAG_MS && rate > 95.0
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    assert!(measure(seconds.unwrap_or(120)).await, "a bound is missed");
}
