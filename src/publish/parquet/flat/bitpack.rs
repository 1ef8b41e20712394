//! Bit-packing, and the hybrid of packed and repeated runs that levels and dictionary indices are
//! written in.

#![expect(clippy::cast_possible_truncation, reason = "words are cut into bytes, and widths are under 65")]

use super::thrift::varint;

/// Values packed at a time.
pub(super) const BLOCK: usize = 32;

/// Bits that hold `value`.
pub(super) const fn width(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Packs values of `width` bits (0 to 32), the lowest bit first; the last group of eight is filled
/// up with zeros.
pub(super) fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    macro_rules! dispatch {
        ($($bits:literal)*) => {
            match width {
                $($bits => pack_width::<$bits>(values, out),)*
                _ => {}
            }
        };
    }
    dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

fn pack_width<const WIDTH: usize>(values: &[u32], out: &mut Vec<u8>) {
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    out.reserve((blocks.len() + 1) * WIDTH * 4);
    for block in blocks {
        out.extend_from_slice(&pack_block::<WIDTH>(block)[..WIDTH * 4]);
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        out.extend_from_slice(&pack_block::<WIDTH>(&block)[..rest.len().div_ceil(8) * WIDTH]);
    }
}

/// 32 values are as many words of 32 bits as a value has bits. Everything but the values is known
/// when it is compiled.
#[inline(always)]
fn pack_block<const WIDTH: usize>(values: &[u32; BLOCK]) -> [u8; BLOCK * 4] {
    let mut out = [0; BLOCK * 4];
    let (mut bits, mut filled, mut at) = (0_u64, 0, 0);
    for &value in values {
        bits |= u64::from(value) << filled;
        filled += WIDTH;
        if filled >= 32 {
            out[at..at + 4].copy_from_slice(&(bits as u32).to_le_bytes());
            at += 4;
            bits >>= 32;
            filled -= 32;
        }
    }
    out
}

/// The same for 32 values of up to 64 bits.
pub(super) fn pack_wide(values: &[u64; BLOCK], width: u32, out: &mut Vec<u8>) {
    if width <= 32 {
        return pack(&values.map(|value| value as u32), width, out);
    }
    let (mut bits, mut filled) = (0_u128, 0);
    for &value in values {
        bits |= u128::from(value) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            filled -= 64;
        }
    }
    // 32 values of any width end on a byte.
    out.extend_from_slice(&bits.to_le_bytes()[..filled as usize / 8]);
}

/// Dictionary indices of `width` bits (1 to 32): repeated runs where they are shorter, else packed.
pub(super) fn hybrid(values: &[u32], width: u32, out: &mut Vec<u8>) {
    // A repeated run costs its own head and value, and mostly the head of the packed run after it.
    let worth = (64 / width as usize).next_multiple_of(8).max(8);
    let (mut packed_from, mut at) = (0, 0);
    while let Some(group) = values[at..].first_chunk::<8>() {
        let first = group[0];
        if group.iter().fold(0, |other, value| other | (value ^ first)) != 0 {
            at += 8;
            continue;
        }
        let more = values[at + 8..].iter().take_while(|&&value| value == first).count();
        if more + 8 < worth {
            at += 8;
            continue;
        }
        packed_run(&values[packed_from..at], width, out);
        repeated_run(more + 8, first, width, out);
        at += more + 8;
        packed_from = at;
    }
    packed_run(&values[packed_from..], width, out);
}

fn packed_run(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if !values.is_empty() {
        varint((values.len().div_ceil(8) as u64) << 1 | 1, out);
        pack(values, width, out);
    }
}

fn repeated_run(count: usize, value: u32, width: u32, out: &mut Vec<u8>) {
    varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Whether each of `count` rows has a value: levels of one bit. Bits beyond the last row are zero.
pub(super) fn levels(bits: &[u8], count: usize, out: &mut Vec<u8>) {
    /// Bytes of one kind that are written as a repeated run.
    const WORTH: usize = 8;
    let whole = count / 8;
    let (mut packed_from, mut at) = (0, 0);
    while at < whole {
        let byte = bits[at];
        if byte != 0 && byte != 0xff {
            at += 1;
            continue;
        }
        let run = bits[at..whole].iter().take_while(|&&other| other == byte).count();
        if run >= WORTH {
            packed_bits(&bits[packed_from..at], out);
            repeated_run(run * 8, u32::from(byte & 1), 1, out);
            packed_from = at + run;
        }
        at += run;
    }
    packed_bits(&bits[packed_from..count.div_ceil(8)], out);
}

fn packed_bits(bits: &[u8], out: &mut Vec<u8>) {
    if !bits.is_empty() {
        varint((bits.len() as u64) << 1 | 1, out);
        out.extend_from_slice(bits);
    }
}

/// `count` levels that are all alike.
pub(super) fn same_levels(count: usize, level: bool, out: &mut Vec<u8>) {
    repeated_run(count, level.into(), 1, out);
}
