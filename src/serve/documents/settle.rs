//! Which of the documents that changed come into force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::look::{Changed, Document, Found, Seen};
use crate::spec::{Claims, Pipeline, Problem, Problems, Read, Reader, Text};

/// A valid document that changed or came.
struct Newcomer {
    path: PathBuf,
    document: Document,
    claims: Claims,
}

/// The documents that changed, as they are known from now on. One that is invalid, or wants what another has, keeps
/// what was in force of it before. What one has that did not change is not taken from it; of two that changed the
/// first in the order of paths has it.
pub(super) fn settle(seen: &Seen, found: Found, reader: &Reader) -> Vec<(PathBuf, Document)> {
    let gone: BTreeSet<&Path> = found.gone.iter().map(PathBuf::as_path).collect();
    let mut settled = Vec::new();
    let mut newcomers = Vec::new();
    for changed in found.changed {
        match judge(seen, changed) {
            Ok(newcomer) => newcomers.push(newcomer),
            Err(invalid) => settled.push(invalid),
        }
    }
    if newcomers.is_empty() {
        return settled;
    }
    let changing: BTreeSet<&Path> = newcomers.iter().map(|newcomer| newcomer.path.as_path()).collect();
    let mut held = Claims::default();
    let stays = |path: &Path| !gone.contains(path) && !changing.contains(path);
    for pipeline in seen.iter().filter(|(path, _)| stays(path)).filter_map(|(_, known)| known.valid.as_ref())
    {
        held.add(reader.claims(pipeline));
    }
    drop(changing);
    loop {
        let (kept, refused) = part(newcomers, &held);
        let mut is_held_more = false;
        for (newcomer, taken) in refused {
            let before = seen.get(&newcomer.path).and_then(|known| known.valid.clone());
            if let Some(before) = &before {
                held.add(reader.claims(before));
                is_held_more = true;
            }
            settled.push(refuse(newcomer, before, taken, reader));
        }
        newcomers = kept;
        // Who was refused keeps what it had, which another newcomer may have got.
        if !is_held_more {
            break;
        }
    }
    settled.extend(newcomers.into_iter().map(|newcomer| (newcomer.path, newcomer.document)));
    settled
}

/// A newcomer, or a document that is invalid by itself.
fn judge(seen: &Seen, changed: Changed) -> Result<Newcomer, (PathBuf, Document)> {
    let Changed { path, stamp, digest, read } = changed;
    let before = seen.get(&path).and_then(|known| known.valid.clone());
    let invalid = |path: PathBuf, digest: String, before, problems| {
        Err((path, Document { stamp, digest, valid: before, problems: Some(problems) }))
    };
    match read {
        Err(problem) => invalid(path, digest, before, Problems::from(*problem)),
        Ok(Read { found: Err(problems), .. }) => invalid(path, digest, before, Problems::of(problems)),
        Ok(Read { found: Ok(pipeline), claims }) => {
            // The same text as is in force: it was something else for a while, or was judged again.
            let same = before.filter(|before| before.digest == pipeline.digest);
            let valid = Some(same.unwrap_or_else(|| Arc::new(pipeline)));
            Ok(Newcomer { path, document: Document { stamp, digest, valid, problems: None }, claims })
        }
    }
}

/// Those that have what they want, and those that want what others have.
fn part(newcomers: Vec<Newcomer>, held: &Claims) -> (Vec<Newcomer>, Vec<(Newcomer, Claims)>) {
    let (mut kept, mut refused) = (Vec::with_capacity(newcomers.len()), Vec::new());
    let mut among = Claims::default();
    for newcomer in newcomers {
        let mut taken = newcomer.claims.taken(held);
        taken.add(newcomer.claims.taken(&among));
        if taken.is_empty() {
            among.add(newcomer.claims.clone());
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
    let Newcomer { path, document, .. } = newcomer;
    (path, Document { valid: before, problems: Some(Problems::of(problems)), ..document })
}

/// Refuses that all documents go at once, unless it is asked for: a share that is not mounted is an empty folder.
pub(super) fn expect_some_left(seen: &Seen, found: &Found, folder: &Path) -> Result<(), Problems> {
    if found.gone.len() < 2 || found.gone.len() < seen.len() || !found.changed.is_empty() {
        return Ok(());
    }
    let message = format!("all {} documents are gone at once, and stay in force", found.gone.len());
    let help = "is the folder mounted? if they are to go, reload the daemon (SIGHUP)".to_owned();
    Err(Problems::from(Problem::of_file(folder, message, Some(help))))
}
