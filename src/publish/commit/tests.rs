use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use futures::future::join_all;
use object_store::ObjectStoreExt as _;
use serde_json::{Value, json};

use super::*;
use crate::error::Kind;
use crate::publish::fixture::*;
use crate::publish::scripted::{Act, Scripted};
use crate::publish::{Table, write};
use crate::spec::pipeline::Parquet;

async fn actions(store: &Store, version: u64) -> Vec<Value> {
    let path = ObjectPath::commit(&dataset(), version).location();
    let bytes = store.objects().get(&path).await.unwrap().bytes().await.unwrap();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn of_kind<'a>(actions: &'a [Value], kind: &str) -> Vec<&'a Value> {
    actions.iter().filter_map(|action| action.get(kind)).collect()
}

async fn rows(store: &Store) -> u64 {
    let table = Table::load(store, &dataset(), None).await.unwrap().unwrap();
    table.files.iter().map(|file| file.rows.unwrap()).sum()
}

#[tokio::test]
async fn a_version_says_where_it_comes_from_and_the_next_one_builds_on_it() {
    let store = Scripted::new([]).store();
    assert!(Table::load(&store, &dataset(), None).await.unwrap().is_none());
    let first = publish(&store, people(0..10), Mode::Overwrite, "run-1").await.unwrap();
    assert_eq!((first.version, first.rows), (0, 10));
    let second = publish(&store, people(10..15), Mode::Append, "run-2").await.unwrap();
    assert_eq!((second.version, rows(&store).await), (1, 15));
    let third = publish(&store, people(0..3), Mode::Overwrite, "run-3").await.unwrap();
    assert_eq!((third.version, rows(&store).await), (2, 3));

    let first = actions(&store, 0).await;
    let info = &first[0]["commitInfo"];
    assert_eq!(info["operation"], "WRITE");
    assert_eq!(info["sealift"]["run_id"], "run-1");
    assert_eq!(info["sealift"]["columns"][0]["tag"], "open");
    assert_eq!(of_kind(&first, "protocol")[0]["minReaderVersion"], 1);
    let metadata = of_kind(&first, "metaData")[0];
    assert_eq!(metadata["configuration"]["delta.dataSkippingStatsColumns"], "id");
    let third = actions(&store, 2).await;
    assert_eq!(of_kind(&third, "remove").len(), 2);
    assert!(of_kind(&third, "metaData").is_empty(), "nothing in it changed");
    assert_eq!(of_kind(&third, "txn")[0]["version"], 2);

    for (run, version) in [("run-1", Some(0)), ("run-2", Some(1)), ("run-3", Some(2)), ("run-4", None)] {
        let history =
            Table::history(&store, &dataset(), "crm/public.people", |_| false).await.unwrap().unwrap();
        let found = history.by(run, "crm/public.people");
        assert_eq!(found.map(|outcome| outcome.version), version, "{run}");
        assert!(history.is_whole && history.by(run, "crm/public.others").is_none());
    }
    assert_eq!(Table::list(&store).await.unwrap(), [dataset()]);
    let old = Table::load(&store, &dataset(), Some(0)).await.unwrap().unwrap();
    assert_eq!(old.files[0].rows, Some(10));
    assert_eq!(Table::load(&store, &dataset(), Some(9)).await.unwrap_err().kind(), Kind::Failed);
}

/// Every way an answer can be lost or lie ends with the rows there exactly once.
#[tokio::test]
async fn trap_already_exists_may_be_our_own_commit() {
    use Act::*;
    let scripts: [&[Act]; 7] = [
        &[LandsSaysExists],
        &[LandsAnswerLost],
        &[NothingSaysExists],
        &[NothingAnswerLost],
        &[NothingSaysExists, LandsSaysExists],
        &[NothingAnswerLost, NothingSaysExists, LandsAnswerLost],
        &[Honest],
    ];
    for script in scripts {
        let store = Scripted::new(script.iter().copied()).store();
        let outcome = publish(&store, people(0..7), Mode::Append, "run-1").await.unwrap();
        assert_eq!((outcome.version, rows(&store).await), (0, 7), "{script:?}");
        let outcome = publish(&store, people(7..9), Mode::Append, "run-2").await.unwrap();
        assert_eq!((outcome.version, rows(&store).await), (1, 9), "{script:?}");
    }
}

