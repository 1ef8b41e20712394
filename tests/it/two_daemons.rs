//! Two daemons on one metadata store in PostgreSQL, with one lake: they see each other's runs, one key makes one run, and
//! what one left is taken over by the other, of which never both publish.

mod turns;

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeZone as _, Utc};
use rustix::process::{Pid, Signal, kill_process};
use sealift::run::ledger::{Ledger, Trigger};
use sealift::secret::Reference;
use sealift::serve::dispatch::Limits;
use sealift::serve::{Daemon, Entrance, Registry, Reloads, Settings, Views};
use sealift::spec::config::{Metadata, Observability};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::house::{House, Started, connection};
use crate::serve::world::{Act, Fake, Still, pipeline};
use crate::servers::postgres::{Database, Server};

/// For what must come about sooner or later.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the lease of a daemon that is lost stands at most.
const LEASE: Duration = Duration::from_secs(10);
const ROWS: u64 = 500;

/// A daemon of its own configuration and processes.
struct Node {
    house: House,
    daemon: Started,
    url: String,
    token: String,
    http: reqwest::Client,
}

/// What the daemons share: the source, and the metadata store.
struct Shared {
    source: Database,
    metadata: Database,
    address: String,
}

impl Shared {
    async fn new() -> Self {
        let (source, metadata) = (Database::create().await, Database::create().await);
        source
            .run(&format!(
                "CREATE TABLE rows (id int PRIMARY KEY, note text);
                 INSERT INTO rows SELECT n, 'note-' || n FROM generate_series(1, {ROWS}) n"
            ))
            .await;
        let address = metadata.url();
        Self { source, metadata, address }
    }

    /// Starts a daemon; the lake and the keys are the first one's.
    async fn start(&self, first: Option<&Node>) -> Node {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut house = House::new();
        let lake =
            first.map(|first| format!("lake: {{url: \"file:{}\"}}", first.house.path("out/lake").display()));
        let listen = format!("listen: {{http: \"127.0.0.1:{port}\"}}");
        house.config_listening(&lake.unwrap_or_default(), &connection(&self.source), &listen);
        let lease = LEASE.as_secs();
        house.metadata(&format!("{{postgres: {{url: \"env:METADATA\", lease: {lease}s}}}}"));
        house.env("METADATA", &self.address);
        house.policy("- {tags: [secret], action: encrypt}\n- {tags: [public], action: allow}");
        house.pipeline(
            "copy",
            "connection: db\ndataset: \"copy.{table}\"\nstreams:\n  public.rows:\n    write_mode: append\n    \
             columns: {note: {tag: secret}, \"*\": {tag: public}}",
        );
        let token = match first {
            Some(first) => {
                symlink(first.house.path("out/keys"), house.path("out/keys")).unwrap();
                first.token.clone()
            }
            None => {
                // It also makes the keys, before two daemons would at once.
                house.run(&["keys", "list"]).expect(0);
                let token = house.json(&["token", "create", "both", "--role", "engineer"], 0);
                token["token"].as_str().unwrap().to_owned()
            }
        };
        let daemon = house.start(house.command(&["serve"]));
        let (url, http) = (format!("http://127.0.0.1:{port}"), reqwest::Client::new());
        let node = Node { house, daemon, url, token, http };
        node.wait_for("readiness", async || node.readiness().await == Some(200)).await;
        node
    }

    /// Keeps every read of the source waiting until the answer is dropped.
    async fn hold_up(&self) -> tokio_postgres::Client {
        let client = self.source.server.client(&self.source.name).await;
        client.batch_execute("BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE").await.unwrap();
        client
    }

    /// How many reads of the source wait.
    async fn waiting(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                   WHERE NOT l.granted AND d.datname = $1";
        self.source.client.query_one(sql, &[&self.source.name]).await.unwrap().get(0)
    }

    /// The epoch of the pipeline's lease, and of the one run there is, with the process that has or had it.
    async fn epochs(&self) -> (i64, Option<i64>, Option<String>) {
        let sql = "SELECT l.epoch, r.epoch, r.holder FROM runs r JOIN leases l ON l.name = r.pipeline";
        let row = self.metadata.client.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }
}

