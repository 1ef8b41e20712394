//! One document at a time: shown, checked, written and removed on request.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::look::{Document, Seen};
use super::settle::Newcomer;
use super::{Documents, after, blocking, disk, following};
use crate::error::{Error, Result};
use crate::run::Engine;
use crate::serve::registry::Registry;
use crate::spec::{Claims, Pipeline, PipelineName, Problems, Reader, Text};

/// What a document is called before it has a file.
const UNNAMED: &str = "pipeline.yaml";

/// A document as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The text.
    pub text: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub etag: String,
    /// The file.
    pub path: PathBuf,
}

/// What a document must be like for it to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is none yet.
    Absent,
    /// Its text has this digest ([`Stored::etag`]).
    Digest(String),
    /// It may be anything.
    Any,
}

/// What came of registering a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// There is a pipeline more.
    Created,
    /// The pipeline is another one.
    Replaced,
    /// The text is the one that is in force.
    Unchanged,
    /// The document is not as it was expected to be; nothing changed.
    Conflict,
}

/// What came of deleting a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone; a run of it that is under way goes on.
    Deleted,
    /// There was none.
    Absent,
    /// The document is not as it was expected to be; nothing changed.
    Conflict,
}

impl Documents {
    /// The document of a pipeline, as it is on disk; `None` where there is none. While that is invalid, another text
    /// is in force ([`Documents::problems`]).
    ///
    /// # Errors
    /// `Failed` when the file cannot be read.
    pub async fn text(&self, name: &PipelineName) -> Result<Option<Stored>> {
        let Some(pipeline) = self.0.registry.get(name) else { return Ok(None) };
        blocking(move || stored(&pipeline.path)).await?
    }

    /// The pipeline that a text describes, checked without asking its source: against the configuration and the policy in
    /// force, and the pipelines of other names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn validate(&self, text: &str) -> Result<Pipeline, Problems> {
        check(Path::new(UNNAMED), text, &self.engine(), &self.0.registry).map(Arc::unwrap_or_clone)
    }

    /// Writes the document of a pipeline and puts it into force: into the file that holds it already, or else into
    /// `NAME.yaml` of the pipelines folder. Who asked for it is recorded by the caller, before.
    ///
    /// # Errors
    /// `Invalid` when the text is no valid pipeline of this name, or the file is a link or another pipeline's; `Denied`
    /// when the folder may only be read, `Temporary` when the disk is full, `Failed` when it cannot be written.
    pub async fn register(&self, name: &PipelineName, text: &str, expected: Expected) -> Result<Registered> {
        let seen = Arc::clone(&self.0.seen).lock_owned().await;
        let (documents, name, text) = (self.clone(), name.clone(), text.to_owned());
        blocking(move || documents.register_now(seen, &name, &text, &expected)).await?
    }

    /// Removes the document of a pipeline, which is not in force any more then; a run of it that is under way goes on.
    /// Who asked for it is recorded by the caller, before.
    ///
    /// # Errors
    /// As [`Documents::register`].
    pub async fn delete(&self, name: &PipelineName, expected: Expected) -> Result<Deleted> {
        let seen = Arc::clone(&self.0.seen).lock_owned().await;
        let (documents, name) = (self.clone(), name.clone());
        blocking(move || documents.delete_now(seen, &name, &expected)).await?
    }

    fn register_now(
        &self,
        mut seen: OwnedMutexGuard<Seen>,
        name: &PipelineName,
        text: &str,
        expected: &Expected,
    ) -> Result<Registered> {
        let (engine, before) = (self.engine(), self.0.registry.all());
        let path = match before.get(name) {
            Some(pipeline) => pipeline.path.clone(),
            None => engine.config.pipelines.join(format!("{name}.yaml")),
        };
        let there = stored(&path)?;
        if !is_expected(expected, there.as_ref()) {
            return Ok(Registered::Conflict);
        }
        let other =
            seen.get(&path).and_then(|known| known.valid.as_ref()).filter(|known| known.name != *name);
        if let Some(other) = other {
            return Err(Error::invalid(format!("{} holds the pipeline {}", path.display(), other.name))
                .help("move that one to another file, or choose another name"));
        }
        let pipeline = check(&path, text, &engine, &self.0.registry)?;
        if pipeline.name != *name {
            return Err(Error::invalid(format!("the document is of `{}`, not of `{name}`", pipeline.name))
                .help("the name in the document and the one that it is registered under are the same"));
        }
        let digest = pipeline.digest.clone();
        let is_written = there.is_some_and(|there| there.etag == digest);
        if is_written && before.get(name).is_some_and(|known| known.digest == digest) {
            return Ok(Registered::Unchanged);
        }
        if !is_written {
            disk::write(&path, text)?;
        }
        let valid = Some(pipeline);
        let document = Document { digest, valid, ..Document::default() };
        let settled = vec![(path, document)];
        let pipelines = after(&seen, &before, &[], &settled);
        self.put(&mut seen, None, pipelines, Vec::new(), settled);
        self.tell_invalid(&seen, self.of_frame());
        tracing::info!(pipeline = %name, "registered");
        Ok(if before.contains_key(name) { Registered::Replaced } else { Registered::Created })
    }

    fn delete_now(
        &self,
        mut seen: OwnedMutexGuard<Seen>,
        name: &PipelineName,
        expected: &Expected,
    ) -> Result<Deleted> {
        let before = self.0.registry.all();
        let Some(pipeline) = before.get(name) else { return Ok(Deleted::Absent) };
        let path = pipeline.path.clone();
        let there = stored(&path)?;
        if there.is_some() && !is_expected(expected, there.as_ref()) {
            return Ok(Deleted::Conflict);
        }
        disk::remove(&path)?;
        let gone = vec![path];
        let pipelines = after(&seen, &before, &gone, &[]);
        self.put(&mut seen, None, pipelines, gone, Vec::new());
        self.tell_invalid(&seen, self.of_frame());
        tracing::info!(pipeline = %name, "deleted");
        Ok(Deleted::Deleted)
    }
}

