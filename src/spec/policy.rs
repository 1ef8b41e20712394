//! Infosec's document: which tag asks for which action.

use std::path::PathBuf;

use super::{Action, Tag};

/// A valid policy document.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The version name people give it (`retail-2026-11`).
    pub name: String,
    /// What happens to a column that no rule covers.
    pub unmatched: Unmatched,
    /// The rules, in document order.
    pub rules: Vec<Rule>,
    /// SHA-256 of the document's bytes, lower-case hex.
    pub digest: String,
    /// The file it came from.
    pub path: PathBuf,
}

/// One rule: tags that match any of the globs ask for the action.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Tag globs as written (`pii.*`).
    pub tags: Vec<TagGlob>,
    /// What is asked.
    pub action: Action,
}

/// A glob over dotted tags: `*` matches any characters, dots included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagGlob(pub(super) String);

impl TagGlob {
    /// Whether the tag matches.
    #[must_use]
    pub fn matches(&self, tag: &Tag) -> bool {
        let (text, mut rest) = (self.0.as_str(), tag.as_str());
        let Some((first, others)) = text.split_once('*') else { return text == rest };
        let Some(after) = rest.strip_prefix(first) else { return false };
        rest = after;
        let Some((middle, last)) = others.rsplit_once('*') else { return rest.ends_with(others) };
        for part in middle.split('*') {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    /// A glob without checks.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The glob as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What happens to a column that no rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// The run is held (exit 76).
    Refuse,
    /// The column is encrypted.
    Encrypt,
    /// The column is dropped.
    Drop,
}

impl Policy {
    /// The strictest rule that matches `tag`, with its index in document order.
    #[must_use]
    pub fn rule_for(&self, tag: &Tag) -> Option<(usize, &Rule)> {
        let matching = |(_, rule): &(usize, &Rule)| rule.tags.iter().any(|glob| glob.matches(tag));
        // Of equals the first counts: `max_by_key` keeps the last, so the rules are walked backwards.
        self.rules.iter().enumerate().rev().filter(matching).max_by_key(|(_, rule)| rule.action.strength())
    }
}
