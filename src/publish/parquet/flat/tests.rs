use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use proptest::prelude::*;

use super::codec::{Compressor, Worth};
use super::fixture::*;
use super::*;

const NONE: &dyn Fn(&str) -> bool = &|_| false;
const ALL: &dyn Fn(&str) -> bool = &|_| true;

fn same(file: &Bytes, batches: &[RecordBatch], encrypted: &dyn Fn(&str) -> bool) {
    let expected = as_read(batches);
    let read = read(file, PREFIX, encrypted).unwrap();
    let schema = read.first().map_or_else(|| expected.schema(), RecordBatch::schema);
    let read = concat_batches(&schema, &read).unwrap();
    assert_eq!(read.num_rows(), expected.num_rows());
    for (field, (read, expected)) in schema.fields().iter().zip(read.columns().iter().zip(expected.columns()))
    {
        assert!(read == expected || alike(read, expected), "{} differs", field.name());
    }
}

/// Equal to the bit: NaN is equal to itself.
fn alike(a: &ArrayRef, b: &ArrayRef) -> bool {
    format!("{a:?}") == format!("{b:?}") && a.to_data().buffers() == b.to_data().buffers()
}

/// The file as the library writes it: statistics and schema are to be the same.
fn theirs(batches: &[RecordBatch], row_group_rows: usize) -> ParquetMetaData {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(row_group_rows))
        .set_statistics_truncate_length(Some(64))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    let options =
        ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    metadata(&Bytes::from(writer.into_inner().unwrap()))
}

fn spreads() -> impl Strategy<Value = Spread> {
    use Spread::{Constant, Extreme, Few, Many, Rising, Runs};
    prop::sample::select(vec![Constant, Few, Many, Rising, Runs, Extreme])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_comes_back(
        seed: u64,
        sizes in prop::collection::vec((0_usize..700, spreads(), prop::sample::select(vec![0_u64, 10, 95, 100])), 1..4),
        row_group_rows in prop::sample::select(vec![1_usize, 90, 333, 1_000, 1 << 20]),
        codec in prop::sample::select(vec![Codec::Uncompressed, Codec::Snappy, Codec::Lz4, Codec::Zstd(1), Codec::Zstd(9)]),
        sealed in prop::sample::select(vec!["", "text", "int", "all"]),
        helpers in 0_usize..3,
    ) {
        let mut numbers = Numbers(seed);
        // A row group of one row is much work: only a few of them.
        let least = if row_group_rows == 1 { 0.05 } else { 1.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a small number")]
        let rows = |rows: usize| (rows as f64 * least) as usize;
        let batches: Vec<_> =
            sizes.iter().map(|(count, spread, nulls)| batch(&mut numbers, rows(*count), *spread, *nulls)).collect();
        let encrypted: &dyn Fn(&str) -> bool = &|name| sealed == "all" || (!sealed.is_empty() && name.contains(sealed));
        let file = write(&batches, codec, row_group_rows, encrypted, helpers);
        same(&file, &batches, encrypted);
        let (ours, theirs) = (metadata(&file), theirs(&batches, row_group_rows));
        prop_assert_eq!(ours.num_row_groups(), theirs.num_row_groups());
        for (ours, theirs) in ours.row_groups().iter().zip(theirs.row_groups()) {
            prop_assert_eq!(ours.num_rows(), theirs.num_rows());
            for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
                let name = ours.column_path().string();
                prop_assert_eq!(ours.statistics(), theirs.statistics().filter(|_| !encrypted(&name)), "{}", name);
            }
        }
    }
}

#[test]
fn the_schema_is_the_librarys() {
    let batches = [batch(&mut Numbers(1), 3, Spread::Few, 50)];
    let file = write(&batches, Codec::Uncompressed, 100, NONE, 0);
    let expected = ArrowSchemaConverter::new().convert(&batches[0].schema()).unwrap();
    assert_eq!(metadata(&file).file_metadata().schema_descr().root_schema(), expected.root_schema());
}

#[test]
fn nested_columns_are_left_to_the_library() {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    for other in [list, DataType::Time64(arrow::datatypes::TimeUnit::Microsecond), DataType::UInt32] {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", other, true)]);
        assert!(Shape::all(&schema, &|_| true).is_none(), "{schema}");
    }
}

