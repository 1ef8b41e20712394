//! Full loads in parts, so that one that died goes on with the parts that are missing.
//!
//! A part that is whole stays, as files that nobody sees, and the ledger lists it. The next run of the
//! stream takes it over if it would write the very same: documents, columns and parts are as they were,
//! the source is at the same instant (or the spec accepts another), and every file is there, of the same
//! size and digest. Otherwise it starts over, says so, and removes what was kept.

pub(super) mod kept;
mod ranges;

use sha2::{Digest as _, Sha256};

use self::kept::{Kept, Manifest};
use super::ledger::WrittenPart;
use super::load::Load;
use crate::Batches;
use crate::error::Result;
use crate::publish::{Mode, Written, table};
use crate::source::{Relation, Snapshot};
use crate::spec::sync::Resume;

/// Most parts of one load.
const MOST_PARTS: usize = 4096;

/// The parts of one load that are still to be gone through.
pub(super) struct Parts {
    left: std::vec::IntoIter<Part>,
    asked: String,
    instant: Option<String>,
    /// The bounds of all parts, where the spec accepts that they are of several instants.
    ranges: Option<ranges::Ranges>,
    /// The dataset's newest version when the load began.
    version: Option<u64>,
}

/// One part.
pub(super) struct Part {
    pub(super) index: u32,
    pub(super) relation: Relation,
    /// What an earlier run has written of it.
    pub(super) kept: Option<Loaded>,
}

/// The rows of one part, in files that nobody sees.
pub(super) struct Loaded {
    /// The files.
    pub(super) files: Written,
    /// How many rows the source gave for them.
    pub(super) read: u64,
}

impl Parts {
    /// The parts of a stream, and which of them are written already; `None` where it is read as a whole, as
    /// it is where rows are compared with what is published.
    ///
    /// # Errors
    /// Those of the source and of the ledger.
    pub(super) async fn plan(
        load: &Load<'_>,
        snapshot: &mut dyn Snapshot,
        is_compared: bool,
    ) -> Result<Option<Self>> {
        let kept = kept::of(load).await?;
        if is_compared || !is_resumable(load) {
            kept::give_up(load, kept, "the stream is read another way now").await?;
            return Ok(None);
        }
        let (relation, file_bytes) = (&load.stream.plan.relation, load.stream.plan.parquet.file_size_bytes);
        let (relations, ranges) = match load.stream.plan.resume {
            Resume::SameInstant => (snapshot.parts(relation, file_bytes).await?, None),
            Resume::MixedInstants => {
                let known = kept.first().and_then(|kept| kept.manifest.ranges.clone());
                let ranges = match known {
                    Some(ranges) => ranges,
                    None => ranges::find(load, snapshot).await?,
                };
                (ranges.relations(relation), Some(ranges))
            }
        };
        Self::take_over(load, relations, ranges, snapshot.id(), kept).await
    }

    async fn take_over(
        load: &Load<'_>,
        relations: Vec<Relation>,
        ranges: Option<ranges::Ranges>,
        instant: Option<String>,
        kept: Vec<Kept>,
    ) -> Result<Option<Self>> {
        if !(2..=MOST_PARTS).contains(&relations.len()) {
            kept::give_up(load, kept, "the source has no such parts now").await?;
            return Ok(None);
        }
        let asked = asked(load, relations.len());
        let is_same = |kept: &Kept| kept.part.asked == asked && kept.manifest.ranges == ranges;
        let is_instant = |kept: &Kept| ranges.is_some() || kept.part.instant == instant;
        let kept = if !kept.iter().all(is_same) {
            let why = "the pipeline, the policy or the source's columns changed meanwhile";
            kept::give_up(load, kept, why).await?;
            Vec::new()
        } else if !kept.iter().all(is_instant) {
            let why = "the source is not what it was, and one version holds one instant";
            kept::give_up(load, kept, why).await?;
            Vec::new()
        } else {
            kept
        };
        let mut parts: Vec<Part> = relations
            .into_iter()
            .zip(0..)
            .map(|(relation, index)| Part { index, relation, kept: None })
            .collect();
        for kept in kept {
            let place = usize::try_from(kept.part.part).ok().and_then(|place| parts.get_mut(place));
            let Some(place) = place.filter(|place| place.kept.is_none()) else { continue };
            place.kept = kept.still_there(load).await?;
        }
        let taken = parts.iter().filter(|part| part.kept.is_some()).count();
        if taken > 0 {
            let stream = &load.stream.plan.relation.stream;
            tracing::warn!(%stream, "a load that died goes on: {taken} of {} parts are written already", parts.len());
        }
        let version = table::versions(load.stream.store, &load.stream.plan.dataset).await?.last().copied();
        Ok(Some(Self { left: parts.into_iter(), asked, instant, ranges, version }))
    }

    /// The rows of one part only: a source may give more than it was asked for.
    pub(super) fn within(&self, part: &Part, rows: Batches) -> Batches {
        match &self.ranges {
            Some(ranges) => ranges.narrow(&part.relation, rows),
            None => rows,
        }
    }

    /// The next part; after the last one none.
    pub(super) fn next(&mut self) -> Option<Part> {
        self.left.next()
    }

    /// Records a part as written.
    ///
    /// # Errors
    /// Those of the ledger and the keyring.
    pub(super) async fn written(&self, load: &Load<'_>, index: u32, loaded: &Loaded) -> Result<()> {
        let Loaded { files, read } = loaded;
        let manifest = Manifest {
            files: files.clone(),
            read: *read,
            version: self.version,
            ranges: self.ranges.clone(),
            digests: files.digests.so_far(),
            reached: load.asked.reached(),
        };
        let part = WrittenPart {
            run_id: load.stream.job.run_id,
            part: index,
            asked: self.asked.clone(),
            instant: self.instant.clone(),
            rows: files.rows,
            bytes: files.bytes,
            manifest: manifest.seal(load).await?,
        };
        load.stream.engine.ledger.part_written(&load.stream.plan.relation.stream, &part).await
    }
}

/// Whether parts of the load can stand for themselves: all rows are read, one by one, and no row is
/// rejected on the way.
fn is_resumable(load: &Load<'_>) -> bool {
    let plan = load.stream.plan;
    // The cursor of rows of several instants would pass by rows that came in between.
    let has_cursor = plan.increment.is_some() && plan.resume == Resume::MixedInstants;
    plan.quarantine.is_none()
        && plan.quality.is_of_rows()
        && plan.fit.is_none()
        && load.asked.relation.bound.is_none()
        && plan.transform.is_row_by_row()
        && matches!(load.asked.mode, Mode::Overwrite | Mode::Append)
        && !has_cursor
}

/// A digest of all that decides what a part's files hold, but for the source's instant and the bounds: these are
/// values of rows, and sealed.
fn asked(load: &Load<'_>, parts: usize) -> String {
    let plan = load.stream.plan;
    let mut digest = Sha256::new();
    let columns = |schema: &arrow::datatypes::Schema| format!("{:?}", schema.fields());
    for text in [
        load.stream.job.pipeline.digest.as_str(),
        load.stream.engine.policy.digest.as_str(),
        load.stream.store.url().as_str(),
        plan.dataset.to_string().as_str(),
        columns(&plan.converted).as_str(),
        columns(plan.protection.output()).as_str(),
        parts.to_string().as_str(),
    ] {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    hex::encode(digest.finalize())
}
