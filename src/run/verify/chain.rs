//! The receipts of a table, from one version back, and what they make of its files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::{Fault, What};
use crate::publish::Table;
use crate::publish::path::file_name;
use crate::publish::receipt::{Added, Receipt};

/// What was read of a table's receipts and commits. Files go by their names without folders.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// By version.
    pub(super) receipts: BTreeMap<u64, Receipt>,
    /// SHA-256 of the receipt that the commit, or the receipt after it, names, by version.
    pub(super) named: BTreeMap<u64, String>,
    /// What other writers did, by version.
    pub(super) foreign: BTreeMap<u64, Foreign>,
    /// What commits of ours say of live files.
    pub(super) entries: HashMap<String, Entry>,
    /// The newest `metaData` action, if it is one of ours.
    pub(super) metadata: Option<Value>,
    /// The oldest version that was looked at.
    pub(super) oldest: Option<u64>,
    /// Whether the first receipt was reached and every one on the way was there.
    pub(super) is_whole: bool,
}

/// What another writer's commit did.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    pub(super) added: BTreeSet<String>,
    pub(super) removed: BTreeSet<String>,
}

/// What a commit says of a file that it adds, beside its size.
#[derive(Debug)]
pub(super) struct Entry {
    /// The values of the partition columns.
    pub(super) partition: Value,
    /// Statistics, as JSON.
    pub(super) stats: Option<String>,
}

/// What receipts make of a table's files.
#[derive(Debug, Default)]
pub(super) struct Replay<'a> {
    /// The files that should be live: the version that added them, and what its receipt says.
    pub(super) expected: BTreeMap<&'a str, (u64, &'a Added)>,
    /// Files that were taken away, and the version that did.
    pub(super) gone: HashMap<&'a str, u64>,
    /// Of these, the ones that another writer took away, and that no version of ours replaced since.
    lost: BTreeMap<&'a str, u64>,
    /// Versions of ours that took the place of files of other writers.
    adopted: BTreeSet<u64>,
}

impl Chain {
    /// Goes through all versions in their order.
    pub(super) fn replay(&self) -> Replay<'_> {
        let mut replay = Replay::default();
        let versions: BTreeSet<u64> = self.receipts.keys().chain(self.foreign.keys()).copied().collect();
        for version in versions {
            if let Some(theirs) = self.foreign.get(&version) {
                replay.foreign(version, theirs);
            }
            if let Some(receipt) = self.receipts.get(&version) {
                replay.own(version, receipt);
            }
        }
        replay
    }

    /// Whether another writer added the file.
    pub(super) fn is_foreign(&self, path: &str) -> bool {
        self.foreign.values().any(|theirs| theirs.added.contains(file_name(path)))
    }
}

impl<'a> Replay<'a> {
    fn foreign(&mut self, version: u64, theirs: &'a Foreign) {
        for name in &theirs.removed {
            if self.expected.remove(name.as_str()).is_some() {
                self.lost.insert(name, version);
                self.gone.insert(name, version);
            }
        }
    }

    fn own(&mut self, version: u64, receipt: &'a Receipt) {
        let is_known = |name: &String| {
            self.expected.contains_key(name.as_str()) || self.gone.contains_key(name.as_str())
        };
        if receipt.operation != "overwrite" && !receipt.files.removed.iter().all(is_known) {
            self.adopted.insert(version);
        }
        if receipt.operation == "overwrite" {
            self.lost.clear();
            self.gone.extend(std::mem::take(&mut self.expected).into_keys().map(|name| (name, version)));
        }
        for name in &receipt.files.removed {
            self.expected.remove(name.as_str());
            self.gone.insert(name, version);
        }
        for file in &receipt.files.added {
            self.gone.remove(file.name.as_str());
            self.expected.insert(&file.name, (version, file));
        }
    }

    /// The files that the table should have and has not, and those whose rows nobody vouches for.
    pub(super) fn accounts_for(&self, table: &Table, faults: &mut Vec<Fault>, notes: &mut Vec<String>) {
        let live: HashSet<&str> = table.files.iter().map(|file| file_name(&file.path)).collect();
        for (name, (version, _)) in self.expected.iter().filter(|(name, _)| !live.contains(**name)) {
            let message = format!(
                "version {version} added {name}, nothing took it away, and the table has it no longer"
            );
            faults.push(Fault::at(What::LostFile, Some(*version), name, message));
        }
        for (name, version) in self.lost.iter().filter(|(name, _)| !live.contains(**name)) {
            let message =
                format!("version {version}, another writer's, took {name} away, which we had published");
            faults.push(Fault::at(What::LostFile, Some(*version), name, message));
        }
        notes.extend(self.adopted.iter().map(|version| {
            format!("version {version} replaced files of another writer: for what it took of their rows nobody vouches")
        }));
    }
}
