use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType};
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::keys::Signer;
use crate::publish::fixture::{dataset, keyring, objects, provenance, seal_batches};
use crate::publish::scripted::{Act, Scripted, Seen};
use crate::publish::{Evolution, Order, Reading, write};

mod originals;

/// A row: key, name (protected), land, whether it is deleted.
type Row = (i64, &'static str, &'static str, bool);

/// One table and how it is merged into.
struct World {
    store: Store,
    seen: Arc<Seen>,
    keyring: Keyring,
    rules: Rules,
    encrypted: Vec<&'static str>,
    partition_by: Vec<String>,
    keys_bytes: u64,
    /// Each merge reads the source a second later.
    clock: AtomicI64,
}

impl World {
    async fn new(acts: &[Act], rules: Rules) -> Self {
        let scripted = Scripted::new(acts.iter().copied());
        let seen = Arc::clone(&scripted.seen);
        Self {
            store: scripted.store(),
            seen,
            keyring: keyring().await,
            rules,
            encrypted: vec!["name"],
            partition_by: Vec::new(),
            keys_bytes: 1 << 20,
            clock: AtomicI64::new(0),
        }
    }

    async fn merge(&self, rows: &[Row]) -> Result<Outcome> {
        self.merge_after(rows, Order::Any, self.present()).await
    }

    fn present(&self) -> Present<'static> {
        if self.rules.missing.is_some() { Present::Incoming } else { Present::Unknown }
    }

    async fn merge_after(&self, rows: &[Row], order: Order, present: Present<'_>) -> Result<Outcome> {
        let at_us = self.clock.fetch_add(1_000_000, Ordering::SeqCst);
        let (written, schema, encrypted) = self.write(batch(rows), self.rules.lifetime(), at_us).await;
        let merge = Merge {
            store: &self.store,
            keyring: &self.keyring,
            rules: &self.rules,
            parquet: &Parquet::default(),
            encrypted: &encrypted,
            at_us,
            keys_bytes: self.keys_bytes,
            encode_bytes: 1 << 26,
            change: Change {
                dataset: &dataset(),
                schema: &schema,
                open: &self.open(&schema),
                partition_by: &self.partition_by,
                effect: Effect::Append { withdrawn: &[], unseen: None },
                evolution: &Evolution::default(),
                signer: &self.keyring.signer().await.unwrap(),
                order,
                provenance: &provenance("run"),
            },
        };
        merge.publish(written, present, &CancellationToken::new()).await
    }

    fn open(&self, schema: &SchemaRef) -> Vec<String> {
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.filter(|name| !self.encrypted.contains(&name.as_str())).collect()
    }

    async fn write(
        &self,
        rows: RecordBatch,
        lifetime: Option<Lifetime>,
        at_us: i64,
    ) -> (Written, SchemaRef, BTreeSet<String>) {
        let mut schema = rows.schema();
        let mut rows: crate::Batches = stream::iter([Ok(rows)]).boxed();
        if let Some(lifetime) = lifetime {
            let fields = schema.fields().iter().cloned().chain(lifetime.fields().into_iter().map(Arc::new));
            schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
            rows = lifetime.begin(rows, schema.clone(), at_us);
        }
        let sealed = seal_batches(&self.keyring, &schema, rows, &self.encrypted).await;
        let encrypted = sealed.encrypted().iter().map(|(path, _)| path.clone()).collect();
        let schema = sealed.schema().clone();
        let written =
            write(sealed, &self.store, &Parquet::default(), &self.partition_by, 1 << 26).await.unwrap();
        (written, schema, encrypted)
    }

    async fn table(&self) -> Table {
        Table::load(&self.store, &dataset(), None).await.unwrap().unwrap()
    }

    /// Every row there is: its columns in order.
    async fn read(&self) -> Vec<RecordBatch> {
        let table = self.table().await;
        let columns: Vec<String> = table.schema.fields().iter().map(|field| field.name().clone()).collect();
        let reading =
            Reading::prepare(&self.store, &self.keyring, &dataset(), &table, &columns, &table.files).await;
        let reading = reading.unwrap();
        let mut all = Vec::new();
        for file in &table.files {
            all.extend(reading.rows(file).await.unwrap().try_collect::<Vec<_>>().await.unwrap());
            let shut = reading.encrypted(file).await.unwrap();
            assert_eq!(shut, self.encrypted.iter().map(|name| (*name).to_owned()).collect());
        }
        all
    }

    /// Key, name and land of every row, sorted.
    async fn rows(&self) -> Vec<(i64, String, String)> {
        let text = |batch: &RecordBatch, name: &str, row| {
            batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned()
        };
        let mut rows = Vec::new();
        for batch in self.read().await {
            let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
            let row = |row| (ids.value(row), text(&batch, "name", row), text(&batch, "land", row));
            rows.extend((0..batch.num_rows()).map(row));
        }
        rows.sort();
        rows
    }

    /// Key, name, an instant of our own in seconds and whether the row is current, sorted.
    async fn lives(&self, name: &str) -> Vec<(i64, String, Option<i64>, bool)> {
        let mut lives = Vec::new();
        for batch in self.read().await {
            let column = |name: &str| batch.column_by_name(name).unwrap();
            let (ids, names) = (column("id").as_primitive::<Int64Type>(), column("name").as_string::<i32>());
            let instants = column(name).as_primitive::<TimestampMicrosecondType>();
            let current = batch.column_by_name("_is_current").map(|column| column.as_boolean());
            for row in 0..batch.num_rows() {
                let instant = instants.is_valid(row).then(|| instants.value(row) / 1_000_000);
                let is_current = current.is_none_or(|current| current.value(row));
                lives.push((ids.value(row), names.value(row).to_owned(), instant, is_current));
            }
        }
        lives.sort();
        lives
    }

    /// Data files that no version names.
    async fn orphans(&self) -> usize {
        let live = self.table().await.files.len();
        let mut dead = BTreeSet::new();
        for version in 0..=self.table().await.version {
            let table = Table::load(&self.store, &dataset(), Some(version)).await.unwrap().unwrap();
            dead.extend(table.files.into_iter().map(|file| file.path));
        }
        let all = objects(&self.store).await;
        let data =
            all.iter().filter(|path| path.ends_with(".parquet") && !path.contains("_delta_log")).count();
        assert!(live <= data);
        data - dead.len()
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
    let names: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>());
    let lands: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.2)).collect::<StringArray>());
    let gone: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.3)).collect::<BooleanArray>());
    let columns = [("id", ids), ("name", names), ("land", lands), ("gone", gone)];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn by_id() -> Rules {
    Rules { key: vec!["id".into()], soft_delete: None, missing: None, keeps_history: false }
}

