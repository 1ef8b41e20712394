use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field};
use bytes::Bytes;
use futures::StreamExt as _;
use object_store::ObjectStoreExt as _;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};

use super::encoder::{OPEN_FILES, PARTS_IN_FLIGHT};
use super::*;
use crate::error::Kind;
use crate::keys::{self, Keyring};
use crate::publish::fixture::*;
use crate::publish::path::aad_prefix;
use crate::publish::scripted::Scripted;
use crate::spec::pipeline::Compression;

const PLAIN: Parquet =
    Parquet { compression: Compression::Uncompressed, row_group_rows: 1 << 20, file_size_bytes: 512 << 20 };

async fn bytes(store: &Store, file: &File) -> Bytes {
    let path = ObjectPath::existing(&dataset(), &file.path).unwrap().location();
    store.objects().get(&path).await.unwrap().bytes().await.unwrap()
}

fn metadata(bytes: &Bytes) -> ParquetMetaData {
    ParquetMetaDataReader::new().parse_and_finish(bytes).unwrap()
}

/// The data key of a column of a file; `None` where it is not encrypted.
async fn data_key(keyring: &Keyring, column: &ColumnChunkMetaData) -> Option<Vec<u8>> {
    let Some(ColumnCryptoMetaData::ENCRYPTION_WITH_COLUMN_KEY(with)) = column.crypto_metadata() else {
        return None;
    };
    let material = with.key_metadata.as_ref().unwrap();
    let dataset_key = keyring.by_id(&keys::material::master_key_id(material).unwrap()).await.unwrap();
    Some(keys::material::unwrap(material, &dataset_key).unwrap().expose().to_vec())
}

/// Rows read with the data keys, expecting the file at its place.
async fn decrypted(keyring: &Keyring, bytes: Bytes, prefix: &[u8]) -> parquet::errors::Result<usize> {
    let plain = metadata(&bytes);
    let mut properties = None;
    for column in plain.row_group(0).columns() {
        let Some(key) = data_key(keyring, column).await else { continue };
        let builder = properties.take().unwrap_or_else(|| {
            // The footer is plain; its key only checks the signature, which needs the footer key.
            FileDecryptionProperties::builder(vec![0; 32])
                .disable_footer_signature_verification()
                .with_aad_prefix(prefix.to_vec())
        });
        properties = Some(builder.with_column_key(&column.column_path().string(), key));
    }
    let options = ArrowReaderOptions::new()
        .with_file_decryption_properties(properties.expect("no column is encrypted").build()?);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?.build()?;
    let mut rows = 0;
    for batch in reader {
        rows += batch?.num_rows();
    }
    Ok(rows)
}

#[tokio::test]
async fn protected_values_are_in_no_byte_and_open_ones_have_statistics() {
    let store = Scripted::new([]).store();
    let sealed = seal(vec![people(0..100), people(100..150)], &["ssn"]).await;
    let written = write(sealed, &store, &PLAIN, &[], 1 << 30).await.unwrap();
    assert_eq!((written.rows, written.files.len()), (150, 1));
    let file = &written.files[0];
    let bytes = bytes(&store, file).await;
    assert_eq!(written.bytes, bytes.len() as u64);
    assert!(!bytes.windows(4).any(|window| window == b"ssn-"), "a protected value in the clear");
    assert_eq!(
        file.stats,
        r#"{"numRecords":150,"minValues":{"id":0},"maxValues":{"id":149},"nullCount":{"id":0}}"#
    );
    let metadata = metadata(&bytes);
    let created_by = metadata.file_metadata().created_by().unwrap();
    assert!(created_by.starts_with("sealift "), "{created_by}");
    assert!(metadata.file_metadata().key_value_metadata().is_none());
}

