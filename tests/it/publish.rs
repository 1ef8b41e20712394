//! Tables on real stores, read back by other engines.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use base64::Engine as _;
use futures::StreamExt as _;
use futures::future::join_all;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use sealift::error::{Error, Kind, Result};
use sealift::keys::Keyring;
use sealift::protect::{Plan, Sealed};
use sealift::publish::receipt::Rows;
use sealift::publish::{Change, Effect, Evolution, Mode, Outcome, Provenance, Store, Table, commit, write};
use sealift::spec::pipeline::{Column, Parquet, Position};
use sealift::spec::verdict::{Evidence, Origin, Verdict, Why};
use sealift::spec::{DatasetName, Policy, Tag, config};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::script;
use crate::servers::s3::{self, Signed};

const POLICY: &str = "apiVersion: sealift/v1\nkind: Policy\nname: test\nunmatched: refuse\nrules:\n\
    - {tags: [public], action: allow}\n- {tags: [pii.us_ssn], action: encrypt}\n";

/// Everything one table needs but the store.
struct Desk {
    folder: TempDir,
    keyring: Keyring,
    policy: Policy,
    dataset: DatasetName,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
        let path = folder.path().join("policy.yaml");
        std::fs::write(&path, POLICY).unwrap();
        Self {
            keyring: Keyring::open(&keys, &|_| {}).await.unwrap(),
            policy: Policy::load(&path).map_err(Error::from).unwrap(),
            dataset: DatasetName::parse("crm.people").unwrap(),
            folder,
        }
    }

    fn local(&self) -> Store {
        Store::open(&config::Store::File { root: self.folder.path().join("lake") }).unwrap()
    }

    /// Publishes batches whose column `ssn` is encrypted.
    async fn publish(
        &self,
        store: &Store,
        batches: Vec<Result<RecordBatch>>,
        by: &[&str],
        mode: Mode,
        run: &str,
    ) -> Result<Outcome> {
        let schema = people(0..0).schema();
        let by: Vec<_> = by.iter().map(|name| (*name).to_owned()).collect();
        let verdicts: Vec<_> = schema.fields().iter().map(|field| verdict(field.name())).collect();
        let plan = Plan::decide(&self.dataset, &self.policy, schema, &verdicts, &by)?;
        let rows = futures::stream::iter(batches).boxed();
        let sealed = Sealed::seal(&plan, rows, &self.keyring).await?;
        let (schema, open) = (sealed.schema().clone(), sealed.open().iter().cloned().collect::<Vec<_>>());
        let written = write(sealed, store, &Parquet::default(), &by, 1 << 30).await?;
        let provenance = Provenance {
            run_id: run.to_owned(),
            stream: "crm/people".to_owned(),
            spec_digest: "0".repeat(64),
            policy: "test".to_owned(),
            policy_digest: "0".repeat(64),
            trigger: "cli".into(),
            connection: "db".into(),
            snapshot: None,
            columns: Vec::new(),
            cursor: None,
            window: None,
            started_ms: 0,
            rows: Rows::default(),
            facts: None,
        };
        let change = Change {
            dataset: &self.dataset,
            schema: &schema,
            open: &open,
            partition_by: &by,
            order: sealift::publish::Order::Any,
            effect: match mode {
                Mode::Overwrite => Effect::Overwrite,
                Mode::Append | Mode::Merge => Effect::Append { withdrawn: &[], unseen: None },
            },
            evolution: &Evolution::default(),
            provenance: &provenance,
            signer: &self.keyring.signer().await?,
        };
        commit(store, written, &change).await
    }

    /// The dataset's keys as `sealift keys release --json` prints them.
    async fn release(&self) -> String {
        let mut keys = Vec::new();
        for id in self.keyring.list(Some(&self.dataset)).await.unwrap() {
            let key = self.keyring.by_id(&id).await.unwrap();
            let base64 = base64::engine::general_purpose::STANDARD.encode(key.secret().expose());
            keys.push(json!({"id": id, "key_base64": base64}));
        }
        let path = self.folder.path().join("released.json");
        std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn verdict(column: &str) -> Verdict {
    let tag = Tag::parse(if column == "ssn" { "pii.us_ssn" } else { "public" }).unwrap();
    let declared = Column {
        tag: Some(tag.clone()),
        action: None,
        conversion: None,
        companion: None,
        position: Position { line: 1, column: 1 },
    };
    Verdict {
        column: column.to_owned(),
        evidence: vec![Evidence { leaf: None, why: Why::Named, tag: Some(tag), declared }],
        origin: Origin::Columns(BTreeSet::from([column.to_owned()])),
        copy_of: Some(column.to_owned()),
        undeclared: Vec::new(),
    }
}

const COUNTRIES: [Option<&str>; 5] = [Some("CH"), Some("a b/ü%"), None, Some("=x#1"), Some("CH")];

/// Made-up people, one per id.
fn people(ids: std::ops::Range<i64>) -> RecordBatch {
    let ssn: StringArray = ids.clone().map(|id| Some(format!("{id:03}-00-0000"))).collect();
    let country: StringArray =
        ids.clone().map(|id| COUNTRIES[usize::try_from(id).unwrap() % COUNTRIES.len()]).collect();
    let balance = Decimal128Array::from_iter_values(ids.clone().map(|id| i128::from(id) * 1_000_000_007 - 5));
    let born = Date32Array::from_iter_values(ids.clone().map(|id| i32::try_from(id).unwrap() * 100 - 3_000));
    let columns: [(&str, ArrayRef, bool); 5] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids)), true),
        ("ssn", Arc::new(ssn), true),
        ("country", Arc::new(country), true),
        ("balance", Arc::new(balance.with_precision_and_scale(30, 2).unwrap()), true),
        ("born", Arc::new(born), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// What every engine must read of `people(0..rows)`.
fn expected(rows: i64) -> Value {
    let mut countries: Vec<_> =
        (0..rows).map(|id| COUNTRIES[usize::try_from(id).unwrap() % 5].unwrap_or("NULL")).collect();
    countries.sort_unstable();
    json!({"rows": rows, "ids": (0..rows).sum::<i64>(), "countries": countries})
}

async fn objects(store: &Store) -> Vec<String> {
    let mut all: Vec<_> =
        store.objects().list(None).map(|meta| meta.unwrap().location.to_string()).collect().await;
    all.sort();
    all
}

/// Publishes with and without partitions, then reads with every engine, with and without the key.
async fn read_by_all(desk: &Desk, store: &Store, url: &str, env: &[(&str, &str)]) {
    for (by, first) in [(&["country"][..], 0), (&[], 2)] {
        let batches = vec![Ok(people(0..20)), Ok(people(20..25))];
        let run = format!("run-{first}");
        let version = desk.publish(store, batches, by, Mode::Overwrite, &run).await.unwrap().version;
        assert_eq!(version, first);
        desk.publish(store, vec![Ok(people(25..30))], by, Mode::Append, "more").await.unwrap();
        for engine in ["deltalake", "polars", "duckdb"] {
            assert_eq!(script("tables.py", &[engine, url], env), expected(30), "{engine} {by:?}");
        }
        let keys = desk.release().await;
        let ssn: Vec<_> = (0..30).map(|id| format!("{id:03}-00-0000")).collect();
        let read = script("tables.py", &["pyarrow", url, &keys, "ssn"], env);
        assert_eq!(read["values"], json!(ssn), "{by:?}");
        let refused = script("tables.py", &["refused", url, "ssn"], env);
        assert_eq!(refused["files"], refused["refused"], "{by:?}");
        assert_eq!(refused["open"], 30, "{by:?}");
        let stats = script("tables.py", &["stats", url], env);
        assert!(stats["min.balance"].to_string().contains("-0.05"), "{stats}");
        assert!(
            stats["max.born"].to_string().contains("1969-10-") || stats["max.born"].is_array(),
            "{stats}"
        );
        assert!(!stats.to_string().contains("ssn"), "{stats}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_engines_read_a_table_in_a_folder() {
    let desk = Desk::new().await;
    let store = desk.local();
    store.check().await.unwrap();
    let url = desk.folder.path().join("lake/crm/people");
    read_by_all(&desk, &store, url.to_str().unwrap(), &[]).await;
    assert_eq!(Table::list(&store).await.unwrap(), std::slice::from_ref(&desk.dataset));
    let staged = walk(desk.folder.path()).into_iter().filter(|path| path.contains('#')).count();
    assert_eq!(staged, 0, "no staged file is left");
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path.to_string_lossy().into_owned());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_engines_read_a_table_on_s3() {
    let server = s3::Server::start().await;
    server.create_bucket("lake").await;
    let desk = Desk::new().await;
    let store = Store::open(&server.store("lake", "bronze/one")).unwrap();
    assert!(Table::load(&store, &desk.dataset, None).await.unwrap().is_none());
    store.check().await.unwrap();
    assert_eq!(objects(&store).await, [""; 0]);
    let endpoint = server.endpoint();
    let env = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    read_by_all(&desk, &store, "s3://lake/bronze/one/crm/people", &env).await;

    // The source breaks in the middle: nothing new is visible, and no object is left.
    let before = objects(&store).await;
    let broken = vec![Ok(people(0..10)), Err(Error::data("line 12 is malformed"))];
    let error = desk.publish(&store, broken, &[], Mode::Append, "broken").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert_eq!(objects(&store).await, before);
    let publications =
        Table::history(&store, &desk.dataset, "", |_| false).await.unwrap().unwrap().publications;
    assert!(publications.iter().all(|one| one.run_id != "broken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appenders_on_s3_each_land_exactly_once() {
    let server = s3::Server::start().await;
    server.create_bucket("lake").await;
    let desk = Desk::new().await;
    let store = Store::open(&server.store("lake", "")).unwrap();
    let appenders = (0..8).map(|task| {
        let (desk, store) = (&desk, &store);
        async move {
            let rows = vec![Ok(people(task * 10..task * 10 + 10))];
            desk.publish(store, rows, &[], Mode::Append, &format!("run-{task}")).await.unwrap().version
        }
    });
    let mut versions = join_all(appenders).await;
    versions.sort_unstable();
    assert_eq!(versions, (0..8).collect::<Vec<_>>());
    let table = Table::load(&store, &desk.dataset, None).await.unwrap().unwrap();
    assert_eq!(table.files.iter().filter_map(|file| file.rows).sum::<u64>(), 80);
    let publications =
        Table::history(&store, &desk.dataset, "", |_| false).await.unwrap().unwrap().publications;
    let mut runs: Vec<_> = publications.into_iter().map(|one| one.run_id).collect();
    runs.sort_unstable();
    assert_eq!(runs, (0..8).map(|task| format!("run-{task}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_signed_and_a_wrong_secret_is_denied() {
    let server = Signed::start("lake", "right").await;
    let open =
        |secret| Store::open(&s3::settings(&server.endpoint, "lake", "x", &s3::credentials(secret))).unwrap();
    let path = object_store::path::Path::from("a/b");
    let store = open("right");
    store.objects().put(&path, "text".into()).await.unwrap();
    let read = store.objects().get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(read, "text");

    let wrong = open("wrong");
    for error in [
        wrong.check().await.unwrap_err(),
        Table::list(&wrong).await.unwrap_err(),
        Table::load(&wrong, &DatasetName::parse("a.b").unwrap(), None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind().meaning().exit_code, 77, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("wrong") && !shown.contains("test-key-id"), "{shown}");
    }
}

#[tokio::test]
async fn an_absent_server_is_temporary_and_an_absent_bucket_is_not() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = s3::settings(&format!("http://{free}"), "lake", "", &s3::credentials("x"));
    let error = Store::open(&nobody).unwrap().check().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    assert!(error.message().contains("cannot be reached"), "{error}");

    let server = s3::Server::start().await;
    let error = Store::open(&server.store("none", "")).unwrap().check().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    assert!(error.remedy().unwrap().contains("bucket"), "{error}");
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_told() {
    let desk = Desk::new().await;
    std::fs::write(desk.folder.path().join("lake"), "in the way").unwrap();
    let error = desk.local().check().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    let rows = vec![Ok(people(0..5))];
    let error = desk.publish(&desk.local(), rows, &[], Mode::Append, "run").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
}
