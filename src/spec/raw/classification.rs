//! How columns are classified, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::Placed;

/// What the policy adds to the built-in classification.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Classification {
    /// Detectors beside the built-in ones.
    pub(crate) detectors: Option<Placed<Vec<Placed<Detector>>>>,
    /// Findings that somebody looked at and says are wrong.
    pub(crate) lowered: Option<Placed<Vec<Placed<Lowered>>>>,
    /// Aggregates that do not carry the tags of what they are made of.
    pub(crate) aggregates: Option<Placed<Vec<Placed<Aggregate>>>>,
}

/// A detector. It has a pattern, words, a checksum, names of columns, or several of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Detector {
    /// Its name, as evidence shows it.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub(crate) name: Placed<String>,
    /// The tag it speaks for.
    pub(crate) tag: Placed<String>,
    /// What values look like: an ASCII regular expression over the whole value.
    pub(crate) pattern: Option<Placed<String>>,
    /// The values themselves, whatever their case.
    #[schemars(length(min = 1, max = 10_000))]
    pub(crate) words: Option<Placed<Vec<Placed<String>>>>,
    /// A check digit over letters and digits of the value.
    pub(crate) checksum: Option<Placed<Checksum>>,
    /// Names of columns that hold such values, such as `member_no`.
    #[schemars(length(min = 1))]
    pub(crate) column_names: Option<Placed<Vec<Placed<String>>>>,
}

/// A rule for check digits.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Checksum {
    /// ISO/IEC 7812-1.
    Luhn,
    /// Luhn, with a card issuer's prefix and length.
    Card,
    /// Weights from the right, modulus 11 (ISBN-10).
    Mod11,
    /// ISO/IEC 7064 MOD 11,10.
    #[serde(rename = "mod11_10")]
    Mod11Ten,
    /// ISO/IEC 7064 MOD 97-10.
    Mod97,
    /// Verhoeff.
    Verhoeff,
}

/// A finding that is set aside, and who says so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lowered {
    /// The dataset, or a glob over datasets (`crm.*`).
    pub(crate) dataset: Placed<String>,
    /// The published column, or a glob over columns.
    pub(crate) column: Placed<String>,
    /// The tag that is found, or a glob over tags.
    pub(crate) found: Placed<String>,
    /// Why it is wrong.
    pub(crate) reason: Placed<String>,
    /// Who looked.
    pub(crate) author: Placed<String>,
    /// The day, such as 2026-11-02.
    #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub(crate) date: Placed<String>,
}

/// Aggregates over so many rows that no single one shows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Aggregate {
    /// Tags or globs over tags of what is aggregated.
    #[schemars(length(min = 1))]
    pub(crate) tags: Placed<Vec<Placed<String>>>,
    /// Functions that may: count, sum, avg, stddev, stddev_pop, var, var_pop, approx_distinct.
    #[schemars(length(min = 1))]
    pub(crate) functions: Placed<Vec<Placed<String>>>,
    /// Rows of a group at the least, 2 to 1000000; the SQL must ask for them: HAVING count(*) >= n.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub(crate) min_rows: Placed<u64>,
    /// The tag of the result.
    pub(crate) tag: Placed<String>,
}
