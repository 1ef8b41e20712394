//! Delimited text files as one relation.

use std::fs::File;

use tokio_util::sync::CancellationToken;

use super::decode::{Decoder, Target};
use super::header;
use super::infer::Guess;
use super::paths::Input;
use super::records::{Record, Records};
use super::stream::Outlet;
use crate::error::{Error, Result};
use crate::source::convert::arrow_type;
use crate::source::{Carried, Column, Shape};
use crate::spec::pipeline::{ColumnType, Csv, FileSet};

/// Rows between two looks at whether anybody still waits.
const ROWS_PER_LOOK: u64 = 1 << 14;

/// What the files of one stream have in common.
struct Layout {
    names: Vec<String>,
    /// The file the names were taken from.
    first: String,
}

/// Columns and size; without declared types every file is read whole.
///
/// # Errors
/// `Invalid` when options or declared columns do not fit the files; `Data` when a file is malformed.
pub(super) fn describe(
    inputs: &[Input],
    csv: &Csv,
    set: &FileSet,
    stop: &CancellationToken,
) -> Result<Shape> {
    let layout = Layout::of(inputs, csv, set)?;
    let bytes = Some(inputs.iter().map(|input| input.stamp.size_bytes).sum());
    if let Some(declared) = &set.schema {
        for input in inputs {
            scan(input, csv, &layout, |_| Ok(false))?;
        }
        let columns = declared.iter().map(|(name, column_type)| column(name, *column_type)).collect();
        return Ok(Shape { columns, rows: None, bytes });
    }
    let mut guesses = vec![Guess::default(); layout.names.len()];
    let mut rows = 0;
    for input in inputs {
        scan(input, csv, &layout, |record| {
            for (index, guess) in guesses.iter_mut().enumerate() {
                guess.see(record.field(index), &csv.null);
            }
            rows += 1;
            if rows % ROWS_PER_LOOK == 0 && stop.is_cancelled() {
                return Err(Error::temporary("the scan was given up"));
            }
            Ok(true)
        })?;
    }
    let columns =
        layout.names.iter().zip(&guesses).map(|(name, guess)| column(name, guess.verdict())).collect();
    Ok(Shape { columns, rows: Some(rows), bytes })
}

/// Reads the given columns of every file.
///
/// # Errors
/// As [`describe`]; also `Data` when a value is not of its column's type.
pub(super) fn read(
    inputs: &[Input],
    csv: &Csv,
    set: &FileSet,
    columns: &[Column],
    outlet: &Outlet,
) -> Result<()> {
    let layout = Layout::of(inputs, csv, set)?;
    let targets = columns.iter().map(|column| layout.target(column)).collect::<Result<_>>()?;
    let mut decoder = Decoder::new(targets, &csv.null);
    let mut wanted = true;
    for input in inputs {
        scan(input, csv, &layout, |record| {
            if let Some(batch) = decoder.push(record)? {
                wanted = outlet.give(batch);
            }
            Ok(wanted)
        })?;
        if !wanted || outlet.is_closed() {
            return Ok(());
        }
    }
    if let Some(batch) = decoder.finish()? {
        let _ = outlet.give(batch);
    }
    Ok(())
}

fn column(name: &str, column_type: ColumnType) -> Column {
    Column {
        name: name.to_owned(),
        source_type: column_type.to_string(),
        // A text file promises nothing: the next one may hold a NULL where this one holds none.
        nullable: true,
        carried: Carried::Exact(arrow_type(column_type)),
    }
}

impl Layout {
    /// Names from the first file's header, from the declaration, or counted (`column_1`).
    fn of(inputs: &[Input], csv: &Csv, set: &FileSet) -> Result<Self> {
        check_options(csv)?;
        let declared = set.schema.as_ref().map(|schema| schema.iter().map(|(name, _)| name.clone()));
        let first = inputs.first().map(|input| input.name.clone()).unwrap_or_default();
        if !csv.header {
            let names = match declared {
                Some(names) => names.collect(),
                None => counted(inputs, csv)?,
            };
            return Ok(Self { names, first });
        }
        let Some(input) = inputs.first() else { return Ok(Self { names: Vec::new(), first }) };
        let file = input.open()?;
        let names = header_line(&mut records(&file, input, csv), input)?;
        match declared {
            Some(declared) => check_declared(&declared.collect::<Vec<_>>(), &names, &first)?,
            None => header::check(&names, &csv.null, &first)?,
        }
        Ok(Self { names, first })
    }