#[tokio::test]
async fn trap_protected_columns_are_absent_from_delta_statistics() {
    let store = Scripted::new([]).store();
    let value = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
    let nested: ArrayRef =
        Arc::new(StructArray::from(vec![(field("city"), value("Bern")), (field("zip"), value("3000"))]));
    let batch =
        RecordBatch::try_from_iter([("open", value("visible")), ("shut", value("hidden")), ("home", nested)])
            .unwrap();
    // Two layers, each enough alone: the file has no statistics of them, and these are not asked for.
    let open = BTreeSet::from(["open".to_owned(), "home.zip".to_owned()]);
    let asked = format!("{:?}", statistics::Leaf::of(&batch.schema(), &open));
    assert!(asked.contains("zip") && !asked.contains("city") && !asked.contains("shut"), "{asked}");
    for (encrypted, present) in [(&["shut"][..], true), (&["shut", "home"][..], false)] {
        let sealed = seal(vec![batch.clone()], encrypted).await;
        let written = write(sealed, &store, &PLAIN, &[], 1 << 30).await.unwrap();
        let stats = &written.files[0].stats;
        assert!(stats.contains("visible") && !stats.contains("hidden"), "{stats}");
        assert_eq!(stats.contains(r#""home":{"city":"Bern","zip":"3000"}"#), present, "{stats}");
        assert!(!stats.contains("shut"), "not even null counts: {stats}");
        let metadata = metadata(&bytes(&store, &written.files[0]).await);
        for column in metadata.row_group(0).columns() {
            let open = column.column_path().string() == "open";
            assert!(open || column.statistics().is_none() || present, "{}", column.column_path());
        }
    }
}

#[tokio::test]
async fn trap_no_bloom_filter_on_protected_columns() {
    let store = Scripted::new([]).store();
    let sealed = seal(vec![people(0..5_000)], &["ssn"]).await;
    let written = write(sealed, &store, &PLAIN, &[], 1 << 30).await.unwrap();
    let metadata = metadata(&bytes(&store, &written.files[0]).await);
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        assert!(column.bloom_filter_offset().is_none(), "{}", column.column_path());
        assert!(column.column_index_offset().is_none() || column.column_path().string() == "id");
    }
}

#[tokio::test]
async fn trap_aad_prefix_swap_is_refused() {
    let store = Scripted::new([]).store();
    let keyring = keyring().await;
    let mut files = Vec::new();
    for _ in 0..2 {
        let sealed = seal_stream(&keyring, &people(0..0).schema(), vec![Ok(people(0..10))], &["ssn"]).await;
        files.extend(write(sealed, &store, &PLAIN, &[], 1 << 30).await.unwrap().files);
    }
    let first = bytes(&store, &files[0]).await;
    let own = aad_prefix(&dataset(), &files[0].path);
    let others = aad_prefix(&dataset(), &files[1].path);
    assert_eq!(decrypted(&keyring, first.clone(), &own).await.unwrap(), 10);
    assert!(decrypted(&keyring, first, &others).await.is_err(), "a file in another's place was read");
}

#[tokio::test]
async fn every_file_has_keys_of_its_own() {
    let store = Scripted::new([]).store();
    let settings = Parquet { file_size_bytes: 1, ..PLAIN };
    let sealed = seal(vec![people(0..10), people(10..20)], &["ssn"]).await;
    let written = write(sealed, &store, &settings, &[], 1 << 30).await.unwrap();
    assert_eq!(written.files.len(), 2);
    let mut materials = Vec::new();
    for file in &written.files {
        let metadata = metadata(&bytes(&store, file).await);
        materials.push(format!("{:?}", metadata.row_group(0).column(1).crypto_metadata().unwrap()));
    }
    assert_ne!(materials[0], materials[1]);
}

/// The key and the nonce of every module of the encrypted column of a file.
async fn keys_and_nonces(keyring: &Keyring, file: &Bytes) -> Vec<(Vec<u8>, Vec<u8>)> {
    let metadata = metadata(file);
    let mut found = Vec::new();
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let Some(key) = data_key(keyring, column).await else { continue };
        let (start, length) = column.byte_range();
        let (mut at, end) = (usize::try_from(start).unwrap(), usize::try_from(start + length).unwrap());
        while at < end {
            found.push((key.clone(), file[at + 4..at + 16].to_vec()));
            at += 4 + u32::from_le_bytes(*file[at..].first_chunk().unwrap()) as usize;
        }
    }
    found
}

