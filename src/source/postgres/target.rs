//! What a stream reads, as SQL.

use super::catalog::Table;
use super::error::Subject;
use super::ident::list;
use crate::error::{Error, Result};
use crate::source::Column;
use crate::spec::pipeline::{Selector, TablePattern};

/// Before and after a query of the spec. The line ends keep a comment at its end to itself.
pub(super) const QUERY_HEAD: &str = "SELECT * FROM (\n";
const QUERY_TAIL: &str = "\n) AS source";

/// What is read, as SQL.
pub(super) enum Target {
    Table(Table),
    Query(String),
}

impl Target {
    pub(super) fn of(selector: &Selector) -> Result<Self> {
        match selector {
            Selector::Table(TablePattern { schema, table }) => {
                Ok(Self::Table(Table { schema: schema.clone(), name: table.clone() }))
            }
            Selector::Query { sql, .. } => {
                Ok(Self::Query(sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()))
            }
            Selector::Files(files) => Err(Error::invalid(format!(
                "stream `{}` is a set of files, and its connection is a PostgreSQL database",
                files.name
            ))
            .help("name a table (`schema.table: {}`) or write a `query`, or use a `files` connection")),
        }
    }

    /// `SELECT` of the columns, all of them for `None`.
    pub(super) fn select(&self, columns: Option<&[Column]>) -> String {
        let list = columns.map_or_else(|| "*".to_owned(), |c| list(c.iter().map(|c| c.name.as_str())));
        self.select_list(&list, None)
    }

    /// `SELECT` of a list, in the rows of the piece.
    pub(super) fn select_list(&self, columns: &str, piece: Option<&str>) -> String {
        let condition = piece.map_or_else(String::new, |piece| format!(" WHERE {piece}"));
        match self {
            Self::Table(table) => format!("SELECT {columns} FROM {}{condition}", table.sql()),
            Self::Query(sql) => format!("SELECT {columns} FROM (\n{sql}{QUERY_TAIL}{condition}"),
        }
    }

    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Table(table) => Subject::Table(table.shown()),
            Self::Query(sql) => Subject::Query { sql: sql.clone(), offset: QUERY_HEAD.chars().count() },
        }
    }

    /// Positions are told when a query is described; those of other statements count from elsewhere.
    pub(super) fn subject_without_position(&self) -> Subject {
        match self.subject() {
            Subject::Query { .. } => Subject::Query { sql: String::new(), offset: 0 },
            other => other,
        }
    }
}
