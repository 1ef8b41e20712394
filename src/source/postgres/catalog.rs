//! What the database knows about its tables.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::Subject;
use super::ident::{like, quoted, shown};
use super::session::Session;
use crate::error::{Error, Result};
use crate::source::tables::{has_globs, is_glob, nearest};
use crate::spec::pipeline::TablePattern;

/// Names offered as nearest spellings are looked for among this many at most.
const MAX_CANDIDATES: i64 = 20_000;

/// A table by its full name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
}

impl Table {
    /// For SQL that is sent.
    pub(super) fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// For messages and remedies.
    pub(super) fn shown(&self) -> String {
        format!("{}.{}", shown(&self.schema), shown(&self.name))
    }

    fn pattern(&self) -> TablePattern {
        TablePattern { schema: self.schema.clone(), table: self.name.clone() }
    }
}

/// What the catalog says of a table.
pub(super) struct Entry {
    pub(super) oid: u32,
    pub(super) kind: Kind,
    /// The role may read the whole table, not only some columns.
    pub(super) readable: bool,
    pub(super) attributes: Vec<Attribute>,
}

/// What answers under a table's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows stored here, in partitions or not.
    Stored,
    /// Rows computed or fetched: a view or a foreign table.
    Computed,
}

/// A column of a table.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) not_null: bool,
    pub(super) readable: bool,
}

/// Tables, views, materialized views and foreign tables that match. Partitions are left out where a
/// table above them matches too: their rows are read through it.
const FIND: &str = r"
SELECT n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname LIKE $1 AND c.relname LIKE $2
  AND NOT ($3 AND (n.nspname LIKE 'pg\_%' OR n.nspname = 'information_schema'))
  AND NOT (c.relispartition AND EXISTS (
    SELECT FROM pg_partition_ancestors(c.oid) a
    JOIN pg_class p ON p.oid = a.relid JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE p.oid <> c.oid AND pn.nspname LIKE $1 AND p.relname LIKE $2))
ORDER BY n.nspname, c.relname";

const CANDIDATES: &str = r"
SELECT n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT (n.nspname LIKE 'pg\_%' OR n.nspname = 'information_schema')
LIMIT $1";

const ENTRY: &str = "
SELECT c.oid, c.relkind IN ('r', 'p', 'm'), has_schema_privilege(n.oid, 'USAGE'),
  has_table_privilege(c.oid, 'SELECT'), has_any_column_privilege(c.oid, 'SELECT'),
  row_security_active(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = $1 AND c.relname = $2";

/// NOT NULL counts only where the server enforces it: not on foreign tables, not on a table with a
/// foreign partition, and not while the constraint is NOT VALID (PostgreSQL 18).
const ATTRIBUTES: &str = "
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
  a.attnotnull AND c.relkind IN ('r', 'p') AND NOT EXISTS (
    SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n'
      AND k.conkey[1] = a.attnum AND NOT k.convalidated)
  AND NOT EXISTS (
    SELECT FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE l.relkind = 'f'),
  has_column_privilege(c.oid, a.attnum, 'SELECT')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum";

/// The table and its partitions.
const STORED: &str = "
FROM pg_class c
WHERE c.relkind IN ('r', 'm')
  AND (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)))";

/// Whether a part of the table, partition or child, lies on another server.
const HAS_FOREIGN: &str = "EXISTS (
  WITH RECURSIVE part(oid) AS (SELECT $1::oid UNION
    SELECT i.inhrelid FROM pg_inherits i JOIN part p ON i.inhparent = p.oid)
  SELECT FROM part JOIN pg_class l ON l.oid = part.oid WHERE l.relkind = 'f')";

impl Session {
    /// Whether rows of the table come from another server, with an instant of its own.
    pub(super) async fn has_foreign(&self, oid: u32) -> Result<bool> {
        let rows = self.rows(&format!("SELECT {HAS_FOREIGN}"), &[&oid]).await?;
        rows.first().map(|row| cell(row, 0)).transpose().map(|foreign| foreign.unwrap_or(false))
    }