#[tokio::test]
async fn silence_keeps_the_files_and_a_definite_refusal_removes_them() {
    let store = Scripted::new([Act::NothingAnswerLost; 16]).store();
    let error = publish(&store, people(0..7), Mode::Append, "run-1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert_eq!(objects(&store).await.len(), 2, "the version may yet land: its file and receipt must stay");

    for (act, kind) in [(Act::Denied, Kind::Denied), (Act::DiskFull, Kind::Temporary)] {
        let store = Scripted::new([act]).store();
        let error = publish(&store, people(0..7), Mode::Append, "run-1").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(objects(&store).await, [""; 0], "{act:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appenders_each_land_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let local = Store::open(&crate::spec::config::Store::File { root: folder.path().join("lake") }).unwrap();
    for store in [Scripted::new([]).store(), local] {
        let appenders = (0..8).map(|task| {
            let store = &store;
            let run = format!("run-{task}");
            async move { publish(store, people(task * 10..task * 10 + 10), Mode::Append, &run).await.unwrap() }
        });
        let mut versions: Vec<_> = join_all(appenders).await.iter().map(|outcome| outcome.version).collect();
        versions.sort_unstable();
        assert_eq!(versions, (0..8).collect::<Vec<_>>());
        let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
        assert_eq!((table.files.len(), rows(&store).await), (8, 80));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_overwrites_end_with_the_rows_of_one() {
    let store = Scripted::new([]).store();
    let writers = (1..=6).map(|task| {
        let store = &store;
        let run = format!("run-{task}");
        async move { (task, publish(store, people(0..task), Mode::Overwrite, &run).await.unwrap()) }
    });
    let outcomes = join_all(writers).await;
    let (last, _) = outcomes.iter().max_by_key(|(_, outcome)| outcome.version).unwrap();
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    assert_eq!((table.version, table.files.len()), (5, 1));
    assert_eq!(rows(&store).await, u64::try_from(*last).unwrap());
}

#[tokio::test]
async fn an_append_that_does_not_fit_is_held_and_its_files_are_removed() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..1), Mode::Overwrite, "run-1").await.unwrap();
    let before = objects(&store).await;
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let other = RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("ssn", Arc::clone(&ids)), ("n", ids)])
        .unwrap();
    let error = publish(&store, other.clone(), Mode::Append, "run-2").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Held);
    assert!(error.message().contains("`id` is long in the table and string in the rows"), "{error}");
    assert!(error.message().contains("`n` is new"), "{error}");
    assert_eq!(objects(&store).await, before);

    // An overwrite takes the new schema along, and the table stays the same table.
    let id = |actions: &[Value]| of_kind(actions, "metaData")[0]["id"].clone();
    publish(&store, other, Mode::Overwrite, "run-3").await.unwrap();
    assert_eq!(id(&actions(&store, 0).await), id(&actions(&store, 1).await));
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    assert_eq!(table.schema.fields().len(), 3);
}

#[tokio::test]
async fn an_empty_result_is_a_version_with_a_schema() {
    let store = Scripted::new([]).store();
    let outcome = publish(&store, people(0..0), Mode::Overwrite, "run-1").await.unwrap();
    assert_eq!((outcome.version, outcome.rows), (0, 0));
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    assert_eq!((table.files.len(), table.schema.fields().len()), (0, 2));
}

#[tokio::test]
async fn a_table_with_features_we_do_not_know_is_left_alone() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..1), Mode::Overwrite, "run-1").await.unwrap();
    let foreign = serde_json::json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors", "rowTracking", "domainMetadata"]}});
    let path = ObjectPath::commit(&dataset(), 1).location();
    store.objects().put(&path, foreign.to_string().into()).await.unwrap();
    let error = publish(&store, people(1..2), Mode::Append, "run-2").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.message().contains("deletionVectors, domainMetadata, rowTracking"), "{error}");
}

