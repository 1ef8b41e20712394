//! Which of the documents that changed come into force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Stamp;
use super::following;
use super::look::{Changed, Document, Found, Seen};
use crate::spec::{Claims, Pipeline, Problem, Problems, Reader, Text};

/// A valid document that changed or came.
pub(super) struct Newcomer {
    pub(super) path: PathBuf,
    stamp: Option<Stamp>,
    pub(super) pipeline: Arc<Pipeline>,
}

impl Newcomer {
    /// A pipeline whose document is to be at `path`.
    pub(super) fn at(path: &Path, pipeline: Pipeline) -> Self {
        Self { path: path.to_owned(), stamp: None, pipeline: Arc::new(pipeline) }
    }

    /// In force.
    fn settled(self) -> (PathBuf, Document) {
        let Self { path, stamp, pipeline } = self;
        let digest = pipeline.digest.clone();
        (path, Document { stamp, digest, valid: Some(pipeline), ..Document::default() })
    }
}

/// The documents that changed, as they are known from now on. One that is invalid, or wants what another has, keeps
/// what was in force of it before. What one has that did not change is not taken from it; of two that changed the
/// first in the order of paths has it.
pub(super) fn settle(
    seen: &Seen,
    gone: &[PathBuf],
    changed: Vec<Changed>,
    reader: &Reader,
) -> Vec<(PathBuf, Document)> {
    let mut settled = Vec::new();
    let mut newcomers = Vec::new();
    for changed in changed {
        judge(seen, changed, &mut newcomers, &mut settled);
    }
    if newcomers.is_empty() {
        return settled;
    }
    let others = unreadable(seen, gone, &settled);
    let mut held = held(seen, gone, &newcomers);
    let mut claims = Claims::default();
    held.iter().for_each(|pipeline| claims.add(reader.claims(pipeline)));
    loop {
        let (kept, refused) = part(newcomers, &claims, reader);
        let (kept, astray) = following::part(kept, &held, &others);
        newcomers = kept;
        let mut is_more_held = false;
        let mut refuse = |newcomer: Newcomer, problems: Vec<Problem>| {
            let before = seen.get(&newcomer.path).and_then(|known| known.valid.clone());
            if let Some(before) = &before {
                claims.add(reader.claims(before));
                held.push(Arc::clone(before));
                is_more_held = true;
            }
            let (path, document) = newcomer.settled();
            let problems = Some(Problems::of(problems));
            settled.push((path, Document { valid: before, problems, ..document }));
        };
        for (newcomer, taken) in refused {
            let problems = problems_beside(&newcomer.path, taken, reader);
            refuse(newcomer, problems);
        }
        for (newcomer, problems) in astray {
            refuse(newcomer, problems);
        }
        // Who was refused keeps what it had, which another newcomer may have got.
        if !is_more_held {
            break;
        }
    }
    settled.extend(newcomers.into_iter().map(Newcomer::settled));
    settled
}

/// The names in documents that are invalid, of those that will be there.
pub(super) fn unreadable(seen: &Seen, gone: &[PathBuf], settled: &[(PathBuf, Document)]) -> BTreeSet<String> {
    let gone: BTreeSet<&PathBuf> = gone.iter().collect();
    let old = seen.iter().filter(|(path, _)| !gone.contains(path)).map(|(_, document)| document);
    let all = old.chain(settled.iter().map(|(_, document)| document));
    all.filter(|document| document.problems.is_some()).filter_map(|document| document.name.clone()).collect()
}

/// Puts a document where it belongs: to those that are valid by themselves, or to those that are settled.
fn judge(
    seen: &Seen,
    changed: Changed,
    newcomers: &mut Vec<Newcomer>,
    settled: &mut Vec<(PathBuf, Document)>,
) {
    let Changed { path, stamp, digest, name, found } = changed;
    let before = seen.get(&path).and_then(|known| known.valid.clone());
    match found {
        Ok(pipeline) => {
            // The same text as is in force: it was something else for a while, or is judged again.
            let same = before.filter(|before| before.digest == pipeline.digest);
            newcomers.push(Newcomer { path, stamp, pipeline: same.unwrap_or(pipeline) });
        }
        Err(problems) => {
            let problems = Some(Problems::of(problems));
            settled.push((path, Document { stamp, digest, name, valid: before, problems }));
        }
    }
}

/// What is in force of the documents that did not change, or are invalid now.
fn held(seen: &Seen, gone: &[PathBuf], newcomers: &[Newcomer]) -> Vec<Arc<Pipeline>> {
    let moving: BTreeSet<&Path> =
        gone.iter().map(PathBuf::as_path).chain(newcomers.iter().map(|one| one.path.as_path())).collect();
    let stay = seen.iter().filter(|(path, _)| !moving.contains(path.as_path()));
    stay.filter_map(|(_, known)| known.valid.clone()).collect()
}

/// Those that have what they want, and those that want what others have.
fn part(
    newcomers: Vec<Newcomer>,
    held: &Claims,
    reader: &Reader,
) -> (Vec<Newcomer>, Vec<(Newcomer, Claims)>) {
    let (mut kept, mut refused) = (Vec::with_capacity(newcomers.len()), Vec::new());
    let mut among = Claims::default();
    for newcomer in newcomers {
        let claims = reader.claims(&newcomer.pipeline);
        let mut taken = claims.taken(held);
        taken.add(claims.taken(&among));
        if taken.is_empty() {
            among.add(claims);
            kept.push(newcomer);
        } else {
            refused.push((newcomer, taken));
        }
    }
    (kept, refused)
}

/// What is wrong with a document that wants what others have.
fn problems_beside(path: &Path, taken: Claims, reader: &Reader) -> Vec<Problem> {
    match Text::read(path) {
        Ok(text) => reader.problems_beside(&text, taken),
        Err(problem) => vec![*problem],
    }
}

/// Refuses that all documents go at once, unless it is asked for: a share that is not mounted is an empty folder.
///
/// # Errors
/// The problem of the folder.
pub(super) fn expect_some_left(seen: &Seen, found: &Found, folder: &Path) -> Result<(), Problems> {
    if found.gone.len() < 2 || found.gone.len() < seen.len() || !found.changed.is_empty() {
        return Ok(());
    }
    let message = format!("all {} documents are gone at once, and stay in force", found.gone.len());
    let help = "is the folder mounted? if they are to go, reload the daemon (SIGHUP)".to_owned();
    Err(Problems::from(Problem::of_file(folder, message, Some(help))))
}