    pub(super) async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.client.query(sql, parameters).await.map_err(|e| self.endpoint.failed(&e, &Subject::Session))
    }

    /// The server's version as one number (150004 for 15.4).
    pub(super) async fn ask_version(&self) -> Result<u32> {
        let rows = self.rows("SELECT current_setting('server_version_num')::int4", &[]).await?;
        let version: i32 = rows.first().map(|row| cell(row, 0)).transpose()?.unwrap_or(0);
        Ok(u32::try_from(version).unwrap_or(0))
    }

    /// The tables a pattern stands for, sorted by name.
    ///
    /// # Errors
    /// `Invalid` when there is none.
    pub(super) async fn find(&self, pattern: &TablePattern) -> Result<Vec<Table>> {
        let (schema, table) = (like(&pattern.schema), like(&pattern.table));
        let rows = self.rows(FIND, &[&schema, &table, &is_glob(&pattern.schema)]).await?;
        if rows.is_empty() {
            return Err(self.missing(pattern).await?);
        }
        rows.iter().map(table_of).collect()
    }

    /// The error of a table that is not there, with the nearest one that is.
    async fn missing(&self, wanted: &TablePattern) -> Result<Error> {
        let rows = self.rows(CANDIDATES, &[&MAX_CANDIDATES]).await?;
        let candidates = rows.iter().map(table_of).collect::<Result<Vec<_>>>()?;
        let candidates = candidates.into_iter().map(|table| (table.schema, table.name));
        let what = if has_globs(wanted) {
            format!("no table matches `{}.{}`", wanted.schema, wanted.table)
        } else {
            format!("there is no table {}.{}", shown(&wanted.schema), shown(&wanted.table))
        };
        let error = Error::invalid(format!("{what} in database `{}`", self.endpoint.database));
        Ok(match nearest(wanted, candidates) {
            Some((schema, name)) => error.help(format!("did you mean `{schema}.{name}`?")),
            None => error.help("check the name, and that the role may see it"),
        })
    }

    /// What the catalog says of a table.
    ///
    /// # Errors
    /// `Invalid` when it is not there, or the role may not read any of it or all its rows.
    pub(super) async fn entry(&self, table: &Table) -> Result<Entry> {
        let rows = self.rows(ENTRY, &[&table.schema, &table.name]).await?;
        let Some(row) = rows.first() else { return Err(self.missing(&table.pattern()).await?) };
        let oid: u32 = cell(row, 0)?;
        // NULL: dropped since the snapshot began.
        let (Some(schema_usage), Some(readable), Some(some_readable), Some(filtered)) = (
            cell::<Option<bool>>(row, 2)?,
            cell::<Option<bool>>(row, 3)?,
            cell::<Option<bool>>(row, 4)?,
            cell::<Option<bool>>(row, 5)?,
        ) else {
            return Err(changed(table));
        };
        let (user, name) = (&self.endpoint.user, table.shown());
        if !schema_usage {
            let schema = shown(&table.schema);
            return Err(Error::invalid(format!("role `{user}` may not use schema {schema}"))
                .help(format!("GRANT USAGE ON SCHEMA {schema} TO {}", shown(user))));
        }
        if !some_readable {
            return Err(Error::invalid(format!("role `{user}` may not read {name}"))
                .help(format!("GRANT SELECT ON {name} TO {}", shown(user))));
        }
        if filtered {
            return Err(Error::invalid(format!("row security hides rows of {name} from role `{user}`")).help(format!(
                "ALTER ROLE {} BYPASSRLS; or read what the role sees with a query: `SELECT … FROM {name}`",
                shown(user)
            )));
        }
        let kind = if cell(row, 1)? { Kind::Stored } else { Kind::Computed };
        let attributes =
            self.rows(ATTRIBUTES, &[&oid]).await?.iter().map(attribute_of).collect::<Result<_>>()?;
        Ok(Entry { oid, kind, readable, attributes })
    }

    /// Keeps the table from being dropped, truncated or rewritten until the snapshot ends, and makes
    /// sure that this has not happened since it began: a truncated table looks empty to every
    /// snapshot, also to older ones.
    ///
    /// # Errors
    /// `Temporary` when the table is no longer that of the snapshot.
    pub(super) async fn hold(&self, table: &Table, entry: &Entry) -> Result<()> {
        // Locked before it is looked at: what is seen then cannot change between the look and the read.
        if entry.kind == Kind::Stored && entry.readable && self.is_lockable(entry.oid).await? {
            let lock = format!("LOCK TABLE {} IN ACCESS SHARE MODE", table.sql());
            let subject = Subject::Table(table.shown());
            self.client.batch_execute(&lock).await.map_err(|e| self.endpoint.failed(&e, &subject))?;
        }
        let sql = format!(
            "SELECT to_regclass($2)::oid IS DISTINCT FROM $1 OR EXISTS (SELECT {STORED}
               AND c.relfilenode <> 0 AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode)
             OR EXISTS (SELECT FROM pg_class WHERE oid = $1 AND relkind = 'p') AND EXISTS (
               WITH RECURSIVE before(oid) AS (SELECT $1::oid UNION
                 SELECT i.inhrelid FROM pg_inherits i JOIN before b ON i.inhparent = b.oid)
               SELECT FROM before b FULL JOIN pg_partition_tree($1::oid::regclass) a ON a.relid = b.oid
               WHERE b.oid IS NULL OR a.relid IS NULL)"
        );
        let rows = self.rows(&sql, &[&entry.oid, &table.sql()]).await?;
        if rows.first().map(|row| cell(row, 0)).transpose()?.unwrap_or(true) {
            return Err(changed(table));
        }
        Ok(())
    }

    /// `LOCK TABLE` is for tables and not for materialized views.
    async fn is_lockable(&self, oid: u32) -> Result<bool> {
        let rows = self.rows("SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = $1", &[&oid]).await?;
        rows.first().map(|row| cell(row, 0)).transpose().map(|lockable| lockable.unwrap_or(false))
    }

    /// Rows and bytes of a stored table, as the server last counted them.
    pub(super) async fn stored_size(&self, oid: u32) -> Result<(Option<u64>, Option<u64>)> {
        let sql = format!(
            "SELECT CASE WHEN min(c.reltuples) >= 0 THEN sum(c.reltuples)::int8 END,
               sum(pg_table_size(c.oid))::int8 {STORED}"
        );
        let rows = self.rows(&sql, &[&oid]).await?;
        let Some(row) = rows.first() else { return Ok((None, None)) };
        let count = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok());
        Ok((count(cell(row, 0)?), count(cell(row, 1)?)))
    }

    /// Blocks of the largest part of a stored table, and bytes of all parts; 0 where a part has no
    /// blocks.
    pub(super) async fn blocks(&self, table: &Table) -> Result<(u64, u64)> {
        let sql = format!(
            "SELECT (max(pg_relation_size(c.oid)) / current_setting('block_size')::int8)::int8,
               sum(pg_relation_size(c.oid))::int8,
               {HAS_FOREIGN} {STORED}"
        );
        let oid: u32 = {
            let rows = self.rows("SELECT to_regclass($1)::oid", &[&table.sql()]).await?;
            rows.first()
                .map(|row| cell::<Option<u32>>(row, 0))
                .transpose()?
                .flatten()
                .ok_or_else(|| changed(table))?
        };
        let rows = self.rows(&sql, &[&oid]).await?;
        let Some(row) = rows.first() else { return Ok((0, 0)) };
        if cell(row, 2)? {
            return Ok((0, 0));
        }
        let count = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
        Ok((count(cell(row, 0)?), count(cell(row, 1)?)))
    }

    /// Rows and bytes the planner expects of a query.
    ///
    /// # Errors
    /// As planning the query: also a missing right shows here.
    pub(super) async fn planned_size(
        &self,
        select: &str,
        subject: &Subject,
    ) -> Result<(Option<u64>, Option<u64>)> {
        let line = self.query_plan(select, subject).await?.into_iter().next().unwrap_or_default();
        let number = |key: &str| {
            let (_, after) = line.rsplit_once(key)?;
            after.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        let (expected, width) = (number("rows="), number("width="));
        Ok((expected, expected.zip(width).map(|(rows, width)| rows.saturating_mul(width))))
    }

    /// How the planner would run a statement, line by line.
    pub(super) async fn query_plan(&self, select: &str, subject: &Subject) -> Result<Vec<String>> {
        let explain = format!("EXPLAIN {select}");
        let rows = self.client.query(&explain, &[]).await.map_err(|e| self.endpoint.failed(&e, subject))?;
        rows.iter().map(|row| cell(row, 0)).collect()
    }
}

/// The table is not what it was at the snapshot's instant.
pub(super) fn changed(table: &Table) -> Error {
    Error::temporary(format!("{} was truncated or altered while it was about to be read", table.shown()))
        .help("run again")
}

/// A cell of a row of our own catalog queries.
pub(super) fn cell<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|_| Error::failed("the PostgreSQL catalog is not as expected"))
}

fn table_of(row: &Row) -> Result<Table> {
    Ok(Table { schema: cell(row, 0)?, name: cell(row, 1)? })
}

fn attribute_of(row: &Row) -> Result<Attribute> {
    Ok(Attribute {
        name: cell(row, 0)?,
        type_name: cell(row, 1)?,
        not_null: cell(row, 2)?,
        readable: cell(row, 3)?,
    })
}
