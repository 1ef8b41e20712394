//! `hash`: HMAC-SHA-256 of the canonical bytes, as `h<key version>:` and 64 hex digits.

use arrow::array::{Array, ArrayRef};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::cache::Cache;
use super::form::Form;
use super::text;
use crate::error::{Error, Result};
use crate::keys::DatasetKey;
use crate::spec::action::Canonical;

const DIGEST_BYTES: usize = 32;

pub(super) struct Kernel {
    /// Keyed once; cloned for each value.
    keyed: Hmac<Sha256>,
    prefix: String,
    form: Form,
    cache: Cache,
}

impl Kernel {
    /// # Errors
    /// `Failed` when the key is not made for hashing.
    pub(super) fn new(key: &DatasetKey) -> Result<Self> {
        if key.secret().expose().len() != 32 {
            return Err(Error::failed(format!("the key {} is not 32 bytes long", key.id())));
        }
        Ok(Self {
            keyed: keyed(key.secret().expose())?,
            prefix: super::prefix('h', key),
            form: Form::new(Canonical::Text),
            cache: Cache::new(),
        })
    }

    /// The same, of values in this form.
    pub(super) fn of_form(mut self, canonical: Canonical) -> Self {
        self.form = Form::new(canonical);
        self.prefix = self.form.named(&self.prefix);
        self
    }
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| Error::failed("a hash key cannot be used"))
}

/// The digit of four bits, without a table that memory would show the use of.
const fn hex_digit(bits: u8) -> u8 {
    // Letters are 39 places behind where digits would go on.
    bits + b'0' + 39 * ((bits + 6) >> 4)
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let Self { keyed, prefix, form, cache } = self;
        let mut out = text::Builder::new(column.len(), prefix.len() + 2 * DIGEST_BYTES);
        form.each(column, |value| {
            if let Some(value) = value {
                cache.append(value, out.values(), |out| {
                    let digest = keyed.clone().chain_update(value).finalize().into_bytes();
                    out.extend_from_slice(prefix.as_bytes());
                    for byte in digest {
                        out.extend([byte >> 4, byte & 15].map(hex_digit));
                    }
                    Ok(())
                })?;
            }
            out.end()
        })?;
        out.finish(column.nulls())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray as _, StringArray};
    use proptest::prelude::*;

    use super::super::Kernel as _;
    use super::*;

    proptest! {
        #[test]
        fn equal_values_have_equal_hashes_and_no_others(values in prop::collection::vec(".{0,40}", 2..20)) {
            let key = DatasetKey::for_tests("sealift:join/x#hash@1", &[1; 32]);
            let column: ArrayRef = Arc::new(StringArray::from(values.clone()));
            let hashes = Kernel::new(&key).unwrap().apply(&column).unwrap();
            let hashes = hashes.as_string::<i32>();
            for (one, value) in values.iter().enumerate() {
                prop_assert_eq!(hashes.value(one).len(), "h1:".len() + 2 * DIGEST_BYTES);
                for (other, with) in values.iter().enumerate() {
                    prop_assert_eq!(hashes.value(one) == hashes.value(other), value == with);
                }
            }
        }
    }

    #[test]
    fn the_digest_is_that_of_rfc_4231() {
        // Test cases 2, 1 and 6 (a key that is longer than a block).
        let mac = keyed(b"Jefe").unwrap().chain_update(b"what do ya want for nothing?").finalize();
        assert_eq!(
            hex::encode(mac.into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let mac = keyed(&[0x0b; 20]).unwrap().chain_update(b"Hi There").finalize();
        assert_eq!(
            hex::encode(mac.into_bytes()),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let mac = keyed(&[0xaa; 131]).unwrap().chain_update(long).finalize();
        assert_eq!(
            hex::encode(mac.into_bytes()),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn digits_are_those_of_hex() {
        let digits: Vec<u8> = (0..16).map(hex_digit).collect();
        assert_eq!(digits, b"0123456789abcdef");
    }

    #[test]
    fn a_token_key_does_not_hash() {
        assert!(Kernel::new(&DatasetKey::for_tests("sealift:join/x#hash@1", &[1; 64])).is_err());
    }
}