#[test]
fn a_decimal_with_more_digits_than_its_type_is_refused_and_not_cut() {
    for (precision, value) in
        [(9, 1_000_000_000), (18, 10_i128.pow(18)), (9, -1_000_000_000), (30, 10_i128.pow(30))]
    {
        let decimals = |value| {
            Decimal128Array::from(vec![Some(value), None]).with_precision_and_scale(precision, 2).unwrap()
        };
        let write = |value| {
            let column: ArrayRef = Arc::new(decimals(value));
            let batch = RecordBatch::try_from_iter_with_nullable([("d", column, true)]).unwrap();
            let settings = Settings {
                open: NONE,
                codec: Codec::Uncompressed,
                file_size_bytes: 1 << 30,
                row_group_rows: 10,
                row_group_bytes: 1 << 20,
            };
            let plan = Arc::new(Plan::of(&batch.schema(), settings).unwrap());
            let mut crew = Crew::alone();
            let mut writer = Writer::new(plan, Vec::new(), None).unwrap();
            writer.write(&batch, &mut crew).and_then(|()| writer.finish(&mut crew))
        };
        assert!(write(value - value.signum()).is_ok(), "decimal({precision},2)");
        assert_eq!(write(value).unwrap_err(), Fault("a decimal has more digits than its type"));
    }
}

#[test]
fn a_first_page_of_null_decides_nothing_of_the_rest() {
    let rising: Int64Array = (0..200_000).map(|row| (row >= 70_000).then_some(row * 1_000)).collect();
    let texts: StringArray = (0..200_000).map(|row| (row >= 70_000).then(|| format!("{row:09}"))).collect();
    let columns: [(&str, ArrayRef, bool); 2] = [("n", Arc::new(rising), true), ("t", Arc::new(texts), true)];
    let batches = [RecordBatch::try_from_iter_with_nullable(columns).unwrap()];
    let file = write(&batches, Codec::Uncompressed, 1 << 20, NONE, 0);
    same(&file, &batches, NONE);
    let metadata = metadata(&file);
    let encodings = |column: usize| metadata.row_group(0).column(column).encodings().collect::<Vec<_>>();
    assert!(encodings(0).contains(&Encoding::DELTA_BINARY_PACKED), "{:?}", encodings(0));
    assert!(encodings(1).contains(&Encoding::DELTA_LENGTH_BYTE_ARRAY), "{:?}", encodings(1));
    assert!(
        !encodings(0).contains(&Encoding::RLE_DICTIONARY)
            && !encodings(1).contains(&Encoding::RLE_DICTIONARY)
    );
}

/// Columns that fill several pages in each of two row groups.
fn large() -> Vec<RecordBatch> {
    const ROWS: i64 = 210_000;
    let mut numbers = Numbers(5);
    let text = |row: i64, odd: u64| {
        (!odd.is_multiple_of(9)).then(|| format!("{} of {row}", "x".repeat((odd % 30) as usize)))
    };
    let few: StringArray =
        (0..ROWS).map(|row| (row % 7 > 0).then(|| format!("country {}", row % 13))).collect();
    let many: StringArray = (0..ROWS).map(|row| text(row, numbers.next())).collect();
    // Begins as if a dictionary would do, and goes on to outgrow it.
    let turning: Int64Array = (0..ROWS)
        .map(|row| Some(if row < 70_000 { row % 5 } else { numbers.next().cast_signed() }))
        .collect();
    let turning_text: StringArray = (0..ROWS)
        .map(|row| {
            Some(if row < 70_000 { format!("{}", row % 5) } else { format!("{:030}", numbers.next()) })
        })
        .collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("few", Arc::new(few)),
        ("many", Arc::new(many)),
        ("turning", Arc::new(turning)),
        ("turning_text", Arc::new(turning_text)),
    ];
    let all =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    (0..6).map(|part| all.slice(part * 35_000, 35_000)).collect()
}

#[test]
fn pages_and_row_groups_follow_each_other() {
    let batches = large();
    for encrypted in [NONE, ALL] {
        let file = write(&batches, Codec::Zstd(1), 200_000, encrypted, 1);
        same(&file, &batches, encrypted);
        let metadata = metadata(&file);
        assert_eq!(metadata.num_row_groups(), 2);
        let chunk = |column: usize| metadata.row_group(0).column(column);
        let encodings = |column: usize| chunk(column).encodings().collect::<Vec<_>>();
        assert_eq!(encodings(0), [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY]);
        assert_eq!(encodings(1), [Encoding::RLE, Encoding::DELTA_LENGTH_BYTE_ARRAY]);
        assert!(
            encodings(2).contains(&Encoding::RLE_DICTIONARY) && encodings(2).len() > 2,
            "{:?}",
            encodings(2)
        );
        assert!(encodings(3).contains(&Encoding::DELTA_LENGTH_BYTE_ARRAY), "{:?}", encodings(3));
        if !encrypted("") {
            let reader = SerializedFileReader::new(file.clone()).unwrap();
            let group = reader.get_row_group(0).unwrap();
            let pages = group.get_column_page_reader(1).unwrap().count();
            assert!(pages > 3, "{pages} pages");
            // A dictionary is bounded, whatever comes.
            let longest = chunk(2).data_page_offset() - chunk(2).dictionary_page_offset().unwrap();
            assert!(usize::try_from(longest).unwrap() < dictionary::LIMIT_BYTES + (64 << 10), "{longest}");
        }
    }
}

