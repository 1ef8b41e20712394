//! What is declared of columns.

use super::Context;
use super::action::{action, published};
use super::file_set::column_type;
use crate::error::Error;
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::pipeline::{Column, Columns, Companion, Conversion, OnOverflow, Position};
use crate::spec::raw::action::Action as Raw;
use crate::spec::raw::placed::{Either, Map, Placed};
use crate::spec::raw::stream as raw;
use crate::spec::{Action, Tag};

pub(crate) fn columns(
    placed: Option<&Placed<Map<raw::Column>>>,
    context: &Context,
    faults: &Faults<'_>,
) -> Option<Columns> {
    let Some(placed) = placed else { return Some(Columns::default()) };
    let mut columns = Columns::default();
    let mut right = true;
    for (name, raw) in &placed.get()?.0 {
        let column = raw.get().and_then(|raw| column(name, raw, context, faults));
        match (name.get().map(String::as_str), column) {
            (Some("*"), Some(column)) => columns.default = Some(column),
            (Some(name), Some(column)) if !name.is_empty() => {
                columns.named.insert(name.to_owned(), Box::new(column));
            }
            _ => right = false,
        }
        right &= check_wildcard(name, faults);
    }
    check_companions(&placed.get()?.0, faults);
    right.then_some(columns)
}

/// Columns in an order of the writer's choice; none where the key is left out.
pub(crate) fn names(
    placed: Option<&Placed<Vec<Placed<String>>>>,
    faults: &Faults<'_>,
) -> Option<Vec<String>> {
    placed.map_or(Some(Vec::new()), |placed| distinct(placed.get()?, faults))
}

/// Names of columns, none of them twice.
pub(crate) fn distinct(columns: &[Placed<String>], faults: &Faults<'_>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut right = true;
    for column in columns {
        match faults.parse(column, super::not_empty) {
            Some(name) if names.contains(&name) => {
                faults.push(
                    Fault::new(column.span, format!("{} is named twice", quoted(&name))).help("remove one"),
                );
                right = false;
            }
            Some(name) => names.push(name),
            None => right = false,
        }
    }
    right.then_some(names)
}

/// A column is named as it is: `*` alone is the default, and nothing else is a pattern.
fn check_wildcard(name: &Placed<String>, faults: &Faults<'_>) -> bool {
    let Some(text) = name.get() else { return false };
    if text.is_empty() {
        faults.push(
            Fault::new(name.span, "a column has no name").help("name it, or write \"*\" for all others"),
        );
        return false;
    }
    if text != "*" && text.contains('*') {
        faults.push(
            Fault::new(name.span, format!("{} is no column: patterns are not used here", quoted(text)))
                .help("name each column; \"*\" alone is the default for columns not named"),
        );
        return false;
    }
    true
}

fn column(
    name: &Placed<String>,
    raw: &raw::Column,
    context: &Context,
    faults: &Faults<'_>,
) -> Option<Column> {
    if raw.tag.is_none() && raw.action.is_none() && raw.r#as.is_none() && raw.on_overflow.is_none() {
        faults.push(
            Fault::new(name.span, "nothing is declared of this column")
                .help("write {tag: pii.email}, {action: encrypt}, {as: text}, or several of them"),
        );
        return None;
    }
    let tag = faults.parse_optional(raw.tag.as_ref(), Tag::parse);
    let action = raw.action.as_ref().map_or(Some(None), |placed| action(placed, faults).map(Some));
    let (conversion, companion) = (conversion(name, raw, faults), companion(name, raw, faults));
    let (line, column) = faults.text.position(name.span.start);
    let column = Column {
        tag: tag?,
        action: action?,
        conversion: conversion?,
        companion: companion?,
        position: Position { line: line as u64, column: column as u64 },
    };
    if let Some((placed, action)) = raw.action.as_ref().zip(column.action.as_ref()) {
        check_strength(&column, placed, action, context, faults);
    }
    if let (Some(Either::Mapping(raw)), Some(companion)) = (declared_as(raw), &column.companion) {
        check_strength(&column, &raw.action, &companion.action, context, faults);
    }
    Some(column)
}

fn declared_as(raw: &raw::Column) -> Option<&Either<String, raw::Companion>> {
    raw.r#as.as_ref()?.get()
}