fn row(id: i64, name: &str, land: &str) -> (i64, String, String) {
    (id, name.to_owned(), land.to_owned())
}

#[tokio::test]
async fn a_row_takes_the_place_of_the_one_with_its_key() {
    let world = World::new(&[], by_id()).await;
    let first = world.merge(&[(1, "a", "x", false), (2, "b", "x", false)]).await.unwrap();
    assert_eq!((first.version, first.rows), (0, 2));
    let second = world.merge(&[(2, "c", "y", false), (3, "d", "y", false)]).await.unwrap();
    assert_eq!((second.version, second.rows), (1, 2), "rows that were there are not added");
    assert_eq!(world.rows().await, [row(1, "a", "x"), row(2, "c", "y"), row(3, "d", "y")]);
    assert_eq!(world.orphans().await, 0);
}

#[tokio::test]
async fn a_row_that_is_the_same_changes_no_file() {
    let world = World::new(&[], by_id()).await;
    world.merge(&[(1, "a", "x", false), (2, "b", "x", false)]).await.unwrap();
    let before = world.table().await.files;
    let outcome = world.merge(&[(2, "b", "x", false)]).await.unwrap();
    assert_eq!((outcome.version, outcome.rows), (1, 0));
    let paths = |files: &[LiveFile]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&world.table().await.files), paths(&before));
    assert_eq!(world.orphans().await, 0);
}

