//! A database at one instant: a read-only transaction on every connection, all of one exported
//! snapshot.
//!
//! One connection exports the snapshot, asks the catalog and holds the locks; others take the
//! snapshot on and copy. Where there may be no others, the first copies too.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Statement;

use super::bound;
use super::catalog::{Kind as Stored, Table, cell, changed};
use super::chunks::{self, Piece};
use super::decode::Decoder;
use super::error::Subject;
use super::ident::shown;
use super::instant::{self, Instant};
use super::layout::{self, Layout};
use super::line::Line;
use super::read::{self, Pool, Task};
use super::session::{Login, Session};
use super::target::Target;
use super::throttle;
use crate::Batches;
use crate::error::{At, Error, Kind, Result};
use crate::source::bound::both;
use crate::source::gate::Watcher;
use crate::source::parallel::{self, Reading, Work};
use crate::source::{Carried, Column, Gate, Relation, Shape, Snapshot};
use crate::spec::config::Throttle;
use crate::spec::pipeline::{Selector, TablePattern};

/// Fixes the instant.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Every step runs within a savepoint, so that a query that fails does not end the snapshot.
const SAVE: &str = "SAVEPOINT sealift";
const KEEP: &str = "RELEASE SAVEPOINT sealift";
const UNDO: &str = "ROLLBACK TO SAVEPOINT sealift; RELEASE SAVEPOINT sealift";

/// A database at one instant.
pub(super) struct PostgresSnapshot {
    login: Login,
    gate: Arc<Gate>,
    session: Arc<Session>,
    instant: Instant,
    pool: Arc<Pool>,
    /// Looks at the load, where the configuration says how.
    _watcher: Option<Watcher>,
    /// Tables that were described and have rows on other servers.
    foreign: BTreeSet<String>,
    reading: Option<Reading>,
}

