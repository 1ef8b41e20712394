//! What a run changes about a published schema, and whether its contract lets it.
//!
//! The output of a stream is compared, while it is planned, with the newest version of its dataset: the
//! schema in the Delta log, the folders, and how each column was protected, which stands in the commit. Each
//! [`Change`] says what comes of it. A new column never passes by the policy: the comparison is of what
//! [`protect::Plan`] decided, and only says whether that may be published beside what is there.

mod compare;
mod fit;
mod reshape;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::datatypes::{DataType, Schema, SchemaRef};

pub(super) use self::compare::compare;
pub use self::fit::Fit;
use crate::error::{Error, Kind, Result};
use crate::protect;
use crate::publish::{Decided, Evolution, Mode, Recorded, Store, Table};
use crate::spec::contract::{self, SchemaContract};
use crate::spec::{DatasetName, Tag};

/// The newest version of a dataset, which a run replaces or adds to.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub(super) table: Table,
    pub(super) recorded: Recorded,
    /// Columns that were dropped, and would be published if they were not left out.
    withheld: BTreeSet<String>,
}

impl Predecessor {
    /// Loads it; `None` when nothing is published. `stream` is `pipeline/stream`, whose facts
    /// are asked for; nobody's without.
    ///
    /// # Errors
    /// Those of [`Table::load`].
    pub(super) async fn load(
        store: &Store,
        dataset: &DatasetName,
        stream: Option<&str>,
    ) -> Result<Option<Self>> {
        let Some(table) = Table::load(store, dataset, None).await? else { return Ok(None) };
        let recorded = Recorded::load(store, dataset, table.version, stream).await?;
        Ok(Some(Self { table, recorded, withheld: BTreeSet::new() }))
    }

    /// The tag that a column was published with, where it is recorded.
    pub(super) fn tag(&self, column: &str) -> Option<Tag> {
        Tag::parse(self.recorded.columns.get(column)?.tag.as_deref()?).ok()
    }

    /// Columns of an output that were not there before, where the contract leaves such out: neither published
    /// nor known to the commit as dropped. They need no policy, as nothing of them is read or written.
    pub(super) fn left_out(&self, contract: &SchemaContract, output: &Schema) -> BTreeSet<String> {
        if contract.columns != contract::Change::Discard {
            return BTreeSet::new();
        }
        let is_there = |name: &String| {
            let is_recorded = || self.recorded.columns.keys().any(|path| top(path) == name);
            self.has(name) || (is_recorded() && !self.withheld.contains(name))
        };
        let is_known = |name: &String| is_there(name) || contract.renamed.get(name).is_some_and(is_there);
        let names = output.fields().iter().map(|field| field.name());
        names.filter(|name| !is_known(name)).cloned().collect()
    }

    /// Withholds columns which the contract leaves out and which were dropped as long as `planned` was decided
    /// otherwise. Says whether there are any, so that the output has to be planned again.
    pub(super) fn withhold(&mut self, contract: &SchemaContract, planned: &protect::Plan) -> bool {
        if contract.columns != contract::Change::Discard {
            return false;
        }
        let names = planned.output().fields().iter().map(|field| field.name());
        let is_new = |name: &&String| {
            let is_renamed = contract.renamed.get(*name).is_some_and(|old| self.has(old));
            !self.has(name) && !is_renamed
        };
        let withheld: Vec<String> = names.filter(is_new).cloned().collect();
        let before = self.withheld.len();
        self.withheld.extend(withheld);
        self.withheld.len() > before
    }

    /// Checks that a column which is declared to be renamed comes under its new name.
    ///
    /// # Errors
    /// `Invalid`, with the nearest name, where neither name is among those of the output.
    pub(super) fn check_renamed(&self, contract: &SchemaContract, planned: &protect::Plan) -> Result<()> {
        let output = planned.input();
        // Columns that are dropped go in, and those that are made beside others come out.
        let is_there = |name: &String| {
            output.field_with_name(name).is_ok() || planned.output().field_with_name(name).is_ok()
        };
        let is_stray = |(new, old): &(&String, &String)| !is_there(new) && !is_there(old) && self.has(old);
        let Some((new, old)) = contract.renamed.iter().find(is_stray) else { return Ok(()) };
        let distance = |name: &str| strsim::damerau_levenshtein(&new.to_lowercase(), &name.to_lowercase());
        let names = output.fields().iter().map(|field| (distance(field.name()), field.name()));
        let near = names.min().filter(|(distance, _)| *distance <= 2.max(new.len() / 3));
        let error = Error::invalid(format!(
            "`renamed` says that `{old}` is `{new}` now, and the output has no such column"
        ));
        Err(match near {
            Some((_, near)) => error.help(format!("did you mean `{near}`?")),
            None => error.help("name the column as the output does, or remove it from `renamed`"),
        })
    }

