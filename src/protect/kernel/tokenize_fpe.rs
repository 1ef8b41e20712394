//! `tokenize_fpe`: FF1 of NIST SP 800-38G with AES-256 over the characters of an alphabet, in order; separators
//! stay where they are.
//!
//! ```text
//! alphabet     digits: 0-9, radix 10; alphanumeric: 0-9 A-Z a-z, radix 62, in this order
//! separators   blank and - . / ( ) + : , _
//! tweak        UTF-8 of the domain, `join/<name>` or `<ns>.<name>/<column>`
//! ```
//!
//! SP 800-38G Rev. 1 wants a domain of 10^6 at the least: 6 digits, 4 characters of the other alphabet. A token has
//! the form of its value, and so no room for the version of its key.

use ::fpe::ff1::{FF1, FlexibleNumeralString};
use aes::Aes256;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;

use super::text;
use crate::error::{Error, Result};
use crate::keys::{DatasetKey, Domain};
use crate::spec::action::{Alphabet, Fpe, OnUnfit};

const KEY_BYTES: usize = 32;
/// Most characters of the alphabet in one value: the work grows with the square of them.
const MAX_NUMERALS: usize = 128;
const SEPARATORS: &str = " -./()+:,_";

pub(super) struct Kernel {
    tokens: Tokens,
    on_unfit: OnUnfit,
    path: String,
}

impl Kernel {
    /// # Errors
    /// `Failed` when the key is not made for these tokens.
    pub(super) fn new(key: &DatasetKey, domain: &Domain, how: &Fpe, path: &str) -> Result<Self> {
        let tokens = Tokens::new(key, domain, how.alphabet)?;
        Ok(Self { tokens, on_unfit: how.on_unfit, path: path.to_owned() })
    }

    fn unfit(&self) -> Error {
        let (least, kind) = match self.tokens.alphabet {
            Alphabet::Digits => (6, "digits"),
            Alphabet::Alphanumeric => (4, "letters and digits without accents"),
        };
        Error::data(format!(
            "column `{}` holds a value that `tokenize_fpe` cannot replace: it takes {least} to {MAX_NUMERALS} {kind}, \
             with separators such as `-` between them",
            self.path
        ))
        .help("mend such values in `transform`, let them become NULL with `on_unfit: null`, or use `tokenize`, which takes any text")
    }
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let values =
            column.as_string_opt::<i32>().ok_or_else(|| Error::failed("only text has a format to keep"))?;
        let mut out = text::Builder::new(values.len(), values.value_data().len() / values.len().max(1));
        let mut there = Vec::with_capacity(values.len());
        for value in values {
            let token = value.and_then(|value| self.tokens.token(value));
            there.push(token.is_some());
            if token.is_none() && value.is_some() && self.on_unfit == OnUnfit::Fail {
                return Err(self.unfit());
            }
            out.values().extend_from_slice(token.unwrap_or_default().as_bytes());
            out.end()?;
        }
        let nulls = NullBuffer::from(there);
        out.finish(Some(&nulls).filter(|nulls| nulls.null_count() > 0))
    }
}

/// The value that a token stands for.
///
/// # Errors
/// `Failed` when the key is not made for these tokens, or the text is no token. A text made with another key or in
/// another domain cannot be told from a token: it becomes another value.
pub fn detokenize(key: &DatasetKey, domain: &Domain, alphabet: Alphabet, token: &str) -> Result<String> {
    let value = Tokens::new(key, domain, alphabet)?.value(token);
    value.ok_or_else(|| Error::failed(format!("not a token of the key {}", key.id())))
}

/// Makes and opens tokens of one domain. No `Debug`: it holds a key.
pub struct Tokens {
    /// Key and radix.
    ff1: FF1<Aes256>,
    tweak: Vec<u8>,
    alphabet: Alphabet,
}

