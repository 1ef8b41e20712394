//! Where rows come from. One trait, one module per kind.
//!
//! The contract every implementation keeps (the conformance suite in `conformance.rs` runs them
//! all through it):
//! - **One instant.** Everything read through one [`Snapshot`] is as of one instant, or
//!   [`Snapshot::consistency`] says what it is instead.
//! - **Described before read.** [`Snapshot::describe`] names every column with the type it is
//!   carried as, or says why it is refused; it moves no rows. [`Snapshot::read`] gives exactly the
//!   asked-for columns, in the asked-for order, with exactly the described fields.
//! - **Text on request.** A database gives any column [`Carried::AsText`] instead of what it was
//!   described as, also a refused one: the source's own text of the value, infinities and NaN too.
//!   This is how a decision of the spec (`as`) is served; [`convert`] does the rest.
//! - **No value changes.** What cannot be carried exactly fails with `Data`; NULL is NULL and
//!   never an empty text.
//! - **In any order.** Rows come as several connections give them; their order means nothing.
//! - **Gentle.** Connections are opened and rows given only as the connection's [`Gate`] lets them.
//! - **Bounded.** A batch holds at most [`BATCH_ROWS`] rows and about [`BATCH_BYTES`] bytes;
//!   nothing is read ahead of the consumer beyond a fixed number of batches. Dropping the stream
//!   ends the read at the source.
//! - **Silent.** No error or log line holds a row value.

mod bound;
pub mod convert;
pub mod files;
pub mod gate;
pub mod mysql;
#[cfg(feature = "odbc")]
pub mod odbc;
mod parallel;
pub mod postgres;
mod spans;
pub mod sqlite;
mod tables;
mod tls;
mod value;

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use async_trait::async_trait;

pub use self::bound::{Bound, Literal};
pub use self::gate::{Gate, Gates, Slot};
pub use self::tables::covers;
use crate::Batches;
use crate::error::{Error, Result};
use crate::spec::StreamName;
use crate::spec::config::Connection;
use crate::spec::pipeline::{Selector, TablePattern};

/// Most rows in one batch.
pub const BATCH_ROWS: usize = 16_384;
/// About the most bytes in one batch; a single larger row still makes a batch of its own.
pub const BATCH_BYTES: usize = 4 << 20;

/// A named endpoint that rows can be read from.
#[async_trait]
pub trait Source: Send + Sync {
    /// Connects and fixes the instant that everything is read at.
    ///
    /// # Errors
    /// `Temporary` when the endpoint cannot be reached; `Invalid` when it refuses who we are.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>>;
}

/// A source at one instant.
#[async_trait]
pub trait Snapshot: Send {
    /// Identifies the instant at the source, where the source has a name for it.
    fn id(&self) -> Option<String>;

    /// What the reader may rely on, in words for the plan (`one transaction snapshot`).
    fn consistency(&self) -> String;

    /// The relations a selector stands for, sorted by stream name.
    ///
    /// # Errors
    /// `Invalid` when there is none: the message names the nearest existing one.
    async fn find(&mut self, selector: &Selector) -> Result<Vec<Relation>>;

    /// Columns and expected size of a relation, without moving rows (files are scanned where the
    /// types are to be inferred).
    ///
    /// # Errors
    /// `Invalid` when the relation cannot be read as asked (bad query, missing right);
    /// `Data` when a file is malformed, with its line.
    async fn describe(&mut self, relation: &Relation) -> Result<Shape>;

    /// Reads the given columns (a sub-list of those described, none of them refused).
    ///
    /// # Errors
    /// As the trait's contract says; faults in mid-read arrive as an item of the stream.
    async fn read(&mut self, relation: &Relation, columns: &[Column]) -> Result<Batches>;

    /// The relation in parts that can be read one after the other, each of them a relation of its own and
    /// about `part_bytes` large at the least: together they are the whole, and the same as long as
    /// [`Snapshot::id`] is. A source that can never give an instant again has no parts.
    ///
    /// # Errors
    /// As [`Snapshot::find`].
    async fn parts(&mut self, relation: &Relation, part_bytes: u64) -> Result<Vec<Relation>> {
        let _ = part_bytes;
        Ok(vec![relation.clone()])
    }

