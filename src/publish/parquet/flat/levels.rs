//! Bits: which rows have a value, and the values of boolean columns.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::{BooleanBuffer, NullBuffer};

use super::bitpack::{levels, same_levels};

/// Which rows of a page have a value.
#[derive(Default)]
pub(super) struct Levels {
    rows: usize,
    nulls: usize,
    /// From the first NULL of the page on.
    valid: Option<BooleanBufferBuilder>,
}

impl Levels {
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn append(&mut self, rows: usize, nulls: Option<&NullBuffer>) {
        if let Some(nulls) = nulls {
            self.nulls += nulls.null_count();
            let valid = self.valid.get_or_insert_with(|| {
                let mut valid = BooleanBufferBuilder::new(self.rows + rows);
                valid.append_n(self.rows, true);
                valid
            });
            valid.append_buffer(nulls.inner());
        } else if let Some(valid) = &mut self.valid {
            valid.append_n(rows, true);
        }
        self.rows += rows;
    }

    /// Writes the page's levels, where the column has any, and begins another page. Answers the
    /// page's NULLs.
    pub(super) fn end_page(&mut self, nullable: bool, out: &mut Vec<u8>) -> usize {
        let Self { rows, nulls, valid } = std::mem::take(self);
        if nullable {
            // Their length comes first, when it is known.
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            match valid {
                Some(mut valid) if nulls < rows => levels(valid.finish().values(), rows, out),
                _ => same_levels(rows, nulls == 0, out),
            }
            let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        nulls
    }
}

/// Boolean values of a page, and whether each was seen in the chunk.
pub(super) struct Bits {
    page: BooleanBufferBuilder,
    seen: [bool; 2],
}

impl Default for Bits {
    fn default() -> Self {
        Self { page: BooleanBufferBuilder::new(0), seen: [false; 2] }
    }
}

impl Bits {
    pub(super) fn append(&mut self, bits: &BooleanBuffer) {
        let ones = bits.count_set_bits();
        self.seen = [self.seen[0] || ones < bits.len(), self.seen[1] || ones > 0];
        self.page.append_buffer(bits);
    }

    pub(super) fn push(&mut self, bit: bool) {
        self.seen[usize::from(bit)] = true;
        self.page.append(bit);
    }

    pub(super) fn bytes(&self) -> usize {
        self.page.len() / 8
    }

    pub(super) fn end_page(&mut self, out: &mut Vec<u8>) {
        let bits = self.page.finish();
        out.extend_from_slice(&bits.values()[..bits.len().div_ceil(8)]);
    }

    /// The smallest and the largest value of the chunk; begins another.
    pub(super) fn end_chunk(&mut self) -> Option<(bool, bool)> {
        let [no, yes] = std::mem::take(&mut self.seen);
        (no || yes).then_some((!no, yes))
    }
}