#[tokio::test]
async fn an_append_only_table_is_not_overwritten() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..1), Mode::Overwrite, "run-1").await.unwrap();
    let first = actions(&store, 0).await;
    let mut metadata = of_kind(&first, "metaData")[0].clone();
    metadata["configuration"]["delta.appendOnly"] = "true".into();
    let path = ObjectPath::commit(&dataset(), 1).location();
    let line = serde_json::json!({"metaData": metadata}).to_string();
    store.objects().put(&path, line.into()).await.unwrap();
    let error = publish(&store, people(1..2), Mode::Overwrite, "run-2").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.message().contains("append-only"), "{error}");
    publish(&store, people(1..2), Mode::Append, "run-3").await.unwrap();
}

#[tokio::test]
async fn a_damaged_log_is_told_without_its_content() {
    let store = Scripted::new([]).store();
    let path = ObjectPath::commit(&dataset(), 0).location();
    store.objects().put(&path, "{\"add\": 123-45-6789".into()).await.unwrap();
    let error = Table::load(&store, &dataset(), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(!error.to_string().contains("6789"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenth_version_has_a_checkpoint_and_reads_the_same() {
    let store = Scripted::new([]).store();
    for run in 0..12 {
        publish(&store, people(run..run + 1), Mode::Append, &format!("run-{run}")).await.unwrap();
    }
    let found = objects(&store).await;
    assert!(found.iter().any(|path| path.contains("00000000000000000010.checkpoint")), "{found:?}");
    assert_eq!(rows(&store).await, 12);
    // Without the commits before it, the checkpoint alone tells.
    for version in 0..10 {
        store.objects().delete(&ObjectPath::commit(&dataset(), version).location()).await.unwrap();
    }
    assert_eq!(rows(&store).await, 12);
    let later = publish(&store, people(12..13), Mode::Append, "run-12").await.unwrap();
    assert_eq!((later.version, rows(&store).await), (12, 13));
    let txn = actions(&store, 12).await;
    assert_eq!(of_kind(&txn, "txn")[0]["version"], 12);
}

#[tokio::test]
async fn a_timestamp_without_zone_brings_its_table_feature() {
    use arrow::array::TimestampMicrosecondArray;
    let store = Scripted::new([]).store();
    publish(&store, people(0..1), Mode::Overwrite, "run-1").await.unwrap();
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]));
    let batch = RecordBatch::try_from_iter([("id", Arc::clone(&at)), ("ssn", at)]).unwrap();
    publish(&store, batch.clone(), Mode::Overwrite, "run-2").await.unwrap();
    let upgraded = actions(&store, 1).await;
    let protocol = of_kind(&upgraded, "protocol")[0].clone();
    assert_eq!(protocol["minReaderVersion"], 3);
    assert!(
        of_kind(&upgraded, "add")[0]["stats"].as_str().unwrap().contains("\"1970-01-01T00:00:01.500000\"")
    );
    publish(&store, batch, Mode::Append, "run-3").await.unwrap();
    assert!(of_kind(&actions(&store, 2).await, "protocol").is_empty());
}

#[tokio::test]
async fn partition_columns_must_agree_on_append() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..1), Mode::Overwrite, "run-1").await.unwrap();
    let by = ["id".to_owned()];
    let sealed = seal(vec![people(0..2)], &["ssn"]).await;
    let files = write(sealed, &store, &Parquet::default(), &by, 1 << 30).await.unwrap();
    let schema = people(0..0).schema();
    let change = Change {
        dataset: &dataset(),
        schema: &schema,
        open: &["id".into()],
        partition_by: &by,
        order: Order::Any,
        effect: Effect::Append { withdrawn: &[], unseen: None },
        evolution: &Evolution::default(),
        provenance: &provenance("r"),
        signer: &Signer::for_tests(),
    };
    let error = commit(&store, files, &change).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Held);
}