#[tokio::test]
async fn trap_a_retry_with_other_bytes_repeats_no_nonce_of_a_key() {
    let store = Scripted::new([]).store();
    let keyring = keyring().await;
    let mut pairs = Vec::new();
    // A run that is tried again reads the source again: the same rows, and once some that changed meanwhile.
    for rows in [0..5_000, 0..5_000, 1..5_001] {
        let sealed = seal_stream(&keyring, &people(0..0).schema(), vec![Ok(people(rows))], &["ssn"]).await;
        for file in write(sealed, &store, &PLAIN, &[], 1 << 30).await.unwrap().files {
            pairs.extend(keys_and_nonces(&keyring, &bytes(&store, &file).await).await);
        }
    }
    let apart: std::collections::HashSet<_> = pairs.iter().collect();
    assert!(pairs.len() >= 6 && apart.len() == pairs.len(), "{} of {}", apart.len(), pairs.len());
}

/// Tells whether a type has `Debug`, at compile time: the inherent constant hides the trait's.
struct Probe<T>(PhantomData<T>);
trait Otherwise {
    const DEBUG: bool = false;
}
impl<T> Otherwise for Probe<T> {}
impl<T: Debug> Probe<T> {
    const DEBUG: bool = true;
}

#[tokio::test]
async fn trap_properties_debug_prints_keys() {
    let sealed = seal(vec![people(0..1)], &["ssn"]).await;
    let layout = Layout::new(&sealed, &PLAIN, &[]).unwrap();
    // The trap is real: the library prints what it holds, so nothing of ours that holds it prints.
    let printed = format!("{:?}", layout.options("x").unwrap());
    assert!(printed.contains("column_keys"), "the trap is gone: rethink the rule");
    let debugs = [Probe::<Layout>::DEBUG, Probe::<Encoder>::DEBUG, Probe::<upload::Upload>::DEBUG];
    assert_eq!(debugs, [false; 3]);
    let debugs = [Probe::<writer::Writer>::DEBUG, Probe::<flat::Sealing>::DEBUG];
    assert_eq!(debugs, [false; 2]);
    const { assert!(Probe::<Written>::DEBUG, "the probe tells the two apart") };
}

#[tokio::test]
async fn without_an_encrypted_column_the_file_is_plain() {
    let store = Scripted::new([]).store();
    let sealed = seal(vec![people(0..10)], &[]).await;
    let written = write(sealed, &store, &Parquet::default(), &[], 1 << 30).await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes(&store, &written.files[0]).await).unwrap();
    assert_eq!(reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 10);
}

#[tokio::test]
async fn a_fault_of_the_rows_leaves_no_object() {
    let scripted = Scripted::new([]);
    let seen = Arc::clone(&scripted.seen);
    let store = scripted.store();
    // One file finished, one with parts on their way, then the source breaks.
    let mut batches: Vec<_> = (0..6).map(|i| Ok(wide(i * 1_000..(i + 1) * 1_000))).collect();
    let schema = wide(0..0).schema();
    batches.push(Err(Error::data("line 7 is malformed")));
    let sealed = seal_stream(&keyring().await, &schema, batches, &["text"]).await;
    let settings = Parquet { file_size_bytes: 20 << 20, ..PLAIN };
    let error = write(sealed, &store, &settings, &[], 1 << 30).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::Data, "line 7 is malformed"));
    assert!(seen.parts.load(Ordering::SeqCst) > 0, "the test wants parts in flight");
    assert_eq!(objects(&store).await, [""; 0]);
}

/// Rows of 8 KiB that do not compress.
fn wide(ids: std::ops::Range<i64>) -> RecordBatch {
    let text = |id: i64| {
        let digests = (0..128).map(|part: i64| {
            use sha2::Digest as _;
            hex::encode(Sha256::digest([id.to_le_bytes(), part.to_le_bytes()].concat()))
        });
        digests.collect::<String>()
    };
    let texts: StringArray = ids.clone().map(|id| Some(text(id))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let texts: ArrayRef = Arc::new(texts);
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("text", texts, true)]).unwrap()
}

