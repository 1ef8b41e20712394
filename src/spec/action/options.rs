//! The options of an action that decide what becomes of a value, as commits and receipts record them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::{
    Action, Alphabet, Canonical, DateShift, EncryptValue, Fpe, Generalize, Mask, OnUnfit, Period, Scrub,
};

/// By their names in policies and specs, with what holds where nothing is written there.
pub type Options = BTreeMap<String, String>;

impl Action {
    /// Left out are the join domain, which the id of the key tells, and `on_unfit`, by which no published value
    /// differs. Empty where the action has no other.
    #[must_use]
    pub fn options(&self) -> Options {
        let mut options = Options::new();
        let mut add = |name: &str, value: &dyn ToString| options.insert(name.to_owned(), value.to_string());
        match self {
            Self::DateShift(shift) => _ = add("max_days", &shift.max_days),
            Self::Generalize(Generalize::Width(width)) => _ = add("width", width),
            Self::Generalize(Generalize::To(period)) => _ = add("date", &period.word()),
            Self::Generalize(Generalize::Prefix(kept)) => _ = add("prefix", kept),
            Self::Generalize(Generalize::Network { ipv4, ipv6 }) => {
                add("ipv4", ipv4);
                add("ipv6", ipv6);
            }
            Self::Mask(mask) => _ = add("keep_last", &mask.keep_last),
            Self::Scrub(scrub) => _ = add("tokenize", &matches!(scrub, Scrub::Token { .. })),
            Self::TokenizeFpe(fpe) => _ = add("alphabet", &fpe.alphabet.word()),
            Self::Tokenize { canonical, .. } | Self::Hash { canonical, .. } => {
                add("canonical", &canonical.word());
                if let Canonical::Phone { calling_code: Some(code) } = canonical {
                    add("calling_code", code);
                }
            }
            _ => {}
        }
        if let Some(by) = self.by() {
            add("by", &by);
        }
        options
    }

    /// The action that was recorded by its word, its [`Action::options`] and the join domain of its key; `None` where
    /// they do not belong together, or this release does not know them.
    #[must_use]
    pub fn recorded(word: &str, options: &Options, join_domain: Option<String>) -> Option<Self> {
        let text = |name: &str| options.get(name).map(String::as_str);
        let by = || text("by").map(str::to_owned);
        Some(match word {
            "allow" => Self::Allow,
            "date_shift" => {
                Self::DateShift(DateShift { max_days: number(options, "max_days")?, by: by(), join_domain })
            }
            "generalize" => Self::Generalize(coarser(options)?),
            "mask" => Self::Mask(Mask { keep_last: number(options, "keep_last")? }),
            "scrub" => Self::Scrub(match text("tokenize")? {
                "true" => Scrub::Token { join_domain },
                _ => Scrub::Label,
            }),
            "encrypt" => Self::Encrypt,
            "encrypt_value" => Self::EncryptValue(EncryptValue { by: by() }),
            "tokenize_fpe" => {
                let alphabet = text("alphabet")?;
                let alphabet = Alphabet::ALL.into_iter().find(|one| one.word() == alphabet)?;
                Self::TokenizeFpe(Fpe { alphabet, on_unfit: OnUnfit::default(), join_domain })
            }
            "tokenize" => Self::Tokenize { join_domain, canonical: canonical(options)? },
            "hash" => Self::Hash { join_domain, canonical: canonical(options)? },
            "redact" => Self::Redact,
            "nullify" => Self::Nullify,
            "drop" => Self::Drop,
            _ => return None,
        })
    }
}

fn number<T: FromStr>(options: &Options, name: &str) -> Option<T> {
    options.get(name)?.parse().ok()
}

fn coarser(options: &Options) -> Option<Generalize> {
    if let Some(period) = options.get("date") {
        return Period::ALL.into_iter().find(|one| one.word() == period).map(Generalize::To);
    }
    let width = number::<NonZeroU32>(options, "width").map(Generalize::Width);
    let prefix = || number::<NonZeroU32>(options, "prefix").map(Generalize::Prefix);
    let network =
        || Some(Generalize::Network { ipv4: number(options, "ipv4")?, ipv6: number(options, "ipv6")? });
    width.or_else(prefix).or_else(network)
}

fn canonical(options: &Options) -> Option<Canonical> {
    let calling_code = match options.get("calling_code") {
        Some(code) => Some(code.parse().ok()?),
        None => None,
    };
    let all = [
        Canonical::Text,
        Canonical::Lower,
        Canonical::Digits,
        Canonical::Email,
        Canonical::Phone { calling_code },
    ];
    let word = options.get("canonical")?;
    all.into_iter().find(|one| one.word() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, with options that are not the usual ones.
    fn actions() -> Vec<Action> {
        let domain = || Some("customer".to_owned());
        let three = NonZeroU32::new(3).unwrap();
        let by = || Some("person".to_owned());
        vec![
            Action::Allow,
            Action::DateShift(DateShift { max_days: three, by: by(), join_domain: domain() }),
            Action::DateShift(DateShift { max_days: three, by: None, join_domain: None }),
            Action::Generalize(Generalize::Width(three)),
            Action::Generalize(Generalize::To(Period::Quarter)),
            Action::Generalize(Generalize::Prefix(three)),
            Action::Generalize(Generalize::Network { ipv4: 16, ipv6: 32 }),
            Action::Mask(Mask { keep_last: 2 }),
            Action::Scrub(Scrub::Label),
            Action::Scrub(Scrub::Token { join_domain: domain() }),
            Action::Encrypt,
            Action::EncryptValue(EncryptValue { by: by() }),
            Action::EncryptValue(EncryptValue { by: None }),
            Action::TokenizeFpe(Fpe { alphabet: Alphabet::Alphanumeric, ..Fpe::default() }),
            Action::Tokenize { join_domain: domain(), canonical: Canonical::Email },
            Action::Tokenize { join_domain: None, canonical: Canonical::Text },
            Action::Hash { join_domain: None, canonical: Canonical::Phone { calling_code: Some(49) } },
            Action::Hash { join_domain: None, canonical: Canonical::Phone { calling_code: None } },
            Action::Redact,
            Action::Nullify,
            Action::Drop,
        ]
    }

    #[test]
    fn what_is_recorded_is_the_action() {
        for action in actions() {
            let domain = action.join_domain().map(str::to_owned);
            let recorded = Action::recorded(action.word(), &action.options(), domain);
            assert_eq!(recorded, Some(action));
        }
    }

    #[test]
    fn actions_that_differ_in_more_than_their_key_are_recorded_otherwise() {
        let mut recorded: Vec<_> = actions().iter().map(|one| (one.word(), one.options())).collect();
        let all = recorded.len();
        recorded.sort();
        recorded.dedup();
        assert_eq!(recorded.len(), all);
    }

    #[test]
    fn what_this_release_does_not_know_is_no_action() {
        let none = Options::new();
        assert_eq!(Action::recorded("blur", &none, None), None);
        for word in ["date_shift", "generalize", "mask", "scrub", "tokenize_fpe", "tokenize", "hash"] {
            assert_eq!(Action::recorded(word, &none, None), None, "{word} has options");
        }
        let odd = [("canonical".to_owned(), "rot13".to_owned())].into();
        assert_eq!(Action::recorded("hash", &odd, None), None);
    }
}
