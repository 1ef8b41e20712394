//! A database at one instant: one read-only transaction on one connection.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Statement;

use super::catalog::{Kind, Table, cell, changed};
use super::decode::Decoder;
use super::error::Subject;
use super::ident::{list, shown};
use super::layout::{self, Layout};
use super::read::{self, Reading};
use super::session::Session;
use crate::Batches;
use crate::error::{At, Error, Result};
use crate::source::{Carried, Column, Relation, Shape, Snapshot};
use crate::spec::StreamName;
use crate::spec::pipeline::{Selector, TablePattern};

/// Fixes the instant. The lock timeout is for tables being altered; without it we would wait for ever.
const BEGIN: &str = "SET TIME ZONE 'UTC'; SET lock_timeout = '60s'; \
    SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Every step runs within a savepoint, so that a query that fails does not end the snapshot.
const SAVE: &str = "SAVEPOINT sealift";
const KEEP: &str = "RELEASE SAVEPOINT sealift";
const UNDO: &str = "ROLLBACK TO SAVEPOINT sealift; RELEASE SAVEPOINT sealift";

/// Before and after a query of the spec. The line ends keep a comment at its end to itself.
const QUERY_HEAD: &str = "SELECT * FROM (\n";
const QUERY_TAIL: &str = "\n) AS source";

/// A database at one instant.
pub(super) struct PostgresSnapshot {
    session: Arc<Session>,
    id: String,
    reading: Option<Reading>,
}

/// What is read, as SQL.
enum Target {
    Table(Table),
    Query(String),
}

impl Target {
    fn of(selector: &Selector) -> Result<Self> {
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
    fn select(&self, columns: Option<&[Column]>) -> String {
        self.select_list(&columns.map_or_else(|| "*".to_owned(), |c| list(c.iter().map(|c| c.name.as_str()))))
    }

    fn select_list(&self, columns: &str) -> String {
        match self {
            Self::Table(table) => format!("SELECT {columns} FROM {}", table.sql()),
            Self::Query(sql) => format!("SELECT {columns} FROM (\n{sql}{QUERY_TAIL}"),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Table(table) => Subject::Table(table.shown()),
            Self::Query(sql) => Subject::Query { sql: sql.clone(), offset: QUERY_HEAD.chars().count() },
        }
    }
}

impl PostgresSnapshot {
    /// Begins the transaction that fixes the instant.
    pub(super) async fn begin(session: Session) -> Result<Self> {
        session.run(layout::TEXT_FORMS).await?;
        session.run(BEGIN).await?;
        let id = instant(&session).await?;
        Ok(Self { session: Arc::new(session), id, reading: None })
    }

    /// Ends the last read, if there was one, and makes ready for a step that may fail.
    async fn save(&mut self) -> Result<()> {
        if let Some(reading) = self.reading.take_if(|reading| !reading.is_active()) {
            reading.settle().await?;
            self.session.run(UNDO).await?;
        }
        if self.reading.is_some() {
            return Err(Error::failed("a snapshot reads one relation at a time"));
        }
        self.session.run(SAVE).await
    }

    /// Closes a step. What it locked stays locked if it went well.
    async fn close<T>(&self, result: Result<T>) -> Result<T> {
        let closed = self.session.run(if result.is_ok() { KEEP } else { UNDO }).await;
        let value = result?;
        closed.map(|()| value)
    }

    async fn prepare(&self, target: &Target, columns: Option<&[Column]>) -> Result<Statement> {
        let Session { client, endpoint, .. } = self.session.as_ref();
        let statement = client.prepare(&target.select(columns)).await;
        let statement = statement.map_err(|e| endpoint.failed(&e, &target.subject()))?;
        if !statement.params().is_empty() {
            return Err(Error::invalid("the query has a parameter, and a stream's query has none")
                .help("write the value in place of `$1`"));
        }
        Ok(statement)
    }

    async fn shape(&self, target: &Target) -> Result<Shape> {
        match target {
            Target::Table(table) => self.table_shape(table, target).await,
            Target::Query(_) => self.query_shape(target).await,
        }
    }

