//! Two daemons whose runner does as the test says: which of them makes an attempt, when, and what the other one knows of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeZone as _, Utc};
use sealift::error::Kind;
use sealift::run::ledger::{Ledger, Order, RequestKey, Run, RunId, State, Trigger, Under};
use sealift::secret::Reference;
use sealift::serve::dispatch::{Dispatcher, Limits, Refusal};
use sealift::serve::{Daemon, Entrance, Registry, Reloads, Settings, Views};
use sealift::spec::Pipeline;
use sealift::spec::config::{Metadata, Observability, Runs};
use sealift::spec::schedule::Retry;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use crate::serve::world::{Act, Fake, Still, name, pipeline};
use crate::servers::postgres::Database;

/// The shortest that may be: what one leaves is looked for ten times within it.
const SHORT: Duration = Duration::from_secs(3);
/// Its looks are so far apart that what a test asks for comes first.
const LONG: Duration = Duration::from_secs(600);

/// A metadata store, and what all daemons on it are like. Each has one run under way at most.
struct Site {
    database: Database,
    folder: tempfile::TempDir,
    lease: Duration,
    acts: Vec<(&'static str, Act)>,
    pipelines: Vec<Pipeline>,
    go: Arc<Semaphore>,
    /// The ledger of a process that is no daemon.
    ledger: Ledger,
}

/// A daemon, and the pipelines that it began runs of.
struct Node {
    daemon: Daemon,
    started: UnboundedReceiver<String>,
}

impl Site {
    async fn new(lease: Duration, acts: &[(&'static str, Act)], pipelines: Vec<Pipeline>) -> Self {
        let (database, folder) = (Database::create().await, tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("url"), database.url()).unwrap();
        let url = Reference::File(folder.path().join("url"));
        let ledger = Ledger::open(&Metadata::Postgres { url, lease }).await.unwrap();
        let (acts, go) = (acts.to_vec(), Arc::new(Semaphore::new(0)));
        Self { database, folder, lease, acts, pipelines, go, ledger }
    }

    async fn start(&self) -> Node {
        let url = Reference::File(self.folder.path().join("url"));
        let ledger = Ledger::open(&Metadata::Postgres { url, lease: self.lease }).await.unwrap();
        let (to, started) = mpsc::unbounded_channel();
        let acts = self.acts.iter().copied().collect();
        let fake = Fake { acts, ledger: ledger.clone(), started: to, go: Arc::clone(&self.go) };
        let noon = Utc.with_ymd_and_hms(2026, 11, 3, 12, 0, 0).unwrap();
        let settings = Settings {
            registry: Registry::of(self.pipelines.clone()),
            documents: None,
            reloads: Reloads::default(),
            views: Views::default(),
            ledger,
            runner: Arc::new(fake),
            clock: Arc::new(Still(watch::channel(noon).0)),
            observability: Observability::default(),
            entrance: Entrance::default(),
            limits: Limits { runs: Runs { at_once: 1, ..Runs::default() }, ..Limits::default() },
            grace: Duration::ZERO,
            cancel_wait: Duration::ZERO,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Node { daemon: Daemon::start(settings, listener).await.unwrap(), started }
    }

    /// The run once this is so of it.
    async fn once(&self, run_id: RunId, is_so: impl Fn(&Run) -> bool) -> Run {
        let begun = Instant::now();
        loop {
            let run = self.ledger.run(&run_id).await.unwrap().unwrap();
            if is_so(&run) {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "{run:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end_of(&self, run_id: RunId) -> Run {
        self.once(run_id, |run| run.state.is_final()).await
    }

    async fn sql(&self, statement: &str) {
        self.database.client.batch_execute(statement).await.unwrap();
    }
}

impl Node {
    fn dispatcher(&self) -> &Dispatcher {
        self.daemon.dispatcher()
    }

    async fn ask_for(&self, pipeline: &str, key: Option<&RequestKey>) -> Result<RunId, Refusal> {
        let taken = self.dispatcher().trigger(&name(pipeline), Trigger::Api, "token:a", key).await?;
        Ok(taken.run_id)
    }

    /// Waits until it has begun a run of the pipeline.
    async fn began(&mut self, pipeline: &str) {
        let begun = tokio::time::timeout(PATIENCE, self.started.recv()).await;
        assert_eq!(begun.unwrap().as_deref(), Some(pipeline));
    }

    async fn stop(self) {
        self.daemon.shut_down(15, CancellationToken::new()).await.unwrap();
    }
}

#[tokio::test]
async fn attempts_are_counted_and_pauses_kept_whoever_makes_them() {
    let pause = Duration::from_millis(1500);
    let retry = Retry { attempts: 3, backoff: pause, max_backoff: pause, ..Retry::default() };
    let crm = Pipeline { retry, ..pipeline("crm", None) };
    let site = Site::new(SHORT, &[("crm", Act::Stumble(9))], vec![crm]).await;
    let (mut first, mut second) = (site.start().await, site.start().await);
    let begun = Instant::now();
    let run_id = first.ask_for("crm", None).await.unwrap();
    let run = site.end_of(run_id).await;
    assert_eq!((run.state, run.attempt), (State::Failed, 3));
    assert!(begun.elapsed() >= pause * 2, "{:?}", begun.elapsed());
    // Time enough for one that is stale to begin.
    tokio::time::sleep(SHORT).await;
    let mut attempts = 0;
    for node in [&mut first, &mut second] {
        while node.started.try_recv().is_ok() {
            attempts += 1;
        }
    }
    assert_eq!(attempts, 3);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_the_other_one_has_or_had_is_known_to_one_that_has_no_place_for_it() {
    let acts = [
        ("block", Act::WaitForGo),
        ("crm", Act::Publish),
        ("slow", Act::WaitForGo),
        ("stops", Act::WaitForCancel),
    ];
    let pipelines = acts.map(|(name, _)| pipeline(name, None));
    let site = Site::new(SHORT, &acts, pipelines.to_vec()).await;
    let mut full = site.start().await;
    let block = full.ask_for("block", None).await.unwrap();
    full.began("block").await;
    let mut free = site.start().await;
    for _ in 0..2 {
        // What the other one has finished is no active run.
        let run_id = full.ask_for("crm", None).await.unwrap();
        assert_eq!(site.end_of(run_id).await.state, State::Succeeded);
        free.began("crm").await;
    }
    // What the other one is at stops there.
    let stops = full.ask_for("stops", None).await.unwrap();
    free.began("stops").await;
    assert!(full.dispatcher().cancel(&stops).await.unwrap());
    assert_eq!(site.end_of(stops).await.state, State::Cancelled);
    let slow = full.ask_for("slow", None).await.unwrap();
    free.began("slow").await;
    assert_eq!(full.ask_for("slow", None).await, Err(Refusal::Elsewhere(Some(slow))));
    // What waits with both can be ended at either.
    let waits = free.ask_for("crm", None).await.unwrap();
    tokio::time::sleep(SHORT / 5).await;
    assert!(full.dispatcher().cancel(&waits).await.unwrap());
    assert_eq!(site.end_of(waits).await.state, State::Cancelled);
    site.go.add_permits(2);
    for run_id in [block, slow] {
        assert_eq!(site.end_of(run_id).await.state, State::Succeeded);
    }
    assert!(free.started.try_recv().is_err());
    full.stop().await;
    free.stop().await;
}

#[tokio::test]
async fn a_run_that_is_to_stop_has_no_further_attempt() {
    let retry = Retry { attempts: 3, ..Retry::default() };
    let stumbles = Pipeline { retry, ..pipeline("stumbles", None) };
    let acts = [("stumbles", Act::StumbleOnGo), ("crm", Act::WaitForGo)];
    let site = Site::new(LONG, &acts, vec![stumbles, pipeline("crm", None)]).await;
    let mut first = site.start().await;
    let failing = first.ask_for("stumbles", None).await.unwrap();
    first.began("stumbles").await;
    let second = site.start().await;
    // It fails before its daemon hears of that, and would be tried again.
    assert!(second.dispatcher().cancel(&failing).await.unwrap());
    site.go.add_permits(1);
    let run = site.end_of(failing).await;
    assert_eq!((run.state, run.attempt), (State::Cancelled, 1), "{run:?}");
    assert!(!second.dispatcher().cancel(&failing).await.unwrap(), "it is over");

    // Its process is lost: nobody would hear.
    let lease = site.ledger.lease(&name("crm")).await.unwrap().unwrap();
    let lost = site.ledger.queue(&name("crm"), "d", Trigger::Api).await.unwrap();
    site.ledger.start(&lost).await.unwrap();
    site.sql("UPDATE leases SET expires_ms = 0").await;
    assert!(second.dispatcher().cancel(&lost).await.unwrap());
    let run = site.ledger.run(&lost).await.unwrap().unwrap();
    assert_eq!((run.state, run.outcome.as_deref()), (State::Cancelled, Some("cancelled")));
    drop(lease);
    first.stop().await;
    second.stop().await;

    // It was asked for just when the attempt before was over.
    let lease = site.ledger.lease(&name("crm")).await.unwrap().unwrap();
    let between = site.ledger.queue(&name("crm"), "d", Trigger::Api).await.unwrap();
    site.ledger.start(&between).await.unwrap();
    assert!(site.ledger.try_again(&between, 2, Utc::now(), "away").await.unwrap());
    lease.end().await;
    site.sql("UPDATE run_turns SET cancel_ms = 1").await;
    let third = site.start().await;
    let run = site.end_of(between).await;
    assert_eq!((run.state, run.attempt), (State::Cancelled, 2), "{run:?}");
    third.stop().await;
}

#[tokio::test]
async fn who_finds_the_run_of_a_lost_process_first_gives_it_back() {
    let site = Site::new(LONG, &[("crm", Act::WaitForGo)], vec![pipeline("crm", None)]).await;
    let mut node = site.start().await;
    let key = RequestKey::of("token:a", b"order-1").unwrap();
    let lease = site.ledger.lease(&name("crm")).await.unwrap().unwrap();
    let order = Order {
        pipeline: name("crm"),
        spec_digest: "d".to_owned(),
        actor: "token:a".to_owned(),
        under: Under::Key(Trigger::Api, key.clone()),
        instead_of: None,
        if_idle: false,
    };
    let run_id = site.ledger.take_orders(&[order]).await.unwrap()[0].unwrap();
    site.ledger.start(&run_id).await.unwrap();
    // While it looks whether the run can begin here, it is the active one here.
    let refused = node.ask_for("crm", None).await.unwrap_err();
    assert!([Refusal::Elsewhere(Some(run_id)), Refusal::Active(run_id)].contains(&refused), "{refused:?}");
    site.sql("UPDATE leases SET expires_ms = 0").await;
    assert_eq!(node.ask_for("crm", None).await, Err(Refusal::Active(run_id)));
    assert_eq!(node.ask_for("crm", Some(&key)).await, Ok(run_id));
    node.began("crm").await;
    site.go.add_permits(1);
    let run = site.end_of(run_id).await;
    assert_eq!((run.state, run.attempt), (State::Succeeded, 2));
    drop(lease);
    node.stop().await;
}

#[tokio::test]
async fn what_one_that_stops_was_at_is_gone_on_with_by_the_other() {
    let site = Site::new(SHORT, &[("crm", Act::StumbleOnGo)], vec![pipeline("crm", None)]).await;
    let mut first = site.start().await;
    let run_id = first.ask_for("crm", None).await.unwrap();
    first.began("crm").await;
    let mut second = site.start().await;
    let stopped = first.daemon.shut_down(15, CancellationToken::new()).await;
    assert_eq!(stopped.unwrap_err().kind(), Kind::Cancelled(15));
    second.began("crm").await;
    let run = site.end_of(run_id).await;
    assert_eq!((run.state, run.attempt), (State::Succeeded, 2));
    second.stop().await;
}

#[tokio::test]
async fn daemons_that_start_together_share_what_was_left() {
    let names = ["a", "b", "c", "d", "e"];
    let acts = names.map(|name| (name, Act::Publish));
    let site = Site::new(SHORT, &acts, names.map(|name| pipeline(name, None)).to_vec()).await;
    let (mut left, mut leases) = (Vec::new(), Vec::new());
    for pipeline in names {
        leases.push(site.ledger.lease(&name(pipeline)).await.unwrap().unwrap());
        let run_id = site.ledger.queue(&name(pipeline), "d", Trigger::Api).await.unwrap();
        site.ledger.start(&run_id).await.unwrap();
        left.push(run_id);
    }
    let _unknown = site.ledger.lease(&name("unknown")).await.unwrap().unwrap();
    let mut unknown = Vec::new();
    for begins in [true, false] {
        let run_id = site.ledger.queue(&name("unknown"), "d", Trigger::Api).await.unwrap();
        if begins {
            site.ledger.start(&run_id).await.unwrap();
        }
        unknown.push(run_id);
    }
    site.sql(
        "UPDATE leases SET expires_ms = 0;
         UPDATE runs SET created_ms = created_ms - 90000000 WHERE pipeline = 'unknown';
         UPDATE run_turns SET heartbeat_ms = heartbeat_ms - 90000000",
    )
    .await;
    let (first, second) = tokio::join!(site.start(), site.start());
    for run_id in left {
        let run = site.end_of(run_id).await;
        assert_eq!((run.state, run.attempt), (State::Succeeded, 2), "{run:?}");
    }
    for run_id in unknown {
        let run = site.end_of(run_id).await;
        assert_eq!((run.state, run.outcome.as_deref()), (State::Failed, Some("temporary")));
    }
    first.stop().await;
    second.stop().await;
}
