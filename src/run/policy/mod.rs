//! Policies compared with each other, with what they are expected to ask, and with what is published.

pub mod diff;
pub mod rehearsal;

use crate::protect::plan::resealing::{has_values, needs_no_value};
use crate::publish::Decided;
use crate::spec::action::{Canonical, EncryptValue, Mask, Scrub};
use crate::spec::policy::Unmatched;
use crate::spec::{Action, Policy, Tag};

/// What a policy asks of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// This action, or a stronger one.
    Action(Action),
    /// Nothing covers it, and then nothing is published.
    Refuse,
}

impl Ask {
    /// What a policy asks of a column with a tag, or without one.
    #[must_use]
    pub fn of(policy: &Policy, tag: Option<&Tag>) -> Self {
        match (tag.and_then(|tag| policy.rule_for(tag)), policy.unmatched) {
            (Some((_, rule)), _) => Self::Action(rule.action.clone()),
            (None, Unmatched::Refuse) => Self::Refuse,
            (None, Unmatched::Encrypt) => Self::Action(Action::Encrypt),
            (None, Unmatched::Drop) => Self::Action(Action::Drop),
        }
    }

    /// As people write it, with the options that matter.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Refuse => "refuse".to_owned(),
            Self::Action(Action::Mask(mask)) => format!("mask (last {})", mask.keep_last),
            Self::Action(action @ Action::EncryptValue(EncryptValue { by: Some(by) })) => {
                format!("{action} (by {by})")
            }
            Self::Action(action) => match action.join_domain() {
                Some(domain) => format!("{action} ({domain})"),
                None => action.to_string(),
            },
        }
    }

    /// How strong it is; refusing is stronger than everything.
    fn strength(&self) -> u32 {
        match self {
            Self::Action(action) => action.strength(),
            Self::Refuse => u32::MAX,
        }
    }
}

/// What has to be done to a published column so that it is as a policy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: it is protected so, or more strictly.
    Nothing,
    /// Its rows can be sealed otherwise as they are.
    Reseal,
    /// Its values are gone: they have to come from the source again.
    PublishAgain,
    /// The policy has no rule for its tag, so its stream is held.
    Refused,
}

impl Then {
    /// The word that programs read.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Reseal => "reseal",
            Self::PublishAgain => "publish_again",
            Self::Refused => "refused",
        }
    }

    /// What has to be done to a column that is recorded so. What the commit does not record of an action, `as_before`
    /// (what the policy asked until now) may tell.
    #[must_use]
    pub fn of(decided: &Decided, ask: &Ask, as_before: Option<&Action>) -> Self {
        let published = published(decided, as_before);
        let Ask::Action(asked) = ask else {
            // A spec that protects so much may stand in for a rule.
            let is_protected = published.is_some_and(|one| one.strength() >= Action::Encrypt.strength());
            return if is_protected { Self::Nothing } else { Self::Refused };
        };
        let is_enough = match &published {
            Some(published) if is_alike(published, asked) => true,
            // Which column says whom a row is about may not be recorded, only that one does.
            Some(Action::EncryptValue(EncryptValue { by: Some(by) }))
                if by.is_empty() && matches!(asked, Action::EncryptValue(_)) =>
            {
                true
            }
            // As strong, and other options: pseudonyms of two domains do not belong into one column.
            Some(published) => published.strength() > asked.strength(),
            None => decided.action == asked.word(),
        };
        if is_enough {
            Self::Nothing
        } else if has_values(&decided.action) || needs_no_value(asked) {
            Self::Reseal
        } else {
            Self::PublishAgain
        }
    }
}

/// Whether both make the same of every value.
fn is_alike(published: &Action, asked: &Action) -> bool {
    published.word() == asked.word()
        && published.options() == asked.options()
        && published.join_domain() == asked.join_domain()
}

/// What a policy asks of a published column; `None` for one of the program's own.
///
/// A column that a rule asks for beside another is known by its name and tag, among `all` of its dataset.
#[must_use]
pub fn stands_for(policy: &Policy, decided: &Decided, all: &[Decided]) -> Option<Ask> {
    if is_own(decided) {
        return None;
    }
    let tag = decided.tag.as_deref().and_then(|tag| Tag::parse(tag).ok());
    let rule = tag.as_ref().and_then(|tag| policy.rule_for(tag));
    let companion = rule.and_then(|(_, rule)| rule.companion.as_ref()).filter(|companion| {
        let base = decided.column.strip_suffix(&companion.suffix);
        all.iter().any(|other| Some(other.column.as_str()) == base && other.tag == decided.tag)
    });
    Some(companion.map_or_else(|| Ask::of(policy, tag.as_ref()), |one| Ask::Action(one.action.clone())))
}

/// Whether a column is the program's own, which no policy is asked about: of others an open one has a tag.
fn is_own(decided: &Decided) -> bool {
    decided.tag.is_none() && decided.action == Action::Allow.word()
}