    /// How an output is made to fit the published types, where the contract says so and a cast exists. The
    /// types of `planned` are those after protection.
    pub(super) fn fit(
        &self,
        contract: &SchemaContract,
        output: &SchemaRef,
        planned: &protect::Plan,
    ) -> Option<Fit> {
        if contract.types != contract::Change::Discard {
            return None;
        }
        let target = |name: &String| -> Option<DataType> {
            let published = self.table.schema.field_with_name(name).ok()?.data_type();
            let planned = planned.output().field_with_name(name).ok()?.data_type();
            let own = output.field_with_name(name).ok()?.data_type();
            let is_kept =
                planned == own && crate::publish::shift(published, planned) != crate::publish::Shift::None;
            is_kept.then(|| published.clone())
        };
        let targets = output.fields().iter().map(|field| target(field.name())).collect();
        Fit::plan(output, targets)
    }

    fn has(&self, column: &str) -> bool {
        self.table.schema.field_with_name(column).is_ok()
    }
}

/// What is planned for a dataset.
pub(super) struct Planned<'a> {
    pub(super) protection: &'a protect::Plan,
    pub(super) partition_by: &'a [String],
    pub(super) mode: Mode,
    /// Columns that the spec drops before they are read.
    pub(super) dropped: &'a [String],
    /// New columns that are left out.
    pub(super) left_out: &'a BTreeSet<String>,
    pub(super) fit: Option<&'a Fit>,
}

/// Everything that differs between what is published and what a run would publish.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The newest version; `None` where nothing is published.
    pub version: Option<u64>,
    /// What differs.
    pub changes: Vec<Change>,
    /// How the rows may differ from the table.
    evolution: Evolution,
    /// Columns of the table that the rows lack and that stay in it: path, action word and tag, as recorded.
    stays: Vec<Decided>,
    /// How the files that are there are written again.
    reshape: Option<reshape::Reshape>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The column (leaf path, where an action changes), or the columns of the folders.
    pub column: String,
    /// What kind of difference.
    pub kind: ChangeKind,
    /// As it is published; empty where it is not.
    pub published: String,
    /// As it is planned; empty where it is not.
    pub planned: String,
    /// What comes of it.
    pub then: Then,
}

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A column is new.
    Added,
    /// A column is gone.
    Removed,
    /// A column has the new name that the contract gives it.
    Renamed,
    /// A type holds all values of the published one, and more.
    Widened,
    /// A type does not hold all values of the published one.
    Breaking,
    /// A column is protected in another way.
    Action,
    /// A column has another tag, and is protected in the same way.
    Tag,
    /// Other columns become folders.
    Partitioning,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::Widened => "widened",
            Self::Breaking => "breaking",
            Self::Action => "action changed",
            Self::Tag => "tag changed",
            Self::Partitioning => "partitioning changed",
        })
    }
}

/// What comes of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The run goes on, and this happens.
    Follows(&'static str),
    /// The contract is broken (`Data`), and this mends it.
    Fails(String),
    /// The run is held (`Held`), and this mends it.
    Held(String),
}

impl Then {
    /// Whether the run goes on, in the word that programs read.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Follows(_) => "follows",
            Self::Fails(_) => "fails",
            Self::Held(_) => "held",
        }
    }

    /// What happens, or what mends it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Follows(text) => text,
            Self::Fails(text) | Self::Held(text) => text,
        }
    }
}

impl Comparison {
    /// Whether a run may publish what is planned.
    ///
    /// # Errors
    /// `Held` where rows that stay would be protected otherwise than the new ones, `Data` for everything else
    /// that the contract does not let pass; each with a table of what differs and what mends it.
    pub fn check(&self) -> Result<()> {
        let stopped: Vec<&Change> =
            self.changes.iter().filter(|change| !matches!(change.then, Then::Follows(_))).collect();
        if stopped.is_empty() {
            return Ok(());
        }
        let is_held = stopped.iter().any(|change| matches!(change.then, Then::Held(_)));
        let kind = if is_held { Kind::Held } else { Kind::Data };
        let version = self.version.unwrap_or_default();
        let message = format!("the schema differs from the published version {version}\n{}", table(&stopped));
        Err(Error::new(kind, message)
            .help("mend what the last column names, or let the dataset follow by `schema_contract`"))
    }

    /// How the rows may differ from the table when they are committed.
    pub(super) fn evolution(&self) -> &Evolution {
        &self.evolution
    }

    /// The name under which a planned column is published: another one where it is renamed now.
    pub(super) fn published(&self, column: &str) -> String {
        let is_it = |change: &&Change| change.kind == ChangeKind::Renamed && change.column == column;
        let renaming = self.changes.iter().find(is_it);
        renaming.map_or(column, |change| &change.published).to_owned()
    }

    /// What is recorded of the columns that stay although the run does not bring them.
    pub(super) fn stays(&self) -> &[Decided] {
        &self.stays
    }
}

/// The changes as lines of columns.
fn table(changes: &[&Change]) -> String {
    let row = |change: &&Change| {
        [
            change.column.clone(),
            change.kind.to_string(),
            change.published.clone(),
            change.planned.clone(),
            change.then.text().to_owned(),
        ]
    };
    let heading = ["column", "change", "published", "planned", "what to do"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heading).chain(changes.iter().map(row)).collect();
    let mut widths = [0_usize; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The top-level column of a leaf path.
fn top(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

/// The recorded protection of each column, by leaf path.
type Protections = BTreeMap<String, Decided>;
