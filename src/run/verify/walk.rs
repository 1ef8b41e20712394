//! The way back from a version: its commits as far as the log is kept, and receipt by receipt beyond it.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::chain::{Chain, Entry, Foreign};
use super::{Fault, Question, What};
use crate::error::Result;
use crate::publish::path::file_name;
use crate::publish::receipt::{self, Link, Place, Receipt, Signed};
use crate::publish::{ObjectPath, Table, table};
use crate::spec::DatasetName;

/// What the newer receipt says of the one before it.
enum Before {
    /// Nothing was read yet, or the newer receipt could not be.
    Unknown,
    /// It names none.
    None,
    Named(Link),
}

impl Before {
    fn of(receipt: &Receipt) -> Self {
        receipt.previous.clone().map_or(Self::None, Self::Named)
    }
}

/// One walk from a version back.
pub(super) struct Walk<'a> {
    question: &'a Question<'a>,
    places: &'a [Place],
    /// The names of the files of which the log's entries are wanted.
    live: BTreeSet<&'a str>,
    chain: Chain,
    before: Before,
    /// Whether a `metaData` action was met, ours or not.
    is_described: bool,
    faults: &'a mut Vec<Fault>,
    notes: &'a mut Vec<String>,
}

impl<'a> Walk<'a> {
    /// Reads the receipts from the table's version back to its first: along the log as far as it is kept, and
    /// beyond it from one receipt to the one that it names.
    ///
    /// # Errors
    /// As store and keyring answer.
    pub(super) async fn back(
        question: &'a Question<'a>,
        table: &'a Table,
        places: &'a [Place],
        faults: &'a mut Vec<Fault>,
        notes: &'a mut Vec<String>,
    ) -> Result<Chain> {
        let Question { dataset, store, .. } = *question;
        let live = table.files.iter().map(|file| file_name(&file.path)).collect();
        let chain = Chain { is_whole: true, ..Chain::default() };
        let before = Before::Unknown;
        let mut walk = Self { question, places, live, chain, before, is_described: false, faults, notes };
        let mut oldest = table.version + 1;
        let mut commits = table::commits(store, dataset, 0..=table.version);
        while let Some((version, commit)) = commits.try_next().await? {
            walk.commit(version, &commit).await?;
            oldest = version;
            walk.chain.oldest = Some(oldest);
        }
        drop(commits);
        if oldest > 0 {
            walk.gap(oldest).await?;
        }
        walk.beyond(oldest).await?;
        Ok(walk.chain)
    }

    fn fault(&mut self, what: What, version: u64, path: Option<&str>, message: String) {
        self.chain.is_whole &= matches!(what, What::AlteredCommit);
        self.faults.push(Fault { what, version: Some(version), path: path.map(str::to_owned), message });
    }

    /// One commit and its receipt.
    async fn commit(&mut self, version: u64, commit: &[u8]) -> Result<()> {
        let Some(named) = receipt::named(commit) else {
            let (added, removed) = receipt::files_of(commit);
            self.notes.push(format!(
                "version {version} was made by another writer, without a receipt: {} files added and {} removed",
                added.len(),
                removed.len()
            ));
            let dataset = self.question.dataset;
            let names =
                |paths: BTreeSet<String>| paths.iter().map(|path| name_in_log(dataset, path)).collect();
            let foreign = Foreign { added: names(added), removed: names(removed) };
            self.chain.foreign.insert(version, foreign);
            self.is_described |= receipt::actions_of(commit, "metaData").next().is_some();
            return Ok(());
        };
        let Some(sha256) = named.sha256 else {
            let message = format!("the commit of version {version} names no receipt");
            self.fault(What::AlteredCommit, version, None, message);
            self.chain.is_whole = false;
            self.before = Before::Unknown;
            return Ok(());
        };
        self.chain.named.insert(version, sha256.clone());
        self.follows(version, &sha256);
        let place = Place { version, commit_id: named.commit_id };
        if let Some(receipt) = self.receipt(&place, &sha256).await? {
            self.agrees(&receipt, commit, &sha256);
            self.remember(commit);
            self.before = Before::of(&receipt);
            self.chain.receipts.insert(version, receipt);
        } else {
            self.before = Before::Unknown;
        }
        Ok(())
    }

