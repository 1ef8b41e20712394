//! A server at one instant: read-only transactions on one or several connections.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::bound;
use super::catalog::{Kind, Table};
use super::error::Subject;
use super::ident::{quoted, shown};
use super::instant::{self, Agreement};
use super::pieces::{self, Cutting, Order};
use super::read::{self, Job, Piece, SAVE, UNDO, changed};
use super::session::{Access, Session};
use super::throttle;
use super::types::{self, Layout};
use super::wire::Definition;
use crate::Batches;
use crate::error::{At, Error, Result};
use crate::source::bound::both;
use crate::source::gate::{Slot, Watcher};
use crate::source::parallel::{self, Reading, Work, Worker, gather};
use crate::source::{Carried, Column, Gate, Relation, Shape, Snapshot};
use crate::spec::config::Throttle;
use crate::spec::pipeline::{Selector, TablePattern};

/// One row of so many is few.
const FEW: u64 = 4;

/// Before and after a query of the spec. The line ends keep a comment at its end to itself.
const QUERY_HEAD: &str = "(\n";
const QUERY_TAIL: &str = "\n) AS source";

/// A server at one instant.
pub(super) struct MysqlSnapshot {
    access: Arc<Access>,
    gate: Arc<Gate>,
    /// Each in its transaction; locked by whoever reads with it.
    sessions: Vec<Arc<Mutex<Session>>>,
    _slots: Vec<Slot>,
    _watcher: Option<Watcher>,
    agreement: Agreement,
    id: Option<String>,
    /// Tables that were described and take no part in the instant, with their engine.
    unversioned: BTreeSet<String>,
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
                Ok(Self::Table(Table { database: schema.clone(), name: table.clone() }))
            }
            Selector::Query { sql, .. } => {
                Ok(Self::Query(sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()))
            }
            Selector::Files(files) => Err(Error::invalid(format!(
                "stream `{}` is a set of files, and its connection is a MySQL server",
                files.name
            ))
            .help("name a table (`database.table: {}`) or write a `query`, or use a `files` connection")),
        }
    }

    /// What stands after `FROM`.
    fn source(&self) -> String {
        match self {
            Self::Table(table) => table.sql(),
            Self::Query(sql) => format!("{QUERY_HEAD}{sql}{QUERY_TAIL}"),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Table(table) => Subject::Table(table.shown()),
            Self::Query(_) => Subject::Query { lines_before: 1 },
        }
    }
}

fn select<'a>(expressions: impl Iterator<Item = &'a str>, source: &str) -> String {
    let expressions: Vec<&str> = expressions.collect();
    // A relation without columns still has rows.
    let expressions = if expressions.is_empty() { "1".to_owned() } else { expressions.join(", ") };
    format!("SELECT {expressions} FROM {source}")
}

impl MysqlSnapshot {
    /// Connects as often as the gate lets us, and brings the connections to one instant.
    pub(super) async fn begin(
        access: Arc<Access>,
        gate: Arc<Gate>,
        throttle: Option<Throttle>,
    ) -> Result<Self> {
        let mut slots = vec![gate.enter().await?];
        let watcher = match throttle {
            Some(throttle) => Some(throttle::watcher(&access, throttle, &gate).await?),
            None => None,
        };
        let first = access.connect().await?;
        while slots.len() < gate.most_connections() {
            let Some(slot) = gate.try_enter() else { break };
            slots.push(slot);
        }
        // A server that has no more to spare gives fewer.
        let more = join_all((1..slots.len()).map(|_| access.connect())).await;
        let sessions: Vec<Session> = std::iter::once(first).chain(more.into_iter().flatten()).collect();
        let (sessions, agreement, id) = instant::begin(sessions).await?;
        slots.truncate(sessions.len());
        let sessions = sessions.into_iter().map(|session| Arc::new(Mutex::new(session))).collect();
        Ok(Self {
            access,
            gate,
            sessions,
            _slots: slots,
            _watcher: watcher,
            agreement,
            id,
            unversioned: BTreeSet::new(),
            reading: None,
        })
    }

