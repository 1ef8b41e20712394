//! A database at one instant, as far as it can give one.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::bound;
use super::catalog::{Found, Target};
use super::dbms::{Dbms, Instant};
use super::fetch::Plan;
use super::link::{Link, Login};
use super::ranges::{self, Axis};
use super::read::{self, Job};
use super::types::Wire;
use crate::Batches;
use crate::error::{At, Error, Result};
use crate::source::bound::both;
use crate::source::gate::Slot;
use crate::source::parallel::{self, Reading, Work, gather};
use crate::source::{Carried, Column, Gate, Relation, Shape, Snapshot};
use crate::spec::StreamName;
use crate::spec::pipeline::{Selector, TablePattern};

/// As many ranges as for so many connections, where a driver holds each result in memory.
const PIECES_OF_HELD_RESULTS: usize = 32;

/// A database at one instant.
pub(super) struct OdbcSnapshot {
    login: Arc<Login>,
    link: Arc<Mutex<Link>>,
    dbms: Dbms,
    identity: Option<String>,
    instant: Instant,
    gate: Arc<Gate>,
    reading: Option<Reading>,
    _slot: Slot,
}

/// What is read, by a value that can move to a thread.
#[derive(Clone)]
enum What {
    Table(TablePattern),
    Query(String),
}

impl What {
    fn of(selector: &Selector) -> Result<Self> {
        match selector {
            Selector::Table(pattern) => Ok(Self::Table(pattern.clone())),
            Selector::Query { sql, .. } => {
                Ok(Self::Query(sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()))
            }
            Selector::Files(files) => Err(Error::invalid(format!(
                "stream `{}` is a set of files, and its connection is a database",
                files.name
            ))
            .help("name a table (`schema.table: {}`) or write a `query`, or use a `files` connection")),
        }
    }

    fn target(&self) -> Target<'_> {
        match self {
            Self::Table(pattern) => Target::Table { schema: &pattern.schema, table: &pattern.table },
            Self::Query(sql) => Target::Query(sql),
        }
    }
}

impl OdbcSnapshot {
    /// Connects and fixes the instant.
    pub(super) async fn begin(login: Arc<Login>, gate: Arc<Gate>, slot: Slot) -> Result<Self> {
        let opening = Arc::clone(&login);
        let opened = spawn_blocking(move || -> Result<(Link, Instant)> {
            let link = opening.open()?;
            let instant = link.begin()?;
            Ok((link, instant))
        });
        let (link, instant) = opened.await.map_err(|_| broke_off())??;
        Ok(Self {
            login,
            dbms: link.dbms,
            identity: link.identity.clone(),
            link: Arc::new(Mutex::new(link)),
            instant,
            gate,
            reading: None,
            _slot: slot,
        })
    }

    /// Does a step on the snapshot's connection, once the last read has stopped at the source.
    async fn step<T, F>(&mut self, step: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Link, &Instant) -> Result<T> + Send + 'static,
    {
        let mut restore = false;
        if let Some(reading) = self.reading.take_if(|reading| !reading.is_active()) {
            reading.settle().await?;
            restore = true;
        }
        if self.reading.is_some() {
            return Err(Error::failed("a snapshot reads one relation at a time"));
        }
        let (link, instant) = (Arc::clone(&self.link), self.instant.clone());
        let done = spawn_blocking(move || {
            let link = link.lock().unwrap_or_else(PoisonError::into_inner);
            if restore {
                link.restore()?;
            }
            link.save()?;
            let done = step(&link, &instant);
            if done.is_err() {
                // The first fault is told.
                let _ = link.restore();
            }
            done
        });
        done.await.map_err(|_| broke_off())?
    }

    async fn found(&mut self, relation: &Relation) -> Result<Vec<Found>> {
        let what = What::of(&relation.selector)?;
        self.step(move |link, instant| link.describe(&what.target(), instant))
            .await
            .at(|| format!("stream {}", relation.stream))
    }

    /// Most connections that can read at this instant.
    fn most_connections(&self, what: &What) -> usize {
        match (&self.instant, what) {
            (Instant::Exported(_), _) | (Instant::Scn(_), What::Table(_)) => self.gate.most_connections(),
            _ => 1,
        }
    }

    /// The statements that together read the relation.
    async fn statements(
        &mut self,
        what: &What,
        found: Vec<Found>,
        columns: Vec<(String, bool)>,
        relation: &Relation,
        connections: usize,
    ) -> Result<Vec<String>> {
        let (split_by, bound) = (relation.split_by.as_deref(), relation.bound.clone());
        let pieces_for = if self.dbms.holds_results() { PIECES_OF_HELD_RESULTS } else { connections };
        let axis = match split_by {
            Some(name) if pieces_for > 1 => Some((name.to_owned(), axis(name, &found)?)),
            Some(name) => {
                axis(name, &found)?;
                None
            }
            None => None,
        };
        let what = what.clone();
        self.step(move |link, instant| {
            let target = what.target();
            let bound = bound.map(|bound| bound::condition(&bound, &found, link)).transpose()?.flatten();
            let conditions = match axis {
                None => vec![None],
                Some((name, axis)) => {
                    let column = link.quoted(&name)?;
                    let from = target.from(link, instant)?;
                    let sql = format!("SELECT MIN({column}), MAX({column}) FROM {from}");
                    let ends =
                        link.answers(&sql, 2, &target.subject())?.into_iter().next().unwrap_or_default();
                    let end = |index: usize| ends.get(index).and_then(Option::as_deref);
                    ranges::conditions(axis, &column, end(0), end(1), pieces_for)
                }
            };
            let select = |condition: &Option<String>| {
                let condition = both(condition.as_deref(), bound.as_deref());
                target.select(link, instant, Some(&columns), condition.as_deref())
            };
            conditions.iter().map(select).collect()
        })
        .await
    }
}

