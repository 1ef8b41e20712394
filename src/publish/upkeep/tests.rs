use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use serde_json::{Value, json};

use super::*;
use crate::error::Kind;
use crate::publish::fixture::*;
use crate::publish::scripted::{Act, Scripted};
use crate::publish::{Mode, ObjectPath};

/// Nobody remembers.
impl Journal for () {
    fn tried<'a>(&'a self, _: &'a DatasetName, _: &'a str) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn landed<'a>(&'a self, _: &'a DatasetName, _: &'a str, _: &'a Outcome) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

/// A table of people, whose `ssn` is encrypted.
struct Bench {
    scripted: Arc<Scripted>,
    store: Store,
    keyring: Keyring,
    dataset: DatasetName,
}

impl Bench {
    async fn new() -> Self {
        let scripted = Arc::new(Scripted::new([]));
        let objects: Arc<dyn object_store::ObjectStore> = Arc::clone(&scripted) as _;
        let store = Store::of(objects, url::Url::parse("memory:///").unwrap());
        Self { scripted, store, keyring: keyring().await, dataset: dataset() }
    }

    /// A table of that many appended files of ten people each.
    async fn filled(files: i64) -> Self {
        let bench = Self::new().await;
        for file in 0..files {
            bench.append(file * 10..file * 10 + 10, &format!("run-{file}")).await;
        }
        bench
    }

    fn upkeep(&self) -> Upkeep<'_> {
        let (store, keyring, dataset) = (&self.store, &self.keyring, &self.dataset);
        Upkeep { store, keyring, dataset, parquet: Parquet::default(), journal: &(), memory_bytes: 1 << 30 }
    }

    async fn written(&self, ids: std::ops::Range<i64>, encrypted: &[&str]) -> Written {
        let schema = people(0..0).schema();
        let sealed = seal_stream(&self.keyring, &schema, vec![Ok(people(ids))], encrypted).await;
        write(sealed, &self.store, &Parquet::default(), &[], 1 << 30).await.unwrap()
    }

    async fn append(&self, ids: std::ops::Range<i64>, run: &str) {
        let (files, schema) = (self.written(ids, &["ssn"]).await, people(0..0).schema());
        commit_sealed(&self.store, files, &schema, Mode::Append, run).await.unwrap();
    }

    async fn overwrite(&self, ids: std::ops::Range<i64>, run: &str) {
        let (files, schema) = (self.written(ids, &["ssn"]).await, people(0..0).schema());
        commit_sealed(&self.store, files, &schema, Mode::Overwrite, run).await.unwrap();
    }

    /// Another writer's commit gets in before the next one of ours.
    fn overtake(&self, actions: &[Value]) {
        let lines: Vec<String> = actions.iter().map(ToString::to_string).collect();
        self.scripted.others.lock().unwrap().push_back(lines.join("\n").into());
        self.scripted.acts.lock().unwrap().push_back(Act::Overtaken);
    }

    /// What another writer would say to add these rows.
    async fn addition(&self, ids: std::ops::Range<i64>) -> Vec<Value> {
        let files = self.written(ids, &["ssn"]).await.files;
        let add = |file: &crate::publish::parquet::File| {
            json!({"add": {"path": file.path, "partitionValues": {}, "size": file.bytes, "modificationTime": 1,
                "dataChange": true, "stats": file.stats}})
        };
        files.iter().map(add).collect()
    }

    async fn table(&self) -> Table {
        Table::load(&self.store, &self.dataset, None).await.unwrap().unwrap()
    }

    /// Every id with its `ssn`, in the order of the files' names.
    async fn people(&self, version: Option<u64>) -> Vec<(i64, String)> {
        let mut table = Table::load(&self.store, &self.dataset, version).await.unwrap().unwrap();
        table.files.sort_by(|a, b| a.path.cmp(&b.path));
        let reading = self.upkeep().whole(&table, &table.files).await.unwrap();
        let mut people = Vec::new();
        for file in &table.files {
            assert_eq!(reading.encrypted(file).await.unwrap(), BTreeSet::from(["ssn".to_owned()]));
            let batches: Vec<RecordBatch> = reading.rows(file).await.unwrap().try_collect().await.unwrap();
            for batch in batches {
                let ids = batch.column(0).as_primitive::<Int64Type>().values().iter();
                people.extend(
                    ids.copied()
                        .zip(batch.column(1).as_string::<i32>().iter().map(|s| s.unwrap().to_owned())),
                );
            }
        }
        people
    }

    async fn commit(&self, version: u64) -> Vec<Value> {
        let path = ObjectPath::commit(&self.dataset, version).location();
        let bytes = self.store.objects().get(&path).await.unwrap().bytes().await.unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    async fn sweep(&self, retention: &Retention) -> Swept {
        let dry = vacuum(&self.store, &self.dataset, retention, true).await.unwrap();
        let before = objects(&self.store).await;
        assert_eq!(before.len(), objects(&self.store).await.len(), "counting removes nothing");
        let swept = vacuum(&self.store, &self.dataset, retention, false).await.unwrap();
        assert_eq!(dry, swept, "what was counted is what was removed");
        swept
    }
}

