//! Detectors that the policy adds to the built-in ones.
use std::collections::HashSet;

use regex::bytes::{Regex, RegexBuilder};

use super::check::{card, checksum};
use super::tally::Hit;

/// Largest compiled expression, in bytes.
const EXPRESSION_LIMIT: usize = 256 << 10;

/// A detector from the policy.
#[derive(Debug, Clone)]
pub struct Custom {
    /// Its name, as evidence shows it.
    pub name: String,
    /// The tag it speaks for.
    pub tag: String,
    /// The form, an ASCII regular expression over the whole trimmed value; none admits every value.
    pub regex: Option<String>,
    /// What a value of the form must satisfy.
    pub test: Test,
}

/// What a value must satisfy.
#[derive(Debug, Clone)]
pub enum Test {
    /// Its form alone.
    Form,
    /// To be one of these words, whatever their case.
    Words(Vec<String>),
    /// A check digit, over its letters and digits.
    Checksum(Checksum),
}

/// A check digit rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Luhn, ISO/IEC 7812-1.
    Luhn,
    /// Luhn with a card issuer's prefix and length.
    Card,
    /// Weights 1, 2, 3 … from the right, modulus 11, X for ten (ISBN-10).
    Mod11,
    /// ISO 7064 MOD 11,10.
    Mod11Ten,
    /// ISO 7064 MOD 97-10.
    Mod97,
    /// Verhoeff.
    Verhoeff,
}

impl Checksum {
    fn holds(self, compact: &[u8]) -> bool {
        match self {
            Self::Luhn => checksum::luhn(compact),
            Self::Card => card::is_card(compact),
            Self::Mod11 => checksum::mod11(compact),
            Self::Mod11Ten => compact.iter().all(u8::is_ascii_digit) && checksum::mod11_10(compact),
            Self::Mod97 => checksum::mod97(compact) == Some(1),
            Self::Verhoeff => checksum::verhoeff(compact),
        }
    }

    fn chance(self) -> f64 {
        match self {
            Self::Luhn | Self::Verhoeff | Self::Mod11Ten => 0.1,
            Self::Card => 0.025,
            Self::Mod11 => 1.0 / 11.0,
            Self::Mod97 => 1.0 / 97.0,
        }
    }
}

/// A custom detector ready to use.
#[derive(Debug)]
pub(crate) struct Compiled {
    name: String,
    tag: String,
    regex: Option<Regex>,
    words: HashSet<Vec<u8>>,
    test: Test,
}

impl Compiled {
    /// Compiles an expression that must match whole values; ASCII only, bounded in size.
    pub(crate) fn new(custom: &Custom) -> Result<Self, String> {
        let regex = custom.regex.as_deref().map(|pattern| {
            RegexBuilder::new(&format!("^(?:{pattern})$"))
                .unicode(false)
                .size_limit(EXPRESSION_LIMIT)
                .dfa_size_limit(EXPRESSION_LIMIT)
                .nest_limit(50)
                .build()
                .map_err(|error| format!("detector {}: {error}", custom.name))
        });
        let words = match &custom.test {
            Test::Words(words) => words.iter().map(|w| w.trim().to_lowercase().into_bytes()).collect(),
            Test::Form | Test::Checksum(_) => HashSet::new(),
        };
        Ok(Self {
            name: custom.name.clone(),
            tag: custom.tag.clone(),
            regex: regex.transpose()?,
            words,
            test: custom.test.clone(),
        })
    }

    /// Whether a value has the form, and whether it passes.
    pub(crate) fn judge(&self, value: &[u8]) -> (bool, bool) {
        if self.regex.as_ref().is_some_and(|regex| !regex.is_match(value)) {
            return (false, false);
        }
        match &self.test {
            Test::Form => (true, true),
            Test::Words(_) => {
                let folded = str::from_utf8(value).map(str::to_lowercase);
                (true, folded.is_ok_and(|word| self.words.contains(word.as_bytes())))
            }
            Test::Checksum(rule) => {
                let compact: Vec<u8> = value
                    .iter()
                    .filter(|b| b.is_ascii_alphanumeric())
                    .map(u8::to_ascii_uppercase)
                    .take(64)
                    .collect();
                let is_formed =
                    self.regex.is_some() || compact.len() >= 4 && compact.iter().any(u8::is_ascii_digit);
                (is_formed, is_formed && rule.holds(&compact))
            }
        }
    }

    /// The hit of these counts, if any value had the form.
    pub(crate) fn hit(&self, formed: u64, passed: u64) -> Option<Hit> {
        let chance = match &self.test {
            Test::Form => 1.0,
            Test::Words(_) => 0.01,
            Test::Checksum(rule) => rule.chance(),
        };
        // Someone wrote the expression for just this: its form tells.
        let distinctive = self.regex.is_some();
        (formed > 0).then(|| Hit {
            detector: self.name.clone(),
            tag: self.tag.clone(),
            passed,
            chance,
            formed,
            distinctive,
        })
    }
}