    /// The sessions, when the last read has ended.
    async fn idle(&mut self) -> Result<Vec<OwnedMutexGuard<Session>>> {
        if let Some(reading) = self.reading.take_if(|reading| !reading.is_active()) {
            reading.settle().await?;
        }
        if self.reading.is_some() {
            return Err(Error::failed("a snapshot reads one relation at a time"));
        }
        let mut sessions = Vec::new();
        for session in &self.sessions {
            let session = Arc::clone(session).lock_owned().await;
            // One that could not be stopped is of no use any more.
            if session.wire.is_idle() {
                sessions.push(session);
            }
        }
        if sessions.is_empty() {
            return Err(self.access.endpoint.unreachable("every connection of the snapshot is lost"));
        }
        Ok(sessions)
    }

    /// The session that answers questions.
    async fn lead(&mut self) -> Result<OwnedMutexGuard<Session>> {
        let mut sessions = self.idle().await?;
        Ok(sessions.swap_remove(0))
    }

    async fn shape(&mut self, target: &Target) -> Result<Shape> {
        let mut session = self.lead().await?;
        match target {
            Target::Table(table) => {
                let (shape, kind) = table_shape(&mut session, table, target).await?;
                if let Kind::Unversioned(engine) = kind {
                    self.unversioned.insert(format!("{} ({engine})", table.shown()));
                }
                Ok(shape)
            }
            Target::Query(_) => query_shape(&mut session, target).await,
        }
    }
}

async fn table_shape(session: &mut Session, table: &Table, target: &Target) -> Result<(Shape, Kind)> {
    let entry = session.entry(table).await?;
    let readable: Vec<String> =
        entry.columns.iter().filter(|c| c.readable).map(|c| quoted(&c.name)).collect();
    let sql = select(readable.iter().map(String::as_str), &table.sql());
    let mut definitions = session.columns(&sql, &target.subject()).await?.into_iter();
    let (from, user) = (table.shown(), shown(&session.access.endpoint.user));
    let mut columns = Vec::new();
    for attribute in entry.columns {
        let carried = if attribute.readable {
            let definition = definitions.next().filter(|d| d.name == attribute.name).ok_or_else(changed)?;
            carried(&definition, &attribute.type_name)
        } else {
            let name = shown(&attribute.name);
            Carried::Refused {
                remedy: format!(
                    "the user may not read it: GRANT SELECT ({name}) ON {from} TO {user}; \
                     or leave it out: `columns: {{{name}: {{action: drop}}}}`"
                ),
            }
        };
        columns.push(Column {
            name: attribute.name,
            source_type: attribute.type_name,
            nullable: attribute.nullable,
            carried,
        });
    }
    Ok((Shape { columns, rows: entry.rows, bytes: entry.bytes }, entry.kind))
}

async fn query_shape(session: &mut Session, target: &Target) -> Result<Shape> {
    let sql = select(["*"].into_iter(), &target.source());
    let definitions = session.columns(&sql, &target.subject()).await?;
    let mut seen = HashSet::new();
    if let Some(twice) = definitions.iter().find(|d| !seen.insert(d.name.to_lowercase())) {
        return Err(Error::invalid(format!("the query has two columns named `{}`", twice.name))
            .help("give one of them another name with AS"));
    }
    let column = |definition: &Definition| {
        let source_type = types::type_name(definition);
        Column {
            name: definition.name.clone(),
            nullable: true,
            carried: carried(definition, &source_type),
            source_type,
        }
    };
    Ok(Shape { columns: definitions.iter().map(column).collect(), rows: None, bytes: None })
}

fn carried(definition: &Definition, source_type: &str) -> Carried {
    match Layout::of(definition) {
        Some(layout) => layout.carried(source_type),
        None => Carried::Refused {
            remedy: format!(
                "read it with a query: `SELECT …, CAST({0} AS CHAR) AS {0} FROM …`; \
                 or leave it out: `columns: {{{0}: {{action: drop}}}}`",
                shown(&definition.name)
            ),
        },
    }
}