fn axis(name: &str, found: &[Found]) -> Result<Axis> {
    let column = found.iter().map(|found| &found.column).find(|column| column.name == name);
    let column = column.ok_or_else(|| {
        Error::invalid(format!("`split_by` names `{name}`, and there is no such column"))
            .help("name a column of the stream as the source writes it")
    })?;
    Axis::of(column).ok_or_else(|| {
        Error::invalid(format!("`split_by` names `{name}`, and {} has no ranges", column.source_type))
            .help("split by an integer, a date or a timestamp without a zone")
    })
}

/// How each of the columns is fetched now.
fn wires(dbms: Dbms, found: &[Found], columns: &[Column]) -> Result<Vec<Wire>> {
    let wire = |column: &Column| {
        let now = found.iter().find(|now| now.column.name == column.name);
        let now = now.and_then(|now| now.wire.map(|wire| (wire, &now.column.carried)));
        match (now, &column.carried) {
            (Some((wire, carried)), asked) if carried == asked => Ok(wire),
            (Some((wire, _)), Carried::AsText) => Ok(wire.as_text(dbms)),
            _ => Err(Error::invalid(format!("column `{}` is not as it was described", column.name))
                .help("plan again")),
        }
    };
    columns.iter().map(wire).collect()
}

#[cold]
fn broke_off() -> Error {
    Error::failed("a thread that talks to the ODBC driver broke off")
}

#[async_trait]
impl Snapshot for OdbcSnapshot {
    fn id(&self) -> Option<String> {
        match &self.instant {
            Instant::Exported(id) => Some(id.clone()),
            Instant::Scn(scn) => Some(format!("scn:{scn}")),
            Instant::Transaction | Instant::None => None,
        }
    }

    fn consistency(&self) -> String {
        self.dbms.consistency(&self.instant)
    }

    async fn find(&mut self, selector: &Selector) -> Result<Vec<Relation>> {
        match What::of(selector)? {
            What::Query(_) => Relation::of_query(selector),
            What::Table(pattern) => {
                let found = self.step(move |link, _| link.find(&pattern)).await?;
                let mut relations = found.into_iter().map(relation).collect::<Result<Vec<_>>>()?;
                relations.sort_by(|a, b| a.stream.cmp(&b.stream));
                Ok(relations)
            }
        }
    }

    async fn describe(&mut self, relation: &Relation) -> Result<Shape> {
        let found = self.found(relation).await?;
        Ok(Shape { columns: found.into_iter().map(|found| found.column).collect(), rows: None, bytes: None })
    }

    async fn close(&mut self) {
        parallel::close(&mut self.reading).await;
    }

    async fn read(&mut self, relation: &Relation, columns: &[Column]) -> Result<Batches> {
        let what = What::of(&relation.selector)?;
        let found = self.found(relation).await?;
        let wires = wires(self.dbms, &found, columns)?;
        let plan = Plan::new(columns, &wires)?;
        let cast = |(column, wire): (&Column, &Wire)| {
            (column.name.clone(), wire.is_cast(self.dbms, &column.carried))
        };
        let selected = columns.iter().zip(&wires).map(cast).collect();
        let most = self.most_connections(&what);
        let statements = self
            .statements(&what, found, selected, relation, most)
            .await
            .at(|| format!("stream {}", relation.stream))?;
        let connections = most.min(statements.len());
        let job = Job {
            login: Arc::clone(&self.login),
            instant: self.instant.clone(),
            work: Work::new(statements),
            plan,
            subject: what.target().subject(),
        };
        let mut workers = vec![read::first(job.clone(), Arc::clone(&self.link), self.identity.clone())];
        while workers.len() < connections
            && let Some(slot) = self.gate.try_enter()
        {
            workers.push(read::further(job.clone(), slot));
        }
        let (batches, reading) = gather(workers, &self.gate);
        self.reading = Some(reading);
        Ok(batches)
    }
}

fn relation((schema, table): (String, String)) -> Result<Relation> {
    Ok(Relation {
        stream: StreamName::parse(&format!("{schema}.{table}"))?,
        schema: Some(schema.clone()),
        table: table.clone(),
        selector: Selector::Table(TablePattern { schema, table }),
        split_by: None,
        bound: None,
    })
}
