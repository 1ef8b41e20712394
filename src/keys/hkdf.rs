//! HKDF-SHA-256 (RFC 5869): keys out of a key.

use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Keyed with a salt, which is no secret.
pub struct Hkdf(Salt);

/// Bytes asked for.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl Hkdf {
    /// Keyed with this salt.
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, salt))
    }

    /// Extracts from `key` and expands for `info`: other bytes for each `info`.
    ///
    /// # Errors
    /// `Failed` for more than 255 times 32 bytes.
    pub fn derive<const N: usize>(&self, key: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; N]>> {
        let mut out = Zeroizing::new([0; N]);
        self.0
            .extract(key)
            .expand(&[info], Bytes(N))
            .and_then(|derived| derived.fill(out.as_mut_slice()))
            .map_err(|_| Error::failed("a key cannot be derived"))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_rfc_5869() {
        // Appendix A.1 and A.3 (no salt, no info).
        let derived = Hkdf::new(&hex::decode("000102030405060708090a0b0c").unwrap())
            .derive::<42>(&[0x0b; 22], &hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap())
            .unwrap();
        assert_eq!(
            hex::encode(*derived),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
        let derived = Hkdf::new(&[]).derive::<42>(&[0x0b; 22], &[]).unwrap();
        assert_eq!(
            hex::encode(*derived),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }
}
