//! Rows that are published already, told by their keys.
//!
//! A row is known by its primary key, and by its cursor too where that is published unchanged: then a row that
//! changed since is a newer version of it and is added, and only rows of the range that is read have to be
//! looked at. Both sides are compared as they are published, so a token equals its token.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use futures::TryStreamExt as _;
use serde_json::Value;

use super::rows::Range;
use crate::error::{Error, Result};
use crate::keys::Keyring;
use crate::protect::{rejected::RUN_ID, sealed::Keep};
use crate::publish::table::LiveFile;
use crate::publish::{Reading, Shift, Store, Table, shift};
use crate::source::Literal;
use crate::spec::DatasetName;

/// What a key takes, at the moment when its set grows to twice its size.
const KEY_BYTES: u64 = 64;

/// The keys of published rows: 128 bits of each, mixed with keys of this process.
pub(in crate::run) struct Known {
    /// The columns that are compared.
    schema: SchemaRef,
    converter: RowConverter,
    hashers: [RandomState; 2],
    keys: HashSet<u128>,
}

/// Which published rows are looked for.
pub(super) struct Sought<'a> {
    /// What they are compared by, in this order.
    pub(super) columns: Vec<Column>,
    /// Only rows of this range, whose places count in `columns`.
    pub(super) range: Option<Range>,
    /// No rows of these runs, in a quarantine.
    pub(super) but: BTreeSet<String>,
    /// What the keys may take.
    pub(super) most_bytes: u64,
    /// More of them than that.
    pub(super) too_many: &'a (dyn Fn(u64) -> Error + Sync),
}

/// A column that rows are compared by.
pub(super) struct Column {
    /// Its name in the rows that are read.
    pub(super) name: String,
    /// Its name in the table.
    pub(super) published: String,
    /// Its type in the rows that are read.
    pub(super) data_type: DataType,
}

impl Column {
    /// As the table has it, in the wider of its two types; `None` where the table lacks it.
    fn within(&self, table: &Table) -> Option<Field> {
        let published = table.schema.field_with_name(&self.published).ok()?.data_type();
        let wider = match shift(published, &self.data_type) {
            Shift::Widened => &self.data_type,
            Shift::None | Shift::Breaking => published,
        };
        Some(Field::new(&self.name, wider.clone(), true))
    }
}

impl Known {
    /// The keys of a table's rows: their values of the columns that are `sought`, NULL where the table has none.
    /// `None` where there are none, or the columns are of types that cannot be compared.
    ///
    /// # Errors
    /// `Failed` for more keys than may be; those of [`Reading`].
    pub(super) async fn load(
        store: &Store,
        keyring: &Keyring,
        dataset: &DatasetName,
        table: &Table,
        sought: Sought<'_>,
    ) -> Result<Option<Self>> {
        let Sought { columns, range, but, most_bytes, too_many } = sought;
        let files = files(table, &columns, range.as_ref());
        let field = |column: &Column| {
            let planned = || Field::new(&column.name, column.data_type.clone(), true);
            column.within(table).unwrap_or_else(planned)
        };
        let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let is_there = |name: &&String| table.schema.field_with_name(name).is_ok();
        let mut names: Vec<String> =
            columns.iter().map(|column| &column.published).filter(is_there).cloned().collect();
        if !but.is_empty() {
            names.push(RUN_ID.to_owned());
        }
        let reading = Reading::prepare(store, keyring, dataset, table, &names, &files).await?;
        let Some(mut known) = Self::new(schema)? else { return Ok(None) };
        let most = most_bytes / KEY_BYTES;
        for file in &files {
            let mut rows = reading.rows(file).await?;
            while let Some(batch) = rows.try_next().await? {
                let mut keys = known.shape(&batch, &columns)?;
                if let Some(others) = others(&batch, &but)? {
                    keys = filter_record_batch(&keys, &others).map_err(|_| unfit())?;
                }
                if let Some(range) = &range {
                    keys = filter_record_batch(&keys, &range.mask(&keys)?).map_err(|_| unfit())?;
                }
                let hashes = known.hashes(keys.columns())?;
                known.keys.extend(hashes);
                if known.keys.len() as u64 > most {
                    return Err(too_many(most));
                }
            }
        }
        Ok((!known.keys.is_empty()).then_some(known))
    }