#[tokio::test]
async fn an_append_takes_back_the_rows_of_other_versions_in_the_same_commit() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..10), Mode::Overwrite, "run-1").await.unwrap();
    publish(&store, people(10..15), Mode::Append, "run-2").await.unwrap();
    publish(&store, people(10..15), Mode::Append, "run-3").await.unwrap();
    let outcome = publish_instead(&store, people(10..17), Mode::Append, "run-4", &[1, 2]).await.unwrap();
    assert_eq!((outcome.version, outcome.rows, rows(&store).await), (3, 7, 17));
    let commit = actions(&store, 3).await;
    assert_eq!((of_kind(&commit, "remove").len(), of_kind(&commit, "add").len()), (2, 1));
    let info = &of_kind(&commit, "commitInfo")[0];
    assert_eq!((&info["sealift"]["withdrawn"], &info["isBlindAppend"]), (&json!([1, 2]), &json!(false)));

    // What is gone already is not removed again, and a commit may do no more than take back: then the
    // table stays as it is, whatever the rows would have been like.
    let ids: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    let other = RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("ssn", ids)]).unwrap();
    publish_instead(&store, other, Mode::Append, "run-5", &[2, 3]).await.unwrap();
    assert_eq!(rows(&store).await, 10);
    let commit = actions(&store, 4).await;
    assert_eq!(of_kind(&commit, "remove").len(), 1);
    assert!(of_kind(&commit, "metaData").is_empty());
}

/// Commits one more batch of people, some of whose columns have other names.
async fn commit_named(
    store: &Store,
    names: [&str; 2],
    effect: Effect<'_>,
    evolution: &Evolution,
) -> Result<Outcome> {
    let columns = people(20..22).columns().to_vec();
    let batch = RecordBatch::try_from_iter_with_nullable(
        names.into_iter().zip(columns).map(|(name, column)| (name, column, true)),
    );
    let batch = batch.unwrap();
    let schema = batch.schema();
    let sealed = seal(vec![batch], &["ssn"]).await;
    let files = write(sealed, store, &Parquet::default(), &[], 1 << 30).await.unwrap();
    let (dataset, open, provenance) = (dataset(), ["id".to_owned()], provenance("run-2"));
    let change = Change {
        dataset: &dataset,
        schema: &schema,
        open: &open,
        partition_by: &[],
        effect,
        order: Order::Any,
        evolution,
        provenance: &provenance,
        signer: &Signer::for_tests(),
    };
    commit(store, files, &change).await
}

fn column_names(table: &Table) -> Vec<&str> {
    table.schema.fields().iter().map(|field| field.name().as_str()).collect()
}

#[tokio::test]
async fn an_append_differs_as_far_as_it_is_allowed() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..10), Mode::Append, "run-1").await.unwrap();
    let append = Effect::Append { withdrawn: &[], unseen: None };
    let names = |name: &str| [name.to_owned()].into();
    let (added, absent) = (Evolution { added: names("phone"), ..Evolution::default() }, names("ssn"));
    let error = commit_named(&store, ["id", "phone"], append, &added).await.unwrap_err();
    assert!(error.kind() == Kind::Held && error.message().contains("`ssn` of the table"), "{error}");
    let both = Evolution { absent, ..added };
    commit_named(&store, ["id", "phone"], append, &both).await.unwrap();
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    assert_eq!((column_names(&table), rows(&store).await), (vec!["id", "ssn", "phone"], 12));
}

#[tokio::test]
async fn files_that_are_written_again_are_no_publication_of_their_run() {
    let store = Scripted::new([]).store();
    publish(&store, people(0..10), Mode::Append, "run-1").await.unwrap();
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    let replaced = vec![table.files[0].path.clone()];
    let rewrite = Rewrite { read_version: Some(0), replaced, changes_rows: true, carried: 0 };
    let reshapes = Evolution { reshapes: true, ..Evolution::default() };
    commit_named(&store, ["id", "number"], Effect::Rewrite(&rewrite), &reshapes).await.unwrap();
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    assert_eq!((column_names(&table), rows(&store).await), (vec!["id", "number"], 2));
    // A run that ends here has appended nothing yet.
    let history = Table::recent(&store, &dataset()).await.unwrap().unwrap();
    let known: Vec<_> = history.publications.iter().map(|one| one.run_id.as_str()).collect();
    assert_eq!((known, history.is_whole), (vec!["run-1"], true));
    assert_eq!(of_kind(&actions(&store, 1).await, "commitInfo")[0]["sealift"]["reshaped_by"], "run-2");
}
