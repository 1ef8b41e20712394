//! Sealed rows for tests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use object_store::ObjectStoreExt as _;

use super::receipt::Rows;
use super::{
    Change, Decided, Effect, Evolution, Mode, ObjectPath, Order, Outcome, Provenance, Store, Written, commit,
    write,
};
use crate::Batches;
use crate::error::Result;
use crate::keys::{Keyring, Signer};
use crate::protect::{Plan, Sealed};
use crate::spec::action::Options;
use crate::spec::classification::Classification;
use crate::spec::pipeline::{Column, Parquet, Position};
use crate::spec::policy::{Rule, TagGlob, Unmatched};
use crate::spec::verdict::{Evidence, Origin, Verdict, Why};
use crate::spec::{Action, DatasetName, Policy, Tag, config};

pub(super) fn dataset() -> DatasetName {
    DatasetName::parse("crm.people").unwrap()
}

/// A keyring in a folder that outlives it.
pub(super) async fn keyring() -> Keyring {
    let path = tempfile::tempdir().unwrap().keep();
    Keyring::open(&config::Keys::File { path, passphrase: None }, &|_| {}).await.unwrap()
}

/// `id` and `ssn`: rows of made-up people.
pub(super) fn people(ids: std::ops::Range<i64>) -> RecordBatch {
    let ssn: StringArray = ids.clone().map(|id| Some(format!("ssn-{id:06}"))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let ssn: ArrayRef = Arc::new(ssn);
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("ssn", ssn, true)]).unwrap()
}

/// Seals batches: the named columns encrypted, the others open.
pub(super) async fn seal_stream(
    keyring: &Keyring,
    schema: &SchemaRef,
    batches: Vec<Result<RecordBatch>>,
    encrypted: &[&str],
) -> Sealed {
    seal_batches(keyring, schema, futures::stream::iter(batches).boxed(), encrypted).await
}

pub(super) async fn seal_batches(
    keyring: &Keyring,
    schema: &SchemaRef,
    batches: Batches,
    encrypted: &[&str],
) -> Sealed {
    let rule = |glob: &str, action| Rule {
        tags: vec![TagGlob::of(glob)],
        action,
        companion: None,
        allow_small_domain: false,
    };
    let policy = Policy {
        name: "test".into(),
        unmatched: Unmatched::Refuse,
        rules: vec![rule("open", Action::Allow), rule("shut", Action::Encrypt)],
        classification: Classification::default(),
        reveal: Vec::new(),
        digest: "digest".into(),
        path: PathBuf::new(),
    };
    let verdict = |name: &str| {
        let tag = Tag::parse(if encrypted.contains(&name) { "shut" } else { "open" }).unwrap();
        let position = Position { line: 1, column: 1 };
        let declared =
            Column { tag: Some(tag.clone()), action: None, conversion: None, companion: None, position };
        Verdict {
            column: name.into(),
            evidence: vec![Evidence { leaf: None, why: Why::Named, tag: Some(tag), declared }],
            origin: Origin::Columns(BTreeSet::from([name.to_owned()])),
            copy_of: Some(name.to_owned()),
            undeclared: Vec::new(),
        }
    };
    let verdicts: Vec<_> = schema.fields().iter().map(|field| verdict(field.name())).collect();
    let plan = Plan::decide(&dataset(), &policy, Arc::clone(schema), &verdicts, &[]).unwrap();
    Sealed::seal(&plan, batches, keyring).await.unwrap()
}

pub(super) async fn seal(batches: Vec<RecordBatch>, encrypted: &[&str]) -> Sealed {
    let schema = batches[0].schema();
    seal_stream(&keyring().await, &schema, batches.into_iter().map(Ok).collect(), encrypted).await
}

pub(super) async fn written(store: &Store, batch: RecordBatch) -> Written {
    let sealed = seal(vec![batch], &["ssn"]).await;
    write(sealed, store, &Parquet::default(), &[], 1 << 30).await.unwrap()
}

pub(super) fn provenance(run: &str) -> Provenance {
    Provenance {
        run_id: run.into(),
        trigger: "cli".into(),
        stream: "crm/public.people".into(),
        spec_digest: "spec".into(),
        policy: "test".into(),
        policy_digest: "digest".into(),
        connection: "db".into(),
        snapshot: None,
        columns: vec![Decided {
            column: "id".into(),
            tag: Some("open".into()),
            action: "allow".into(),
            key: None,
            options: Options::new(),
        }],
        started_ms: 0,
        rows: Rows::default(),
        cursor: None,
        window: None,
        facts: None,
    }
}

/// Writes and commits a batch of `people`'s shape.
pub(super) async fn publish(store: &Store, batch: RecordBatch, mode: Mode, run: &str) -> Result<Outcome> {
    publish_instead(store, batch, mode, run, &[]).await
}

/// As [`publish`], and takes back the rows of the versions `withdrawn`.
pub(super) async fn publish_instead(
    store: &Store,
    batch: RecordBatch,
    mode: Mode,
    run: &str,
    withdrawn: &[u64],
) -> Result<Outcome> {
    let schema = batch.schema();
    let files = written(store, batch).await;
    commit_instead(store, files, &schema, mode, run, withdrawn).await
}

/// Commits files of `people`'s shape.
pub(super) async fn commit_sealed(
    store: &Store,
    files: Written,
    schema: &SchemaRef,
    mode: Mode,
    run: &str,
) -> Result<Outcome> {
    commit_instead(store, files, schema, mode, run, &[]).await
}

async fn commit_instead(
    store: &Store,
    files: Written,
    schema: &SchemaRef,
    mode: Mode,
    run: &str,
    withdrawn: &[u64],
) -> Result<Outcome> {
    let effect = match mode {
        Mode::Overwrite => Effect::Overwrite,
        Mode::Append | Mode::Merge => Effect::Append { withdrawn, unseen: None },
    };
    let change = Change {
        dataset: &dataset(),
        schema,
        open: &["id".into()],
        partition_by: &[],
        effect,
        order: Order::Any,
        evolution: &Evolution::default(),
        provenance: &provenance(run),
        signer: &Signer::for_tests(),
    };
    commit(store, files, &change).await
}

/// Every object of a store.
pub(super) async fn objects(store: &Store) -> Vec<String> {
    let mut all: Vec<_> =
        store.objects().list(None).map(|meta| meta.unwrap().location.to_string()).collect().await;
    all.sort();
    all
}

/// Alters a byte of an object that Parquet readers do not look at; answers with the bytes as they were.
pub(super) async fn alter(store: &Store, path: &ObjectPath) -> Vec<u8> {
    let kept = store.objects().get(&path.location()).await.unwrap().bytes().await.unwrap().to_vec();
    let mut altered = kept.clone();
    altered[0] ^= 1;
    store.objects().put(&path.location(), altered.into()).await.unwrap();
    kept
}
