//! What each stage costs on its own, and what sealing costs a whole sync. `docs/benchmarks.md` says
//! how to run it and how to read it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark may fail loudly"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt as _;
use parquet::arrow::ArrowWriter;
use parquet::basic::ZstdLevel;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use sealift::keys::Keyring;
use sealift::protect::{Plan, Sealed};
use sealift::publish::{Store, write};
use sealift::source::{self, BATCH_ROWS, postgres};
use sealift::spec::action::{Canonical, Fpe, Generalize, Mask};
use sealift::spec::pipeline::{Column, Compression, Csv, FileSet, Format, Parquet, Position, Selector};
use sealift::spec::policy::Unmatched;
use sealift::spec::verdict::{Evidence, Origin, Verdict, Why};
use sealift::spec::{Action, DatasetName, Policy, StreamName, Tag, config};
use sealift::{Batches, error};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const BATCHES: usize = 16;
const ROWS: usize = BATCHES * BATCH_ROWS;
/// Rows of the whole sync.
const SYNC_ROWS: usize = 1_000_000;

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// The `n`th person: values differ, repeat and compress about as real ones do.
struct Person(usize);

impl Person {
    const fn mixed(&self) -> usize {
        self.0.wrapping_mul(0x9E37_79B9) % 1_000_003
    }

    fn name(&self) -> String {
        format!("Person {:06} of {}", self.mixed(), ["Bern", "Chur", "Genf", "Uri"][self.0 % 4])
    }

    fn ssn(&self) -> String {
        format!("{:03}-{:02}-{:04}", self.mixed() % 899 + 1, self.0 % 99 + 1, self.0 % 9999 + 1)
    }

    fn cents(&self) -> i128 {
        i128::try_from(self.mixed() * 37 % 100_000_000).unwrap()
    }

    fn days(&self) -> i32 {
        i32::try_from(self.mixed() % 20_000).unwrap()
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("ssn", DataType::Utf8, true),
        Field::new("balance", DataType::Decimal128(15, 2), true),
        Field::new("born", DataType::Date32, true),
    ]))
}

fn batch(number: usize) -> RecordBatch {
    let people = || (number * BATCH_ROWS..(number + 1) * BATCH_ROWS).map(Person);
    let balances = Decimal128Array::from_iter_values(people().map(|p| p.cents()));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(people().map(|p| i64::try_from(p.0).unwrap()))),
        Arc::new(StringArray::from_iter_values(people().map(|p| p.name()))),
        Arc::new(StringArray::from_iter_values(people().map(|p| p.ssn()))),
        Arc::new(balances.with_precision_and_scale(15, 2).unwrap()),
        Arc::new(Date32Array::from_iter_values(people().map(|p| p.days()))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn stream(batches: &[RecordBatch]) -> Batches {
    let batches: Vec<error::Result<RecordBatch>> = batches.iter().cloned().map(Ok).collect();
    futures::stream::iter(batches).boxed()
}

/// A plan in which the named columns get `action` and the others stay open.
fn plan(columns: &[&str], action: &Action) -> Plan {
    plan_of(&schema(), columns, action)
}

fn plan_of(schema: &SchemaRef, columns: &[&str], action: &Action) -> Plan {
    let open = Tag::parse("open").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let policy = policy(folder.path());
    let verdicts: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| {
            let name = field.name();
            let declared = Column {
                tag: Some(open.clone()),
                action: columns.contains(&name.as_str()).then(|| action.clone()),
                conversion: None,
                companion: None,
                position: Position { line: 1, column: 1 },
            };
            Verdict {
                column: name.clone(),
                evidence: vec![Evidence { leaf: None, why: Why::Named, tag: declared.tag.clone(), declared }],
                origin: Origin::Columns(BTreeSet::from([name.clone()])),
                copy_of: Some(name.clone()),
                undeclared: Vec::new(),
            }
        })
        .collect();
    Plan::decide(&DatasetName::parse("bench.people").unwrap(), &policy, Arc::clone(schema), &verdicts, &[])
        .unwrap()
}

