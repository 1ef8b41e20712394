//! Binary COPY to Arrow batches.
//!
//! Bytes arrive in frames, nearly always one row to a frame, but nothing here relies on it: a
//! decoder stops at any byte and goes on with the next frame. Fields are decoded where they lie in
//! the frame; only a field that is cut in two is copied first.

use std::mem;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

use super::column::ColumnBuilder;
use super::fault::malformed;
use super::types::Wire;
use crate::error::{Error, Result};
use crate::source::{BATCH_BYTES, BATCH_ROWS, Column};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flag bits that a reader must understand; the highest two bytes.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// The server cannot make a longer field.
const MAX_FIELD_BYTES: i32 = 1 << 30;
/// Room in a new column before the first batch shows how much is needed.
const FIRST_ROWS: usize = 1024;

/// What a decoder waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Extension(usize),
    Row,
    Field(usize),
    Ended,
}

/// Why decoding paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Everything given has been decoded.
    NeedsBytes,
    /// The batch is full: [`Decoder::take`] it, then go on with what is left.
    Full,
}

/// Turns frames into batches.
pub(super) struct Decoder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    stage: Stage,
    /// The beginning of what was cut off at the end of the last frame.
    carry: Vec<u8>,
    rows: usize,
    batch_bytes: usize,
    row_bytes: usize,
    /// Bytes of the frame that is being fed, where it may come in parts.
    announced_bytes: usize,
    /// Bytes that a row takes at the least, whatever is in it.
    least_row_bytes: usize,
    /// The columns whose values may take more room than their bytes tell, and what they hold.
    growing: Vec<usize>,
    growing_bytes: usize,
}

impl Decoder {
    /// A decoder for columns of these layouts, in this order.
    ///
    /// # Errors
    /// `Failed` when a column is one that is refused.
    pub(super) fn new<'a>(columns: &[Column], wires: impl IntoIterator<Item = &'a Wire>) -> Result<Self> {
        let fields = columns
            .iter()
            .map(|c| c.field().ok_or_else(|| Error::failed(format!("column `{}` cannot be read", c.name))))
            .collect::<Result<Vec<_>>>()?;
        let columns: Vec<_> = columns
            .iter()
            .zip(wires)
            .map(|(c, wire)| ColumnBuilder::new(&c.name, c.nullable, wire, FIRST_ROWS))
            .collect();
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            least_row_bytes: columns.iter().map(ColumnBuilder::width_bytes).sum(),
            growing: (0..columns.len()).filter(|i| columns[*i].grows()).collect(),
            growing_bytes: 0,
            columns,
            stage: Stage::Header,
            carry: Vec::new(),
            rows: 0,
            batch_bytes: 0,
            row_bytes: 0,
            announced_bytes: 0,
        })
    }

    /// Says how long the next frame is, which then may be fed in parts: a row too large for what is
    /// left of a batch begins a new one.
    #[inline]
    pub(super) fn announce(&mut self, frame_bytes: usize) {
        self.announced_bytes = frame_bytes;
    }

    /// Decodes from the front of `frame`, which shrinks by what was taken. Call again after `Full`,
    /// also with an empty frame.
    ///
    /// # Errors
    /// `Data` for a value that is not carried; `Failed` for bytes that are not binary COPY.
    pub(super) fn feed(&mut self, frame: &mut &[u8]) -> Result<Pause> {
        if self.carry.is_empty() {
            let (used, pause) = self.decode(frame)?;
            *frame = &frame[used..];
            if pause == Pause::NeedsBytes {
                self.carry.extend_from_slice(mem::take(frame));
            }
            return Ok(pause);
        }
        let mut carry = mem::take(&mut self.carry);
        carry.extend_from_slice(mem::take(frame));
        let (used, pause) = self.decode(&carry)?;
        carry.drain(..used);
        self.carry = carry;
        Ok(pause)
    }

    /// The rows since the last batch; `None` when there are none.
    ///
    /// # Errors
    /// As [`ColumnBuilder::take`].
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays = self.columns.iter_mut().map(ColumnBuilder::take).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.batch_bytes = 0;
        self.growing_bytes = 0;
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map(Some)
            .map_err(|_| malformed("the columns do not make a batch"))
    }

    /// Ends one COPY, all of whose frames have been fed, and makes ready for another. Its last rows
    /// stay for the next batch.
    ///
    /// # Errors
    /// `Failed` when the stream stopped before its end mark.
    pub(super) fn end_copy(&mut self) -> Result<()> {
        if self.stage != Stage::Ended {
            return Err(malformed("it stops in the middle"));
        }
        self.stage = Stage::Header;
        Ok(())
    }

    /// Decodes as far as the bytes go; gives how many were used.
    fn decode(&mut self, bytes: &[u8]) -> Result<(usize, Pause)> {
        let mut rest = bytes;
        let pause = loop {
            match self.stage {
                Stage::Field(first) => {
                    if !self.decode_fields(first, &mut rest)? {
                        break Pause::NeedsBytes;
                    }
                }
                Stage::Row => {
                    if self.is_full(rest) {
                        break Pause::Full;
                    }
                    let Some((count, after)) = rest.split_first_chunk::<2>() else { break Pause::NeedsBytes };
                    rest = after;
                    self.stage = self.row_start(i16::from_be_bytes(*count))?;
                }
                Stage::Header => {
                    let Some((header, after)) = rest.split_first_chunk::<19>() else {
                        break Pause::NeedsBytes;
                    };
                    rest = after;
                    self.stage = Stage::Extension(extension_bytes(header)?);
                }
                Stage::Extension(length) => {
                    let skipped = length.min(rest.len());
                    rest = &rest[skipped..];
                    self.stage =
                        if skipped == length { Stage::Row } else { Stage::Extension(length - skipped) };
                    if skipped < length {
                        break Pause::NeedsBytes;
                    }
                }
                Stage::Ended if rest.is_empty() => break Pause::NeedsBytes,
                Stage::Ended => return Err(malformed("bytes follow its end mark")),
            }
        };
        Ok((bytes.len() - rest.len(), pause))
    }

    fn row_start(&self, count: i16) -> Result<Stage> {
        match usize::try_from(count) {
            Ok(count) if count == self.columns.len() => Ok(Stage::Field(0)),
            Err(_) if count == -1 => Ok(Stage::Ended),
            _ => Err(malformed("a row has another number of columns than was asked for")),
        }
    }

    /// Decodes the fields of a row from the `first` on; false when bytes are wanting.
    #[inline]
    fn decode_fields(&mut self, first: usize, rest: &mut &[u8]) -> Result<bool> {
        let before = rest.len();
        for (index, column) in self.columns.iter_mut().enumerate().skip(first) {
            let value = match field(rest) {
                Field::Value(value, after) => {
                    *rest = after;
                    column.append(value)
                }
                Field::Null(after) => {
                    *rest = after;
                    column.append_null();
                    Ok(())
                }
                Field::Cut => {
                    self.stage = Stage::Field(index);
                    self.row_bytes += before - rest.len();
                    return Ok(false);
                }
                Field::Malformed => return Err(malformed("a field has an impossible length")),
            };
            value.map_err(|fault| column.explain(fault))?;
        }
        self.stage = Stage::Row;
        self.rows += 1;
        self.batch_bytes += (self.row_bytes + before - rest.len()).max(self.least_row_bytes);
        self.row_bytes = 0;
        if !self.growing.is_empty() {
            self.growing_bytes = self.growing.iter().map(|i| self.columns[*i].size_bytes()).sum();
        }
        Ok(true)
    }

    #[inline]
    fn held_bytes(&self) -> usize {
        self.batch_bytes + self.growing_bytes
    }

    /// Whether the next row is to begin a new batch.
    #[inline]
    fn is_full(&self, rest: &[u8]) -> bool {
        self.rows >= BATCH_ROWS
            || self.rows > 0
                && self.held_bytes() + rest.len().max(self.announced_bytes) > BATCH_BYTES
                && self.held_bytes() + row_bytes(rest) > BATCH_BYTES
    }
}