impl PostgresSnapshot {
    /// Connects and begins the transaction that fixes the instant.
    pub(super) async fn begin(login: Login, gate: Arc<Gate>, throttle: Option<&Throttle>) -> Result<Self> {
        let mut session = Session::open(&login, Some(gate.enter().await?)).await?;
        session.run(&login.preamble()).await?;
        session.version = session.ask_version().await?;
        // Before the instant: every commit below it is in the rows.
        let position = instant::position(&session).await?;
        session.run(BEGIN).await?;
        let instant = Instant::of(&session, position).await?;
        let session = Arc::new(session);
        let watcher = match throttle {
            Some(throttle) => Some(throttle::watcher(throttle, &login, &gate).await?),
            None => None,
        };
        Ok(Self {
            login,
            gate,
            session,
            instant,
            pool: Arc::default(),
            _watcher: watcher,
            foreign: BTreeSet::new(),
            reading: None,
        })
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
    async fn end_step<T>(&self, result: Result<T>) -> Result<T> {
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

    async fn shape(&mut self, target: &Target) -> Result<Shape> {
        match target {
            Target::Table(table) => self.table_shape(table, target).await,
            Target::Query(_) => self.query_shape(target).await,
        }
    }

    async fn table_shape(&mut self, table: &Table, target: &Target) -> Result<Shape> {
        let entry = self.session.entry(table).await?;
        self.session.hold(table, &entry).await?;
        if self.session.has_foreign(entry.oid).await? {
            self.foreign.insert(table.shown());
        }
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
            Stored::Stored => self.session.stored_size(entry.oid).await?,
            Stored::Computed => {
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
    async fn start(
        &self,
        target: &Target,
        relation: &Relation,
        columns: &[Column],
    ) -> Result<(Batches, Reading)> {
        let mut kind = None;
        if let Target::Table(table) = target {
            let entry = self.session.entry(table).await?;
            self.session.hold(table, &entry).await?;
            kind = Some(entry.kind);
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
        let subject = target.subject_without_position();
        let list = layout::select_list(columns, &layouts);
        let bound = self.bound(target, relation).await?;
        let pieces = self.pieces(target, relation, kind, bound.as_deref()).await?;
        let copies: Vec<String> = pieces
            .iter()
            .map(|piece| {
                let condition = both(piece.as_deref(), bound.as_deref());
                let select = target.select_list(&list, condition.as_deref());
                format!("COPY ({select}) TO STDOUT (FORMAT binary)")
            })
            .collect();
        let lines = self.lines(copies.len()).await?;
        let wanted = copies.len().min(self.gate.most_connections());
        let task = Task { work: Work::new(copies), subject };
        let reads_itself = lines.len() < wanted && self.gate.is_limited() || lines.is_empty();
        let decoder = || Decoder::new(columns, layouts.iter().map(|layout| &layout.wire));
        let mut workers = Vec::with_capacity(lines.len() + 1);
        for line in lines {
            workers.push(read::by_line(line, Arc::clone(&self.pool), decoder()?, task.clone()));
        }
        if reads_itself {
            workers.push(read::by_session(Arc::clone(&self.session), decoder()?, task));
        }
        Ok(parallel::gather(workers, &self.gate))
    }

    /// The rows that are asked for, as far as the server can tell them.
    async fn bound(&self, target: &Target, relation: &Relation) -> Result<Option<String>> {
        let Some(bound) = &relation.bound else { return Ok(None) };
        let all = self.prepare(target, None).await?;
        let encoding = self.session.rows("SELECT getdatabaseencoding()::text", &[]).await?;
        let encoding: String = encoding.first().map(|row| cell(row, 0)).transpose()?.unwrap_or_default();
        Ok(bound::condition(bound, all.columns(), encoding == "UTF8"))
    }

    /// Whether the planner finds the rows of a condition by indices alone.
    async fn is_indexed(&self, target: &Target, condition: &str) -> Result<bool> {
        let select = target.select_list("*", Some(condition));
        let plan = self.session.query_plan(&select, &target.subject_without_position()).await?;
        Ok(!plan.iter().any(|line| line.contains("Seq Scan")))
    }

    /// The pieces a relation is read in, in each of which `bound` still has to be asked for.
    async fn pieces(
        &self,
        target: &Target,
        relation: &Relation,
        kind: Option<Stored>,
        bound: Option<&str>,
    ) -> Result<Vec<Piece>> {
        // Few rows of a large table: every piece by blocks would be a scan of its own.
        if let Some(condition) = bound
            && self.is_indexed(target, condition).await?
        {
            return Ok(vec![None]);
        }
        if let Some(name) = &relation.split_by {
            let all = self.prepare(target, None).await?;
            let column = all.columns().iter().find(|column| column.name() == name).ok_or_else(|| {
                Error::invalid(format!(
                    "`split_by` names column `{name}`, which {} does not have",
                    relation.stream
                ))
                .help("name a column of the source")
            })?;
            let connections = self.gate.most_connections();
            return chunks::by_column(&self.session, target, column, bound, connections).await;
        }
        match (target, kind) {
            (Target::Table(table), Some(kind)) => {
                chunks::by_blocks(&self.session, table, kind, self.gate.most_connections()).await
            }
            _ => Ok(vec![None]),
        }
    }

    /// Connections that have the snapshot: as many as there is work for, and may be.
    async fn lines(&self, pieces: usize) -> Result<Vec<Line>> {
        let Some(exported) = &self.instant.exported else { return Ok(Vec::new()) };
        let wanted = pieces.min(self.gate.most_connections());
        let mut lines: Vec<Line> = std::iter::from_fn(|| self.pool.take()).take(wanted).collect();
        let slots: Vec<_> = std::iter::from_fn(|| self.gate.try_enter()).take(wanted - lines.len()).collect();
        let opened = slots.into_iter().map(|slot| Line::open(&self.login, slot, exported));
        for line in futures::future::join_all(opened).await {
            match line {
                Ok(line) => lines.push(line),
                // A server that has no more to spare still serves those it gave.
                Err(error) if error.kind() == Kind::Temporary => {}
                Err(error) => return Err(error),
            }
        }
        Ok(lines)
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    fn id(&self) -> Option<String> {
        Some(self.instant.id.clone())
    }

    fn consistency(&self) -> String {
        let mut words = "one transaction snapshot".to_owned();
        if !self.foreign.is_empty() {
            let tables: Vec<&str> = self.foreign.iter().map(String::as_str).collect();
            words.push_str("; rows that other servers hold are as of the moment they are read: ");
            words.push_str(&tables.join(", "));
        }
        words
    }

    async fn find(&mut self, selector: &Selector) -> Result<Vec<Relation>> {
        let pattern = match Target::of(selector)? {
            Target::Table(table) => TablePattern { schema: table.schema, table: table.name },
            Target::Query(_) => return Relation::of_query(selector),
        };
        self.save().await?;
        let found = self.session.find(&pattern).await;
        let mut relations = self
            .end_step(found)
            .await?
            .into_iter()
            .map(|table| Relation::of_table(table.schema, table.name))
            .collect::<Result<Vec<_>>>()?;
        relations.sort_by(|a, b| a.stream.cmp(&b.stream));
        Ok(relations)
    }

    async fn describe(&mut self, relation: &Relation) -> Result<Shape> {
        let target = Target::of(&relation.selector)?;
        self.save().await?;
        let shape = self.shape(&target).await;
        self.end_step(shape).await.at(|| format!("stream {}", relation.stream))
    }

    async fn close(&mut self) {
        parallel::close(&mut self.reading).await;
        self.pool.close().await;
    }

    async fn read(&mut self, relation: &Relation, columns: &[Column]) -> Result<Batches> {
        let target = Target::of(&relation.selector)?;
        self.save().await?;
        match self.start(&target, relation, columns).await {
            Ok((batches, reading)) => {
                self.reading = Some(reading);
                Ok(batches)
            }
            Err(error) => self.end_step(Err(error)).await.at(|| format!("stream {}", relation.stream)),
        }
    }
}
