//! The documents on disk, and what is in force of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::registry::Registry;
use crate::error::{Error, Result};
use crate::run::Engine;
use crate::spec::{Pipeline, PipelineName, Problems};

/// The pipeline documents of one daemon. Clones share everything.
#[derive(Clone)]
pub struct Documents(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    registry: Registry,
    /// Held by who changes documents.
    changing: Mutex<()>,
}

/// A document as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its text.
    pub text: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub etag: String,
    /// The file.
    pub path: PathBuf,
}

/// What has to be there before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No document of the name.
    Absent,
    /// The document of this digest.
    Digest(String),
    /// Whatever is.
    Any,
}

/// What became of a document that was to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is there.
    Created,
    /// It took the place of another one.
    Replaced,
    /// It was there already.
    Unchanged,
    /// Something else is there than was expected.
    Conflict,
}

/// What became of a document that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Deleted,
    /// There is none.
    Absent,
    /// Something else is there than was expected.
    Conflict,
}

impl Documents {
    /// The documents of an engine.
    #[must_use]
    pub fn of(engine: Arc<Engine>, registry: Registry) -> Self {
        Self(Arc::new(Inner { engine, registry, changing: Mutex::new(()) }))
    }

    /// What a run that begins now works with.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.0.engine)
    }

    /// The document of a pipeline in force; `None` where there is none.
    ///
    /// # Errors
    /// `Failed` when the file cannot be read.
    pub async fn text(&self, name: &PipelineName) -> Result<Option<Stored>> {
        let Some(pipeline) = self.0.registry.get(name) else { return Ok(None) };
        let path = pipeline.path.clone();
        let text = tokio::fs::read_to_string(&path).await.map_err(|e| fault(&path, &e))?;
        Ok(Some(Stored { etag: hex::encode(Sha256::digest(&text)), text, path }))
    }

    /// Reads a document against the configuration in force; nothing is contacted or written.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn validate(&self, text: &str) -> std::result::Result<Pipeline, Problems> {
        Pipeline::check(text, &self.0.engine.config, &self.0.engine.policy)
    }

    /// Writes a document, whole or not at all, and puts it in force.
    ///
    /// # Errors
    /// `Invalid` when it is not valid or of another name; `Failed` when it cannot be written.
    pub async fn register(&self, name: &PipelineName, text: &str, expected: Expected) -> Result<Registered> {
        let mut pipeline = self.validate(text)?;
        if pipeline.name != *name {
            return Err(Error::invalid(format!("the document is of `{}`, not of `{name}`", pipeline.name))
                .help("the name in the document and the one that it is registered under are the same"));
        }
        let _changing = self.0.changing.lock().await;
        let stored = self.text(name).await?;
        if !meets(stored.as_ref(), &expected) {
            return Ok(Registered::Conflict);
        }
        let path = match &stored {
            Some(stored) if stored.text == text => return Ok(Registered::Unchanged),
            Some(stored) => stored.path.clone(),
            None => self.0.engine.config.pipelines.join(format!("{name}.yaml")),
        };
        let draft = path.with_extension("draft");
        tokio::fs::write(&draft, text).await.map_err(|e| fault(&draft, &e))?;
        tokio::fs::rename(&draft, &path).await.map_err(|e| fault(&path, &e))?;
        pipeline.path = path;
        let mut all = BTreeMap::clone(&self.0.registry.all());
        all.insert(name.clone(), Arc::new(pipeline));
        self.0.registry.replace(all);
        Ok(if stored.is_some() { Registered::Replaced } else { Registered::Created })
    }

    /// Removes a document.
    ///
    /// # Errors
    /// `Failed` when the file cannot be removed.
    pub async fn delete(&self, name: &PipelineName, expected: Expected) -> Result<Deleted> {
        let _changing = self.0.changing.lock().await;
        let Some(stored) = self.text(name).await? else { return Ok(Deleted::Absent) };
        if !meets(Some(&stored), &expected) {
            return Ok(Deleted::Conflict);
        }
        tokio::fs::remove_file(&stored.path).await.map_err(|e| fault(&stored.path, &e))?;
        let mut all = BTreeMap::clone(&self.0.registry.all());
        all.remove(name);
        self.0.registry.replace(all);
        Ok(Deleted::Deleted)
    }
}

fn meets(stored: Option<&Stored>, expected: &Expected) -> bool {
    match expected {
        Expected::Any => true,
        Expected::Absent => stored.is_none(),
        Expected::Digest(digest) => stored.is_some_and(|stored| stored.etag == *digest),
    }
}

fn fault(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("the document {} cannot be changed or read: {}", path.display(), error.kind()))
        .help("the pipelines folder must be writable for this user")
}
