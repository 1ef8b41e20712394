//! One document at a time: written and removed on request.
//!
//! A change is found fit, recorded, and made. From the first to the last nothing else changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use tracing::Instrument as _;

use super::disk::{self, Staged};
use super::look::{Document, Seen};
use super::stored::{Stored, stored};
use super::{Documents, after, blocking};
use crate::error::{Error, Result};
use crate::govern::audit::{self, Action};
use crate::spec::{Pipeline, PipelineName, Problems};

/// What a document must be like for it to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is none yet.
    Absent,
    /// There is one.
    Some,
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

/// Why a document is not registered.
#[derive(Debug)]
pub enum Unfit {
    /// What is wrong with its text.
    Invalid(Problems),
    /// What is wrong elsewhere.
    Fault(Error),
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Invalid(problems) => problems.into(),
            Unfit::Fault(error) => error,
        }
    }
}

/// A change that can be made. The documents stay as they are for as long as it is there.
struct Change {
    name: PipelineName,
    path: PathBuf,
    /// SHA-256 of the document that is there.
    old: Option<String>,
    new: New,
    // The last field: what is staged is gone before others may stage theirs.
    seen: OwnedMutexGuard<Seen>,
}

/// What is to be in the place of a document.
enum New {
    /// A pipeline, whose text is written beside the document unless it is there already.
    Text(Arc<Pipeline>, Option<Staged>),
    /// What is there and in force.
    Same(Arc<Pipeline>),
    /// No document.
    Nothing,
}

impl Documents {
    /// Writes the document of a pipeline and puts it into force: into the file that holds it already, or else into
    /// `NAME.yaml` of the pipelines folder. That `actor` does so is a row of the audit trail before.
    ///
    /// # Errors
    /// `Invalid` when the text is no valid pipeline of this name, the file is a link, another pipeline's, or holds a
    /// document that never was in force; `Denied` when the folder may only be read, `Temporary` when the disk is full,
    /// `Failed` when it cannot be written; those of the audit trail.
    pub async fn register(
        &self,
        actor: &str,
        name: &PipelineName,
        text: &str,
        expected: Expected,
    ) -> Result<Registered, Unfit> {
        let seen = Arc::clone(&self.0.seen).lock_owned().await;
        let (documents, name, text) = (self.clone(), name.clone(), text.to_owned());
        let fit = blocking(move || documents.text_for(seen, name, &text, &expected)).await??;
        let Some((change, registered)) = fit else { return Ok(Registered::Conflict) };
        self.make(actor, change).await?;
        Ok(registered)
    }

    /// Removes the document of a pipeline, which is not in force any more then; a run of it that is under way goes on.
    /// That `actor` does so is a row of the audit trail before.
    ///
    /// # Errors
    /// As [`Documents::register`].
    pub async fn delete(&self, actor: &str, name: &PipelineName, expected: Expected) -> Result<Deleted> {
        let seen = Arc::clone(&self.0.seen).lock_owned().await;
        let Some(pipeline) = self.0.registry.get(name) else { return Ok(Deleted::Absent) };
        let path = pipeline.path.clone();
        let there = blocking(move || {
            let there = stored(&path)?;
            // Told before it is recorded that the document goes.
            disk::stage(&path, "").map(|_| there)
        });
        let there = there.await??;
        if !is_expected(&expected, there.as_ref()) {
            return Ok(Deleted::Conflict);
        }
        let (name, path) = (name.clone(), pipeline.path.clone());
        let old = there.map(|there| there.etag);
        self.make(actor, Change { name, path, old, new: New::Nothing, seen }).await?;
        Ok(Deleted::Deleted)
    }

