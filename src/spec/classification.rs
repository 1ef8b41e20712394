//! What infosec's document says of how columns are classified.

use chrono::NaiveDate;

use super::Tag;
use super::policy::{TagGlob, is_match};

/// The policy's part on classification; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classification {
    /// Detectors beside the built-in ones.
    pub detectors: Vec<Detector>,
    /// Findings that are set aside.
    pub lowered: Vec<Lowered>,
    /// Aggregates that do not carry the tags of what they are made of.
    pub aggregates: Vec<Aggregate>,
}

/// A detector of the policy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detector {
    /// Its name, as evidence shows it.
    pub name: String,
    /// The tag it speaks for.
    pub tag: Tag,
    /// What values look like, an ASCII regular expression over the whole value; any value without.
    pub pattern: Option<String>,
    /// What a value of that form must be, beside.
    pub test: Test,
    /// Names of columns that hold such values, compared word by word.
    pub column_names: Vec<String>,
}

/// What a value must satisfy beside its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Nothing more.
    Form,
    /// To be one of these words, whatever their case.
    Words(Vec<String>),
    /// A check digit over its letters and digits.
    Checksum(Checksum),
}

/// A rule for check digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Luhn, ISO/IEC 7812-1.
    Luhn,
    /// Luhn, with a card issuer's prefix and length.
    Card,
    /// Weights from the right, modulus 11 (ISBN-10).
    Mod11,
    /// ISO/IEC 7064 MOD 11,10.
    Mod11Ten,
    /// ISO/IEC 7064 MOD 97-10.
    Mod97,
    /// Verhoeff.
    Verhoeff,
}

/// A finding that is set aside: somebody looked and says that it is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// Datasets, a glob.
    pub dataset: String,
    /// Published columns, a glob.
    pub column: String,
    /// The tags that are found and do not count.
    pub found: TagGlob,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub author: String,
    /// Since when.
    pub date: NaiveDate,
}

/// Aggregates over so many rows that no single one shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// The tags of what is aggregated.
    pub tags: Vec<TagGlob>,
    /// Functions, lower-case.
    pub functions: Vec<String>,
    /// Rows of a group at the least, which the SQL must ask for: `HAVING count(*) >= n`.
    pub min_rows: u64,
    /// The tag of the result.
    pub tag: Tag,
}

impl Classification {
    /// Who set a finding aside, if somebody did.
    #[must_use]
    pub fn lowered(&self, dataset: &str, column: &str, found: &Tag) -> Option<&Lowered> {
        self.lowered.iter().find(|lowered| {
            is_match(&lowered.dataset, dataset)
                && is_match(&lowered.column, column)
                && lowered.found.matches(found)
        })
    }

    /// The tag that an aggregate has instead of `tag`, over groups of `min_rows` or more.
    #[must_use]
    pub fn aggregated(&self, tag: &Tag, function: &str, min_rows: u64) -> Option<&Tag> {
        let rule = self.aggregates.iter().find(|rule| {
            rule.functions.iter().any(|name| name == function)
                && rule.min_rows <= min_rows
                && rule.tags.iter().any(|glob| glob.matches(tag))
        });
        rule.map(|rule| &rule.tag)
    }
}
