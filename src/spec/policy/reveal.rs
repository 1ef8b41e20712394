//! Who may have pseudonyms turned back into values.

use std::fmt;
use std::str::FromStr;

use super::{TagGlob, is_match};
use crate::error::{Error, Result};
use crate::spec::Tag;

/// Lets actors have pseudonyms of some tags turned back into values, for a purpose, up to a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reveal {
    /// Tags that a column is of.
    pub tags: Vec<TagGlob>,
    /// Who.
    pub actors: Vec<ActorGlob>,
    /// What for.
    pub purposes: Vec<Purpose>,
    /// Most values for each actor within any 60 minutes, at least 1.
    pub max_values_per_hour: u64,
}

impl Reveal {
    /// Whether the rule speaks of this case.
    #[must_use]
    pub fn covers(&self, tag: &Tag, actor: &str, purpose: &Purpose) -> bool {
        self.tags.iter().any(|glob| glob.matches(tag))
            && self.actors.iter().any(|glob| glob.matches(actor))
            && self.purposes.contains(purpose)
    }

    /// A text of everything but the number: rules of the same text share what they count.
    #[must_use]
    pub fn scope(&self) -> String {
        let tags: Vec<_> = self.tags.iter().map(TagGlob::as_str).collect();
        let actors: Vec<_> = self.actors.iter().map(|actor| actor.0.as_str()).collect();
        let purposes: Vec<_> = self.purposes.iter().map(|purpose| purpose.0.as_str()).collect();
        format!("{} {} {}", tags.join(","), actors.join(","), purposes.join(","))
    }
}

/// A glob over actors as the audit trail names them (`os:1000`, `token:NAME`): `*` matches any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorGlob(String);

impl ActorGlob {
    /// Whether the actor matches.
    #[must_use]
    pub fn matches(&self, actor: &str) -> bool {
        is_match(&self.0, actor)
    }
}

impl FromStr for ActorGlob {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*".contains(&b);
        let is_name = |name: &str| (1..=63).contains(&name.len()) && name.bytes().all(allowed);
        let fits = match text.split_once(':') {
            Some((kind @ ("os" | "token"), name)) => {
                is_name(name) && (kind == "token" || name.bytes().all(|b| b == b'*' || b.is_ascii_digit()))
            }
            _ => text == "*",
        };
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid("this names no actor").help(
            "write `os:` and the numeric id of a user, such as os:1000; os:* is every user, * is everybody",
        ))
    }
}

/// What a value is needed for, in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose(String);

impl FromStr for Purpose {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        if (1..=63).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid("this is not a purpose").help("use 1 to 63 of a-z, 0-9, _ and -, such as fraud"))
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(tags: &[&str], actors: &[&str]) -> Reveal {
        Reveal {
            tags: tags.iter().map(|glob| TagGlob::of(glob)).collect(),
            actors: actors.iter().map(|glob| glob.parse().unwrap()).collect(),
            purposes: vec!["fraud".parse().unwrap()],
            max_values_per_hour: 1,
        }
    }

    #[test]
    fn a_rule_covers_what_all_of_it_names() {
        let covers = |rule: &Reveal, tag: &str, actor: &str, purpose: &str| {
            rule.covers(&Tag::parse(tag).unwrap(), actor, &purpose.parse().unwrap())
        };
        let one = rule(&["pii.email", "pii.us.*"], &["os:1000"]);
        assert!(covers(&one, "pii.email", "os:1000", "fraud"));
        assert!(covers(&one, "pii.us.ssn", "os:1000", "fraud"));
        assert!(!covers(&one, "pii.phone", "os:1000", "fraud"));
        assert!(!covers(&one, "pii.email", "os:10000", "fraud"));
        assert!(!covers(&one, "pii.email", "os:100", "fraud"));
        assert!(!covers(&one, "pii.email", "os:1000", "frauds"));
        let users = rule(&["*"], &["os:*"]);
        assert!(covers(&users, "pii.email", "os:0", "fraud"));
        assert!(!covers(&users, "pii.email", "token:os", "fraud"));
    }

    #[test]
    fn what_names_nobody_or_nothing_is_refused() {
        for bad in ["", "os", "os:", "1000", "os:anna", "os:1000 ", "role:x", "token:", "o*", "**", "os:-1"] {
            assert!(bad.parse::<ActorGlob>().is_err(), "{bad}");
        }
        for good in ["*", "os:*", "os:1000", "os:10*", "token:air-flow_2", "token:*"] {
            assert!(good.parse::<ActorGlob>().is_ok(), "{good}");
        }
        for bad in ["", "*", "Fraud", "a b", "fraud,aml", &"x".repeat(64)] {
            assert!(bad.parse::<Purpose>().is_err(), "{bad}");
        }
    }
}
