//! Delimited text into records: RFC 4180 over a byte buffer.
//!
//! Own code, because the difference between `,,` and `,"",` must survive (NULL is not the empty
//! text), and the known parsers drop it. Strict: what RFC 4180 does not allow is an error with its
//! physical line, never a guess.

mod marks;
mod rows;

use std::io::Read;

use self::marks::{BLOCK_BYTES, Marks};
use self::rows::Span;
pub(super) use self::rows::{Field, Record, Rows};
use crate::error::{Error, Result};

/// First size of the buffer; it doubles for a record that does not fit.
const BUFFER_BYTES: usize = 256 << 10;
/// Longest record. A longer one is most likely a quote that is never closed.
const RECORD_MAX_BYTES: usize = 64 << 20;
/// Most fields of one record.
const FIELDS_MAX: usize = 1 << 16;
/// Most fields of rows given at once, but for a single wider row.
const FIELDS_AT_ONCE: usize = 1 << 14;

fn place(file: &str, line: u64) -> String {
    format!("{file}, line {line}")
}

/// Line feeds in `bytes`.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Reads records one after the other, in bounded memory.
pub(super) struct Records<R> {
    reader: R,
    file: String,
    delimiter: u8,
    quote: u8,
    marks: Marks,
    /// What was read, and room for a block behind.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    begun: bool,
    exhausted: bool,
    /// Physical line of the next record.
    line: u64,
    spans: Vec<Span>,
    /// What is wrong behind the rows given last.
    fault: Option<Error>,
}

/// What the buffered bytes hold at the reading position.
enum Split {
    /// A whole record of `content` bytes; the next starts `consumed` bytes on, `lines` lines down.
    Record { content: usize, consumed: usize, lines: u64 },
    /// The start of one.
    Part,
    /// Nothing, and nothing follows.
    End,
}

impl<R: Read> Records<R> {
    /// Reads `reader`, called `file` in errors. Delimiter and quote are two different ASCII bytes,
    /// neither of them a line end.
    pub(super) fn new(reader: R, file: &str, delimiter: u8, quote: u8) -> Self {
        Self {
            reader,
            file: file.to_owned(),
            delimiter,
            quote,
            marks: Marks::new([delimiter, quote, b'\n', b'\r']),
            buffer: vec![0; BUFFER_BYTES + BLOCK_BYTES],
            start: 0,
            end: 0,
            begun: false,
            exhausted: false,
            line: 1,
            spans: Vec::new(),
            fault: None,
        }
    }

    /// For a reader that starts at a record further down the file, on that physical line.
    pub(super) fn starting_at_line(mut self, line: u64) -> Self {
        (self.begun, self.line) = (true, line);
        self
    }

