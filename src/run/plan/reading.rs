//! Which columns of a source a stream reads, and the transform over them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::run::contract::Predecessor;
use crate::run::fidelity::SourceColumn;
use crate::source::convert::Decision;
use crate::source::{Carried, Column};
use crate::spec::pipeline::{Columns, Selector};
use crate::spec::sync::SyncMode;
use crate::spec::{Action, Stream};
use crate::transform::Transform;

/// Which columns are read, and the transform over them.
pub(in crate::run) struct Reading {
    pub(super) read: Vec<SourceColumn>,
    pub(in crate::run) asked: Vec<Column>,
    pub(in crate::run) decisions: Vec<Decision>,
    pub(in crate::run) converted: SchemaRef,
    /// Whether a decision rejects rows.
    pub(super) quarantines: bool,
    /// The places of the columns that the transform sees, where more are read.
    pub(super) shown: Option<Vec<usize>>,
    pub(super) unread: Vec<String>,
    /// New output columns that the contract leaves out.
    pub(super) left_out: BTreeSet<String>,
    pub(in crate::run) transform: Transform,
}

/// Plans the transform over all columns, to see which it looks at. A column that cannot be carried
/// is no obstacle unless something does. A cursor is read whether or not the transform sees it.
pub(in crate::run) async fn reading(
    stream: &Stream,
    all: &[SourceColumn],
    before: Option<&Predecessor>,
    memory_limit_bytes: u64,
) -> Result<Reading> {
    let sql = stream.transform.as_deref();
    let is_offered = |column: &&SourceColumn| sql.is_some() || !is_dropped(&stream.columns, column.name());
    let (offered, unread): (Vec<&SourceColumn>, Vec<&SourceColumn>) = all.iter().partition(is_offered);
    let mut offered: Vec<SourceColumn> = offered.into_iter().cloned().collect();
    let mut transform = Transform::plan(sql, schema(&offered), memory_limit_bytes).await?;
    let left_out = before.map(|before| before.left_out(&stream.schema_contract, transform.output()));
    let left_out = left_out.unwrap_or_default();
    match sql {
        _ if left_out.is_empty() => {}
        Some(_) => transform = transform.without(&left_out).await?,
        None => {
            offered.retain(|column| !left_out.contains(column.name()));
            transform = Transform::plan(None, schema(&offered), memory_limit_bytes).await?;
        }
    }
    let seen: Vec<&str> =
        transform.reads().iter().filter_map(|&index| Some(offered.get(index)?.name())).collect();
    let cursor = match &stream.sync_mode {
        SyncMode::Incremental(cursor) => cursor.fields.as_slice(),
        SyncMode::FullRefresh => &[],
    };
    let is_seen = |column: &SourceColumn| seen.contains(&column.name());
    let is_cursor = |column: &SourceColumn| cursor.iter().any(|name| name == column.name());
    let read: Vec<SourceColumn> =
        all.iter().filter(|column| is_seen(column) || is_cursor(column)).cloned().collect();
    refuse_uncarried(&stream.selector, &read)?;
    let shown: Vec<usize> =
        read.iter().enumerate().filter(|(_, column)| is_seen(column)).map(|(place, _)| place).collect();
    let decision = |column: &SourceColumn| Some(Decision::of(&column.described, column.decided?));
    Ok(Reading {
        asked: read.iter().map(SourceColumn::asked).collect(),
        decisions: read.iter().filter_map(decision).collect(),
        converted: schema(&read),
        quarantines: read.iter().any(SourceColumn::quarantines),
        shown: (shown.len() < read.len()).then_some(shown),
        unread: unread.into_iter().map(|column| column.name().to_owned()).collect(),
        left_out,
        transform,
        read,
    })
}

fn is_dropped(columns: &Columns, name: &str) -> bool {
    columns.named.get(name).is_some_and(|column| column.action == Some(Action::Drop))
}

/// The Arrow schema of source columns after the decisions on them; one that cannot be carried is held a
/// text until it is known whether anything looks at it.
pub(in crate::run) fn schema(columns: &[SourceColumn]) -> SchemaRef {
    let field = |column: &SourceColumn| {
        column.carried().field().unwrap_or_else(|| Field::new(column.name(), DataType::Utf8, true))
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn refuse_uncarried(selector: &Selector, columns: &[SourceColumn]) -> Result<()> {
    let refused: Vec<(String, String)> = columns
        .iter()
        .filter_map(|column| match column.carried().carried {
            Carried::Refused { remedy } => {
                let Column { name, source_type, .. } = &column.described;
                let what = format!("column `{name}` of type {source_type} cannot be carried");
                Some((what, with_text(selector, name, remedy)))
            }
            _ => None,
        })
        .collect();
    match refused.as_slice() {
        [] => Ok(()),
        [(what, remedy)] => Err(Error::held(what).help(remedy)),
        many => {
            let lines: Vec<String> = many.iter().map(|(what, remedy)| format!("{what}: {remedy}")).collect();
            Err(Error::held(lines.join("\n")).help("settle each of them"))
        }
    }
}

/// The source's remedy, with the decision that a database can always serve: its own text.
fn with_text(selector: &Selector, name: &str, remedy: String) -> String {
    let is_readable = !remedy.contains("GRANT ");
    if matches!(selector, Selector::Files(_)) || remedy.contains("{as: ") || !is_readable {
        return remedy;
    }
    format!("carry it as the source's own text: `columns: {{{name}: {{as: text}}}}`; or {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::pipeline::TablePattern;

    #[test]
    fn the_remedy_of_a_refused_column_offers_its_text_where_that_can_be_had() {
        let table = TablePattern { schema: "public".to_owned(), table: "places".to_owned() };
        let of = |remedy: &str| with_text(&Selector::Table(table.clone()), "spot", remedy.to_owned());
        assert!(of("leave it out").contains("`columns: {spot: {as: text}}`; or leave it out"));
        for whole in ["GRANT SELECT (spot) ON places TO a", "write `columns: {spot: {as: text}}`"] {
            assert_eq!(of(whole), whole);
        }
    }
}
