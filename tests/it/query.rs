//! Sessions over datasets that the real publishing path wrote: sealed, committed, and read back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use futures::{StreamExt, TryStreamExt};
use sealift::error::{Error, Kind, Result};
use sealift::keys::Keyring;
use sealift::protect::{Plan, Sealed};
use sealift::publish::receipt::Rows;
use sealift::publish::{self, Change, Effect, Evolution, Mode, Provenance, Store};
use sealift::query::Session;
use sealift::spec::pipeline::{Column, Parquet, Position};
use sealift::spec::verdict::{Evidence, Origin, Verdict, Why};
use sealift::spec::{DatasetName, Policy, Tag, config};

const MEMORY_BYTES: u64 = 64 << 20;

struct World {
    folder: tempfile::TempDir,
    store: Store,
    keyring: Arc<Keyring>,
    policy: Policy,
}

async fn keyring(folder: &Path) -> Arc<Keyring> {
    let settings = config::Keys::File { path: folder.to_owned(), passphrase: None };
    Arc::new(Keyring::open(&settings, &|_| {}).await.unwrap())
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy.yaml");
        let rules = "rules:\n  - {tags: [pii], action: encrypt}\n  - {tags: [public], action: allow}\n";
        let head = "apiVersion: sealift/v1\nkind: Policy\nname: p\nunmatched: refuse\n";
        std::fs::write(&policy, format!("{head}{rules}")).unwrap();
        let lake = config::Store::File { root: folder.path().join("lake") };
        Self {
            store: Store::open(&lake).unwrap(),
            keyring: keyring(&folder.path().join("keys")).await,
            policy: Policy::load(&policy).unwrap(),
            folder,
        }
    }

    /// Publishes rows; columns whose names begin with `secret` are encrypted.
    async fn publish(&self, dataset: &str, rows: RecordBatch, partition_by: &[&str], mode: Mode) {
        let dataset = DatasetName::parse(dataset).unwrap();
        let partition_by: Vec<String> = partition_by.iter().map(ToString::to_string).collect();
        let verdict = |field: &Arc<Field>| {
            let tag = if field.name().starts_with("secret") { "pii" } else { "public" };
            let tag = Some(Tag::parse(tag).unwrap());
            let position = Position { line: 1, column: 1 };
            let declared =
                Column { tag: tag.clone(), action: None, conversion: None, companion: None, position };
            Verdict {
                column: field.name().clone(),
                evidence: vec![Evidence { leaf: None, why: Why::Named, tag, declared }],
                origin: Origin::Unknown,
                copy_of: None,
                undeclared: Vec::new(),
            }
        };
        let verdicts: Vec<_> = rows.schema().fields().iter().map(verdict).collect();
        let plan = Plan::decide(&dataset, &self.policy, rows.schema(), &verdicts, &partition_by).unwrap();
        let batches = futures::stream::iter([Ok(rows)]).boxed();
        let sealed = Sealed::seal(&plan, batches, &self.keyring).await.unwrap();
        let schema = Arc::clone(sealed.schema());
        let open: Vec<String> = sealed.open().iter().cloned().collect();
        let written =
            publish::write(sealed, &self.store, &Parquet::default(), &partition_by, 1 << 30).await.unwrap();
        let provenance = Provenance {
            run_id: "r".into(),
            stream: "p/s".into(),
            spec_digest: "d".into(),
            policy: "p".into(),
            policy_digest: "d".into(),
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
            dataset: &dataset,
            schema: &schema,
            open: &open,
            partition_by: &partition_by,
            order: publish::Order::Any,
            effect: match mode {
                Mode::Overwrite => Effect::Overwrite,
                Mode::Append | Mode::Merge => Effect::Append { withdrawn: &[], unseen: None },
            },
            evolution: &Evolution::default(),
            provenance: &provenance,
            signer: &self.keyring.signer().await.unwrap(),
        };
        publish::commit(&self.store, written, &change).await.unwrap();
    }

    async fn people(&self) {
        self.publish("crm.people", people(), &[], Mode::Overwrite).await;
    }

    async fn session(&self) -> Session {
        self.session_with(Arc::clone(&self.keyring), None).await
    }

    async fn session_with(&self, keyring: Arc<Keyring>, as_of: Option<u64>) -> Session {
        Session::open(vec![self.store.clone()], keyring, MEMORY_BYTES, as_of, None).await.unwrap()
    }

    /// A session whose keyring has no keys.
    async fn keyless(&self) -> Session {
        self.session_with(keyring(&self.folder.path().join("no-keys")).await, None).await
    }

    /// Data files of a dataset, sorted by path.
    fn data_files(&self, dataset: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join("lake").join(dataset.replace('.', "/"));
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).collect();
        files.sort();
        files
    }
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.iter().map(|(_, array)| Arc::clone(array)).collect())
        .unwrap()
}

