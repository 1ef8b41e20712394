//! Which of the documents that changed come into force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Stamp;
use super::look::{Changed, Document, Found, Seen};
use crate::spec::{Claims, Pipeline, Problem, Problems, Reader, Text};

/// A valid document that changed or came.
struct Newcomer {
    path: PathBuf,
    stamp: Option<Stamp>,
    pipeline: Arc<Pipeline>,
}

impl Newcomer {
    /// In force.
    fn settled(self) -> (PathBuf, Document) {
        let Self { path, stamp, pipeline } = self;
        let digest = pipeline.digest.clone();
        (path, Document { stamp, digest, valid: Some(pipeline), problems: None })
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
    let mut held = held(seen, gone, &newcomers, reader);
    loop {
        let (kept, refused) = part(newcomers, &held, reader);
        let mut is_more_held = false;
        for (newcomer, taken) in refused {
            let before = seen.get(&newcomer.path).and_then(|known| known.valid.clone());
            if let Some(before) = &before {
                held.add(reader.claims(before));
                is_more_held = true;
            }
            settled.push(refuse(newcomer, before, taken, reader));
        }
        newcomers = kept;
        // Who was refused keeps what it had, which another newcomer may have got.
        if !is_more_held {
            break;
        }
    }
    settled.extend(newcomers.into_iter().map(Newcomer::settled));
    settled
}

/// Puts a document where it belongs: to those that are valid by themselves, or to those that are settled.
fn judge(
    seen: &Seen,
    changed: Changed,
    newcomers: &mut Vec<Newcomer>,
    settled: &mut Vec<(PathBuf, Document)>,
) {
    let Changed { path, stamp, digest, found } = changed;
    let before = seen.get(&path).and_then(|known| known.valid.clone());
    match found {
        Ok(pipeline) => {
            // The same text as is in force: it was something else for a while, or is judged again.
            let same = before.filter(|before| before.digest == pipeline.digest);
            newcomers.push(Newcomer { path, stamp, pipeline: same.unwrap_or(pipeline) });
        }
        Err(problems) => {
            let problems = Some(Problems::of(problems));
            settled.push((path, Document { stamp, digest, valid: before, problems }));
        }
    }
}

/// What the documents have that did not change, or are invalid now.
fn held(seen: &Seen, gone: &[PathBuf], newcomers: &[Newcomer], reader: &Reader) -> Claims {
    let moving: BTreeSet<&Path> =
        gone.iter().map(PathBuf::as_path).chain(newcomers.iter().map(|one| one.path.as_path())).collect();
    let mut held = Claims::default();
    for (path, known) in seen {
        if let Some(pipeline) = known.valid.as_ref().filter(|_| !moving.contains(path.as_path())) {
            held.add(reader.claims(pipeline));
        }
    }
    held
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

fn refuse(
    newcomer: Newcomer,
    before: Option<Arc<Pipeline>>,
    taken: Claims,
    reader: &Reader,
) -> (PathBuf, Document) {
    let problems = match Text::read(&newcomer.path) {
        Ok(text) => reader.problems_beside(&text, taken),
        Err(problem) => vec![*problem],
    };
    let (path, document) = newcomer.settled();
    (path, Document { valid: before, problems: Some(Problems::of(problems)), ..document })
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
