//! What must hold of a stream's rows before they are published.

use std::time::Duration;

use super::{DatasetName, pipeline::Position};

/// One demand.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What must hold.
    pub demand: Demand,
    /// What happens where it does not.
    pub on_fail: OnFail,
    /// Where it is written.
    pub position: Position,
}

/// What must hold. Columns are those of the output.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// A condition in SQL, true of every row; NULL is no violation (as in SQL's own CHECK).
    Sql(String),
    /// None of the columns is NULL.
    NotNull(Vec<String>),
    /// No two rows agree in all of these columns.
    Unique(Vec<String>),
    /// Every value that is not NULL is one of these texts, as SQL casts the column to text.
    Accepted {
        /// The column.
        column: String,
        /// The values.
        values: Vec<String>,
    },
    /// Every value that is not NULL lies between these literals, both included.
    Range {
        /// The column.
        column: String,
        /// Least, as SQL writes it.
        min: Option<String>,
        /// Greatest.
        max: Option<String>,
    },
    /// Every value that is not NULL is among the other column's.
    ForeignKey {
        /// The columns.
        columns: Vec<String>,
        /// The dataset they point into.
        dataset: DatasetName,
        /// Its columns, in the same order.
        references: Vec<String>,
    },
    /// How many rows a run brings.
    RowCount {
        /// Least.
        min: Option<u64>,
        /// Most.
        max: Option<u64>,
    },
    /// The newest value of a timestamp or date column is at most this old.
    Freshness {
        /// The column.
        column: String,
        /// How old.
        max_age: Duration,
    },
    /// How far the row count, and each column's share of NULL, may be from the last version's.
    Drift {
        /// In percent of the row count.
        rows_percent: Option<f64>,
        /// In percentage points of NULL.
        nulls_points: Option<f64>,
    },
}

/// What happens where a demand is not met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFail {
    /// Nothing is published (`Data`).
    #[default]
    Fail,
    /// Rows that violate it go to the quarantine. Only of demands on single rows.
    Quarantine,
    /// It is told, in the log and in the run's record.
    Warn,
}
