//! A pseudorandom function of values, many at a time: AES-128 in CBC-MAC over messages of which none begins
//! another. (A block cipher chained over prefix-free messages is a pseudorandom function; a message of one
//! block is the cipher itself.)
//!
//! ```text
//! number   one block: the value as 128 bits, little-endian
//! bytes    length (4, little-endian) | the bytes | zeros up to a whole block
//! ```
//!
//! One key sees one of the two forms only. Values go through the cipher in lanes side by side, which is what
//! the instructions of today's machines are fast at: a few nanoseconds for a value.

use std::ops::Range;

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _, consts::U16};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::error::{Error, Result};
use crate::keys::DatasetKey;

/// Values in the cipher at once.
const LANES: usize = 64;
/// Bytes of a value beside its length in its first block.
const FIRST_BYTES: usize = BLOCK_BYTES - 4;
const BLOCK_BYTES: usize = 16;

type Block = Array<u8, U16>;

#[derive(Clone)]
pub(super) struct Prf(Aes128Enc);

impl Prf {
    /// The function for one kind of values of a column.
    ///
    /// # Errors
    /// `Failed` when the key cannot be used.
    pub(super) fn derive(key: &DatasetKey, kind: &str, column: &str) -> Result<Self> {
        let unusable = || Error::failed(format!("the key {} cannot make digests", key.id()));
        let mut mac =
            <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.secret().expose()).map_err(|_| unusable())?;
        // A kind holds no zero byte.
        mac.update(format!("sealift column digest\0{kind}\0{column}").as_bytes());
        let derived = zeroize::Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        let (half, _) = derived.split_first_chunk::<BLOCK_BYTES>().ok_or_else(unusable)?;
        Ok(Self(Aes128Enc::new(half.into())))
    }

    /// The sum over numbers.
    pub(super) fn of_numbers(&self, mut numbers: impl Iterator<Item = u128>) -> u128 {
        let mut lanes = [Block::default(); LANES];
        let mut sum = 0_u128;
        loop {
            let mut filled = 0;
            for (lane, number) in lanes.iter_mut().zip(numbers.by_ref()) {
                *lane = block(number);
                filled += 1;
            }
            let lanes = &mut lanes[..filled];
            self.0.encrypt_blocks(lanes);
            sum = lanes.iter().fold(sum, |sum, lane| sum.wrapping_add(number(lane)));
            if filled < LANES {
                return sum;
            }
        }
    }

    /// The sum over parts of `bytes`. A lane whose value has ended takes the next one.
    pub(super) fn of_bytes(&self, bytes: &[u8], mut values: impl Iterator<Item = Range<usize>>) -> u128 {
        let mut lanes = [Block::default(); LANES];
        let mut rests = [const { 0..0 }; LANES];
        let (mut busy, mut sum) = (0, 0_u128);
        loop {
            let free = lanes.iter_mut().zip(&mut rests).skip(busy);
            for ((lane, rest), value) in free.zip(values.by_ref()) {
                (*lane, *rest) = first(bytes, &value);
                busy += 1;
            }
            if busy == 0 {
                return sum;
            }
            self.0.encrypt_blocks(&mut lanes[..busy]);
            let mut going_on = 0;
            for at in 0..busy {
                let (lane, rest) = (lanes[at], rests[at].clone());
                if rest.is_empty() {
                    sum = sum.wrapping_add(number(&lane));
                } else {
                    (lanes[going_on], rests[going_on]) = next(&lane, bytes, rest);
                    going_on += 1;
                }
            }
            busy = going_on;
        }
    }
}

fn number(block: &Block) -> u128 {
    u128::from_le_bytes((*block).into())
}

fn block(number: u128) -> Block {
    number.to_le_bytes().into()
}

/// A value's first block, and where its bytes go on.
fn first(bytes: &[u8], value: &Range<usize>) -> (Block, Range<usize>) {
    let (head, rest) = split(value, FIRST_BYTES);
    // Arrow counts the bytes of an array in 31 bits.
    let length = value.len() as u128;
    (block(window(bytes, head) << 32 | length), rest)
}

/// The lane with the value's next block, and where its bytes go on.
fn next(lane: &Block, bytes: &[u8], rest: Range<usize>) -> (Block, Range<usize>) {
    let (head, rest) = split(&rest, BLOCK_BYTES);
    (block(number(lane) ^ window(bytes, head)), rest)
}

fn split(range: &Range<usize>, most: usize) -> (Range<usize>, Range<usize>) {
    let middle = range.end.min(range.start + most);
    (range.start..middle, middle..range.end)
}

/// At most 16 bytes, followed by zeros. Bytes beyond are read and cut off again where there are any: that is
/// one instruction, and copying a few bytes is many.
fn window(bytes: &[u8], part: Range<usize>) -> u128 {
    let wanted = part.len();
    let wide = bytes.get(part.start..).and_then(<[u8]>::first_chunk::<BLOCK_BYTES>);
    if let Some(wide) = wide {
        let cut = u32::try_from(8 * (BLOCK_BYTES - wanted)).unwrap_or(u32::MAX);
        return u128::from_le_bytes(*wide) & u128::MAX.checked_shr(cut).unwrap_or_default();
    }
    let mut padded = [0; BLOCK_BYTES];
    let part = bytes.get(part).unwrap_or_default();
    padded.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
    u128::from_le_bytes(padded)
}
