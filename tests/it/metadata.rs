//! The metadata store: one suite for SQLite and PostgreSQL. Each ledger in it is as one process.

mod leases;
mod program;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sealift::error::{Error, Kind};
use sealift::govern::audit::{self, Action};
use sealift::govern::{Role, Store as _, token};
use sealift::run::ledger::{
    Lease, Ledger, Order, RequestKey, Run, RunId, State, StreamOutcome, StreamState, Trigger, Under, Wanted,
    WrittenPart,
};
use sealift::secret::Reference;
use sealift::spec::config::Metadata;
use sealift::spec::{DatasetName, PipelineName, StreamName};
use tempfile::TempDir;

use crate::servers::postgres::Database;

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Where ledgers lie that are opened here.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) database: Option<Database>,
}

impl Place {
    fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None }
    }

    async fn postgres() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create().await;
        std::fs::write(folder.path().join("url"), database.url()).unwrap();
        Self { folder, database: Some(database) }
    }

    pub(crate) async fn both() -> [Self; 2] {
        [Self::sqlite(), Self::postgres().await]
    }

    pub(crate) async fn open(&self, lease: Duration) -> Ledger {
        let settings = match &self.database {
            None => Metadata::Sqlite(self.folder.path().join("var/sealift.db")),
            Some(_) => Metadata::Postgres { url: Reference::File(self.folder.path().join("url")), lease },
        };
        Ledger::open(&settings).await.unwrap()
    }

    /// A ledger that may record runs of these pipelines.
    async fn holding(&self, names: &[&str]) -> (Ledger, Vec<Lease>) {
        let ledger = self.open(LONG).await;
        let mut leases = Vec::new();
        for name in names {
            leases.push(ledger.lease(&pipeline(name)).await.unwrap().unwrap());
        }
        (ledger, leases)
    }

    /// Lets all leases run out at once, as if their holders had stood still for as long.
    async fn let_run_out(&self) {
        self.database.as_ref().unwrap().run("UPDATE leases SET expires_ms = 1").await;
    }
}

fn pipeline(name: &str) -> PipelineName {
    PipelineName::parse(name).unwrap()
}

fn published(rows: u64) -> StreamOutcome {
    StreamOutcome {
        receipt: Some("4a".into()),
        stream: "public.orders".into(),
        dataset: "crm.orders".into(),
        version: Some(3),
        rows,
        quarantined: 2,
        bytes: 200,
        seconds: 0.5,
        state: StreamState::Published,
    }
}

#[tokio::test]
async fn a_run_is_told_from_queue_to_finish() {
    for place in Place::both().await {
        let (ledger, _leases) = place.holding(&["crm"]).await;
        let run_id = ledger.queue(&pipeline("crm"), "abc", Trigger::Api).await.unwrap();
        assert_eq!(ledger.run(&run_id).await.unwrap().unwrap().state, State::Queued);
        ledger.start(&run_id).await.unwrap();
        ledger.check_standing(&run_id).await.unwrap();
        ledger.stream_published(&run_id, &published(9)).await.unwrap();
        ledger.stream_published(&run_id, &published(10)).await.unwrap();
        ledger.conclude(&run_id, &Ok(())).await.unwrap();

        let run = ledger.run(&run_id).await.unwrap().unwrap();
        assert_eq!((run.state, run.outcome.as_deref()), (State::Succeeded, Some("done")));
        assert_eq!(run.streams, [published(10)]);
        assert!(run.created_at <= run.started_at.unwrap() && run.started_at <= run.finished_at);
        assert!(ledger.unfinished(None).await.unwrap().is_empty());
        let unknown = ledger.stream_published(&RunId::draw(), &published(1)).await.unwrap_err();
        assert_eq!(unknown.kind(), Kind::Failed);
    }
}

#[tokio::test]
async fn a_finished_run_cannot_be_finished_or_started_again() {
    for place in Place::both().await {
        let (ledger, _leases) = place.holding(&["crm"]).await;
        let run_id = ledger.queue(&pipeline("crm"), "abc", Trigger::Cli).await.unwrap();
        ledger.conclude(&run_id, &Err(Error::held("no"))).await.unwrap();
        assert_eq!(ledger.conclude(&run_id, &Ok(())).await.unwrap_err().kind(), Kind::Failed);
        assert_eq!(ledger.start(&run_id).await.unwrap_err().kind(), Kind::Failed);
        let run = ledger.run(&run_id).await.unwrap().unwrap();
        assert_eq!((run.state, run.outcome.as_deref()), (State::Held, Some("held")));
    }
}

