//! What is in the file.

use sqlx::{AssertSqlSafe, Column as _, Executor, SqlSafeStr, Statement, TypeInfo};

use super::SCHEMA;
use super::error::Subject;
use super::session::{Session, cell};
use super::types::Class;
use crate::error::{Error, Result};
use crate::source::Column;
use crate::source::tables::{matches, missing, nearest};
use crate::spec::pipeline::TablePattern;

/// The temporary view that stands for a query while its columns are asked for.
const VIEW: &str = "sealift_query";

/// A name in double quotes, for SQL that is sent.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Session {
    /// The tables and views a pattern stands for, sorted.
    ///
    /// # Errors
    /// `Invalid` when there is none.
    pub(super) async fn find(&mut self, pattern: &TablePattern) -> Result<Vec<String>> {
        let rows = self
            .rows(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' \
                 AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                 ORDER BY name",
                &Subject::File,
            )
            .await?;
        let names = rows.iter().map(|row| cell(row, 0)).collect::<Result<Vec<String>>>()?;
        let found: Vec<String> = if matches(&pattern.schema, SCHEMA) {
            names.iter().filter(|name| matches(&pattern.table, name)).cloned().collect()
        } else {
            Vec::new()
        };
        if found.is_empty() {
            return Err(self.missing(pattern, names));
        }
        Ok(found)
    }

    /// The error of a table that is not there, with the nearest one that is.
    fn missing(&self, wanted: &TablePattern, names: Vec<String>) -> Error {
        let error = Error::invalid(format!("{} in {}", missing(wanted), self.file.shown()));
        let names = names.into_iter().map(|name| (SCHEMA.to_owned(), name));
        match nearest(wanted, names) {
            Some((schema, name)) => error.help(format!("did you mean `{schema}.{name}`?")),
            None => error.help(format!("check the name; tables of an SQLite file are `{SCHEMA}.NAME`")),
        }
    }

    /// The columns of a table or view, in order.
    ///
    /// # Errors
    /// `Invalid` when it is not there or cannot be read.
    pub(super) async fn table_columns(&mut self, table: &str) -> Result<Vec<Column>> {
        let columns = self.declared(SCHEMA, table).await?;
        if columns.is_empty() {
            let pattern = TablePattern { schema: SCHEMA.to_owned(), table: table.to_owned() };
            return Err(self.find(&pattern).await.err().unwrap_or_else(|| {
                Error::invalid(format!("`{SCHEMA}.{table}` has no columns in {}", self.file.shown()))
            }));
        }
        // A view may name what is gone: told now and not in mid-read.
        let sql = format!("SELECT * FROM {}", table_sql(table));
        let subject = Subject::Table(format!("{SCHEMA}.{table}"));
        self.prepared(&sql, &subject).await?;
        Ok(columns)
    }

    /// The columns of a query.
    ///
    /// # Errors
    /// `Invalid` when it is not one `SELECT`, has a parameter, or names a column twice.
    pub(super) async fn query_columns(&mut self, sql: &str) -> Result<Vec<Column>> {
        // Within brackets only one statement is valid, and only one that reads.
        self.prepared(&format!("SELECT * FROM (\n{sql}\n)"), &Subject::Query).await?;
        let prepared = self.prepared(sql, &Subject::Query).await?;
        if prepared.iter().enumerate().any(|(i, (name, _))| prepared[..i].iter().any(|(n, _)| n == name)) {
            return Err(Error::invalid("the query gives two columns of one name")
                .help("give one of them another name with AS"));
        }
        // A view knows the declared type of a column that the query passes on, and what SQLite makes
        // of an expression.
        let view = format!("CREATE TEMP VIEW {VIEW} AS\n{sql}\n");
        self.rows(&view, &Subject::Query).await?;
        let declared = self.declared("temp", VIEW).await;
        self.rows(&format!("DROP VIEW temp.{VIEW}"), &Subject::File).await?;
        let of_query = |(declared, (name, passed_on)): (Column, (String, String))| {
            let class = match Class::of(&declared.source_type) {
                // What SQLite says of an expression that may be anything.
                Class::Blob if passed_on != "BLOB" => Class::Any,
                class => class,
            };
            Column { name, carried: class.carried(), nullable: true, ..declared }
        };
        Ok(declared?.into_iter().zip(prepared).map(of_query).collect())
    }

    async fn declared(&mut self, schema: &str, table: &str) -> Result<Vec<Column>> {
        let sql = format!("PRAGMA {schema}.table_xinfo({})", quoted(table));
        let subject = Subject::Table(format!("{SCHEMA}.{table}"));
        let rows = self.rows(&sql, &subject).await?;
        let mut columns = Vec::with_capacity(rows.len());
        for row in &rows {
            // 1: a hidden column of a virtual table, which `SELECT *` leaves out too.
            if cell::<i64>(row, 6)? == 1 {
                continue;
            }
            let source_type: String = cell(row, 2)?;
            columns.push(Column {
                name: cell(row, 1)?,
                carried: Class::of(&source_type).carried(),
                nullable: cell::<i64>(row, 3)? == 0,
                source_type,
            });
        }
        Ok(columns)
    }

    /// Names of a statement's columns, with the type that one was declared with where it comes
    /// straight from a table.
    async fn prepared(&mut self, sql: &str, subject: &Subject) -> Result<Vec<(String, String)>> {
        let prepared = (&mut self.connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await;
        let statement = prepared.map_err(|e| self.file.failed(&e, subject))?;
        if statement.parameters().is_some_and(|p| p.right_or_else(<[_]>::len) > 0) {
            return Err(Error::invalid("the query has a parameter, and a stream's query has none")
                .help("write the value in its place"));
        }
        let name = |c: &sqlx::sqlite::SqliteColumn| (c.name().to_owned(), c.type_info().name().to_owned());
        Ok(statement.columns().iter().map(name).collect())
    }
}

/// A table for SQL that is sent.
pub(super) fn table_sql(table: &str) -> String {
    format!("{SCHEMA}.{}", quoted(table))
}