fn everyone(ids: impl IntoIterator<Item = i64>) -> Vec<(i64, String)> {
    ids.into_iter().map(|id| (id, format!("ssn-{id:06}"))).collect()
}

/// The people of these numbers.
fn doomed(ids: &'static [i64]) -> Doomed {
    let matches = |batch: &RecordBatch| -> Result<BooleanArray> {
        Ok(batch.column(0).as_string::<i32>().iter().map(|ssn| ssn.map(|ssn| is_one(ssn, ids))).collect())
    };
    Doomed { columns: vec!["ssn".to_owned()], matches: Arc::new(matches) }
}

fn is_one(ssn: &str, ids: &[i64]) -> bool {
    ids.iter().any(|id| *ssn == format!("ssn-{id:06}"))
}

fn request() -> Request {
    Request { digest: "hmac-sha256:00".into(), reason: Some("ticket 7".into()) }
}

fn kinds(commit: &[Value]) -> Vec<&str> {
    commit.iter().map(|action| action.as_object().unwrap().keys().next().unwrap().as_str()).collect()
}

fn since(at: DateTime<Utc>) -> Retention {
    Retention { versions_since: at, strays_since: at }
}

/// An instant that no object is as old as, apart from those before it.
async fn between() -> DateTime<Utc> {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let now = Utc::now();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    now
}

#[tokio::test]
async fn rows_are_erased_and_all_others_stay_sealed_as_they_were() {
    let bench = Bench::filled(3).await;
    let counted = bench.upkeep().count(&doomed(&[5, 25, 26])).await.unwrap();
    assert_eq!(
        (counted.version, counted.rows, counted.files.len(), counted.older),
        (None, 3, 2, Some((0, 2)))
    );
    let erased = bench.upkeep().erase(&doomed(&[5, 25, 26]), &request(), "upkeep-1").await.unwrap();
    assert_eq!((erased.version, erased.rows, erased.older), (Some(3), 3, Some((0, 2))));
    assert_eq!(erased.files, counted.files);
    let mut left = bench.people(None).await;
    left.sort();
    assert_eq!(left, everyone((0..30).filter(|id| ![5, 25, 26].contains(id))));
    assert_eq!(bench.people(Some(2)).await, everyone(0..30));

    let commit = bench.commit(3).await;
    assert_eq!(kinds(&commit), ["commitInfo", "remove", "remove", "add", "add"]);
    let info = &commit[0]["commitInfo"];
    assert_eq!((&info["operation"], &info["sealift"]["stream"]), (&json!("DELETE"), &Value::Null));
    let told = json!({"erase": {"rows": 3, "condition": "hmac-sha256:00", "reason": "ticket 7"}});
    assert_eq!(info["sealift"]["upkeep"], told);
    assert_eq!(commit[1]["remove"]["dataChange"], true);
    for add in &commit[3..] {
        let stats = add["add"]["stats"].as_str().unwrap();
        assert!(stats.contains("\"id\"") && !stats.contains("ssn"), "{stats}");
    }
    // It is nobody's publication.
    let history = Table::recent(&bench.store, &bench.dataset).await.unwrap().unwrap();
    assert_eq!((history.publications.len(), history.publications[0].run_id.as_str()), (3, "run-2"));

    let again = bench.upkeep().erase(&doomed(&[5, 25]), &request(), "upkeep-2").await.unwrap();
    assert_eq!((again.version, again.rows, again.older), (None, 0, Some((0, 2))));
    assert_eq!(bench.table().await.version, 3);
}

