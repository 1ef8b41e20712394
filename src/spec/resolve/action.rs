//! Actions.

use super::{not_yet, within};
use crate::error::{Error, Result};
use crate::spec::Action;
use crate::spec::action::{Mask, Scrub};
use crate::spec::faults::{Faults, quoted};
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
        raw::Action::Hash(join) => Some(Action::Hash { join_domain: join_domain(join, faults)? }),
        raw::Action::Tokenize(join) => Some(Action::Tokenize { join_domain: join_domain(join, faults)? }),
        later => {
            let (word, instead) = later_action(later);
            faults.take(placed, |_| Err(not_yet(word, instead)))
        }
    }
}

#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn join_domain(join: &Join, faults: &Faults<'_>) -> Option<Option<String>> {
    faults.parse_optional(join.join_domain.as_ref(), slug)
}

pub(super) fn slug(text: &str) -> Result<String> {
    if is_slug(text) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("{} is not a valid name", quoted(text)))
        .help("use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit"))
}

/// The word of an action that is not there yet, and what to use instead.
fn later_action(action: &raw::Action) -> (&'static str, &'static str) {
    match action {
        raw::Action::Generalize(_) => {
            ("generalize", "use `mask` or `encrypt`, or cut the value in `transform`")
        }
        raw::Action::DateShift(_) => ("date_shift", "use `encrypt`, or truncate the date in `transform`"),
        raw::Action::TokenizeFpe(_) => ("tokenize_fpe", "use `tokenize`"),
        raw::Action::EncryptValue(_) => {
            ("encrypt_value", "use `encrypt`, or `tokenize` for a value in a cell")
        }
        _ => ("this action", "use `encrypt`"),
    }
}