#[test]
fn encrypted_columns_show_neither_values_nor_statistics() {
    let secret = |row: usize| format!("secret-{row}");
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..5_000).map(|row| secret(row % 50))));
    let long: ArrayRef = Arc::new(StringArray::from_iter_values((0..5_000).map(secret)));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..5_000).map(|_| 0x5345_4352_4554_2121)));
    let columns = [("few", texts), ("many", long), ("number", numbers)];
    let batches = [RecordBatch::try_from_iter(columns).unwrap()];
    let file = write(&batches, Codec::Uncompressed, 2_000, ALL, 0);
    same(&file, &batches, ALL);
    let seen = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    assert!(!seen(b"secret") && !seen(b"!!TERCES") && !seen(b"SECRET!!"));
    let metadata = metadata(&file);
    for chunk in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        assert!(chunk.statistics().is_none() && chunk.page_encoding_stats_mask().is_none());
        assert!(chunk.crypto_metadata().is_some());
    }
    // The test can see what it looks for.
    let open = write(&batches, Codec::Uncompressed, 2_000, NONE, 0);
    let chunk = fixture::metadata(&open).row_group(0).column(0).clone();
    assert!(chunk.statistics().is_some() && chunk.page_encoding_stats_mask().is_some());
    assert!(open.windows(6).any(|window| window == b"secret"));
}

/// Two row groups of two columns; every chunk of a column has the same length.
fn swappable() -> (Vec<RecordBatch>, Bytes) {
    let batch = |from: i64| {
        let numbers = || -> ArrayRef {
            Arc::new(Int64Array::from_iter_values((0..140_000).map(|row| (row * 7 + from) % 11)))
        };
        RecordBatch::try_from_iter([("a", numbers()), ("b", numbers())]).unwrap()
    };
    let batches = vec![batch(0), batch(1)];
    let file = write(&batches, Codec::Uncompressed, 140_000, ALL, 0);
    (batches, file)
}

fn refused(file: &[u8], what: &str) {
    let read = std::panic::catch_unwind(|| read(&Bytes::copy_from_slice(file), PREFIX, ALL).is_err());
    assert!(read.unwrap_or(true), "{what} was read");
}

#[test]
fn what_is_in_another_place_is_refused() {
    let (batches, file) = swappable();
    same(&file, &batches, ALL);
    assert!(read(&file, b"crm.people/part-2.parquet", ALL).is_err(), "a file in another's place was read");

    let metadata = metadata(&file);
    let range = |group: usize, column: usize| {
        let (start, length) = metadata.row_group(group).column(column).byte_range();
        usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()
    };
    // The same column of another row group: the same key, and another place.
    let (first, second) = (range(0, 0), range(1, 0));
    assert_eq!(first.len(), second.len(), "the test wants chunks that fit each other's place");
    let mut swapped = file.to_vec();
    swapped[first.clone()].copy_from_slice(&file[second.clone()]);
    swapped[second].copy_from_slice(&file[first.clone()]);
    refused(&swapped, "a swapped column chunk");

    // Pages of one chunk: modules of header and page follow each other, lengths first.
    let chunk = &file[first.clone()];
    let mut modules = vec![0];
    while let Some(length) = chunk[modules[modules.len() - 1]..].first_chunk() {
        modules.push(modules[modules.len() - 1] + 4 + u32::from_le_bytes(*length) as usize);
    }
    let page = |index: usize| modules[index * 2]..modules[index * 2 + 2];
    assert_eq!(page(1).len(), page(2).len(), "the test wants two full data pages");
    let mut swapped = file.to_vec();
    swapped[first.clone()][page(1)].copy_from_slice(&chunk[page(2)]);
    swapped[first.clone()][page(2)].copy_from_slice(&chunk[page(1)]);
    refused(&swapped, "a swapped page");

    // The footer is signed.
    let at = file.windows(7).rposition(|window| window == b"sealift").unwrap();
    let mut altered = file.to_vec();
    altered[at] ^= 0x20;
    refused(&altered, "an altered footer");
}

#[test]
fn modules_of_a_file_share_no_nonce() {
    let (_, file) = swappable();
    let metadata = metadata(&file);
    let mut nonces = std::collections::BTreeSet::new();
    let mut modules = 0;
    for group in metadata.row_groups() {
        let (start, length) = group.column(0).byte_range();
        let mut at = usize::try_from(start).unwrap();
        while at < usize::try_from(start + length).unwrap() {
            nonces.insert(file[at + 4..at + 16].to_vec());
            at += 4 + u32::from_le_bytes(*file[at..].first_chunk().unwrap()) as usize;
            modules += 1;
        }
    }
    assert!(modules > 8 && nonces.len() == modules, "{} of {modules}", nonces.len());
}

