//! Actions.

use std::num::NonZeroU32;

use super::{not_empty, within};
use crate::error::{Error, Result};
use crate::spec::Action;
use crate::spec::action::{
    Alphabet, Canonical, DateShift, EncryptValue, Fpe, Generalize, Mask, OnUnfit, Period, Scrub,
};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::name::is_slug;
use crate::spec::raw::action::{self as raw, Join};
use crate::spec::raw::placed::Placed;

pub(crate) fn action(placed: &Placed<raw::Action>, faults: &Faults<'_>) -> Option<Action> {
    match placed.get()? {
        raw::Action::Allow => Some(Action::Allow),
        raw::Action::Drop => Some(Action::Drop),
        raw::Action::Nullify => Some(Action::Nullify),
        raw::Action::Redact => Some(Action::Redact),
        raw::Action::Encrypt => Some(Action::Encrypt),
        raw::Action::Scrub(raw::Scrub { tokenize: None }) => Some(Action::Scrub(Scrub::Label)),
        raw::Action::Scrub(raw::Scrub { tokenize: Some(join) }) => {
            Some(Action::Scrub(Scrub::Token { join_domain: join_domain(join, faults)? }))
        }
        raw::Action::Mask(mask) => {
            let kept = faults.take_optional(mask.keep_last.as_ref(), within(0, 99))?;
            let keep_last = kept.and_then(|kept| usize::try_from(kept).ok());
            Some(Action::Mask(keep_last.map_or_else(Mask::default, |keep_last| Mask { keep_last })))
        }
        raw::Action::Generalize(options) => generalize(placed, options, faults).map(Action::Generalize),
        raw::Action::DateShift(options) => date_shift(options, faults).map(Action::DateShift),
        raw::Action::TokenizeFpe(options) => fpe(options, faults).map(Action::TokenizeFpe),
        raw::Action::Hash(options) => {
            let (join_domain, canonical) = pseudonym(options, faults)?;
            Some(Action::Hash { join_domain, canonical })
        }
        raw::Action::Tokenize(options) => {
            let (join_domain, canonical) = pseudonym(options, faults)?;
            Some(Action::Tokenize { join_domain, canonical })
        }
        raw::Action::EncryptValue(options) => {
            let by = faults.parse_optional(options.by.as_ref(), not_empty)?;
            Some(Action::EncryptValue(EncryptValue { by }))
        }
    }
}

/// The action of a column that is there only for it.
pub(super) fn published(placed: &Placed<raw::Action>, faults: &Faults<'_>) -> Option<Action> {
    let action = action(placed, faults)?;
    if matches!(action, Action::Drop | Action::Nullify) {
        let fault = Fault::new(placed.span, format!("a further column by `{action}` holds nothing"));
        faults.push(fault.help("name an action that publishes something, or leave `as` out"));
        return None;
    }
    Some(action)
}

#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn join_domain(join: &Join, faults: &Faults<'_>) -> Option<Option<String>> {
    faults.parse_optional(join.join_domain.as_ref(), slug)
}

fn pseudonym(raw: &raw::Pseudonym, faults: &Faults<'_>) -> Option<(Option<String>, Canonical)> {
    let join_domain = faults.parse_optional(raw.join_domain.as_ref(), slug);
    let calling_code = faults.take_optional(raw.calling_code.as_ref(), within(1, 999));
    let word = match &raw.canonical {
        None => Some(raw::Canonical::Text),
        Some(placed) => placed.get().copied(),
    };
    let canonical = match word? {
        raw::Canonical::Text => Canonical::Text,
        raw::Canonical::Lower => Canonical::Lower,
        raw::Canonical::Digits => Canonical::Digits,
        raw::Canonical::Email => Canonical::Email,
        raw::Canonical::Phone => {
            let calling_code = calling_code?.and_then(|code| u16::try_from(code).ok());
            return Some((join_domain?, Canonical::Phone { calling_code }));
        }
    };
    if let Some(code) = &raw.calling_code {
        let fault = Fault::new(code.key, "a calling code belongs to telephone numbers");
        faults.push(fault.help("write `canonical: phone` beside it, or leave it out"));
        return None;
    }
    Some((join_domain?, canonical))
}

fn generalize(
    placed: &Placed<raw::Action>,
    raw: &raw::Generalize,
    faults: &Faults<'_>,
) -> Option<Generalize> {
    let number = |placed: Option<&Placed<u64>>, high| faults.take_optional(placed, within(1, high));
    let positive = |number: u64| u32::try_from(number).ok().and_then(NonZeroU32::new);
    let width = faults.take_optional(raw.width.as_ref(), within(2, 1_000_000_000));
    let prefix = number(raw.prefix.as_ref(), 30);
    let (ipv4, ipv6) = (number(raw.ipv4.as_ref(), 31), number(raw.ipv6.as_ref(), 127));
    let period = faults.take_optional(raw.date.as_ref(), |period| {
        Ok(match period {
            raw::Period::Day => Period::Day,
            raw::Period::Month => Period::Month,
            raw::Period::Quarter => Period::Quarter,
            raw::Period::Year => Period::Year,
        })
    });
    let (ipv4, ipv6) = (ipv4?, ipv6?);
    let bits = |bits: Option<u64>, usual| bits.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(usual);
    let network = (ipv4.is_some() || ipv6.is_some())
        .then(|| Generalize::Network { ipv4: bits(ipv4, 24), ipv6: bits(ipv6, 48) });
    let named = [
        width?.and_then(positive).map(Generalize::Width),
        period?.map(Generalize::To),
        prefix?.and_then(positive).map(Generalize::Prefix),
        network,
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(only), None) => Some(only),
        _ => {
            let fault = Fault::new(placed.span, "`generalize` takes one of its options");
            faults.push(fault.help(
                "write {width: 10} for numbers, {date: month} for dates and timestamps, {prefix: 3} for text, or {ipv4: 24, ipv6: 48} for IP addresses",
            ));
            None
        }
    }
}

fn date_shift(raw: &raw::DateShift, faults: &Faults<'_>) -> Option<DateShift> {
    let max_days = faults.take(&raw.max_days, within(1, 3650));
    let by = faults.parse_optional(raw.by.as_ref(), not_empty);
    let join_domain = faults.parse_optional(raw.join_domain.as_ref(), slug);
    let max_days = NonZeroU32::new(u32::try_from(max_days?).ok()?)?;
    Some(DateShift { max_days, by: by?, join_domain: join_domain? })
}

fn fpe(raw: &raw::Fpe, faults: &Faults<'_>) -> Option<Fpe> {
    let alphabet = faults.take_optional(raw.alphabet.as_ref(), |alphabet| {
        Ok(match alphabet {
            raw::Alphabet::Digits => Alphabet::Digits,
            raw::Alphabet::Alphanumeric => Alphabet::Alphanumeric,
        })
    });
    let on_unfit = faults.take_optional(raw.on_unfit.as_ref(), |on_unfit| {
        Ok(match on_unfit {
            raw::OnUnfit::Fail => OnUnfit::Fail,
            raw::OnUnfit::Null => OnUnfit::Null,
        })
    });
    let join_domain = faults.parse_optional(raw.join_domain.as_ref(), slug);
    let (alphabet, on_unfit) = (alphabet?.unwrap_or_default(), on_unfit?.unwrap_or_default());
    Some(Fpe { alphabet, on_unfit, join_domain: join_domain? })
}

pub(super) fn slug(text: &str) -> Result<String> {
    if is_slug(text) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("{} is not a valid name", quoted(text)))
        .help("use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit"))
}