#[tokio::test]
async fn runs_come_newest_first_by_pipeline_and_no_more_than_asked() {
    for place in Place::both().await {
        let (ledger, _leases) = place.holding(&["crm", "erp"]).await;
        let first = ledger.queue(&pipeline("crm"), "a", Trigger::Cli).await.unwrap();
        ledger.queue(&pipeline("erp"), "b", Trigger::Cli).await.unwrap();
        let third = ledger.queue(&pipeline("crm"), "c", Trigger::Cli).await.unwrap();
        let ids = |runs: Vec<Run>| runs.into_iter().map(|run| run.run_id).collect::<Vec<_>>();
        assert_eq!(ids(ledger.runs(Some(&pipeline("crm")), 10).await.unwrap()), [third, first]);
        assert_eq!(ids(ledger.runs(None, 1).await.unwrap()), [third]);

        for run_id in [first, third] {
            for stream in ["a", "b"] {
                let one = StreamOutcome { stream: stream.to_owned(), ..published(1) };
                ledger.stream_published(&run_id, &one).await.unwrap();
            }
        }
        for (most, kept) in [(100, 3), (4, 3), (3, 2), (2, 2), (1, 1)] {
            let mut page = ledger.page(&Wanted::default(), 10).await.unwrap();
            assert!(page.iter().all(|run| run.streams.is_empty()));
            let is_cut = ledger.add_most_streams(&mut page, most).await.unwrap();
            assert_eq!((page.len(), is_cut, page[0].streams.len()), (kept, kept < 3, 2), "{most}");
        }
    }
}