/// The action that a commit records; `None` for one that this release does not know. Of commits that record no options
/// `as_before` may tell them.
fn published(decided: &Decided, as_before: Option<&Action>) -> Option<Action> {
    let join_domain = || {
        let id = decided.key.as_deref()?.strip_prefix("sealift:join/")?;
        id.split_once('#').map(|(domain, _)| domain.to_owned())
    };
    if !decided.options.is_empty() {
        return Action::recorded(&decided.action, &decided.options, join_domain());
    }
    let before = as_before.filter(|action| action.word() == decided.action).cloned();
    match decided.action.as_str() {
        "allow" => Some(Action::Allow),
        "mask" => before.or_else(|| Some(Action::Mask(Mask::default()))),
        "scrub" => before.or(Some(Action::Scrub(Scrub::Label))),
        "encrypt" => Some(Action::Encrypt),
        "tokenize" => {
            before.filter(|action| action.join_domain() == join_domain().as_deref()).or_else(|| {
                Some(Action::Tokenize { join_domain: join_domain(), canonical: Canonical::default() })
            })
        }
        "hash" => before
            .filter(|action| action.join_domain() == join_domain().as_deref())
            .or_else(|| Some(Action::Hash { join_domain: join_domain(), canonical: Canonical::default() })),
        "encrypt_value" => {
            let by_subject = decided.key.as_deref().is_some_and(|id| id.contains("#subject"));
            let is_so = |action: &Action| action.by().is_some() == by_subject;
            let by = by_subject.then(String::new);
            before.filter(is_so).or(Some(Action::EncryptValue(EncryptValue { by })))
        }
        "date_shift" | "generalize" | "tokenize_fpe" => before,
        "redact" => Some(Action::Redact),
        "nullify" => Some(Action::Nullify),
        "drop" => Some(Action::Drop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::action::{Generalize, Options};

    fn decided(action: &str, key: Option<&str>) -> Decided {
        Decided {
            column: "email".to_owned(),
            tag: Some("pii.email".to_owned()),
            action: action.to_owned(),
            key: key.map(str::to_owned),
            options: Options::new(),
        }
    }

    fn then(action: &str, key: Option<&str>, asked: Action) -> Then {
        Then::of(&decided(action, key), &Ask::Action(asked), None)
    }

    #[test]
    fn what_is_published_tells_what_has_to_be_done() {
        let tokenize = |domain: &str| Action::Tokenize {
            join_domain: Some(domain.to_owned()),
            canonical: Canonical::default(),
        };
        let key = Some("sealift:join/customer#tokenize@1");
        assert_eq!(then("allow", None, Action::Allow), Then::Nothing);
        assert_eq!(then("allow", None, Action::Encrypt), Then::Reseal);
        assert_eq!(then("encrypt", None, tokenize("customer")), Then::Reseal);
        assert_eq!(then("encrypt", None, Action::Allow), Then::Nothing, "it is protected more strictly");
        assert_eq!(then("tokenize", key, tokenize("customer")), Then::Nothing);
        assert_eq!(then("tokenize", key, tokenize("crm")), Then::PublishAgain);
        assert_eq!(
            then("tokenize", key, Action::Hash { join_domain: None, canonical: Canonical::default() }),
            Then::PublishAgain
        );
        assert_eq!(then("mask", None, Action::Encrypt), Then::PublishAgain);
        assert_eq!(then("hash", None, Action::Redact), Then::Reseal);
        assert_eq!(Then::of(&decided("allow", None), &Ask::Refuse, None), Then::Refused);
        assert_eq!(Then::of(&decided("encrypt", None), &Ask::Refuse, None), Then::Nothing);
    }

    #[test]
    fn cells_are_told_apart_by_whose_keys_they_have() {
        let cells = |by: Option<&str>| Action::EncryptValue(EncryptValue { by: by.map(str::to_owned) });
        let then = |id: &str, asked: Action, before: Option<&Action>| {
            Then::of(&decided("encrypt_value", Some(id)), &Ask::Action(asked), before)
        };
        let (whole, by) = ("sealift:crm.a/email#value@1", "sealift:crm.a/email#subject@1");
        assert_eq!(then(whole, cells(None), None), Then::Nothing);
        assert_eq!(then(whole, cells(Some("id")), None), Then::PublishAgain);
        assert_eq!(then(by, cells(None), None), Then::Nothing, "it is protected more strictly");
        assert_eq!(then(by, cells(Some("id")), None), Then::Nothing);
        assert_eq!(then(by, cells(Some("id")), Some(&cells(Some("id")))), Then::Nothing);
        assert_eq!(then(by, cells(Some("id")), Some(&cells(Some("ssn")))), Then::PublishAgain);
        assert_eq!(then(whole, Action::Encrypt, None), Then::Nothing);
        assert_eq!(then(whole, Action::Redact, None), Then::Reseal);
    }

    #[test]
    fn options_that_are_recorded_need_no_older_policy() {
        let then = |published: &Action, key: Option<&str>, asked: Action| {
            let decided = Decided { options: published.options(), ..decided(published.word(), key) };
            Then::of(&decided, &Ask::Action(asked), None)
        };
        let mask = |keep_last| Action::Mask(Mask { keep_last });
        assert_eq!(then(&mask(6), None, mask(6)), Then::Nothing);
        assert_eq!(then(&mask(6), None, mask(2)), Then::PublishAgain);
        assert_eq!(then(&mask(2), None, mask(6)), Then::Nothing);
        let width = |width| Action::Generalize(Generalize::Width(std::num::NonZeroU32::new(width).unwrap()));
        assert_eq!(then(&width(10), None, width(10)), Then::Nothing);
        assert_eq!(then(&width(10), None, width(1000)), Then::PublishAgain);
        let cells = |by: &str| Action::EncryptValue(EncryptValue { by: Some(by.to_owned()) });
        let key = Some("sealift:crm.a/email#subject@1");
        assert_eq!(then(&cells("id"), key, cells("id")), Then::Nothing);
        assert_eq!(then(&cells("id"), key, cells("ssn")), Then::PublishAgain);
    }

    #[test]
    fn a_mask_is_taken_to_be_what_the_policy_asked_until_now() {
        let mask = |keep_last| Action::Mask(Mask { keep_last });
        let then =
            |before, now| Then::of(&decided("mask", None), &Ask::Action(mask(now)), Some(&mask(before)));
        assert_eq!(then(6, 6), Then::Nothing);
        assert_eq!(then(6, 2), Then::PublishAgain);
        assert_eq!(then(2, 6), Then::Nothing);
    }
}
