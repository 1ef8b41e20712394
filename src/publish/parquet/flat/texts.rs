//! Columns of strings of bytes: dictionary, or all values one after the other.

use std::cmp::Ordering as Cmp;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::OffsetSizeTrait;

use super::delta::Delta;
use super::dictionary;
use super::numbers::{bits, indices};
use super::page::Encoding;

/// Values, or their bytes, looked at before the encoding is chosen.
const SAMPLE: usize = 8_192;
const SAMPLE_BYTES: usize = 256 << 10;
/// Texts that are longer on average get no dictionary, which would hold them twice.
const LONG_BYTES: usize = 4 << 10;

/// How texts compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Bytes,
    /// Two's complement numbers of one length, the highest byte first.
    Signed,
}

impl Order {
    fn compare(self, a: &[u8], b: &[u8]) -> Cmp {
        match (self, a.split_first(), b.split_first()) {
            (Self::Signed, Some((first, rest)), Some((other, others))) => {
                (first ^ 0x80, rest).cmp(&(other ^ 0x80, others))
            }
            _ => a.cmp(b),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Undecided,
    Dictionary,
    Plain,
}

/// The open page and the dictionary of a chunk.
pub(super) struct Texts {
    /// Whether all values are of one length, which is in the schema.
    fixed: bool,
    order: Order,
    /// Whether bounds are wanted.
    bounded: bool,
    mode: Mode,
    lengths: Vec<i32>,
    bytes: Vec<u8>,
    dictionary: dictionary::Texts,
    indices: Vec<u32>,
    /// Values in the dictionary's pages so far.
    indexed: usize,
    bounds: Option<(Vec<u8>, Vec<u8>)>,
}

impl Texts {
    pub(super) fn new(fixed: bool, order: Order, bounded: bool) -> Self {
        Self {
            fixed,
            order,
            bounded,
            mode: Mode::Undecided,
            lengths: Vec::new(),
            bytes: Vec::new(),
            dictionary: dictionary::Texts::new(),
            indices: Vec::new(),
            indexed: 0,
            bounds: None,
        }
    }

    /// Takes the values between these offsets into the page. None of them may be NULL.
    pub(super) fn push<O: OffsetSizeTrait>(&mut self, offsets: &[O], data: &[u8], hint: &AtomicBool) {
        if self.mode == Mode::Dictionary {
            self.dictionary.index(offsets, data, &mut self.indices);
            return;
        }
        let texts = offsets.windows(2).map(|ends| &data[ends[0].as_usize()..ends[1].as_usize()]);
        if self.mode == Mode::Plain && self.bounded {
            texts.clone().for_each(|text| widen(&mut self.bounds, text, self.order));
        }
        // Longer ones are refused when their page ends.
        self.lengths.extend(texts.map(|text| i32::try_from(text.len()).unwrap_or(i32::MAX)));
        if let [first, .., last] = offsets {
            self.bytes.extend_from_slice(&data[first.as_usize()..last.as_usize()]);
        }
        if self.mode == Mode::Undecided && (self.lengths.len() >= SAMPLE || self.bytes.len() >= SAMPLE_BYTES)
        {
            self.decide(false, hint);
        }
    }

    /// Chooses the encoding of the chunk by what is waiting: all of the chunk (`whole`), or its
    /// beginning.
    fn decide(&mut self, whole: bool, hint: &AtomicBool) {
        self.mode = Mode::Plain;
        let plain = self.bytes.len() + if self.fixed { 0 } else { self.lengths.len() };
        let are_long = self.bytes.len() > self.lengths.len() * LONG_BYTES;
        if !are_long && !hint.load(Ordering::Relaxed) {
            let mut end = 0;
            let ends = self.lengths.iter().map(|&length| {
                end += i64::from(length);
                end
            });
            let offsets: Vec<_> = std::iter::once(0).chain(ends).collect();
            self.dictionary.index(&offsets, &self.bytes, &mut self.indices);
            let distinct = self.dictionary.len();
            let indices = self.lengths.len() * bits(distinct) as usize / 8;
            let entries = if whole { self.dictionary.bytes() } else { self.dictionary.bytes() / 2 };
            if distinct * 2 <= self.lengths.len() && indices + entries <= plain {
                self.mode = Mode::Dictionary;
                self.lengths.clear();
                self.bytes.clear();
                return;
            }
        }
        self.dictionary.clear();
        self.indices.clear();
        if self.bounded {
            let mut rest = self.bytes.as_slice();
            for &length in &self.lengths {
                let (text, after) = rest.split_at(usize::try_from(length).unwrap_or_default());
                widen(&mut self.bounds, text, self.order);
                rest = after;
            }
        }
    }

    /// Whether the page should end, whatever its size.
    pub(super) fn page_ends(&self) -> bool {
        self.mode == Mode::Dictionary && self.dictionary.is_full()
    }

    /// About the bytes of the page's values.
    pub(super) fn page_bytes(&self) -> usize {
        match self.mode {
            Mode::Dictionary => self.indices.len() * bits(self.dictionary.len()) as usize / 8,
            Mode::Undecided | Mode::Plain => self.bytes.len() + self.lengths.len(),
        }
    }

    /// Writes the page's values and begins another page.
    pub(super) fn end_page(&mut self, out: &mut Vec<u8>, hint: &AtomicBool) -> Encoding {
        if self.mode == Mode::Undecided {
            // NULL alone says nothing of the values to come.
            if self.lengths.is_empty() {
                return Encoding::Plain;
            }
            self.decide(true, hint);
        }
        if self.mode == Mode::Dictionary {
            indices(&self.indices, self.dictionary.len(), out);
            self.indexed += self.indices.len();
            self.indices.clear();
            if self.dictionary.is_full() {
                hint.store(true, Ordering::Relaxed);
                self.mode = Mode::Plain;
            } else if self.dictionary.len() * 2 > self.indexed {
                self.mode = Mode::Plain;
            }
            return Encoding::Dictionary;
        }
        if !self.fixed {
            let mut lengths = Delta::new();
            lengths.push(&self.lengths);
            lengths.finish(out);
        }
        out.extend_from_slice(&self.bytes);
        self.lengths.clear();
        self.bytes.clear();
        if self.fixed { Encoding::Plain } else { Encoding::DeltaLength }
    }

    /// Ends the chunk after its last page: the bounds of its values.
    pub(super) fn end_chunk(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        if self.bounded {
            let (bounds, order) = (&mut self.bounds, self.order);
            self.dictionary.entries().for_each(|text| widen(bounds, text, order));
        }
        self.dictionary.clear();
        self.mode = Mode::Undecided;
        self.indexed = 0;
        self.bounds.take()
    }

    /// The entries of the dictionary page and their number; nothing without one.
    pub(super) fn dictionary(&self, out: &mut Vec<u8>) -> usize {
        for text in self.dictionary.entries() {
            if !self.fixed {
                out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            }
            out.extend_from_slice(text);
        }
        self.dictionary.len()
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.dictionary.held_bytes()
            + (self.indices.capacity() + self.lengths.capacity()) * size_of::<u32>()
            + self.bytes.capacity()
    }

    /// About the encoded bytes that are not in a page yet.
    pub(super) fn open_bytes(&self) -> usize {
        self.page_bytes() + self.dictionary.bytes()
    }
}

/// Widens bounds so that they hold the text.
fn widen(bounds: &mut Option<(Vec<u8>, Vec<u8>)>, text: &[u8], order: Order) {
    let Some((min, max)) = bounds else {
        *bounds = Some((text.to_vec(), text.to_vec()));
        return;
    };
    let wider = if order.compare(text, min) == Cmp::Less {
        min
    } else if order.compare(text, max) == Cmp::Greater {
        max
    } else {
        return;
    };
    wider.clear();
    wider.extend_from_slice(text);
}
