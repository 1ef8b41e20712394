//! What must hold of the rows of a stream before they are published.
//!
//! Checks see the output rows before they are protected, in memory and nowhere else. Those on single rows are
//! evaluated batch by batch; the others are concluded when the last row has passed, which is before the
//! commit. What is said of them are names and counts, never a value.

mod judge;
mod keys;
mod outcome;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::datatypes::{DataType, Schema, SchemaRef};

use self::keys::Key;
pub use self::outcome::Tally;
use super::Memory;
use crate::error::{Error, Result};
use crate::keys::Keyring;
use crate::protect;
use crate::publish::{Decided, Reading, Recorded, Store, Table, type_name};
use crate::spec::quality::{Check, Demand};
use crate::spec::{Action, DatasetName};
use crate::transform::check::Condition;

/// The checks of a stream, planned for its output.
#[derive(Debug)]
pub struct Quality {
    checks: Arc<Vec<Planned>>,
    rows: SchemaRef,
    /// Open columns, whose NULLs are counted for the next run.
    open: Vec<usize>,
}

#[derive(Debug)]
struct Planned {
    check: Check,
    test: Test,
}

/// How a demand is looked at.
#[derive(Debug)]
enum Test {
    Row(Condition),
    Unique(Key),
    ForeignKey { key: Key, dataset: DatasetName, references: Vec<String> },
    RowCount { min: Option<u64>, max: Option<u64> },
    Freshness { column: usize, max_age: Duration },
    Drift { rows_percent: Option<u64>, nulls_points: Option<u64> },
}

/// A tally that is complete when the rows have passed.
pub(super) type Shared = Arc<Mutex<Tally>>;

/// What a run compares its rows with.
pub(super) struct Against<'a> {
    pub(super) keyring: &'a Keyring,
    pub(super) store: &'a Store,
    pub(super) memory_limit_bytes: u64,
    /// When the run began, in microseconds since 1970.
    pub(super) now_micros: i64,
}

impl Quality {
    /// Plans the checks for output rows that `protection` was decided for.
    ///
    /// # Errors
    /// `Invalid` for a name that is no column (with the nearest), for SQL that is no condition, and for a
    /// type that a demand cannot be made of, each with its line; `Held` for a foreign key into columns whose
    /// values are not there any more.
    pub(super) async fn plan(store: &Store, checks: &[Check], protection: &protect::Plan) -> Result<Self> {
        let rows = protection.input();
        let mut planned = Vec::with_capacity(checks.len());
        for check in checks {
            let test = test(store, &check.demand, rows).await.map_err(|error| {
                error.at(format!("{}, line {} of the pipeline", check.demand, check.position.line))
            })?;
            planned.push(Planned { check: check.clone(), test });
        }
        let is_open = |name: &String| {
            let decision = protection.decisions().iter().find(|decision| decision.path == *name);
            decision.is_some_and(|decision| decision.action == Action::Allow)
        };
        let fields = rows.fields().iter().enumerate();
        let open = fields.filter(|(_, field)| is_open(field.name())).map(|(index, _)| index).collect();
        Ok(Self { checks: Arc::new(planned), rows: Arc::clone(rows), open })
    }

    /// The schema of the rows that are checked.
    pub(super) fn rows(&self) -> &SchemaRef {
        &self.rows
    }

    /// Whether each demand is made of single rows, so that parts of the rows can be judged by themselves.
    pub(super) fn is_of_rows(&self) -> bool {
        self.checks.iter().all(|planned| matches!(planned.test, Test::Row(_)))
    }

    /// Whether rows may go to the quarantine.
    #[must_use]
    pub fn quarantines(&self) -> bool {
        self.checks.iter().any(|planned| planned.check.quarantines())
    }
}

/// Whether any check holds the keys of all rows in memory.
#[must_use]
pub(super) fn holds_keys(checks: &[Check]) -> bool {
    checks.iter().any(|check| matches!(check.demand, Demand::Unique(_) | Demand::ForeignKey { .. }))
}