#[tokio::test]
async fn what_a_dead_process_left_is_marked_as_interrupted() {
    for place in Place::both().await {
        let (dead, leases) = place.holding(&["crm", "erp"]).await;
        let (crm, left) = (pipeline("crm"), dead.queue(&pipeline("crm"), "a", Trigger::Api).await.unwrap());
        dead.start(&left).await.unwrap();
        let waits = dead.queue(&crm, "a", Trigger::Api).await.unwrap();
        let foreign = dead.queue(&pipeline("erp"), "a", Trigger::Api).await.unwrap();
        dead.start(&foreign).await.unwrap();
        for lease in leases {
            lease.end().await;
        }
        let ledger = place.open(LONG).await;
        let lease = ledger.lease(&crm).await.unwrap().unwrap();
        assert_eq!(ledger.bury(&crm, &lease).await.unwrap(), [left]);
        assert!(ledger.bury(&crm, &lease).await.unwrap().is_empty());
        let run = ledger.run(&left).await.unwrap().unwrap();
        assert_eq!((run.state, run.outcome.as_deref()), (State::Failed, Some("temporary")));
        assert!(run.error.unwrap().starts_with("interrupted"));
        assert_eq!(ledger.run(&foreign).await.unwrap().unwrap().state, State::Running);
        // What a daemon had queued waits for another one.
        assert_eq!(
            ledger.waiting(10).await.unwrap().iter().map(|run| run.run_id).collect::<Vec<_>>(),
            [waits]
        );
        ledger.start(&waits).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_has_one_run_whoever_asks_and_however_many_at_once() {
    for place in Place::both().await {
        let (ledger, _leases) = place.holding(&["crm"]).await;
        let (key, crm) = (RequestKey::of("token:a", b"order-1").unwrap(), pipeline("crm"));
        let queue = |instead_of: Option<RunId>| {
            let under = Under::Key(Trigger::Api, key.clone());
            let (spec_digest, actor) = ("d".to_owned(), "token:a".to_owned());
            let order =
                Order { pipeline: crm.clone(), spec_digest, actor, under, instead_of, if_idle: false };
            let ledger = &ledger;
            async move { ledger.take_orders(&[order]).await.unwrap()[0] }
        };
        let asked = futures::future::join_all((0..8).map(|_| queue(None))).await;
        let asked: Vec<_> = asked.into_iter().flatten().collect();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(ledger.asked_under(&key).await.unwrap().unwrap().run_id, asked[0]);
        assert_eq!(ledger.runs(None, 10).await.unwrap().len(), 1, "what was not taken left no run");
        let second = queue(Some(asked[0])).await.unwrap();
        assert_eq!(queue(Some(asked[0])).await, None, "the key is another run's by now");
        assert_eq!(ledger.asked_under(&key).await.unwrap().unwrap().run_id, second);
    }
}

#[tokio::test]
async fn a_store_of_tables_is_tested_once_a_day() {
    for place in Place::both().await {
        let ledger = place.open(LONG).await;
        assert!(!ledger.is_tested("file /lake").await.unwrap());
        ledger.tested("file /lake").await.unwrap();
        ledger.tested("file /lake").await.unwrap();
        assert!(ledger.is_tested("file /lake").await.unwrap());
        assert!(!ledger.is_tested("file /lake2").await.unwrap());
        for hours in [-25, 1] {
            let then = chrono::Utc::now().timestamp_millis() + hours * 3_600_000;
            let moved = sqlx::query("UPDATE stores SET tested_ms = $1").bind(then);
            moved.execute(ledger.pool()).await.unwrap();
            assert!(!ledger.is_tested("file /lake").await.unwrap(), "{hours}");
        }
    }
}

#[tokio::test]
async fn a_run_may_still_publish_what_it_wrote_while_it_is_under_way_or_parts_are_kept() {
    for place in Place::both().await {
        let (ledger, _leases) = place.holding(&["crm"]).await;
        assert_eq!(ledger.oldest_writer_ms().await.unwrap(), None);
        let run_id = ledger.queue(&pipeline("crm"), "abc", Trigger::Cli).await.unwrap();
        let created = Some(ledger.run(&run_id).await.unwrap().unwrap().created_at.timestamp_millis());
        assert_eq!(ledger.oldest_writer_ms().await.unwrap(), created);
        ledger.start(&run_id).await.unwrap();
        let stream = StreamName::parse("people").unwrap();
        let (asked, manifest) = ("a".to_owned(), "m".to_owned());
        let part = WrittenPart { run_id, part: 0, asked, instant: None, rows: 1, bytes: 1, manifest };
        ledger.part_written(&stream, &part).await.unwrap();
        ledger.part_written(&stream, &WrittenPart { rows: 2, ..part.clone() }).await.unwrap();
        let kept = ledger.parts(&pipeline("crm"), &stream).await.unwrap();
        assert_eq!(kept, [WrittenPart { rows: 2, ..part }]);
        ledger.conclude(&run_id, &Err(Error::temporary("killed"))).await.unwrap();
        assert_eq!(ledger.oldest_writer_ms().await.unwrap(), created);
        let streams = ledger.streams_with_parts(&pipeline("crm")).await.unwrap();
        assert_eq!(streams, std::slice::from_ref(&stream));
        let next = ledger.queue(&pipeline("crm"), "abc", Trigger::Cli).await.unwrap();
        ledger.start(&next).await.unwrap();
        ledger.forget_parts(&next, &stream).await.unwrap();
        ledger.conclude(&next, &Ok(())).await.unwrap();
        assert_eq!(ledger.oldest_writer_ms().await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_a_lost_run_had_published_is_recorded_by_the_next() {
    for place in Place::both().await {
        let crm = pipeline("crm");
        let (dead, leases) = place.holding(&["crm"]).await;
        let left = dead.queue(&crm, "d", Trigger::Cli).await.unwrap();
        dead.start(&left).await.unwrap();
        for lease in leases {
            lease.end().await;
        }
        let (ledger, leases) = place.holding(&["crm"]).await;
        ledger.bury(&crm, &leases[0]).await.unwrap();
        let next = ledger.queue(&crm, "d", Trigger::Cli).await.unwrap();
        ledger.start(&next).await.unwrap();
        if place.database.is_some() {
            let stranger = dead.settle(&left, &[published(9)], &next).await.unwrap_err();
            assert_eq!(stranger.kind(), Kind::Temporary, "{stranger}");
        }
        ledger.settle(&left, &[published(9)], &next).await.unwrap();
        let run = ledger.run(&left).await.unwrap().unwrap();
        assert_eq!((run.state, run.error, run.streams), (State::Succeeded, None, vec![published(9)]));
        let again = ledger.settle(&left, &[published(9)], &next).await.unwrap_err();
        assert_eq!(again.kind(), Kind::Failed, "{again}");
        if place.database.is_some() {
            let late = dead.stream_published(&left, &published(1)).await.unwrap_err();
            assert_eq!(late.kind(), Kind::Temporary, "{late}");
        }
    }
}

#[tokio::test]
async fn work_that_is_of_no_stream_is_remembered() {
    for place in Place::both().await {
        let ledger = place.open(LONG).await;
        let (dataset, other) = (DatasetName::parse("crm.a").unwrap(), DatasetName::parse("crm.b").unwrap());
        let (done, tried) = (RunId::draw(), RunId::draw());
        for _ in 0..2 {
            ledger.remember(&dataset, &done.to_string(), None).await.unwrap();
            ledger.remember(&dataset, &done.to_string(), Some((4, Some("4a")))).await.unwrap();
            ledger.remember(&dataset, &done.to_string(), Some((5, Some("5a")))).await.unwrap();
            ledger.remember(&dataset, &tried.to_string(), None).await.unwrap();
        }
        let remembered = ledger.remembered(&dataset).await.unwrap();
        let versions: Vec<_> =
            remembered.iter().map(|one| (one.version, &one.run_id, one.receipt.as_deref())).collect();
        assert_eq!(versions, [(5, &done, Some("5a")), (4, &done, Some("4a"))]);
        assert!(ledger.has_tried(&dataset, &tried).await.unwrap());
        assert!(!ledger.has_tried(&other, &tried).await.unwrap());
        assert!(ledger.remembered(&other).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_tables_tell_is_recorded_again_once_and_widened() {
    for place in Place::both().await {
        let ledger = place.open(LONG).await;
        let at = |second: i64| chrono::DateTime::from_timestamp(second, 0);
        let mut run = Run {
            run_id: RunId::draw(),
            pipeline: "crm".into(),
            spec_digest: "d".into(),
            trigger: Trigger::Schedule,
            state: State::Succeeded,
            outcome: Some("done".into()),
            error: None,
            attempt: 1,
            heartbeat_at: None,
            not_before: None,
            is_to_stop: false,
            created_at: at(100).unwrap(),
            started_at: at(100),
            finished_at: at(200),
            streams: Vec::new(),
        };
        assert_eq!(ledger.restore(&run, &published(1)).await.unwrap(), (true, true));
        assert_eq!(ledger.restore(&run, &published(1)).await.unwrap(), (false, false));
        (run.started_at, run.finished_at) = (at(50), at(150));
        ledger.widen(&run).await.unwrap();
        let found = ledger.run(&run.run_id).await.unwrap().unwrap();
        assert_eq!((found.started_at, found.finished_at), (at(50), at(200)));
    }
}

#[tokio::test]
async fn the_trail_only_grows_and_a_token_is_known_by_itself() {
    for place in Place::both().await {
        let (ledger, other) = (place.open(LONG).await, place.open(LONG).await);
        let secret = token::create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
        let text = secret.expose_str().unwrap();
        let principal = token::verify(&other, text).await.unwrap().unwrap();
        assert_eq!(principal.actor(), "token:airflow");
        assert!(token::verify(&other, &text.replace("sl_", "sl_x")).await.unwrap().is_none());
        audit::record(&other, "token:airflow", Action::RunTrigger, "crm").await.unwrap();
        let slipped_in = "INSERT INTO audit VALUES (-7, 1, 'os:0', 'key.release', 'x', 'done', 'x', 'x')";
        for forbidden in ["DELETE FROM audit", "UPDATE audit SET actor = 'x'", slipped_in] {
            assert!(sqlx::query(forbidden).execute(ledger.pool()).await.is_err(), "{forbidden}");
        }
        if let Some(database) = &place.database {
            assert!(database.client.batch_execute("TRUNCATE audit").await.is_err());
        }
        let told = audit::entries(&ledger, 10).await.unwrap();
        let told: Vec<_> = told.iter().map(|entry| (entry.actor.as_str(), entry.action.as_str())).collect();
        // Where several machines share the store, a user's number says little without the machine.
        let operator = match &place.database {
            Some(_) => format!("os:0@{}", audit::machine()),
            None => "os:0".to_owned(),
        };
        assert_eq!(told, [("token:airflow", "run.trigger"), (operator.as_str(), "token.create")]);
    }
}

#[tokio::test]
async fn processes_that_open_an_empty_store_at_once_make_its_tables_once() {
    for place in Place::both().await {
        let opened = futures::future::join_all((0..6).map(|_| place.open(LONG))).await;
        for ledger in opened {
            ledger.ping().await.unwrap();
            assert!(ledger.runs(None, 1).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn only_the_owner_can_read_a_file() {
    let place = Place::sqlite();
    let (ledger, _leases) = place.holding(&["crm"]).await;
    ledger.queue(&pipeline("crm"), "a", Trigger::Cli).await.unwrap();
    for name in ["sealift.db", "sealift.db-wal"] {
        let path = place.folder.path().join("var").join(name);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealift.db");
    std::fs::write(&path, "this is a text file, and a long one, not a database at all".repeat(40)).unwrap();
    let error = Ledger::open(&Metadata::Sqlite(path)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.message().contains("damaged"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_or_refuses_is_told_from_a_wrong_address() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create().await;
    let open = async |url: &str| {
        std::fs::write(folder.path().join("url"), url).unwrap();
        let url = Reference::File(folder.path().join("url"));
        let error = Ledger::open(&Metadata::Postgres { url, lease: LONG }).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("horse"), "{error:?}");
        assert!(error.remedy().is_some(), "{error:?}");
        error.kind()
    };
    let url = database.url();
    let (before, _) = url.rsplit_once('/').unwrap();
    assert_eq!(open(&format!("{before}/nothing")).await, Kind::Invalid);
    assert_eq!(open(&url.replace("%20horse", "%20horses")).await, Kind::Denied);
    assert_eq!(open("postgres://boss:correct%20horse@db.example/meta").await, Kind::Invalid);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(open(&format!("postgres://boss:correct%20horse@{free}/meta")).await, Kind::Temporary);
}