    /// The next record, or `None` after the last.
    ///
    /// # Errors
    /// `Data` with file and physical line when the text is malformed or not UTF-8; `Temporary`
    /// when the file cannot be read on.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>> {
        self.begin()?;
        self.spans.clear();
        let (content, consumed, lines_down) = loop {
            match self.split()? {
                Split::Record { content, consumed, lines } => break (content, consumed, lines),
                Split::Part => self.fill()?,
                Split::End => return Ok(None),
            }
        };
        let (start, line) = (self.start, self.line);
        self.start += consumed;
        self.line += lines_down;
        self.join_doubled();
        let text = &self.buffer[start..start + content];
        let text = std::str::from_utf8(text).map_err(|bad| self.not_utf8(start, bad.valid_up_to(), line))?;
        Ok(Some(Record { text, spans: &self.spans, base: start }))
    }

    /// The next rows, as many as the buffer holds whole and no more than a bounded number; `None`
    /// after the last. An empty line is a row only where rows are single fields.
    ///
    /// # Errors
    /// As [`Self::next`], and `Data` when a row has not `width` fields; each after all the rows
    /// before it were given.
    pub(super) fn rows(&mut self, width: usize) -> Result<Option<Rows<'_>>> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.begin()?;
        let (base, line) = loop {
            let begun = (self.start, self.line);
            if self.gather(width) {
                break begun;
            }
            self.fill()?;
        };
        self.join_doubled();
        let bytes = &self.buffer[base..self.start];
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(bad) => {
                let valid = bad.valid_up_to();
                // The rows that end before.
                let ends = self.spans.iter().skip(width.saturating_sub(1)).step_by(width.max(1));
                let whole = ends.take_while(|last| last.end() <= base + valid).count();
                self.spans.truncate(whole * width);
                self.fault = Some(self.not_utf8(base, valid, line));
                std::str::from_utf8(&bytes[..valid]).unwrap_or_default()
            }
        };
        if self.spans.is_empty() {
            return self.fault.take().map_or(Ok(None), Err);
        }
        Ok(Some(Rows { file: &self.file, text, base, line, spans: &self.spans, width }))
    }

    /// Splits rows as far as they are in the buffer. False where it holds none, and more is to come.
    fn gather(&mut self, width: usize) -> bool {
        self.spans.clear();
        while self.spans.is_empty() || self.spans.len() + width <= FIELDS_AT_ONCE {
            let known = self.spans.len();
            let (content, consumed, lines) = match self.split() {
                Ok(Split::Record { content, consumed, lines }) => (content, consumed, lines),
                Ok(Split::Part) => return known > 0,
                Ok(Split::End) => return true,
                Err(fault) => {
                    self.fault = Some(fault);
                    return true;
                }
            };
            let found = self.spans.len() - known;
            if content == 0 && width > 1 {
                self.spans.truncate(known);
            } else if found != width {
                self.spans.truncate(known);
                self.fault = Some(self.misfit(found, width));
                self.start += consumed;
                return true;
            }
            self.start += consumed;
            self.line += lines;
        }
        true
    }

    /// Skips a byte order mark; refuses the other Unicode encodings.
    fn begin(&mut self) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        while self.end < 4 && !self.exhausted {
            self.fill()?;
        }
        let head = &self.buffer[..self.end.min(4)];
        let wide = head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]) || head.contains(&0);
        if wide {
            return Err(Error::data("the file is UTF-16 or UTF-32 text, or not text at all")
                .at(place(&self.file, 1))
                .help("convert it to UTF-8, for example with iconv"));
        }
        if head.starts_with(&[0xEF, 0xBB, 0xBF]) {
            self.start = 3;
            self.marks.go_to(&self.buffer, self.start);
        }
        self.begun = true;
        Ok(())
    }

    /// Reads more bytes behind those not yet consumed.
    fn fill(&mut self) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.buffer.len() - BLOCK_BYTES;
        if self.end == room {
            if self.end >= RECORD_MAX_BYTES {
                return Err(self
                    .malformed(0, &format!("the record is longer than {} MiB", RECORD_MAX_BYTES >> 20))
                    .help("a quote that is never closed is the usual cause"));
            }
            self.buffer.resize(room * 2 + BLOCK_BYTES, 0);
        }
        let room = self.buffer.len() - BLOCK_BYTES;
        loop {
            match self.reader.read(&mut self.buffer[self.end..room]) {
                Ok(0) => self.exhausted = true,
                Ok(count) => self.end += count,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(cause) => {
                    return Err(Error::temporary(format!("cannot read {}: {}", self.file, cause.kind())));
                }
            }
            self.marks.go_to(&self.buffer, 0);
            return Ok(());
        }
    }

    /// Finds the fields of the record at the reading position, and adds them to the spans; nothing is
    /// added unless it is whole.
    fn split(&mut self) -> Result<Split> {
        let known = self.spans.len();
        let mut marks = self.marks;
        let split = self.split_at(&mut marks, known);
        match split {
            Ok(Split::Record { .. }) => self.marks = marks,
            _ => self.spans.truncate(known),
        }
        split
    }

    fn split_at(&mut self, marks: &mut Marks, known: usize) -> Result<Split> {
        let (buffer, start, end) = (&self.buffer[..], self.start, self.end);
        if start == end {
            return Ok(if self.exhausted { Split::End } else { Split::Part });
        }
        let (mut at, mut inner) = (start, 0);
        loop {
            let (span, stop) = if at < end && buffer[at] == self.quote {
                marks.next(buffer, end);
                let Some((span, lines)) = self.quoted(marks, at + 1) else {
                    if self.exhausted {
                        return Err(self.malformed(inner, "a quote is opened here and never closed"));
                    }
                    return Ok(Split::Part);
                };
                inner += lines;
                // Where what follows is no mark, it is malformed.
                let stop = span.end() + 1;
                marks.next(buffer, (stop + 1).min(end));
                (span, stop)
            } else {
                let stop = marks.next(buffer, end);
                (Span::plain(at, stop), stop)
            };
            if self.spans.len() - known == FIELDS_MAX {
                return Err(self.malformed(inner, &format!("the record has more than {FIELDS_MAX} fields")));
            }
            self.spans.push(span);
            if stop < end && buffer[stop] == self.delimiter {
                at = stop + 1;
                continue;
            }
            return self.record_end(marks, span, stop, inner);
        }
    }

    /// What ends a record behind its last field, at `stop`.
    fn record_end(&self, marks: &mut Marks, last: Span, stop: usize, inner: u64) -> Result<Split> {
        let Self { buffer, start, end, exhausted, .. } = self;
        let data = &buffer[..*end];
        let record = |behind: usize, lines: u64| {
            Ok(Split::Record { content: stop - start, consumed: stop + behind - start, lines })
        };
        match (data.get(stop).copied(), data.get(stop + 1).copied()) {
            (Some(b'\n'), _) => record(1, inner + 1),
            (Some(b'\r'), Some(b'\n')) => {
                marks.next(buffer, *end);
                record(2, inner + 1)
            }
            (Some(b'\r'), None) | (None, _) if !exhausted => Ok(Split::Part),
            (None, _) => record(0, inner),
            (Some(b'\r'), _) => {
                Err(self.malformed(inner, "a carriage return stands outside quotes and without a line feed"))
            }
            (Some(_), _) if last.is_quoted() => Err(self.malformed(inner, "text follows a closing quote")),
            (Some(_), _) => Err(self
                .malformed(inner, "a quote stands inside a field that is not quoted")
                .help("quote the whole field and double the quotes inside it")),
        }
    }

    /// The quoted field whose content starts at `from`, and the line feeds in it. `None` when its end
    /// is not in the buffer, or the byte that would tell is not.
    fn quoted(&self, marks: &mut Marks, from: usize) -> Option<(Span, u64)> {
        let (mut doubled, mut lines) = (false, 0);
        loop {
            let at = marks.next(&self.buffer, self.end);
            let byte = self.buffer[..self.end].get(at)?;
            if *byte == b'\n' {
                lines += 1;
            } else if *byte == self.quote {
                match self.buffer[..self.end].get(at + 1) {
                    Some(next) if *next == self.quote => doubled = true,
                    None if !self.exhausted => return None,
                    _ => return Some((Span::quoted(from, at, doubled), lines)),
                }
                marks.next(&self.buffer, self.end);
            }
        }
    }

    /// Turns doubled quotes into one in the fields of the spans. What that leaves is filled with
    /// quotes, so that the record stays valid text.
    fn join_doubled(&mut self) {
        for span in self.spans.iter_mut().filter(|span| span.is_doubled()) {
            let bytes = &mut self.buffer[span.start()..span.end()];
            let (mut from, mut to) = (0, 0);
            while from < bytes.len() {
                bytes[to] = bytes[from];
                from += if bytes[from] == self.quote { 2 } else { 1 };
                to += 1;
            }
            bytes[to..].fill(self.quote);
            *span = span.shortened(to);
        }
    }

    /// For bytes from `base`, on physical line `line`, of which so many are valid.
    fn not_utf8(&self, base: usize, valid: usize, line: u64) -> Error {
        let line = line + lines(&self.buffer[base..base + valid]);
        Error::data("the text is not valid UTF-8")
            .at(place(&self.file, line))
            .help("convert the file to UTF-8, for example with iconv")
    }

    fn misfit(&self, found: usize, width: usize) -> Error {
        let plural = if found == 1 { "" } else { "s" };
        self.malformed(0, &format!("the line has {found} field{plural} where {width} are expected"))
            .help("is the delimiter right, and are fields that hold it quoted?")
    }

    fn malformed(&self, lines_down: u64, what: &str) -> Error {
        Error::data(what).at(place(&self.file, self.line + lines_down))
    }
}

#[cfg(test)]
mod tests;
