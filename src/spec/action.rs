//! What can happen to a column, and how strong each action is.

use std::fmt;

/// What happens to a column on its way to storage. NULL stays NULL under every action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Published as it is.
    Allow,
    /// All but the last characters replaced (see [`Mask`]); text out.
    Mask(Mask),
    /// In free text, what detectors find is replaced (see [`Scrub`]); text out.
    Scrub(Scrub),
    /// Parquet Modular Encryption of the column, AES-256-GCM; type kept, key needed to read.
    Encrypt,
    /// AES-SIV token: deterministic, reversible with the key, joinable inside a join domain; text out.
    Tokenize {
        /// Columns of the same domain share a key, so that equal values give equal tokens.
        /// Without one the key is the column's own.
        join_domain: Option<String>,
    },
    /// HMAC-SHA-256: deterministic, not reversible; text out.
    Hash {
        /// As for `Tokenize`.
        join_domain: Option<String>,
    },
    /// Every value replaced by one constant; text columns only.
    Redact,
    /// Every value replaced by NULL; type kept.
    Nullify,
    /// The column is not published.
    Drop,
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

impl Action {
    /// The join domain of its key, where it has one.
    #[must_use]
    pub fn join_domain(&self) -> Option<&str> {
        match self {
            Self::Tokenize { join_domain }
            | Self::Hash { join_domain }
            | Self::Scrub(Scrub::Token { join_domain }) => join_domain.as_deref(),
            _ => None,
        }
    }

    /// Whether its values are made with a key of their own, so that another key or name gives others.
    #[must_use]
    pub const fn is_pseudonym(&self) -> bool {
        matches!(self, Self::Tokenize { .. } | Self::Hash { .. } | Self::Scrub(Scrub::Token { .. }))
    }

    /// How much the action hides; of two matching actions the greater is the stricter.
    ///
    /// The order asks what the most privileged reader of the table still sees: everything
    /// (`allow`), a part of it in the clear (`mask`; `scrub`), everything with the column's key
    /// (`encrypt`), a pseudonym that can be reversed (`tokenize`) or cannot (`hash`), that there
    /// was a value (`redact`), that there is a column (`nullify`), nothing (`drop`).
    #[must_use]
    pub fn strength(&self) -> u32 {
        match self {
            Self::Allow => 0,
            Self::Mask(mask) => 100 + 99_u32.saturating_sub(u32::try_from(mask.keep_last).unwrap_or(99)),
            Self::Scrub(Scrub::Token { .. }) => 200,
            Self::Scrub(Scrub::Label) => 250,
            Self::Encrypt => 300,
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
            Self::Mask(_) => "mask",
            Self::Scrub(_) => "scrub",
            Self::Encrypt => "encrypt",
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
