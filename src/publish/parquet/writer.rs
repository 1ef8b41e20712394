//! The writer of one file: our own for flat columns, the library's for files with a nested one.

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::flat::{self, Crew};
use super::upload::{Stored, Upload};
use crate::error::{Error, Result};

/// Which of the two was decided once, for all files of a write. Holds keys: no `Debug`.
pub(super) enum Writer {
    Flat(Box<flat::Writer<Upload>>),
    Nested(Box<ArrowWriter<Upload>>),
}

impl Writer {
    pub(super) fn write(&mut self, rows: &RecordBatch, crew: &mut Crew) -> Result<()> {
        let result = match self {
            Self::Flat(writer) => writer.write(rows, crew).map_err(Some),
            Self::Nested(writer) => writer.write(rows).map_err(|_| None),
        };
        result.map_err(|fault| self.fault(fault))
    }

    /// Ends the row group, so that its memory is free.
    pub(super) fn flush(&mut self, crew: &mut Crew) -> Result<()> {
        let result = match self {
            Self::Flat(writer) => writer.flush(crew).map_err(Some),
            Self::Nested(writer) => writer.flush().map_err(|_| None),
        };
        result.map_err(|fault| self.fault(fault))
    }

    /// Ends the file and its upload; answers what is stored and what its metadata say in the clear.
    pub(super) fn finish(&mut self, crew: &mut Crew) -> Result<(Stored, ParquetMetaData)> {
        let result = match self {
            Self::Flat(writer) => writer.finish(crew).map_err(Some).and_then(|footer| {
                // Read back by other hands: metadata that nobody can read end here.
                ParquetMetaDataReader::decode_metadata(&footer).map_err(|_| None)
            }),
            Self::Nested(writer) => writer.finish().map_err(|_| None),
        };
        let metadata = result.map_err(|fault| self.fault(fault))?;
        Ok((self.upload_mut().complete()?, metadata))
    }

    /// About the bytes of the file, were it ended now.
    pub(super) fn file_bytes(&self) -> u64 {
        match self {
            Self::Flat(writer) => writer.file_bytes(),
            Self::Nested(writer) => (writer.bytes_written() + writer.in_progress_size()) as u64,
        }
    }

    /// Whether the file should take no more rows, whatever its size.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Flat(writer) if writer.is_full())
    }

    /// Bytes of memory of the unfinished row group.
    pub(super) fn group_held_bytes(&self) -> usize {
        match self {
            Self::Flat(writer) => writer.held_bytes(),
            Self::Nested(writer) => writer.memory_size(),
        }
    }

    pub(super) fn upload(&self) -> &Upload {
        match self {
            Self::Flat(writer) => writer.out(),
            Self::Nested(writer) => writer.inner(),
        }
    }

    pub(super) fn upload_mut(&mut self) -> &mut Upload {
        match self {
            Self::Flat(writer) => writer.out_mut(),
            Self::Nested(writer) => writer.inner_mut(),
        }
    }

    /// The store's fault behind a failed step, or our own words for it: the library's may quote
    /// values.
    fn fault(&mut self, fault: Option<flat::Fault>) -> Error {
        let message = "the rows cannot be encoded as Parquet";
        self.upload_mut().take_fault().unwrap_or_else(|| match fault {
            Some(flat::Fault(why)) => Error::failed(format!("{message}: {why}")),
            None => Error::failed(message),
        })
    }
}
