use std::collections::BTreeSet;

use arrow::array::{AsArray as _, RecordBatch};
use futures::TryStreamExt as _;

use super::*;
use crate::error::Kind;
use crate::protect::Sealed;
use crate::publish::fixture::{commit_sealed, dataset, keyring, people, provenance, seal_stream};
use crate::publish::scripted::Scripted;
use crate::publish::{Change, Effect, Evolution, Mode, Rewrite, commit, write};
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
        evolution: &Evolution::default(),
        provenance: &provenance("run-2"),
        signer: &crate::keys::Signer::for_tests(),
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

/// What reading everything of a table's only file answers, once these bytes lie in its place.
async fn with_bytes(store: &Store, keyring: &Keyring, table: &Table, bytes: Vec<u8>) -> Result<usize> {
    let mut file = table.files[0].clone();
    file.bytes = bytes.len() as u64;
    let location = ObjectPath::existing(&dataset(), &file.path).unwrap().location();
    object_store::ObjectStoreExt::put(store.objects(), &location, bytes.into()).await.unwrap();
    let columns = ["id".to_owned(), "ssn".to_owned()];
    let files = std::slice::from_ref(&file);
    let reading = Reading::prepare(store, keyring, &dataset(), table, &columns, files).await?;
    let batches: Vec<RecordBatch> = reading.rows(&file).await?.try_collect().await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

async fn bytes_of(store: &Store, table: &Table) -> Vec<u8> {
    let location = ObjectPath::existing(&dataset(), &table.files[0].path).unwrap().location();
    let got = object_store::ObjectStoreExt::get(store.objects(), &location).await.unwrap();
    got.bytes().await.unwrap().to_vec()
}

/// The file of an older version has the keys of the newer one and is signed like it, but another place.
#[tokio::test]
async fn trap_a_swapped_or_rolled_back_file_is_refused() {
    let (store, keyring) = (Scripted::new([]).store(), keyring().await);
    let older = published(&store, &keyring).await;
    let before = bytes_of(&store, &older).await;
    let table = published(&store, &keyring).await;
    assert_ne!(table.files[0].path, older.files[0].path);
    let own = bytes_of(&store, &table).await;
    let error = with_bytes(&store, &keyring, &table, before).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    // Each in its own place reads: it is the place that was wrong.
    assert_eq!(with_bytes(&store, &keyring, &table, own).await.unwrap(), 20_000);
}

/// A column's chunk of another file of the same rows, in the place of this one's.
#[tokio::test]
async fn trap_a_swapped_column_is_refused() {
    let (store, keyring) = (Scripted::new([]).store(), keyring().await);
    let table = published(&store, &keyring).await;
    let own = bytes_of(&store, &table).await;
    let other = published(&store, &keyring).await;
    let theirs = bytes_of(&store, &other).await;
    let chunk = |bytes: &[u8]| {
        let reader = parquet::file::metadata::ParquetMetaDataReader::new();
        let metadata = reader.parse_and_finish(&bytes::Bytes::copy_from_slice(bytes)).unwrap();
        let (start, length) = metadata.row_group(0).column(1).byte_range();
        usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()
    };
    let (ours, foreign) = (chunk(&own), chunk(&theirs));
    assert_eq!(ours, foreign, "the same rows lie in the same places");
    let mut swapped = own.clone();
    swapped[ours].copy_from_slice(&theirs[foreign]);
    let error = with_bytes(&store, &keyring, &table, swapped).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert_eq!(with_bytes(&store, &keyring, &table, own).await.unwrap(), 20_000);
}
