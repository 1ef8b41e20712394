//! Who may run a pipeline, and what becomes of who may no longer.

use std::time::{Duration, Instant};

use sealift::error::{Error, Kind};
use sealift::run::ledger::{Lease, RunId, State, Trigger, WrittenPart};
use sealift::spec::{DatasetName, StreamName};
use tokio_util::sync::CancellationToken;

use super::{LONG, Place, pipeline, published};

fn part(run_id: RunId) -> WrittenPart {
    let (asked, manifest) = ("a".to_owned(), "m".to_owned());
    WrittenPart { run_id, part: 0, asked, instant: None, rows: 1, bytes: 1, manifest }
}

#[tokio::test]
async fn only_one_holder_has_a_lease() {
    for place in Place::both().await {
        let (ledger, other) = (place.open(LONG).await, place.open(LONG).await);
        let all: Vec<_> = (0..8).map(|n| if n % 2 == 0 { ledger.clone() } else { other.clone() }).collect();
        let (crm, dataset) = (pipeline("crm"), DatasetName::parse("crm.orders").unwrap());
        let taken = futures::future::join_all(all.iter().map(|ledger| ledger.lease(&crm))).await;
        let mut taken: Vec<_> = taken.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken.len(), 1);
        let _upkeep = other.lease_upkeep(&dataset).await.unwrap().unwrap();
        assert!(ledger.lease_upkeep(&dataset).await.unwrap().is_none());
        assert!(other.lease(&pipeline("erp")).await.unwrap().is_some());
        taken.remove(0).end().await;
        assert!(other.lease(&crm).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn nobody_takes_a_lease_while_something_is_recorded_under_it() {
    let place = Place::postgres().await;
    let (crm, database) = (pipeline("crm"), place.database.as_ref().unwrap());
    let (ledger, leases) = place.holding(&["crm"]).await;
    let other = place.open(LONG).await;
    let run_id = ledger.queue(&crm, "d", Trigger::Cli).await.unwrap();
    ledger.start(&run_id).await.unwrap();
    let stream = StreamName::parse("people").unwrap();
    let nobody_takes_it = async |table: &str| {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let begun = Instant::now();
        while database.client.query_one(waits, &[&table]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(begun.elapsed() < LONG, "nothing waits for {table}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(tokio::time::timeout(Duration::from_millis(500), other.lease(&crm)).await.is_err());
        database.run("ROLLBACK").await;
    };
    // What is recorded does not come to its end while the table is locked.
    database.run("BEGIN; LOCK TABLE run_parts IN EXCLUSIVE MODE").await;
    let written = part(run_id);
    let (recorded, ()) = tokio::join!(ledger.part_written(&stream, &written), nobody_takes_it("run_parts"));
    recorded.unwrap();
    database.run("BEGIN; LOCK TABLE runs IN EXCLUSIVE MODE").await;
    let (buried, ()) = tokio::join!(ledger.bury(&crm, &leases[0]), nobody_takes_it("runs"));
    assert_eq!(buried.unwrap(), [run_id]);
    assert!(other.lease(&crm).await.unwrap().is_none());
}

/// What a holder finds that stood still while its lease ran out and another took it.
#[tokio::test]
async fn who_lost_the_lease_records_nothing_any_more_and_may_not_publish() {
    let place = Place::postgres().await;
    let (crm, later) = (pipeline("crm"), chrono::Utc::now());
    let (still, leases) = place.holding(&["crm"]).await;
    let run_id = still.queue(&crm, "d", Trigger::Api).await.unwrap();
    still.start(&run_id).await.unwrap();
    let other = place.open(LONG).await;
    assert!(other.orphans().await.unwrap().is_empty());
    assert!(other.lease(&crm).await.unwrap().is_none());
    let refused = |error: Error| assert_eq!(error.kind(), Kind::Temporary, "{error}");
    // Another process records nothing of it.
    refused(other.stream_published(&run_id, &published(1)).await.unwrap_err());
    refused(other.conclude(&run_id, &Ok(())).await.unwrap_err());

    place.let_run_out().await;
    refused(still.check_standing(&run_id).await.unwrap_err());
    let lease = other.lease(&crm).await.unwrap().unwrap();
    let left = other.in_processes(Some(&crm)).await.unwrap().remove(0);
    let stream = StreamName::parse("people").unwrap();
    let everything_is_refused = async || {
        refused(still.part_written(&stream, &part(run_id)).await.unwrap_err());
        refused(still.forget_parts(&run_id, &stream).await.unwrap_err());
        refused(still.check_standing(&run_id).await.unwrap_err());
        refused(still.stream_published(&run_id, &published(1)).await.unwrap_err());
        refused(still.finish(&run_id, State::Succeeded, "done", None).await.unwrap_err());
        refused(still.try_again(&run_id, 2, later, "away").await.unwrap_err());
        refused(still.give_back(&left, &leases[0], 2, later, "away").await.unwrap_err());
    };
    everything_is_refused().await;
    refused(still.bury(&crm, &leases[0]).await.unwrap_err());
    other.give_back(&left, &lease, 2, later, "interrupted: its process ended").await.unwrap();
    everything_is_refused().await;
    refused(still.start(&run_id).await.unwrap_err());
    other.start(&run_id).await.unwrap();
    everything_is_refused().await;
    still.beat(&run_id).await.unwrap();
    // Letting go what one does not have takes nothing from who has it.
    for lease in leases {
        lease.end().await;
    }
    other.check_standing(&run_id).await.unwrap();
    other.stream_published(&run_id, &published(7)).await.unwrap();
    other.conclude(&run_id, &Ok(())).await.unwrap();

    let run = other.run(&run_id).await.unwrap().unwrap();
    assert_eq!((run.state, run.attempt, run.streams), (State::Succeeded, 2, vec![published(7)]));
    let row =
        place.database.as_ref().unwrap().client.query_one("SELECT epoch FROM leases", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
}

#[tokio::test]
async fn a_run_that_nobody_holds_is_an_orphan_and_one_that_waits_is_not() {
    let place = Place::postgres().await;
    let (dead, leases) = place.holding(&["crm", "erp", "hr"]).await;
    let [crm, erp, hr] = ["crm", "erp", "hr"].map(pipeline);
    let begun = dead.queue(&crm, "d", Trigger::Schedule).await.unwrap();
    dead.start(&begun).await.unwrap();
    let by_hand = dead.queue(&erp, "d", Trigger::Cli).await.unwrap();
    dead.queue(&hr, "d", Trigger::Api).await.unwrap();
    let other = place.open(LONG).await;
    assert!(other.orphans().await.unwrap().is_empty());
    place.let_run_out().await;
    let orphans: Vec<_> = other.orphans().await.unwrap().iter().map(|run| run.run_id).collect();
    assert_eq!(orphans, [by_hand, begun]);
    drop(leases);
}

#[tokio::test]
async fn what_is_done_under_a_lease_is_stopped_when_it_is_lost_and_not_before() {
    let place = Place::postgres().await;
    let ledger = place.open(Duration::from_secs(3)).await;
    let lease = ledger.lease(&pipeline("crm")).await.unwrap().unwrap();
    let cancel = CancellationToken::new();
    // Longer than a lease that is not renewed would stand.
    let renewed = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    };
    lease.guard(&cancel, renewed).await.unwrap();
    assert!(!cancel.is_cancelled());

    place.let_run_out().await;
    let heeding = async {
        cancel.cancelled().await;
        Err::<(), _>(Error::new(Kind::Cancelled(15), "the run was cancelled"))
    };
    let error = lease.guard(&cancel, heeding).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    // What heeds nothing is dropped where it stands.
    let error = lease.guard(&cancel, std::future::pending::<sealift::error::Result<()>>()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    // Of several one is enough.
    let held = ledger.lease(&pipeline("erp")).await.unwrap().unwrap();
    assert_eq!(Lease::under([&held], async { Ok(1) }).await.unwrap(), 1);
    let never = std::future::pending::<sealift::error::Result<()>>();
    assert_eq!(Lease::under([&held, &lease], never).await.unwrap_err().kind(), Kind::Temporary);
}
