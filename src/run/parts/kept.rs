//! Parts that earlier runs wrote and did not publish, as the ledger lists them.
//!
//! The list may be older than the table: of a ledger that was restored, of a commit whose answer was lost. So
//! the log is asked before a file is taken over or removed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Loaded, is_resumable, ranges};
use crate::error::{Error, Result};
use crate::keys::note::Note;
use crate::protect::digest::SoFar;
use crate::publish::{Store, Written, table};
use crate::run::ledger::WrittenPart;
use crate::run::load::Load;
use crate::run::{Engine, application};
use crate::source::Literal;
use crate::spec::pipeline::Selector;
use crate::spec::sync::Resume;
use crate::spec::{DatasetName, Pipeline, StreamName};

/// A part that can still be of use.
pub(super) struct Kept {
    pub(super) part: WrittenPart,
    pub(super) manifest: Manifest,
}

/// What is sealed in the ledger of a part that is written.
#[derive(Deserialize, Serialize)]
pub(super) struct Manifest {
    pub(super) files: Written,
    /// How many rows the source gave for them.
    pub(super) read: u64,
    /// The dataset's newest version when the load began: if the files are published, then by a later one.
    pub(super) version: Option<u64>,
    pub(super) ranges: Option<ranges::Ranges>,
    /// The digests of the values in it.
    pub(super) digests: Vec<SoFar>,
    /// The greatest cursor in this part and those before it.
    pub(super) reached: Option<Vec<Literal>>,
}

/// The parts of a load's stream that nothing published. Where a version names one, the load was published, and
/// the ledger forgets all of it; files that are published are never touched.
///
/// # Errors
/// Those of ledger, keyring and store.
pub(super) async fn of(load: &Load<'_>) -> Result<Vec<Kept>> {
    let (pipeline, stream) = (&load.stream.job.pipeline.name, &load.stream.plan.relation.stream);
    let listed = load.stream.engine.ledger.parts(pipeline, stream).await?;
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let listed = readable(
        load.stream.engine,
        &load.stream.plan.dataset,
        &about(load.stream.job.pipeline, stream),
        listed,
    )
    .await;
    let total = listed.len();
    let kept = unpublished(load.stream.store, &load.stream.plan.dataset, listed).await?;
    if kept.len() == total {
        return Ok(kept);
    }
    tracing::info!(%stream, "parts that the ledger lists are published already, and are forgotten");
    remove(load, kept).await?;
    Ok(Vec::new())
}

/// Removes what was kept, and says why; where nothing was, that a load begins anew although one died.
///
/// # Errors
/// Those of the ledger.
pub(super) async fn give_up(load: &Load<'_>, kept: Vec<Kept>, why: &str) -> Result<()> {
    if kept.is_empty() {
        tell_anew(load);
        return Ok(());
    }
    let stream = &load.stream.plan.relation.stream;
    tracing::warn!(%stream, "starts over: {} parts of a load that died are of no use, for {why}", kept.len());
    remove(load, kept).await
}

/// Forgets all parts of the stream first, as only who has the pipeline can: from then on nobody takes them over, and
/// their files can go.
async fn remove(load: &Load<'_>, kept: Vec<Kept>) -> Result<()> {
    load.stream
        .engine
        .ledger
        .forget_parts(&load.stream.job.run_id, &load.stream.plan.relation.stream)
        .await?;
    for kept in kept {
        kept.manifest.files.discard_quietly(load.stream.store, &load.stream.plan.dataset).await;
    }
    Ok(())
}

/// Says that all rows of a database are read again, as it cannot give an instant a second time.
fn tell_anew(load: &Load<'_>) {
    let (plan, relation) = (load.stream.plan, &load.asked.relation);
    let is_of_files = matches!(relation.selector, Selector::Files(_));
    if is_of_files || !load.stream.standing.is_cut_off || relation.bound.is_some() {
        return;
    }
    // Where the remedy is taken already, or is none, the stream is read as a whole.
    let remedy = match plan.resume == Resume::SameInstant && plan.increment.is_none() && is_resumable(load) {
        true => "`split_by` with `resume: mixed_instants` would let it go on",
        false => "the stream is read as a whole",
    };
    let stream = &relation.stream;
    tracing::warn!(
        %stream,
        "begins anew: the last run did not publish it, and no database gives an instant again; {remedy}"
    );
}

