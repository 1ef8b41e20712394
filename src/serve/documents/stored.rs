//! One document at a time: shown, and checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::settle::Newcomer;
use super::{Documents, blocking, following};
use crate::error::{Error, Result};
use crate::run::Engine;
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
        self.check(Path::new(UNNAMED), text, &self.engine()).map(Arc::unwrap_or_clone)
    }

    /// The pipeline of a text that is to stand at `path`, beside those of other names.
    pub(super) fn check(
        &self,
        path: &Path,
        text: &str,
        engine: &Arc<Engine>,
    ) -> Result<Arc<Pipeline>, Problems> {
        let text =
            Text::from_bytes(path, text.as_bytes().to_vec()).map_err(|problem| Problems::from(*problem))?;
        let reader = Reader::strict(&engine.config, &engine.policy);
        let pipeline = reader.read_text(&text).found.map_err(Problems::of)?;
        let mut taken = reader.claims(&pipeline).taken(&self.claims(engine, &reader));
        if let Some(old) = engine.pipelines.iter().find(|one| one.name == pipeline.name) {
            taken = taken.without(&reader.claims(old));
        }
        if !taken.is_empty() {
            return Err(Problems::of(reader.problems_beside(&text, taken)));
        }
        let newcomer = Newcomer::at(path, pipeline);
        let others = engine.pipelines.iter().filter(|other| other.name != newcomer.pipeline.name);
        let held: Vec<_> = others.cloned().collect();
        let (kept, astray) = following::part(vec![newcomer], &held, &BTreeSet::new());
        match (kept.into_iter().next(), astray.into_iter().next()) {
            (Some(newcomer), None) => Ok(newcomer.pipeline),
            (_, astray) => Err(Problems::of(astray.map(|(_, problems)| problems).unwrap_or_default())),
        }
    }

    /// What the pipelines in force have for themselves. Of thousands that takes a while to tell, so it is kept for as long
    /// as they are in force.
    fn claims(&self, engine: &Arc<Engine>, reader: &Reader) -> Arc<Claims> {
        let mut known = self.0.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let of = Arc::downgrade(engine);
        if let Some((_, claims)) = known.as_ref().filter(|(known, _)| known.ptr_eq(&of)) {
            return Arc::clone(claims);
        }
        let mut claims = Claims::default();
        engine.pipelines.iter().for_each(|pipeline| claims.add(reader.claims(pipeline)));
        let claims = Arc::new(claims);
        *known = Some((of, Arc::clone(&claims)));
        claims
    }
}

/// The document file, where it is there.
pub(super) fn stored(path: &Path) -> Result<Option<Stored>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = Text::read(path).map_err(|problem| Error::from(Problems::from(*problem)))?;
    Ok(Some(Stored { text: text.content().to_owned(), etag: text.digest, path: path.to_owned() }))
}
