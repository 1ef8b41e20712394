//! Parquet files as one relation.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{ArrowNativeType, DataType, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::carry::carried;
use super::paths::Input;
use super::stream::Outlet;
use crate::error::{Error, Result};
use crate::source::{BATCH_BYTES, BATCH_ROWS, Carried, Column, Shape};

/// Rows of a file's first batch: what they take says how many the next may hold.
const PROBE_ROWS: usize = 64;

/// Columns and size, from the footers.
///
/// # Errors
/// `Invalid` when the files do not agree on their columns or are encrypted as a whole; `Data` when
/// one is not Parquet.
pub(super) fn describe(inputs: &[Input]) -> Result<Shape> {
    let mut columns: Vec<Column> = Vec::new();
    let mut rows: u64 = 0;
    for (index, input) in inputs.iter().enumerate() {
        let file = input.open()?;
        let metadata = footer(&file, input)?;
        let found = described(&metadata, input)?;
        if index == 0 {
            columns = found;
        } else {
            agree(&mut columns, &found, &inputs[0], input)?;
        }
        rows += u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or_default();
        input.unchanged(&file)?;
    }
    let bytes = Some(inputs.iter().map(|input| input.stamp.size_bytes).sum());
    Ok(Shape { columns, rows: Some(rows), bytes })
}

