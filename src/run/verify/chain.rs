//! The receipts of a table, from one version back, and whether they belong to its commits and to each other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{Fault, Question, What};
use crate::error::{Kind, Result};
use crate::publish::receipt::{self, Link, Place, Receipt, Signed};
use crate::publish::{ObjectPath, Table, table};
use crate::run::RunId;
use crate::run::ledger::State;
use crate::spec::DatasetName;

/// What was read of a table's receipts.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// By version.
    pub(super) receipts: BTreeMap<u64, Receipt>,
    /// SHA-256 of the receipt that a commit names, by version.
    named: BTreeMap<u64, String>,
    /// Files that other writers added and removed, as the log writes their paths.
    foreign: Foreign,
    /// Whether the first receipt was reached and every one on the way was there.
    is_whole: bool,
}

#[derive(Debug, Default)]
struct Foreign {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
}

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
struct Walk<'a> {
    question: &'a Question<'a>,
    places: &'a [Place],
    chain: Chain,
    before: Before,
    faults: &'a mut Vec<Fault>,
    notes: &'a mut Vec<String>,
}

impl Chain {
    /// Reads the receipts from `version` back to the table's first: along the log as far as it is kept, and
    /// beyond it from one receipt to the one that it names.
    ///
    /// # Errors
    /// As store and keyring answer.
    pub(super) async fn read(
        question: &Question<'_>,
        version: u64,
        places: &[Place],
        faults: &mut Vec<Fault>,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let Question { dataset, store, .. } = *question;
        let chain = Self { is_whole: true, ..Self::default() };
        let mut walk = Walk { question, places, chain, before: Before::Unknown, faults, notes };
        let mut oldest = version + 1;
        let mut commits = table::commits(store, dataset, 0..=version);
        while let Some((version, commit)) = commits.try_next().await? {
            walk.commit(version, &commit).await?;
            oldest = version;
        }
        drop(commits);
        if oldest > 0 {
            walk.gap(oldest).await?;
        }
        walk.beyond(oldest).await?;
        Ok(walk.chain)
    }

    /// The live files that the table should have and has not. Only a whole chain can tell.
    pub(super) fn accounts_for(&self, table: &Table, faults: &mut Vec<Fault>) {
        if !self.is_whole {
            return;
        }
        let live: HashSet<&str> = table.files.iter().map(|file| file.path.as_str()).collect();
        let removed: HashSet<&str> =
            self.receipts.values().flat_map(|receipt| &receipt.files.removed).map(String::as_str).collect();
        for (version, receipt) in &self.receipts {
            let lost = receipt.files.added.iter().map(|file| file.path.as_str()).filter(|path| {
                !live.contains(path) && !removed.contains(path) && !self.foreign.removed.contains(*path)
            });
            faults.extend(lost.map(|path| {
                let message = format!(
                    "version {version} added {path}, nothing took it away, and the table has it no longer"
                );
                Fault::at(What::LostFile, Some(*version), path, message)
            }));
        }
    }

    /// Whether another writer added the file.
    pub(super) fn is_foreign(&self, dataset: &DatasetName, path: &str) -> bool {
        ObjectPath::existing(dataset, path).is_ok_and(|path| self.foreign.added.contains(&path.in_log()))
    }

