//! Infosec's document: which tag asks for which action.

use std::path::PathBuf;

use super::classification::Classification;
use super::{Action, Tag};

mod reveal;

pub use reveal::{ActorGlob, Purpose, Reveal};

/// A valid policy document.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The version name people give it (`retail-2026-11`).
    pub name: String,
    /// What happens to a column that no rule covers.
    pub unmatched: Unmatched,
    /// The rules, in document order.
    pub rules: Vec<Rule>,
    /// How columns are classified.
    pub classification: Classification,
    /// Who may have pseudonyms turned back into values, in document order; nobody else may.
    pub reveal: Vec<Reveal>,
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
    /// A further column of the same values that is published where the rule decides.
    pub companion: Option<RuleCompanion>,
    /// Whether pseudonyms may be made of tags that have few values.
    pub allow_small_domain: bool,
}

/// A further output column that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCompanion {
    /// What follows the column's name in its own.
    pub suffix: String,
    /// What happens to the values in it.
    pub action: Action,
}

/// A glob over dotted tags: `*` matches any characters, dots included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagGlob(pub(super) String);

impl TagGlob {
    /// Whether the tag matches.
    #[must_use]
    pub fn matches(&self, tag: &Tag) -> bool {
        is_match(&self.0, tag.as_str())
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

/// Whether a glob matches a text: `*` stands for any characters.
#[must_use]
pub fn is_match(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    // On a mismatch, the last star seen takes one more character.
    let (mut g, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if glob.get(g) == Some(&b'*') {
            star = Some((g + 1, t));
            g += 1;
        } else if glob.get(g) == Some(&text[t]) {
            (g, t) = (g + 1, t + 1);
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (g, t) = (after, from + 1);
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
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
    /// Whether a rule that matches `tag` lets pseudonyms be made of its few values.
    #[must_use]
    pub fn allows_small_domain(&self, tag: &Tag) -> bool {
        self.rules.iter().any(|rule| rule.allow_small_domain && rule.tags.iter().any(|g| g.matches(tag)))
    }

    /// The strictest rule that matches `tag`, with its index in document order. Of rules that are
    /// equally strict the first counts.
    #[must_use]
    pub fn rule_for(&self, tag: &Tag) -> Option<(usize, &Rule)> {
        let matching =
            self.rules.iter().enumerate().filter(|(_, rule)| rule.tags.iter().any(|g| g.matches(tag)));
        // `max_by_key` keeps the last of equals, so the order is turned round.
        matching.rev().max_by_key(|(_, rule)| rule.action.strength())
    }

    /// The first rule by which `actor` may have pseudonyms of a tag turned back into values.
    #[must_use]
    pub fn reveal_for(&self, tag: &Tag, actor: &str, purpose: &Purpose) -> Option<&Reveal> {
        self.reveal.iter().find(|rule| rule.covers(tag, actor, purpose))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(globs: &[&str], action: Action) -> Rule {
        let tags = globs.iter().map(|glob| TagGlob((*glob).to_owned())).collect();
        Rule { tags, action, companion: None, allow_small_domain: false }
    }

    fn matches(glob: &str, tag: &str) -> bool {
        TagGlob(glob.to_owned()).matches(&Tag::parse(tag).unwrap())
    }

    #[test]
    fn a_star_matches_dots_too() {
        assert!(matches("pii.*", "pii.us.ssn"));
        assert!(matches("*", "public"));
        assert!(matches("*.email", "pii.work.email"));
        assert!(matches("pii.*.email*", "pii.a.email.b"));
        assert!(matches("public", "public"));
        assert!(!matches("pii.*", "pii"));
        assert!(!matches("pii", "pii.email"));
        assert!(!matches("*.email", "pii.emails"));
    }

    #[test]
    fn the_strictest_rule_wins_and_the_first_of_equals() {
        let policy = Policy {
            name: "p".to_owned(),
            unmatched: Unmatched::Refuse,
            rules: vec![
                rule(&["*"], Action::Allow),
                rule(&["pii.*"], Action::Encrypt),
                rule(&["pii.us.*", "public"], Action::Encrypt),
                rule(&["pii.us.ssn"], Action::Mask(super::super::action::Mask::default())),
            ],
            classification: Classification::default(),
            reveal: Vec::new(),
            digest: String::new(),
            path: PathBuf::new(),
        };
        let index = |tag: &str| policy.rule_for(&Tag::parse(tag).unwrap()).map(|(index, _)| index);
        assert_eq!(index("pii.us.ssn"), Some(1));
        assert_eq!(index("public"), Some(2));
        assert_eq!(index("internal"), Some(0));
    }

    proptest! {
        #[test]
        fn globs_agree_with_globset(glob in "[ab.*]{1,8}", tag in "[ab]{1,3}(\\.[ab]{1,3}){0,2}") {
            let expected = globset::GlobBuilder::new(&glob).literal_separator(false).build().unwrap();
            prop_assert_eq!(matches(&glob, &tag), expected.compile_matcher().is_match(&tag));
        }
    }
}