/// What the workers do, and how many can do it at once.
async fn plan(
    session: &mut Session,
    target: &Target,
    relation: &Relation,
    columns: &[Column],
    connections: usize,
) -> Result<(Job, Vec<Piece>)> {
    let (source, subject) = (target.source(), target.subject());
    let names: Vec<String> = columns.iter().map(|c| quoted(&c.name)).collect();
    let now = session.columns(&select(names.iter().map(String::as_str), &source), &subject).await?;
    let asked: Option<Vec<_>> = columns.iter().zip(&now).map(|(c, d)| types::asked(c, d)).collect();
    let (expressions, layouts): (Vec<String>, Vec<Layout>) = asked.ok_or_else(changed)?.into_iter().unzip();
    let bound = match &relation.bound {
        Some(bound) => {
            let names: Vec<String> = bound.columns.iter().map(|name| quoted(name)).collect();
            let sql = select(names.iter().map(String::as_str), &source);
            bound::condition(bound, &session.columns(&sql, &subject).await?)
        }
        None => None,
    };
    let mut split =
        Split { session, target, relation, bound: bound.as_deref(), connections, from: source.clone() };
    let pieces = split.pieces().await?;
    let select = select(expressions.iter().map(String::as_str), &split.from);
    let pieces = pieces.iter().map(|piece| both(piece.as_deref(), bound.as_deref())).collect();
    let sent = session.columns(&select, &subject).await?.iter().map(Layout::of).collect::<Option<_>>();
    let sent = sent.ok_or_else(changed)?;
    Ok((Job { select, columns: columns.to_vec(), layouts, sent, subject }, pieces))
}

/// How a relation is cut.
struct Split<'a> {
    session: &'a mut Session,
    target: &'a Target,
    relation: &'a Relation,
    /// What has to hold of the rows beside a piece's own condition.
    bound: Option<&'a str>,
    connections: usize,
    /// What stands after `FROM`.
    from: String,
}

impl Split<'_> {
    async fn pieces(&mut self) -> Result<Vec<Piece>> {
        let whole = vec![None];
        if self.connections < 2 {
            return Ok(whole);
        }
        let Target::Table(table) = self.target else {
            // A query runs anew for each piece, so there are no more than connections.
            return match &self.relation.split_by {
                Some(column) => self.cut(&column.clone(), None, self.connections, true).await,
                None => Ok(whole),
            };
        };
        let entry = self.session.entry(table).await?;
        // What takes no part in the snapshot is read by one statement, so that it is of one moment.
        if matches!(entry.kind, Kind::Unversioned(_)) {
            return Ok(whole);
        }
        if self.expects_few(entry.rows).await? {
            return Ok(whole);
        }
        let wanted = pieces::wanted(entry.bytes, self.connections);
        let nullable = |name: &str| entry.columns.iter().find(|c| c.name == name).is_none_or(|c| c.nullable);
        if let Some(column) = self.relation.split_by.clone() {
            // Without an index each piece is a scan of the whole table.
            let indexed = self.session.leads_an_index(table, &column).await?;
            let (rows, wanted) = if indexed { (entry.rows, wanted) } else { (None, self.connections) };
            return self.cut(&column, rows, wanted, nullable(&column)).await;
        }
        if wanted < 2 {
            return Ok(whole);
        }
        let Some(column) = self.session.key_column(table).await? else { return Ok(whole) };
        self.from = format!("{} FORCE INDEX (PRIMARY)", table.sql());
        self.cut(&column, entry.rows, wanted, false).await
    }

    /// Whether an index finds the few rows that are asked for, so that pieces by another one would read more.
    async fn expects_few(&mut self, rows: Option<u64>) -> Result<bool> {
        let (Some(bound), Some(rows)) = (self.bound, rows) else { return Ok(false) };
        let sql = format!("SELECT * FROM {} WHERE {bound}", self.from);
        let expected = self.session.planned_rows(&sql, &self.target.subject()).await?;
        Ok(expected.is_some_and(|expected| expected.saturating_mul(FEW) < rows))
    }

    /// Cuts by a column; `rows` where the planner can tell how many a range of it holds.
    async fn cut(
        &mut self,
        column: &str,
        rows: Option<u64>,
        wanted: usize,
        nullable: bool,
    ) -> Result<Vec<Piece>> {
        let (name, subject) = (quoted(column), self.target.subject());
        let from = self.from.clone();
        let definition = self.session.columns(&format!("SELECT {name} FROM {from}"), &subject).await?;
        let layout = definition.first().and_then(Layout::of);
        let Some(order) = layout.and_then(Order::of) else {
            return match &self.relation.split_by {
                Some(column) => Err(Error::invalid(format!(
                    "`split_by: {column}` is neither a whole number nor a date or time"
                ))
                .help("name another column, or leave `split_by` out")),
                None => Ok(vec![None]),
            };
        };
        let sql = format!("SELECT CAST(MIN({name}) AS CHAR), CAST(MAX({name}) AS CHAR) FROM {from}");
        let answer = self.session.ask_about(&sql, &subject).await?;
        let place = |index: usize| order.place(answer.rows.first()?.get(index)?.as_deref()?);
        let (Some(low), Some(high)) = (place(0), place(1)) else { return Ok(vec![None]) };
        let mut cutting = Cutting::new(low, high, rows.unwrap_or(0), wanted);
        let cuts = match rows {
            None => cutting.evenly(),
            Some(_) => {
                while let Some(halves) = cutting.next() {
                    for half in halves {
                        let Some(condition) = pieces::between(&name, order, half) else { continue };
                        let sql = format!("SELECT {name} FROM {from} WHERE {condition}");
                        let rows = self.session.planned_rows(&sql, &subject).await?;
                        cutting.put(half, rows.unwrap_or(0));
                    }
                }
                cutting.cuts()
            }
        };
        let conditions = pieces::conditions(&name, order, &cuts, nullable);
        Ok(conditions.unwrap_or_else(|| vec![None]))
    }
}