/// A policy that leaves `open` columns alone, so that only the spec's action acts.
fn policy(folder: &Path) -> Policy {
    let path = folder.join("policy.yaml");
    fs::write(
        &path,
        "apiVersion: sealift/v1\nkind: Policy\nname: bench\nunmatched: refuse\n\
         rules:\n  - {tags: [open], action: allow}\n",
    )
    .unwrap();
    let policy = Policy::load(&path).unwrap();
    assert_eq!(policy.unmatched, Unmatched::Refuse);
    policy
}

fn keyring(runtime: &Runtime, folder: &TempDir) -> Keyring {
    let settings = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
    runtime.block_on(Keyring::open(&settings, &|_| {})).unwrap()
}

/// Source bytes into Arrow batches: binary COPY already in memory, and a CSV file.
fn decode(criterion: &mut Criterion) {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("people.csv"), csv(ROWS)).unwrap();
    let connection = config::Connection::Files { root: folder.path().to_owned() };
    let source = source::open(&connection, Default::default()).unwrap();
    let selector = Selector::Files(FileSet {
        name: StreamName::parse("people").unwrap(),
        path: "people.csv".to_owned(),
        format: Format::Csv(Csv { header: true, delimiter: b',', quote: b'"', null: String::new() }),
        schema: None,
    });
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    let frames = postgres::bench::lineitem(u32::try_from(ROWS).unwrap());
    group.bench_function("postgres, lineitem", |bencher| {
        bencher.iter(|| black_box(postgres::bench::decode(&frames).unwrap()));
    });
    group.bench_function("csv, types inferred", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let mut snapshot = source.snapshot().await.unwrap();
                let relation = snapshot.find(&selector).await.unwrap().remove(0);
                let shape = snapshot.describe(&relation).await.unwrap();
                drain(snapshot.read(&relation, &shape.columns).await.unwrap()).await
            })
        });
    });
    group.finish();
}

async fn drain(mut batches: Batches) -> usize {
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += black_box(batch.unwrap()).num_rows();
    }
    rows
}

/// Each action over the columns it is most used for, against letting them through.
fn seal(criterion: &mut Criterion) {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let keyring = keyring(&runtime, &folder);
    let batches: Vec<_> = (0..BATCHES).map(batch).collect();
    let (none, domain) = (None::<String>, Some("people".to_owned()));
    let actions = [
        ("allow", Action::Allow),
        ("mask", Action::Mask(Mask::default())),
        ("generalize", Action::Generalize(Generalize::Prefix(NonZeroU32::MIN))),
        ("encrypt", Action::Encrypt),
        ("tokenize_fpe", Action::TokenizeFpe(Fpe::default())),
        ("tokenize", Action::Tokenize { join_domain: none.clone(), canonical: Canonical::Text }),
        ("tokenize in a join domain", Action::Tokenize { join_domain: domain, canonical: Canonical::Text }),
        ("hash", Action::Hash { join_domain: none, canonical: Canonical::Text }),
        ("redact", Action::Redact),
        ("nullify", Action::Nullify),
        ("drop", Action::Drop),
    ];
    let mut group = criterion.benchmark_group("seal one text column");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    for (name, action) in actions {
        let plan = plan(&["ssn"], &action);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let sealed = Sealed::seal(&plan, stream(&batches), &keyring).await.unwrap();
                    drain(sealed.into_batches()).await
                })
            });
        });
    }
    group.finish();
}