#[tokio::test]
async fn what_is_only_added_reads_no_published_file() {
    let world = World::new(&[], by_id()).await;
    for start in [0, 100, 200] {
        let rows: Vec<Row> = (start..start + 100).map(|id| (id, "n", "x", false)).collect();
        world.merge(&rows).await.unwrap();
    }
    let published: Vec<String> = world.table().await.files.into_iter().map(|file| file.path).collect();
    let reads = || std::mem::take(&mut *world.seen.data_reads.lock().unwrap());
    reads();
    world.merge(&[(300, "n", "x", false), (301, "n", "x", false)]).await.unwrap();
    let touched = |reads: &[String]| {
        published.iter().filter(|path| reads.iter().any(|read| read.ends_with(path.as_str()))).count()
    };
    assert_eq!(touched(&reads()), 0);
    // One that may hold a key is read, and no other, whatever else comes with it.
    world.merge(&[(150, "m", "x", false), (302, "n", "x", false)]).await.unwrap();
    assert_eq!(touched(&reads()), 1);
    assert_eq!(world.rows().await.len(), 303);
    // Where no statistics tell, every one is.
    let world = World { encrypted: vec!["id", "name"], ..World::new(&[], by_id()).await };
    world.merge(&[(1, "n", "x", false)]).await.unwrap();
    let path = world.table().await.files[0].path.clone();
    world.seen.data_reads.lock().unwrap().clear();
    world.merge(&[(2, "n", "x", false)]).await.unwrap();
    assert!(world.seen.data_reads.lock().unwrap().iter().any(|read| read.ends_with(&path)));
}

#[tokio::test]
async fn rows_of_one_key_or_of_none_are_refused_and_nothing_is_left() {
    for keys_bytes in [1, 1 << 20] {
        let world = World { keys_bytes, ..World::new(&[], by_id()).await };
        let rows = [(1, "a", "x", false), (1, "b", "x", false), (2, "c", "x", false), (1, "d", "x", false)];
        let error = world.merge(&rows).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.message().starts_with("2 rows have the primary key (id)"), "{error}");
        assert!(error.remedy().unwrap().contains("row_number()"), "{error}");
        assert_eq!(objects(&world.store).await, [""; 0]);
    }
    let world =
        World { rules: Rules { key: vec!["land".into()], ..by_id() }, ..World::new(&[], by_id()).await };
    let lands: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    let nulls = batch(&[(1, "a", "x", false), (2, "b", "x", false)]);
    let columns =
        nulls.columns().iter().enumerate().map(|(at, c)| if at == 2 { lands.clone() } else { c.clone() });
    let nulls = RecordBatch::try_new(nulls.schema(), columns.collect()).unwrap();
    let (written, schema, encrypted) = world.write(nulls, None, 0).await;
    let table = written.as_table(&schema, &[]);
    let provenance = provenance("run");
    let dataset = dataset();
    let merge = Merge {
        store: &world.store,
        keyring: &world.keyring,
        rules: &world.rules,
        parquet: &Parquet::default(),
        encrypted: &encrypted,
        at_us: 0,
        keys_bytes: 1,
        encode_bytes: 1 << 26,
        change: Change {
            dataset: &dataset,
            schema: &schema,
            open: &[],
            partition_by: &[],
            effect: Effect::Append { withdrawn: &[], unseen: None },
            evolution: &Evolution::default(),
            signer: &Signer::for_tests(),
            order: Order::Any,
            provenance: &provenance,
        },
    };
    let error = Matching::new(&merge, &table, None, Present::Unknown).unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.message().starts_with("1 rows have NULL"), "{error}");
}

#[tokio::test]
async fn a_row_that_is_deleted_takes_out_its_key_and_is_not_added() {
    let world = World::new(&[], Rules { soft_delete: Some("gone".into()), ..by_id() }).await;
    let first =
        world.merge(&[(1, "a", "x", false), (2, "b", "x", true), (3, "c", "x", false)]).await.unwrap();
    assert_eq!(first.rows, 2);
    world.merge(&[(1, "a", "x", true), (4, "d", "x", true), (5, "e", "x", false)]).await.unwrap();
    assert_eq!(world.rows().await, [row(3, "c", "x"), row(5, "e", "x")]);
    // All of them, and then none is left.
    world.merge(&[(3, "c", "x", true), (5, "e", "x", true)]).await.unwrap();
    assert_eq!((world.rows().await.len(), world.table().await.files.len()), (0, 0));
    assert_eq!(world.orphans().await, 0);
}

