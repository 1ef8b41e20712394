//! What is found wrong in one document while it is read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::hidden::{self, Hidden};
use super::problem::{Excerpt, Problem};
use super::raw::placed::Placed;
use super::text::{Span, Text};
use crate::error;

/// Most problems told of one document; more are only counted.
const MAX_FAULTS: usize = 50;

/// One thing that is wrong, at its place.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    span: Span,
    message: String,
    help: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Collects the faults of one document, and the places in it that must not be shown.
#[derive(Debug)]
pub(crate) struct Faults<'a> {
    pub(crate) text: &'a Text,
    found: RefCell<Vec<Fault>>,
    hidden: RefCell<Vec<Hidden>>,
    untold: Cell<usize>,
    /// Whether the value of an unknown key may be a secret.
    pub(crate) cautious: Cell<bool>,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(text: &'a Text) -> Self {
        Self {
            text,
            found: RefCell::default(),
            hidden: RefCell::default(),
            untold: Cell::new(0),
            cautious: Cell::new(false),
        }
    }

    pub(crate) fn push(&self, fault: Fault) {
        let mut found = self.found.borrow_mut();
        if found.len() < MAX_FAULTS {
            found.push(fault);
        } else {
            self.untold.set(self.untold.get() + 1);
        }
    }

    /// Whether faults are only counted from here on, so that finding words for them is a waste.
    pub(crate) fn is_full(&self) -> bool {
        self.found.borrow().len() >= MAX_FAULTS
    }

    /// The lines that something is wrong on already.
    pub(crate) fn lines(&self) -> BTreeSet<usize> {
        self.found.borrow().iter().map(|fault| self.text.position(fault.span.start).0).collect()
    }

    /// Never shows these places, nor what stands there, in whatever is reported.
    pub(crate) fn hide(&self, hidden: impl IntoIterator<Item = Hidden>) {
        self.hidden.borrow_mut().extend(hidden);
    }

    /// The value, where `read` takes it; what `read` says against it becomes a fault at its place.
    pub(crate) fn take<V, T>(
        &self,
        placed: &Placed<V>,
        read: impl FnOnce(&V) -> error::Result<T>,
    ) -> Option<T> {
        match read(placed.get()?) {
            Ok(value) => Some(value),
            Err(error) => {
                let mut fault = Fault::new(placed.span, error.message());
                fault.help = error.remedy().map(str::to_owned);
                self.push(fault);
                None
            }
        }
    }

    /// As [`Faults::take`], for text.
    pub(crate) fn parse<T>(
        &self,
        placed: &Placed<String>,
        read: impl FnOnce(&str) -> error::Result<T>,
    ) -> Option<T> {
        self.take(placed, |text| read(text))
    }

    /// As [`Faults::take_optional`], for text.
    #[expect(clippy::option_option, reason = "left out and wrong are different things")]
    pub(crate) fn parse_optional<T>(
        &self,
        placed: Option<&Placed<String>>,
        read: impl FnOnce(&str) -> error::Result<T>,
    ) -> Option<Option<T>> {
        self.take_optional(placed, |text| read(text))
    }

    /// [`Faults::take`] of a key that may be left out: `None` when it is there and wrong.
    #[expect(clippy::option_option, reason = "left out and wrong are different things")]
    pub(crate) fn take_optional<V, T>(
        &self,
        placed: Option<&Placed<V>>,
        read: impl FnOnce(&V) -> error::Result<T>,
    ) -> Option<Option<T>> {
        placed.map_or(Some(None), |placed| self.take(placed, read).map(Some))
    }

    /// Everything found, in document order, with the lines it was found in. Empty: the document is
    /// valid.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let hidden = self.hidden.into_inner();
        let mut found = self.found.into_inner();
        found.sort_by_key(|fault| fault.span.start);
        let last_line = found.last().map_or(1, |fault| self.text.position(fault.span.start).0);
        let mut problems: Vec<_> = found
            .into_iter()
            .map(|fault| {
                let (line, column) = self.text.position(fault.span.start);
                Problem {
                    line,
                    column,
                    excerpt: Some(Excerpt::new(self.text, fault.span, &hidden)),
                    ..Problem::of_file(
                        &self.text.path,
                        hidden::without(&fault.message, &hidden),
                        fault.help.map(|help| hidden::without(&help, &hidden)),
                    )
                }
            })
            .collect();
        if self.untold.get() > 0 {
            let message = format!("{} more problems in this document are not shown", self.untold.get());
            problems.push(Problem { line: last_line, ..Problem::of_file(&self.text.path, message, None) });
        }
        problems
    }
}

/// Text of a document as it stands in a message: in backquotes, cut, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String =
        text.chars().take(SHOWN).map(|c| if c.is_control() || c == '`' { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// `a`, `b` and `c`.
pub(crate) fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(|word| format!("`{word}`")).collect();
            format!("{} and `{last}`", most.join(", "))
        }
    }
}

/// The word of `known` that `word` was most likely meant to be.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    const LONGEST: usize = 64;
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let word = plain(&word.chars().take(LONGEST).collect::<String>());
    if word.is_empty() {
        return None;
    }
    known
        .iter()
        .filter_map(|candidate| {
            let plain = plain(candidate);
            let begins =
                word.len().min(plain.len()) >= 3 && (plain.starts_with(&word) || word.starts_with(&plain));
            let distance = strsim::damerau_levenshtein(&word, &plain);
            let close = distance <= (plain.chars().count().max(word.chars().count()) / 3).max(1);
            (close || begins).then_some((distance, *candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Words that the design knows and this version refuses: read, never offered.
const NOT_YET: [&str; 2] = ["azure_key_vault", "flight"];

/// The words of `known` that this version has.
pub(crate) fn offered<'k>(known: &[&'k str]) -> Vec<&'k str> {
    known.iter().copied().filter(|word| !NOT_YET.contains(word)).collect()
}

/// "did you mean", where something is near, else the list of what there is.
pub(crate) fn suggestion(word: &str, known: &[&str], what: &str) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {}", listed(&offered(known))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_spelling_is_found() {
        let known = ["host", "port", "database", "user", "password", "sync_mode", "write_mode"];
        for (word, near) in [
            ("prot", Some("port")),
            ("hostname", Some("host")),
            ("syncMode", Some("sync_mode")),
            ("writemode", Some("write_mode")),
            ("passwort", Some("password")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), near, "{word}");
        }
    }

    #[test]
    fn quoted_text_is_cut_and_harmless() {
        assert_eq!(quoted("a\u{1b}[31m"), "`a\u{fffd}[31m`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 63);
    }
}
