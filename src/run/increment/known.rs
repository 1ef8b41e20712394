//! Rows that are published already, told by their keys.
//!
//! A row is known by its primary key, and by its cursor too where that is published unchanged: then a row that
//! changed since is a newer version of it and is added, and only rows of the range that is read have to be
//! looked at. Both sides are compared as they are published, so a token equals its token.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use futures::TryStreamExt as _;
use serde_json::Value;

use super::super::{Engine, Memory, StreamPlan};
use super::rows::Range;
use crate::error::{Error, Result};
use crate::protect;
use crate::publish::{Reading, Store, Table};
use crate::source::{Bound, Literal};
use crate::spec::Action;

/// What a key takes, at the moment when its set grows to twice its size.
const KEY_BYTES: u64 = 64;

/// The keys of published rows: 128 bits of each, mixed with keys of this process.
pub(in crate::run) struct Known {
    columns: Vec<String>,
    schema: SchemaRef,
    converter: RowConverter,
    hashers: [RandomState; 2],
    keys: HashSet<u128>,
}

/// Checks that the columns of a primary key still tell rows apart after what the policy does to them.
///
/// # Errors
/// `Invalid` for a column that is not published; `Held` for one whose values become alike.
pub(in crate::run) fn check(primary_key: &[String], protection: &protect::Plan) -> Result<()> {
    for name in primary_key {
        let decision = protection.decisions().iter().find(|decision| decision.path == *name);
        let Some(decision) = decision.filter(|decision| decision.action != Action::Drop) else {
            return Err(Error::invalid(format!(
                "`primary_key` names `{name}`, which is no published column"
            ))
            .help("name output columns of the stream that hold one value each"));
        };
        let keeps_apart = matches!(
            decision.action,
            Action::Allow | Action::Encrypt | Action::Tokenize { .. } | Action::Hash { .. }
        );
        if !keeps_apart {
            let action = &decision.action;
            return Err(Error::held(format!(
                "`{name}` of the primary key is published by {action}, which makes keys alike"
            ))
            .help("encrypt, tokenize or hash it, or name another key"));
        }
    }
    Ok(())
}

impl Known {
    /// The keys of the stream's dataset, of the rows that `bound` may give again: by `cursor`, the output
    /// columns that hold it, or else of all rows. `None` where there are none.
    ///
    /// # Errors
    /// `Failed` for more keys than memory may hold; those of [`Reading`].
    pub(super) async fn load(
        engine: &Engine,
        store: &Store,
        plan: &StreamPlan,
        cursor: Option<Vec<String>>,
        bound: Option<&Bound>,
    ) -> Result<Option<Self>> {
        let Some(table) = Table::load(store, &plan.dataset, None).await? else { return Ok(None) };
        let mut columns = plan.primary_key.clone();
        for name in cursor.iter().flatten() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        // The commit tells what differs.
        if columns.iter().any(|name| table.schema.field_with_name(name).is_err()) {
            return Ok(None);
        }
        let place = |name: &String| columns.iter().position(|column| column == name);
        let places: Option<Vec<usize>> =
            cursor.as_ref().map(|cursor| cursor.iter().filter_map(place).collect());
        let range = places.filter(|_| bound.is_some()).map(|places| Range::of(places, bound));
        let mut files = table.files.clone();
        if let (Some(cursor), Some(bound)) = (&cursor, bound) {
            files.retain(|file| may_hold(file.stats.as_deref(), cursor, bound));
        }
        let reading =
            Reading::prepare(store, &engine.keyring, &plan.dataset, &table, &columns, &files).await?;
        let most = Memory::of(engine.config.memory_limit_bytes).beside_keys().1 / KEY_BYTES;
        let mut known = Self::new(columns, reading.schema())?;
        for file in &files {
            let mut rows = reading.rows(file).await?;
            while let Some(mut batch) = rows.try_next().await? {
                if let Some(range) = &range {
                    let mask = range.mask(&batch)?;
                    batch = filter_record_batch(&batch, &mask).map_err(|_| unfit())?;
                }
                let hashes = known.hashes(batch.columns())?;
                known.keys.extend(hashes);
                if known.keys.len() as u64 > most {
                    return Err(too_many(most));
                }
            }
        }
        Ok((!known.keys.is_empty()).then_some(known))
    }

    fn new(columns: Vec<String>, schema: &SchemaRef) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(|_| unfit())?;
        let hashers = [RandomState::new(), RandomState::new()];
        Ok(Self { columns, schema: Arc::clone(schema), converter, hashers, keys: HashSet::new() })
    }

    /// Which rows of a sealed batch are not known.
    ///
    /// # Errors
    /// `Failed` when the rows do not have the key's columns as the table has them.
    pub(in crate::run) fn fresh(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let columns = self.columns.iter().zip(self.schema.fields()).map(|(name, field)| {
            let column = batch.column_by_name(name).ok_or_else(unfit)?;
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(column, field.data_type(), &options).map_err(|_| unfit())
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let hashes = self.hashes(&columns)?;
        Ok(hashes.iter().map(|hash| Some(!self.keys.contains(hash))).collect())
    }

    fn hashes(&self, columns: &[ArrayRef]) -> Result<Vec<u128>> {
        let rows = self.converter.convert_columns(columns).map_err(|_| unfit())?;
        let [high, low] = &self.hashers;
        let hash = |row: arrow::row::Row<'_>| {
            u128::from(high.hash_one(row.as_ref())) << 64 | u128::from(low.hash_one(row.as_ref()))
        };
        Ok(rows.iter().map(hash).collect())
    }
}