#[tokio::test]
async fn rows_that_are_missing_go_or_are_marked_until_they_come_back() {
    let all = [(1, "a", "x", false), (2, "b", "x", false), (3, "c", "x", false)];
    let hard = World::new(&[], Rules { missing: Some(Missing::Hard), ..by_id() }).await;
    hard.merge(&all).await.unwrap();
    hard.merge(&[(3, "c", "x", false), (4, "d", "x", false)]).await.unwrap();
    assert_eq!(hard.rows().await, [row(3, "c", "x"), row(4, "d", "x")]);

    let soft_delete = Some("gone".to_owned());
    let soft = World::new(&[], Rules { missing: Some(Missing::Soft), soft_delete, ..by_id() }).await;
    soft.merge(&all).await.unwrap();
    soft.merge(&[(2, "b", "x", false)]).await.unwrap();
    soft.merge(&[(2, "b", "x", false)]).await.unwrap();
    let life = |id, name: &str, at| (id, name.to_owned(), at, true);
    let marked = [life(1, "a", Some(1)), life(2, "b", None), life(3, "c", Some(1))];
    assert_eq!(soft.lives("_deleted_at").await, marked, "since when it is missing does not move");
    soft.merge(&[(1, "a", "x", false), (2, "b", "x", false), (3, "z", "x", false)]).await.unwrap();
    let back = [life(1, "a", None), life(2, "b", None), life(3, "z", None)];
    assert_eq!(soft.lives("_deleted_at").await, back);

    // The keys alone, of rows that are not among the incoming.
    let keys = batch(&[(1, "", "", false), (3, "", "", true), (7, "", "", false)]).project(&[0, 3]).unwrap();
    let (written, schema, _) = soft.write(keys, None, 0).await;
    let keys = written.as_table(&schema, &[]);
    soft.merge_after(&[(7, "g", "x", false)], Order::Any, Present::Keys(&keys)).await.unwrap();
    let marked = [life(1, "a", None), life(2, "b", Some(4)), life(3, "z", Some(4)), life(7, "g", None)];
    assert_eq!(soft.lives("_deleted_at").await, marked);
}

#[tokio::test]
async fn history_is_kept_and_only_of_what_changed() {
    let rules = Rules { keeps_history: true, missing: Some(Missing::Soft), ..by_id() };
    for keys_bytes in [1, 1 << 20] {
        let world = World { keys_bytes, ..World::new(&[], rules.clone()).await };
        world.merge(&[(1, "a", "x", false), (2, "b", "x", false)]).await.unwrap();
        world.merge(&[(1, "a", "x", false), (2, "c", "x", false)]).await.unwrap();
        world.merge(&[(2, "c", "x", false)]).await.unwrap();
        let last = world.merge(&[(1, "a", "x", false), (2, "b", "x", false)]).await.unwrap();
        assert_eq!(last.rows, 2);
        let life = |id, name: &str, to: Option<i64>| (id, name.to_owned(), to, to.is_none());
        let lives = [
            life(1, "a", None),
            life(1, "a", Some(2)),
            life(2, "b", None),
            life(2, "b", Some(1)),
            life(2, "c", Some(3)),
        ];
        assert_eq!(world.lives("_valid_to").await, lives);
        let from: Vec<_> = world.lives("_valid_from").await.iter().map(|life| life.2).collect();
        assert_eq!(from, [Some(0), Some(3), Some(0), Some(3), Some(1)]);
        assert_eq!(world.orphans().await, 0);
    }
}

#[tokio::test]
async fn an_encrypted_key_is_found_and_so_is_one_whose_partition_changes() {
    for (encrypted, partition_by) in [(vec!["id", "name"], vec![]), (vec!["name"], vec!["land".to_owned()])] {
        let world = World { encrypted, partition_by, ..World::new(&[], by_id()).await };
        world.merge(&[(1, "a", "x", false), (2, "b", "y", false), (3, "c", "y", false)]).await.unwrap();
        world.merge(&[(2, "b", "z", false), (3, "d", "y", false)]).await.unwrap();
        assert_eq!(world.rows().await, [row(1, "a", "x"), row(2, "b", "z"), row(3, "d", "y")]);
        assert_eq!(world.orphans().await, 0);
    }
}

