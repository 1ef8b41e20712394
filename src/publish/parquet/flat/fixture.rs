//! Made-up columns of every kind, and files of them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal32Array, Decimal64Array, Decimal128Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    LargeBinaryArray, LargeStringArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::publish::parquet::flat::{Codec, Crew, Plan, Sealing, Settings, Writer};

pub(super) const PREFIX: &[u8] = b"crm.people/part-1.parquet";
pub(super) const FOOTER_KEY: &[u8] = &[7; 32];

/// A key of its own for each column.
pub(super) fn key(column: &str) -> Vec<u8> {
    let mut key = vec![1; 32];
    column.bytes().enumerate().for_each(|(at, byte)| key[at % 32] ^= byte);
    key
}

/// How the values of a column are spread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spread {
    Constant,
    Few,
    Many,
    Rising,
    Runs,
    Extreme,
}

/// Numbers that look random and are the same every time.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 31
    }

    fn one(&mut self, row: usize, spread: Spread) -> i64 {
        let (row, random) = (i64::try_from(row).unwrap(), self.next());
        match spread {
            Spread::Constant => 42,
            Spread::Few => (random % 11).cast_signed() - 5,
            Spread::Many => random.cast_signed() >> 20,
            Spread::Rising => row * 3 + (random % 3).cast_signed(),
            Spread::Runs => row / 37 % 5,
            Spread::Extreme => [i64::MIN, i64::MAX, 0, -1, 1][usize::try_from(random % 5).unwrap()],
        }
    }

    /// A column's numbers; of 100 rows, `nulls` are NULL.
    fn column(&mut self, rows: usize, spread: Spread, nulls: u64) -> Vec<Option<i64>> {
        (0..rows).map(|row| (self.next() % 100 >= nulls).then(|| self.one(row, spread))).collect()
    }
}

