//! Where the bytes are that end a field, sixty-four bytes at a time.

/// Bytes looked at in one step.
pub(super) const BLOCK_BYTES: usize = 64;

/// Finds the next of four bytes, going forward. Each block is looked at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    bytes: [u8; 4],
    /// Where the block of `found` starts.
    block: usize,
    /// The marks of the block that are not yet given, one bit each.
    found: u64,
}

impl Marks {
    pub(super) fn new(bytes: [u8; 4]) -> Self {
        Self { bytes, block: 0, found: 0 }
    }

    /// Goes to a position; `buffer` has a whole block behind it.
    pub(super) fn go_to(&mut self, buffer: &[u8], at: usize) {
        self.block = at / BLOCK_BYTES * BLOCK_BYTES;
        self.found = self.look(buffer) & (u64::MAX << (at % BLOCK_BYTES));
    }

    /// The next mark before `end`, or `end`. `buffer` has a whole block behind `end`.
    #[inline]
    pub(super) fn next(&mut self, buffer: &[u8], end: usize) -> usize {
        while self.found == 0 {
            if self.block + BLOCK_BYTES >= end {
                return end;
            }
            self.block += BLOCK_BYTES;
            self.found = self.look(buffer);
        }
        let at = self.block + self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        // What stands behind the end is from earlier.
        at.min(end)
    }

    /// One bit for each byte of the block.
    #[inline]
    fn look(&self, buffer: &[u8]) -> u64 {
        let Some(block) = buffer.get(self.block..).and_then(|rest| rest.first_chunk::<BLOCK_BYTES>()) else {
            return 0;
        };
        let [a, b, c, d] = self.bytes;
        // In two steps, since the compiler turns the first into wide comparisons.
        let mut flags = [0_u8; BLOCK_BYTES];
        for (flag, byte) in flags.iter_mut().zip(block) {
            *flag = u8::from(*byte == a) | u8::from(*byte == b) | u8::from(*byte == c) | u8::from(*byte == d);
        }
        // The product moves the lowest bit of each byte into the highest byte, in their order.
        let (words, _) = flags.as_chunks::<8>();
        words.iter().rev().fold(0, |bits, word| {
            bits << 8 | u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_before_the_end_is_found_once_and_no_neighbour_is_taken_for_one() {
        // 0x2B to 0x2D and 0xAC are the neighbours that a careless comparison takes for a comma.
        let plain = [0x2B, 0x2D, 0xAC, 0x21, 0x0B, 0x8A];
        for (start, end) in [(0, 0), (0, 64), (3, 70), (63, 64), (64, 128), (5, 200)] {
            for byte in *b",\"\n\r" {
                for at in start..end {
                    let mut data: Vec<u8> = plain.into_iter().cycle().take(end).collect();
                    data.resize(end + BLOCK_BYTES, b',');
                    (data[at], data[end - 1]) = (byte, byte);
                    let mut marks = Marks::new(*b",\"\n\r");
                    marks.go_to(&data, start);
                    assert_eq!(marks.next(&data, end), at);
                    if at < end - 1 {
                        assert_eq!(marks.next(&data, end), end - 1);
                    }
                    assert_eq!(marks.next(&data, end), end);
                }
            }
        }
    }
}
