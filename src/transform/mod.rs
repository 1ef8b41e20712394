//! The stream's SQL over `source`, and which source columns each output column comes from.
//!
//! A [`Transform`] is planned once against the source's schema and then applied to its rows.
//! Nothing but the one table `source` can be reached: no files, no other tables, no statements
//! that change anything. Nothing is spilled to disk, where it would lie unsealed; a query that
//! needs more memory than allowed fails instead.

mod aggregate;
pub mod check;
mod condition;
mod fault;
mod lineage;
mod normal;
mod path;
mod session;
mod wide;

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;

use crate::Batches;
use crate::error::{Error, Result};
use crate::spec::verdict::{Aggregated, Origin};

pub use self::condition::Condition;

/// How a stream's rows become its output: the columns as they are, or the spec's SQL.
#[derive(Clone, Debug)]
pub struct Transform {
    sql: Option<String>,
    /// What of the SQL's columns is published; all of them without.
    kept: Option<Vec<String>>,
    source: SchemaRef,
    output: SchemaRef,
    origins: Vec<Origin>,
    paths: Vec<Vec<String>>,
    copies: Vec<Option<String>>,
    aggregates: Vec<Option<Aggregated>>,
    reads: Vec<usize>,
    is_row_by_row: bool,
    gathers: Option<&'static str>,
    filters: bool,
    memory_limit_bytes: usize,
}

impl Transform {
    /// Plans `sql` (or, without any, the columns as they are) over rows of schema `source`.
    ///
    /// # Errors
    /// `Invalid` when the text is not one query, names what is not there, or reads `source` more
    /// than once (rows are streamed, so they pass only once); `Held` when an output column has a
    /// type that a published table cannot hold exactly, naming the cast to write.
    pub async fn plan(sql: Option<&str>, source: SchemaRef, memory_limit_bytes: u64) -> Result<Self> {
        Self::plan_kept(sql, None, source, memory_limit_bytes).await
    }

    /// The same query without these output columns: what only they look at is not read. A transform without
    /// SQL is planned over a narrower source instead.
    ///
    /// # Errors
    /// Those of [`Transform::plan`].
    pub async fn without(&self, left_out: &BTreeSet<String>) -> Result<Self> {
        let names = self.output.fields().iter().map(|field| field.name());
        let kept: Vec<String> = names.filter(|name| !left_out.contains(*name)).cloned().collect();
        let memory_limit_bytes = self.memory_limit_bytes as u64;
        Self::plan_kept(self.sql.as_deref(), Some(kept), self.source.clone(), memory_limit_bytes).await
    }

    async fn plan_kept(
        sql: Option<&str>,
        kept: Option<Vec<String>>,
        source: SchemaRef,
        memory_limit_bytes: u64,
    ) -> Result<Self> {
        let memory_limit_bytes = usize::try_from(memory_limit_bytes).unwrap_or(usize::MAX);
        let (mut gathers, mut filters, mut paths) = (None, false, Vec::new());
        let (planned, origins, copies, aggregates, reads, source, is_row_by_row) = match sql {
            Some(sql) => {
                // What an optimiser derives from NOT NULL must not decide which columns exist.
                let source = wide::nullable(&source);
                let plan = session::plan(sql, kept.as_deref(), &source, memory_limit_bytes).await?;
                let logical = &plan.logical;
                let schema = logical.schema().inner().clone();
                let is_row_by_row = lineage::is_row_by_row(logical);
                (gathers, filters) = (lineage::gathers(logical), lineage::filters(logical));
                paths = path::paths(logical);
                (
                    schema,
                    lineage::origins(logical),
                    lineage::copies(logical),
                    aggregate::aggregates(logical, &lineage::deciding(logical)),
                    plan.reads,
                    source,
                    is_row_by_row,
                )
            }
            None => {
                let names = source.fields().iter().map(|field| Some(field.name().clone()));
                let (copies, reads) = (names.collect(), (0..source.fields().len()).collect());
                let nothing = vec![None; source.fields().len()];
                (source.clone(), lineage::identity(&source), copies, nothing, reads, source, true)
            }
        };
        let output = normal::schema(&planned)?;
        distinct_names(&output)?;
        let sql = sql.map(str::to_owned);
        Ok(Self {
            sql,
            kept,
            source,
            output,
            origins,
            paths,
            copies,
            aggregates,
            reads,
            is_row_by_row,
            gathers,
            filters,
            memory_limit_bytes,
        })
    }

    /// Schema of the output: column order as the SQL gives it, types that a Delta table can hold.
    #[must_use]
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Which source columns each output column comes from, in output order.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The expressions through which an output column is made, the last one first, for people to read; none for
    /// an unchanged copy.
    #[must_use]
    pub fn path(&self, column: &str) -> &[String] {
        let place = self.output.fields().iter().position(|field| field.name() == column);
        place.and_then(|place| self.paths.get(place)).map_or(&[], Vec::as_slice)
    }

    /// For every output column the source column whose values it holds unchanged, if it is one; what
    /// an expression computed has none.
    #[must_use]
    pub fn copies(&self) -> &[Option<String>] {
        &self.copies
    }

    /// For every output column, what it sums up over groups of rows, if it does.
    #[must_use]
    pub fn aggregates(&self) -> &[Option<Aggregated>] {
        &self.aggregates
    }

    /// Indices of the source columns that the rows bring, ascending, at least one; the others are
    /// never looked at and need not be read.
    #[must_use]
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// Whether each output row is made of one source row, so that the transform over parts of the rows
    /// gives the parts of its output.
    #[must_use]
    pub const fn is_row_by_row(&self) -> bool {
        self.is_row_by_row
    }

    /// What it does to rows that an output row is not made of alone, as a verb; such output over some of the
    /// rows says nothing of all of them. `None` where it does nothing of the kind.
    #[must_use]
    pub const fn gathers(&self) -> Option<&'static str> {
        self.gathers
    }

    /// Whether it leaves out rows by values of the source.
    #[must_use]
    pub const fn filters(&self) -> bool {
        self.filters
    }

    /// Runs the transform over `batches`, which hold the columns of [`Transform::reads`]; row order
    /// is the SQL's.
    ///
    /// # Errors
    /// Faults in mid-stream arrive as items: `Data` when a value does not fit an expression,
    /// `Failed` when the memory limit is reached or the rows do not have the planned columns, and
    /// whatever the source reports.
    pub async fn apply(&self, batches: Batches) -> Result<Batches> {
        let rows = match &self.sql {
            Some(sql) => {
                let wide = wide::batches(batches, self.source.clone(), &self.reads);
                session::run(sql, self.kept.as_deref(), &self.source, wide, self.memory_limit_bytes).await?
            }
            None => batches,
        };
        Ok(normal::batches(rows, self.output.clone()))
    }
}

/// Delta compares column names without regard to case, so two that differ only there collide.
fn distinct_names(schema: &SchemaRef) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name().to_lowercase()) {
            return Err(Error::invalid(format!("the output has two columns named `{}`", field.name()))
                .help("give one of them another name with AS; names are compared without regard to case"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