#[async_trait]
impl Snapshot for MysqlSnapshot {
    fn id(&self) -> Option<String> {
        self.id.clone()
    }

    fn consistency(&self) -> String {
        let words = self.agreement.words(self.sessions.len());
        if self.unversioned.is_empty() {
            return format!("{words}; only InnoDB tables take part in it");
        }
        let tables: Vec<&str> = self.unversioned.iter().map(String::as_str).collect();
        format!("{words}; NOT of that instant, but of when each is read: {}", tables.join(", "))
    }

    async fn find(&mut self, selector: &Selector) -> Result<Vec<Relation>> {
        let pattern = match Target::of(selector)? {
            Target::Table(table) => TablePattern { schema: table.database, table: table.name },
            Target::Query(_) => return Relation::of_query(selector),
        };
        let found = self.lead().await?.find(&pattern).await?;
        let mut relations = found
            .into_iter()
            .map(|table| Relation::of_table(table.database, table.name))
            .collect::<Result<Vec<_>>>()?;
        relations.sort_by(|a, b| a.stream.cmp(&b.stream));
        Ok(relations)
    }

    async fn describe(&mut self, relation: &Relation) -> Result<Shape> {
        let target = Target::of(&relation.selector)?;
        self.shape(&target).await.at(|| format!("stream {}", relation.stream))
    }

    async fn close(&mut self) {
        parallel::close(&mut self.reading).await;
    }

    async fn read(&mut self, relation: &Relation, columns: &[Column]) -> Result<Batches> {
        let target = Target::of(&relation.selector)?;
        let mut sessions = self.idle().await?;
        let connections = sessions.len();
        let Some(lead) = sessions.first_mut() else { return Err(changed()) };
        lead.run(SAVE).await?;
        let planned = plan(lead, &target, relation, columns, connections).await;
        // What the plan looked at is not kept locked.
        let undone = lead.run(UNDO).await;
        let (job, pieces) = planned.at(|| format!("stream {}", relation.stream))?;
        undone?;
        let (job, count) = (Arc::new(job), pieces.len());
        let work = Work::new(pieces);
        let worker = |session: OwnedMutexGuard<Session>| -> Worker {
            let (job, work) = (Arc::clone(&job), work.clone());
            Box::new(move |output| Box::pin(read::work(session, job, work, output)))
        };
        let workers = sessions.into_iter().take(count).map(worker).collect();
        let (batches, reading) = gather(workers, &self.gate);
        self.reading = Some(reading);
        Ok(batches)
    }
}
