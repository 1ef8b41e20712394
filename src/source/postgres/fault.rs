//! Why a value is not taken.

use crate::error::Error;
use crate::source::spans::TooLong;

/// Why a value is not taken. One byte, free to make: it travels through the row loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not of the layout: the protocol is broken, not the data.
    Malformed,
    /// The source holds a value that its type here has no room for.
    Value(Unfit),
    /// The values of a batch do not fit into one Arrow array.
    Size,
    /// A type was altered since it was looked up.
    Altered,
}

impl From<TooLong> for Fault {
    fn from(_: TooLong) -> Self {
        Self::Size
    }
}

/// A kind of value that does not fit; the value itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Nan,
    Infinity,
    Digits,
    Decimals,
    InfiniteDate,
    Date,
    InfiniteTimestamp,
    Timestamp,
    Dimensions,
    FirstIndex,
}

impl Unfit {
    /// What a column holds, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Nan => "NaN",
            Self::Infinity => "an infinity",
            Self::Digits => "more digits than its type says",
            Self::Decimals => "digits beyond its scale",
            Self::InfiniteDate => "an infinite date",
            Self::Date => "a date beyond 32 bits of days",
            Self::InfiniteTimestamp => "an infinite timestamp",
            Self::Timestamp => "a timestamp beyond 64 bits of microseconds",
            Self::Dimensions => "an array of more than one dimension",
            Self::FirstIndex => "an array whose first index is not 1",
        }
    }
}

/// What the server sent is not binary COPY as documented.
#[cold]
pub(super) fn malformed(what: &str) -> Error {
    Error::failed(format!("the PostgreSQL server sent a malformed COPY stream: {what}"))
}