    /// Looks for versions that were published and that the log no longer has, or has otherwise.
    ///
    /// # Errors
    /// As store and ledger answer.
    pub(super) async fn rolled_back(
        &self,
        question: &Question<'_>,
        places: &[Place],
        faults: &mut Vec<Fault>,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let Question { dataset, store, ledger, .. } = *question;
        let remembered = ledger.remembered(dataset).await?;
        // Asked last: what is published meanwhile was not rolled back.
        let newest = table::versions(store, dataset).await?.last().copied();
        let next = newest.map_or(0, |newest| newest + 1);
        let mut gone = BTreeMap::new();
        for one in remembered {
            let run = one.run_id;
            if one.version >= next {
                gone.insert(one.version, format!("the ledger knows that run {run} published it"));
            } else if let (Some(recorded), Some(named)) = (one.receipt, self.named.get(&one.version))
                && recorded != *named
            {
                let message = format!(
                    "version {} is not the one that run {run} published, as the ledger knows it: the log was rolled back and went on",
                    one.version
                );
                faults.push(Fault::of(What::RolledBack, one.version, message));
            }
        }
        for place in places.iter().filter(|place| place.version >= next) {
            match broke_off(question, next, place).await? {
                true => notes.push(format!(
                    "{} is of an attempt that ended before its commit, or is under way",
                    place.path(dataset).relative()
                )),
                false => {
                    let why = format!("its receipt {} is there", place.path(dataset).relative());
                    gone.entry(place.version).or_insert(why);
                }
            }
        }
        let end = newest.map_or_else(|| "is gone".to_owned(), |newest| format!("ends at version {newest}"));
        faults.extend(gone.into_iter().map(|(version, why)| {
            let message = format!("the log {end}, and version {version} was published: {why}");
            Fault::of(What::RolledBack, version, message)
        }));
        Ok(())
    }
}

/// Whether a receipt beyond the newest version is of an attempt that ended before its commit: it would have
/// been the next version, and the ledger knows its run as one that did not succeed and published nothing there.
async fn broke_off(question: &Question<'_>, next: u64, place: &Place) -> Result<bool> {
    let Question { dataset, store, ledger, .. } = *question;
    if place.version != next {
        return Ok(false);
    }
    let Some(bytes) = receipt::read(store, dataset, place).await? else { return Ok(true) };
    let Ok(Signed { receipt, .. }) = Receipt::parse(&bytes) else { return Ok(false) };
    let Ok(run_id) = RunId::parse(&receipt.run_id) else { return Ok(false) };
    let Some(run) = ledger.run(&run_id).await? else { return Ok(false) };
    let sha256 = sha256(&bytes);
    // Of a quarantine the ledger knows no version: a run that succeeded had published that, too.
    Ok(run.state != State::Succeeded
        && !run.streams.iter().any(|stream| stream.receipt.as_ref() == Some(&sha256)))
}

impl Walk<'_> {
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
            self.chain.foreign.added.extend(added);
            self.chain.foreign.removed.extend(removed);
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
            self.agrees(&receipt, commit)?;
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
        let Question { dataset, store, keyring, .. } = *self.question;
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
        let is_ours = match keyring.public_key(&signed.receipt.signer).await {
            Ok(key) => signed.is_by(&key),
            Err(error) if error.kind() == Kind::Denied => false,
            Err(error) => return Err(error),
        };
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

    /// Whether commit and receipt name the same files.
    fn agrees(&mut self, receipt: &Receipt, commit: &[u8]) -> Result<()> {
        let dataset = self.question.dataset;
        let in_log = |path: &str| Ok(ObjectPath::existing(dataset, path)?.in_log());
        let added =
            receipt.files.added.iter().map(|file| in_log(&file.path)).collect::<Result<BTreeSet<_>>>()?;
        let removed =
            receipt.files.removed.iter().map(|path| in_log(path)).collect::<Result<BTreeSet<_>>>()?;
        let theirs = receipt::files_of(commit);
        let version = receipt.version;
        for (does, ours, theirs) in [("adds", &added, &theirs.0), ("removes", &removed, &theirs.1)] {
            for path in theirs.difference(ours) {
                let message =
                    format!("the commit of version {version} {does} {path}, and its receipt does not");
                self.fault(What::AlteredCommit, version, Some(path), message);
            }
            for path in ours.difference(theirs) {
                let message =
                    format!("the receipt of version {version} {does} {path}, and its commit does not");
                self.fault(What::AlteredCommit, version, Some(path), message);
            }
        }
        Ok(())
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

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
