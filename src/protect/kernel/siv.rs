//! AES-256-SIV (RFC 5297) for many short values of one domain: the key schedules, and all of S2V that depends on the
//! domain alone, are worked out once. The bytes are those of the `aes-siv` crate, which opens them again.
//!
//! ```text
//! D = dbl(CMAC(0^128)) xor CMAC(domain)                      once
//! T = value xorend D            of 16 bytes and more
//!     dbl(D) xor pad(value)     of fewer
//! V = CMAC(T)                                                the synthetic IV
//! C = value xor CTR(V without two bits)
//! ```

use aes::Aes256Enc;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _, consts::U16};
use zeroize::Zeroizing;

/// Bytes of the synthetic IV, which comes first.
pub(super) const IV_BYTES: usize = 16;
/// Bytes of a key: that of the CMAC, then that of the cipher.
pub(super) const KEY_BYTES: usize = 64;

type Block = [u8; 16];

/// Keyed and bound to a domain. No `Debug`: it holds keys.
pub(super) struct Siv {
    mac: Mac,
    cipher: Aes256Enc,
    /// D, and its double.
    domain: Zeroizing<[Block; 2]>,
}

/// CMAC (NIST SP 800-38B) with its two subkeys.
struct Mac {
    cipher: Aes256Enc,
    whole: Zeroizing<Block>,
    partial: Zeroizing<Block>,
}

impl Siv {
    /// `None` where the key is not [`KEY_BYTES`] long.
    pub(super) fn new(key: &[u8], domain: &[u8]) -> Option<Self> {
        if key.len() != KEY_BYTES {
            return None;
        }
        let (mac_key, cipher_key) = key.split_at_checked(KEY_BYTES / 2)?;
        let mac = Mac::new(Aes256Enc::new_from_slice(mac_key).ok()?);
        let cipher = Aes256Enc::new_from_slice(cipher_key).ok()?;
        let d = xor(double(mac.of(&[0; 16], [0; 16])), mac.of(domain, [0; 16]));
        Some(Self { mac, cipher, domain: Zeroizing::new([d, double(d)]) })
    }

    /// Appends synthetic IV and ciphertext of a value, [`IV_BYTES`] longer than it.
    pub(super) fn append(&self, value: &[u8], out: &mut Vec<u8>) {
        let [d, doubled] = *self.domain;
        let iv = if value.len() < 16 {
            let mut block = [0; 16];
            pad(value, &mut block);
            self.mac.of_block(xor(block, doubled))
        } else {
            self.mac.of(value, d)
        };
        out.extend_from_slice(&iv);
        let mut counter = iv;
        // RFC 5297, 2.5: so that adding to a 32-bit word never carries.
        counter[8] &= 0x7f;
        counter[12] &= 0x7f;
        let mut counter = u128::from_be_bytes(counter);
        for part in value.chunks(16) {
            let stream = encrypted(&self.cipher, counter.to_be_bytes());
            out.extend(part.iter().zip(stream).map(|(byte, key)| byte ^ key));
            counter = counter.wrapping_add(1);
        }
    }
}

impl Mac {
    fn new(cipher: Aes256Enc) -> Self {
        let whole = double(encrypted(&cipher, [0; 16]));
        Self { partial: Zeroizing::new(double(whole)), whole: Zeroizing::new(whole), cipher }
    }

    /// Of a message of one whole block.
    fn of_block(&self, block: Block) -> Block {
        encrypted(&self.cipher, xor(block, *self.whole))
    }

    /// Of a message whose last 16 bytes are xored with `end` first ("xorend"); a shorter one takes no `end`.
    fn of(&self, message: &[u8], end: Block) -> Block {
        let length = message.len();
        let from = length.saturating_sub(16);
        let last = if length == 0 { 0 } else { (length - 1) / 16 * 16 };
        let mut chain = [0; 16];
        for start in (0..last).step_by(16) {
            chain = encrypted(&self.cipher, xor(chain, ended(message, start, from, &end).0));
        }
        let (mut block, bytes) = ended(message, last, from, &end);
        let subkey = if bytes == 16 {
            *self.whole
        } else {
            block[bytes] = 0x80;
            *self.partial
        };
        encrypted(&self.cipher, xor(chain, xor(block, subkey)))
    }
}

/// The block of `message` at `start`, and how many bytes of it there are: from place `from` on xored with `end`.
fn ended(message: &[u8], start: usize, from: usize, end: &Block) -> (Block, usize) {
    let part = message.get(start..message.len().min(start + 16)).unwrap_or_default();
    let mut block = [0; 16];
    for ((place, byte), out) in part.iter().enumerate().zip(&mut block) {
        let ending = (start + place).checked_sub(from).and_then(|at| end.get(at));
        *out = byte ^ ending.copied().unwrap_or_default();
    }
    (block, part.len())
}

/// A one and zeros behind fewer than 16 bytes.
fn pad(value: &[u8], block: &mut Block) {
    for (out, byte) in block.iter_mut().zip(value.iter().chain(&[0x80])) {
        *out = *byte;
    }
}

/// The double in GF(2^128), as SP 800-38B and RFC 5297 have it.
fn double(block: Block) -> Block {
    let number = u128::from_be_bytes(block);
    // Without a branch on a secret.
    let carry = (number >> 127) * 0x87;
    ((number << 1) ^ carry).to_be_bytes()
}

fn xor(left: Block, right: Block) -> Block {
    (u128::from_ne_bytes(left) ^ u128::from_ne_bytes(right)).to_ne_bytes()
}

fn encrypted(cipher: &Aes256Enc, block: Block) -> Block {
    let mut block: Array<u8, U16> = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

#[cfg(test)]
mod tests {
    use aes_siv::KeyInit as _;
    use aes_siv::siv::Aes256Siv;

    use super::*;

    fn key() -> Vec<u8> {
        (0..64).map(|byte| byte * 3 + 1).collect()
    }

    #[test]
    fn the_bytes_are_those_of_another_implementation_at_every_length() {
        for domain in ["", "join/customer", "exactly sixteen.", "crm.customers/a_column_with_a_long_name"] {
            let siv = Siv::new(&key(), domain.as_bytes()).unwrap();
            let mut other = Aes256Siv::new_from_slice(&key()).unwrap();
            for length in (0..=200_usize).chain([4096, 5000]) {
                let value: Vec<u8> = (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
                let mut ours = vec![9];
                siv.append(&value, &mut ours);
                let theirs = other.encrypt([domain.as_bytes()], &value).unwrap();
                assert_eq!(ours[1..], theirs, "{domain}, {length} bytes");
                assert_eq!(other.decrypt([domain.as_bytes()], &ours[1..]).unwrap(), value);
            }
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(Siv::new(&key()[..32], b"").is_none() && Siv::new(&[], b"").is_none());
    }
}
