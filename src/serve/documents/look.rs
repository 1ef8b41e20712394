//! Looks at the documents on disk: which of them came, changed or went.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Stamp;
use crate::govern::store::now_ms;
use crate::run::Engine;
use crate::spec::{
    Config, Pipeline, Problem, Problems, Read, Reader, Text, documents_in, load_frame, read_each,
};

/// The document files, as they were last seen.
pub(super) type Seen = BTreeMap<PathBuf, Document>;

/// One document file, as it was last seen.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Tells whether it was written since; `None` where it must be read to know.
    pub(super) stamp: Option<Stamp>,
    /// SHA-256 of its bytes; empty where it could not be read.
    pub(super) digest: String,
    /// The name of a pipeline that it has, where it is invalid.
    pub(super) name: Option<String>,
    /// What is in force of it; that is an earlier text where this one is invalid.
    pub(super) valid: Option<Arc<Pipeline>>,
    /// What is wrong with its text.
    pub(super) problems: Option<Problems>,
}

/// What is otherwise than it was last seen.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files that are no longer there.
    pub(super) gone: Vec<PathBuf>,
    /// Files whose text is another, or may be judged otherwise.
    pub(super) changed: Vec<Changed>,
    /// Files of the text that is known.
    pub(super) same: Vec<(PathBuf, Option<Stamp>)>,
}

/// A file whose text is another.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) path: PathBuf,
    pub(super) stamp: Option<Stamp>,
    pub(super) digest: String,
    /// The name of a pipeline that it has, where it is invalid.
    pub(super) name: Option<String>,
    /// The pipeline, or everything that is wrong with it by itself.
    pub(super) found: Result<Arc<Pipeline>, Vec<Problem>>,
}

/// An engine of the configuration and policy on disk, where one of them is another than in force.
///
/// # Errors
/// Every problem of both.
pub(super) fn frame(engine: &Engine) -> Result<Option<Engine>, Problems> {
    let config = &engine.config;
    let is_same = |path: &Path, digest: &str| Text::read(path).is_ok_and(|text| text.digest == digest);
    if is_same(&config.path, &config.digest) && is_same(&config.policy, &engine.policy.digest) {
        return Ok(None);
    }
    let (config, policy) = load_frame(&config.path)?;
    let path = policy.path.clone();
    engine.with(kept(&engine.config, config), policy).map(Some).map_err(|error| {
        let help = error.remedy().map(str::to_owned);
        Problems::from(Problem::of_file(&path, error.message().to_owned(), help))
    })
}

/// The configuration as it can come into force: what is read once, when the daemon starts, stays as it is.
fn kept(old: &Config, new: Config) -> Config {
    let waits = [
        ("listen", old.listen != new.listen),
        ("metadata", old.metadata != new.metadata),
        ("keys", old.keys != new.keys),
        ("audit", old.audit_checkpoints != new.audit_checkpoints),
        ("access", old.access != new.access),
        ("alerts, lineage, traces", old.observability != new.observability),
    ];
    for (section, _) in waits.iter().filter(|(_, is_other)| *is_other) {
        tracing::warn!(
            section,
            "changed in the configuration; it is read when the daemon starts: restart it"
        );
    }
    Config {
        listen: old.listen.clone(),
        metadata: old.metadata.clone(),
        keys: old.keys.clone(),
        audit_checkpoints: old.audit_checkpoints.clone(),
        access: old.access.clone(),
        observability: old.observability.clone(),
        ..new
    }
}

/// Looks at every document in the folder. Read are those that were written since they were seen, those in which
/// something is wrong, and with `anew` all of them.
///
/// # Errors
/// A folder that cannot be read.
pub(super) fn look(seen: &Seen, folder: &Path, reader: &Reader, anew: bool) -> Result<Found, Problems> {
    let paths =
        documents_in(folder).map_err(|message| Problems::from(Problem::of_file(folder, message, None)))?;
    let gone = seen.keys().filter(|path| paths.binary_search(path).is_err()).cloned().collect();
    // Taken before the file is read: what is written after that is seen the next time.
    let now_ms = now_ms();
    let stamped = paths.into_iter().map(|path| (Stamp::of(&path, now_ms), path));
    let unsure: Vec<_> = stamped
        .filter(|(stamp, path)| {
            let known = seen.get(path).filter(|known| !anew && known.problems.is_none());
            !known.is_some_and(|known| stamp.is_some() && known.stamp == *stamp)
        })
        .collect();
    let read = read_each(&unsure, |(_, path)| look_at(path, seen.get(path).filter(|_| !anew), reader));
    let mut found = Found { gone, ..Found::default() };
    for ((stamp, path), text) in unsure.into_iter().zip(read) {
        match text {
            None => found.same.push((path, stamp)),
            Some(Meaning { digest, name, found: meaning }) => {
                found.changed.push(Changed { path, stamp, digest, name, found: meaning });
            }
        }
    }
    Ok(found)
}

/// What a text says.
struct Meaning {
    digest: String,
    name: Option<String>,
    found: Result<Arc<Pipeline>, Vec<Problem>>,
}

/// What a document says; `None` where its text is the one that is known and valid.
fn look_at(path: &Path, known: Option<&Document>, reader: &Reader) -> Option<Meaning> {
    let text = match Text::read(path) {
        Ok(text) => text,
        Err(problem) => {
            return Some(Meaning { digest: String::new(), name: None, found: Err(vec![*problem]) });
        }
    };
    if known.is_some_and(|known| known.problems.is_none() && known.digest == text.digest) {
        return None;
    }
    let Read { found, claims } = reader.read_text(&text);
    let name = claims.pipelines.into_keys().next().filter(|_| found.is_err());
    Some(Meaning { digest: text.digest, name, found: found.map(Arc::new) })
}
