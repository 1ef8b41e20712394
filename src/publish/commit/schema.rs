//! Arrow schemas as Delta writes them.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use serde_json::{Map, Value, json};

use super::Evolution;
use crate::error::{Error, Result, harmless};

/// Characters that Delta takes in no column name (without column mapping).
const REFUSED_IN_NAMES: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// Whether a schema can be published, before any row is read.
///
/// # Errors
/// `Invalid` naming the column: a type without an exact Delta counterpart, or a name that Delta
/// readers do not take or cannot tell from another.
pub fn check(schema: &Schema) -> Result<()> {
    check_names(schema.fields(), "")?;
    of(schema).map(|_| ())
}

/// The type a column is published as, in Delta's words (`decimal(12,2)`, `array<string>`); the Arrow
/// name of a type that cannot be published.
#[must_use]
pub fn type_name(arrow: &DataType) -> String {
    data_type(arrow, "").map_or_else(|_| arrow.to_string(), |delta| show(&delta))
}

/// The schema as the value of `schemaString`. Every column may be NULL there: whether a source
/// forbids it may change from run to run, and is no part of the table's promise.
pub(super) fn of(schema: &Schema) -> Result<Value> {
    Ok(json!({"type": "struct", "fields": fields(schema.fields(), "")?}))
}

/// Whether the schema holds a timestamp without zone, which needs a table feature.
pub(super) fn needs_timestamp_ntz(schema: &Value) -> bool {
    match schema {
        Value::String(text) => text == "timestamp_ntz",
        Value::Array(items) => items.iter().any(needs_timestamp_ntz),
        Value::Object(map) => {
            map.iter().any(|(key, value)| key != "name" && key != "metadata" && needs_timestamp_ntz(value))
        }
        _ => false,
    }
}

/// The columns of the table, and behind them those that only the rows have.
pub(super) fn union(table: &Value, rows: &Value) -> Value {
    let fields = |schema: &Value| schema["fields"].as_array().cloned().unwrap_or_default();
    let mut union = fields(table);
    let is_new = |field: &Value| !union.iter().any(|known| known["name"] == field["name"]);
    let new: Vec<Value> = fields(rows).into_iter().filter(is_new).collect();
    union.extend(new);
    json!({"type": "struct", "fields": union})
}

/// What an append would change that it may not, one line per column; empty when it fits.
pub(super) fn differences(table: &Value, rows: &Value, evolution: &Evolution) -> Vec<String> {
    let columns = |schema: &Value| -> Map<String, Value> {
        let fields = schema["fields"].as_array().cloned().unwrap_or_default();
        let column = |field: &Value| Some((field["name"].as_str()?.to_owned(), bare(&field["type"])));
        fields.iter().filter_map(column).collect()
    };
    let fields = table["fields"].as_array().into_iter().flatten();
    let required: BTreeSet<&str> = fields
        .filter(|field| field["nullable"] == false)
        .filter_map(|field| field["name"].as_str())
        .collect();
    let (table, rows) = (columns(table), columns(rows));
    let mut out = Vec::new();
    for (name, theirs) in &table {
        match rows.get(name) {
            None if evolution.absent.contains(name) && !required.contains(name.as_str()) => {}
            None => out.push(format!("column `{name}` of the table is not among the rows")),
            Some(ours) if ours != theirs => {
                out.push(format!(
                    "column `{name}` is {} in the table and {} in the rows",
                    show(theirs),
                    show(ours)
                ));
            }
            Some(_) => {}
        }
    }
    out.extend(
        rows.keys()
            .filter(|name| !table.contains_key(*name) && !evolution.added.contains(*name))
            .map(|name| format!("column `{name}` is new")),
    );
    out
}

