//! `DELTA_BINARY_PACKED`, written as the numbers come.

use super::bitpack::{BLOCK as MINIBLOCK, pack_wide, width};
use super::number::Number;
use super::thrift::{varint, zigzag};

/// Deltas that share a minimum; four miniblocks, each of a width of its own.
const BLOCK: usize = 4 * MINIBLOCK;

/// A page of numbers.
pub(super) struct Delta<T> {
    count: usize,
    first: T,
    previous: T,
    waiting: Vec<T>,
    blocks: Vec<u8>,
}

impl<T: Number> Delta<T> {
    pub(super) fn new() -> Self {
        Self { count: 0, first: T::ZERO, previous: T::ZERO, waiting: Vec::new(), blocks: Vec::new() }
    }

    pub(super) fn push(&mut self, mut numbers: &[T]) {
        if self.count == 0
            && let Some((&first, rest)) = numbers.split_first()
        {
            (self.first, self.previous, self.count) = (first, first, 1);
            numbers = rest;
        }
        self.count += numbers.len();
        if !self.waiting.is_empty() {
            let taken = numbers.len().min(BLOCK - self.waiting.len());
            let (now, later) = numbers.split_at(taken);
            self.waiting.extend_from_slice(now);
            numbers = later;
            if self.waiting.len() < BLOCK {
                return;
            }
            let waiting = std::mem::take(&mut self.waiting);
            self.block(&waiting);
            self.waiting = waiting;
            self.waiting.clear();
        }
        let (blocks, rest) = numbers.as_chunks::<BLOCK>();
        for block in blocks {
            self.block(block);
        }
        self.waiting.extend_from_slice(rest);
    }

    /// Writes up to a block of numbers.
    fn block(&mut self, numbers: &[T]) {
        let mut deltas = [T::ZERO; BLOCK];
        let mut previous = self.previous;
        for (delta, &number) in deltas.iter_mut().zip(numbers) {
            *delta = number.minus(previous);
            previous = number;
        }
        self.previous = previous;
        let deltas = &deltas[..numbers.len()];
        let least = deltas.iter().fold(T::LARGEST, |least, &delta| least.min(delta));
        let mut over = [0_u64; BLOCK];
        for (over, &delta) in over.iter_mut().zip(deltas) {
            *over = delta.minus(least).unsigned();
        }
        varint(zigzag(least.signed()), &mut self.blocks);
        let (miniblocks, _) = over.as_chunks::<MINIBLOCK>();
        let widths = self.blocks.len();
        self.blocks.extend_from_slice(&[0; BLOCK / MINIBLOCK]);
        for (index, miniblock) in miniblocks.iter().enumerate() {
            // Miniblocks beyond the last number have their width, zero, and no bytes.
            if index * MINIBLOCK >= numbers.len() {
                break;
            }
            let width = width(miniblock.iter().fold(0, |all, value| all | value));
            self.blocks[widths + index] = u8::try_from(width).unwrap_or(64);
            pack_wide(miniblock, width, &mut self.blocks);
        }
    }

    /// About the bytes of the page so far.
    pub(super) fn len(&self) -> usize {
        self.blocks.len() + self.waiting.len() * size_of::<T>()
    }

    /// Forgets the page.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.blocks.clear();
        self.count = 0;
    }

    /// Ends the page and begins another.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            self.block(&waiting);
            self.waiting = waiting;
        }
        // A page without a number is a head of zeros.
        let first = if self.count == 0 { T::ZERO } else { self.first };
        varint(BLOCK as u64, out);
        varint((BLOCK / MINIBLOCK) as u64, out);
        varint(self.count as u64, out);
        varint(zigzag(first.signed()), out);
        out.extend_from_slice(&self.blocks);
        self.clear();
    }
}
