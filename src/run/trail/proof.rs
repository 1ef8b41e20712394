//! Whether the trail holds: its entries by themselves, and against everything that was signed of them.

use std::collections::{BTreeSet, HashMap};

use futures::TryStreamExt as _;

use super::Place;
use crate::error::{Error, Kind, Result};
use crate::govern::audit::{self, Checkpoint, Findings, What, Witness};
use crate::keys::PublicKey;
use crate::run::Ledger;
use crate::run::verify::Trust;

/// Most checkpoints that are held at once: of 256 million entries, or a hundred years.
const MOST_CHECKPOINTS: usize = 1_000_000;

/// What was found.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The trail's name; `None` where the store has lost it.
    pub trail: Option<String>,
    /// Entries, and what does not hold.
    pub findings: Findings,
    /// Checkpoints whose signature holds, each once.
    pub checkpoints: usize,
    /// Entry and time (Unix milliseconds) of the newest that lies outside the metadata store: for entries after it
    /// nobody vouches.
    pub newest: Option<(i64, i64)>,
    /// What is worth knowing and breaks nothing.
    pub notes: Vec<String>,
}

/// Reads the whole trail and every checkpoint of it. Where `copy` is given, it stands for the file beside the store: it
/// may be older than the trail. `known` is the name that the trail is to have, where that is known.
///
/// # Errors
/// As ledger, places and keyring answer. What does not hold is no error, but told.
pub async fn prove(
    ledger: &Ledger,
    places: &[Place],
    copy: Option<&Place>,
    trust: Trust<'_>,
    known: Option<&str>,
) -> Result<Proof> {
    let trail = audit::head(ledger).await?.map(|head| head.trail);
    let (findings, notes, keys) = (Findings::default(), Vec::new(), HashMap::new());
    let mut desk = Desk { trail, trust, keys, newest: None, findings, notes };
    desk.compare_name(known);
    // A checkpoint is kept in the store last, so that what is there by now must be everywhere.
    let inside = desk.inside(ledger).await?;
    desk.newest = None;
    let mut outside = BTreeSet::new();
    for place in places.iter().filter(|place| copy.is_none() || !matches!(place, Place::File(_))).chain(copy)
    {
        let held = desk.read(place).await?;
        let is_copy = copy.is_some_and(|copy| std::ptr::eq(copy, place));
        if !is_copy {
            desk.compare(place, &inside, &held);
        }
        outside.extend(held);
    }
    let lost = outside.difference(&inside).count();
    if lost > 0 {
        desk.notes.push(format!("the metadata store lacks some checkpoints that are kept elsewhere: {lost}"));
    }
    let all: Vec<Witness> = inside.union(&outside).copied().collect();
    let mut findings = audit::verify(ledger, &all).await?;
    for fault in std::mem::take(&mut desk.findings.faults) {
        findings.found(fault.what, fault.seq, fault.message);
    }
    findings.untold += desk.findings.untold;
    let Desk { trail, newest, notes, .. } = desk;
    Ok(Proof { trail, findings, checkpoints: all.len(), newest, notes })
}

/// Where checkpoints are looked at, one after the other.
struct Desk<'a> {
    trail: Option<String>,
    trust: Trust<'a>,
    /// The keys of signers that were met.
    keys: HashMap<String, Vec<PublicKey>>,
    /// Entry and time of the newest witness.
    newest: Option<(i64, i64)>,
    findings: Findings,
    notes: Vec<String>,
}

