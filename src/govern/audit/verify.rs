//! Whether the trail is as it was written: every entry is read, hashed again, and held against its neighbours, the
//! head, and what was signed.

use super::Entry;
use super::layout::{self, Hash, Said};
use super::listing::{self, Row};
use crate::error::Result;
use crate::govern::store::Store;

/// Most faults that are told one by one; more are counted.
const MOST_FAULTS: usize = 100;
/// Entries read at a time.
const PAGE: u32 = listing::MAX_LISTED;
/// How many entries that do not hold are tried at every place of the trail: it costs a hash each.
const MOST_TRIED: u32 = 16;

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub what: What,
    /// The entry that it begins with.
    pub seq: Option<i64>,
    /// In words.
    pub message: String,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// An entry does not have the hash that it was written with.
    Edited,
    /// Entries are gone from the middle, or from the beginning.
    Deleted,
    /// An entry has the number of another one.
    Reordered,
    /// Entries have numbers that none was written with.
    SlippedIn,
    /// An entry does not follow the one before it, though each is whole by itself.
    Replaced,
    /// The trail ends before it did.
    Truncated,
    /// What the store keeps of the end is not what the entries are.
    AlteredHead,
    /// The trail is whole, and not the one that was signed: it was written anew.
    Rewritten,
    /// A checkpoint is not signed by us.
    ForgedCheckpoint,
    /// A checkpoint is gone from a place that had it.
    MissingCheckpoint,
    /// A checkpoint is of another trail than the one that is there.
    OtherTrail,
}

impl What {
    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Deleted => "deleted",
            Self::Reordered => "reordered",
            Self::SlippedIn => "slipped_in",
            Self::Replaced => "replaced",
            Self::Truncated => "truncated",
            Self::AlteredHead => "altered_head",
            Self::Rewritten => "rewritten",
            Self::ForgedCheckpoint => "forged_checkpoint",
            Self::MissingCheckpoint => "missing_checkpoint",
            Self::OtherTrail => "other_trail",
        }
    }
}

/// A checkpoint of this trail whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Witness {
    /// The entry that it speaks of.
    pub seq: i64,
    /// That entry's hash.
    pub hash: Hash,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Entries that were read.
    pub entries: u64,
    /// The number of the newest one.
    pub last: i64,
    /// What does not hold, in the order of the trail.
    pub faults: Vec<Fault>,
    /// How many more faults there are than those told.
    pub untold: u64,
}

impl Findings {
    /// Adds a fault, or counts it.
    pub fn found(&mut self, what: What, seq: Option<i64>, message: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { what, seq, message });
        } else {
            self.untold += 1;
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Reads the whole trail, page by page, and tells what does not hold. `witnesses` are in order. Entries that are
/// added meanwhile are left out.
///
/// # Errors
/// As the store answers. A trail that does not hold is no error here, but a [`Fault`].
pub async fn verify(store: &(impl Store + ?Sized), witnesses: &[Witness]) -> Result<Findings> {
    // In this order: an entry and the head that names it come at once.
    let extent = listing::extent(store).await?;
    let head = listing::head(store).await?;
    let mut findings = Findings::default();
    let Some(head) = head else {
        findings.found(What::AlteredHead, None, "the store has lost the end of the trail".to_owned());
        return Ok(findings);
    };
    if let Some(first) = extent.first.filter(|first| *first < 1) {
        let message = format!("entries were slipped in below the first, from number {first} on");
        findings.found(What::SlippedIn, Some(first), message);
    }
    if let Some(beyond) = extent.last.filter(|last| *last > head.seq) {
        let message = format!(
            "the store says that the trail ends with entry {}, and there is entry {beyond}",
            head.seq
        );
        findings.found(What::AlteredHead, Some(head.seq + 1), message);
    }
    let mut walk = Walk {
        top: head.seq,
        places: extent.entries.saturating_add(i64::from(PAGE)),
        expected: 1,
        before: Before::Whole(layout::beginning(&head.trail)),
        moved: None,
        tried: 0,
        witnesses,
        held: None,
        is_rewritten: false,
        findings,
    };
    loop {
        let begun = walk.expected;
        let page = listing::rows_after(store, begun - 1, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        for row in page {
            walk.row(row);
        }
        if is_last || walk.expected > walk.top || walk.expected == begun {
            break;
        }
    }
    Ok(walk.end(&head.hash))
}

/// What stands before the entry that is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// An entry of this hash, or the beginning.
    Whole(Hash),
    /// One that does not hold, or a gap: it says nothing about the next.
    Broken,
}

/// Entries in a row that have the numbers of others, all by the same distance.
#[derive(Clone, Copy)]
struct Moved {
    from: i64,
    to: i64,
    by: i64,
}

struct Walk<'a> {
    /// The number that the head names.
    top: i64,
    /// The greatest number at which an entry that does not hold is tried: by what is there, not by what is said of it.
    places: i64,
    expected: i64,
    before: Before,
    moved: Option<Moved>,
    tried: u32,
    witnesses: &'a [Witness],
    /// The newest witness that agreed.
    held: Option<Witness>,
    is_rewritten: bool,
    findings: Findings,
}

