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
                *lane = number.to_le_bytes().into();
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

    /// The sum over byte strings. A lane whose value has ended takes the next one.
    pub(super) fn of_bytes<'v>(&self, mut values: impl Iterator<Item = &'v [u8]>) -> u128 {
        let mut lanes = [Block::default(); LANES];
        let mut rests: [&[u8]; LANES] = [&[]; LANES];
        let (mut busy, mut sum) = (0, 0_u128);
        loop {
            for ((lane, rest), value) in lanes.iter_mut().zip(&mut rests).skip(busy).zip(values.by_ref()) {
                (*lane, *rest) = first(value);
                busy += 1;
            }
            if busy == 0 {
                return sum;
            }
            self.0.encrypt_blocks(&mut lanes[..busy]);
            let mut going_on = 0;
            for at in 0..busy {
                if rests[at].is_empty() {
                    sum = sum.wrapping_add(number(&lanes[at]));
                } else {
                    (lanes[going_on], rests[going_on]) = next(lanes[at], rests[at]);
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

/// A value's first block, and its bytes beyond.
fn first(value: &[u8]) -> (Block, &[u8]) {
    // Arrow counts the bytes of an array in 31 bits.
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let (head, rest) = value.split_at(value.len().min(FIRST_BYTES));
    let mut block = [0; BLOCK_BYTES];
    block[..4].copy_from_slice(&length.to_le_bytes());
    block[4..][..head.len()].copy_from_slice(head);
    (block.into(), rest)
}

/// The lane with the value's next block, and its bytes beyond.
fn next(mut lane: Block, rest: &[u8]) -> (Block, &[u8]) {
    let (head, rest) = rest.split_at(rest.len().min(BLOCK_BYTES));
    lane.iter_mut().zip(head).for_each(|(lane, byte)| *lane ^= byte);
    (lane, rest)
}
