//! Full loads in parts, so that one that died goes on with the parts that are missing.
//!
//! A part that is whole stays, as files that nobody sees, and the ledger lists it. The next run of the
//! stream takes it over if it would write the very same: documents, columns and parts are as they were,
//! the source is at the same instant (or the spec accepts another), and every file is there, of the same
//! size and digest. Otherwise it starts over, says so, and removes what was kept.

mod ranges;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ledger::WrittenPart;
use super::load::Load;
use crate::Batches;
use crate::error::{Error, Result};
use crate::keys::note::Note;
use crate::protect::digest::SoFar;
use crate::publish::{Mode, Written};
use crate::source::{Literal, Relation, Snapshot};
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
}

/// One part.
pub(super) struct Part {
    pub(super) index: u32,
    pub(super) relation: Relation,
    /// Its files, where an earlier run has written it.
    pub(super) kept: Option<Written>,
}

/// What is sealed in the ledger of a part that is written.
#[derive(Deserialize, Serialize)]
struct Manifest {
    files: Written,
    ranges: Option<ranges::Ranges>,
    /// The digests of the values in it.
    digests: Vec<SoFar>,
    /// The greatest cursor in this part and those before it.
    reached: Option<Vec<Literal>>,
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
        let kept = load.engine.ledger.parts(&load.job.pipeline.name, &load.plan.relation.stream).await?;
        if is_compared || !is_resumable(load) {
            forget(load, kept, "the stream is read another way now").await?;
            return Ok(None);
        }
        match load.plan.resume {
            Resume::SameInstant => {
                let relations =
                    snapshot.parts(&load.plan.relation, load.plan.parquet.file_size_bytes).await?;
                Self::take_over(load, relations, None, snapshot.id(), kept).await
            }
            Resume::MixedInstants => {
                let known = ranges_of(load, &kept).await;
                let ranges = match known {
                    Some(ranges) => ranges,
                    None => ranges::find(load, snapshot).await?,
                };
                let relations = ranges.relations(&load.plan.relation);
                Self::take_over(load, relations, Some(ranges), snapshot.id(), kept).await
            }
        }
    }

    async fn take_over(
        load: &Load<'_>,
        relations: Vec<Relation>,
        ranges: Option<ranges::Ranges>,
        instant: Option<String>,
        kept: Vec<WrittenPart>,
    ) -> Result<Option<Self>> {
        if !(2..=MOST_PARTS).contains(&relations.len()) {
            forget(load, kept, "the source has no such parts now").await?;
            return Ok(None);
        }
        let asked = asked(load, relations.len(), ranges.as_ref())?;
        let is_same = |part: &WrittenPart| part.asked == asked;
        let is_instant = |part: &WrittenPart| ranges.is_some() || part.instant == instant;
        let kept = if !kept.iter().all(is_same) {
            forget(load, kept, "the pipeline, the policy or the source's columns changed meanwhile").await?;
            Vec::new()
        } else if !kept.iter().all(is_instant) {
            forget(load, kept, "the source is not what it was, and one version holds one instant").await?;
            Vec::new()
        } else {
            kept
        };
        let mut parts: Vec<Part> = relations
            .into_iter()
            .zip(0..)
            .map(|(relation, index)| Part { index, relation, kept: None })
            .collect();
        for part in kept {
            let place = usize::try_from(part.part).ok().and_then(|place| parts.get_mut(place));
            let Some(place) = place.filter(|place| place.kept.is_none()) else { continue };
            place.kept = still_there(load, &part).await?;
        }
        let taken = parts.iter().filter(|part| part.kept.is_some()).count();
        if taken > 0 {
            let stream = &load.plan.relation.stream;
            tracing::warn!(%stream, "a load that died goes on: {taken} of {} parts are written already", parts.len());
        }
        Ok(Some(Self { left: parts.into_iter(), asked, instant, ranges }))
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
    pub(super) async fn written(&self, load: &Load<'_>, index: u32, files: &Written) -> Result<()> {
        let manifest = Manifest {
            files: files.clone(),
            ranges: self.ranges.clone(),
            digests: files.digests.so_far(),
            reached: load.asked.reached(),
        };
        let manifest =
            serde_json::to_vec(&manifest).map_err(|_| Error::failed("a part's files cannot be listed"))?;
        let note = Note::seal(&load.engine.keyring, &load.plan.dataset, &about(load), &manifest).await?;
        let note =
            serde_json::to_string(&note).map_err(|_| Error::failed("a part's files cannot be listed"))?;
        let part = WrittenPart {
            run_id: load.job.run_id,
            part: index,
            asked: self.asked.clone(),
            instant: self.instant.clone(),
            rows: files.rows,
            bytes: files.bytes,
            manifest: note,
        };
        load.engine.ledger.part_written(&load.plan.relation.stream, &part).await
    }
}

