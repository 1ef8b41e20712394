//! Whether the evidence of a published version holds: its receipts, its files, its values.
//!
//! Three things must agree that lie in three places: what the table's log says, what the signed receipts
//! beside it say, and what the data files are. A fourth, the ledger, knows of versions that a log which was
//! rolled back does not.

mod beside;
mod chain;
mod content;
mod entries;
mod fault;
mod files;
mod rolled_back;
mod source;
mod trust;
mod walk;
mod whole;

use std::collections::BTreeMap;

pub use fault::{Fault, What};
pub use source::against;
pub use trust::Trust;

use self::chain::Chain;
use self::walk::Walk;
use super::Ledger;
use crate::error::{At as _, Error, Kind, Result};
use crate::publish::receipt::{self, Receipt};
use crate::publish::{Store, Table, table};
use crate::spec::DatasetName;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The dataset.
    pub dataset: &'a DatasetName,
    /// The version; the newest without.
    pub version: Option<u64>,
    /// Where its table is.
    pub store: &'a Store,
    /// What runs recorded.
    pub ledger: &'a Ledger,
    /// Whose signature counts, and what reads encrypted columns.
    pub trust: Trust<'a>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The version that was looked at.
    pub version: u64,
    /// Its receipt; `None` where it has none that can be read.
    pub receipt: Option<Receipt>,
    /// Receipts that were read, from that version back.
    pub receipts: u64,
    /// Live files of which every byte was compared.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// By column, how its values were compared.
    pub columns: BTreeMap<String, Compared>,
    /// What does not hold.
    pub faults: Vec<Fault>,
    /// What is worth knowing and breaks nothing.
    pub notes: Vec<String>,
}

/// How the values of a column were compared with their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Those of the published rows were digested again.
    Rows,
    /// Those of the source were.
    Source,
    /// They were not, for this reason.
    Not(String),
}

/// Told of bytes as they are compared.
pub type Counter<'a> = &'a (dyn Fn(u64) + Sync);

/// Looks at everything that a version rests on.
///
/// Memory grows with the receipts, which together are about as long as the table's log.
///
/// # Errors
/// `Usage` when there is no such dataset; `Failed` when its log cannot be read at all; else as store, ledger
/// and keyring answer. Evidence that does not hold is no error here, but a [`Fault`].
pub async fn verify(question: &Question<'_>, counter: Counter<'_>) -> Result<Findings> {
    let Question { dataset, store, .. } = *question;
    if table::versions(store, dataset).await?.is_empty() {
        return without_log(question).await;
    }
    let Some(table) = Table::load(store, dataset, question.version).await? else {
        return without_log(question).await;
    };
    let mut faults = Vec::new();
    let mut notes = Vec::new();
    let places = receipt::all(store, dataset).await?;
    let chain = Walk::back(question, &table, &places, &mut faults, &mut notes).await?;
    rolled_back::find(&chain, question, &places, &mut faults, &mut notes).await?;
    beside::check(question, &chain, &mut faults).await?;
    let replay = chain.replay();
    if chain.is_whole {
        replay.accounts_for(&table, &mut faults, &mut notes);
    }
    entries::columns(question, &table, &chain, &mut faults).await?;
    entries::files(&table, &chain, &replay, &mut faults, &mut notes);
    let read = files::compare(question, &table, &chain, &replay, counter, &mut faults).await?;
    let columns = content::compare(question, &table, &chain, &mut faults, &mut notes)
        .await
        .at(|| format!("dataset {dataset}"))?;
    Ok(Findings {
        version: table.version,
        receipt: chain.receipts.get(&table.version).cloned(),
        receipts: chain.receipts.len() as u64,
        files: read.files,
        bytes: read.bytes,
        columns,
        faults,
        notes,
    })
}

/// A dataset whose log is gone, or that never was.
async fn without_log(question: &Question<'_>) -> Result<Findings> {
    let Question { dataset, store, .. } = *question;
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    let places = receipt::all(store, dataset).await?;
    rolled_back::find(&Chain::default(), question, &places, &mut faults, &mut notes).await?;
    let Some(version) = faults.iter().filter_map(|fault| fault.version).max() else {
        return Err(Error::new(Kind::Usage, format!("there is no dataset {dataset}"))
            .help("`sealift datasets` lists them"));
    };
    let columns = BTreeMap::new();
    Ok(Findings { version, receipt: None, receipts: 0, files: 0, bytes: 0, columns, faults, notes })
}
