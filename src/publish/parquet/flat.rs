//! Our own Parquet encoder, for files of flat columns.
//!
//! Each column of a file has an encoder of its own that turns values into whole pages: encoded,
//! compressed, and encrypted with the column's key. The columns of a batch are worked on side by
//! side; at the end of a row group their chunks are written in the order of the schema. The file's
//! metadata are written here too, since pages and metadata are encrypted under one identity of the
//! file. `docs/tables.md` tells which bytes come out.

mod bitpack;
mod bounds;
mod cipher;
mod codec;
mod column;
mod crew;
mod delta;
mod dictionary;
#[cfg(test)]
mod fixture;
mod footer;
mod levels;
mod number;
mod numbers;
mod page;
mod shape;
#[cfg(test)]
mod tests;
mod texts;
mod thrift;

use std::cmp::Reverse;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::Schema;

use self::cipher::{Cipher, FileAad};
pub(super) use self::codec::Codec;
use self::column::Column;
pub(super) use self::crew::Crew;
use self::crew::Work;
use self::footer::{Groups, Signing};
use self::page::Seal;
use self::shape::Shape;

const MAGIC: &[u8] = b"PAR1";

/// Encrypted modules number row groups in 15 bits; a file with so many should end.
const ROW_GROUPS: usize = 32_000;
/// A file ends when what its end will say of the row groups has grown to this: that is memory too.
const METADATA_BYTES: usize = 4 << 20;

/// Most bytes of rows that are gathered, so that the threads have enough to do at a time.
const GATHERED_BYTES: usize = 8 << 20;

/// Why a file cannot be written. Says nothing of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) &'static str);

/// What is alike in the files of one write.
pub(super) struct Plan {
    shapes: Vec<Arc<Shape>>,
    codec: Codec,
    created_by: String,
    row_group_rows: usize,
    row_group_bytes: usize,
    /// Rows are gathered up to this before the threads set to work.
    gathered_bytes: usize,
}

/// What files of a write should be like.
pub(super) struct Settings<'a> {
    /// Whether the values of a column may be seen.
    pub(super) open: &'a dyn Fn(&str) -> bool,
    pub(super) codec: Codec,
    /// A row group ends at this many rows, or encoded bytes.
    pub(super) row_group_rows: usize,
    pub(super) row_group_bytes: usize,
    /// What a file is to be ended at, by whoever writes it.
    pub(super) file_size_bytes: u64,
}

impl Plan {
    /// A plan for files of this schema, where all its columns are of a kind known here.
    pub(super) fn of(schema: &Schema, settings: Settings<'_>) -> Option<Self> {
        let shapes = Shape::all(schema, settings.open)?;
        if i16::try_from(shapes.len()).is_err() {
            return None;
        }
        let eighth = usize::try_from(settings.file_size_bytes / 8).unwrap_or(usize::MAX);
        Some(Self {
            shapes: shapes.into_iter().map(Arc::new).collect(),
            codec: settings.codec,
            created_by: super::created_by(),
            row_group_rows: settings.row_group_rows,
            row_group_bytes: settings.row_group_bytes,
            gathered_bytes: GATHERED_BYTES.min(eighth),
        })
    }

    /// Most threads that can have something to do; at least one.
    pub(super) fn columns(&self) -> usize {
        self.shapes.len().max(1)
    }

    pub(super) const fn codec(&self) -> Codec {
        self.codec
    }
}

/// The keys of one file. No `Debug`.
pub(super) struct Sealing {
    signing: Signing,
    columns: Vec<(String, Cipher, Vec<u8>)>,
}

impl Sealing {
    /// Keys for a file that is known by `aad_prefix`; the footer's signature has `key`.
    pub(super) fn new(aad_prefix: &[u8], key: &[u8], key_metadata: Vec<u8>) -> Result<Self, Fault> {
        let signing = Signing { cipher: Cipher::new(key)?, aad: FileAad::new(aad_prefix)?, key_metadata };
        Ok(Self { signing, columns: Vec::new() })
    }