impl Walk<'_> {
    fn row(&mut self, row: Row) {
        let Some(seq) = row.seq else {
            self.findings.found(What::Edited, None, "an entry has no number any more".to_owned());
            return;
        };
        if seq > self.top {
            // Added since, or told of already.
            self.expected = self.expected.max(seq.saturating_add(1));
            return;
        }
        self.findings.entries += 1;
        self.findings.last = seq;
        if seq > self.expected {
            self.gap(seq - 1);
        }
        let hash = row.entry.as_ref().and_then(|entry| Hash::parse(&entry.hash));
        self.before = match (row.entry, hash) {
            (Some(entry), Some(hash)) if rehashed(&entry, seq) == Some(hash) => {
                self.settle();
                self.follows(&entry);
                Before::Whole(hash)
            }
            (Some(entry), Some(hash)) => {
                self.astray(&entry, hash);
                Before::Broken
            }
            _ => {
                self.settle();
                self.edited(seq);
                Before::Broken
            }
        };
        self.witnessed(seq);
        self.expected = seq.saturating_add(1);
    }

    /// Entries up to this one are gone.
    fn gap(&mut self, to: i64) {
        self.settle();
        let from = self.expected;
        let message = if from == to {
            format!("entry {from} is gone")
        } else {
            format!("entries {from} to {to} are gone")
        };
        self.findings.found(What::Deleted, Some(from), message);
        self.before = Before::Broken;
    }

    /// Whether an entry that is whole comes after the one before it.
    fn follows(&mut self, entry: &Entry) {
        let Before::Whole(before) = self.before else { return };
        if Hash::parse(&entry.prev) == Some(before) {
            return;
        }
        let message = match entry.seq {
            1 => "entry 1 is not the one that the trail began with".to_owned(),
            seq => format!(
                "entry {seq} does not follow entry {}: one of the two was put in another's place",
                seq - 1
            ),
        };
        self.findings.found(What::Replaced, Some(entry.seq), message);
    }

    /// An entry whose hash is not that of what it says: it has another's number, or was edited.
    fn astray(&mut self, entry: &Entry, hash: Hash) {
        let seq = entry.seq;
        if let Some(moved) = &mut self.moved {
            if rehashed(entry, seq.saturating_add(moved.by)) == Some(hash) {
                moved.to = seq;
                return;
            }
            self.settle();
        }
        let places = if self.tried < MOST_TRIED { self.places } else { 0 };
        self.tried += 1;
        match (1..=places).find(|place| rehashed(entry, *place) == Some(hash)) {
            Some(place) => self.moved = Some(Moved { from: seq, to: seq, by: place - seq }),
            None => self.edited(seq),
        }
    }

    fn edited(&mut self, seq: i64) {
        let message = format!("entry {seq} was edited: it does not have the hash that it was written with");
        self.findings.found(What::Edited, Some(seq), message);
    }

    /// Tells of entries that were found moved, once it is known how many.
    fn settle(&mut self) {
        let Some(Moved { from, to, by }) = self.moved.take() else { return };
        let message = if from == to {
            format!("entry {from} was written as entry {}", from + by)
        } else {
            format!("entries {from} to {to} were written as entries {} to {}", from + by, to + by)
        };
        self.findings.found(What::Reordered, Some(from), message);
    }

    /// Holds what was signed against the entry, where that is whole; else it is told of already.
    fn witnessed(&mut self, seq: i64) {
        while let Some((witness, rest)) =
            self.witnesses.split_first().filter(|(witness, _)| witness.seq <= seq)
        {
            self.witnesses = rest;
            let Before::Whole(hash) = self.before else { continue };
            if witness.seq < seq {
                continue;
            }
            if hash == witness.hash {
                self.held = Some(*witness);
            } else if !self.is_rewritten {
                self.is_rewritten = true;
                let since = self.held.map_or(1, |held| held.seq + 1);
                let message = format!(
                    "entry {seq} is not the one that was signed: of entries {since} to {seq} some were written anew"
                );
                self.findings.found(What::Rewritten, Some(seq), message);
            }
        }
    }

    /// What the head, and witnesses of later entries, say of the end.
    fn end(mut self, head: &str) -> Findings {
        self.settle();
        let last = self.findings.last;
        let signed = self.witnesses.iter().map(|witness| witness.seq).max().filter(|signed| *signed > last);
        if let Some(signed) = signed.max(Some(self.top).filter(|top| *top > last)) {
            let message = format!("the trail ends with entry {last}, and had {signed} entries");
            self.findings.found(What::Truncated, Some(last + 1), message);
        } else if matches!(self.before, Before::Whole(hash) if hash.to_string() != head) {
            let message = format!("the store keeps another hash of the newest entry {last} than it has");
            self.findings.found(What::AlteredHead, Some(last), message);
        }
        self.findings
    }
}

/// The hash of an entry as if it had this number; `None` where what it says it comes after is no hash.
fn rehashed(entry: &Entry, seq: i64) -> Option<Hash> {
    let Entry { at_ms, actor, action, subject, outcome, prev, .. } = entry;
    let prev = Hash::parse(prev)?;
    Some(Said { seq, at_ms: *at_ms, actor, action, subject, outcome, prev }.hash())
}