/// The next field of a row.
enum Field<'a> {
    Value(&'a [u8], &'a [u8]),
    Null(&'a [u8]),
    Cut,
    Malformed,
}

#[inline]
fn field(bytes: &[u8]) -> Field<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Field::Cut };
    match i32::from_be_bytes(*length) {
        -1 => Field::Null(rest),
        length @ 0..=MAX_FIELD_BYTES => match rest.split_at_checked(length.unsigned_abs() as usize) {
            Some((value, rest)) => Field::Value(value, rest),
            None => Field::Cut,
        },
        _ => Field::Malformed,
    }
}

/// How long the row at the front is, as far as the bytes tell. Called only when a batch is nearly full.
fn row_bytes(bytes: &[u8]) -> usize {
    let Some((count, mut rest)) = bytes.split_first_chunk::<2>() else { return 0 };
    for _ in 0..i16::from_be_bytes(*count) {
        match field(rest) {
            Field::Value(_, after) | Field::Null(after) => rest = after,
            Field::Cut => {
                let declared = rest.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length));
                return bytes.len() - rest.len() + declared as usize;
            }
            Field::Malformed => break,
        }
    }
    bytes.len() - rest.len()
}

/// Checks the header; gives the length of the extension after it.
fn extension_bytes(header: &[u8; 19]) -> Result<usize> {
    let Some((signature, &[f0, f1, f2, f3, e0, e1, e2, e3])) = header.split_first_chunk::<11>() else {
        return Err(malformed("its header is short"));
    };
    if signature != SIGNATURE {
        return Err(malformed("it has no COPY signature"));
    }
    if u32::from_be_bytes([f0, f1, f2, f3]) & CRITICAL_FLAGS != 0 {
        return Err(malformed("its header asks for what is not known"));
    }
    usize::try_from(i32::from_be_bytes([e0, e1, e2, e3])).map_err(|_| malformed("its header is torn"))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