/// Parquet written to a local folder: open, one column encrypted, every column encrypted.
fn encode(criterion: &mut Criterion) {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let keyring = keyring(&runtime, &folder);
    let batches: Vec<_> = (0..BATCHES).map(batch).collect();
    let store = Store::open(&config::Store::File { root: folder.path().join("lake") }).unwrap();
    let cases = [
        ("plain", vec![]),
        ("ssn encrypted", vec!["ssn"]),
        ("every column encrypted", vec!["id", "name", "ssn", "balance", "born"]),
    ];
    let mut group = criterion.benchmark_group("encode Parquet, zstd-1");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    for (name, encrypted) in cases {
        let plan = plan(&encrypted, &Action::Encrypt);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let seal = || runtime.block_on(Sealed::seal(&plan, stream(&batches), &keyring)).unwrap();
            bencher.iter_batched(
                seal,
                |sealed| runtime.block_on(write(sealed, &store, &Parquet::default(), &[], 1 << 30)).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Rows shaped like TPC-H lineitem.
fn lineitem(number: usize) -> RecordBatch {
    let rows = || (number * BATCH_ROWS..(number + 1) * BATCH_ROWS).map(|row| (row, Person(row).mixed()));
    let long = |value: fn(usize, usize) -> usize| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            rows().map(|(row, mixed)| i64::try_from(value(row, mixed)).unwrap()),
        ))
    };
    let decimal = |value: fn(usize) -> usize| -> ArrayRef {
        let values = rows().map(|(_, mixed)| i128::try_from(value(mixed)).unwrap());
        Arc::new(Decimal128Array::from_iter_values(values).with_precision_and_scale(15, 2).unwrap())
    };
    let date = |value: fn(usize) -> usize| -> ArrayRef {
        Arc::new(Date32Array::from_iter_values(
            rows().map(|(_, mixed)| i32::try_from(8_000 + value(mixed)).unwrap()),
        ))
    };
    let text = |value: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows().map(|(_, mixed)| value(mixed))))
    };
    const INSTRUCTIONS: [&str; 4] = ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"];
    const MODES: [&str; 7] = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"];
    const WORDS: [&str; 8] =
        ["furiously ", "even ", "packages ", "nag ", "carefully ", "after ", "the ", "deposits "];
    let comment = |mixed: usize| (0..2 + mixed % 5).map(|word| WORDS[mixed / (7 << word) % 8]).collect();
    RecordBatch::try_from_iter([
        ("l_orderkey", long(|row, _| row / 4)),
        ("l_partkey", long(|_, mixed| mixed % 200_000)),
        ("l_suppkey", long(|_, mixed| mixed % 10_000)),
        ("l_linenumber", long(|row, _| row % 7 + 1)),
        ("l_quantity", decimal(|mixed| (mixed % 50 + 1) * 100)),
        ("l_extendedprice", decimal(|mixed| mixed * 37 % 10_000_000)),
        ("l_discount", decimal(|mixed| mixed % 11)),
        ("l_tax", decimal(|mixed| mixed % 9)),
        ("l_returnflag", text(&|mixed| ["A", "N", "R"][mixed % 3].to_owned())),
        ("l_linestatus", text(&|mixed| ["F", "O"][mixed % 2].to_owned())),
        ("l_shipdate", date(|mixed| mixed % 2_526)),
        ("l_commitdate", date(|mixed| mixed / 3 % 2_466)),
        ("l_receiptdate", date(|mixed| mixed / 5 % 2_555)),
        ("l_shipinstruct", text(&|mixed| INSTRUCTIONS[mixed % 4].to_owned())),
        ("l_shipmode", text(&|mixed| MODES[mixed % 7].to_owned())),
        ("l_comment", text(&comment)),
    ])
    .unwrap()
}

/// Lineitem to Parquet in a local folder, beside the Parquet library's own writer into memory.
fn encode_lineitem(criterion: &mut Criterion) {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let keyring = keyring(&runtime, &folder);
    let batches: Vec<_> = (0..BATCHES).map(lineitem).collect();
    let schema = batches[0].schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let store = Store::open(&config::Store::File { root: folder.path().join("lake") }).unwrap();
    let mut group = criterion.benchmark_group("encode lineitem");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    for (codec, compression) in
        [("zstd-1", Compression::Zstd(1)), ("uncompressed", Compression::Uncompressed)]
    {
        let settings = Parquet { compression, ..Parquet::default() };
        for (how, encrypted) in [("plain", &[][..]), ("every column encrypted", &names[..])] {
            let plan = plan_of(&schema, encrypted, &Action::Encrypt);
            group.bench_function(BenchmarkId::new(format!("{codec}, {how}"), "sealift"), |bencher| {
                let seal = || runtime.block_on(Sealed::seal(&plan, stream(&batches), &keyring)).unwrap();
                bencher.iter_batched(
                    seal,
                    |sealed| runtime.block_on(write(sealed, &store, &settings, &[], 1 << 30)).unwrap(),
                    BatchSize::PerIteration,
                );
            });
            group.bench_function(BenchmarkId::new(format!("{codec}, {how}"), "ArrowWriter"), |bencher| {
                bencher.iter(|| black_box(arrow_writer(&batches, codec == "zstd-1", encrypted)));
            });
        }
    }
    group.finish();
}

