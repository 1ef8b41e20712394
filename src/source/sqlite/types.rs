//! How a column is carried, by the type it was declared with.

use arrow::datatypes::DataType;

use crate::source::{Carried, Column};

/// What the cells of a column are expected to be. Decided once per column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Integers 0 and 1.
    Boolean,
    Integer,
    Real,
    Text,
    Blob,
    /// Cells of any storage class, each as its text.
    Any,
}

impl Class {
    /// By the declared type, as SQLite itself finds a column's affinity, with booleans told apart.
    pub(super) fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        if matches!(declared.as_str(), "BOOLEAN" | "BOOL") {
            Self::Boolean
        } else if has(&["INT"]) {
            Self::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            // NUMERIC and DECIMAL are held as integers, doubles or text; DATE, DATETIME and JSON are
            // not types of SQLite; no declared type at all.
            Self::Any
        }
    }

    /// How the cells of a column are read that is asked for in this way.
    pub(super) fn asked(column: &Column) -> Self {
        match &column.carried {
            Carried::Exact(DataType::Boolean) => Self::Boolean,
            Carried::Exact(DataType::Int64) => Self::Integer,
            Carried::Exact(DataType::Float64) => Self::Real,
            Carried::Exact(DataType::Utf8) => Self::Text,
            Carried::Exact(DataType::Binary) => Self::Blob,
            _ => Self::Any,
        }
    }

    pub(super) fn carried(self) -> Carried {
        match self {
            Self::Boolean => Carried::Exact(DataType::Boolean),
            Self::Integer => Carried::Exact(DataType::Int64),
            Self::Real => Carried::Exact(DataType::Float64),
            Self::Text => Carried::Exact(DataType::Utf8),
            Self::Blob => Carried::Exact(DataType::Binary),
            Self::Any => Carried::AsText,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_is_read_as_sqlite_reads_it() {
        for (declared, class) in [
            ("INTEGER", Class::Integer),
            ("unsigned big int", Class::Integer),
            // INT wins over CHAR and everything else, as in SQLite.
            ("CHARINT", Class::Integer),
            ("varchar(20)", Class::Text),
            ("CLOB", Class::Text),
            ("BLOB", Class::Blob),
            ("DOUBLE PRECISION", Class::Real),
            ("bool", Class::Boolean),
            ("DECIMAL(10,2)", Class::Any),
            ("DATETIME", Class::Any),
            ("", Class::Any),
            ("ANY", Class::Any),
        ] {
            assert_eq!(Class::of(declared), class, "{declared}");
        }
    }
}