fn is_expected(expected: &Expected, there: Option<&Stored>) -> bool {
    match expected {
        Expected::Any => true,
        Expected::Absent => there.is_none(),
        Expected::Digest(digest) => there.is_some_and(|there| there.etag == *digest),
    }
}

/// The document file, where it is there.
fn stored(path: &Path) -> Result<Option<Stored>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = Text::read(path).map_err(|problem| Error::from(Problems::from(*problem)))?;
    Ok(Some(Stored { text: text.content().to_owned(), etag: text.digest, path: path.to_owned() }))
}

/// The pipeline of a text that is to stand at `path`, beside those of other names.
fn check(path: &Path, text: &str, engine: &Engine, registry: &Registry) -> Result<Arc<Pipeline>, Problems> {
    let text =
        Text::from_bytes(path, text.as_bytes().to_vec()).map_err(|problem| Problems::from(*problem))?;
    let reader = Reader::strict(&engine.config, &engine.policy);
    let pipeline = reader.read_text(&text).found.map_err(Problems::of)?;
    let own = reader.claims(&pipeline);
    let mut taken = Claims::default();
    for other in registry.all().values().filter(|other| other.name != pipeline.name) {
        taken.add(own.taken(&reader.claims(other)));
    }
    if !taken.is_empty() {
        return Err(Problems::of(reader.problems_beside(&text, taken)));
    }
    let newcomer = Newcomer::at(path, pipeline);
    let others = registry.all();
    let held: Vec<_> =
        others.values().filter(|other| other.name != newcomer.pipeline.name).cloned().collect();
    let (kept, astray) = following::part(vec![newcomer], &held, &BTreeSet::new());
    match (kept.into_iter().next(), astray.into_iter().next()) {
        (Some(newcomer), None) => Ok(newcomer.pipeline),
        (_, astray) => Err(Problems::of(astray.map(|(_, problems)| problems).unwrap_or_default())),
    }
}