impl Node {
    async fn wait_for(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            let said = || std::fs::read_to_string(&self.daemon.stderr).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "{what} did not come about:\n{}", said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn readiness(&self) -> Option<u16> {
        let answer = self.http.get(format!("{}/readyz", self.url)).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    async fn trigger(&self, key: Option<&str>) -> (u16, Value) {
        let request = self.http.post(format!("{}/v1/pipelines/copy/runs", self.url)).bearer_auth(&self.token);
        let request = key.map_or_else(
            || request.try_clone().unwrap(),
            |key| request.try_clone().unwrap().header("idempotency-key", key),
        );
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn triggered(&self, key: Option<&str>) -> String {
        let (status, said) = self.trigger(key).await;
        assert_eq!(status, 202, "{said}");
        said["run_id"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Value {
        let answer =
            self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn run(&self, run_id: &str) -> Value {
        self.get(&format!("/v1/runs/{run_id}")).await
    }

    /// Waits for the end of a run.
    async fn over(&self, run_id: &str) -> Value {
        self.wait_for("the end of the run", async || self.run(run_id).await["outcome"].is_string()).await;
        self.run(run_id).await
    }

    /// Waits until a further attempt of the run is under way.
    async fn taken_over(&self, run_id: &str) {
        self.wait_for("another attempt", async || {
            let run = self.run(run_id).await;
            run["attempt"] == 2 && run["state"] == "running"
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.daemon.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as a service manager does.
    fn stop(self) {
        self.signal(Signal::TERM);
        self.house.finish(self.daemon).expect(0);
    }

    /// The dataset has the source this many times, by as many versions.
    fn shows(&self, copies: u64, lake: &House) {
        assert_eq!(lake.versions("copy.rows") as u64, copies);
        let sql =
            "SELECT count(*) AS n, count(DISTINCT id) AS ids, count(DISTINCT note) AS notes FROM copy.rows";
        let found = self.house.query(sql)[0].clone();
        assert_eq!(found, serde_json::json!({"n": ROWS * copies, "ids": ROWS, "notes": ROWS}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_see_each_others_runs_and_a_key_sent_to_both_makes_one() {
    let shared = Shared::new().await;
    let first = shared.start(None).await;
    let second = shared.start(Some(&first)).await;
    let held_up = shared.hold_up().await;
    let run_id = first.triggered(None).await;
    second.wait_for("a read that waits", async || shared.waiting().await == 1).await;
    assert_eq!(second.run(&run_id).await["state"], "running");
    let (status, said) = second.trigger(None).await;
    assert_eq!((status, &said["type"]), (409, &"urn:sealift:problem:run-active".into()), "{said}");
    second.house.run(&["sync", "copy"]).expect(75);
    drop(held_up);
    assert_eq!(second.over(&run_id).await["outcome"], "done");
    assert_eq!(second.get("/v1/runs").await["runs"][0]["run_id"], run_id.as_str());
    second.house.run(&["sync", "copy"]).expect(0);

    let nodes = [&first, &second];
    let all = (0..20).map(|n| nodes[n % 2].trigger(Some("order-1")));
    let all = futures::future::join_all(all).await;
    let (_, one) = all[0].clone();
    for (status, said) in all {
        assert_eq!((status, &said["run_id"]), (202, &one["run_id"]), "{said}");
    }
    assert_eq!(first.over(one["run_id"].as_str().unwrap()).await["outcome"], "done");
    assert_eq!(second.trigger(Some("order-1")).await.1["run_id"], one["run_id"]);
    second.shows(3, &first.house);
    first.stop();
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_run_of_one_that_is_killed_is_taken_over_by_the_other() {
    let shared = Shared::new().await;
    let mut first = shared.start(None).await;
    let second = shared.start(Some(&first)).await;
    let held_up = shared.hold_up().await;
    let run_id = first.triggered(Some("order-2")).await;
    second.wait_for("a read that waits", async || shared.waiting().await == 1).await;
    let (_, lost, holder) = shared.epochs().await;
    first.daemon.child.kill().unwrap();
    let killed = Instant::now();
    // Until the lease has run out the pipeline is the dead one's.
    assert_eq!(second.trigger(Some("order-2")).await.1["run_id"], run_id.as_str());
    second.taken_over(&run_id).await;
    assert!(killed.elapsed() < 2 * LEASE, "taken over after {:?}", killed.elapsed());
    let (lease, now, taker) = shared.epochs().await;
    assert!(now > lost && now == Some(lease) && taker != holder, "{now:?} {lost:?} {taker:?}");
    drop(held_up);
    let run = second.over(&run_id).await;
    let told = (&run["outcome"], &run["trigger"], &run["attempt"]);
    assert_eq!(told, (&"done".into(), &"api".into(), &2.into()), "{run}");
    assert_eq!(second.trigger(Some("order-2")).await.1["run_id"], run_id.as_str());
    assert_eq!(second.get("/v1/runs").await["runs"].as_array().unwrap().len(), 1);
    second.shows(1, &first.house);
    second.house.run(&["verify", "copy.rows"]).expect(0);
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stood_still_past_its_lease_neither_publishes_nor_writes_over_the_others_record() {
    let shared = Shared::new().await;
    let first = shared.start(None).await;
    let second = shared.start(Some(&first)).await;
    let held_up = shared.hold_up().await;
    let run_id = first.triggered(None).await;
    second.wait_for("a read that waits", async || shared.waiting().await == 1).await;
    first.signal(Signal::STOP);
    second.taken_over(&run_id).await;
    // Both read the same rows now; the one that has the lease publishes them.
    drop(held_up);
    let run = second.over(&run_id).await;
    assert_eq!((&run["outcome"], &run["attempt"]), (&"done".into(), &2.into()), "{run}");
    let record = shared.epochs().await;
    first.signal(Signal::CONT);
    let said = || std::fs::read_to_string(&first.daemon.stderr).unwrap();
    first.wait_for("that it gives up", async || said().contains("given up: the lease is lost")).await;
    assert_eq!((second.run(&run_id).await, shared.epochs().await), (run, record));
    second.shows(1, &first.house);
    // It is a daemon like any other again.
    let again = first.triggered(None).await;
    assert_eq!(first.over(&again).await["outcome"], "done");
    second.shows(2, &first.house);
    first.stop();
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_nothing_is_taken_and_nothing_is_published() {
    let mut server = Server::start(&|_| None);
    server.client("postgres").await.batch_execute("CREATE DATABASE metadata").await.unwrap();
    let shared = Shared { address: server.url("metadata"), ..Shared::new().await };
    let node = shared.start(None).await;
    let held_up = shared.hold_up().await;
    let run_id = node.triggered(None).await;
    node.wait_for("a read that waits", async || shared.waiting().await == 1).await;

    server.crash();
    node.wait_for("unreadiness", async || node.readiness().await == Some(503)).await;
    let (status, said) = node.trigger(None).await;
    assert_eq!(status, 503, "{said}");
    let said = || std::fs::read_to_string(&node.daemon.stderr).unwrap();
    node.wait_for("that it gives the run up", async || said().contains("given up: the lease is lost")).await;
    drop(held_up);
    assert_eq!(node.house.versions("copy.rows"), 0);

    server.start_again();
    node.wait_for("readiness", async || node.readiness().await == Some(200)).await;
    // It is found as the run of a lost daemon is.
    let run = node.over(&run_id).await;
    assert_eq!((&run["outcome"], &run["attempt"]), (&"done".into(), &2.into()), "{run}");
    node.shows(1, &node.house);
    node.stop();
}

/// Each has the whole schedule; what is due is one run.
#[tokio::test]
async fn what_both_have_on_their_schedule_runs_once() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("url"), database.url()).unwrap();
    let noon = Utc.with_ymd_and_hms(2026, 11, 3, 12, 0, 0).unwrap();
    let clock = Arc::new(Still(watch::channel(noon).0));
    let (started, mut runs) = mpsc::unbounded_channel();
    let mut daemons = Vec::new();
    let mut ledgers = Vec::new();
    for _ in 0..2 {
        let url = Reference::File(folder.path().join("url"));
        let ledger = Ledger::open(&Metadata::Postgres { url, lease: PATIENCE }).await.unwrap();
        let fake = Fake {
            acts: [("crm", Act::Publish)].into(),
            ledger: ledger.clone(),
            started: started.clone(),
            go: Arc::new(Semaphore::new(0)),
        };
        ledgers.push(ledger.clone());
        let settings = Settings {
            registry: Registry::of(vec![pipeline("crm", Some("* * * * *"))]),
            documents: None,
            reloads: Reloads::default(),
            views: Views::default(),
            ledger,
            runner: Arc::new(fake),
            clock: clock.clone(),
            observability: Observability::default(),
            entrance: Entrance::default(),
            limits: Limits::default(),
            grace: PATIENCE,
            cancel_wait: PATIENCE,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        daemons.push(Daemon::start(settings, listener).await.unwrap());
    }
    for minute in 1..4 {
        clock.0.send_replace(Utc.with_ymd_and_hms(2026, 11, 3, 12, minute, 0).unwrap());
        runs.recv().await.unwrap();
        let begun = Instant::now();
        while !ledgers[0].unfinished(None).await.unwrap().is_empty() {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    for daemon in daemons {
        daemon.shut_down(15, tokio_util::sync::CancellationToken::new()).await.unwrap();
    }
    let all = ledgers[0].runs(None, 100).await.unwrap();
    assert!(all.iter().all(|run| run.trigger == Trigger::Schedule));
    assert_eq!(all.len(), 3, "{all:?}");
}