/// A further column of the same values.
#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn companion(name: &Placed<String>, raw: &raw::Column, faults: &Faults<'_>) -> Option<Option<Companion>> {
    let (Some(placed), Some(Either::Mapping(companion))) = (&raw.r#as, declared_as(raw)) else {
        return Some(None);
    };
    if name.get().map(String::as_str) == Some("*") {
        faults.push(
            Fault::new(placed.key, "a further column is made of one column, and \"*\" stands for many")
                .help("name the column that it is made of"),
        );
        return None;
    }
    if raw.tag.is_none() && raw.action.is_none() {
        faults.push(
            Fault::new(placed.key, "it is not said what the column itself holds or what happens to it")
                .help("write `tag` or `action` beside `as`"),
        );
        return None;
    }
    let column = faults.parse(&companion.column, |text| {
        if text.is_empty() || text.contains(['.', '*']) || text.chars().any(char::is_control) {
            return Err(Error::invalid(format!("{} cannot be the name of a further column", quoted(text)))
                .help("name it without dots and stars, such as email_token"));
        }
        Ok(text.to_owned())
    });
    let action = published(&companion.action, faults);
    Some(Some(Companion { column: column?, action: action? }))
}

/// Names are told apart without regard to case.
fn check_companions(columns: &[(Placed<String>, Placed<raw::Column>)], faults: &Faults<'_>) {
    let lower = |name: &Placed<String>| name.get().map(|name| name.to_lowercase());
    let mut taken: Vec<String> = columns.iter().filter_map(|(name, _)| lower(name)).collect();
    for companion in columns.iter().filter_map(|(_, raw)| declared_as(raw.get()?)) {
        let Either::Mapping(raw::Companion { column, .. }) = companion else { continue };
        let Some(name) = lower(column) else { continue };
        if taken.contains(&name) {
            let message = format!("{} is another column's name already", quoted(&name));
            faults.push(Fault::new(column.span, message).help("give the further column a name of its own"));
        }
        taken.push(name);
    }
}

/// The decision on a column's type; `as` alone fails on what it cannot hold.
#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn conversion(name: &Placed<String>, raw: &raw::Column, faults: &Faults<'_>) -> Option<Option<Conversion>> {
    let to = faults.take_optional(raw.r#as.as_ref(), |declared| match declared {
        Either::Word(word) => column_type(word).map(Some),
        Either::Mapping(_) => Ok(None),
    });
    let to = to.map(Option::flatten);
    let is_type = !matches!(declared_as(raw), Some(Either::Mapping(_)));
    let on_overflow = faults.take_optional(raw.on_overflow.as_ref(), |on_overflow| match on_overflow {
        raw::OnOverflow::Fail => Ok(OnOverflow::Fail),
        raw::OnOverflow::Null => Ok(OnOverflow::Null),
        raw::OnOverflow::Quarantine => Ok(OnOverflow::Quarantine),
    });
    let of_type = raw.r#as.as_ref().filter(|_| is_type);
    if let (Some(on_overflow), None) = (&raw.on_overflow, of_type) {
        faults.push(
            Fault::new(on_overflow.key, "`on_overflow` needs the type that may overflow")
                .help("write it beside `as`, such as {as: \"decimal(38,9)\", on_overflow: null}"),
        );
        return None;
    }
    if let (Some("*"), Some(to)) = (name.get().map(String::as_str), of_type) {
        faults
            .push(Fault::new(to.key, "a type is decided column by column").help("name the column it is for"));
        return None;
    }
    let on_overflow = on_overflow?.unwrap_or(OnOverflow::Fail);
    Some(to?.map(|to| Conversion { to, on_overflow }))
}

/// Tells an action that is weaker than what the policy asks of the tag beside it.
fn check_strength(
    column: &Column,
    placed: &Placed<Raw>,
    action: &Action,
    context: &Context,
    faults: &Faults<'_>,
) {
    let (Some(policy), Some(tag)) = (&context.policy, &column.tag) else { return };
    let Some((_, rule)) = policy.rule_for(tag) else { return };
    if action.strength() < rule.action.strength() {
        let message =
            format!("`{action}` is weaker than `{}`, which the policy asks of `{tag}`", rule.action);
        faults
            .push(Fault::new(placed.span, message).help(
                "remove `action`, or choose a stricter one; a pipeline can only strengthen the policy",
            ));
    }
}
