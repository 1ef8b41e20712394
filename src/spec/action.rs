//! What can happen to a column, and how strong each action is.

mod options;

use std::fmt;
use std::num::NonZeroU32;

pub use options::Options;

/// What happens to a column on its way to storage. NULL stays NULL under every action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Published as it is.
    Allow,
    /// Dates and timestamps moved by a secret number of whole days (see [`DateShift`]); type kept.
    DateShift(DateShift),
    /// Values made coarser (see [`Generalize`]); type kept.
    Generalize(Generalize),
    /// All but the last characters replaced (see [`Mask`]); text out.
    Mask(Mask),
    /// In free text, what detectors find is replaced (see [`Scrub`]); text out.
    Scrub(Scrub),
    /// Parquet Modular Encryption of the column, AES-256-GCM; type kept, key needed to read.
    Encrypt,
    /// AES-256-GCM of each value by itself (see [`EncryptValue`]): other bytes each time, readable with the key; text
    /// out.
    EncryptValue(EncryptValue),
    /// FF1 (NIST SP 800-38G) over the characters of an alphabet: length and separators stay, reversible with the
    /// key, joinable inside a join domain; text out.
    TokenizeFpe(Fpe),
    /// AES-SIV token: deterministic, reversible with the key, joinable inside a join domain; text out.
    Tokenize {
        /// Columns of the same domain share a key, so that equal values give equal tokens.
        /// Without one the key is the column's own.
        join_domain: Option<String>,
        /// What is done to a value first.
        canonical: Canonical,
    },
    /// HMAC-SHA-256: deterministic, not reversible; text out.
    Hash {
        /// As for `Tokenize`.
        join_domain: Option<String>,
        /// As for `Tokenize`.
        canonical: Canonical,
    },
    /// Every value replaced by one constant; text columns only.
    Redact,
    /// Every value replaced by NULL; type kept.
    Nullify,
    /// The column is not published.
    Drop,
}

/// By whose key values are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptValue {
    /// The column whose value says who a row is about: each subject has a key of its own, which can be destroyed by
    /// itself. Without one the whole column has one.
    pub by: Option<String>,
}

/// How much of a value `mask` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Characters kept at the end; a value shorter than twice this is masked whole.
    pub keep_last: usize,
}

impl Default for Mask {
    fn default() -> Self {
        Self { keep_last: 4 }
    }
}

/// What stands in a free text for a passage that detectors find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scrub {
    /// What it is: `[EMAIL]`.
    Label,
    /// What it is and a token of it, as `Tokenize` makes one: `[EMAIL t1:…]`. Equal passages stay equal.
    Token {
        /// As for `Tokenize`.
        join_domain: Option<String>,
    },
}

/// By how much dates are moved. Intervals between dates of one subject stay, to the microsecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateShift {
    /// Most days in either direction, 1 to 3,650; no date stays where it is.
    pub max_days: NonZeroU32,
    /// The column whose value says who a row is about: each subject has a shift of its own. Without one the whole
    /// column has one.
    pub by: Option<String>,
    /// Datasets of one domain move a subject's dates alike. Without one each dataset has its own shifts.
    pub join_domain: Option<String>,
}

/// How a value is made coarser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generalize {
    /// A number to the lower bound of its bucket, in the number's own unit: 37 in buckets of 10 is 30.
    Width(NonZeroU32),
    /// A date or timestamp to the beginning of a period (of UTC, where it has a zone).
    To(Period),
    /// A text to its first characters, 1 to 30, and a star; a text that is not longer is a star alone.
    Prefix(NonZeroU32),
    /// An IP address to its network, as `192.0.2.0/24`; a text that is no address is a star.
    Network {
        /// Bits kept of an IPv4 address, 1 to 31.
        ipv4: u8,
        /// Bits kept of an IPv6 address, 1 to 127.
        ipv6: u8,
    },
}

/// A period of the calendar, from the finest to the coarsest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From midnight.
    Day,
    /// From the first of the month.
    Month,
    /// From the first of January, April, July or October.
    Quarter,
    /// From the first of January.
    Year,
}

impl Period {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Day, Self::Month, Self::Quarter, Self::Year];

    /// The word people write for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

impl Generalize {
    /// Greater where less is left, 0 to 63; of one kind only these compare.
    fn coarseness(self) -> u32 {
        match self {
            Self::Width(width) => width.get().ilog2(),
            Self::To(period) => period as u32,
            Self::Prefix(kept) => 30_u32.saturating_sub(kept.get()),
            Self::Network { ipv4, .. } => 32_u32.saturating_sub(ipv4.into()),
        }
    }
}

/// How format-preserving tokens are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fpe {
    /// The characters that are replaced, each by one of them.
    pub alphabet: Alphabet,
    /// What becomes of a value that cannot be replaced safely.
    pub on_unfit: OnUnfit,
    /// As for `Tokenize`.
    pub join_domain: Option<String>,
}

/// The characters of format-preserving tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alphabet {
    /// `0` to `9`; at least 6 of them in a value.
    #[default]
    Digits,
    /// `0` to `9`, `A` to `Z`, `a` to `z`; at least 4 of them in a value.
    Alphanumeric,
}

/// What becomes of a value with too few characters of the alphabet (a domain of less than 10^6), or with others
/// that are no separators. It is never published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnfit {
    /// The run fails: the data broke its contract.
    #[default]
    Fail,
    /// It becomes NULL.
    Null,
}