fn text(number: i64) -> String {
    match number {
        // Long ones, with characters of several bytes at the cut of statistics.
        i64::MIN => "ü".repeat(40),
        i64::MAX => format!("{}\u{10ffff}", "z".repeat(61)),
        0 => String::new(),
        _ => format!("value {number}")
            [..(6 + number.unsigned_abs() % 20).try_into().unwrap_or(6).min(format!("value {number}").len())]
            .to_owned(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn columns(numbers: &[Option<i64>]) -> Vec<(&'static str, ArrayRef)> {
    let each = || numbers.iter().copied();
    let texts = || each().map(|number| number.map(text));
    let bytes: Vec<_> =
        each().map(|number| number.map(|number| number.to_be_bytes()[3..].to_vec())).collect();
    let bytes = || bytes.iter().map(Option::as_deref);
    let decimal = |precision: u8, modulus: i128| {
        let values = each().map(move |number| number.map(|number| i128::from(number) * 999 % modulus));
        Decimal128Array::from_iter(values).with_precision_and_scale(precision, 2).unwrap()
    };
    vec![
        ("boolean", Arc::new(BooleanArray::from_iter(each().map(|n| n.map(|n| n % 2 == 0))))),
        ("int8", Arc::new(Int8Array::from_iter(each().map(|n| n.map(|n| n as i8))))),
        ("int16", Arc::new(Int16Array::from_iter(each().map(|n| n.map(|n| n as i16))))),
        ("int32", Arc::new(Int32Array::from_iter(each().map(|n| n.map(|n| n as i32))))),
        ("int64", Arc::new(Int64Array::from_iter(each()))),
        (
            "float32",
            Arc::new(Float32Array::from_iter(
                each().map(|n| n.map(|n| if n == 1 { f32::NAN } else { -(n as f32) })),
            )),
        ),
        (
            "float64",
            Arc::new(Float64Array::from_iter(
                each().map(|n| n.map(|n| if n == -1 { f64::NAN } else { n as f64 / 4.0 })),
            )),
        ),
        ("date", Arc::new(Date32Array::from_iter(each().map(|n| n.map(|n| n as i32))))),
        ("local", Arc::new(TimestampMicrosecondArray::from_iter(each()))),
        ("instant", Arc::new(TimestampMicrosecondArray::from_iter(each()).with_timezone("UTC"))),
        ("decimal4", Arc::new(decimal(9, 1_000_000_000))),
        ("decimal8", Arc::new(decimal(15, 1_000_000_000_000_000))),
        ("decimal16", Arc::new(decimal(38, i128::MAX))),
        (
            "decimal32",
            Arc::new(
                Decimal32Array::from_iter(each().map(|n| n.map(|n| n as i32 % 100)))
                    .with_precision_and_scale(2, 0)
                    .unwrap(),
            ),
        ),
        (
            "decimal64",
            Arc::new(
                Decimal64Array::from_iter(each().map(|n| n.map(|n| n % 100_000)))
                    .with_precision_and_scale(5, 1)
                    .unwrap(),
            ),
        ),
        ("text", Arc::new(StringArray::from_iter(texts()))),
        ("large_text", Arc::new(LargeStringArray::from_iter(texts()))),
        ("text_view", Arc::new(StringViewArray::from_iter(texts()))),
        ("binary", Arc::new(BinaryArray::from_iter(bytes()))),
        ("large_binary", Arc::new(LargeBinaryArray::from_iter(bytes()))),
        ("fixed_binary", Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes(), 5).unwrap())),
        (
            "dictionary",
            Arc::new(
                texts()
                    .map(|text| text.map(|text| format!("{text}!")))
                    .collect::<Vec<_>>()
                    .iter()
                    .map(Option::as_deref)
                    .collect::<arrow::array::DictionaryArray<Int32Type>>(),
            ),
        ),
    ]
}

/// A batch with a column of each kind: from the same numbers, once with NULLs and once without.
pub(super) fn batch(numbers: &mut Numbers, rows: usize, spread: Spread, nulls: u64) -> RecordBatch {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for nulls in [Some(nulls), None] {
        let drawn = numbers.column(rows, spread, nulls.unwrap_or(0));
        for (name, array) in columns(&drawn) {
            let name = if nulls.is_some() { name.to_owned() } else { format!("{name}_required") };
            fields.push(Field::new(name, array.data_type().clone(), nulls.is_some()));
            arrays.push(array);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Writes a file; the columns that `encrypted` names are encrypted, and the others open.
pub(super) fn write(
    batches: &[RecordBatch],
    codec: Codec,
    row_group_rows: usize,
    encrypted: &dyn Fn(&str) -> bool,
    helpers: usize,
) -> Bytes {
    let schema = batches[0].schema();
    let settings = Settings {
        open: &|name| !encrypted(name),
        codec,
        row_group_rows,
        row_group_bytes: 128 << 20,
        file_size_bytes: 1 << 20,
    };
    let plan = Arc::new(Plan::of(&schema, settings).unwrap());
    let names: Vec<_> =
        schema.fields().iter().map(|field| field.name()).filter(|name| encrypted(name)).collect();
    let sealing = (!names.is_empty()).then(|| {
        let mut sealing = Sealing::new(PREFIX, FOOTER_KEY, b"footer".to_vec()).unwrap();
        names.iter().for_each(|name| sealing.column(name, &key(name), name.as_bytes().to_vec()).unwrap());
        sealing
    });
    let mut crew = crew(codec, helpers);
    let mut writer = Writer::new(plan, Vec::new(), sealing).unwrap();
    for batch in batches {
        writer.write(batch, &mut crew).unwrap();
    }
    let footer = writer.finish(&mut crew).unwrap();
    ParquetMetaDataReader::decode_metadata(&footer).unwrap();
    Bytes::from(std::mem::take(writer.out_mut()))
}

#[expect(clippy::disallowed_methods, reason = "a crew ends with its test")]
pub(super) fn crew(codec: Codec, helpers: usize) -> Crew {
    Crew::new(codec, helpers, |helper| drop(std::thread::spawn(helper)))
}

pub(super) fn metadata(file: &Bytes) -> ParquetMetaData {
    ParquetMetaDataReader::new().parse_and_finish(file).unwrap()
}

/// Reads a file with the keys of its encrypted columns, as one of this prefix.
pub(super) fn read(
    file: &Bytes,
    prefix: &[u8],
    encrypted: &dyn Fn(&str) -> bool,
) -> parquet::errors::Result<Vec<RecordBatch>> {
    let plain = metadata(file);
    let mut keys = FileDecryptionProperties::builder(FOOTER_KEY.to_vec()).with_aad_prefix(prefix.to_vec());
    let mut options = ArrowReaderOptions::new();
    let names: Vec<_> = plain
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    for name in names.iter().filter(|name| encrypted(name)) {
        keys = keys.with_column_key(name, key(name));
    }
    if names.iter().any(|name| encrypted(name)) {
        options = options.with_file_decryption_properties(keys.build()?);
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options)?.build()?;
    reader.map(|batch| Ok(batch?)).collect()
}

/// The same rows as one batch of the types that files hold.
pub(super) fn as_read(batches: &[RecordBatch]) -> RecordBatch {
    let all = concat_batches(&batches[0].schema(), batches).unwrap();
    let schema = all.schema();
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in schema.fields().iter().zip(all.columns()) {
        let data_type = match field.data_type() {
            DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => DataType::Utf8,
            DataType::LargeBinary => DataType::Binary,
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                DataType::Decimal128(*precision, *scale)
            }
            other => other.clone(),
        };
        arrays.push(arrow::compute::cast(array, &data_type).unwrap());
        fields.push(field.as_ref().clone().with_data_type(data_type));
    }
    RecordBatch::try_new(schema_of(fields), arrays).unwrap()
}

fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}