    async fn table_shape(&self, table: &Table, target: &Target) -> Result<Shape> {
        let entry = self.session.entry(table).await?;
        self.session.hold(table, &entry).await?;
        let statement = self.prepare(target, None).await?;
        let columns = statement.columns();
        let same = columns
            .iter()
            .map(tokio_postgres::Column::name)
            .eq(entry.attributes.iter().map(|a| a.name.as_str()));
        if !same {
            return Err(changed(table));
        }
        let layouts = self.session.layouts(columns).await?;
        let from = table.shown();
        let role = shown(&self.session.endpoint.user);
        let describe = |(layout, attribute): (&Layout, &super::catalog::Attribute)| Column {
            name: attribute.name.clone(),
            source_type: attribute.type_name.clone(),
            nullable: !attribute.not_null,
            carried: if attribute.readable {
                layout.carried()
            } else {
                let name = shown(&attribute.name);
                Carried::Refused {
                    remedy: format!(
                        "the role may not read it: GRANT SELECT ({name}) ON {from} TO {role}; \
                         or leave it out: `columns: {{{name}: {{action: drop}}}}`"
                    ),
                }
            },
        };
        let described = layouts.iter().zip(&entry.attributes).map(describe).collect();
        let (rows, bytes) = match entry.kind {
            Kind::Stored => self.session.stored_size(entry.oid).await?,
            Kind::Computed => {
                let readable: Vec<Column> = Vec::clone(&described);
                self.computed_size(target, &readable).await?
            }
        };
        Ok(Shape { columns: described, rows, bytes })
    }

    async fn computed_size(&self, target: &Target, columns: &[Column]) -> Result<(Option<u64>, Option<u64>)> {
        let readable: Vec<Column> = columns.iter().filter(|c| c.field().is_some()).cloned().collect();
        self.session.planned_size(&target.select(Some(&readable)), &target.subject()).await
    }

