//! Pipeline documents, each read by itself.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::claims::Claims;
use super::folder::read_each;
use super::load::{self, Found};
use super::problem::{Problem, Problems};
use super::resolve::{Context, Known};
use super::text::Text;
use super::{Config, Pipeline, Policy};

/// Reads pipeline documents against one configuration. Each is read by itself, so that many can be read at once, and
/// one again without the others; what only one pipeline may have is compared by [`Claims`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    known: Option<Arc<Known>>,
    policy: Option<Arc<Policy>>,
}

/// A document that was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// The pipeline, or everything that is wrong with it by itself.
    pub(crate) found: Found<Pipeline>,
    /// What it wants for itself, as far as it can be told; also where it is invalid.
    pub(crate) claims: Claims,
}

impl Reader {
    /// Reads against the names of a configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self::of_names(Some(Known::of_valid(config)), None)
    }

    /// As [`Reader::new`], and tells where a document asks for less than the policy does.
    pub(crate) fn strict(config: &Config, policy: &Policy) -> Self {
        Self::of_names(Some(Known::of_valid(config)), Some(policy))
    }

    pub(super) fn of_names(known: Option<Known>, policy: Option<&Policy>) -> Self {
        Self { known: known.map(Arc::new), policy: policy.cloned().map(Arc::new) }
    }

    /// Whether the other one reads every document as this one does.
    pub(crate) fn reads_as(&self, other: &Self) -> bool {
        self.known == other.known
    }

    /// What a valid pipeline has for itself.
    pub(crate) fn claims(&self, pipeline: &Pipeline) -> Claims {
        Claims::of(pipeline, self.known.as_ref().and_then(|known| known.only_store()))
    }

    /// Reads a document by itself.
    pub(crate) fn read_text(&self, text: &Text) -> Read {
        let context = self.context(Claims::default());
        let found = load::pipeline(text, &context);
        Read { found, claims: context.claims.into_inner() }
    }

    /// Reads a document that wants what others have: everything that is wrong with it.
    pub(crate) fn problems_beside(&self, text: &Text, taken: Claims) -> Vec<Problem> {
        match load::pipeline(text, &self.context(taken)) {
            Err(problems) => problems,
            Ok(_) => vec![changed(&text.path)],
        }
    }

    /// Reads one document file.
    pub(super) fn read(&self, path: &Path) -> Result<Pipeline, Problems> {
        let text = Text::read(path).map_err(|problem| Problems::from(*problem))?;
        self.read_text(&text).found.map_err(Problems::of)
    }

    /// Reads document files that stand beside each other: the valid ones, and what is wrong with the others. Of two
    /// that want the same the first in the order of the paths has it. With the names of all, also of the invalid ones.
    pub(super) fn read_all(&self, paths: &[PathBuf]) -> (Vec<Pipeline>, Vec<Problem>, BTreeSet<String>) {
        let read = read_each(paths, |path| Text::read(path).map(|text| self.read_text(&text)));
        let (mut pipelines, mut problems) = (Vec::with_capacity(paths.len()), Vec::new());
        let mut all = Claims::default();
        for (path, read) in paths.iter().zip(read) {
            let found = match read {
                Err(problem) => Err(vec![*problem]),
                Ok(Read { found, claims }) => {
                    let taken = claims.taken(&all);
                    all.add(claims);
                    if taken.is_empty() { found } else { Err(self.problems_again(path, taken)) }
                }
            };
            match found {
                Ok(pipeline) => pipelines.push(pipeline),
                Err(mut wrong) => problems.append(&mut wrong),
            }
        }
        (pipelines, problems, all.pipelines.into_keys().collect())
    }

    fn problems_again(&self, path: &Path, taken: Claims) -> Vec<Problem> {
        match Text::read(path) {
            Ok(text) => self.problems_beside(&text, taken),
            Err(problem) => vec![*problem],
        }
    }

    fn context(&self, taken: Claims) -> Context {
        Context { known: self.known.clone(), policy: self.policy.clone(), claims: RefCell::new(taken) }
    }
}

fn changed(path: &Path) -> Problem {
    let help = "read it again".to_owned();
    Problem::of_file(path, "the document changed while it was read".to_owned(), Some(help))
}
