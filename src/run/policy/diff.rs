//! Two policies compared by what they ask of the columns that are published.

use super::{Ask, Then, stands_for};
use crate::error::Result;
use crate::publish::recorded;
use crate::publish::{Decided, Store, Table};
use crate::spec::{DatasetName, Policy};

/// How a policy differs from the one before it for one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It asks for less.
    Weaker,
    /// It asks for more.
    Stronger,
    /// It asks for something as strong, with other options.
    Other,
    /// It asks for the same.
    None,
}

impl Change {
    /// The word that programs read.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Weaker => "weaker",
            Self::Stronger => "stronger",
            Self::Other => "other",
            Self::None => "none",
        }
    }
}

/// A column of a dataset that the policies differ about, or that is not as the newer one asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The dataset.
    pub dataset: DatasetName,
    /// Leaf path.
    pub column: String,
    /// Its tag.
    pub tag: Option<String>,
    /// The word of the action that it is published with.
    pub published: String,
    /// What the older policy asks.
    pub old: Ask,
    /// What the newer one asks.
    pub new: Ask,
    /// How they differ.
    pub change: Change,
    /// What has to be done to what is published.
    pub then: Then,
}

/// What two policies ask differently of the datasets in these stores, and what is not as the newer one asks.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// By dataset and column.
    pub found: Vec<Difference>,
    /// How many datasets were looked at.
    pub datasets: u64,
    /// Those of which the log no longer tells how they are protected.
    pub unknown: Vec<DatasetName>,
}

impl Differences {
    /// Compares. Of each dataset the log is read and no row; quarantines follow their own rules and are left out.
    ///
    /// # Errors
    /// As the stores answer.
    pub async fn between(old: &Policy, new: &Policy, stores: &[Store]) -> Result<Self> {
        let mut differences = Self::default();
        for store in stores {
            for dataset in Table::list(store).await? {
                if dataset.is_quarantine() {
                    continue;
                }
                let Some(table) = Table::load(store, &dataset, None).await? else { continue };
                let columns = recorded::decided(store, &dataset, table.version).await?;
                differences.datasets += 1;
                if columns.is_empty() {
                    differences.unknown.push(dataset);
                    continue;
                }
                let found =
                    columns.iter().filter_map(|column| difference(&dataset, column, &columns, old, new));
                differences.found.extend(found);
            }
        }
        differences.found.sort_by(|a, b| (&a.dataset, &a.column).cmp(&(&b.dataset, &b.column)));
        Ok(differences)
    }

    /// Whether any column would be protected less.
    #[must_use]
    pub fn weakens(&self) -> bool {
        self.found.iter().any(|found| found.change == Change::Weaker)
    }
}

fn difference(
    dataset: &DatasetName,
    decided: &Decided,
    all: &[Decided],
    old: &Policy,
    new: &Policy,
) -> Option<Difference> {
    let (old, new) = (stands_for(old, decided, all)?, stands_for(new, decided, all)?);
    let change = match new.strength().cmp(&old.strength()) {
        std::cmp::Ordering::Less => Change::Weaker,
        std::cmp::Ordering::Greater => Change::Stronger,
        std::cmp::Ordering::Equal if old == new => Change::None,
        std::cmp::Ordering::Equal => Change::Other,
    };
    let before = match &old {
        Ask::Action(action) => Some(action),
        Ask::Refuse => None,
    };
    let then = Then::of(decided, &new, before);
    let is_told = change != Change::None || then != Then::Nothing;
    is_told.then(|| Difference {
        dataset: dataset.clone(),
        column: decided.column.clone(),
        tag: decided.tag.clone(),
        published: decided.action.clone(),
        old,
        new,
        change,
        then,
    })
}
