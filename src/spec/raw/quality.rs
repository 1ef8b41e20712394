//! What must hold of a stream's rows, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::{Placed, Words};

/// One demand, and what happens where it is not met.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct Check {
    /// A condition in SQL over the output columns, true of every row; NULL is no violation.
    pub(crate) check: Option<Placed<String>>,
    /// Columns that are never NULL.
    pub(crate) not_null: Option<Placed<Vec<Placed<String>>>>,
    /// Columns in all of which no two rows agree.
    pub(crate) unique: Option<Placed<Vec<Placed<String>>>>,
    /// The values that a column may have.
    pub(crate) accepted: Option<Placed<Accepted>>,
    /// The bounds that a column's values lie between.
    pub(crate) range: Option<Placed<Range>>,
    /// Columns whose values are among those of another dataset.
    pub(crate) foreign_key: Option<Placed<ForeignKey>>,
    /// How many rows a run brings.
    pub(crate) row_count: Option<Placed<RowCount>>,
    /// How old the newest value of a column may be.
    pub(crate) freshness: Option<Placed<Freshness>>,
    /// How far a run may be from the last one.
    pub(crate) drift: Option<Placed<Drift>>,
    /// What happens where it is not met; default `fail`.
    pub(crate) on_fail: Option<Placed<OnFail>>,
}

/// What happens where a demand is not met.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnFail {
    /// Nothing of the stream is published.
    Fail,
    /// The rows that violate it go to the quarantine dataset instead.
    Quarantine,
    /// It is told, and the rows are published.
    Warn,
}

/// Values that are not NULL are one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accepted {
    /// The column.
    pub(crate) column: Placed<String>,
    /// Its values.
    #[schemars(with = "Vec<Literal>")]
    pub(crate) values: Placed<Vec<Placed<Words>>>,
}

/// Values that are not NULL lie between these, both included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// The column.
    pub(crate) column: Placed<String>,
    /// The least.
    #[schemars(with = "Option<Literal>")]
    pub(crate) min: Option<Placed<Words>>,
    /// The greatest.
    #[schemars(with = "Option<Literal>")]
    pub(crate) max: Option<Placed<Words>>,
}

/// A value as YAML writes it: a number, true or false, a date, or text.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its JSON Schema is used: every value is read as its words")]
enum Literal {
    Number(f64),
    Boolean(bool),
    Text(String),
}

/// Values that are not NULL are among those of another dataset.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForeignKey {
    /// The columns.
    pub(crate) columns: Placed<Vec<Placed<String>>>,
    /// The dataset they point into, of the same store.
    pub(crate) dataset: Placed<String>,
    /// Its columns, in the same order.
    pub(crate) references: Placed<Vec<Placed<String>>>,
}

/// How many rows a run brings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowCount {
    /// The least.
    pub(crate) min: Option<Placed<u64>>,
    /// The most.
    pub(crate) max: Option<Placed<u64>>,
}

/// How old the newest value of a column may be when the run begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freshness {
    /// A date or a timestamp; one without a zone is of UTC.
    pub(crate) column: Placed<String>,
    /// Its greatest age, such as `2days`; 1s to 3650days.
    pub(crate) max_age: Placed<Words>,
}

/// How far a run may be from the last one that published the stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drift {
    /// Of the row count, in percent of the last one, 0 to 1,000,000.
    #[schemars(range(max = 1_000_000))]
    pub(crate) rows_percent: Option<Placed<u64>>,
    /// Of each open column's share of NULL, in percentage points, 0 to 100.
    #[schemars(range(max = 100))]
    pub(crate) nulls_points: Option<Placed<u64>>,
}
