//! `tokenize`: AES-256-SIV (RFC 5297) of the canonical bytes, without a nonce and so deterministic.
//!
//! ```text
//! t<key version>: base64url without padding ( synthetic IV (16) | ciphertext )
//! associated data: the domain, `join/<name>` or `<ns>.<name>/<column>`
//! ```
//!
//! The key (64 bytes) is the MAC key followed by the encryption key.

use std::collections::BTreeMap;

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

/// Opens tokens of one domain, whichever version of its key made them. No `Debug`: it holds keys.
pub struct Opener {
    ciphers: BTreeMap<u32, Aes256Siv>,
    domain: Vec<u8>,
}

impl Opener {
    /// With these versions of the domain's key; the domain as it stands in key ids.
    ///
    /// # Errors
    /// `Failed` when a key is not made for tokens.
    pub fn new(keys: &[DatasetKey], domain: &impl std::fmt::Display) -> Result<Self> {
        let ciphers = keys.iter().map(|key| Ok((key.version(), cipher(key)?))).collect::<Result<_>>()?;
        Ok(Self { ciphers, domain: domain.to_string().into_bytes() })
    }

    /// The canonical bytes that a token stands for; `None` when the text is no token, was altered, or was made
    /// with another key or in another domain.
    pub fn open(&mut self, token: &str) -> Option<Vec<u8>> {
        let (made_by, encoded) = token.strip_prefix('t')?.split_once(':')?;
        // Where its values have a form, that is named behind the version; it is not part of what the key seals.
        let (version, form) = made_by.split_once('.').unwrap_or((made_by, "none"));
        let number: u32 = version.parse().ok()?;
        let is_form = !form.is_empty() && form.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_form || number.to_string() != version {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        self.ciphers.get_mut(&number)?.decrypt([&self.domain], &sealed).ok()
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
    let opened = Opener::new(std::slice::from_ref(key), domain)?.open(token);
    opened.ok_or_else(|| Error::failed(format!("not a token of the key {}", key.id())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_come_back_and_equal_ones_are_of_equal_values(one in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
            let domain = Domain::Join("customer".to_owned());
            let key = DatasetKey::for_tests("sealift:join/customer#tokenize@1", &[7; 64]);
            let mut tokens = Tokens::new(&key, &domain).unwrap();
            let mut token = |value: &[u8]| {
                let mut out = Vec::new();
                tokens.append(value, &mut out).unwrap();
                String::from_utf8(out).unwrap()
            };
            let (first, second) = (token(&one), token(&other));
            prop_assert_eq!(&first, &token(&one));
            prop_assert_eq!(first == second, one == other);
            let mut opener = Opener::new(&[key], &"join/customer").unwrap();
            prop_assert_eq!(opener.open(&first), Some(one));
        }
    }

    #[test]
    fn every_version_of_a_key_opens_its_own_tokens_and_nothing_else() {
        let domain = Domain::Join("customer".to_owned());
        let key = |version: u32, byte| {
            DatasetKey::for_tests(&format!("sealift:join/customer#tokenize@{version}"), &[byte; 64])
        };
        let token = |key: &DatasetKey| {
            let mut out = Vec::new();
            Tokens::new(key, &domain).unwrap().append(b"anna", &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let keys = [key(1, 7), key(2, 8)];
        let mut opener = Opener::new(&keys, &"join/customer").unwrap();
        let tokens: Vec<String> = keys.iter().map(token).collect();
        assert!(tokens.iter().all(|token| opener.open(token).as_deref() == Some(b"anna".as_slice())));
        let of_form = tokens[0].replace("t1:", "t1.email1:");
        assert_eq!(opener.open(&of_form).as_deref(), Some(b"anna".as_slice()));
        let sealed = tokens[0].strip_prefix("t1:").unwrap();
        for forged in ["t2:", "t3:", "t01:", "t+1:", "t1.:", "t1.A:", "t1. :", "h1:", "T1:", "1:", ""] {
            assert_eq!(opener.open(&format!("{forged}{sealed}")), None, "{forged}");
        }
        for forged in
            ["", "t1:", "t1:AAAA", "t1:====", &format!("{}=", tokens[0]), &format!(" {}", tokens[0])]
        {
            assert_eq!(opener.open(forged), None, "{forged}");
        }
        let mut elsewhere = Opener::new(&keys, &"join/supplier").unwrap();
        assert_eq!(elsewhere.open(&tokens[0]), None);
        assert!(
            Opener::new(&[DatasetKey::for_tests("sealift:join/x#tokenize@1", &[1; 32])], &domain).is_err()
        );
    }

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
