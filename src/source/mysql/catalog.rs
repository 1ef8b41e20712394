//! What the server knows about its tables.

use super::error::Subject;
use super::ident::{like, literal, quoted, shown};
use super::session::Session;
use crate::error::{Error, Result};
use crate::source::tables::{has_globs, is_glob, matches, nearest};
use crate::spec::pipeline::TablePattern;

/// Names offered as nearest spellings are looked for among this many at most.
const MAX_CANDIDATES: usize = 20_000;
/// Databases of the server itself.
const SYSTEM: &str = "'information_schema', 'mysql', 'performance_schema', 'sys'";
const READABLE: &str = "TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')";

/// A table by its full name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) database: String,
    pub(super) name: String,
}

impl Table {
    /// For SQL that is sent.
    pub(super) fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.name))
    }

    /// For messages and remedies.
    pub(super) fn shown(&self) -> String {
        format!("{}.{}", shown(&self.database), shown(&self.name))
    }

    fn pattern(&self) -> TablePattern {
        TablePattern { schema: self.database.clone(), table: self.name.clone() }
    }

    fn condition(&self) -> String {
        format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(&self.database), literal(&self.name))
    }
}

/// What the catalog says of a table.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) rows: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) columns: Vec<Attribute>,
}

/// What answers under a table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows of an engine that keeps snapshots.
    Snapshotted,
    /// Rows of this engine, which shows everybody its newest state.
    Unversioned(String),
    /// Rows computed by a view.
    View,
}

/// A column of a table.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) nullable: bool,
    pub(super) readable: bool,
}

impl Session {
    /// The tables a pattern stands for.
    ///
    /// # Errors
    /// `Invalid` when there is none.
    pub(super) async fn find(&mut self, pattern: &TablePattern) -> Result<Vec<Table>> {
        let system = if is_glob(&pattern.schema) {
            format!(" AND TABLE_SCHEMA NOT IN ({SYSTEM})")
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE {READABLE} \
             AND TABLE_SCHEMA LIKE {} ESCAPE '|' AND TABLE_NAME LIKE {} ESCAPE '|'{system}",
            literal(&like(&pattern.schema)),
            literal(&like(&pattern.table)),
        );
        let found = self.tables(&sql).await?;
        // The catalog compares without regard to case; the server's files may not.
        let as_written = self.one("SELECT @@lower_case_table_names").await?.as_deref() == Some("0");
        let same = |glob: &str, name: &str| match as_written {
            true => matches(glob, name),
            false => matches(&glob.to_lowercase(), &name.to_lowercase()),
        };
        let tables: Vec<Table> = found
            .into_iter()
            .filter(|t| same(&pattern.schema, &t.database) && same(&pattern.table, &t.name))
            .collect();
        if tables.is_empty() {
            return Err(self.missing(pattern).await?);
        }
        Ok(tables)
    }

    async fn tables(&mut self, sql: &str) -> Result<Vec<Table>> {
        let answer = self.ask(sql).await?;
        let table = |row: Vec<Option<String>>| {
            let mut cells = row.into_iter().flatten();
            Some(Table { database: cells.next()?, name: cells.next()? })
        };
        Ok(answer.rows.into_iter().filter_map(table).collect())
    }

    /// The error of a table that is not there, with the nearest one that is.
    async fn missing(&mut self, wanted: &TablePattern) -> Result<Error> {
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
             WHERE {READABLE} AND TABLE_SCHEMA NOT IN ({SYSTEM}) LIMIT {MAX_CANDIDATES}"
        );
        let candidates = self.tables(&sql).await?;
        let candidates = candidates.into_iter().map(|table| (table.database, table.name));
        let what = if has_globs(wanted) {
            format!("no table matches `{}.{}`", wanted.schema, wanted.table)
        } else {
            format!("there is no table {}.{}", shown(&wanted.schema), shown(&wanted.table))
        };
        let error = Error::invalid(format!("{what} at the server {}", self.access.endpoint.address()));
        Ok(match nearest(wanted, candidates) {
            Some((database, name)) => error.help(format!("did you mean `{database}.{name}`?")),
            None => error.help("check the name, and that the user may see it"),
        })
    }

    /// What the catalog says of a table.
    ///
    /// # Errors
    /// `Invalid` when it is not there, or the user may not read any of it.
    pub(super) async fn entry(&mut self, table: &Table) -> Result<Entry> {
        let sql = format!(
            "SELECT TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES WHERE {READABLE} AND {}",
            table.condition()
        );
        let Some(row) = self.ask(&sql).await?.rows.into_iter().next() else {
            return Err(self.missing(&table.pattern()).await?);
        };
        let cell = |index: usize| row.get(index).and_then(Option::as_deref);
        let number = |index| cell(index).and_then(|n| n.parse().ok());
        let kind = match (cell(0), cell(1)) {
            (Some("VIEW"), _) => Kind::View,
            (_, Some(engine)) if engine.eq_ignore_ascii_case("InnoDB") => Kind::Snapshotted,
            (_, engine) => Kind::Unversioned(engine.unwrap_or("unknown").to_owned()),
        };
        let columns = self.attributes(table).await?;
        if !columns.iter().any(|c| c.readable) {
            let (name, user) = (table.shown(), self.access.endpoint.user.clone());
            return Err(Error::invalid(format!("user `{user}` may not read {name}"))
                .help(format!("GRANT SELECT ON {name} TO {}", shown(&user))));
        }
        Ok(Entry { kind, rows: number(2), bytes: number(3), columns })
    }

    async fn attributes(&mut self, table: &Table) -> Result<Vec<Attribute>> {
        let sql = format!(
            "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, FIND_IN_SET('select', PRIVILEGES) \
             FROM information_schema.COLUMNS WHERE {} ORDER BY ORDINAL_POSITION",
            table.condition()
        );
        let attribute = |row: Vec<Option<String>>| {
            let mut cells = row.into_iter().flatten();
            Some(Attribute {
                name: cells.next()?,
                type_name: cells.next()?,
                nullable: cells.next()? != "NO",
                readable: cells.next()? != "0",
            })
        };
        Ok(self.ask(&sql).await?.rows.into_iter().filter_map(attribute).collect())
    }

    /// Whether an index begins with the column.
    pub(super) async fn leads_an_index(&mut self, table: &Table, column: &str) -> Result<bool> {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE {} AND SEQ_IN_INDEX = 1 \
             AND COLUMN_NAME = {} AND INDEX_TYPE = 'BTREE'",
            table.condition(),
            literal(column)
        );
        Ok(self.one(&sql).await?.is_some_and(|count| count != "0"))
    }

    /// The first column of the table's primary key.
    pub(super) async fn key_column(&mut self, table: &Table) -> Result<Option<String>> {
        let sql = format!(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE {} AND INDEX_NAME = 'PRIMARY' \
             AND SEQ_IN_INDEX = 1",
            table.condition()
        );
        self.one(&sql).await
    }

    /// Rows the planner expects of a statement on one table.
    pub(super) async fn planned_rows(&mut self, select: &str, subject: &Subject) -> Result<Option<u64>> {
        let plan = self.ask_about(&format!("EXPLAIN {select}"), subject).await?;
        let Some(place) = plan.names.iter().position(|name| name == "rows") else { return Ok(None) };
        let rows = plan.rows.first().and_then(|row| row.get(place)).cloned().flatten();
        Ok(rows.and_then(|rows| rows.parse().ok()))
    }
}
