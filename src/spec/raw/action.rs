//! Actions as they are written: a word, or a word with options.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::{Later, Placed};
use crate::spec::schema::allow_words;

/// What happens to a column. NULL stays NULL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = allow_words)]
pub(crate) enum Action {
    /// Published as it is.
    Allow,
    /// The column is not published.
    Drop,
    /// Every value becomes NULL.
    Nullify,
    /// Every value of a text column becomes one constant.
    Redact,
    /// All but the last characters are replaced.
    Mask(Mask),
    /// In free text, what detectors find is replaced by what it is, such as `[EMAIL]`.
    Scrub(Scrub),
    /// HMAC-SHA-256: the same value gives the same hash; not reversible.
    Hash(Join),
    /// AES-SIV token: the same value gives the same token; reversible with the key.
    Tokenize(Join),
    /// Parquet Modular Encryption of the column: readable with its key only.
    Encrypt,
    #[schemars(skip)]
    Generalize(Later),
    #[schemars(skip)]
    DateShift(Later),
    #[schemars(skip)]
    TokenizeFpe(Later),
    #[schemars(skip)]
    EncryptValue(Later),
}

/// Options of `mask`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mask {
    /// Characters kept at the end, 0 to 99, default 4. A value shorter than twice this is masked whole.
    #[schemars(range(max = 99))]
    pub(crate) keep_last: Option<Placed<u64>>,
}

/// Options of `scrub`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scrub {
    /// Adds a token of the passage, such as `[EMAIL t1:…]`, so that equal passages stay equal.
    pub(crate) tokenize: Option<Join>,
}

/// Options of `hash` and `tokenize`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Join {
    /// Columns of the same domain share a key, so that equal values stay joinable. Without one the key is
    /// the column's own.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub(crate) join_domain: Option<Placed<String>>,
}
