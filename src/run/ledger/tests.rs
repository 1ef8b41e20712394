use std::os::unix::fs::PermissionsExt;

use super::*;

async fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("var/sealift.db"))).await.unwrap();
    (folder, ledger)
}

fn pipeline(name: &str) -> PipelineName {
    PipelineName::parse(name).unwrap()
}

#[tokio::test]
async fn a_run_is_told_from_queue_to_finish() {
    let (_folder, ledger) = ledger().await;
    let run_id = ledger.queue(&pipeline("crm"), "abc", Trigger::Api).await.unwrap();
    assert_eq!(ledger.run(&run_id).await.unwrap().unwrap().state, State::Queued);
    ledger.start(&run_id).await.unwrap();
    let stream = StreamOutcome {
        receipt: None,
        stream: "public.orders".into(),
        dataset: "crm.orders".into(),
        version: Some(3),
        rows: 10,
        quarantined: 2,
        bytes: 200,
        seconds: 0.5,
        state: StreamState::Published,
    };
    ledger.stream_published(&run_id, &stream).await.unwrap();
    ledger.conclude(&run_id, &Ok(())).await.unwrap();

    let run = ledger.run(&run_id).await.unwrap().unwrap();
    assert_eq!((run.state, run.outcome.as_deref()), (State::Succeeded, Some("done")));
    assert_eq!(run.streams, [stream]);
    assert!(run.created_at <= run.started_at.unwrap() && run.started_at <= run.finished_at);
    assert!(ledger.unfinished(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_finished_run_cannot_be_finished_or_started_again() {
    let (_folder, ledger) = ledger().await;
    let run_id = ledger.queue(&pipeline("crm"), "abc", Trigger::Cli).await.unwrap();
    ledger.conclude(&run_id, &Err(Error::held("no"))).await.unwrap();
    assert_eq!(ledger.conclude(&run_id, &Ok(())).await.unwrap_err().kind(), Kind::Failed);
    assert_eq!(ledger.start(&run_id).await.unwrap_err().kind(), Kind::Failed);
    let run = ledger.run(&run_id).await.unwrap().unwrap();
    assert_eq!((run.state, run.outcome.as_deref()), (State::Held, Some("held")));
}

#[tokio::test]
async fn runs_come_newest_first_by_pipeline_and_no_more_than_asked() {
    let (_folder, ledger) = ledger().await;
    let first = ledger.queue(&pipeline("crm"), "a", Trigger::Cli).await.unwrap();
    ledger.queue(&pipeline("erp"), "b", Trigger::Cli).await.unwrap();
    let third = ledger.queue(&pipeline("crm"), "c", Trigger::Cli).await.unwrap();
    let ids = |runs: Vec<Run>| runs.into_iter().map(|run| run.run_id).collect::<Vec<_>>();
    assert_eq!(ids(ledger.runs(Some(&pipeline("crm")), 10).await.unwrap()), [third, first]);
    assert_eq!(ids(ledger.runs(None, 1).await.unwrap()), [third]);
}

#[tokio::test]
async fn only_one_holder_has_a_pipelines_lease() {
    let (folder, ledger) = ledger().await;
    let other = Ledger::open(&Metadata::Sqlite(folder.path().join("var/sealift.db"))).await.unwrap();
    let lease = ledger.lease(&pipeline("crm")).unwrap().unwrap();
    assert!(other.lease(&pipeline("crm")).unwrap().is_none());
    assert!(other.lease(&pipeline("erp")).unwrap().is_some());
    drop(lease);
    assert!(other.lease(&pipeline("crm")).unwrap().is_some());
}

#[tokio::test]
async fn what_a_dead_process_left_is_marked_as_interrupted() {
    let (_folder, ledger) = ledger().await;
    let crm = pipeline("crm");
    let left = ledger.queue(&crm, "a", Trigger::Api).await.unwrap();
    ledger.start(&left).await.unwrap();
    let foreign = ledger.queue(&pipeline("erp"), "a", Trigger::Api).await.unwrap();

    let lease = ledger.lease(&crm).unwrap().unwrap();
    assert_eq!(ledger.bury(&crm, &lease).await.unwrap(), [left]);
    let run = ledger.run(&left).await.unwrap().unwrap();
    assert_eq!((run.state, run.outcome.as_deref()), (State::Failed, Some("temporary")));
    assert!(run.error.unwrap().starts_with("interrupted"));
    assert_eq!(ledger.run(&foreign).await.unwrap().unwrap().state, State::Queued);
}

#[tokio::test]
async fn only_the_owner_can_read_the_store() {
    let (folder, ledger) = ledger().await;
    ledger.queue(&pipeline("crm"), "a", Trigger::Cli).await.unwrap();
    for name in ["sealift.db", "sealift.db-wal"] {
        let mode = std::fs::metadata(folder.path().join("var").join(name)).unwrap().permissions().mode();
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
async fn a_store_is_tested_once_a_day() {
    let (_folder, ledger) = ledger().await;
    assert!(!ledger.is_tested("file /lake").await.unwrap());
    ledger.tested("file /lake").await.unwrap();
    ledger.tested("file /lake").await.unwrap();
    assert!(ledger.is_tested("file /lake").await.unwrap());
    assert!(!ledger.is_tested("file /lake2").await.unwrap());
    for hours in [-25, 1] {
        let then = now_ms() + hours * 3_600_000;
        sqlx::query("UPDATE stores SET tested_ms = ?").bind(then).execute(&ledger.pool).await.unwrap();
        assert!(!ledger.is_tested("file /lake").await.unwrap(), "{hours}");
    }
}

#[tokio::test]
async fn a_run_may_still_publish_what_it_wrote_while_it_is_under_way_or_parts_are_kept() {
    let (_folder, ledger) = ledger().await;
    assert_eq!(ledger.oldest_writer_ms().await.unwrap(), None);
    let run_id = ledger.queue(&pipeline("crm"), "abc", Trigger::Cli).await.unwrap();
    let created = Some(ledger.run(&run_id).await.unwrap().unwrap().created_at.timestamp_millis());
    assert_eq!(ledger.oldest_writer_ms().await.unwrap(), created);
    let stream = crate::spec::StreamName::parse("people").unwrap();
    let (asked, manifest) = ("a".to_owned(), "m".to_owned());
    let part = WrittenPart { run_id, part: 0, asked, instant: None, rows: 1, bytes: 1, manifest };
    ledger.part_written(&stream, &part).await.unwrap();
    ledger.start(&run_id).await.unwrap();
    ledger.conclude(&run_id, &Err(Error::temporary("killed"))).await.unwrap();
    assert_eq!(ledger.oldest_writer_ms().await.unwrap(), created);
    assert_eq!(ledger.streams_with_parts(&pipeline("crm")).await.unwrap(), std::slice::from_ref(&stream));
    ledger.forget_parts(&pipeline("crm"), &stream).await.unwrap();
    assert_eq!(ledger.oldest_writer_ms().await.unwrap(), None);
}

#[tokio::test]
async fn work_that_is_of_no_stream_is_remembered() {
    let (_folder, ledger) = ledger().await;
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
    assert!(
        !ledger.has_tried(&other, &tried).await.unwrap()
            && ledger.remembered(&other).await.unwrap().is_empty()
    );
}
