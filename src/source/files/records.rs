//! Delimited text into records: RFC 4180 over a byte buffer.
//!
//! Own code, because the difference between `,,` and `,"",` must survive (NULL is not the empty
//! text), and the known parsers drop it. Strict: what RFC 4180 does not allow is an error with its
//! physical line, never a guess.

use std::io::Read;

use crate::error::{Error, Result};

/// First size of the buffer; it doubles for a record that does not fit.
const BUFFER_BYTES: usize = 256 << 10;
/// Longest record. A longer one is most likely a quote that is never closed.
const RECORD_MAX_BYTES: usize = 64 << 20;
/// Most fields of one record.
const FIELDS_MAX: usize = 1 << 16;

/// Where a field lies in its record.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    quoted: bool,
    /// Holds doubled quotes that stand for one.
    doubled: bool,
}

/// One record; borrowed from the reader's buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    file: &'a str,
    text: &'a str,
    spans: &'a [Span],
    /// Physical line of its first byte, from 1.
    pub(super) line: u64,
}

/// One field's text and how it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) text: &'a str,
    pub(super) quoted: bool,
}

impl<'a> Record<'a> {
    /// How many fields it has; at least one.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the line is empty.
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    /// A field; the empty text past the last.
    pub(super) fn field(&self, index: usize) -> Field<'a> {
        let Some(span) = self.spans.get(index) else { return Field { text: "", quoted: false } };
        // Spans end at ASCII bytes of checked text: always on a character boundary.
        Field { text: self.text.get(span.start..span.end).unwrap_or_default(), quoted: span.quoted }
    }

    /// How long a field's text is.
    pub(super) fn field_bytes(&self, index: usize) -> usize {
        self.spans.get(index).map_or(0, |span| span.end - span.start)
    }

    /// A fault of the whole record.
    pub(super) fn fault(&self, what: impl Into<String>) -> Error {
        Error::data(what).at(place(self.file, self.line))
    }

    /// A fault of one field, at the line the field starts on.
    pub(super) fn fault_at(&self, index: usize, what: impl Into<String>) -> Error {
        let before = self.spans.get(index).map_or(0, |span| span.start);
        let line = self.line + lines(self.text.as_bytes().get(..before).unwrap_or_default());
        Error::data(what).at(place(self.file, line))
    }
}

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
    special: Special<4>,
    inside_quotes: Special<2>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    begun: bool,
    exhausted: bool,
    /// Physical line of the next record.
    line: u64,
    spans: Vec<Span>,
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