fn numbers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

fn people() -> RecordBatch {
    batch(&[
        ("id", numbers([1, 2, 3])),
        ("secret_ssn", texts(&[Some("078-05-1120"), None, Some("")])),
        ("country", texts(&[Some("CH"), Some("DE"), None])),
    ])
}

async fn rows(session: &Session, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let (schema, batches) = session.sql(sql).await?;
    Ok((schema, batches.try_collect().await?))
}

/// The result as lines of cells, NULL as `~`.
async fn table(session: &Session, sql: &str) -> Vec<String> {
    let (_, batches) = rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let options = arrow::util::display::FormatOptions::new().with_null("~");
    let text = arrow::util::pretty::pretty_format_batches_with_options(&batches, &options).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",");
    text.to_string().lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect()
}

async fn refused(session: &Session, sql: &str) -> Error {
    match rows(session, sql).await {
        Err(error) => error,
        Ok((_, batches)) => panic!("{sql} gave {}", pretty_format_batches(&batches).unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_rows_read_back_as_they_were() {
    let world = World::new().await;
    world.people().await;
    let session = world.session().await;
    assert_eq!(
        table(&session, "SELECT * FROM crm.people ORDER BY id").await,
        ["1,078-05-1120,CH", "2,~,DE", "3,,~"]
    );
    assert_eq!(table(&session, "SELECT id FROM crm.people WHERE secret_ssn = '078-05-1120'").await, ["1"]);
    assert_eq!(table(&session, "SELECT secret_ssn, id FROM crm.people WHERE id > 1 LIMIT 1").await, ["~,2"]);
    assert_eq!(table(&session, "SELECT count(*) FROM crm.people").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_open_columns_are_read_and_the_others_denied() {
    let world = World::new().await;
    world.people().await;
    let session = world.keyless().await;
    assert_eq!(table(&session, "SELECT id, country FROM crm.people WHERE id < 3").await, ["1,CH", "2,DE"]);
    assert_eq!(table(&session, "SELECT count(*) FROM crm.people").await, ["3"]);
    for sql in [
        "SELECT * FROM crm.people",
        "SELECT id FROM crm.people WHERE secret_ssn IS NOT NULL",
        "SELECT max(secret_ssn) FROM crm.people",
    ] {
        let error = refused(&session, sql).await;
        assert_eq!(error.kind(), Kind::Denied, "{sql}: {error}");
        assert_eq!(error.message(), "no key for column `secret_ssn` of dataset crm.people", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shredded_column_is_denied_and_the_rest_stays_readable() {
    let world = World::new().await;
    let two = batch(&[
        ("id", numbers([1])),
        ("secret_a", texts(&[Some("alpha")])),
        ("secret_b", texts(&[Some("beta")])),
    ]);
    world.publish("crm.two", two, &[], Mode::Overwrite).await;
    let keys = world.folder.path().join("keys");
    let mut removed = 0;
    let mut folders = vec![keys.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains("/secret_a@1")) {
                std::fs::remove_file(path).unwrap();
                removed += 1;
            }
        }
    }
    assert_eq!(removed, 1);
    let session = world.session_with(keyring(&keys).await, None).await;
    assert_eq!(table(&session, "SELECT id, secret_b FROM crm.two WHERE id = 1").await, ["1,beta"]);
    let error = refused(&session, "SELECT secret_a FROM crm.two").await;
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Denied, "no key for column `secret_a` of dataset crm.two",)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_with_nothing_encrypted_is_read_with_and_without_keys() {
    let world = World::new().await;
    world.publish("crm.plain", batch(&[("id", numbers([7]))]), &[], Mode::Overwrite).await;
    for session in [world.session().await, world.keyless().await] {
        assert_eq!(table(&session, "SELECT id FROM crm.plain").await, ["7"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_an_aad_prefix_that_is_checked_refuses_a_swapped_file() {
    let world = World::new().await;
    world.people().await;
    let later = batch(&[
        ("id", numbers([4, 5, 6])),
        ("secret_ssn", texts(&[Some("219-09-9999"), None, Some("")])),
        ("country", texts(&[Some("FR"), Some("IT"), None])),
    ]);
    world.publish("crm.people", later, &[], Mode::Append).await;
    let session = world.session().await;
    assert_eq!(table(&session, "SELECT count(secret_ssn) FROM crm.people").await, ["4"]);

    let files = world.data_files("crm.people");
    let [first, second] = files.as_slice() else { panic!("two files, not {files:?}") };
    let (one, two) = (std::fs::read(first).unwrap(), std::fs::read(second).unwrap());
    assert_eq!(one.len(), two.len(), "the sizes of the log stay true: only the binding can tell");
    std::fs::write(first, &two).unwrap();
    std::fs::write(second, &one).unwrap();
    for sql in ["SELECT secret_ssn FROM crm.people", "SELECT id FROM crm.people"] {
        let error = refused(&session, sql).await;
        assert_eq!(error.kind(), Kind::Failed, "{sql}: {error}");
        assert!(error.message().contains("is not the one that crm.people published there"), "{error}");
    }
    std::fs::write(first, &one).unwrap();
    std::fs::write(second, &two).unwrap();
    assert_eq!(table(&session, "SELECT count(secret_ssn) FROM crm.people").await, ["4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_altered_byte_of_a_sealed_page_is_refused() {
    let world = World::new().await;
    world.people().await;
    let file = world.data_files("crm.people").remove(0);
    let whole = std::fs::read(&file).unwrap();
    let session = world.session().await;
    let footer_bytes = u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap());
    let pages = 4..whole.len() - 8 - footer_bytes as usize;
    let mut refusals = 0;
    for at in pages.step_by(7) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&file, altered).unwrap();
        if let Err(error) = rows(&session, "SELECT secret_ssn FROM crm.people").await {
            assert_eq!(error.kind(), Kind::Failed, "{error}");
            refusals += 1;
        }
    }
    assert!(refusals > 5, "only {refusals}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_keep_their_place_and_are_pruned() {
    let world = World::new().await;
    let rows = batch(&[
        ("country", texts(&[Some("CH"), Some("DE"), None, Some("a/b")])),
        ("id", numbers([1, 2, 3, 4])),
        ("day", numbers([10, 20, 30, 40])),
    ]);
    world.publish("crm.parts", rows, &["country", "day"], Mode::Overwrite).await;
    let session = world.session().await;
    assert_eq!(
        table(&session, "SELECT * FROM crm.parts ORDER BY id").await,
        ["CH,1,10", "DE,2,20", "~,3,30", "a/b,4,40"]
    );
    assert_eq!(table(&session, "SELECT id FROM crm.parts WHERE country = 'a/b'").await, ["4"]);
    assert_eq!(table(&session, "SELECT id FROM crm.parts WHERE country IS NULL").await, ["3"]);
    assert_eq!(table(&session, "SELECT count(*) FROM crm.parts WHERE day >= 20").await, ["3"]);
    assert!(table(&session, "SELECT id FROM crm.parts WHERE country = 'XX'").await.is_empty());
    assert_eq!(table(&session, "SELECT day, country FROM crm.parts WHERE id = 2").await, ["20,DE"]);

    // What a filter on folders leaves out is not opened: it may be gone.
    std::fs::remove_dir_all(world.folder.path().join("lake/crm/parts/country=DE")).unwrap();
    assert_eq!(table(&session, "SELECT id FROM crm.parts WHERE day = 10").await, ["1"]);
    assert_eq!(refused(&session, "SELECT id FROM crm.parts").await.kind(), Kind::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_versions_are_read_by_number() {
    let world = World::new().await;
    world.publish("crm.v", batch(&[("id", numbers([1]))]), &[], Mode::Overwrite).await;
    world.publish("crm.v", batch(&[("id", numbers([2]))]), &[], Mode::Overwrite).await;
    let keys = || Arc::clone(&world.keyring);
    assert_eq!(table(&world.session_with(keys(), None).await, "SELECT id FROM crm.v").await, ["2"]);
    assert_eq!(table(&world.session_with(keys(), Some(0)).await, "SELECT id FROM crm.v").await, ["1"]);
    let error = refused(&world.session_with(keys(), Some(9)).await, "SELECT id FROM crm.v").await;
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("crm.v"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn datasets_are_joined_across_namespaces() {
    let world = World::new().await;
    world.people().await;
    let orders = batch(&[("person", numbers([1, 1, 2])), ("secret_total", numbers([5, 6, 7]))]);
    world.publish("shop.orders", orders, &[], Mode::Overwrite).await;
    let sql = "SELECT p.secret_ssn, sum(o.secret_total) FROM crm.people p
               JOIN shop.orders o ON o.person = p.id GROUP BY 1 ORDER BY 2";
    assert_eq!(table(&world.session().await, sql).await, ["~,7", "078-05-1120,11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_queries_of_datasets_is_possible() {
    let world = World::new().await;
    world.people().await;
    let outside = world.folder.path().join("outside.csv");
    std::fs::write(&outside, "a\n1\n").unwrap();
    let outside = outside.display();
    let session = world.session().await;
    for sql in [
        format!("COPY (SELECT 1) TO '{outside}.out'"),
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{outside}'"),
        "CREATE TABLE crm.x AS SELECT 1".to_owned(),
        "INSERT INTO crm.people SELECT * FROM crm.people".to_owned(),
        "DELETE FROM crm.people".to_owned(),
        "UPDATE crm.people SET id = 1".to_owned(),
        "DROP TABLE crm.people".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        format!("SELECT * FROM '{outside}'"),
        format!("SELECT * FROM read_csv('{outside}')"),
        "SELECT * FROM information_schema.df_settings".to_owned(),
    ] {
        assert_eq!(refused(&session, &sql).await.kind(), Kind::Invalid, "{sql}");
    }
    assert!(!world.folder.path().join("outside.csv.out").exists());
    assert_eq!(table(&session, "SELECT count(*) FROM crm.people").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_there_are_answered_with_the_nearest() {
    let world = World::new().await;
    world.people().await;
    let session = world.session().await;
    for (sql, message, remedy) in [
        ("SELECT * FROM crm.peple", "there is no dataset `crm.peple`", "did you mean `crm.people`?"),
        ("SELECT * FROM people", "there is no dataset `people`", "did you mean `crm.people`?"),
        ("SELECT * FROM hr.x", "there is no dataset `hr.x`", "the datasets are crm.people"),
        ("SELECT contry FROM crm.people", "there is no column `contry`", "did you mean `country`?"),
        ("SELECT zzz FROM crm.people", "there is no column `zzz`", "the columns are id, secret_ssn, country"),
    ] {
        let error = refused(&session, sql).await;
        assert_eq!((error.kind(), error.message()), (Kind::Invalid, message), "{sql}");
        assert_eq!(error.remedy(), Some(remedy), "{sql}");
    }
    let error = refused(&session, "SELECT id FORM crm.people").await;
    assert!(error.message().starts_with("the SQL cannot be understood"), "{error}");
    let error = refused(&session, "SELECT lenght(country) FROM crm.people").await;
    assert!(error.message().contains("lenght"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_errors_hold_no_value_of_a_row_or_of_the_query() {
    let world = World::new().await;
    world.people().await;
    let session = world.session().await;
    for (sql, kind) in [
        ("SELECT CAST(secret_ssn AS BIGINT) FROM crm.people", Kind::Data),
        ("SELECT id FROM crm.people WHERE CAST(secret_ssn AS BIGINT) = 5", Kind::Data),
        ("SELECT CAST('078-05-1120' AS BIGINT) FROM crm.people", Kind::Invalid),
        ("SELECT id FROM crm.people WHERE id = ARRAY['078-05-1120']", Kind::Invalid),
        ("SELECT id FROM crm.people WHERE '078-05-1120'", Kind::Invalid),
        ("SELECT id FROM crm.people WHERE country LIKE 'x' ESCAPE '078-05-1120'", Kind::Invalid),
        ("SELECT nope('078-05-1120') FROM crm.people", Kind::Invalid),
        ("SELECT id FROM crm.people WHERE '078-05-1120' '078-05-1120'", Kind::Invalid),
        ("SELECT id FROM crm.people WHERE secret_ssn = '078-05-1120", Kind::Invalid),
        ("SELECT arrow_cast(id, '078-05-1120') FROM crm.people", Kind::Invalid),
        ("SELECT date_trunc('078-05-1120', now())", Kind::Data),
        ("SELECT id + interval '078-05-1120' FROM crm.people", Kind::Invalid),
    ] {
        let error = refused(&session, sql).await;
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(!error.to_string().contains("1120"), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_a_query_beyond_its_memory_fails_and_spills_nothing() {
    let world = World::new().await;
    // 40 MB of text; a sort that could spill would go through in less.
    let wide: Vec<String> = (0..400_000).rev().map(|n| format!("{n:0100}")).collect();
    let wide: StringArray = wide.iter().map(Some).collect();
    let many = batch(&[("id", numbers(0..400_000)), ("secret_text", Arc::new(wide))]);
    world.publish("crm.many", many, &[], Mode::Overwrite).await;
    let keys = Arc::clone(&world.keyring);
    let small = Session::open(vec![world.store.clone()], keys, 32 << 20, None, None).await.unwrap();
    let error = refused(&small, "SELECT * FROM crm.many ORDER BY secret_text").await;
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    assert!(error.message().contains("memory_limit"), "{error}");
    // What needs no memory still goes.
    assert_eq!(
        table(&small, "SELECT sum(id), count(secret_text) FROM crm.many").await,
        ["79999800000,400000"]
    );
}