    /// Ends: waits, for a bounded time, until nothing runs at the source any more. Streams of rows
    /// must be at their end or dropped.
    async fn close(&mut self) {}
}

/// One concrete table, query or file set.
#[derive(Clone, Debug)]
pub struct Relation {
    /// The stream's name (`public.orders`).
    pub stream: StreamName,
    /// Schema in the source, where it has one; fills `{schema}`.
    pub schema: Option<String>,
    /// Table, query or file set name; fills `{table}`.
    pub table: String,
    /// What to read.
    pub selector: Selector,
    /// Column whose ranges are read in parallel, where the spec names one (`split_by`).
    pub split_by: Option<String>,
    /// The rows that are asked for; all of them without.
    pub bound: Option<Bound>,
    /// The files that are asked for, by their places in the order of their names; all of them without.
    pub files: Option<Range<usize>>,
}

impl Relation {
    /// A table of a schema, as the stream `schema.name`.
    fn of_table(schema: String, name: String) -> Result<Self> {
        Ok(Self {
            stream: StreamName::parse(&format!("{schema}.{name}"))?,
            schema: Some(schema.clone()),
            table: name.clone(),
            selector: Selector::Table(TablePattern { schema, table: name }),
            split_by: None,
            bound: None,
            files: None,
        })
    }

    /// The one relation that a query stands for.
    fn of_query(selector: &Selector) -> Result<Vec<Self>> {
        match selector {
            Selector::Query { name, .. } => Ok(vec![Self {
                stream: name.clone(),
                schema: None,
                table: name.as_str().to_owned(),
                selector: selector.clone(),
                split_by: None,
                bound: None,
                files: None,
            }]),
            _ => Err(Error::failed("not a query")),
        }
    }
}

/// What a relation holds.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its columns in source order.
    pub columns: Vec<Column>,
    /// Expected rows, where the source can tell cheaply.
    pub rows: Option<u64>,
    /// Expected bytes, where the source can tell cheaply.
    pub bytes: Option<u64>,
}

/// One column of a source.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name in the source.
    pub name: String,
    /// Type as the source writes it (`numeric(12,2)`).
    pub source_type: String,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// How it is carried.
    pub carried: Carried,
}

/// How a source type is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Every value survives unchanged as this type.
    Exact(DataType),
    /// Every value survives as text that reads back to the same value.
    AsText,
    /// It cannot be carried exactly without a decision; the remedy says what to write instead.
    Refused {
        /// What to do about it: `columns: {c: {as: text}}` where the source can give its own text.
        remedy: String,
    },
}

impl Column {
    /// The Arrow field the column is read as; `None` when it is refused.
    #[must_use]
    pub fn field(&self) -> Option<Field> {
        let data_type = match &self.carried {
            Carried::Exact(data_type) => data_type.clone(),
            Carried::AsText => DataType::Utf8,
            Carried::Refused { .. } => return None,
        };
        Some(Field::new(&self.name, data_type, self.nullable))
    }
}

/// The source behind a connection; nothing is contacted yet. `gate` is shared by all that read
/// through this connection.
///
/// # Errors
/// `Invalid` when a secret of the connection cannot be resolved, or the program was built without
/// what the connection needs.
pub fn open(connection: &Connection, gate: Arc<Gate>) -> Result<Box<dyn Source>> {
    match connection {
        Connection::Postgres(settings) => Ok(Box::new(postgres::Postgres::new(settings, gate)?)),
        Connection::Mysql(settings) => Ok(Box::new(mysql::Mysql::new(settings, gate)?)),
        Connection::Sqlite(settings) => Ok(Box::new(sqlite::Sqlite::new(settings, gate))),
        #[cfg(feature = "odbc")]
        Connection::Odbc(settings) => Ok(Box::new(odbc::Odbc::new(settings, gate)?)),
        #[cfg(not(feature = "odbc"))]
        Connection::Odbc(_) => Err(Error::invalid("this program was built without ODBC")
            .help("build it with `--features odbc` (needs unixODBC)")),
        Connection::Files { root } => Ok(Box::new(files::Files::new(root))),
    }
}