impl Desk<'_> {
    /// Whether the trail is the one that is known.
    fn compare_name(&mut self, known: Option<&str>) {
        let (Some(known), Some(trail)) = (known, &self.trail) else { return };
        if known != trail {
            let message = format!(
                "the metadata store has the trail {trail}, and the keys belong to {known}: the trail was replaced, or \
                 begun anew"
            );
            self.findings.found(What::OtherTrail, None, message);
        }
    }

    /// Those in the metadata store.
    async fn inside(&mut self, ledger: &Ledger) -> Result<BTreeSet<Witness>> {
        let mut held = BTreeSet::new();
        let mut last = 0;
        loop {
            let page = audit::checkpoints(ledger, last).await?;
            let Some((newest, _)) = page.last() else { return Ok(held) };
            last = *newest;
            for (_, checkpoint) in page {
                match checkpoint {
                    Some(checkpoint) => self.judge("the metadata store", &checkpoint, &mut held).await?,
                    None => {
                        self.forged(None, "the metadata store holds a checkpoint that is none".to_owned());
                    }
                }
            }
        }
    }

    async fn read(&mut self, place: &Place) -> Result<BTreeSet<Witness>> {
        let name = place.to_string();
        let (mut held, mut unread) = (BTreeSet::new(), 0_u64);
        let trail = self.trail.clone();
        if let Some(trail) = &trail {
            let others = place.others(trail).await?;
            if !others.is_empty() {
                self.notes
                    .push(format!("{name} also has checkpoints of other trails: {}", others.join(", ")));
            }
        }
        let mut pages = place.pages(trail.as_deref())?;
        while let Some(page) = pages.try_next().await? {
            for checkpoint in page {
                match checkpoint {
                    Some(checkpoint) => self.judge(&name, &checkpoint, &mut held).await?,
                    None => unread += 1,
                }
            }
        }
        if unread > 0 {
            // Half a line is what a full disk leaves; one that is missed for it is told of as missing.
            self.notes.push(format!("{name} holds {unread} lines or objects that are no checkpoints"));
        }
        Ok(held)
    }

    fn forged(&mut self, seq: Option<i64>, message: String) {
        self.findings.found(What::ForgedCheckpoint, seq, message);
    }

    /// Takes a checkpoint as a witness, where it is one.
    async fn judge(&mut self, place: &str, made: &Checkpoint, held: &mut BTreeSet<Witness>) -> Result<()> {
        let message = made.message();
        if !self.keys_of(&made.signer).await?.iter().any(|key| key.verifies(&message, &made.signature)) {
            let message =
                format!("a checkpoint of entry {} in {place} is not signed by a key of ours", made.seq);
            self.forged(Some(made.seq), message);
            return Ok(());
        }
        let is_own = self.trail.as_ref().is_none_or(|trail| *trail == made.trail);
        if !is_own {
            let message = format!(
                "{place} has a checkpoint of entry {} of another trail: the trail was replaced, or begun anew",
                made.seq
            );
            self.findings.found(What::OtherTrail, Some(made.seq), message);
            return Ok(());
        }
        if held.len() >= MOST_CHECKPOINTS {
            return Err(Error::failed(format!("{place} has more checkpoints than can be held at once"))
                .help("name a file with fewer of them (`--checkpoints FILE`)"));
        }
        held.insert(Witness { seq: made.seq, hash: made.hash });
        self.newest = self.newest.max(Some((made.seq, made.at_ms)));
        Ok(())
    }

    async fn keys_of(&mut self, signer: &str) -> Result<&[PublicKey]> {
        if !self.keys.contains_key(signer) {
            let keys = match &self.trust {
                Trust::Keys(keyring) => match keyring.checkpoint_key(signer).await {
                    Ok(key) => vec![key],
                    Err(error) if error.kind() == Kind::Denied => Vec::new(),
                    Err(error) => return Err(error),
                },
                Trust::Public(given) => given.iter().filter_map(|key| key.of_checkpoints(signer)).collect(),
            };
            self.keys.insert(signer.to_owned(), keys);
        }
        Ok(self.keys.get(signer).map(Vec::as_slice).unwrap_or_default())
    }

    /// Whether a place has what the metadata store has, from its own first on.
    fn compare(&mut self, place: &Place, inside: &BTreeSet<Witness>, held: &BTreeSet<Witness>) {
        let Some(first) = inside.first() else { return };
        if let (Place::Objects(_), true) = (place, held.is_empty()) {
            self.notes.push(format!("{place} has no checkpoint yet"));
            return;
        }
        let since = held.first().unwrap_or(first).seq;
        if since > first.seq {
            self.notes.push(format!("{place} begins with the checkpoint of entry {since}"));
        }
        let missing: Vec<i64> =
            inside.difference(held).map(|witness| witness.seq).filter(|seq| *seq >= since).collect();
        if let Some(seq) = missing.first() {
            let message = format!("{place} lacks {} checkpoints, that of entry {seq} first", missing.len());
            self.findings.found(What::MissingCheckpoint, Some(*seq), message);
        }
    }
}