    /// Whether the newer receipt names this one.
    fn follows(&mut self, version: u64, sha256: &str) {
        let message = match &self.before {
            Before::Unknown => return,
            Before::Named(link) if link.version == version && link.sha256 == sha256 => return,
            Before::Named(link) if link.version == version => {
                format!(
                    "the receipt after version {version} names another receipt of it than its commit does"
                )
            }
            Before::Named(link) => format!(
                "the receipt after version {version} names one of version {}, which is not the one before it",
                link.version
            ),
            Before::None => format!("the receipt after version {version} says that there is none before it"),
        };
        self.fault(What::BrokenChain, version, None, message);
    }

    /// A receipt, checked against its name, its digest and our signature; `None` where it fails, for then
    /// nothing that it says counts.
    async fn receipt(&mut self, place: &Place, sha256: &str) -> Result<Option<Receipt>> {
        let Question { dataset, store, trust, .. } = *self.question;
        let (version, path) = (place.version, place.path(dataset).relative().to_owned());
        let Some(bytes) = receipt::read(store, dataset, place).await? else {
            let message = format!("the receipt of version {version} is gone: {path}");
            self.fault(What::MissingReceipt, version, Some(&path), message);
            return Ok(None);
        };
        let is_named = self::sha256(&bytes) == sha256;
        if !is_named {
            let message =
                format!("the receipt of version {version} was altered: {path} is not what its commit names");
            self.fault(What::AlteredReceipt, version, Some(&path), message);
        }
        let signed = match Receipt::parse(&bytes) {
            Ok(signed) => signed,
            Err(error) => {
                let message =
                    format!("the receipt of version {version} cannot be read: {path}: {}", error.message());
                self.fault(What::AlteredReceipt, version, Some(&path), message);
                return Ok(None);
            }
        };
        let is_ours = trust.signed(&signed).await?;
        if !is_ours {
            let message = format!("the receipt of version {version} is not signed by our key: {path}");
            self.fault(What::ForgedReceipt, version, Some(&path), message);
        }
        let Signed { receipt, .. } = signed;
        let is_its = receipt.dataset == dataset.to_string()
            && receipt.version == version
            && receipt.commit_id == place.commit_id;
        if !is_its {
            let message = format!(
                "{path} is the receipt of {} version {}, and not of {dataset} version {version}",
                DatasetName::parse(&receipt.dataset)
                    .map_or_else(|_| "another dataset".into(), |d| d.to_string()),
                receipt.version
            );
            self.fault(What::AlteredReceipt, version, Some(&path), message);
        }
        Ok((is_named && is_ours && is_its).then_some(receipt))
    }

    /// Whether the commit is the one that the receipt was signed for.
    fn agrees(&mut self, receipt: &Receipt, commit: &[u8], sha256: &str) {
        if receipt::commit_sha256(commit, sha256).as_ref() == Some(&receipt.commit_sha256) {
            return;
        }
        let dataset = self.question.dataset;
        let version = receipt.version;
        let added: BTreeSet<String> = receipt.files.added.iter().map(|file| file.name.clone()).collect();
        let removed: BTreeSet<String> = receipt.files.removed.iter().cloned().collect();
        let theirs = receipt::files_of(commit);
        let names = |paths: &BTreeSet<String>| -> BTreeSet<String> {
            paths.iter().map(|path| name_in_log(dataset, path)).collect()
        };
        let theirs = (names(&theirs.0), names(&theirs.1));
        let mut messages = Vec::new();
        for (does, ours, theirs) in [("adds", &added, &theirs.0), ("removes", &removed, &theirs.1)] {
            messages.extend(theirs.difference(ours).map(|name| {
                (
                    Some(name.clone()),
                    format!("the commit of version {version} {does} {name}, and its receipt does not"),
                )
            }));
            messages.extend(ours.difference(theirs).map(|name| {
                (
                    Some(name.clone()),
                    format!("the receipt of version {version} {does} {name}, and its commit does not"),
                )
            }));
        }
        if messages.is_empty() {
            let message = format!(
                "the commit of version {version} was altered: it is not the one that its receipt was signed for"
            );
            messages.push((None, message));
        }
        for (name, message) in messages {
            self.fault(What::AlteredCommit, version, name.as_deref(), message);
        }
    }