    /// The change that puts a text into force, and what comes of it; `None` where the document is not as expected.
    fn text_for(
        &self,
        seen: OwnedMutexGuard<Seen>,
        name: PipelineName,
        text: &str,
        expected: &Expected,
    ) -> Result<Option<(Change, Registered)>, Unfit> {
        let (engine, known) = (self.engine(), self.0.registry.get(&name));
        let path = match &known {
            Some(pipeline) => pipeline.path.clone(),
            None => engine.config.pipelines.join(format!("{name}.yaml")),
        };
        let there = stored(&path)?;
        if !is_expected(expected, there.as_ref()) {
            return Ok(None);
        }
        let other = seen.get(&path).and_then(|known| known.valid.as_ref()).filter(|known| known.name != name);
        if let Some(other) = other {
            let message = format!("{} holds the pipeline {}", path.display(), other.name);
            let help = "move that one to another file, or choose another name";
            return Err(Error::invalid(message).help(help).into());
        }
        let pipeline = self.check(&path, text, &engine).map_err(Unfit::Invalid)?;
        if pipeline.name != name {
            let message = format!("the document is of `{}`, not of `{name}`", pipeline.name);
            let help = "the name in the document and the one that it is registered under are the same";
            return Err(Error::invalid(message).help(help).into());
        }
        let old = there.map(|there| there.etag);
        let is_there = old.as_ref() == Some(&pipeline.digest);
        if known.is_none() && old.is_some() && !is_there {
            let message = format!("{} holds a document that never was in force", path.display());
            let help = "`GET /v1/problems` says what is wrong with it: mend or remove it where it is kept";
            return Err(Error::invalid(message).help(help).into());
        }
        let registered = match &known {
            Some(known) if is_there && known.digest == pipeline.digest => Registered::Unchanged,
            Some(_) => Registered::Replaced,
            None => Registered::Created,
        };
        let new = match registered {
            Registered::Unchanged => New::Same(pipeline),
            _ if is_there => New::Text(pipeline, None),
            _ => New::Text(pipeline, Some(disk::stage(&path, text)?)),
        };
        Ok(Some((Change { name, path, old, new, seen }, registered)))
    }

    /// Records a change, and makes it.
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the change, also where nobody waits for it any more"
    )]
    async fn make(&self, actor: &str, change: Change) -> Result<()> {
        let (documents, actor) = (self.clone(), actor.to_owned());
        let made = async move {
            let action = change.action();
            audit::record(&documents.engine().ledger, &actor, action, &change.to_string()).await?;
            blocking(move || change.make(&documents)).await?
        };
        // A task of its own: who goes away between the two would leave a record of what was not done.
        tokio::spawn(made.in_current_span())
            .await
            .map_err(|_| Error::failed("changing the document was cut off"))?
    }
}

impl Change {
    const fn action(&self) -> Action {
        match self.new {
            New::Nothing => Action::PipelineDelete,
            New::Text(..) | New::Same(_) => Action::PipelineRegister,
        }
    }

    fn make(self, documents: &Documents) -> Result<()> {
        let Self { name, path, new, mut seen, .. } = self;
        let (gone, settled, what) = match new {
            New::Same(_) => return Ok(()),
            New::Nothing => {
                disk::remove(&path)?;
                (vec![path], Vec::new(), "deleted")
            }
            New::Text(pipeline, staged) => {
                staged.map_or(Ok(()), Staged::place)?;
                let digest = pipeline.digest.clone();
                let document = Document { digest, valid: Some(pipeline), ..Document::default() };
                (Vec::new(), vec![(path, document)], "registered")
            }
        };
        let pipelines = after(&seen, &documents.0.registry.all(), &gone, &settled);
        documents.put(&mut seen, None, pipelines, gone, settled);
        documents.tell_invalid(&seen, documents.of_frame());
        tracing::info!(pipeline = %name, "{what}");
        Ok(())
    }
}

/// What the audit trail says of it: the pipeline with the digests of its documents.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.old.as_deref().unwrap_or("-"))?;
        match &self.new {
            New::Text(pipeline, _) | New::Same(pipeline) => write!(f, " -> {}", pipeline.digest),
            New::Nothing => Ok(()),
        }
    }
}

fn is_expected(expected: &Expected, there: Option<&Stored>) -> bool {
    match expected {
        Expected::Any => true,
        Expected::Some => there.is_some(),
        Expected::Absent => there.is_none(),
        Expected::Digest(digest) => there.is_some_and(|there| there.etag == *digest),
    }
}