impl Tokens {
    /// With a key of the domain, which is given as it stands in key ids.
    ///
    /// # Errors
    /// `Failed` when the key is not made for these tokens.
    pub fn new(key: &DatasetKey, domain: &impl std::fmt::Display, alphabet: Alphabet) -> Result<Self> {
        let unfit = || Error::failed(format!("the key {} is not {KEY_BYTES} bytes long", key.id()));
        let secret = key.secret().expose();
        // The library panics at another length.
        if secret.len() != KEY_BYTES {
            return Err(unfit());
        }
        let ff1 = FF1::new(secret, radix(alphabet)).map_err(|_| unfit())?;
        Ok(Self { ff1, tweak: domain.to_string().into_bytes(), alphabet })
    }

    fn token(&self, value: &str) -> Option<String> {
        let numerals = FlexibleNumeralString::from(numerals(value, self.alphabet)?);
        written(value, self.alphabet, self.ff1.encrypt(&self.tweak, &numerals).ok()?.into())
    }

    /// The value of a token; `None` for a text that cannot be one.
    #[must_use]
    pub fn value(&self, token: &str) -> Option<String> {
        let numerals = FlexibleNumeralString::from(numerals(token, self.alphabet)?);
        written(token, self.alphabet, self.ff1.decrypt(&self.tweak, &numerals).ok()?.into())
    }
}

const fn radix(alphabet: Alphabet) -> u32 {
    match alphabet {
        Alphabet::Digits => 10,
        Alphabet::Alphanumeric => 62,
    }
}

/// The place of a character in its alphabet.
fn numeral(c: char, alphabet: Alphabet) -> Option<u16> {
    let from = |first: char, place: u32| u16::try_from(u32::from(c) - u32::from(first) + place).ok();
    match (c, alphabet) {
        ('0'..='9', _) => from('0', 0),
        ('A'..='Z', Alphabet::Alphanumeric) => from('A', 10),
        ('a'..='z', Alphabet::Alphanumeric) => from('a', 36),
        _ => None,
    }
}

/// The character at a place of the alphabets.
fn character(numeral: u16) -> Option<char> {
    let at = |first: char, from: u16| char::from_u32(u32::from(first) + u32::from(numeral - from));
    match numeral {
        0..=9 => at('0', 0),
        10..=35 => at('A', 10),
        36..=61 => at('a', 36),
        _ => None,
    }
}

/// The characters of the alphabet; `None` where there are too few or too many, or others than separators.
fn numerals(value: &str, alphabet: Alphabet) -> Option<Vec<u16>> {
    let mut numerals = Vec::with_capacity(value.len().min(MAX_NUMERALS));
    for c in value.chars() {
        match numeral(c, alphabet) {
            Some(_) if numerals.len() == MAX_NUMERALS => return None,
            Some(numeral) => numerals.push(numeral),
            None if SEPARATORS.contains(c) => {}
            None => return None,
        }
    }
    let least = match alphabet {
        Alphabet::Digits => 6,
        Alphabet::Alphanumeric => 4,
    };
    (numerals.len() >= least).then_some(numerals)
}