    /// Published rows with the columns that are compared.
    fn shape(&self, batch: &RecordBatch, columns: &[Column]) -> Result<RecordBatch> {
        let shaped = columns.iter().zip(self.schema.fields()).map(|(column, field)| {
            match batch.column_by_name(&column.published) {
                Some(published) => exactly(published, field.data_type()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        });
        let shaped = shaped.collect::<Result<Vec<ArrayRef>>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), shaped).map_err(|_| unfit())
    }

    fn new(schema: SchemaRef) -> Result<Option<Self>> {
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        if !RowConverter::supports_fields(&fields) {
            return Ok(None);
        }
        let converter = RowConverter::new(fields).map_err(|_| unfit())?;
        let hashers = [RandomState::new(), RandomState::new()];
        Ok(Some(Self { schema, converter, hashers, keys: HashSet::new() }))
    }

    /// What says of sealed batches which of their rows are not known.
    pub(in crate::run) fn keep(mut self) -> Keep {
        Box::new(move |batch| self.fresh(batch))
    }

    /// Which rows of a sealed batch are not known.
    ///
    /// # Errors
    /// `Failed` when the rows do not have the key's columns as the table has them.
    fn fresh(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let columns = self.schema.fields().iter().map(|field| {
            let column = batch.column_by_name(field.name()).ok_or_else(unfit)?;
            exactly(column, field.data_type())
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

fn exactly(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, data_type, &options).map_err(|_| unfit())
}

/// Which rows are of other runs than these; `None` where there are none of these.
fn others(batch: &RecordBatch, runs: &BTreeSet<String>) -> Result<Option<BooleanArray>> {
    if runs.is_empty() {
        return Ok(None);
    }
    let run_ids = exactly(batch.column_by_name(RUN_ID).ok_or_else(unfit)?, &DataType::Utf8)?;
    let is_other = |run_id: Option<&str>| Some(run_id.is_none_or(|run_id| !runs.contains(run_id)));
    Ok(Some(run_ids.as_string::<i32>().iter().map(is_other).collect()))
}

/// The files that may hold rows of the range.
fn files(table: &Table, columns: &[Column], range: Option<&Range>) -> Vec<LiveFile> {
    let Some(range) = range else { return table.files.clone() };
    let cursor: Vec<&String> =
        range.places.iter().filter_map(|&place| columns.get(place)).map(|column| &column.published).collect();
    let may_hold = |file: &&LiveFile| may_hold(file.stats.as_deref(), &cursor, range);
    table.files.iter().filter(may_hold).cloned().collect()
}

/// Whether a file may hold rows of the range, by the statistics that the log has of the published `cursor`.
fn may_hold(stats: Option<&str>, cursor: &[&String], range: &Range) -> bool {
    let stats: Value = stats.and_then(|stats| serde_json::from_str(stats).ok()).unwrap_or_default();
    let may_be_null = |name: &String| stats["nullCount"][name.as_str()].as_u64() != Some(0);
    if range.or_null && cursor.iter().any(|name| may_be_null(name)) {
        return true;
    }
    let (Some(name), Some(from)) = (cursor.first(), range.from.as_ref().and_then(|from| from.first())) else {
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

/// No key is shown, not even its hash.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns: Vec<_> = self.schema.fields().iter().map(|field| field.name()).collect();
        f.debug_struct("Known").field("columns", &columns).field("keys", &self.keys.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_file_that_ends_before_the_range_holds_none_of_it() {
        let bound = |from, or_null| Range { places: vec![0], from: Some(vec![from]), before: None, or_null };
        let name = "at".to_owned();
        let holds = |stats: &str, range: &Range| may_hold(Some(stats), &[&name], range);
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
        assert!(may_hold(None, &[&name], &bound(Literal::Integer(1), false)));
    }

    #[test]
    fn a_row_is_known_by_all_of_its_key_and_null_is_a_value() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("part", DataType::Utf8, true),
        ]));
        let mut known = Known::new(schema).unwrap().unwrap();
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