/// Which values count as equal when pseudonyms are made: what is done to the text first. A form other than `Text`
/// is named in the pseudonym with its version (`t1.email1:…`), so that forms never mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Canonical {
    /// Nothing: values are equal when their bytes are.
    #[default]
    Text,
    /// Blanks around it and case do not count.
    Lower,
    /// Only the ASCII digits count.
    Digits,
    /// As `Lower`, without `mailto:` and angle brackets.
    Email,
    /// E.164: `+` and digits.
    Phone {
        /// The country calling code of numbers that are written without one, 1 to 999.
        calling_code: Option<u16>,
    },
}

impl Alphabet {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Digits, Self::Alphanumeric];

    /// The word people write for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Alphanumeric => "alphanumeric",
        }
    }
}

impl Canonical {
    /// The word people write for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Lower => "lower",
            Self::Digits => "digits",
            Self::Email => "email",
            Self::Phone { .. } => "phone",
        }
    }

    /// Its name with the version of its rules, as it stands in pseudonyms; `None` for `Text`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Text => None,
            Self::Lower => Some("lower1"),
            Self::Digits => Some("digits1"),
            Self::Email => Some("email1"),
            Self::Phone { .. } => Some("phone1"),
        }
    }

    /// Whether values that differ may come to be equal.
    #[must_use]
    pub const fn merges(self) -> bool {
        !matches!(self, Self::Text)
    }
}

impl Action {
    /// The join domain of its key, where it has one.
    #[must_use]
    pub fn join_domain(&self) -> Option<&str> {
        match self {
            Self::Tokenize { join_domain, .. }
            | Self::Hash { join_domain, .. }
            | Self::TokenizeFpe(Fpe { join_domain, .. })
            | Self::DateShift(DateShift { join_domain, .. })
            | Self::Scrub(Scrub::Token { join_domain }) => join_domain.as_deref(),
            _ => None,
        }
    }

    /// Whether its values are made with a key of their own, so that another key or name gives others.
    #[must_use]
    pub const fn is_pseudonym(&self) -> bool {
        matches!(
            self,
            Self::Tokenize { .. }
                | Self::Hash { .. }
                | Self::TokenizeFpe(_)
                | Self::DateShift(_)
                | Self::EncryptValue(_)
                | Self::Scrub(Scrub::Token { .. })
        )
    }

    /// Whether every value has one pseudonym, so that of few values counting tells which is which.
    #[must_use]
    pub const fn is_deterministic_pseudonym(&self) -> bool {
        matches!(self, Self::Tokenize { .. } | Self::Hash { .. } | Self::TokenizeFpe(_))
    }

    /// The column that it asks who each row is about.
    #[must_use]
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::DateShift(DateShift { by, .. }) | Self::EncryptValue(EncryptValue { by }) => by.as_deref(),
            _ => None,
        }
    }

    /// Whether different values stay different, and equal ones equal.
    #[must_use]
    pub const fn keeps_apart(&self) -> bool {
        match self {
            Self::Allow | Self::Encrypt => true,
            Self::Tokenize { canonical, .. } | Self::Hash { canonical, .. } => !canonical.merges(),
            Self::TokenizeFpe(fpe) => matches!(fpe.on_unfit, OnUnfit::Fail),
            _ => false,
        }
    }

    /// Whether it is said without options that another rule's would contradict: the word alone.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        match self {
            Self::Tokenize { join_domain, canonical } | Self::Hash { join_domain, canonical } => {
                join_domain.is_none() && matches!(canonical, Canonical::Text)
            }
            Self::Scrub(Scrub::Token { join_domain }) => join_domain.is_none(),
            Self::DateShift(_) | Self::Generalize(_) | Self::TokenizeFpe(_) => false,
            Self::EncryptValue(EncryptValue { by }) => by.is_none(),
            _ => true,
        }
    }

    /// How much the action hides; of two matching actions the greater is the stricter.
    ///
    /// The order asks what the most privileged reader of the table still sees: everything
    /// (`allow`), almost everything (`date_shift`), where each value lies (`generalize`), a part of
    /// it in the clear (`mask`; `scrub`), everything with the column's key (`encrypt`), everything with a
    /// key that is given to no reader (`encrypt_value`; with the keys of subjects, of those that are not
    /// shredded), a pseudonym that can be reversed and shows the value's form (`tokenize_fpe`) or does not (`tokenize`), one
    /// that cannot (`hash`), that there was a value (`redact`), that there is a column (`nullify`),
    /// nothing (`drop`). Of one action, what hides more is the stricter, as far as numbers tell.
    #[must_use]
    pub fn strength(&self) -> u32 {
        match self {
            Self::Allow => 0,
            Self::DateShift(shift) => 10 + shift.max_days.get().ilog2().min(15),
            Self::Generalize(coarser) => 30 + coarser.coarseness(),
            Self::Mask(mask) => 100 + 99_u32.saturating_sub(u32::try_from(mask.keep_last).unwrap_or(99)),
            Self::Scrub(Scrub::Token { .. }) => 200,
            Self::Scrub(Scrub::Label) => 250,
            Self::Encrypt => 300,
            Self::EncryptValue(EncryptValue { by: None }) => 320,
            Self::EncryptValue(EncryptValue { by: Some(_) }) => 330,
            Self::TokenizeFpe(_) => 350,
            Self::Tokenize { .. } => 400,
            Self::Hash { .. } => 500,
            Self::Redact => 600,
            Self::Nullify => 700,
            Self::Drop => 800,
        }
    }

    /// The word people write for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::DateShift(_) => "date_shift",
            Self::Generalize(_) => "generalize",
            Self::Mask(_) => "mask",
            Self::Scrub(_) => "scrub",
            Self::Encrypt => "encrypt",
            Self::EncryptValue(_) => "encrypt_value",
            Self::TokenizeFpe(_) => "tokenize_fpe",
            Self::Tokenize { .. } => "tokenize",
            Self::Hash { .. } => "hash",
            Self::Redact => "redact",
            Self::Nullify => "nullify",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