/// Removes every part that is kept for a dataset: rows were erased from it, and no later load may bring them
/// back. Whoever calls holds the pipelines' leases.
///
/// # Errors
/// Those of ledger and store.
pub(in crate::run) async fn erase(
    engine: &Engine,
    store: &Store,
    dataset: &DatasetName,
    pipeline: &Pipeline,
) -> Result<()> {
    for stream in engine.ledger.streams_with_parts(&pipeline.name).await? {
        let listed = engine.ledger.parts(&pipeline.name, &stream).await?;
        let kept = readable(engine, dataset, &about(pipeline, &stream), listed).await;
        if kept.is_empty() {
            continue;
        }
        for kept in unpublished(store, dataset, kept).await? {
            kept.manifest.files.discard(store, dataset).await?;
        }
        engine.ledger.parts_removed(&pipeline.name, &stream).await?;
    }
    Ok(())
}

impl Kept {
    /// The part, if every one of its files is as it was written.
    pub(super) async fn still_there(self, load: &Load<'_>) -> Result<Option<Loaded>> {
        let Manifest { files, read, digests: kept, reached, .. } = self.manifest;
        if !files.is_there(load.stream.store, &load.stream.plan.dataset).await? {
            return Ok(None);
        }
        load.asked.reaches(reached);
        let mut digests = load.stream.plan.protection.digests(&load.stream.engine.keyring).await?;
        digests.resume(&kept);
        Ok(Some(Loaded { files: Written { digests, ..files }, read }))
    }
}

impl Manifest {
    pub(super) async fn seal(&self, load: &Load<'_>) -> Result<String> {
        let unlisted = |_| Error::failed("a part's files cannot be listed");
        let manifest = serde_json::to_vec(self).map_err(unlisted)?;
        let about = about(load.stream.job.pipeline, &load.stream.plan.relation.stream);
        let note =
            Note::seal(&load.stream.engine.keyring, &load.stream.plan.dataset, &about, &manifest).await?;
        serde_json::to_string(&note).map_err(unlisted)
    }

    async fn open(engine: &Engine, dataset: &DatasetName, about: &str, sealed: &str) -> Result<Self> {
        let damaged = |_| Error::failed("the list of a part's files is damaged");
        let note: Note = serde_json::from_str(sealed).map_err(damaged)?;
        let opened = note.open(&engine.keyring, dataset, about).await?;
        serde_json::from_slice(opened.expose()).map_err(damaged)
    }
}

/// What a manifest is sealed for.
fn about(pipeline: &Pipeline, stream: &StreamName) -> String {
    format!("parts of {}", application(pipeline, stream))
}

/// Those whose list can be read: others were written for another dataset, or under keys that are gone.
async fn readable(
    engine: &Engine,
    dataset: &DatasetName,
    about: &str,
    listed: Vec<WrittenPart>,
) -> Vec<Kept> {
    let mut kept = Vec::with_capacity(listed.len());
    for part in listed {
        if let Ok(manifest) = Manifest::open(engine, dataset, about, &part.manifest).await {
            kept.push(Kept { part, manifest });
        }
    }
    kept
}

/// Those that no version names, as far back as their loads began.
async fn unpublished(store: &Store, dataset: &DatasetName, mut kept: Vec<Kept>) -> Result<Vec<Kept>> {
    let Some(since) = kept.iter().map(|kept| kept.manifest.version).min() else { return Ok(kept) };
    let Some(named) = table::added_since(store, dataset, since).await? else { return Ok(Vec::new()) };
    kept.retain(|kept| is_apart(&kept.manifest.files, &named));
    Ok(kept)
}

fn is_apart(files: &Written, named: &BTreeSet<String>) -> bool {
    !files.paths().into_iter().any(|path| named.contains(path))
}
