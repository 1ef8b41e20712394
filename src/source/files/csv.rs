//! Delimited text files as one relation.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::crew;
use super::cuts::{Cuts, Part, Section};
use super::decode::{Decoder, Target};
use super::header;
use super::infer::Guess;
use super::paths::Input;
use super::records::{Records, Rows};
use super::stream::Outlet;
use crate::error::{Error, Result};
use crate::source::convert::arrow_type;
use crate::source::{Carried, Column, Shape};
use crate::spec::pipeline::{ColumnType, Csv, FileSet};

/// Bytes that one thread reads at a time, and the least that another is started for.
const CHUNK_BYTES: u64 = 8 << 20;

/// Files, and how they are written and read.
pub(super) struct Source<'a> {
    pub(super) inputs: &'a [Input],
    /// One for each of the inputs.
    pub(super) cuts: &'a [Cuts],
    pub(super) csv: &'a Csv,
    pub(super) set: &'a FileSet,
    /// How many threads read.
    threads: usize,
}

/// What the files of one stream have in common.
struct Layout {
    names: Vec<String>,
    /// The file the names were taken from.
    first: String,
}

/// What to know of the files to read them in parts. It is filled by the first who reads them, and spares
/// the next.
pub(super) fn cuts(inputs: &[Input], csv: &Csv) -> Arc<[Cuts]> {
    inputs.iter().map(|input| Cuts::new(input, csv.quote, CHUNK_BYTES)).collect()
}

impl<'a> Source<'a> {
    pub(super) fn new(inputs: &'a [Input], cuts: &'a [Cuts], csv: &'a Csv, set: &'a FileSet) -> Self {
        let bytes: u64 = inputs.iter().map(|input| input.stamp.size_bytes).sum();
        let tasks = usize::try_from(bytes / CHUNK_BYTES).unwrap_or(usize::MAX);
        Self { inputs, cuts, csv, set, threads: crew::threads(tasks) }
    }

    /// Columns and size; without declared types every file is read whole.
    ///
    /// # Errors
    /// `Invalid` when options or declared columns do not fit the files; `Data` when a file is malformed.
    pub(super) fn describe(&self, stop: &CancellationToken) -> Result<Shape> {
        let Self { inputs, csv, set, .. } = self;
        let layout = Layout::of(inputs, csv, set)?;
        let bytes = Some(inputs.iter().map(|input| input.stamp.size_bytes).sum());
        if let Some(declared) = &set.schema {
            for input in *inputs {
                let file = input.open()?;
                let section = Section { bytes: 0..input.stamp.size_bytes, line: 1 };
                self.scan(input, &file, section, &layout, |_| Ok(false))?;
            }
            let columns = declared.iter().map(|(name, column_type)| column(name, *column_type)).collect();
            return Ok(Shape { columns, rows: None, bytes });
        }
        let width = layout.names.len();
        let seen = self.share(
            &layout,
            || (0, vec![Guess::default(); width]),
            |(rows, guesses): &mut (u64, Vec<Guess>), found| {
                for (index, guess) in guesses.iter_mut().enumerate() {
                    guess.see(found.column(index, 0..found.len()), &csv.null);
                }
                *rows += found.len() as u64;
                if stop.is_cancelled() {
                    return Err(Error::temporary("the scan was given up"));
                }
                Ok(true)
            },
        )?;
        let (mut rows, mut guesses) = (0, vec![Guess::default(); width]);
        for (more, others) in &seen {
            rows += more;
            guesses.iter_mut().zip(others).for_each(|(guess, other)| guess.merge(other));
        }
        let columns =
            layout.names.iter().zip(&guesses).map(|(name, guess)| column(name, guess.verdict())).collect();
        Ok(Shape { columns, rows: Some(rows), bytes })
    }

    /// Reads the given columns of every file.
    ///
    /// # Errors
    /// As [`Self::describe`]; also `Data` when a value is not of its column's type.
    pub(super) fn read(&self, columns: &[Column], outlet: &Outlet) -> Result<()> {
        let Self { inputs, csv, set, .. } = self;
        let layout = Layout::of(inputs, csv, set)?;
        let targets: Vec<_> = columns.iter().map(|column| layout.target(column)).collect::<Result<_>>()?;
        let decoders = self.share(
            &layout,
            || Decoder::new(targets.clone(), &csv.null),
            |decoder, rows| Ok(decoder.push(rows, |batch| outlet.give(batch))? && !outlet.is_closed()),
        )?;
        for mut decoder in decoders {
            if let Some(batch) = decoder.finish()?
                && !outlet.give(batch)
            {
                break;
            }
        }
        Ok(())
    }

    /// Visits all rows, each thread with a state of its own. All ends when a visitor answers false.
    fn share<S: Send>(
        &self,
        layout: &Layout,
        state: impl Fn() -> S + Sync,
        visit: impl Fn(&mut S, &Rows<'_>) -> Result<bool> + Sync,
    ) -> Result<Vec<S>> {
        // The number of the first section of each file.
        let mut total = 0;
        let mut firsts = Vec::with_capacity(self.cuts.len());
        for cuts in self.cuts {
            firsts.push(total);
            total += cuts.len();
        }
        crew::share(self.threads, total, state, |state, index| {
            let file_index = firsts.partition_point(|first| *first <= index) - 1;
            let input = &self.inputs[file_index];
            let (file, section) = self.cuts[file_index].open(input, index - firsts[file_index])?;
            self.scan(input, &file, section, layout, |rows| visit(state, rows))
        })
    }

    /// Visits the rows of a section until the visitor answers false, which is then the answer; checks
    /// header and field counts, and in the end that the file is still what it was.
    fn scan(
        &self,
        input: &Input,
        file: &File,
        section: Section,
        layout: &Layout,
        visit: impl FnMut(&Rows<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let outcome = scan_open(file, input, self.csv, section, layout, visit);
        // First, because half a line of a file still being written reads as malformed.
        input.unchanged(file)?;
        outcome
    }
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

fn records<R: Read>(reader: R, input: &Input, csv: &Csv) -> Records<R> {
    Records::new(reader, &input.name, csv.delimiter, csv.quote)
}

/// Reads the header line.
fn header_line(records: &mut Records<impl Read>, input: &Input) -> Result<Vec<String>> {
    let Some(record) = records.next()? else {
        return Err(Error::data(format!("{} is empty: it has no header line", input.name))
            .help("set `header: false` and declare a schema if the files have no header"));
    };
    Ok((0..record.len()).map(|index| record.field(index).text().to_owned()).collect())
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

fn scan_open(
    file: &File,
    input: &Input,
    csv: &Csv,
    section: Section,
    layout: &Layout,
    mut visit: impl FnMut(&Rows<'_>) -> Result<bool>,
) -> Result<bool> {
    let is_first = section.bytes.start == 0;
    let mut records = records(Part::new(file, section.bytes), input, csv);
    if !is_first {
        records = records.starting_at_line(section.line);
    } else if csv.header && header_line(&mut records, input)? != layout.names {
        return Err(Error::data(format!(
            "the header of {} is not that of {}: the same columns in the same order are expected",
            input.name, layout.first
        ))
        .help("read files of different columns as streams of their own"));
    }
    while let Some(rows) = records.rows(layout.names.len())? {
        if !visit(&rows)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
