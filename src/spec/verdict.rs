//! What is known of an output column: handed from `transform` and `classify` to `protect`.

use std::collections::BTreeSet;

use super::Tag;
use super::pipeline::Column;

/// Which source columns an output column comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Exactly these.
    Columns(BTreeSet<String>),
    /// It cannot be told: treated as if from every column of the source.
    Unknown,
}

/// An output column that sums up one source column over groups of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregated {
    /// The function, lower-case.
    pub function: String,
    /// The source column, which goes into the function unchanged and decides nothing else.
    pub column: String,
    /// Rows of a group at the least, as the SQL asks for.
    pub min_rows: u64,
}

/// What is known of one top-level output column.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The output column's name.
    pub column: String,
    /// Every declaration that reaches the column; the strictest of what they ask applies.
    /// Empty: nothing is declared and the policy's `unmatched` decides.
    ///
    /// The stated default gives way, leaf by leaf, to a declaration of the leaf itself, unless it
    /// stands for an undeclared source column as well.
    pub evidence: Vec<Evidence>,
    /// Which source columns it comes from.
    pub origin: Origin,
    /// The source column whose values it holds unchanged; `None` where they are computed.
    pub copy_of: Option<String>,
    /// The source columns it comes from (all, where that cannot be told) that no declaration covers:
    /// neither named, nor named leaf by leaf. Where no default stands for them either, the policy's
    /// `unmatched` decides.
    pub undeclared: Vec<String>,
}

/// One declaration that reaches a column. Holds no values.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The leaf of the nested output column that it is about (`address.city`); `None` for the whole
    /// column.
    pub leaf: Option<String>,
    /// Why it applies.
    pub why: Why,
    /// The declared tag.
    pub tag: Option<Tag>,
    /// What was declared.
    pub declared: Column,
}

/// Why a declaration applies to an output column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The output column itself is named.
    Named,
    /// This source column is named, and the output column is computed from it.
    From(String),
    /// The stated default `"*"`.
    Default,
}
