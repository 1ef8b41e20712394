//! Records and rows as their readers see them; borrowed from the buffer.

use super::{lines, place};
use crate::error::Error;

/// Where a field lies in the buffer: from `start` to the lower bits of `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

const QUOTED: u32 = 1 << 31;
/// Holds doubled quotes that stand for one.
const DOUBLED: u32 = 1 << 30;

impl Span {
    /// A field that is not quoted. Positions are below 1 GiB: a record has at most 64 MiB.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the buffer is smaller")]
    pub(super) fn plain(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(super) fn quoted(start: usize, end: usize, doubled: bool) -> Self {
        let Self { start, end } = Self::plain(start, end);
        Self { start, end: end | QUOTED | if doubled { DOUBLED } else { 0 } }
    }

    #[inline]
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    #[inline]
    pub(super) fn end(self) -> usize {
        (self.end & !(QUOTED | DOUBLED)) as usize
    }

    #[inline]
    fn len(self) -> usize {
        self.end() - self.start()
    }

    #[inline]
    pub(super) fn is_quoted(self) -> bool {
        self.end & QUOTED != 0
    }

    pub(super) fn is_doubled(self) -> bool {
        self.end & DOUBLED != 0
    }

    /// As long, but for what joining doubled quotes took away.
    pub(super) fn shortened(self, length: usize) -> Self {
        Self::quoted(self.start(), self.start() + length, false)
    }
}

/// One field's text and how it was written.
#[derive(Clone, Copy)]
pub(in super::super) struct Field<'a> {
    /// From the field on.
    bytes: &'a [u8],
    len: usize,
    pub(in super::super) quoted: bool,
}

impl<'a> Field<'a> {
    #[inline]
    fn of(bytes: &'a [u8], base: usize, span: Span) -> Self {
        let bytes = bytes.get(span.start() - base..).unwrap_or_default();
        Self { bytes, len: span.len().min(bytes.len()), quoted: span.is_quoted() }
    }

    /// Its text.
    #[inline]
    pub(in super::super) fn text(&self) -> &'a str {
        // The whole record was checked, and it is cut at ASCII bytes.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    /// Length of the text.
    #[inline]
    pub(in super::super) fn len(&self) -> usize {
        self.len
    }

    /// The first sixteen bytes, the first of them lowest; what is behind a shorter text is any bytes.
    #[inline]
    pub(in super::super) fn head(&self) -> u128 {
        if let Some(head) = self.bytes.first_chunk::<16>() {
            return u128::from_le_bytes(*head);
        }
        let mut head = [0; 16];
        head[..self.bytes.len()].copy_from_slice(self.bytes);
        u128::from_le_bytes(head)
    }

    /// Only an unquoted field can be NULL: `""` is the empty text. `null` is the text that stands for it.
    #[inline]
    pub(in super::super) fn is_null(&self, null: &str) -> bool {
        self.len == null.len() && !self.quoted && self.bytes[..self.len] == *null.as_bytes()
    }
}

#[cfg(test)]
impl<'a> Field<'a> {
    pub(in super::super) fn plain(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), len: text.len(), quoted: false }
    }

    /// The first bytes of a text.
    pub(in super::super) fn starting(whole: &'a str, len: usize) -> Self {
        Self { bytes: whole.as_bytes(), len, quoted: false }
    }

    pub(in super::super) fn quoted(text: &'a str) -> Self {
        Self { quoted: true, ..Self::plain(text) }
    }
}

/// One record.
#[derive(Clone, Copy)]
pub(in super::super) struct Record<'a> {
    pub(super) text: &'a str,
    pub(super) spans: &'a [Span],
    /// Where `text` starts in the buffer.
    pub(super) base: usize,
}

impl<'a> Record<'a> {
    /// How many fields it has; at least one.
    pub(in super::super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the line is empty.
    pub(in super::super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    /// A field; the empty text past the last.
    pub(in super::super) fn field(&self, index: usize) -> Field<'a> {
        let span = self.spans.get(index).copied();
        span.map_or(Field { bytes: &[], len: 0, quoted: false }, |span| {
            Field::of(self.text.as_bytes(), self.base, span)
        })
    }
}

/// Rows that follow each other; all have as many fields.
#[derive(Clone, Copy)]
pub(in super::super) struct Rows<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// Where `text` starts in the buffer.
    pub(super) base: usize,
    /// Physical line of its first byte.
    pub(super) line: u64,
    pub(super) spans: &'a [Span],
    pub(super) width: usize,
}

impl<'a> Rows<'a> {
    /// How many; at least one.
    pub(in super::super) fn len(&self) -> usize {
        self.spans.len() / self.width
    }

    /// One column's fields in some of the rows.
    #[inline]
    pub(in super::super) fn column(
        &self,
        index: usize,
        rows: std::ops::Range<usize>,
    ) -> impl Iterator<Item = Field<'a>> {
        let (bytes, base) = (self.text.as_bytes(), self.base);
        let spans = self.spans.get(rows.start * self.width + index..rows.end * self.width);
        let spans = spans.unwrap_or_default().iter().step_by(self.width);
        spans.map(move |span| Field::of(bytes, base, *span))
    }

    /// One column's texts in some of the rows, and whether they are quoted.
    #[inline]
    pub(in super::super) fn texts(
        &self,
        index: usize,
        rows: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (&'a str, bool)> {
        let (text, base) = (self.text, self.base);
        let spans = self.spans.get(rows.start * self.width + index..rows.end * self.width);
        let spans = spans.unwrap_or_default().iter().step_by(self.width);
        spans.map(move |span| {
            // Spans end at ASCII bytes of checked text: always on a character boundary.
            let text = text.get(span.start() - base..span.end() - base).unwrap_or_default();
            (text, span.is_quoted())
        })
    }

    /// How many bytes some of the columns have in a row.
    pub(in super::super) fn row_bytes(&self, row: usize, columns: &[usize]) -> usize {
        columns.iter().map(|index| self.spans[row * self.width + index].len()).sum()
    }

    /// As many bytes as the fields of all rows have, or more.
    pub(in super::super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// A fault of one field, at the line the field starts on.
    pub(in super::super) fn fault_at(&self, row: usize, index: usize, what: impl Into<String>) -> Error {
        let before = self.spans[row * self.width + index].start() - self.base;
        let line = self.line + lines(self.text.as_bytes().get(..before).unwrap_or_default());
        Error::data(what).at(place(self.file, line))
    }
}