async fn test(store: &Store, demand: &Demand, rows: &SchemaRef) -> Result<Test> {
    let columns = demand.columns().iter().map(|name| index(name, rows)).collect::<Result<Vec<usize>>>()?;
    if let Some(condition) = Condition::of(demand, rows)? {
        return Ok(Test::Row(condition));
    }
    Ok(match demand {
        Demand::ForeignKey { dataset, references, .. } => {
            let types = match Table::load(store, dataset, None).await? {
                Some(table) => Some(referenced(store, dataset, &table, references).await?),
                // It may be published by a stream before this one.
                None => None,
            };
            let key = Key::new(rows, &columns, types.as_deref())?;
            Test::ForeignKey { key, dataset: dataset.clone(), references: references.clone() }
        }
        Demand::Freshness { max_age, .. } => {
            let column = columns.first().copied().unwrap_or_default();
            let data_type = rows.field(column).data_type();
            if !matches!(data_type, DataType::Date32 | DataType::Timestamp(..)) {
                let name = rows.field(column).name();
                return Err(Error::invalid(format!("column `{name}` is of type {}", type_name(data_type)))
                    .help("name a date or a timestamp, or cast the column in `transform`"));
            }
            Test::Freshness { column, max_age: *max_age }
        }
        Demand::RowCount { min, max } => Test::RowCount { min: *min, max: *max },
        Demand::Drift { rows_percent, nulls_points } => {
            Test::Drift { rows_percent: *rows_percent, nulls_points: *nulls_points }
        }
        _ => Test::Unique(Key::new(rows, &columns, None)?),
    })
}

fn index(name: &str, rows: &Schema) -> Result<usize> {
    if let Ok(index) = rows.index_of(name) {
        return Ok(index);
    }
    let distance = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let names = rows.fields().iter().map(|field| field.name().as_str());
    let near = names.map(|other| (distance(other), other)).min();
    let near = near.filter(|(distance, _)| *distance <= 2.max(name.len() / 3));
    let error = Error::invalid(format!("`{name}` is no column of the output"));
    Err(match near {
        Some((_, near)) => error.help(format!("did you mean `{near}`?")),
        None => error.help("`sealift plan` lists the output's columns"),
    })
}

/// The types of referenced columns whose values can be compared.
async fn referenced(
    store: &Store,
    dataset: &DatasetName,
    table: &Table,
    references: &[String],
) -> Result<Vec<DataType>> {
    // Whose stream it is does not matter here.
    let recorded = Recorded::load(store, dataset, table.version, None).await?;
    let data_type = |name: &String| {
        let index = index(name, &table.schema).map_err(|error| error.at(format!("dataset {dataset}")))?;
        let Some(Decided { action, .. }) = recorded.columns.get(name) else {
            return Err(Error::held(format!(
                "it is not known whether column `{name}` of {dataset} holds values to compare with: no commit in \
                 its log says how it is protected"
            ))
            .help("publish the dataset once with Sealift, or remove the check"));
        };
        if !matches!(action.as_str(), "allow" | "encrypt") {
            return Err(Error::held(format!(
                "column `{name}` of {dataset} holds no values to compare with: {action}"
            ))
            .help("point at a column that is published as it is or encrypted, or remove the check"));
        }
        Ok(table.schema.field(index).data_type().clone())
    };
    references.iter().map(data_type).collect()
}

/// The keys of the rows of a dataset's newest version.
async fn present(
    against: &Against<'_>,
    key: &Key,
    dataset: &DatasetName,
    references: &[String],
    bytes: u64,
) -> Result<(Key, keys::Seen)> {
    use futures::TryStreamExt as _;
    let Some(table) = Table::load(against.store, dataset, None).await? else {
        return Err(Error::data(format!(
            "dataset {dataset} is not published, so no row has a counterpart in it"
        ))
        .help("publish it first"));
    };
    let types = referenced(against.store, dataset, &table, references).await?;
    let reading =
        Reading::prepare(against.store, against.keyring, dataset, &table, references, &table.files).await?;
    let key = key.of_types(&types)?;
    let theirs = key.of_all()?;
    let mut seen = keys::Seen::bounded(bytes);
    for file in &table.files {
        let mut rows = reading.rows(file).await?;
        while let Some(batch) = rows.try_next().await? {
            for hash in theirs.hashes(&batch)?.into_iter().flatten() {
                seen.insert(hash)?;
            }
        }
    }
    Ok((key, seen))
}

/// What each of several checks may hold.
fn share(memory_limit_bytes: u64, checks: &[Planned]) -> u64 {
    let holds = |planned: &&Planned| matches!(planned.test, Test::Unique(_) | Test::ForeignKey { .. });
    let (_, bytes) = Memory::of(memory_limit_bytes).beside_keys();
    bytes / (checks.iter().filter(holds).count().max(1) as u64)
}
