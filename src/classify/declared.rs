//! What the spec declares, and how it follows columns through the SQL.
//!
//! A declaration on a source column follows that column through the SQL, so that renaming or cutting up a value
//! does not launder it.
//!
//! A dotted name (`address.city`) declares a leaf of a nested column. In an unchanged copy of that
//! column, under whatever name, the declaration reaches that leaf only. Any other column computed from
//! it is reached whole: which part of it went where is not known.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::survey::entries_of;
use crate::error::{Error, Result};
use crate::spec::classification::Classification;
use crate::spec::pipeline::{Column, Columns};
use crate::spec::verdict::{Aggregated, Evidence, Origin, Verdict, Why};

/// One verdict per output column, in schema order.
///
/// A named source column reaches every output column whose origin holds it; an unknown origin holds
/// every column of `source`. What names an output column covers it and the source column of the same
/// name, and no other that it comes from: `"*"` reaches an output column that comes from some undeclared
/// source column, and one that is not named and comes from nothing or from an unknown origin. A missing
/// origin counts as unknown, a missing copy as none.
#[must_use]
pub fn declared(
    columns: &Columns,
    source: &Schema,
    output: &Schema,
    origins: &[Origin],
    copies: &[Option<String>],
) -> Vec<Verdict> {
    let origins = origins.iter().cloned().chain(std::iter::repeat(Origin::Unknown));
    let copies = copies.iter().cloned().chain(std::iter::repeat(None));
    let known = output.fields().iter().zip(origins).zip(copies);
    known.map(|((field, origin), copy_of)| verdict(columns, source, field, origin, copy_of)).collect()
}

/// Gives output columns that sum up many rows the tags that the policy has for such results. What decides which
/// rows exist, and what names the output column itself, keeps its tag.
pub fn lower(verdicts: &mut [Verdict], aggregates: &[Option<Aggregated>], policy: &Classification) {
    for (verdict, aggregated) in verdicts.iter_mut().zip(aggregates) {
        let Some(Aggregated { function, column, min_rows }) = aggregated else { continue };
        for evidence in &mut verdict.evidence {
            let tag = evidence.tag.as_ref().filter(|_| evidence.why == Why::From(column.clone()));
            let lowered = tag.and_then(|tag| policy.aggregated(tag, function, *min_rows)).cloned();
            if let Some(lowered) = lowered {
                evidence.tag = Some(lowered.clone());
                evidence.declared.tag = Some(lowered);
                evidence.declared.action = None;
            }
        }
    }
}

/// The parts of `source` that nothing declares, neither by name nor by default, as dotted names; whole columns
/// where they have no parts.
#[must_use]
pub fn undeclared(columns: &Columns, source: &Schema) -> BTreeSet<String> {
    let mut undeclared = BTreeSet::new();
    if columns.default.is_none() {
        for field in source.fields() {
            parts(columns, field.name(), field.data_type(), &mut undeclared);
        }
    }
    undeclared
}

fn parts(columns: &Columns, name: &str, data_type: &DataType, undeclared: &mut BTreeSet<String>) {
    if is_named(columns, name) {
        return;
    }
    match data_type {
        DataType::Struct(fields) => {
            for field in fields {
                parts(columns, &format!("{name}.{}", field.name()), field.data_type(), undeclared);
            }
        }
        DataType::List(element) | DataType::LargeList(element) => {
            parts(columns, name, element.data_type(), undeclared);
        }
        DataType::Map(entries, _) => {
            for (part, field) in entries_of(entries) {
                parts(columns, &format!("{name}.{part}"), field.data_type(), undeclared);
            }
        }
        _ => {
            undeclared.insert(name.to_owned());
        }
    }
}

fn verdict(
    columns: &Columns,
    source: &Schema,
    field: &Field,
    origin: Origin,
    copy_of: Option<String>,
) -> Verdict {
    let sources: BTreeSet<&str> = match &origin {
        Origin::Columns(names) => names.iter().map(String::as_str).collect(),
        Origin::Unknown => source.fields().iter().map(|field| field.name().as_str()).collect(),
    };
    let copied = copy_of.as_deref().filter(|name| sources.contains(name));
    let mut evidence = Vec::new();
    for (name, declared) in declarations(columns) {
        evidence.extend(reach(name, field, &sources, copied).map(|(leaf, why)| seen(leaf, why, declared)));
    }
    let undeclared: Vec<String> = sources
        .iter()
        .filter(|name| {
            let data_type = source.field_with_name(name).map_or(&DataType::Null, Field::data_type);
            !is_declared(columns, name, data_type)
        })
        .map(|name| (*name).to_owned())
        .collect();
    let is_groundless = sources.is_empty() || origin == Origin::Unknown;
    let is_named = is_named(columns, field.name());
    if let Some(default) = &columns.default
        && (!undeclared.is_empty() || (is_groundless && !is_named))
    {
        evidence.push(seen(None, Why::Default, default));
    }
    let copy_of = copied.map(str::to_owned);
    Verdict { column: field.name().clone(), evidence, origin, copy_of, undeclared }
}