/// The form of `like` with other characters.
fn written(like: &str, alphabet: Alphabet, numerals: Vec<u16>) -> Option<String> {
    let mut numerals = numerals.into_iter();
    let characters = like.chars().map(|c| match numeral(c, alphabet) {
        Some(_) => numerals.next().and_then(character),
        None => Some(c),
    });
    characters.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use proptest::prelude::*;

    use super::super::Kernel as _;
    use super::*;
    use crate::error::Kind;

    fn key(byte: u8) -> DatasetKey {
        DatasetKey::for_tests("sealift:join/card#fpe@1", &[byte; 32])
    }

    fn domain(name: &str) -> Domain {
        Domain::Join(name.to_owned())
    }

    fn sealed(how: &Fpe, values: &[Option<&str>]) -> Result<Vec<Option<String>>> {
        let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        let out = Kernel::new(&key(7), &domain("card"), how, "card")?.apply(&column)?;
        Ok(out.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect())
    }

    #[test]
    fn the_cipher_is_that_of_sp_800_38g() {
        // Samples 7 to 9, those with AES-256.
        let secret = hex::decode("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94").unwrap();
        let text = |numerals: Vec<u16>| -> String {
            numerals.into_iter().map(|n| char::from_digit(n.into(), 36).unwrap()).collect()
        };
        let samples: [(u32, &[u8], &str, &str); 3] = [
            (10, b"", "0123456789", "6657667009"),
            (10, b"9876543210", "0123456789", "1001623463"),
            (36, b"7777pqrs777", "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
        ];
        for (radix, tweak, plain, token) in samples {
            let ff1 = FF1::<Aes256>::new(&secret, radix).unwrap();
            let numerals: Vec<u16> =
                plain.chars().map(|c| c.to_digit(36).unwrap().try_into().unwrap()).collect();
            let out = ff1.encrypt(tweak, &FlexibleNumeralString::from(numerals)).unwrap();
            assert_eq!(text(out.into()), token);
        }
        // Sample 8 once more, through what the kernel does around the cipher.
        let ff1 = FF1::new(&secret, 10).unwrap();
        let tokens = Tokens { ff1, tweak: b"9876543210".to_vec(), alphabet: Alphabet::Digits };
        assert_eq!(tokens.token("012-345 (6789)").unwrap(), "100-162 (3463)");
    }

    #[test]
    fn form_stays_and_key_and_domain_matter() {
        let how = Fpe::default();
        let out = sealed(&how, &[Some("4111-1111-1111-1111"), None, Some("4111-1111-1111-1111")]).unwrap();
        let token = out[0].clone().unwrap();
        assert_eq!((out[1].as_ref(), &out[2]), (None, &out[0]));
        assert_eq!(token.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>(), [4, 9, 14]);
        assert_ne!(token, "4111-1111-1111-1111");
        let back =
            |byte, name: &str| detokenize(&key(byte), &domain(name), Alphabet::Digits, &token).unwrap();
        assert_eq!(back(7, "card"), "4111-1111-1111-1111");
        assert_ne!(back(8, "card"), back(7, "card"));
        assert_ne!(back(7, "cards"), back(7, "card"));
    }

    #[test]
    fn trap_a_value_below_the_domain_or_outside_the_alphabet_never_leaves() {
        let long = "1".repeat(MAX_NUMERALS + 1);
        let digits = Fpe::default();
        let letters = Fpe { alphabet: Alphabet::Alphanumeric, ..Fpe::default() };
        let cases = [
            (&digits, vec!["12345", "", "12-34", "123456a", "１２３４５６", "12345\n6", long.as_str()]),
            (&letters, vec!["abc", "", "Zoë-1234", "a@bcdef"]),
        ];
        for (how, values) in cases {
            for value in values {
                let error = sealed(how, &[Some(value)]).unwrap_err();
                assert_eq!(error.kind(), Kind::Data);
                assert!(value.is_empty() || !format!("{error} {error:?}").contains(value), "{error}");
                let null = Fpe { on_unfit: OnUnfit::Null, ..how.clone() };
                assert_eq!(sealed(&null, &[Some(value)]).unwrap(), [None]);
            }
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let short = DatasetKey::for_tests("sealift:join/card#fpe@1", &[1; 16]);
        assert!(Kernel::new(&short, &domain("card"), &Fpe::default(), "x").is_err());
    }

    proptest! {
        #[test]
        fn tokens_come_back(value in "[0-9A-Za-z /.-]{4,40}", digits in "[0-9]{3}-?[0-9]{3,30}") {
            for (alphabet, value) in [(Alphabet::Alphanumeric, &value), (Alphabet::Digits, &digits)] {
                let tokens = Tokens::new(&key(7), &domain("card"), alphabet).unwrap();
                match tokens.token(value) {
                    None => prop_assert!(numerals(value, alphabet).is_none()),
                    Some(token) => {
                        prop_assert_eq!(token.len(), value.len());
                        prop_assert_eq!(&detokenize(&key(7), &domain("card"), alphabet, &token).unwrap(), value);
                    }
                }
            }
        }
    }
}
