//! AES-256-GCM around one small secret. The sealed form is the same in every layer:
//!
//! ```text
//! nonce (12) | ciphertext (as long as the secret) | tag (16)
//! ```

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Tag};

use crate::error::{Error, Result};
use crate::secret::Secret;

/// Bytes of an AES-256 key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub(super) const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Fresh bytes from the system's random source.
///
/// # Errors
/// `Failed` when the system gives none.
#[expect(clippy::disallowed_methods, reason = "keys own their randomness: here it is drawn")]
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::failed("the system gives no random bytes"))?;
    Ok(bytes)
}

/// A fresh random secret.
///
/// # Errors
/// `Failed` when the system gives no randomness.
#[expect(clippy::disallowed_methods, reason = "keys own their randomness: here it is drawn")]
pub(super) fn random_secret(bytes: usize) -> Result<Secret> {
    let mut secret = zeroize::Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut secret).map_err(|_| Error::failed("the system gives no random bytes"))?;
    Ok(Secret::new(std::mem::take(&mut *secret)))
}

/// Seals `plain` under `key` with a fresh nonce; `aad` is bound to it and not contained in it.
///
/// # Errors
/// `Failed` when `key` is not an AES-256 key or the system gives no randomness.
pub(super) fn seal(key: &Secret, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    seal_with(key, random()?, aad, plain)
}

/// [`seal`] with a given nonce, which must never be used twice with one key.
pub(super) fn seal_with(key: &Secret, nonce: [u8; NONCE_BYTES], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut sealed = Vec::with_capacity(NONCE_BYTES + plain.len() + TAG_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = cipher(key)?
        .encrypt_inout_detached((&nonce).into(), aad, (&mut sealed[NONCE_BYTES..]).into())
        .map_err(|_| Error::failed("a key is too long to be wrapped"))?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// `Failed` when the key, the bytes or `aad` are not those that were sealed.
pub(super) fn open(key: &Secret, aad: &[u8], sealed: &[u8]) -> Result<Secret> {
    let altered = || Error::failed("a wrapped key was altered, or was wrapped by another key");
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(altered)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(altered)?;
    let mut plain = zeroize::Zeroizing::new(ciphertext.to_vec());
    cipher(key)?
        .decrypt_inout_detached(nonce.into(), aad, plain.as_mut_slice().into(), &Tag::from(*tag))
        .map_err(|_| altered())?;
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

fn cipher(key: &Secret) -> Result<Aes256Gcm> {
    Aes256Gcm::new_from_slice(key.expose()).map_err(|_| Error::failed("a wrapping key is not 32 bytes long"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_altered_byte_and_every_other_aad_is_refused() {
        let key = Secret::new(vec![7; 32]);
        let sealed = seal(&key, b"id", b"0123456789abcdef").unwrap();
        assert_eq!(open(&key, b"id", &sealed).unwrap().expose(), b"0123456789abcdef");
        assert!(open(&key, b"di", &sealed).is_err());
        assert!(open(&Secret::new(vec![8; 32]), b"id", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(open(&key, b"id", &altered).is_err(), "byte {at}");
            assert!(open(&key, b"id", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_cipher_is_that_of_the_gcm_specification() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16 (AES-256, with AAD).
        let bytes = |text: &str| hex::decode(text).unwrap();
        let key = Secret::new(bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"));
        let sealed = bytes(concat!(
            "cafebabefacedbaddecaf888",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ));
        let aad = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plain = bytes(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        ));
        assert_eq!(open(&key, &aad, &sealed).unwrap().expose(), plain);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_its_own_key_and_data_alone(
            key in any::<[u8; 32]>(), aad in any::<Vec<u8>>(), plain in any::<Vec<u8>>(), at in any::<usize>(), bit in 0..8
        ) {
            let key = Secret::new(key.to_vec());
            let sealed = seal(&key, &aad, &plain).unwrap();
            prop_assert_eq!(sealed.len(), NONCE_BYTES + plain.len() + TAG_BYTES);
            let opened = open(&key, &aad, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &plain[..]);
            let mut altered = sealed.clone();
            altered[at % sealed.len()] ^= 1_u8 << bit;
            prop_assert!(open(&key, &aad, &altered).is_err());
            prop_assert!(open(&key, &[&aad[..], b"x"].concat(), &sealed).is_err());
        }
    }

    #[test]
    fn a_nonce_is_never_used_twice() {
        let key = Secret::new(vec![7; 32]);
        let nonces: std::collections::BTreeSet<_> =
            (0..1_000).map(|_| seal(&key, b"", b"x").unwrap()[..NONCE_BYTES].to_vec()).collect();
        assert_eq!(nonces.len(), 1_000);
    }

    #[test]
    fn a_short_key_is_an_error() {
        assert!(seal(&Secret::new(vec![7; 31]), b"", b"x").is_err());
    }
}
