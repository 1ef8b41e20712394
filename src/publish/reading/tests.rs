use std::collections::BTreeSet;

use arrow::array::{AsArray as _, RecordBatch};
use futures::TryStreamExt as _;

use super::*;
use crate::error::Kind;
use crate::protect::Sealed;
use crate::publish::fixture::{commit_sealed, dataset, keyring, people, provenance, seal_stream};
use crate::publish::scripted::Scripted;
use crate::publish::{Change, Effect, Mode, Rewrite, commit, write};
use crate::spec::pipeline::Parquet;

async fn published(store: &Store, keyring: &Keyring) -> Table {
    let schema = people(0..0).schema();
    let sealed = seal_stream(keyring, &schema, vec![Ok(people(0..20_000))], &["ssn"]).await;
    let files = write(sealed, store, &Parquet::default(), &[], 1 << 30).await.unwrap();
    commit_sealed(store, files, &schema, Mode::Overwrite, "run-1").await.unwrap();
    Table::load(store, &dataset(), None).await.unwrap().unwrap()
}

async fn read(reading: &Reading, table: &Table) -> Vec<RecordBatch> {
    reading.rows(&table.files[0]).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn rows_come_back_decrypted_in_the_order_asked_for() {
    let (store, keyring) = (Scripted::new([]).store(), keyring().await);
    let table = published(&store, &keyring).await;
    let columns = ["ssn".to_owned(), "id".to_owned()];
    let reading =
        Reading::prepare(&store, &keyring, &dataset(), &table, &columns, &table.files).await.unwrap();
    let batches = read(&reading, &table).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    assert_eq!(batches[0].schema(), *reading.schema());
    assert_eq!(batches[0].column(0).as_string::<i32>().value(7), "ssn-000007");
    assert_eq!(reading.encrypted(&table.files[0]).await.unwrap(), BTreeSet::from(["ssn".to_owned()]));
}

#[tokio::test]
async fn without_the_key_the_column_is_denied_and_the_others_can_be_read() {
    let store = Scripted::new([]).store();
    let table = published(&store, &keyring().await).await;
    let (stranger, files) = (keyring().await, &table.files);
    let open = ["id".to_owned()];
    let reading = Reading::prepare(&store, &stranger, &dataset(), &table, &open, files).await.unwrap();
    assert_eq!(read(&reading, &table).await[0].num_columns(), 1);
    let shut = ["ssn".to_owned()];
    let reading = Reading::prepare(&store, &stranger, &dataset(), &table, &shut, files).await.unwrap();
    assert_eq!(reading.rows(&files[0]).await.err().unwrap().kind(), Kind::Denied);
}

#[tokio::test]
async fn rows_that_are_sealed_again_read_the_same_in_a_version_that_replaces_the_first() {
    let (store, keyring) = (Scripted::new([]).store(), keyring().await);
    let table = published(&store, &keyring).await;
    let columns = ["id".to_owned(), "ssn".to_owned()];
    let reading =
        Reading::prepare(&store, &keyring, &dataset(), &table, &columns, &table.files).await.unwrap();
    let before = read(&reading, &table).await;

    let file = &table.files[0];
    let (encrypted, open) = (reading.encrypted(file).await.unwrap(), BTreeSet::from(["id".to_owned()]));
    let rows = reading.rows(file).await.unwrap();
    let sealed = Sealed::again(&dataset(), reading.schema().clone(), &encrypted, open, rows, &keyring).await;
    let files = write(sealed.unwrap(), &store, &Parquet::default(), &[], 1 << 30).await.unwrap();
    let rewrite = Rewrite {
        read_version: Some(0),
        replaced: vec![file.path.clone()],
        changes_rows: false,
        carried: 20_000,
    };
    let change = Change {
        dataset: &dataset(),
        schema: reading.schema(),
        open: &["id".into()],
        partition_by: &[],
        order: crate::publish::Order::Any,
        effect: Effect::Rewrite(&rewrite),
        provenance: &provenance("run-2"),
    };
    let outcome = commit(&store, files.clone(), &change).await.unwrap();
    assert_eq!((outcome.version, outcome.rows), (1, 0), "no row is new");
    let table = Table::load(&store, &dataset(), None).await.unwrap().unwrap();
    assert_eq!(table.files.len(), 1);
    let reading =
        Reading::prepare(&store, &keyring, &dataset(), &table, &columns, &table.files).await.unwrap();
    assert_eq!(reading.encrypted(&table.files[0]).await.unwrap(), encrypted);
    assert_eq!(read(&reading, &table).await, before);

    // The file is gone: to replace it once more is a conflict.
    let error = commit(&store, files, &change).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
}
