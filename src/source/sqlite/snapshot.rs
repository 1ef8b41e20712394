//! A file at one instant: one read transaction on one connection.

use std::sync::Arc;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::SCHEMA;
use super::catalog::{quoted, table_sql};
use super::column::Batch;
use super::error::Subject;
use super::read;
use super::session::{Journal, Session, Stop};
use super::types::Class;
use crate::Batches;
use crate::error::{At, Error, Result};
use crate::source::bound::Operands;
use crate::source::gate::Slot;
use crate::source::parallel::{Reading, gather};
use crate::source::{Bound, Carried, Column, Gate, Literal, Relation, Shape, Snapshot};
use crate::spec::StreamName;
use crate::spec::pipeline::{Selector, TablePattern};

/// A file at one instant.
pub(super) struct SqliteSnapshot {
    session: Arc<Mutex<Session>>,
    stop: Stop,
    journal: Journal,
    gate: Arc<Gate>,
    reading: Option<Reading>,
    _slot: Slot,
}

/// What is read.
enum Target<'a> {
    Table(&'a str),
    Query(&'a str),
}

impl<'a> Target<'a> {
    fn of(selector: &'a Selector) -> Result<Self> {
        match selector {
            Selector::Table(pattern) => Ok(Self::Table(&pattern.table)),
            Selector::Query { sql, .. } => {
                Ok(Self::Query(sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace())))
            }
            Selector::Files(files) => Err(Error::invalid(format!(
                "stream `{}` is a set of files, and its connection is an SQLite database",
                files.name
            ))
            .help("name a table (`main.NAME: {}`) or write a `query`, or use a `files` connection")),
        }
    }

    fn select(&self, columns: &[Column], condition: Option<&str>) -> String {
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        // Without a column the rows are still counted.
        let names = if names.is_empty() { "1".to_owned() } else { names.join(", ") };
        let condition = condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        match self {
            Self::Table(table) => format!("SELECT {names} FROM {}{condition}", table_sql(table)),
            // The line ends keep a comment at the query's end to itself.
            Self::Query(sql) => format!("SELECT {names} FROM (\n{sql}\n){condition}"),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Table(table) => Subject::Table(format!("{SCHEMA}.{table}")),
            Self::Query(_) => Subject::Query,
        }
    }

    async fn columns(&self, session: &mut Session) -> Result<Vec<Column>> {
        match self {
            Self::Table(table) => session.table_columns(table).await,
            Self::Query(sql) => session.query_columns(sql).await,
        }
    }
}

impl SqliteSnapshot {
    pub(super) fn new(session: Session, gate: Arc<Gate>, slot: Slot) -> Self {
        let (stop, journal) = (session.stop.clone(), session.journal.clone());
        Self { session: Arc::new(Mutex::new(session)), stop, journal, gate, reading: None, _slot: slot }
    }

    /// The session, once the last read has ended at the source.
    async fn session(&mut self) -> Result<MutexGuard<'_, Session>> {
        if let Some(reading) = self.reading.take_if(|reading| !reading.is_active()) {
            reading.settle().await?;
        }
        if self.reading.is_some() {
            return Err(Error::failed("a snapshot reads one relation at a time"));
        }
        Ok(self.session.lock().await)
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn id(&self) -> Option<String> {
        match self.journal {
            Journal::Wal => None,
            Journal::Rollback { modified } => {
                modified.map(|at| format!("modified:{}.{:09}", at.as_secs(), at.subsec_nanos()))
            }
        }
    }

    fn consistency(&self) -> String {
        match self.journal {
            Journal::Wal => "one read transaction; writers go on meanwhile".to_owned(),
            Journal::Rollback { .. } => {
                "one read transaction; writers wait until it ends (without WAL)".to_owned()
            }
        }
    }

    async fn find(&mut self, selector: &Selector) -> Result<Vec<Relation>> {
        match Target::of(selector)? {
            Target::Query(_) => Relation::of_query(selector),
            Target::Table(_) => {
                let Selector::Table(pattern) = selector else { return Relation::of_query(selector) };
                let found = self.session().await?.find(pattern).await?;
                let mut relations = found.iter().map(|name| relation(name)).collect::<Result<Vec<_>>>()?;
                relations.sort_by(|a, b| a.stream.cmp(&b.stream));
                Ok(relations)
            }
        }
    }

    async fn describe(&mut self, relation: &Relation) -> Result<Shape> {
        let target = Target::of(&relation.selector)?;
        let mut session = self.session().await?;
        let columns = target.columns(&mut session).await.at(|| format!("stream {}", relation.stream))?;
        Ok(Shape { columns, rows: None, bytes: None })
    }

    async fn read(&mut self, relation: &Relation, columns: &[Column]) -> Result<Batches> {
        let target = Target::of(&relation.selector)?;
        let mut session = self.session().await?;
        let described = target.columns(&mut session).await.at(|| format!("stream {}", relation.stream))?;
        let is_utf8 = relation.bound.is_some() && session.is_utf8().await?;
        drop(session);
        let class = |column: &Column| {
            let now = described.iter().find(|now| now.name == column.name);
            if now.is_none_or(|now| now.carried != column.carried && column.carried != Carried::AsText) {
                let error = Error::invalid(format!("column `{}` is not as it was described", column.name));
                return Err(error.help("plan again"));
            }
            Ok(Class::asked(column))
        };
        let classes = columns.iter().map(class).collect::<Result<Vec<_>>>()?;
        let batch = Batch::new(columns, &classes)?;
        let session = Arc::clone(&self.session);
        let condition = relation.bound.as_ref().and_then(|bound| condition(bound, &described, is_utf8));
        let sql = target.select(columns, condition.as_deref());
        let worker = read::worker(session, self.stop.clone(), sql, batch, target.subject());
        let (batches, reading) = gather(vec![worker], &self.gate);
        self.reading = Some(reading);
        Ok(batches)
    }
}

/// The rows of a range, as far as SQLite compares as we do: whole numbers, and texts of a file that holds them as
/// UTF-8. What has another declared type may be held in any form.
fn condition(bound: &Bound, described: &[Column], is_utf8: bool) -> Option<String> {
    bound.condition(quoted, |name, literal| {
        let carried = &described.iter().find(|column| column.name == name)?.carried;
        let column = quoted(name);
        match (literal, carried) {
            (Literal::Integer(value), Carried::Exact(DataType::Int64)) => {
                Some(Operands { column, value: value.to_string() })
            }
            (Literal::Text(text), Carried::Exact(DataType::Utf8)) if is_utf8 => {
                let value = format!("'{}'", text.replace('\'', "''"));
                Some(Operands { column: format!("{column} COLLATE BINARY"), value })
            }
            _ => None,
        }
    })
}

fn relation(table: &str) -> Result<Relation> {
    Ok(Relation {
        stream: StreamName::parse(&format!("{SCHEMA}.{table}"))?,
        schema: Some(SCHEMA.to_owned()),
        table: table.to_owned(),
        selector: Selector::Table(TablePattern { schema: SCHEMA.to_owned(), table: table.to_owned() }),
        split_by: None,
        bound: None,
    })
}
