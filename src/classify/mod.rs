//! Which class of data each output column holds, and how we know.
//!
//! In this version tags are declared; nothing is detected. A declaration on a source column
//! follows that column through the SQL, so that renaming or cutting up a value does not launder it.
//!
//! A dotted name (`address.city`) declares a leaf of a nested column. Where an output column has the
//! nested column's name, the declaration reaches that leaf only; any other column computed from the
//! nested source column is reached whole.

use arrow::datatypes::{Field, Schema};

use crate::error::{Error, Result};
use crate::spec::pipeline::{Column, Columns};
use crate::spec::verdict::{Evidence, Origin, Verdict, Why};

/// One verdict per output column, in schema order.
///
/// A named source column reaches every output column whose origin holds it; an unknown origin is
/// reached by all named columns. `"*"` reaches a column only where no other declaration does: one
/// that is not named itself and comes from nothing, from an unknown origin, or from some source
/// column that is not named either. A missing origin counts as unknown.
#[must_use]
pub fn declared(columns: &Columns, output: &Schema, origins: &[Origin]) -> Vec<Verdict> {
    let origins = origins.iter().cloned().chain(std::iter::repeat(Origin::Unknown));
    output.fields().iter().zip(origins).map(|(field, origin)| verdict(columns, field, origin)).collect()
}

fn verdict(columns: &Columns, field: &Field, origin: Origin) -> Verdict {
    let mut evidence = Vec::new();
    let mut is_named = false;
    for (name, declared) in &columns.named {
        let leaf = leaf_of(name, field.name()).is_some() && field.data_type().is_nested();
        let reach = if name == field.name() {
            is_named = true;
            Some((None, Why::Named))
        } else if leaf {
            Some((Some(name.clone()), Why::Named))
        } else if is_source(name, &origin) {
            Some((None, Why::From(name.clone())))
        } else {
            None
        };
        evidence.extend(reach.map(|(leaf, why)| seen(leaf, why, declared)));
    }
    let is_covered = is_named
        || match &origin {
            Origin::Unknown => false,
            Origin::Columns(sources) => {
                !sources.is_empty() && sources.iter().all(|source| columns.named.contains_key(source))
            }
        };
    if let (Some(default), false) = (&columns.default, is_covered) {
        evidence.push(seen(None, Why::Default, default));
    }
    Verdict { column: field.name().clone(), evidence, origin }
}

fn seen(leaf: Option<String>, why: Why, declared: &Column) -> Evidence {
    Evidence { leaf, why, tag: declared.tag.clone(), declared: declared.clone() }
}

/// Whether the declared name is one of the columns (or a leaf of one) that a value comes from.
fn is_source(name: &str, origin: &Origin) -> bool {
    match origin {
        Origin::Unknown => true,
        Origin::Columns(sources) => {
            sources.contains(name) || sources.iter().any(|source| leaf_of(name, source).is_some())
        }
    }
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
mod tests;