    /// Keeps what a commit of ours says of files that are live, and of the table; newer ones come first.
    fn remember(&mut self, commit: &[u8]) {
        for mut add in receipt::actions_of(commit, "add") {
            let Some(path) = add["path"].as_str() else { continue };
            let name = name_in_log(self.question.dataset, path);
            if self.live.contains(name.as_str()) && !self.chain.entries.contains_key(&name) {
                let stats = add["stats"].as_str().map(str::to_owned);
                self.chain.entries.insert(name, Entry { partition: add["partitionValues"].take(), stats });
            }
        }
        if !self.is_described {
            self.chain.metadata = receipt::actions_of(commit, "metaData").next();
            self.is_described = self.chain.metadata.is_some();
        }
    }

    /// Before `oldest` there is no commit: that is how old logs are cleaned up, unless there are still older
    /// ones.
    async fn gap(&mut self, oldest: u64) -> Result<()> {
        let Question { dataset, store, .. } = *self.question;
        let kept = table::versions(store, dataset).await?;
        if kept.first().is_some_and(|first| *first < oldest) {
            let version = oldest - 1;
            let message = format!("the commit of version {version} is gone, while older ones are there");
            self.fault(What::MissingCommit, version, None, message);
        }
        Ok(())
    }

    /// The receipts before the oldest commit.
    async fn beyond(&mut self, oldest: u64) -> Result<()> {
        self.chain.is_whole &= oldest == 0 || !matches!(self.before, Before::Unknown);
        while let Before::Named(link) = std::mem::replace(&mut self.before, Before::None) {
            let Link { version, sha256 } = link;
            if version >= oldest {
                let message = format!(
                    "a receipt names one of version {version} before it, which no commit in the log names"
                );
                self.fault(What::BrokenChain, version, None, message);
                break;
            }
            let Some(place) = self.named_by(version, &sha256).await? else {
                let message =
                    format!("the receipt of version {version}, whose commit is cleaned up, is gone");
                self.fault(What::MissingReceipt, version, None, message);
                break;
            };
            let Some(receipt) = self.receipt(&place, &sha256).await? else { break };
            self.before = Before::of(&receipt);
            self.chain.receipts.insert(version, receipt);
            self.chain.named.insert(version, sha256);
            self.chain.oldest = Some(version);
        }
        Ok(())
    }

    /// Where the receipt of this digest lies.
    async fn named_by(&self, version: u64, sha256: &str) -> Result<Option<Place>> {
        let Question { dataset, store, .. } = *self.question;
        let mut found = None;
        for place in self.places.iter().filter(|place| place.version == version) {
            let Some(bytes) = receipt::read(store, dataset, place).await? else { continue };
            if self::sha256(&bytes) == sha256 {
                return Ok(Some(place.clone()));
            }
            // The only one of the version: it was altered, and will be told so.
            found = Some(place.clone());
        }
        Ok(found)
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The name of a file by its path as the log writes it.
fn name_in_log(dataset: &DatasetName, path: &str) -> String {
    let own = ObjectPath::of_log(dataset, path);
    file_name(own.as_ref().map_or(path, ObjectPath::relative)).to_owned()
}