/// Whether parts of the load can stand for themselves: all rows are read, one by one, and no row is
/// rejected on the way.
fn is_resumable(load: &Load<'_>) -> bool {
    let plan = load.plan;
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

/// A digest of all that decides what a part's files hold, but for the source's instant.
fn asked(load: &Load<'_>, parts: usize, ranges: Option<&ranges::Ranges>) -> Result<String> {
    let plan = load.plan;
    let ranges = serde_json::to_string(&ranges).map_err(|_| Error::failed("parts cannot be listed"))?;
    let mut digest = Sha256::new();
    let columns = |schema: &arrow::datatypes::Schema| format!("{:?}", schema.fields());
    for text in [
        load.job.pipeline.digest.as_str(),
        load.engine.policy.digest.as_str(),
        load.store.url().as_str(),
        plan.dataset.to_string().as_str(),
        columns(&plan.converted).as_str(),
        columns(plan.protection.output()).as_str(),
        parts.to_string().as_str(),
        ranges.as_str(),
    ] {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    Ok(hex::encode(digest.finalize()))
}

/// What a manifest is sealed for.
fn about(load: &Load<'_>) -> String {
    format!("parts of {}/{}", load.job.pipeline.name, load.plan.relation.stream)
}

async fn manifest(load: &Load<'_>, part: &WrittenPart) -> Result<Manifest> {
    let damaged = |_| Error::failed("the list of a part's files is damaged");
    let note: Note = serde_json::from_str(&part.manifest).map_err(damaged)?;
    let opened = note.open(&load.engine.keyring, &load.plan.dataset, &about(load)).await?;
    serde_json::from_slice(opened.expose()).map_err(damaged)
}

/// The ranges that the kept parts were cut by, where they can be read.
async fn ranges_of(load: &Load<'_>, kept: &[WrittenPart]) -> Option<ranges::Ranges> {
    manifest(load, kept.first()?).await.ok()?.ranges
}

/// The files of a part, if every one of them is as it was written.
async fn still_there(load: &Load<'_>, part: &WrittenPart) -> Result<Option<Written>> {
    let Ok(manifest) = manifest(load, part).await else { return Ok(None) };
    let is_there = manifest.files.is_there(load.store, &load.plan.dataset).await?;
    if !is_there {
        return Ok(None);
    }
    load.asked.reaches(manifest.reached);
    let mut digests = load.plan.protection.digests(&load.engine.keyring).await?;
    digests.resume(&manifest.digests);
    Ok(Some(Written { digests, ..manifest.files }))
}

/// Removes what was kept, and says why.
async fn forget(load: &Load<'_>, kept: Vec<WrittenPart>, why: &str) -> Result<()> {
    if kept.is_empty() {
        return Ok(());
    }
    let stream = &load.plan.relation.stream;
    tracing::warn!(%stream, "starts over: {} parts of a load that died are of no use, for {why}", kept.len());
    for part in &kept {
        let Ok(manifest) = manifest(load, part).await else { continue };
        manifest.files.discard_quietly(load.store, &load.plan.dataset).await;
    }
    load.engine.ledger.forget_parts(&load.job.pipeline.name, stream).await
}