/// A type without what may differ between equal types.
pub(super) fn bare(data_type: &Value) -> Value {
    match data_type {
        Value::Object(map) => {
            let ignored = ["nullable", "metadata", "containsNull", "valueContainsNull"];
            map.iter()
                .filter(|(key, _)| !ignored.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), bare(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        other => other.clone(),
    }
}

/// A Delta type as people write it.
fn show(delta: &Value) -> String {
    let inner = |key: &str| show(&delta[key]);
    match delta["type"].as_str() {
        Some("array") => format!("array<{}>", inner("elementType")),
        Some("map") => format!("map<{},{}>", inner("keyType"), inner("valueType")),
        Some("struct") => {
            let fields = delta["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
            let field = |field: &Value| {
                format!("{}:{}", field["name"].as_str().unwrap_or_default(), show(&field["type"]))
            };
            format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        _ => delta.as_str().unwrap_or_default().to_owned(),
    }
}

fn check_names(fields: &Fields, above: &str) -> Result<()> {
    let mut seen = BTreeSet::new();
    for field in fields {
        let name = field.name();
        let invalid = |what: &str| {
            Error::invalid(harmless(&format!("column `{above}{name}` {what}")))
                .help("rename it in the stream's SQL: `\"old name\" AS new_name`")
        };
        if name.is_empty() || name.contains(REFUSED_IN_NAMES) || name.contains(char::is_control) {
            return Err(invalid("has a name that Delta readers do not take"));
        }
        if name.contains(['.', '`']) {
            return Err(invalid("has a dot or a backtick in its name, which reads as a nested column"));
        }
        if !seen.insert(name.to_lowercase()) {
            return Err(invalid("has the name of another column, but for upper and lower case"));
        }
        if let DataType::Struct(inner) = field.data_type() {
            check_names(inner, &format!("{above}{name}."))?;
        }
    }
    Ok(())
}

fn fields(fields: &Fields, above: &str) -> Result<Vec<Value>> {
    fields
        .iter()
        .map(|field| {
            let path = format!("{above}{}", field.name());
            Ok(json!({
                "name": field.name(),
                "type": data_type(field.data_type(), &path)?,
                "nullable": true,
                "metadata": {},
            }))
        })
        .collect()
}

/// A type's exact Delta counterpart.
pub(super) fn data_type(arrow: &DataType, path: &str) -> Result<Value> {
    Ok(match arrow {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "byte".into(),
        DataType::Int16 => "short".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "long".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "binary".into()
        }
        DataType::Date32 => "date".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp_ntz".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *scale >= 0 && u8::try_from(*scale).is_ok_and(|scale| scale <= *precision) =>
        {
            format!("decimal({precision},{scale})").into()
        }
        DataType::Dictionary(_, value) => data_type(value, path)?,
        DataType::Struct(inner) => {
            json!({"type": "struct", "fields": fields(inner, &format!("{path}."))?})
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            json!({"type": "array", "elementType": data_type(item.data_type(), path)?, "containsNull": true})
        }
        DataType::Map(entries, _) => map(entries, path)?,
        other => return Err(no_counterpart(other, path)),
    })
}

fn map(entries: &Field, path: &str) -> Result<Value> {
    match entries.data_type() {
        DataType::Struct(pair) if pair.len() == 2 => Ok(json!({
            "type": "map",
            "keyType": data_type(pair[0].data_type(), path)?,
            "valueType": data_type(pair[1].data_type(), path)?,
            "valueContainsNull": true,
        })),
        other => Err(no_counterpart(other, path)),
    }
}

fn no_counterpart(arrow: &DataType, path: &str) -> Error {
    let remedy = match arrow {
        DataType::Timestamp(..) => "cast it to microseconds: `arrow_cast(column, 'Timestamp(µs)')`",
        DataType::UInt8 | DataType::UInt16 => "cast it: `CAST(column AS INT)`",
        DataType::UInt32 => "cast it: `CAST(column AS BIGINT)`",
        DataType::UInt64 => "cast it: `CAST(column AS DECIMAL(20,0))`, or AS BIGINT where the values allow",
        DataType::Null => "give it a type: `CAST(NULL AS TEXT)`, or leave it out",
        _ => "cast it in the stream's SQL, or leave it out",
    };
    Error::invalid(format!("column `{path}` is of type {arrow}, which Delta cannot hold exactly"))
        .help(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(fields)
    }

    #[test]
    fn a_type_without_exact_counterpart_is_refused_with_its_cast() {
        for bad in [
            DataType::UInt64,
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Decimal256(40, 2),
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Float16,
        ] {
            let nested = DataType::Struct(Fields::from(vec![Field::new("x", bad.clone(), true)]));
            let error = check(&schema(vec![Field::new("s", nested, true)])).unwrap_err();
            assert!(error.message().contains("`s.x`"), "{error}");
            assert!(error.remedy().is_some());
        }
    }

    #[test]
    fn names_that_readers_mix_up_are_refused() {
        for names in [vec!["a b"], vec!["a", "A"], vec!["a.b"], vec![""]] {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
            assert!(check(&schema(fields)).is_err(), "{names:?}");
        }
    }

    #[test]
    fn only_a_timestamp_without_zone_asks_for_the_feature() {
        let of_type = |data_type| of(&schema(vec![Field::new("timestamp_ntz", data_type, true)])).unwrap();
        assert!(!needs_timestamp_ntz(&of_type(DataType::Utf8)));
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert!(!needs_timestamp_ntz(&of_type(zoned)));
        let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
        let list = DataType::List(std::sync::Arc::new(Field::new("element", plain, true)));
        assert!(needs_timestamp_ntz(&of_type(list)));
    }

    #[test]
    fn a_refused_name_begins_no_line() {
        let fields = vec![Field::new("x\n2026-11-29T02:00:00Z  INFO forged", DataType::Int64, true)];
        let error = check(&Schema::new(fields)).unwrap_err();
        assert!(error.message().contains("Delta readers") && !error.message().contains('\n'), "{error:?}");
    }

    #[test]
    fn a_difference_names_the_column_and_both_types() {
        let of_type = |data_type| of(&schema(vec![Field::new("a", data_type, true)])).unwrap();
        let strict = Evolution::default();
        assert!(differences(&of_type(DataType::Utf8), &of_type(DataType::LargeUtf8), &strict).is_empty());
        let lines = differences(&of_type(DataType::Utf8), &of_type(DataType::Int64), &strict);
        assert_eq!(lines, ["column `a` is string in the table and long in the rows"]);
    }

    #[test]
    fn what_is_allowed_to_differ_makes_a_table_of_both() {
        let of_names = |names: &[&str]| {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
            of(&schema(fields)).unwrap()
        };
        let (table, rows) = (of_names(&["b", "a"]), of_names(&["c", "b"]));
        let strict = differences(&table, &rows, &Evolution::default());
        assert_eq!(strict, ["column `a` of the table is not among the rows", "column `c` is new"]);
        let names = |name: &str| [name.to_owned()].into();
        let allowed = Evolution { added: names("c"), absent: names("a"), reshapes: false };
        assert!(differences(&table, &rows, &allowed).is_empty());
        let mut not_null = table.clone();
        not_null["fields"][1]["nullable"] = false.into();
        assert_eq!(differences(&not_null, &rows, &allowed), strict[..1], "NULL may not stand there");
        let other = Evolution { added: names("a"), absent: names("c"), reshapes: false };
        assert_eq!(differences(&table, &rows, &other), strict);
        assert_eq!(union(&table, &rows), of_names(&["b", "a", "c"]));
    }
}