/// A file by the Parquet library, with the same settings as ours.
fn arrow_writer(batches: &[RecordBatch], zstd: bool, encrypted: &[&str]) -> Vec<u8> {
    let zstd = zstd.then(|| parquet::basic::Compression::ZSTD(ZstdLevel::try_new(1).unwrap()));
    let statistics = if encrypted.is_empty() { EnabledStatistics::Chunk } else { EnabledStatistics::None };
    let mut properties = WriterProperties::builder()
        .set_compression(zstd.unwrap_or(parquet::basic::Compression::UNCOMPRESSED))
        .set_statistics_enabled(statistics);
    if !encrypted.is_empty() {
        let mut keys = FileEncryptionProperties::builder(vec![1; 32]).with_plaintext_footer(true);
        for name in encrypted {
            keys = keys.with_column_key(name, vec![2; 32]);
        }
        properties = properties.with_file_encryption_properties(keys.build().unwrap());
    }
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties.build())).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

fn csv(rows: usize) -> String {
    let mut csv = "id,name,ssn,balance,born\n".to_owned();
    for person in (0..rows).map(Person) {
        let (cents, day) = (person.cents(), person.days());
        let (year, month, day) = (1950 + day % 60, day % 12 + 1, day % 28 + 1);
        let (name, ssn) = (person.name(), person.ssn());
        writeln!(
            csv,
            "{},{name},{ssn},{}.{:02},{year}-{month:02}-{day:02}",
            person.0,
            cents / 100,
            cents % 100
        )
        .unwrap();
    }
    csv
}

/// The whole program, from a CSV file to a committed Delta version: what sealing costs in the end.
fn sync(criterion: &mut Criterion) {
    let csv = csv(SYNC_ROWS);
    let mut group = criterion.benchmark_group("whole sync");
    group.sample_size(10).throughput(Throughput::Elements(SYNC_ROWS as u64));
    for action in ["allow", "encrypt", "tokenize"] {
        let folder = tempfile::tempdir().unwrap();
        furnish(folder.path(), &csv, action);
        group.bench_function(BenchmarkId::from_parameter(action), |bencher| {
            bencher.iter(|| {
                let status = Command::new(env!("CARGO_BIN_EXE_sealift"))
                    .current_dir(folder.path())
                    .args(["--config", "sealift.yaml", "sync", "people"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .unwrap();
                assert!(status.success(), "{action}: {status}");
            });
        });
    }
    group.finish();
}

/// Every column but the id gets `action`.
fn furnish(folder: &Path, csv: &str, action: &str) {
    fs::write(folder.join("people.csv"), csv).unwrap();
    fs::create_dir(folder.join("pipelines")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write(
        "sealift.yaml",
        "apiVersion: sealift/v1\nkind: Config\npipelines: pipelines\npolicy: policy.yaml\n\
         metadata: {sqlite: var/sealift.db}\nkeys: {file: {path: keys}}\n\
         stores:\n  lake: {url: \"file:lake\"}\nconnections:\n  here: {files: {root: .}}\n",
    );
    write(
        "policy.yaml",
        &format!(
            "apiVersion: sealift/v1\nkind: Policy\nname: bench\nunmatched: refuse\nrules:\n  \
             - {{tags: [open], action: allow}}\n  - {{tags: [sealed], action: {action}}}\n"
        ),
    );
    write(
        "pipelines/people.yaml",
        "apiVersion: sealift/v1\nkind: Pipeline\nname: people\nowner: bench\nconnection: here\n\
         dataset: \"bench.{stream}\"\nstreams:\n  people:\n    path: people.csv\n    format: csv\n    \
         schema: {id: int64, name: text, ssn: text, balance: \"decimal(15,2)\", born: date}\n    \
         columns: {id: {tag: open}, \"*\": {tag: sealed}}\n",
    );
}

criterion_group!(stages, decode, seal, encode, encode_lineitem, sync);
criterion_main!(stages);