#[tokio::test]
async fn a_file_of_which_nothing_is_left_goes_without_a_successor() {
    let bench = Bench::filled(2).await;
    bench.upkeep().erase(&doomed(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), &request(), "upkeep").await.unwrap();
    assert_eq!(bench.people(None).await, everyone(10..20));
}

#[tokio::test]
async fn what_cannot_be_told_stays() {
    let bench = Bench::filled(1).await;
    // The first row is to go; of the others it is NULL, whatever stands below it.
    let matches = |batch: &RecordBatch| -> Result<BooleanArray> {
        let is_known: Vec<bool> = (0..batch.num_rows()).map(|row| row == 0).collect();
        Ok(BooleanArray::new(vec![true; batch.num_rows()].into(), Some(is_known.into())))
    };
    let doomed = Doomed { columns: vec!["id".to_owned()], matches: Arc::new(matches) };
    assert_eq!(bench.upkeep().erase(&doomed, &request(), "upkeep").await.unwrap().rows, 1);
    assert_eq!(bench.people(None).await, everyone(1..10));
}

#[tokio::test]
async fn rows_that_others_add_meanwhile_are_erased_too() {
    let bench = Bench::filled(2).await;
    let more = bench.addition(20..30).await;
    bench.overtake(&more);
    let erased = bench.upkeep().erase(&doomed(&[3, 23]), &request(), "upkeep").await.unwrap();
    assert_eq!((erased.version, erased.rows), (Some(3), 2));
    let mut left = bench.people(None).await;
    left.sort();
    assert_eq!(left, everyone((0..30).filter(|id| ![3, 23].contains(id))));
    // What was written for the version that did not come to be is gone: three files before, two since.
    let data = objects(&bench.store).await.into_iter().filter(|path| path.ends_with(".parquet"));
    assert_eq!(data.count(), 5);
}

#[tokio::test]
async fn work_that_is_overtaken_again_and_again_ends_and_leaves_nothing() {
    let bench = Bench::filled(1).await;
    for round in 0..i64::from(ATTEMPTS) {
        let more = bench.addition(round * 10 + 10..round * 10 + 20).await;
        bench.overtake(&more);
    }
    let before = objects(&bench.store).await.len();
    let error = bench.upkeep().erase(&doomed(&[3]), &request(), "upkeep").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert_eq!(
        objects(&bench.store).await.len(),
        before + ATTEMPTS as usize,
        "only the others' commits came"
    );
}

#[tokio::test]
async fn a_lost_answer_erases_once() {
    for act in [Act::LandsAnswerLost, Act::LandsSaysExists, Act::NothingAnswerLost, Act::NothingSaysExists] {
        let bench = Bench::filled(2).await;
        bench.scripted.acts.lock().unwrap().push_back(act);
        let erased = bench.upkeep().erase(&doomed(&[3]), &request(), "upkeep").await.unwrap();
        assert_eq!((erased.version, bench.people(None).await.len()), (Some(2), 19), "{act:?}");
    }
}

fn joining(target_bytes: u64) -> Compaction {
    Compaction { target_bytes, cluster_by: Vec::new(), sort_bytes: 1 << 20 }
}

#[tokio::test]
async fn small_files_become_one_and_rows_keep_their_order() {
    let bench = Bench::filled(5).await;
    let compacted = bench.upkeep().compact(&joining(1 << 20), "upkeep").await.unwrap();
    assert_eq!(
        (compacted.versions.as_slice(), compacted.before.count, compacted.after.count),
        (&[5][..], 5, 1)
    );
    assert_eq!(bench.people(None).await, everyone(0..50));
    let commit = bench.commit(5).await;
    assert_eq!(kinds(&commit), ["commitInfo", "remove", "remove", "remove", "remove", "remove", "add"]);
    assert_eq!(commit[0]["commitInfo"]["operation"], "OPTIMIZE");
    assert!(
        commit[1..]
            .iter()
            .all(|action| action[kinds(std::slice::from_ref(action))[0]]["dataChange"] == false)
    );
    // One that is left, and files of four fifths, are not touched.
    assert_eq!(bench.upkeep().compact(&joining(1 << 20), "upkeep").await.unwrap(), Compacted::default());
    bench.append(50..60, "run-5").await;
    let size = bench.table().await.files.iter().map(|file| file.bytes).min().unwrap();
    assert_eq!(bench.upkeep().compact(&joining(size), "upkeep").await.unwrap(), Compacted::default());
}