#[tokio::test]
async fn a_file_size_of_terabytes_and_little_memory_are_taken() {
    let store = Scripted::new([]).store();
    let sealed = seal(vec![people(0..100)], &["ssn"]).await;
    let settings = Parquet { file_size_bytes: 4 << 40, ..PLAIN };
    assert_eq!(write(sealed, &store, &settings, &[], 1).await.unwrap().rows, 100);
}

#[tokio::test]
async fn a_full_store_ends_cleanly() {
    let mut scripted = Scripted::new([]);
    scripted.parts_allowed = 1;
    let seen = Arc::clone(&scripted.seen);
    let store = scripted.store();
    let batches: Vec<_> = (0..10).map(|i| wide(i * 500..(i + 1) * 500)).collect();
    let sealed = seal(batches, &["text"]).await;
    // Row groups of 1,000 rows, so that parts leave before the end.
    let settings = Parquet { row_group_rows: 1_000, ..PLAIN };
    let error = write(sealed, &store, &settings, &[], 1 << 30).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.message().contains("the disk is full"), "{error}");
    assert_eq!(seen.aborted.load(Ordering::SeqCst), 1);
    assert_eq!(objects(&store).await, [""; 0]);
}

#[tokio::test]
async fn bytes_leave_in_parts_of_which_few_are_in_flight() {
    let scripted = Scripted::new([]);
    let seen = Arc::clone(&scripted.seen);
    let store = scripted.store();
    let sealed = seal(vec![people(0..400_000)], &["ssn"]).await;
    let settings = Parquet { row_group_rows: 50_000, ..PLAIN };
    let mut layout = Layout::new(&sealed, &settings, &[]).unwrap();
    layout.part_bytes = 64 << 10;
    let written = run(layout, sealed, &store, 1 << 30).await.unwrap();
    let parts = seen.parts.load(Ordering::SeqCst);
    assert!(parts > 20, "{parts} parts of {} bytes", written.bytes);
    assert!(seen.most_in_flight.load(Ordering::SeqCst) <= PARTS_IN_FLIGHT);
    assert_eq!(seen.largest_part.load(Ordering::SeqCst), 64 << 10);
    let stored = bytes(&store, &written.files[0]).await;
    assert_eq!(stored.len() as u64, written.bytes);
    use sha2::Digest as _;
    assert_eq!(hex::encode(Sha256::digest(&stored)), written.files[0].sha256);
}

#[tokio::test]
async fn a_huge_batch_rolls_over_into_files_of_about_the_asked_size() {
    let store = Scripted::new([]).store();
    let sealed = seal(vec![people(0..500_000)], &["ssn"]).await;
    let settings = Parquet { file_size_bytes: 1 << 20, ..PLAIN };
    let written = write(sealed, &store, &settings, &[], 1 << 30).await.unwrap();
    assert!(written.files.len() > 3, "{}", written.files.len());
    assert!(written.files.iter().all(|file| file.bytes < 2 << 20));
    assert_eq!(written.files.iter().map(|file| file.rows).sum::<u64>(), 500_000);
}

#[tokio::test]
async fn a_write_that_is_dropped_removes_its_objects() {
    let store = Scripted::new([]).store();
    // Rows and then silence: the write never ends by itself.
    let rows = futures::stream::iter((0..3).map(|i| Ok(wide(i * 1_000..(i + 1) * 1_000))));
    let taken = Arc::new(tokio::sync::Notify::new());
    let all = Arc::clone(&taken);
    let silence = futures::stream::poll_fn(move |_| {
        all.notify_one();
        std::task::Poll::Pending
    });
    let endless = rows.chain(silence).boxed();
    let endless = seal_batches(&keyring().await, &wide(0..0).schema(), endless, &["text"]).await;
    let settings = Parquet { file_size_bytes: 1 << 20, ..PLAIN };
    tokio::select! {
        _ = write(endless, &store, &settings, &[], 1 << 30) => panic!("the source never ended"),
        () = taken.notified() => {}
    }
    // The thread lets go of the store when it has tidied up. The limit only ends a broken wait.
    let let_go = async {
        while Arc::strong_count(store.objects()) > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), let_go).await.unwrap();
    assert_eq!(objects(&store).await, [""; 0]);
}