    /// Encrypts a column with `key`.
    pub(super) fn column(&mut self, name: &str, key: &[u8], key_metadata: Vec<u8>) -> Result<(), Fault> {
        self.columns.push((name.to_owned(), Cipher::new(key)?, key_metadata));
        Ok(())
    }
}

/// Writes one file. Holds keys: no `Debug`.
pub(super) struct Writer<W> {
    plan: Arc<Plan>,
    out: W,
    written: u64,
    /// One per column of the schema, but for the time it is worked on.
    columns: Vec<Option<Box<Column>>>,
    /// Key metadata of the encrypted columns.
    key_metadata: Vec<Option<Vec<u8>>>,
    signing: Option<Signing>,
    gathered: Vec<RecordBatch>,
    gathered_bytes: usize,
    /// Rows of the row group, gathered ones included.
    group_rows: usize,
    groups: Groups,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub(super) fn new(plan: Arc<Plan>, mut out: W, sealing: Option<Sealing>) -> Result<Self, Fault> {
        let (signing, mut keys) = match sealing {
            Some(sealing) => (Some(sealing.signing), sealing.columns),
            None => (None, Vec::new()),
        };
        let (mut columns, mut key_metadata) = (Vec::new(), Vec::new());
        for (shape, index) in plan.shapes.iter().zip(0..) {
            let key = keys.iter().position(|(name, ..)| *name == shape.name).map(|at| keys.swap_remove(at));
            let (seal, metadata) = match (key, &signing) {
                (Some((_, cipher, metadata)), Some(signing)) => {
                    (Some(Seal { cipher, aad: signing.aad.clone() }), Some(metadata))
                }
                _ => (None, None),
            };
            if seal.is_some() && shape.open {
                return Err(Fault("a column is to be open and encrypted"));
            }
            columns.push(Some(Box::new(Column::new(Arc::clone(shape), index, seal))));
            key_metadata.push(metadata);
        }
        if !keys.is_empty() {
            return Err(Fault("a column to encrypt is not in the file"));
        }
        out.write_all(MAGIC).map_err(|_| SINK)?;
        let written = MAGIC.len() as u64;
        Ok(Self {
            plan,
            out,
            written,
            columns,
            key_metadata,
            signing,
            gathered: Vec::new(),
            gathered_bytes: 0,
            group_rows: 0,
            groups: Groups::default(),
        })
    }

    /// Encodes rows; row groups end where they are full.
    pub(super) fn write(&mut self, batch: &RecordBatch, crew: &mut Crew) -> Result<(), Fault> {
        if batch.num_columns() != self.columns.len() {
            return Err(Fault("a batch does not have the planned columns"));
        }
        let mut start = 0;
        while start < batch.num_rows() {
            let count = (batch.num_rows() - start).min(self.plan.row_group_rows - self.group_rows);
            let rows = batch.slice(start, count);
            self.gathered_bytes += size_bytes(&rows);
            self.gathered.push(rows);
            self.group_rows += count;
            start += count;
            let full = self.group_rows >= self.plan.row_group_rows;
            if full || self.gathered_bytes >= self.plan.gathered_bytes || !crew.has_helpers() {
                self.encode(crew)?;
            }
            if full || self.group_bytes() >= self.plan.row_group_bytes || self.has_many_pages() {
                self.end_group(crew)?;
            }
        }
        Ok(())
    }

    /// Encodes what is gathered.
    fn encode(&mut self, crew: &mut Crew) -> Result<(), Fault> {
        let gathered = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let rows = gathered.iter().map(RecordBatch::num_rows).sum();
        let of = |index: usize| gathered.iter().map(|rows| Arc::clone(rows.column(index))).collect();
        self.work(crew, rows, |index| Work::Append(of(index)))
    }