/// Whether a file may hold rows of the range, by the statistics that the log has of the published `cursor`.
fn may_hold(stats: Option<&str>, cursor: &[String], bound: &Bound) -> bool {
    let stats: Value = stats.and_then(|stats| serde_json::from_str(stats).ok()).unwrap_or_default();
    let may_be_null = |name: &String| stats["nullCount"][name.as_str()].as_u64() != Some(0);
    if bound.or_null && cursor.iter().any(may_be_null) {
        return true;
    }
    let (Some(name), Some(from)) = (cursor.first(), bound.from.as_ref().and_then(|from| from.first())) else {
        return true;
    };
    greatest(&stats["maxValues"][name.as_str()], from).is_none_or(|greatest| greatest >= *from)
}

/// A greatest value as the log has it, no less than it is; `None` where it tells nothing of values `like` this.
fn greatest(written: &Value, like: &Literal) -> Option<Literal> {
    // Some writers cut instants to milliseconds.
    let micros = || {
        let text = written.as_str()?.trim_end_matches('Z');
        let at = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        Some(at.and_utc().timestamp_micros().saturating_add(999))
    };
    match like {
        Literal::Integer(_) => written.as_i64().map(Literal::Integer),
        Literal::Timestamp(_) => micros().map(Literal::Timestamp),
        Literal::Instant(_) => micros().map(Literal::Instant),
        Literal::Decimal(..) | Literal::Text(_) | Literal::Date(_) => None,
    }
}

#[cold]
fn unfit() -> Error {
    Error::failed("the primary key's columns are not as the table has them")
        .help("mend the stream's SQL, or read everything again with `--full-refresh`")
}

#[cold]
fn too_many(most: u64) -> Error {
    Error::failed(format!("more than {most} published rows would have to be told from those that are read"))
        .help(
            "raise `memory_limit_mb`; publish the cursor's column unchanged, so that only the rows of the range \
             that is read are looked at; or shorten `lookback`",
        )
}

/// No key is shown, not even its hash.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("columns", &self.columns).field("keys", &self.keys.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn a_file_that_ends_before_the_range_holds_none_of_it() {
        let bound = |from, or_null| {
            let (columns, from) = (vec!["at".to_owned()], Some(vec![from]));
            Bound { columns, from, before: None, or_null }
        };
        let holds = |stats: &str, bound: &Bound| may_hold(Some(stats), &["at".to_owned()], bound);
        let integers = r#"{"maxValues": {"at": 7}, "nullCount": {"at": 0}}"#;
        assert!(holds(integers, &bound(Literal::Integer(7), false)));
        assert!(!holds(integers, &bound(Literal::Integer(8), true)));
        let nulls = integers.replace("\"at\": 0", "\"at\": 1");
        assert!(holds(&nulls, &bound(Literal::Integer(8), true)));
        for (text, micros) in
            [("1970-01-01T00:00:01.500Z", 1_500_999), ("1970-01-01T00:00:01.500000", 1_500_000)]
        {
            let stats = format!(r#"{{"maxValues": {{"at": "{text}"}}}}"#);
            assert!(holds(&stats, &bound(Literal::Instant(micros), false)), "{text}");
            assert!(!holds(&stats, &bound(Literal::Timestamp(1_501_000), false)), "{text}");
        }
        let unknown = [r#"{"maxValues": {"at": "soon"}}"#, "{}", ""];
        assert!(unknown.iter().all(|stats| holds(stats, &bound(Literal::Instant(1), false))));
        assert!(may_hold(None, &["at".to_owned()], &bound(Literal::Integer(1), false)));
    }

    #[test]
    fn a_row_is_known_by_all_of_its_key_and_null_is_a_value() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("part", DataType::Utf8, true),
        ]));
        let mut known = Known::new(vec!["id".to_owned(), "part".to_owned()], &schema).unwrap();
        let there: [ArrayRef; 2] = [
            Arc::new(Int64Array::from(vec![Some(1), Some(2), None])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("")])),
        ];
        let hashes = known.hashes(&there).unwrap();
        known.keys.extend(hashes);
        // As they come: other columns beside them, in another order, and a narrower type.
        let ids = Int32Array::from(vec![Some(1), Some(1), Some(2), None, None]);
        let parts = StringArray::from(vec![Some("a"), Some("b"), None, Some(""), None]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("part", Arc::new(parts) as ArrayRef, true),
            ("other", Arc::new(StringArray::from(vec!["x"; 5])), false),
            ("id", Arc::new(ids), true),
        ])
        .unwrap();
        let fresh: Vec<bool> = known.fresh(&batch).unwrap().iter().flatten().collect();
        assert_eq!(fresh, [false, true, false, false, true]);
        assert!(known.fresh(&batch.project(&[0]).unwrap()).is_err());
    }
}
