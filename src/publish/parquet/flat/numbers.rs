//! Columns of numbers: dictionary, deltas or plain, as measured at the start of each chunk.

use std::sync::atomic::{AtomicBool, Ordering};

use super::bitpack::{hybrid, width};
use super::delta::Delta;
use super::dictionary;
use super::number::{Number, Order, widen};
use super::page::Encoding;

/// Numbers looked at before the encoding is chosen; less than a page.
const SAMPLE: usize = 16_384;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Undecided,
    Dictionary,
    Delta,
    Plain,
}

/// The open page and the dictionary of a chunk.
pub(super) struct Numbers<T> {
    order: Order,
    /// Whether bounds are wanted.
    bounded: bool,
    mode: Mode,
    /// What a dictionary that grew too large gives way to.
    otherwise: Mode,
    waiting: Vec<T>,
    dictionary: dictionary::Numbers<T>,
    indices: Vec<u32>,
    /// Numbers in the dictionary's pages so far.
    indexed: usize,
    delta: Delta<T>,
    bounds: Option<(T, T)>,
}

impl<T: Number> Numbers<T> {
    pub(super) fn new(order: Order, bounded: bool) -> Self {
        Self {
            order,
            bounded,
            mode: Mode::Undecided,
            otherwise: Mode::Plain,
            waiting: Vec::new(),
            dictionary: dictionary::Numbers::new(),
            indices: Vec::new(),
            indexed: 0,
            delta: Delta::new(),
            bounds: None,
        }
    }

    /// Takes numbers into the page.
    pub(super) fn push(&mut self, numbers: &[T], hint: &AtomicBool) {
        match self.mode {
            Mode::Undecided => {
                self.waiting.extend_from_slice(numbers);
                if self.waiting.len() >= SAMPLE {
                    self.decide(false, hint);
                }
            }
            Mode::Dictionary => self.dictionary.index(numbers, &mut self.indices),
            Mode::Delta => {
                self.widen(numbers);
                self.delta.push(numbers);
            }
            Mode::Plain => {
                self.widen(numbers);
                self.waiting.extend_from_slice(numbers);
            }
        }
    }

    fn widen(&mut self, numbers: &[T]) {
        if self.bounded {
            widen(&mut self.bounds, numbers, self.order);
        }
    }

    /// Chooses the encoding of the chunk that takes the fewest bytes for what is waiting: all of
    /// the chunk (`whole`), or its beginning.
    fn decide(&mut self, whole: bool, hint: &AtomicBool) {
        let numbers = std::mem::take(&mut self.waiting);
        let plain = size_of_val(numbers.as_slice());
        let delta = if self.order == Order::Signed {
            self.delta.push(&numbers);
            self.delta.len()
        } else {
            usize::MAX
        };
        self.otherwise = if delta < plain { Mode::Delta } else { Mode::Plain };
        let mut indexed = usize::MAX;
        if !hint.load(Ordering::Relaxed) {
            self.dictionary.index(&numbers, &mut self.indices);
            let distinct = self.dictionary.entries().len();
            let indices = numbers.len() * bits(distinct) as usize / 8;
            // More of the same is to come that shares the dictionary.
            let entries = if whole { self.dictionary.bytes() } else { self.dictionary.bytes() / 16 };
            if distinct * 2 <= numbers.len() {
                indexed = indices + entries;
            }
        }
        self.mode = if indexed <= delta.min(plain) { Mode::Dictionary } else { self.otherwise };
        if self.mode != Mode::Delta {
            self.delta.clear();
        }
        if self.mode == Mode::Dictionary {
            self.dictionary.settle();
        } else {
            self.dictionary.clear();
            self.indices.clear();
            self.widen(&numbers);
        }
        self.waiting = numbers;
        if self.mode != Mode::Plain {
            self.waiting.clear();
        }
    }

    /// Whether the page should end, whatever its size.
    pub(super) fn page_ends(&self) -> bool {
        self.mode == Mode::Dictionary && self.dictionary.is_full()
    }

    /// About the bytes of the page's values.
    pub(super) fn page_bytes(&self) -> usize {
        match self.mode {
            Mode::Undecided | Mode::Plain => size_of_val(self.waiting.as_slice()),
            Mode::Dictionary => self.indices.len() * bits(self.dictionary.entries().len()) as usize / 8,
            Mode::Delta => self.delta.len(),
        }
    }

    /// Writes the page's values and begins another page.
    pub(super) fn end_page(&mut self, out: &mut Vec<u8>, hint: &AtomicBool) -> Encoding {
        if self.mode == Mode::Undecided {
            // NULL alone says nothing of the values to come.
            if self.waiting.is_empty() {
                return Encoding::Plain;
            }
            self.decide(true, hint);
        }
        match self.mode {
            Mode::Dictionary => {
                indices(&self.indices, self.dictionary.entries().len(), out);
                self.indexed += self.indices.len();
                self.indices.clear();
                if self.dictionary.is_full() {
                    hint.store(true, Ordering::Relaxed);
                    self.mode = self.otherwise;
                } else if self.dictionary.entries().len() * 2 > self.indexed {
                    self.mode = self.otherwise;
                }
                Encoding::Dictionary
            }
            Mode::Delta => {
                self.delta.finish(out);
                Encoding::Delta
            }
            Mode::Undecided | Mode::Plain => {
                T::append(&self.waiting, out);
                self.waiting.clear();
                Encoding::Plain
            }
        }
    }

    /// Ends the chunk after its last page: the bounds of its values.
    pub(super) fn end_chunk(&mut self) -> Option<(T, T)> {
        let entries = std::mem::replace(&mut self.dictionary, dictionary::Numbers::new());
        self.widen(entries.entries());
        self.dictionary = entries;
        self.dictionary.clear();
        self.mode = Mode::Undecided;
        self.indexed = 0;
        self.bounds.take()
    }

    /// The entries of the dictionary page and their number; nothing without one.
    pub(super) fn dictionary(&self, out: &mut Vec<u8>) -> usize {
        T::append(self.dictionary.entries(), out);
        self.dictionary.entries().len()
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.dictionary.held_bytes()
            + self.indices.capacity() * size_of::<u32>()
            + self.waiting.capacity() * size_of::<T>()
            + self.delta.len()
    }

    /// About the encoded bytes that are not in a page yet.
    pub(super) fn open_bytes(&self) -> usize {
        self.page_bytes() + self.dictionary.bytes()
    }
}

/// Bits of an index into a dictionary. At least one: some readers take no fewer.
pub(super) fn bits(entries: usize) -> u32 {
    width(entries.saturating_sub(1) as u64).max(1)
}

/// A page's indices into a dictionary of that many entries.
pub(super) fn indices(indices: &[u32], entries: usize, out: &mut Vec<u8>) {
    let width = bits(entries);
    out.push(u8::try_from(width).unwrap_or(32));
    hybrid(indices, width, out);
}
