//! The policy.

use super::action::{action, published};
use super::classification::classification;
use super::{not_empty, within};
use crate::error::{Error, Result};
use crate::spec::Policy;
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::policy::{Reveal, Rule, RuleCompanion, TagGlob, Unmatched};
use crate::spec::raw::placed::Placed;
use crate::spec::raw::policy as raw;

pub(crate) fn policy(raw: &raw::Policy, faults: &Faults<'_>) -> Option<Policy> {
    let name = faults.parse(&raw.name, not_empty);
    let unmatched = match &raw.unmatched {
        None => Some(Unmatched::Refuse),
        Some(unmatched) => unmatched.get().map(|unmatched| match unmatched {
            raw::Unmatched::Refuse => Unmatched::Refuse,
            raw::Unmatched::Encrypt => Unmatched::Encrypt,
            raw::Unmatched::Drop => Unmatched::Drop,
        }),
    };
    let rules = all(raw.rules.get(), |placed| rule(placed.get()?, faults));
    let classification = classification(raw.classification.as_ref(), faults);
    for release in raw.release.iter().filter_map(Placed::get).flatten().filter_map(Placed::get) {
        check_release(release, faults);
    }
    let reveal = match &raw.reveal {
        None => Some(Vec::new()),
        Some(rules) => all(rules.get(), |placed| reveal(placed.get()?, faults)),
    };
    Some(Policy {
        name: name?,
        unmatched: unmatched?,
        rules: rules?,
        classification: classification?,
        reveal: reveal?,
        digest: faults.text.digest.clone(),
        path: faults.text.path.clone(),
    })
}

fn rule(raw: &raw::Rule, faults: &Faults<'_>) -> Option<Rule> {
    let tags = globs(&raw.tags, faults);
    let action = action(&raw.action, faults);
    let companion = raw.r#as.as_ref().map_or(Some(None), |placed| companion(placed.get()?, faults).map(Some));
    let allow_small_domain = faults.take_optional(raw.allow_small_domain.as_ref(), |allow| Ok(*allow));
    Some(Rule {
        tags: tags?,
        action: action?,
        companion: companion?,
        allow_small_domain: allow_small_domain?.unwrap_or(false),
    })
}

fn companion(raw: &raw::Companion, faults: &Faults<'_>) -> Option<RuleCompanion> {
    let suffix = faults.parse(&raw.suffix, |text| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(text.to_owned());
        }
        Err(Error::invalid(format!("{} cannot follow a column's name", quoted(text)))
            .help("use 1 to 32 of a-z, A-Z, 0-9 and _, such as _token"))
    });
    let action = published(&raw.action, faults);
    Some(RuleCompanion { suffix: suffix?, action: action? })
}

pub(super) fn globs(raw: &Placed<Vec<Placed<String>>>, faults: &Faults<'_>) -> Option<Vec<TagGlob>> {
    let tags = raw.get()?;
    if tags.is_empty() {
        faults.push(
            Fault::new(raw.key, "no tag is named, so this matches nothing").help("write `tags: [pii.*]`"),
        );
        return None;
    }
    all(Some(tags), |tag| faults.parse(tag, glob))
}

/// A glob over tags: what a tag may hold, and `*`.
pub(super) fn glob(text: &str) -> Result<TagGlob> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b);
    let fits = !text.is_empty() && text.len() <= 255 && text.bytes().all(allowed);
    if fits && !text.contains("..") && !text.starts_with('.') && !text.ends_with('.') {
        return Ok(TagGlob(text.to_owned()));
    }
    Err(Error::invalid(format!("{} is not a tag or a glob over tags", quoted(text)))
        .help("use lower-case words joined by dots, with `*` for anything, such as pii.*"))
}

fn reveal(raw: &raw::Reveal, faults: &Faults<'_>) -> Option<Reveal> {
    let tags = globs(&raw.tags, faults);
    let actors = some_of("actors", &raw.actors, faults, |text| text.parse());
    let purposes = some_of("purposes", &raw.purposes, faults, |text| text.parse());
    let max_values_per_hour = faults.take(&raw.max_values_per_hour, within(1, 1_000_000_000));
    Some(Reveal {
        tags: tags?,
        actors: actors?,
        purposes: purposes?,
        max_values_per_hour: max_values_per_hour?,
    })
}

/// A list that must name something.
fn some_of<T>(
    word: &str,
    list: &Placed<Vec<Placed<String>>>,
    faults: &Faults<'_>,
    read: impl Fn(&str) -> Result<T>,
) -> Option<Vec<T>> {
    if list.get()?.is_empty() {
        let message = format!("`{word}` is empty, so nothing can ever be revealed");
        faults.push(Fault::new(list.key, message).help(format!("name at least one of the {word}")));
        return None;
    }
    all(list.get(), |text| faults.parse(text, &read))
}

/// Checks what grants will be decided by; nothing uses it in this version.
fn check_release(release: &raw::Release, faults: &Faults<'_>) {
    let _ = globs(&release.tags, faults);
    for (word, list) in
        [("roles", &release.roles), ("purposes", &release.purposes), ("approvers", &release.approvers)]
    {
        let Some(names) = list.get() else { continue };
        if names.is_empty() {
            faults.push(
                Fault::new(list.key, format!("`{word}` is empty, so nothing can ever be granted"))
                    .help(format!("name at least one of the {word}")),
            );
        }
        for name in names {
            let _ = faults.parse(name, not_empty);
        }
    }
    let _ = faults.take(&release.max_days, within(1, 3650));
}

/// All of a list, read to its end; `None` when any is wrong.
pub(super) fn all<V, T>(list: Option<&Vec<V>>, read: impl FnMut(&V) -> Option<T>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = list?.iter().map(read).collect();
    read.into_iter().collect()
}
