//! `tokenize`: AES-256-SIV (RFC 5297) of the canonical bytes, without a nonce and so deterministic.
//!
//! ```text
//! t<key version>: base64url without padding ( synthetic IV (16) | ciphertext )
//! associated data: the domain, `join/<name>` or `<ns>.<name>/<column>`
//! ```
//!
//! The key (64 bytes) is the MAC key followed by the encryption key.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use arrow::array::{Array, ArrayRef};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::cache::Cache;
use super::form::Form;
use super::siv::{self, IV_BYTES, Siv};
use super::text;
use crate::error::{Error, Result};
use crate::keys::{DatasetKey, Domain};
use crate::spec::action::Canonical;

/// What a value is reckoned to take before it is seen: enough for most identifiers.
const USUAL_BYTES: usize = 32;

pub(super) struct Kernel {
    tokens: Tokens,
    form: Form,
}

impl Kernel {
    /// # Errors
    /// As [`Tokens::new`].
    pub(super) fn new(key: &DatasetKey, domain: &Domain) -> Result<Self> {
        Ok(Self { tokens: Tokens::new(key, domain)?, form: Form::new(Canonical::Text) })
    }

    /// The same, of values in this form.
    pub(super) fn of_form(mut self, canonical: Canonical) -> Self {
        self.form = Form::new(canonical);
        self.tokens.prefix = self.form.named(&self.tokens.prefix);
        self
    }
}

/// Makes tokens of one domain.
pub(super) struct Tokens {
    siv: Siv,
    prefix: String,
    /// One value as ciphertext.
    sealed: Vec<u8>,
    cache: Cache,
}

impl Tokens {
    /// # Errors
    /// `Failed` when the key is not made for tokens.
    pub(super) fn new(key: &DatasetKey, domain: &Domain) -> Result<Self> {
        let siv = Siv::new(key.secret().expose(), domain.to_string().as_bytes()).ok_or_else(|| unfit(key))?;
        Ok(Self { siv, prefix: super::prefix('t', key), sealed: Vec::new(), cache: Cache::new() })
    }

    /// Appends the token of some canonical bytes.
    ///
    /// # Errors
    /// `Failed` for a value of exabytes.
    pub(super) fn append(&mut self, value: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Self { siv, prefix, sealed, cache } = self;
        cache.append(value, out, |out| {
            let failed = || Error::failed("a token could not be made");
            sealed.clear();
            siv.append(value, sealed);
            out.extend_from_slice(prefix.as_bytes());
            let start = out.len();
            out.resize(start + base64::encoded_len(sealed.len(), false).ok_or_else(failed)?, 0);
            let place = out.get_mut(start..).unwrap_or_default();
            URL_SAFE_NO_PAD.encode_slice(&*sealed, place).map_err(|_| failed())?;
            Ok(())
        })
    }
}

fn cipher(key: &DatasetKey) -> Result<Aes256Siv> {
    Aes256Siv::new_from_slice(key.secret().expose()).map_err(|_| unfit(key))
}

fn unfit(key: &DatasetKey) -> Error {
    Error::failed(format!("the key {} is not {} bytes long", key.id(), siv::KEY_BYTES))
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let Self { tokens, form } = self;
        let length = tokens.prefix.len() + (IV_BYTES + USUAL_BYTES) * 4 / 3;
        let mut out = text::Builder::new(column.len(), length);
        form.each(column, |value| {
            if let Some(value) = value {
                tokens.append(value, out.values())?;
            }
            out.end()
        })?;
        out.finish(column.nulls())
    }
}

/// The canonical bytes that a token stands for.
///
/// # Errors
/// `Failed` when the text is no token, or was made with another key or in another domain.
pub fn detokenize(key: &DatasetKey, domain: &Domain, token: &str) -> Result<Vec<u8>> {
    let foreign = || Error::failed(format!("not a token of the key {}", key.id()));
    let prefix = super::prefix('t', key);
    let rest = token.strip_prefix(prefix.trim_end_matches(':')).ok_or_else(foreign)?;
    // Where its values have a form, that is named before the colon; the rest of it is what the key seals.
    let (form, encoded) = rest.split_once(':').ok_or_else(foreign)?;
    if !form.is_empty() && !form.starts_with('.') {
        return Err(foreign());
    }
    let sealed = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| foreign())?;
    cipher(key)?.decrypt([domain.to_string().as_bytes()], &sealed).map_err(|_| foreign())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cipher_is_that_of_rfc_5297() {
        // Appendix A.1, the deterministic example (it has AES-128 keys; ours differ in length only).
        let key = hex::decode("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap();
        let associated = hex::decode("101112131415161718191a1b1c1d1e1f2021222324252627").unwrap();
        let plain = hex::decode("112233445566778899aabbccddee").unwrap();
        let mut cipher = aes_siv::siv::Aes128Siv::new_from_slice(&key).unwrap();
        assert_eq!(
            hex::encode(cipher.encrypt([&associated], &plain).unwrap()),
            "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
        );
    }
}