    fn work(&mut self, crew: &mut Crew, rows: usize, work: impl Fn(usize) -> Work) -> Result<(), Fault> {
        let columns = self.columns.iter_mut().enumerate();
        let mut tasks: Vec<_> =
            columns.filter_map(|(index, column)| Some((index, column.take()?, work(index)))).collect();
        // What takes longest begins first, so that no thread is left alone with it.
        tasks.sort_by_key(|(_, column, _)| Reverse(column.chunk_bytes()));
        let mut result = Ok(());
        for (index, column, done) in crew.run(tasks, rows)? {
            self.columns[index] = Some(column);
            result = result.and(done);
        }
        result
    }

    /// Ends the row group, if it has rows.
    fn end_group(&mut self, crew: &mut Crew) -> Result<(), Fault> {
        if self.group_rows == 0 {
            return Ok(());
        }
        self.encode(crew)?;
        self.work(crew, self.group_rows, |_| Work::EndChunk)?;
        if self.columns.iter().any(Option::is_none) {
            return Err(Fault("a column was lost"));
        }
        let columns = self.columns.iter_mut().map(|column| column.as_deref_mut());
        let columns: Vec<_> = columns
            .zip(&self.key_metadata)
            .filter_map(|(column, metadata)| Some((column?, metadata.as_deref())))
            .collect();
        self.groups.note(columns.into_iter(), self.written, self.group_rows, self.plan.codec.number())?;
        for column in self.columns.iter_mut().flatten() {
            for bytes in [&column.chunk.dictionary, &column.chunk.data] {
                self.out.write_all(bytes).map_err(|_| SINK)?;
                self.written += bytes.len() as u64;
            }
            column.next_chunk()?;
        }
        self.group_rows = 0;
        Ok(())
    }

    /// Ends the row group and gives back all memory that it took.
    pub(super) fn flush(&mut self, crew: &mut Crew) -> Result<(), Fault> {
        self.end_group(crew)?;
        self.columns.iter_mut().flatten().for_each(|column| column.release());
        self.gathered = Vec::new();
        Ok(())
    }

    /// Ends the file; answers its metadata in Thrift.
    pub(super) fn finish(&mut self, crew: &mut Crew) -> Result<Vec<u8>, Fault> {
        self.end_group(crew)?;
        let footer = std::mem::take(&mut self.groups).finish(&self.plan, self.signing.take())?;
        let length =
            u32::try_from(footer.len()).map_err(|_| Fault("the metadata of a file are too large"))?;
        for bytes in [&footer[..], &length.to_le_bytes(), MAGIC] {
            self.out.write_all(bytes).map_err(|_| SINK)?;
        }
        Ok(footer)
    }

    pub(super) const fn out(&self) -> &W {
        &self.out
    }

    pub(super) const fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Bytes of memory that gathered rows and unfinished chunks take.
    pub(super) fn held_bytes(&self) -> usize {
        let columns: usize = self.columns.iter().flatten().map(|column| column.held_bytes()).sum();
        self.gathered_bytes + columns
    }

    fn group_bytes(&self) -> usize {
        self.columns.iter().flatten().map(|column| column.chunk_bytes()).sum()
    }

    /// Whether a chunk has about as many pages as can be counted.
    fn has_many_pages(&self) -> bool {
        self.columns.iter().flatten().any(|column| column.chunk.has_many_pages())
    }

    /// About the bytes of the file, were it ended now.
    pub(super) fn file_bytes(&self) -> u64 {
        self.written + (self.gathered_bytes + self.group_bytes()) as u64
    }

    /// Whether the file should take no more rows, whatever its size.
    pub(super) fn is_full(&self) -> bool {
        self.groups.len() >= ROW_GROUPS || self.groups.held_bytes() >= METADATA_BYTES
    }
}

/// Bytes of the values of these rows, of the buffers they may share with others.
fn size_bytes(rows: &RecordBatch) -> usize {
    let columns = rows.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or_default()).sum()
}

/// The cause is known to whoever gave `out`.
const SINK: Fault = Fault("the file cannot be written on");