/// Reads the given columns of every file.
///
/// # Errors
/// As [`describe`]; also `Data` when a file's pages are malformed or a value does not fit.
pub(super) fn read(inputs: &[Input], columns: &[Column], outlet: &Outlet) -> Result<()> {
    let fields = columns
        .iter()
        .map(|column| {
            column.field().ok_or_else(|| {
                Error::invalid(format!("column `{}` cannot be carried and cannot be read", column.name))
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    for input in inputs {
        let file = input.open()?;
        let outcome = read_file(&file, input, &schema, outlet);
        input.unchanged(&file)?;
        outcome?;
        if outlet.is_closed() {
            return Ok(());
        }
    }
    Ok(())
}

fn read_file(file: &File, input: &Input, schema: &SchemaRef, outlet: &Outlet) -> Result<()> {
    let metadata = footer(file, input)?;
    let mut roots = Vec::new();
    for field in schema.fields() {
        let index = metadata.schema().fields().iter().position(|other| other.name() == field.name());
        roots.push(
            index
                .ok_or_else(|| Error::invalid(format!("{} has no column `{}`", input.name, field.name())))?,
        );
    }
    let rows = usize::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or_default();
    let (mut done, mut size) = (0, PROBE_ROWS);
    while done < rows {
        let mut reader = open_reader(file, input, &metadata, &roots, done, size)?;
        // Read on until what the rows take asks for another size.
        loop {
            let Some(item) = reader.next() else {
                return if done == rows {
                    Ok(())
                } else {
                    Err(malformed(input, "holds fewer rows than it says"))
                };
            };
            let batch = item.map_err(|_| malformed(input, "holds a page that cannot be decoded"))?;
            let batch = conform(&batch, schema, input)?;
            done += batch.num_rows();
            let fitting = fitting_rows(&batch);
            if !give(batch, outlet) {
                return Ok(());
            }
            // Opening anew costs a search for the row, so a small difference is let be.
            if fitting < size / 2 || (fitting > size * 4 && size < BATCH_ROWS) {
                size = fitting;
                break;
            }
        }
    }
    Ok(())
}

fn open_reader(
    file: &File,
    input: &Input,
    metadata: &ArrowReaderMetadata,
    roots: &[usize],
    offset: usize,
    size: usize,
) -> Result<ParquetRecordBatchReader> {
    let file = file.try_clone().map_err(|cause| super::paths::unreadable(input.name.as_ref(), &cause))?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
        .with_projection(mask)
        .with_offset(offset)
        .with_batch_size(size)
        .build()
        .map_err(|error| unreadable(input, &error))
}

/// How many rows like these make a batch within the bounds.
fn fitting_rows(batch: &RecordBatch) -> usize {
    let fitting = BATCH_BYTES.saturating_mul(batch.num_rows()) / batch_bytes(batch).max(1);
    fitting.clamp(1, BATCH_ROWS)
}

fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(slice_bytes).sum()
}

/// Bytes of the rows an array shows; Arrow's own count takes all elements of a sliced list.
fn slice_bytes(array: &ArrayRef) -> usize {
    let elements = |offsets: &[i32], values: ArrayRef| {
        let first = offsets.first().map_or(0, |offset| offset.as_usize());
        let last = offsets.last().map_or(0, |offset| offset.as_usize());
        size_of_val(offsets) + slice_bytes(&values.slice(first, last - first))
    };
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            elements(list.value_offsets(), Arc::clone(list.values()))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            elements(map.value_offsets(), Arc::new(map.entries().clone()))
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(slice_bytes).sum(),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

/// Hands a batch over, in halves of halves while it is too big; false when nobody wants more.
fn give(batch: RecordBatch, outlet: &Outlet) -> bool {
    let rows = batch.num_rows();
    if rows <= 1 || batch_bytes(&batch) <= BATCH_BYTES {
        return outlet.give(batch);
    }
    let half = rows / 2;
    give(batch.slice(0, half), outlet) && give(batch.slice(half, rows - half), outlet)
}

/// The batch with the schema's columns in its order and types.
fn conform(batch: &RecordBatch, schema: &SchemaRef, input: &Input) -> Result<RecordBatch> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let array = batch
            .column_by_name(field.name())
            .ok_or_else(|| malformed(input, "does not hold the columns of its footer"))?;
        // Arrow's own message may quote the value that does not fit.
        arrays.push(cast_with_options(array, field.data_type(), &exact).map_err(|_| {
            Error::data(format!(
                "column `{}` holds a value that does not fit the type {} it is carried as",
                field.name(),
                field.data_type()
            ))
            .at(format!("file {}", input.name))
        })?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
        .map_err(|_| malformed(input, "holds NULL in a column that its footer says has none"))
}

fn footer(file: &File, input: &Input) -> Result<ArrowReaderMetadata> {
    let mut head = [0; 4];
    let mut from = file;
    let magic = from.seek(SeekFrom::Start(0)).and_then(|_| from.read_exact(&mut head));
    if magic.is_ok() && &head == b"PARE" {
        return Err(Error::invalid(format!("{} is an encrypted Parquet file", input.name))
            .help("sealift reads files that are not encrypted: decrypt it where its keys are"));
    }
    if magic.is_err() || &head != b"PAR1" {
        return Err(malformed(input, "is not a Parquet file"));
    }
    ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).map_err(|error| unreadable(input, &error))
}

/// The columns of one file.
fn described(metadata: &ArrowReaderMetadata, input: &Input) -> Result<Vec<Column>> {
    let sealed = encrypted_roots(metadata);
    let mut names = BTreeSet::new();
    let mut columns = Vec::new();
    for (root, field) in metadata.schema().fields().iter().enumerate() {
        if !names.insert(field.name()) {
            return Err(malformed(input, &format!("has two columns named `{}`", field.name())));
        }
        let carried = match carried(field.data_type()) {
            _ if sealed.contains(&root) => Carried::Refused {
                remedy: "the column is encrypted in the file: decrypt it where its keys are, or leave it out"
                    .to_owned(),
            },
            Ok(data_type) => Carried::Exact(data_type),
            Err(remedy) => Carried::Refused { remedy },
        };
        columns.push(Column {
            name: field.name().clone(),
            source_type: field.data_type().to_string(),
            nullable: field.is_nullable(),
            carried,
        });
    }
    Ok(columns)
}

/// Top-level columns with an encrypted leaf.
fn encrypted_roots(metadata: &ArrowReaderMetadata) -> BTreeSet<usize> {
    let leaves = metadata.parquet_schema();
    let groups = metadata.metadata().row_groups().iter();
    groups
        .flat_map(|group| group.columns().iter().enumerate())
        .filter(|(_, chunk)| chunk.crypto_metadata().is_some())
        .map(|(leaf, _)| leaves.get_column_root_idx(leaf))
        .collect()
}

/// Checks that a further file has the same columns; a column is nullable where any file's is.
fn agree(columns: &mut [Column], found: &[Column], first: &Input, input: &Input) -> Result<()> {
    let differ = |what: String| {
        Error::invalid(format!("{} and {} do not agree: {what}", first.name, input.name))
            .help("read files of different columns as streams of their own")
    };
    for (index, column) in columns.iter_mut().enumerate() {
        match found.get(index) {
            None => return Err(differ(format!("column `{}` is missing in the second", column.name))),
            Some(other) if other.name != column.name => {
                let (name, other) = (&column.name, &other.name);
                return Err(differ(format!(
                    "column {} is `{name}` in one and `{other}` in the other",
                    index + 1
                )));
            }
            Some(other) if other.carried != column.carried => {
                let (name, one, two) = (&column.name, &column.source_type, &other.source_type);
                return Err(differ(format!("column `{name}` is {one} in one and {two} in the other")));
            }
            Some(other) => column.nullable |= other.nullable,
        }
    }
    match found.get(columns.len()) {
        Some(extra) => Err(differ(format!("column `{}` is in the second only", extra.name))),
        None => Ok(()),
    }
}

fn malformed(input: &Input, what: &str) -> Error {
    Error::data(format!("{} {what}", input.name)).help("the file is damaged or incomplete: write it again")
}

/// Parquet's messages may quote what they stumble over, so only their kind is told.
fn unreadable(input: &Input, error: &ParquetError) -> Error {
    match error {
        ParquetError::NYI(_) => {
            Error::invalid(format!("{} uses a Parquet feature that is not supported", input.name))
        }
        ParquetError::EOF(_) => malformed(input, "is a Parquet file that is cut off"),
        _ => malformed(input, "is not a readable Parquet file"),
    }
}
