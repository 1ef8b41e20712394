//! Encrypted files of other writers (`tests/fixtures/parquet-testing`, by parquet-java): those in our mode are read,
//! and what does not fit is refused.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::encryption::decrypt::FileDecryptionProperties;

use crate::keys::material;

/// The AAD prefix of the file that does not store it.
const PREFIX: &[u8] = b"tester";
/// The columns in the order of their keys; files with keys of 16 bytes encrypt the first two.
const COLUMNS: [&str; 8] = [
    "double_field",
    "float_field",
    "boolean_field",
    "int32_field",
    "ba_field",
    "flba_field",
    "int64_field.list.element",
    "int96_field",
];

macro_rules! file {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!(
            "../../../tests/fixtures/parquet-testing/",
            $name,
            ".parquet.encrypted"
        )))
    };
}

/// A published key: digits in ASCII that count up from `first`, the last of which is `last`.
fn key(first: u8, last: u8, length: usize) -> Vec<u8> {
    let mut key: Vec<u8> = (0..length).map(|at| b'0' + (first + u8::try_from(at).unwrap()) % 10).collect();
    key[length - 1] = b'0' + last;
    key
}

fn read(
    file: &Bytes,
    length: usize,
    columns: usize,
    prefix: Option<&[u8]>,
) -> Result<Vec<RecordBatch>, String> {
    let mut keys = FileDecryptionProperties::builder(key(0, if length == 16 { 5 } else { 1 }, length));
    for (name, number) in COLUMNS.iter().zip(0..).take(columns) {
        let last = if length == 16 { number } else { number + 2 };
        keys = keys.with_column_key(name, key(1, last, length));
    }
    if let Some(prefix) = prefix {
        keys = keys.with_aad_prefix(prefix.to_vec());
    }
    let options = ArrowReaderOptions::new().with_file_decryption_properties(keys.build().map_err(told)?);
    let reader =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).map_err(told)?;
    reader.build().map_err(told)?.map(|batch| batch.map_err(|error| error.to_string())).collect()
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The values that every one of these files holds.
#[track_caller]
fn holds_the_values(batches: &[RecordBatch]) {
    let mut row = 0_i32;
    for batch in batches {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let (doubles, floats) = (column("double_field"), column("float_field"));
        let (doubles, floats) = (doubles.as_primitive::<Float64Type>(), floats.as_primitive::<Float32Type>());
        let flags = column("boolean_field").as_boolean();
        let numbers = column("int32_field");
        for at in 0..batch.num_rows() {
            assert!((doubles.value(at) - f64::from(row) * 1.111_111_1).abs() < 1e-9, "row {row}");
            assert!((floats.value(at) - row as f32 * 1.1).abs() < 1e-4, "row {row}");
            assert_eq!(flags.value(at), row % 2 == 0, "row {row}");
            row += 1;
        }
        assert_eq!(numbers.len(), batch.num_rows());
        let _ = numbers.as_primitive_opt::<Int32Type>();
    }
    assert!(row >= 50, "{row} rows");
}

#[test]
fn files_in_our_mode_are_read() {
    let plain = file!("aes256_encrypt_columns_plaintext_footer");
    holds_the_values(&read(&plain, 32, 8, None).unwrap());
    holds_the_values(&read(&file!("aes256_encrypt_columns_and_footer"), 32, 8, None).unwrap());
    holds_the_values(&read(&file!("aes256_uniform_encryption"), 32, 0, None).unwrap());
    holds_the_values(&read(&file!("encrypt_columns_plaintext_footer"), 16, 2, None).unwrap());
}

#[test]
fn an_aad_prefix_that_is_not_stored_has_to_be_known() {
    let file = file!("aes256_encrypt_columns_and_footer_disable_aad_storage");
    holds_the_values(&read(&file, 32, 8, Some(PREFIX)).unwrap());
    assert!(read(&file, 32, 8, None).is_err());
    assert!(read(&file, 32, 8, Some(b"crm.people/part-1.parquet")).is_err());
}

#[test]
fn the_other_mode_and_altered_files_are_refused() {
    let error = read(&file!("aes256_encrypt_columns_and_footer_ctr"), 32, 8, None).unwrap_err();
    assert!(error.contains("AES_GCM_CTR_V1"), "{error}");
    let plain = file!("aes256_encrypt_columns_plaintext_footer");
    // Between chunks and footer lie page indexes, which nobody asks for here.
    let length: [u8; 4] = plain[plain.len() - 8..plain.len() - 4].try_into().unwrap();
    let footer = plain.len() - 8 - usize::try_from(u32::from_le_bytes(length)).unwrap();
    for at in (4..4_000).step_by(97).chain((footer..plain.len() - 8).step_by(97)) {
        let mut altered = plain.to_vec();
        altered[at] ^= 1;
        assert!(read(&Bytes::from(altered), 32, 8, None).is_err(), "byte {at}");
    }
}

#[test]
fn their_key_metadata_is_not_taken_for_ours() {
    for foreign in [&b"kf"[..], b"kc1", b"", b"{}"] {
        assert!(material::master_key_id(foreign).is_err());
    }
}
