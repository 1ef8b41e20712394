//! What must hold of a stream's rows before they are published.

use std::fmt;
use std::time::Duration;

use super::faults::quoted;
use super::{DatasetName, pipeline::Position};

/// One demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What must hold.
    pub demand: Demand,
    /// What happens where it does not.
    pub on_fail: OnFail,
    /// Where it is written.
    pub position: Position,
}

impl Check {
    /// Whether it sends rows to the quarantine.
    #[must_use]
    pub fn quarantines(&self) -> bool {
        self.on_fail == OnFail::Quarantine
    }
}

/// What must hold. Columns are those of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A condition in SQL, true of every row; NULL is no violation (as in SQL's own CHECK).
    Sql(String),
    /// None of the columns is NULL.
    NotNull(Vec<String>),
    /// No two rows agree in all of these columns. A row with a NULL in one of them agrees with none.
    Unique(Vec<String>),
    /// Every value that is not NULL is one of these.
    Accepted {
        /// The column.
        column: String,
        /// The values, as texts that can be read as the column's type.
        values: Vec<String>,
    },
    /// Every value that is not NULL lies between these literals, both included.
    Range {
        /// The column.
        column: String,
        /// Least, as a text that can be read as the column's type.
        min: Option<String>,
        /// Greatest.
        max: Option<String>,
    },
    /// Every row without a NULL in these columns has a counterpart in the newest version of a dataset.
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
        rows_percent: Option<u64>,
        /// In percentage points of NULL.
        nulls_points: Option<u64>,
    },
}

impl Demand {
    /// Whether single rows meet it or do not.
    #[must_use]
    pub const fn is_of_rows(&self) -> bool {
        matches!(
            self,
            Self::Sql(_)
                | Self::NotNull(_)
                | Self::Accepted { .. }
                | Self::Range { .. }
                | Self::ForeignKey { .. }
        )
    }

    /// The columns that it names; those of SQL are found by planning it.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        match self {
            Self::NotNull(columns) | Self::Unique(columns) | Self::ForeignKey { columns, .. } => columns,
            Self::Accepted { column, .. } | Self::Range { column, .. } | Self::Freshness { column, .. } => {
                std::slice::from_ref(column)
            }
            Self::Sql(_) | Self::RowCount { .. } | Self::Drift { .. } => &[],
        }
    }
}

/// As messages name it: SQL is on one line, and cut where it is long.
impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(sql) => {
                let sql: Vec<&str> = sql.split_whitespace().collect();
                write!(f, "check {}", quoted(&sql.join(" ")))
            }
            Self::NotNull(columns) => write!(f, "not_null [{}]", columns.join(", ")),
            Self::Unique(columns) => write!(f, "unique [{}]", columns.join(", ")),
            Self::Accepted { column, .. } => write!(f, "accepted values of {column}"),
            Self::Range { column, .. } => write!(f, "range of {column}"),
            Self::ForeignKey { columns, dataset, .. } => {
                write!(f, "foreign_key [{}] into {dataset}", columns.join(", "))
            }
            Self::RowCount { .. } => f.write_str("row_count"),
            Self::Freshness { column, .. } => write!(f, "freshness of {column}"),
            Self::Drift { .. } => f.write_str("drift"),
        }
    }
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