#[test]
fn bytes_that_do_not_shrink_are_still_zstd() {
    let mut numbers = Numbers(3);
    let mut compressor = Compressor::new(Codec::Zstd(1));
    let mut worth = Worth::default();
    for size in [2 << 20, 0, 1, 128 << 10, (128 << 10) + 1, 300_000] {
        let page: Vec<_> = (0..size).map(|_| numbers.next().to_le_bytes()[0]).collect();
        let packed = compressor.compress(&page, &mut worth).unwrap();
        assert!(packed.len() <= page.len() + 64);
        assert_eq!(zstd::bulk::decompress(packed, size).unwrap(), page);
    }
}

#[test]
fn a_batch_of_other_columns_is_a_fault() {
    let batches = [batch(&mut Numbers(1), 3, Spread::Few, 0)];
    let settings = Settings {
        open: &|_| true,
        codec: Codec::Uncompressed,
        row_group_rows: 10,
        row_group_bytes: 1 << 20,
        file_size_bytes: 1 << 20,
    };
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
    let plan = Arc::new(Plan::of(&schema, settings).unwrap());
    let mut crew = crew(Codec::Uncompressed, 0);
    let mut writer = Writer::new(Arc::clone(&plan), Vec::new(), None).unwrap();
    assert!(writer.write(&batches[0], &mut crew).is_err());
    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let nulls = RecordBatch::try_from_iter([("a", nulls)]).unwrap();
    let mut writer = Writer::new(plan, Vec::new(), None).unwrap();
    assert!(writer.write(&nulls, &mut crew).is_err(), "NULL in a column that has no place for it");
}

#[test]
fn a_crew_whose_threads_never_start_does_all_the_work() {
    let batches = [batch(&mut Numbers(1), 2_000, Spread::Many, 10)];
    let settings = Settings {
        open: &|_| true,
        codec: Codec::Zstd(1),
        row_group_rows: 1_000,
        row_group_bytes: 128 << 20,
        file_size_bytes: 512 << 20,
    };
    let plan = Arc::new(Plan::of(&batches[0].schema(), settings).unwrap());
    let mut crew = Crew::new(Codec::Zstd(1), 3, drop);
    let mut writer = Writer::new(plan, Vec::new(), None).unwrap();
    writer.write(&batches[0], &mut crew).unwrap();
    writer.finish(&mut crew).unwrap();
    same(&Bytes::from(std::mem::take(writer.out_mut())), &batches, NONE);
}

#[test]
fn a_flushed_file_holds_no_memory() {
    let batches = [batch(&mut Numbers(1), 20_000, Spread::Many, 10)];
    let settings = Settings {
        open: &|_| true,
        codec: Codec::Zstd(1),
        row_group_rows: 1 << 20,
        row_group_bytes: 128 << 20,
        file_size_bytes: 512 << 20,
    };
    let plan = Arc::new(Plan::of(&batches[0].schema(), settings).unwrap());
    for helpers in [0, 1] {
        let mut crew = crew(Codec::Zstd(1), helpers);
        let mut writer = Writer::new(Arc::clone(&plan), Vec::new(), None).unwrap();
        // A file that holds memory after this would be asked for it again and again.
        for _ in 0..2 {
            writer.write(&batches[0], &mut crew).unwrap();
            assert!(writer.held_bytes() > 1 << 20, "{}", writer.held_bytes());
            writer.flush(&mut crew).unwrap();
            assert_eq!(writer.held_bytes(), 0);
        }
        writer.finish(&mut crew).unwrap();
        let twice = [batches[0].clone(), batches[0].clone()];
        same(&Bytes::from(std::mem::take(writer.out_mut())), &twice, NONE);
    }
}

#[test]
fn a_key_without_a_column_is_refused() {
    let settings = Settings {
        open: &|name| name == "open",
        codec: Codec::Uncompressed,
        row_group_rows: 10,
        row_group_bytes: 1 << 20,
        file_size_bytes: 1 << 20,
    };
    let schema = Schema::new(vec![
        Field::new("open", DataType::Int64, false),
        Field::new("shut", DataType::Int64, false),
    ]);
    let plan = Arc::new(Plan::of(&schema, settings).unwrap());
    for (name, fits) in [("shut", true), ("other", false), ("open", false)] {
        let mut sealing = Sealing::new(PREFIX, FOOTER_KEY, Vec::new()).unwrap();
        sealing.column(name, &key(name), Vec::new()).unwrap();
        assert_eq!(Writer::new(Arc::clone(&plan), Vec::new(), Some(sealing)).is_ok(), fits, "{name}");
    }
}