#[tokio::test]
async fn an_append_during_compaction_survives_and_a_removal_makes_it_begin_anew() {
    let bench = Bench::filled(3).await;
    let more = bench.addition(30..40).await;
    bench.overtake(&more);
    let compacted = bench.upkeep().compact(&joining(1 << 20), "upkeep").await.unwrap();
    assert_eq!((compacted.versions.as_slice(), bench.table().await.files.len()), (&[4][..], 2));
    let mut all = bench.people(None).await;
    all.sort();
    assert_eq!(all, everyone(0..40));

    let bench = Bench::filled(3).await;
    let first = bench.table().await.files.into_iter().min_by(|a, b| a.path.cmp(&b.path)).unwrap();
    bench.overtake(&[json!({"remove": {"path": first.path, "deletionTimestamp": 1, "dataChange": true}})]);
    let compacted = bench.upkeep().compact(&joining(1 << 20), "upkeep").await.unwrap();
    assert_eq!((compacted.before.count, compacted.after.count), (2, 1));
    assert_eq!(bench.people(None).await, everyone(10..30));
}

#[tokio::test]
async fn files_that_are_sealed_otherwise_are_not_mixed() {
    let bench = Bench::filled(2).await;
    for file in 2..4 {
        let files = bench.written(file * 10..file * 10 + 10, &[]).await;
        let schema = people(0..0).schema();
        commit_sealed(&bench.store, files, &schema, Mode::Append, "run").await.unwrap();
    }
    let compacted = bench.upkeep().compact(&joining(1 << 20), "upkeep").await.unwrap();
    assert_eq!((compacted.versions.len(), compacted.before.count, compacted.after.count), (1, 4, 2));
    let table = bench.table().await;
    let reading = bench.upkeep().whole(&table, &table.files).await.unwrap();
    let mut encrypted = Vec::new();
    for file in &table.files {
        encrypted.push(reading.encrypted(file).await.unwrap().len());
    }
    encrypted.sort_unstable();
    assert_eq!(encrypted, [0, 1]);
}

#[tokio::test]
async fn only_open_columns_cluster() {
    let bench = Bench::filled(3).await;
    let by = |column: &str| Compaction { cluster_by: vec![column.to_owned()], ..joining(1 << 20) };
    for (column, kind) in [("ssn", Kind::Held), ("nobody", Kind::Invalid)] {
        assert_eq!(bench.upkeep().compact(&by(column), "upkeep").await.unwrap_err().kind(), kind);
    }
    let compacted = bench.upkeep().compact(&by("id"), "upkeep").await.unwrap();
    assert_eq!((compacted.before.count, compacted.after.count), (3, 1));
    assert_eq!(bench.people(None).await, everyone(0..30));
}

#[tokio::test]
async fn versions_within_the_retention_stay_readable_and_the_files_of_others_go() {
    let bench = Bench::new().await;
    for run in 0..3 {
        bench.overwrite(run..run + 5, &format!("run-{run}")).await;
    }
    let instant = between().await;
    bench.overwrite(3..8, "run-3").await;
    bench.overwrite(4..9, "run-4").await;

    // Version 2 was the newest at that instant.
    let swept = bench.sweep(&since(instant)).await;
    assert_eq!((swept.files.len(), swept.strays.len(), swept.oldest_version), (2, 0, 2));
    for version in 2..5 {
        let first = i64::try_from(version).unwrap();
        assert_eq!(bench.people(Some(version)).await, everyone(first..first + 5));
    }
    let gone = bench.upkeep().whole(&bench.table().await, &[]).await.unwrap();
    let old = Table::load(&bench.store, &bench.dataset, Some(1)).await.unwrap().unwrap();
    assert_eq!(gone.rows(&old.files[0]).await.err().unwrap().kind(), Kind::Failed);
    assert_eq!(bench.sweep(&since(instant)).await.files.len(), 0, "a second time there is nothing to do");
}

