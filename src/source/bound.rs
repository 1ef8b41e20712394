//! Which rows of a relation are asked for, by the value of cursor columns.

use serde::{Deserialize, Serialize};

/// A range of rows, from `from` (included) up to `before` (left out), compared column by column, the first
/// one first. A source may give more rows than these, never fewer: whoever asks compares again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The columns of the source, most significant first; at least one.
    pub columns: Vec<String>,
    /// The least values, one per column; none: from the beginning.
    pub from: Option<Vec<Literal>>,
    /// Past the greatest values, one per column; none: to the end.
    pub before: Option<Vec<Literal>>,
    /// Whether rows are asked for as well in which one of the columns is NULL.
    pub or_null: bool,
}

/// A value of a cursor column. Its text may be someone's: it never enters a message. Texts compare by
/// their bytes (UTF-8), whatever the source's collation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Literal {
    /// An integer of any width.
    Integer(i64),
    /// An exact number: unscaled value and scale.
    Decimal(i128, i8),
    /// A text.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01 00:00, without a zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 00:00 UTC.
    Instant(i64),
}

impl std::fmt::Debug for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Literal(..)")
    }
}
