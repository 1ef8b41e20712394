//! `hash`: HMAC-SHA-256 of the canonical bytes, as `h<key version>:` and 64 hex digits.

use arrow::array::{Array, ArrayRef};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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
}

impl Kernel {
    /// # Errors
    /// `Failed` when the key is not made for hashing.
    pub(super) fn new(key: &DatasetKey) -> Result<Self> {
        if key.secret().expose().len() != 32 {
            return Err(Error::failed(format!("the key {} is not 32 bytes long", key.id())));
        }
        let form = Form::new(Canonical::Text);
        Ok(Self { keyed: keyed(key.secret().expose())?, prefix: super::prefix('h', key), form })
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

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let mut out = text::Builder::new(column.len(), self.prefix.len() + 2 * DIGEST_BYTES);
        self.form.each(column, |value| {
            if let Some(value) = value {
                let digest = self.keyed.clone().chain_update(value).finalize().into_bytes();
                let values = out.values();
                values.extend_from_slice(self.prefix.as_bytes());
                let start = values.len();
                values.resize(start + 2 * DIGEST_BYTES, 0);
                hex::encode_to_slice(digest, &mut values[start..])
                    .map_err(|_| Error::failed("a hash could not be written"))?;
            }
            out.end()
        })?;
        out.finish(column.nulls())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_rfc_4231() {
        // Test case 2.
        let mac = keyed(b"Jefe").unwrap().chain_update(b"what do ya want for nothing?").finalize();
        assert_eq!(
            hex::encode(mac.into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_token_key_does_not_hash() {
        assert!(Kernel::new(&DatasetKey::for_tests("sealift:join/x#hash@1", &[1; 64])).is_err());
    }
}