    async fn query_shape(&self, target: &Target) -> Result<Shape> {
        let statement = self.prepare(target, None).await?;
        let columns = statement.columns();
        let mut seen = HashSet::new();
        if let Some(twice) = columns.iter().find(|c| !seen.insert(c.name())) {
            return Err(Error::invalid(format!("the query has two columns named `{}`", twice.name()))
                .help("give one of them another name with AS"));
        }
        let oids: Vec<u32> = columns.iter().map(|c| c.type_().oid()).collect();
        let modifiers: Vec<i32> = columns.iter().map(tokio_postgres::Column::type_modifier).collect();
        let names = self
            .session
            .rows(
                "SELECT format_type(t.id, t.modifier) FROM unnest($1::oid[], $2::int4[]) \
                 WITH ORDINALITY AS t(id, modifier, place) ORDER BY t.place",
                &[&oids, &modifiers],
            )
            .await?;
        let layouts = self.session.layouts(columns).await?;
        let described = columns
            .iter()
            .zip(&names)
            .zip(&layouts)
            .map(|((column, name), layout)| {
                Ok(Column {
                    name: column.name().to_owned(),
                    source_type: cell(name, 0)?,
                    nullable: true,
                    carried: layout.carried(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        // EXPLAIN puts its own word in front of the query.
        let mut subject = target.subject();
        if let Subject::Query { offset, .. } = &mut subject {
            *offset += "EXPLAIN ".len();
        }
        let (rows, bytes) = self.session.planned_size(&target.select(None), &subject).await?;
        Ok(Shape { columns: described, rows, bytes })
    }

    /// Checks that the columns still are what they were described as, and starts to read them.
    async fn start(&self, target: &Target, columns: &[Column]) -> Result<(Batches, Reading)> {
        if let Target::Table(table) = target {
            let entry = self.session.entry(table).await?;
            self.session.hold(table, &entry).await?;
        }
        let statement = self.prepare(target, Some(columns)).await?;
        let layouts = self.session.layouts(statement.columns()).await?;
        let layouts = layouts
            .into_iter()
            .zip(columns)
            .map(|(layout, described)| {
                layout.asked(&described.carried).ok_or_else(|| {
                    Error::invalid(format!(
                        "column `{}` is not of the type it was described with",
                        described.name
                    ))
                    .help("plan again")
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let decoder = Decoder::new(columns, layouts.iter().map(|layout| &layout.wire))?;
        let select = target.select_list(&layout::select_list(columns, &layouts));
        let copy = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
        let subject = without_position(&target.subject());
        Ok(read::start(Arc::clone(&self.session), copy, decoder, subject))
    }
}

/// Positions are told when a query is described; those of a COPY count from elsewhere.
fn without_position(subject: &Subject) -> Subject {
    match subject {
        Subject::Query { .. } => Subject::Query { sql: String::new(), offset: 0 },
        other => other.clone(),
    }
}

/// A name for the instant: the exported snapshot and the write-ahead log's position, as far as the
/// role may ask for them.
async fn instant(session: &Session) -> Result<String> {
    let rows = session
        .rows(
            "SELECT txid_current_snapshot()::text, pg_is_in_recovery(),
               has_function_privilege('pg_export_snapshot()', 'execute'),
               has_function_privilege('pg_current_wal_lsn()', 'execute'),
               has_function_privilege('pg_last_wal_replay_lsn()', 'execute')",
            &[],
        )
        .await?;
    let row = rows.first().ok_or_else(|| Error::failed("the PostgreSQL catalog is not as expected"))?;
    let (standby, may_export): (bool, bool) = (cell(row, 1)?, cell(row, 2)?);
    let may_ask_position: bool = cell(row, if standby { 4 } else { 3 })?;
    let mut id: String = cell(row, 0)?;
    if may_export {
        let rows = session.rows("SELECT pg_export_snapshot()", &[]).await?;
        id = rows.first().map(|row| cell(row, 0)).transpose()?.unwrap_or(id);
    }
    if may_ask_position {
        let function = if standby { "pg_last_wal_replay_lsn" } else { "pg_current_wal_lsn" };
        let rows = session.rows(&format!("SELECT {function}()::text"), &[]).await?;
        if let Some(position) = rows.first().map(|row| cell::<Option<String>>(row, 0)).transpose()?.flatten()
        {
            id = format!("{id}@{position}");
        }
    }
    Ok(id)
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    fn id(&self) -> Option<String> {
        Some(self.id.clone())
    }

    fn consistency(&self) -> String {
        "one transaction snapshot".to_owned()
    }

    async fn find(&mut self, selector: &Selector) -> Result<Vec<Relation>> {
        let pattern = match Target::of(selector)? {
            Target::Table(table) => TablePattern { schema: table.schema, table: table.name },
            Target::Query(_) => return query_relation(selector),
        };
        self.save().await?;
        let found = self.session.find(&pattern).await;
        let mut relations = self.close(found).await?.into_iter().map(relation).collect::<Result<Vec<_>>>()?;
        relations.sort_by(|a, b| a.stream.cmp(&b.stream));
        Ok(relations)
    }

    async fn describe(&mut self, relation: &Relation) -> Result<Shape> {
        let target = Target::of(&relation.selector)?;
        self.save().await?;
        let shape = self.shape(&target).await;
        self.close(shape).await.at(|| format!("stream {}", relation.stream))
    }

    async fn read(&mut self, relation: &Relation, columns: &[Column]) -> Result<Batches> {
        let target = Target::of(&relation.selector)?;
        self.save().await?;
        match self.start(&target, columns).await {
            Ok((batches, reading)) => {
                self.reading = Some(reading);
                Ok(batches)
            }
            Err(error) => self.close(Err(error)).await.at(|| format!("stream {}", relation.stream)),
        }
    }
}

fn relation(table: Table) -> Result<Relation> {
    Ok(Relation {
        stream: StreamName::parse(&format!("{}.{}", table.schema, table.name))?,
        schema: Some(table.schema.clone()),
        table: table.name.clone(),
        selector: Selector::Table(TablePattern { schema: table.schema, table: table.name }),
        split_by: None,
    })
}

fn query_relation(selector: &Selector) -> Result<Vec<Relation>> {
    match selector {
        Selector::Query { name, .. } => Ok(vec![Relation {
            stream: name.clone(),
            schema: None,
            table: name.as_str().to_owned(),
            selector: selector.clone(),
            split_by: None,
        }]),
        _ => Err(Error::failed("not a query")),
    }
}