#[tokio::test]
async fn strays_go_when_they_are_old_and_nothing_else_in_the_folder_does() {
    let bench = Bench::filled(1).await;
    let stray = bench.written(50..60, &["ssn"]).await.files[0].path.clone();
    let kept = [
        "_sealift/receipts/part-01900000-0000-7000-8000-000000000000.parquet",
        "part-00000-c000.snappy.parquet",
        "notes.txt",
        "_delta_log/notes.json",
    ];
    for path in kept {
        let path =
            object_store::path::Path::from(format!("{}/{path}", bench.store.table_path(&bench.dataset)));
        bench.store.objects().put(&path, "x".into()).await.unwrap();
    }
    let instant = between().await;
    let young = bench.written(60..70, &["ssn"]).await.files[0].path.clone();
    let swept = bench.sweep(&since(instant)).await;
    assert_eq!(swept.strays.into_keys().collect::<Vec<_>>(), std::slice::from_ref(&stray));
    let left = objects(&bench.store).await;
    for path in kept.into_iter().chain([young.as_str()]) {
        assert!(left.iter().any(|object| object.ends_with(path)), "{path} in {left:?}");
    }
    assert!(!left.iter().any(|object| object.ends_with(&stray)));
    assert_eq!(bench.people(None).await, everyone(0..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_ends_before_the_last_word_of_any_stream_and_a_checkpoint_stands_in_for_it() {
    let bench = Bench::filled(13).await;
    let swept = bench.sweep(&since(between().await)).await;
    // The newest version is the stream's last word; everything before it goes, the checkpoint of 10 too.
    assert_eq!((swept.oldest_version, swept.log_kept_from), (12, None));
    assert_eq!(swept.log.len(), 13);
    let left = objects(&bench.store).await.into_iter().filter(|path| path.contains("_delta_log"));
    let left: Vec<_> = left.map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(
        left,
        ["00000000000000000012.checkpoint.parquet", "00000000000000000012.json", "_last_checkpoint"]
    );
    assert_eq!(bench.people(None).await.len(), 130);
    bench.append(130..140, "run-13").await;
    let txn = bench.commit(13).await.into_iter().find_map(|mut action| Some(action.get_mut("txn")?.take()));
    assert_eq!((bench.table().await.version, &txn.unwrap()["version"]), (13, &json!(13)));

    // Upkeep comes after: the last word stays, with every commit since.
    bench.upkeep().compact(&joining(1 << 20), "upkeep").await.unwrap();
    bench.upkeep().erase(&doomed(&[1]), &request(), "upkeep").await.unwrap();
    let swept = bench.sweep(&since(between().await)).await;
    assert_eq!((swept.oldest_version, swept.log_kept_from), (15, Some(13)));
    let history = Table::recent(&bench.store, &bench.dataset).await.unwrap().unwrap();
    assert_eq!(history.publications.iter().map(|one| one.run_id.as_str()).collect::<Vec<_>>(), ["run-13"]);
    assert_eq!(bench.people(None).await.len(), 139);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_within_the_retention_survives_the_clean_up_of_the_log() {
    let bench = Bench::filled(11).await;
    let instant = between().await;
    for file in 11..14 {
        bench.append(file * 10..file * 10 + 10, &format!("run-{file}")).await;
    }
    let swept = bench.sweep(&since(instant)).await;
    assert_eq!((swept.oldest_version, swept.log_kept_from, swept.log.len()), (10, None, 10));
    for version in 10..14_u64 {
        assert_eq!(bench.people(Some(version)).await.len() as u64, version * 10 + 10);
    }
    assert_eq!(Table::load(&bench.store, &bench.dataset, Some(9)).await.unwrap_err().kind(), Kind::Failed);
}

#[tokio::test]
async fn rows_of_a_file_that_was_altered_are_not_signed_again() {
    let bench = Bench::filled(2).await;
    // From here on the receipts are those of the bench's own keys.
    bench.upkeep().erase(&doomed(&[5, 15]), &request(), "upkeep-1").await.unwrap();
    let path = ObjectPath::existing(&bench.dataset, &bench.table().await.files[0].path).unwrap();
    let kept = alter(&bench.store, &path).await;
    let before = objects(&bench.store).await;
    let joined = joining(1 << 20);
    for error in [
        bench.upkeep().compact(&joined, "upkeep-2").await.unwrap_err(),
        bench.upkeep().erase(&doomed(&[6, 16]), &request(), "upkeep-3").await.unwrap_err(),
    ] {
        assert!(error.kind() == Kind::Failed && error.message().contains("was altered"), "{error}");
    }
    assert_eq!(objects(&bench.store).await, before);
    bench.store.objects().put(&path.location(), kept.into()).await.unwrap();
    bench.upkeep().compact(&joined, "upkeep-4").await.unwrap();
}
