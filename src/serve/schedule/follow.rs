//! What others have done that a pipeline follows: which runs and versions there are, and which of them are new.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::run::ledger::Ledger;
use crate::spec::PipelineName;
use crate::spec::schedule::{After, When};

/// The newest run or version of each that is followed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Newest(BTreeMap<String, String>);

impl Newest {
    /// As the ledger has it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) async fn look(ledger: &Ledger, pipeline: &PipelineName, after: &After) -> Result<Self> {
        let mut newest = BTreeMap::new();
        match after {
            After::Pipelines { names, .. } => {
                for name in names {
                    if let Some(run_id) = ledger.newest_success(name).await? {
                        newest.insert(name.to_string(), run_id);
                    }
                }
            }
            After::Dataset { name, .. } => {
                if let Some(version) = ledger.newest_version(name, pipeline).await? {
                    newest.insert(name.to_string(), version.to_string());
                }
            }
        }
        Ok(Self(newest))
    }

    /// As it is recorded.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    fn of_text(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let read = serde_json::from_str(text).map(Self);
        read.map_err(|_| Error::failed("the ledger does not tell what a schedule has followed"))
    }

    /// Whether a run is due that follows these, after one that followed `before`.
    ///
    /// # Errors
    /// `Failed` when `before` is not what was recorded.
    pub(super) fn is_due(&self, before: &str, after: &After) -> Result<bool> {
        let before = Self::of_text(before)?;
        let is_new = |name: &str| self.0.get(name).is_some_and(|newest| before.0.get(name) != Some(newest));
        Ok(match after {
            After::Pipelines { names, when: When::All, .. } => names.iter().all(|name| is_new(name.as_str())),
            After::Pipelines { names, when: When::Any, .. } => names.iter().any(|name| is_new(name.as_str())),
            After::Dataset { name, .. } => is_new(&name.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::pipeline::Position;

    fn newest(known: &[(&str, &str)]) -> Newest {
        Newest(known.iter().map(|(name, run)| ((*name).to_owned(), (*run).to_owned())).collect())
    }

    #[test]
    fn all_or_any_must_have_something_new() {
        let after = |when| After::Pipelines {
            names: ["a", "b"].map(|name| PipelineName::parse(name).unwrap()).to_vec(),
            when,
            position: Position { line: 1, column: 1 },
        };
        let before = newest(&[("a", "1"), ("b", "1")]).to_text();
        for (now, all, any) in [
            (newest(&[("a", "1"), ("b", "1")]), false, false),
            (newest(&[("a", "2"), ("b", "1")]), false, true),
            (newest(&[("a", "2"), ("b", "2")]), true, true),
            (newest(&[]), false, false),
        ] {
            assert_eq!(now.is_due(&before, &after(When::All)).unwrap(), all, "{now:?}");
            assert_eq!(now.is_due(&before, &after(When::Any)).unwrap(), any, "{now:?}");
        }
        let first = newest(&[("a", "1")]);
        assert!(
            first.is_due("", &after(When::Any)).unwrap() && !first.is_due("", &after(When::All)).unwrap()
        );
        assert!(first.is_due("no json", &after(When::Any)).is_err());
    }
}
