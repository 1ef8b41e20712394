//! Where delimited text may be cut, so that several threads read one file.
//!
//! In text that keeps RFC 4180 a line feed ends a record exactly when an even number of quotes stands
//! before it in the file. So quotes are counted chunk by chunk, by as many threads as read, and each
//! chunk is read from the first record that starts behind its boundary. Line feeds are counted with
//! them, so that errors keep their line. In text that is malformed all cuts before the fault are
//! right, and the fault is in the first section that has one; what is behind it does not matter.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::paths::Input;
use crate::error::{Error, Result};

/// Bytes read at once to count.
const COUNT_BYTES: usize = 128 << 10;
/// Bytes read at once to find a record's end.
const SEARCH_BYTES: usize = 4 << 10;

/// Some whole records of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) bytes: Range<u64>,
    /// Physical line of the first byte, from 1.
    pub(super) line: u64,
}

/// The start of a record, or the end of the file.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: u64,
    line: u64,
}

/// The sections of one file. They are found as they are asked for, from the first to the last.
#[derive(Debug)]
pub(super) struct Cuts {
    quote: u8,
    chunk_bytes: u64,
    size_bytes: u64,
    sections: usize,
    known: Mutex<Known>,
    more: Condvar,
}

#[derive(Debug)]
struct Known {
    /// One at the start and one behind each section that is known.
    cuts: Vec<Cut>,
    /// Of chunks whose predecessors are not counted yet.
    counts: BTreeMap<usize, Count>,
    /// All before the boundary that the last cut belongs to.
    before: Count,
    given_up: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    quotes: u64,
    lines: u64,
}

impl Cuts {
    /// For a file that is cut into chunks of about this size. One that has less than two is not cut.
    pub(super) fn new(input: &Input, quote: u8, chunk_bytes: u64) -> Self {
        let size_bytes = input.stamp.size_bytes;
        let first = Cut { at: 0, line: 1 };
        let (mut cuts, mut sections) = (vec![first], size_bytes.div_ceil(chunk_bytes));
        if size_bytes < 2 * chunk_bytes {
            (cuts, sections) = (vec![first, Cut { at: size_bytes, line: 0 }], 1);
        }
        let known = Known { cuts, counts: BTreeMap::new(), before: Count::default(), given_up: false };
        Self {
            quote,
            chunk_bytes,
            size_bytes,
            sections: usize::try_from(sections).unwrap_or(usize::MAX),
            known: Mutex::new(known),
            more: Condvar::new(),
        }
    }

    /// How many sections there are; some may be empty.
    pub(super) fn len(&self) -> usize {
        self.sections
    }

    /// The file, open, and one of its sections. Waits for those who were asked for a section before, so
    /// sections are asked for in their order.
    ///
    /// # Errors
    /// As [`Input::open`]; `Temporary` when the file cannot be read, or an earlier section failed.
    pub(super) fn open(&self, input: &Input, index: usize) -> Result<(File, Section)> {
        let waited_for = WaitedFor(self);
        let file = input.open()?;
        let unreadable =
            |cause: io::Error| Error::temporary(format!("cannot read {}: {}", input.name, cause.kind()));
        if let Some(section) = self.known().section(index) {
            std::mem::forget(waited_for);
            return Ok((file, section));
        }
        let from = self.chunk_bytes * index as u64;
        let count = count(&file, from..(from + self.chunk_bytes).min(self.size_bytes), self.quote);
        let count = count.map_err(unreadable)?;
        let mut known = self.known();
        known.counts.insert(index, count);
        self.cut(&mut known, &file).map_err(unreadable)?;
        self.more.notify_all();
        std::mem::forget(waited_for);
        loop {
            if let Some(section) = known.section(index) {
                return Ok((file, section));
            }
            if known.given_up {
                return Err(Error::temporary(format!("reading {} was given up", input.name)));
            }
            known = self.more.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts behind every chunk that is counted with all before it.
    fn cut(&self, known: &mut Known, file: &File) -> io::Result<()> {
        while let (Some(last), Some(count)) =
            (known.cuts.last().copied(), known.counts.get(&(known.cuts.len() - 1)).copied())
        {
            let boundary = self.chunk_bytes * known.cuts.len() as u64;
            let before =
                Count { quotes: known.before.quotes + count.quotes, lines: known.before.lines + count.lines };
            let cut = if last.at > boundary || boundary >= self.size_bytes {
                Cut { at: last.at.max(boundary.min(self.size_bytes)), ..last }
            } else {
                self.search(file, boundary, before)?
            };
            known.counts.remove(&(known.cuts.len() - 1));
            known.before = before;
            known.cuts.push(cut);
        }
        Ok(())
    }

    /// The first start of a record behind `from`.
    fn search(&self, file: &File, mut from: u64, before: Count) -> io::Result<Cut> {
        let (mut inside, mut line) = (before.quotes % 2 == 1, before.lines + 1);
        let mut buffer = [0; SEARCH_BYTES];
        loop {
            let read = read_at(file, &mut buffer, from, self.size_bytes)?;
            if read == 0 {
                return Ok(Cut { at: self.size_bytes, line });
            }
            for byte in &buffer[..read] {
                from += 1;
                inside ^= *byte == self.quote;
                if *byte == b'\n' {
                    line += 1;
                    if !inside {
                        return Ok(Cut { at: from, line });
                    }
                }
            }
        }
    }
}

impl Known {
    fn section(&self, index: usize) -> Option<Section> {
        let (from, to) = (self.cuts.get(index)?, self.cuts.get(index + 1)?);
        Some(Section { bytes: from.at..to.at, line: from.line })
    }
}

/// Tells those who wait for a count that it will not come.
struct WaitedFor<'a>(&'a Cuts);

impl Drop for WaitedFor<'_> {
    fn drop(&mut self) {
        self.0.known().given_up = true;
        self.0.more.notify_all();
    }
}

/// Quotes and line feeds in a part of a file.
fn count(file: &File, mut bytes: Range<u64>, quote: u8) -> io::Result<Count> {
    let mut buffer = vec![0; COUNT_BYTES];
    let mut count = Count::default();
    loop {
        let read = read_at(file, &mut buffer, bytes.start, bytes.end)?;
        if read == 0 {
            return Ok(count);
        }
        bytes.start += read as u64;
        // So few that a byte counts them, which lets the compiler count many at once.
        for piece in buffer[..read].chunks(128) {
            count.quotes += u64::from(piece.iter().map(|byte| u8::from(*byte == quote)).sum::<u8>());
            count.lines += u64::from(piece.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>());
        }
    }
}

/// Reads at a position, nothing from `end` on; 0 at the end.
fn read_at(file: &File, buffer: &mut [u8], at: u64, end: u64) -> io::Result<usize> {
    let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
    let most = buffer.len().min(left);
    loop {
        match file.read_at(&mut buffer[..most], at) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Reads one section of a file.
pub(super) struct Part<'a> {
    file: &'a File,
    left: Range<u64>,
}

impl<'a> Part<'a> {
    pub(super) fn new(file: &'a File, bytes: Range<u64>) -> Self {
        Self { file, left: bytes }
    }
}

impl io::Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.left.start, self.left.end)?;
        self.left.start += read as u64;
        Ok(read)
    }
}