/// Every way an answer can be lost or lie ends with each row there exactly once.
#[tokio::test]
async fn lost_answers_double_nothing() {
    use Act::*;
    let scripts: [&[Act]; 5] = [
        &[LandsSaysExists],
        &[LandsAnswerLost],
        &[NothingSaysExists, LandsSaysExists],
        &[Honest, LandsAnswerLost],
        &[Honest, NothingAnswerLost, LandsSaysExists],
    ];
    for script in scripts {
        let world = World::new(script, by_id()).await;
        world.merge_after(&[(1, "a", "x", false)], Order::After(None), Present::Unknown).await.unwrap();
        let rows = [(1, "b", "x", false), (2, "b", "x", false)];
        world.merge_after(&rows, Order::After(Some(0)), Present::Unknown).await.unwrap();
        assert_eq!(world.rows().await, [row(1, "b", "x"), row(2, "b", "x")], "{script:?}");
        assert_eq!(world.orphans().await, 0, "{script:?}");
    }
}

#[tokio::test]
async fn a_run_does_not_come_after_one_that_read_later() {
    let world = World::new(&[], by_id()).await;
    world.merge_after(&[(1, "a", "x", false)], Order::After(None), Present::Unknown).await.unwrap();
    for order in [Order::After(None), Order::After(Some(1))] {
        let error = world.merge_after(&[(1, "old", "x", false)], order, Present::Unknown).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Temporary);
        assert!(error.message().contains("another run of the stream"), "{error}");
    }
    assert_eq!((world.rows().await, world.orphans().await), (vec![row(1, "a", "x")], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_side_by_side_end_as_one_after_the_other() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let world = World::new(&[], by_id()).await;
    world.merge(&[(0, "first", "x", false), (9, "first", "x", false)]).await.unwrap();
    let merges = names.iter().zip(1_i64..).map(|(name, own)| {
        let world = &world;
        async move {
            let rows = [(0, *name, "x", false), (own, *name, "x", false)];
            (world.merge(&rows).await.unwrap().version, *name)
        }
    });
    let outcomes = join_all(merges).await;
    let (_, last) = outcomes.iter().max().unwrap();
    let mut expected = vec![row(0, last, "x"), row(9, "first", "x")];
    expected.extend(names.iter().zip(1..).map(|(name, own)| row(own, name, "x")));
    expected.sort();
    assert_eq!(world.rows().await, expected);
    assert_eq!(world.orphans().await, 0);
}

/// Any sequence of merges leaves what a map would hold, however little memory there is for keys.
#[test]
fn merges_are_as_those_of_a_map() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let change = (0_i64..12, 0_usize..4, 0_usize..3, proptest::bool::weighted(0.25));
    let merges = proptest::collection::vec(proptest::collection::vec(change, 0..8), 1..7);
    let cases = (merges, 1_u64..200, any::<bool>(), any::<bool>(), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner
        .run(&cases, |(merges, keys_bytes, by_land, shut_key, is_full)| {
            runtime.block_on(async {
                let missing = is_full.then_some(Missing::Hard);
                let rules = Rules { soft_delete: Some("gone".into()), missing, ..by_id() };
                let mut world = World { keys_bytes, ..World::new(&[], rules).await };
                world.partition_by = if by_land { vec!["land".into()] } else { Vec::new() };
                world.encrypted = if shut_key { vec!["id", "name"] } else { vec!["name"] };
                let mut model = BTreeMap::new();
                for merge in merges {
                    let rows: BTreeMap<i64, Row> = merge
                        .into_iter()
                        .map(|(id, name, land, gone)| {
                            (id, (id, ["a", "b", "c", "d"][name], ["x", "y", "z"][land], gone))
                        })
                        .collect();
                    if is_full {
                        model.clear();
                    }
                    for row in rows.values() {
                        match row.3 {
                            true => model.remove(&row.0),
                            false => model.insert(row.0, *row),
                        };
                    }
                    world.merge(&rows.into_values().collect::<Vec<_>>()).await.unwrap();
                    let expected: Vec<_> = model.values().map(|r| row(r.0, r.1, r.2)).collect();
                    assert_eq!(world.rows().await, expected);
                }
                assert_eq!(world.orphans().await, 0);
            });
            Ok(())
        })
        .unwrap();
}
