//! Actions as they are written: a word, or a word with options.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::Placed;
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
    /// Values are made coarser: name one of the options, by the type of the column.
    Generalize(Generalize),
    /// Dates and timestamps are moved by a secret number of whole days.
    DateShift(DateShift),
    /// HMAC-SHA-256: the same value gives the same hash; not reversible.
    Hash(Pseudonym),
    /// AES-SIV token: the same value gives the same token; reversible with the key.
    Tokenize(Pseudonym),
    /// FF1 token: each character by another one, so that length and separators stay; reversible with the key.
    TokenizeFpe(Fpe),
    /// Parquet Modular Encryption of the column: readable with its key only.
    Encrypt,
    /// AES-256-GCM of each value by itself, with the column's key or each subject's own: other bytes each time.
    EncryptValue(EncryptValue),
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

/// Options of `generalize`, of which one is named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct Generalize {
    /// Numbers: the width of buckets, 2 to 1,000,000,000; a value becomes the lower bound of its bucket.
    #[schemars(range(min = 2, max = 1_000_000_000))]
    pub(crate) width: Option<Placed<u64>>,
    /// Dates and timestamps: the period that is left.
    pub(crate) date: Option<Placed<Period>>,
    /// Text such as postal codes: characters kept at the beginning, 1 to 30; a star follows.
    #[schemars(range(min = 1, max = 30))]
    pub(crate) prefix: Option<Placed<u64>>,
    /// IP addresses as text: bits kept of IPv4, 1 to 31, default 24 where `ipv6` is named.
    #[schemars(range(min = 1, max = 31))]
    pub(crate) ipv4: Option<Placed<u64>>,
    /// IP addresses as text: bits kept of IPv6, 1 to 127, default 48 where `ipv4` is named.
    #[schemars(range(min = 1, max = 127))]
    pub(crate) ipv6: Option<Placed<u64>>,
}

/// A period of the calendar.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Period {
    Day,
    Month,
    Quarter,
    Year,
}

/// Options of `date_shift`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DateShift {
    /// Most days in either direction, 1 to 3650.
    #[schemars(range(min = 1, max = 3650))]
    pub(crate) max_days: Placed<u64>,
    /// The column that says who a row is about: each subject's dates move together. Without one the whole
    /// column has one shift.
    pub(crate) by: Option<Placed<String>>,
    /// Datasets of the same domain move a subject's dates alike.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub(crate) join_domain: Option<Placed<String>>,
}

/// Options of `encrypt_value`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EncryptValue {
    /// The column that says who a row is about: each subject has a key of its own, which `sealift keys shred`
    /// destroys by itself. Without one the whole column has one key.
    pub(crate) by: Option<Placed<String>>,
}

/// Options of `tokenize_fpe`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fpe {
    /// The characters that are replaced; default `digits`.
    pub(crate) alphabet: Option<Placed<Alphabet>>,
    /// What becomes of a value that is too short or holds other characters: `fail` (the default) or `null`.
    pub(crate) on_unfit: Option<Placed<OnUnfit>>,
    /// As for `tokenize`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub(crate) join_domain: Option<Placed<String>>,
}

/// The characters of a format.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Alphabet {
    Digits,
    Alphanumeric,
}

/// What becomes of a value that does not fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnUnfit {
    Fail,
    Null,
}

/// Options of `hash` and `tokenize`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pseudonym {
    /// Columns of the same domain share a key, so that equal values stay joinable. Without one the key is
    /// the column's own.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub(crate) join_domain: Option<Placed<String>>,
    /// Which values count as equal; default `text`, those of equal bytes.
    pub(crate) canonical: Option<Placed<Canonical>>,
    /// With `canonical: phone`: the country calling code of numbers written without one, 1 to 999.
    #[schemars(range(min = 1, max = 999))]
    pub(crate) calling_code: Option<Placed<u64>>,
}

/// What is done to a value before its pseudonym is made.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Canonical {
    /// Nothing.
    Text,
    /// Blanks around it and case do not count.
    Lower,
    /// Only digits count.
    Digits,
    /// An e-mail address: as `lower`, without `mailto:` and angle brackets.
    Email,
    /// A telephone number in E.164.
    Phone,
}

/// Options of tokens in `scrub`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Join {
    /// Columns of the same domain share a key, so that equal values stay joinable. Without one the key is
    /// the column's own.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub(crate) join_domain: Option<Placed<String>>,
}