#[tokio::test]
async fn partitions_have_folders_odd_values_included() {
    let store = Scripted::new([]).store();
    let odd = [Some("a/b"), None, Some("../x"), Some("ü ö"), Some("a/b"), Some("%2F")];
    let values: ArrayRef = Arc::new(StringArray::from(odd.to_vec()));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
    let batch = RecordBatch::try_from_iter_with_nullable([("k", values, true), ("id", ids, true)]).unwrap();
    let by = ["k".to_owned()];
    let written = write(seal(vec![batch], &["id"]).await, &store, &PLAIN, &by, 1 << 30).await.unwrap();
    assert_eq!((written.files.len(), written.rows), (5, 6));
    let rows_of = |value: Option<&str>| {
        let partition = |file: &&File| file.partition["k"].as_deref() == value;
        written.files.iter().find(partition).unwrap().rows
    };
    assert_eq!((rows_of(Some("a/b")), rows_of(None), rows_of(Some("../x"))), (2, 1, 1));
    for file in &written.files {
        let columns = metadata(&bytes(&store, file).await).file_metadata().schema_descr().num_columns();
        assert_eq!(columns, 1, "the partition column is not in the file");
        assert!(objects(&store).await.contains(&format!("crm/people/{}", file.path)));
    }
    assert!(objects(&store).await.iter().all(|path| path.starts_with("crm/people/k=")));
}

#[tokio::test]
async fn more_partitions_than_open_files_still_hold_every_row() {
    let store = Scripted::new([]).store();
    let count = i64::try_from(OPEN_FILES * 2).unwrap();
    let batches = (0..2).map(|_| people(0..count)).collect();
    let by = ["id".to_owned()];
    let written = write(seal(batches, &["ssn"]).await, &store, &PLAIN, &by, 1 << 30).await.unwrap();
    assert_eq!(written.rows, u64::try_from(count).unwrap() * 2);
    assert_eq!(written.files.iter().map(|file| file.rows).sum::<u64>(), written.rows);
}

#[tokio::test]
async fn partition_columns_that_would_lose_or_leak_values_are_refused() {
    let store = Scripted::new([]).store();
    let empty: ArrayRef = Arc::new(StringArray::from(vec![""]));
    let amount: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    let batch = RecordBatch::try_from_iter([("k", empty), ("x", amount)]).unwrap();
    for (by, encrypted, kind) in [
        ("k", "x", Kind::Data),
        ("x", "", Kind::Invalid),
        ("k", "k", Kind::Held),
        ("none", "", Kind::Invalid),
    ] {
        let sealed = seal(vec![batch.clone()], &[encrypted]).await;
        let error = write(sealed, &store, &PLAIN, &[by.to_owned()], 1 << 30).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{by}: {error}");
    }
    assert_eq!(objects(&store).await, [""; 0]);
}

#[tokio::test]
async fn statistics_bound_every_value() {
    let store = Scripted::new([]).store();
    let long = format!("{}é{}", "m".repeat(63), "z".repeat(600));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("\u{10ffff}"), None, Some(long.as_str())]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.0, 2.0]));
    let decimals = Decimal128Array::from(vec![Some(-12_345_678_901_234_567_890), Some(5), None]);
    let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(38, 3).unwrap());
    let batch = RecordBatch::try_from_iter([("t", texts), ("f", floats), ("d", decimals)]).unwrap();
    let written = write(seal(vec![batch], &[]).await, &store, &PLAIN, &[], 1 << 30).await.unwrap();
    let text = &written.files[0].stats;
    assert!(text.contains(r#""d":-12345678901234567.890"#), "{text}");
    assert!(text.contains(r#""d":0.005"#), "{text}");
    let stats: serde_json::Value = serde_json::from_str(text).unwrap();
    assert!(stats["minValues"]["t"].as_str().unwrap() <= long.as_str());
    assert!(stats["maxValues"]["t"].as_str().unwrap() >= "\u{10ffff}");
    assert!(stats["minValues"].get("f").is_none() && stats["maxValues"].get("f").is_none(), "{text}");
    assert_eq!(stats["nullCount"], serde_json::json!({"t": 1, "f": 0, "d": 1}));
}