/// The named columns of which something is declared. A decision on a type (`as`) says nothing of what the
/// column holds, so one that is named for that alone is left to the default or to `unmatched`.
fn declarations(columns: &Columns) -> impl Iterator<Item = (&String, &Column)> {
    let named = columns.named.iter().map(|(name, declared)| (name, &**declared));
    named.filter(|(_, declared)| declared.declares())
}

fn is_named(columns: &Columns, name: &str) -> bool {
    columns.named.get(name).is_some_and(|column| column.declares())
}

/// Whether the column is named, or each of its parts.
fn is_declared(columns: &Columns, name: &str, data_type: &DataType) -> bool {
    is_named(columns, name)
        || match data_type {
            DataType::Struct(fields) => {
                let is_part_declared = |field: &FieldRef| {
                    is_declared(columns, &format!("{name}.{}", field.name()), field.data_type())
                };
                !fields.is_empty() && fields.iter().all(is_part_declared)
            }
            DataType::List(element) | DataType::LargeList(element) => {
                is_declared(columns, name, element.data_type())
            }
            DataType::Map(entries, _) => entries_of(entries)
                .all(|(part, field)| is_declared(columns, &format!("{name}.{part}"), field.data_type())),
            _ => false,
        }
}

/// Which leaf of the output column (`None`: all of it) a declared name reaches, and why; nothing where
/// it does not reach the column.
fn reach(
    name: &str,
    field: &Field,
    sources: &BTreeSet<&str>,
    copied: Option<&str>,
) -> Option<(Option<String>, Why)> {
    if name == field.name() {
        return Some((None, Why::Named));
    }
    let is_nested = field.data_type().is_nested();
    let from = || Why::From(name.to_owned());
    if sources.contains(name) {
        return Some((None, from()));
    }
    match copied.and_then(|copied| leaf_of(name, copied)) {
        Some(part) if is_nested => {
            let why = if copied == Some(field.name()) { Why::Named } else { from() };
            Some((Some(format!("{}.{part}", field.name())), why))
        }
        _ if sources.iter().any(|source| leaf_of(name, source).is_some()) => Some((None, from())),
        _ => {
            (is_nested && leaf_of(name, field.name()).is_some()).then(|| (Some(name.to_owned()), Why::Named))
        }
    }
}

fn seen(leaf: Option<String>, why: Why, declared: &Column) -> Evidence {
    Evidence { leaf, why, tag: declared.tag.clone(), declared: declared.clone() }
}

/// `city` of `address.city` for the column `address`.
fn leaf_of<'a>(name: &'a str, column: &str) -> Option<&'a str> {
    name.strip_prefix(column)?.strip_prefix('.')
}

/// Checks that every declared name is a column (or a leaf of one) of the source or of the output: a
/// misspelt name would leave its column to the stated default.
///
/// # Errors
/// `Invalid`, with line and nearest right spelling of every such name.
pub fn check_names(columns: &Columns, source: &Schema, output: &Schema) -> Result<()> {
    let known: Vec<&String> = source.fields().iter().chain(output.fields()).map(|f| f.name()).collect();
    let is_known = |name: &str| known.iter().any(|k| name == *k || leaf_of(name, k).is_some());
    let mut faults = Vec::new();
    for (name, declared) in columns.named.iter().filter(|(name, _)| !is_known(name)) {
        let nearest = known
            .iter()
            .map(|k| (strsim::damerau_levenshtein(&name.to_lowercase(), &k.to_lowercase()), k))
            .min()
            .filter(|(distance, _)| *distance <= 2.max(name.len() / 3))
            .map(|(_, k)| format!("; did you mean `{k}`?"))
            .unwrap_or_default();
        let line = declared.position.line;
        faults.push(format!(
            "line {line}: `{name}` is no column of the source and none of the output{nearest}"
        ));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(faults.join("\n")).help("correct the names under `columns`"))
    }
}

#[cfg(test)]
#[path = "declared_tests.rs"]
mod tests;