/// Where a quoted field ends.
struct Quoted {
    /// Its closing quote.
    end: usize,
    /// Holds doubled quotes that stand for one.
    doubled: bool,
    /// Line feeds in it.
    lines: u64,
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
            special: Special::new([delimiter, quote, b'\n', b'\r']),
            inside_quotes: Special::new([quote, b'\n']),
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            begun: false,
            exhausted: false,
            line: 1,
            spans: Vec::new(),
        }
    }

    /// The next record, or `None` after the last.
    ///
    /// # Errors
    /// `Data` with file and physical line when the text is malformed or not UTF-8; `Temporary`
    /// when the file cannot be read on.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>> {
        if !self.begun {
            self.begin()?;
        }
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
        let bytes = &mut self.buffer[start..start + content];
        for span in &mut self.spans {
            if span.doubled {
                let kept = join_doubled(&mut bytes[span.start..span.end], self.quote);
                span.end = span.start + kept;
            }
        }
        let text = std::str::from_utf8(bytes).map_err(|bad| {
            let line = line + lines(bytes.get(..bad.valid_up_to()).unwrap_or_default());
            Error::data("the text is not valid UTF-8")
                .at(place(&self.file, line))
                .help("convert the file to UTF-8, for example with iconv")
        })?;
        Ok(Some(Record { file: &self.file, text, spans: &self.spans, line }))
    }

    /// Skips a byte order mark; refuses the other Unicode encodings.
    fn begin(&mut self) -> Result<()> {
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
        if self.end == self.buffer.len() {
            if self.end >= RECORD_MAX_BYTES {
                return Err(self
                    .malformed(0, &format!("the record is longer than {} MiB", RECORD_MAX_BYTES >> 20))
                    .help("a quote that is never closed is the usual cause"));
            }
            self.buffer.resize(self.end * 2, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.exhausted = true,
                Ok(count) => self.end += count,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(cause) => {
                    return Err(Error::temporary(format!("cannot read {}: {}", self.file, cause.kind())));
                }
            }
            return Ok(());
        }
    }

    /// Finds the fields of the record at the reading position.
    fn split(&mut self) -> Result<Split> {
        self.spans.clear();
        let data = &self.buffer[self.start..self.end];
        if data.is_empty() {
            return Ok(if self.exhausted { Split::End } else { Split::Part });
        }
        let (mut at, mut inner) = (0, 0);
        loop {
            let (span, stop) = if data.get(at) == Some(&self.quote) {
                let Some(Quoted { end, doubled, lines }) = self.quoted(data, at + 1) else {
                    if self.exhausted {
                        return Err(self.malformed(inner, "a quote is opened here and never closed"));
                    }
                    return Ok(Split::Part);
                };
                inner += lines;
                (Span { start: at + 1, end, quoted: true, doubled }, end + 1)
            } else {
                let stop = at + self.special.find(&data[at..]);
                (Span { start: at, end: stop, quoted: false, doubled: false }, stop)
            };
            if self.spans.len() == FIELDS_MAX {
                return Err(self.malformed(inner, &format!("the record has more than {FIELDS_MAX} fields")));
            }
            self.spans.push(span);
            match (data.get(stop).copied(), data.get(stop + 1).copied()) {
                (Some(byte), _) if byte == self.delimiter => at = stop + 1,
                (Some(b'\n'), _) => {
                    return Ok(Split::Record { content: stop, consumed: stop + 1, lines: inner + 1 });
                }
                (Some(b'\r'), Some(b'\n')) => {
                    return Ok(Split::Record { content: stop, consumed: stop + 2, lines: inner + 1 });
                }
                (Some(b'\r'), None) | (None, _) if !self.exhausted => return Ok(Split::Part),
                (None, _) => return Ok(Split::Record { content: stop, consumed: stop, lines: inner }),
                (Some(b'\r'), _) => {
                    return Err(self.malformed(
                        inner,
                        "a carriage return stands outside quotes and without a line feed",
                    ));
                }
                (Some(_), _) if span.quoted => {
                    return Err(self.malformed(inner, "text follows a closing quote"));
                }
                (Some(_), _) => {
                    return Err(self
                        .malformed(inner, "a quote stands inside a field that is not quoted")
                        .help("quote the whole field and double the quotes inside it"));
                }
            }
        }
    }

    /// The end of a quoted field whose content starts at `from`. `None` when it is not in `data`, or
    /// when the byte that would tell is not.
    fn quoted(&self, data: &[u8], from: usize) -> Option<Quoted> {
        let (mut at, mut doubled, mut lines) = (from, false, 0);
        loop {
            at += self.inside_quotes.find(data.get(at..)?);
            match (data.get(at)?, data.get(at + 1)) {
                (b'\n', _) => (at, lines) = (at + 1, lines + 1),
                (_, Some(next)) if *next == self.quote => (at, doubled) = (at + 2, true),
                (_, None) if !self.exhausted => return None,
                _ => return Some(Quoted { end: at, doubled, lines }),
            }
        }
    }

    fn malformed(&self, lines_down: u64, what: &str) -> Error {
        Error::data(what).at(place(&self.file, self.line + lines_down))
    }
}

/// Turns doubled quotes into one; answers how many bytes are left. The rest is filled with quotes,
/// so that the record stays valid text.
fn join_doubled(bytes: &mut [u8], quote: u8) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        bytes[to] = bytes[from];
        from += if bytes[from] == quote { 2 } else { 1 };
        to += 1;
    }
    bytes[to..].fill(quote);
    to
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Finds the first of some bytes, eight at a time.
struct Special<const N: usize> {
    bytes: [u8; N],
    words: [u64; N],
}

impl<const N: usize> Special<N> {
    fn new(bytes: [u8; N]) -> Self {
        Self { bytes, words: bytes.map(|byte| u64::from(byte) * LOW) }
    }

    /// Index of the first of them, or the length.
    #[inline]
    fn find(&self, data: &[u8]) -> usize {
        let (chunks, rest) = data.as_chunks::<8>();
        let mut at = 0;
        for chunk in chunks {
            let word = u64::from_le_bytes(*chunk);
            let hits = self.words.iter().fold(0, |hits, special| hits | zero_bytes(word ^ special));
            if hits != 0 {
                return at + (hits.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
        at + rest.iter().position(|byte| self.bytes.contains(byte)).unwrap_or(rest.len())
    }
}

/// Marks the zero bytes of a word; exact up to and including the first.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

#[cfg(test)]
mod tests;