    fn target(&self, column: &Column) -> Result<Target> {
        let name = column.name.clone();
        let index = self.names.iter().position(|known| *known == name);
        match (index, column_type(column)) {
            (Some(index), Some(column_type)) => Ok(Target { index, name, column_type }),
            _ => Err(Error::invalid(format!("{} has no column `{name}` of that type", self.first))),
        }
    }
}

/// The text type that a described column is carried as.
fn column_type(column: &Column) -> Option<ColumnType> {
    use arrow::datatypes::{DataType, TimeUnit};
    let Carried::Exact(data_type) = &column.carried else { return None };
    Some(match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int32 => ColumnType::Int32,
        DataType::Int64 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Float64,
        DataType::Decimal128(precision, scale) => ColumnType::Decimal(*precision, *scale),
        DataType::Utf8 => ColumnType::Text,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ColumnType::TimestampTz,
        _ => return None,
    })
}

/// The header must name the declared columns in their order. It is not quoted: where a file has no
/// header after all, its first line is a row.
fn check_declared(declared: &[String], names: &[String], first: &str) -> Result<()> {
    let remedy = "declare every column in the order of the header, or set `header: false` if there is none";
    if let Some(index) = declared.iter().zip(names).position(|(declared, name)| declared != name) {
        let (number, name) = (index + 1, &declared[index]);
        let what =
            format!("column {number} of {first} is declared as `{name}` but its header says otherwise");
        return Err(Error::invalid(what).help(remedy));
    }
    if declared.len() == names.len() {
        return Ok(());
    }
    let (declared, found) = (declared.len(), names.len());
    Err(Error::invalid(format!("{declared} columns are declared but the header of {first} has {found}"))
        .help(remedy))
}

fn check_options(csv: &Csv) -> Result<()> {
    let usable = |byte: u8| byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0);
    if usable(csv.delimiter) && usable(csv.quote) && csv.delimiter != csv.quote {
        return Ok(());
    }
    Err(Error::invalid("delimiter and quote must be two different ASCII characters, and no line ends"))
}

fn records<'a>(file: &'a File, input: &Input, csv: &Csv) -> Records<&'a File> {
    Records::new(file, &input.name, csv.delimiter, csv.quote)
}

/// Reads the header line.
fn header_line(records: &mut Records<&File>, input: &Input) -> Result<Vec<String>> {
    let Some(record) = records.next()? else {
        return Err(Error::data(format!("{} is empty: it has no header line", input.name))
            .help("set `header: false` and declare a schema if the files have no header"));
    };
    Ok((0..record.len()).map(|index| record.field(index).text.to_owned()).collect())
}

/// Names for files without header and declaration, counted on the first line that is not empty.
fn counted(inputs: &[Input], csv: &Csv) -> Result<Vec<String>> {
    let mut only_blank = None;
    for input in inputs {
        let file = input.open()?;
        let mut records = records(&file, input, csv);
        while let Some(record) = records.next()? {
            let names = || (1..=record.len()).map(|number| format!("column_{number}")).collect();
            if !record.is_blank() {
                return Ok(names());
            }
            only_blank.get_or_insert_with(names);
        }
    }
    if let Some(names) = only_blank {
        return Ok(names);
    }
    Err(Error::data("the files are empty and have no header").help("declare the stream's schema"))
}

/// Visits every row of a file until the visitor answers false; checks header and field counts,
/// and in the end that the file is still what it was.
fn scan<V>(input: &Input, csv: &Csv, layout: &Layout, visit: V) -> Result<()>
where
    V: FnMut(&Record<'_>) -> Result<bool>,
{
    let file = input.open()?;
    let outcome = scan_open(&file, input, csv, layout, visit);
    // First, because half a line of a file still being written reads as malformed.
    input.unchanged(&file)?;
    outcome
}

fn scan_open<V>(file: &File, input: &Input, csv: &Csv, layout: &Layout, mut visit: V) -> Result<()>
where
    V: FnMut(&Record<'_>) -> Result<bool>,
{
    let mut records = records(file, input, csv);
    if csv.header && header_line(&mut records, input)? != layout.names {
        return Err(Error::data(format!(
            "the header of {} is not that of {}: the same columns in the same order are expected",
            input.name, layout.first
        ))
        .help("read files of different columns as streams of their own"));
    }
    let width = layout.names.len();
    while let Some(record) = records.next()? {
        // An empty line holds no row, unless a row is a single field.
        if record.is_blank() && width > 1 {
            continue;
        }
        if record.len() != width {
            let (found, plural) = (record.len(), if record.len() == 1 { "" } else { "s" });
            return Err(record
                .fault(format!("the line has {found} field{plural} where {width} are expected"))
                .help("is the delimiter right, and are fields that hold it quoted?"));
        }
        if !visit(&record)? {
            break;
        }
    }
    Ok(())
}
