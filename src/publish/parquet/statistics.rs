//! Delta statistics of a written file, from its Parquet metadata: of open columns only.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Datelike as _, Days, NaiveDate};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

/// A maximum that could not be cut shorter than this is left out.
const LONGEST_TEXT: usize = 256;

/// An open leaf that is reached through structs only: the kind that Delta has statistics of.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    path: Vec<String>,
    data_type: DataType,
    /// Index among the leaves of the Parquet file.
    index: usize,
}

impl Leaf {
    /// The leaves of a file's schema that are `open`.
    pub(super) fn of(schema: &Schema, open: &BTreeSet<String>) -> Vec<Self> {
        let mut leaves = Vec::new();
        let mut index = 0;
        for field in schema.fields() {
            collect(field, &mut Vec::new(), true, &mut index, &mut leaves);
        }
        leaves.retain(|leaf| open.contains(&leaf.path.join(".")));
        leaves
    }
}

/// Walks to the leaves in Parquet order, counting those of lists and maps too.
fn collect(field: &Field, above: &mut Vec<String>, plain: bool, index: &mut usize, leaves: &mut Vec<Leaf>) {
    above.push(field.name().clone());
    match field.data_type() {
        DataType::Struct(fields) => {
            fields.iter().for_each(|field| collect(field, above, plain, index, leaves));
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _) => collect(item, above, false, index, leaves),
        other => {
            if plain {
                let data_type = match other {
                    DataType::Dictionary(_, value) => value.as_ref().clone(),
                    other => other.clone(),
                };
                leaves.push(Leaf { path: above.clone(), data_type, index: *index });
            }
            *index += 1;
        }
    }
    above.pop();
}

/// What Delta keeps of one column: JSON texts.
#[derive(Debug, Default)]
struct Summary {
    min: Option<String>,
    max: Option<String>,
    nulls: Option<u64>,
}

/// The `stats` text of an `add` action.
pub(super) fn of(metadata: &ParquetMetaData, leaves: &[Leaf]) -> String {
    let rows = metadata.file_metadata().num_rows();
    let summaries: Vec<_> =
        leaves.iter().map(|leaf| (leaf.path.as_slice(), summary(metadata, leaf))).collect();
    let pick = |value: &dyn Fn(&Summary) -> Option<String>| {
        let chosen: Vec<_> =
            summaries.iter().filter_map(|(path, summary)| Some((*path, value(summary)?))).collect();
        object(&chosen)
    };
    format!(
        r#"{{"numRecords":{rows},"minValues":{},"maxValues":{},"nullCount":{}}}"#,
        pick(&|summary| summary.min.clone()),
        pick(&|summary| summary.max.clone()),
        pick(&|summary| summary.nulls.map(|nulls| nulls.to_string())),
    )
}

/// A JSON object of values at paths; values of one parent follow each other. Written by hand because
/// decimals must keep all their digits.
fn object(values: &[(&[String], String)]) -> String {
    let mut out = String::from("{");
    let mut rest = values;
    while let Some((path, value)) = rest.first() {
        if out.len() > 1 {
            out.push(',');
        }
        let name = &path[0];
        let _ = write!(out, "{}:", serde_json::Value::from(name.as_str()));
        if path.len() == 1 {
            out.push_str(value);
            rest = &rest[1..];
            continue;
        }
        let count = rest.iter().take_while(|(path, _)| path.len() > 1 && path[0] == *name).count();
        let inner: Vec<_> = rest[..count].iter().map(|(path, value)| (&path[1..], value.clone())).collect();
        out.push_str(&object(&inner));
        rest = &rest[count..];
    }
    out.push('}');
    out
}

/// One column over all row groups. A minimum or maximum that any row group cannot tell is left out.
fn summary(metadata: &ParquetMetaData, leaf: &Leaf) -> Summary {
    let mut nulls = Some(0);
    let mut low: Option<Value> = None;
    let mut high: Option<Value> = None;
    let mut bounded = true;
    for group in metadata.row_groups() {
        let Some(statistics) = group.column(leaf.index).statistics() else {
            return Summary::default();
        };
        let null_count = statistics.null_count_opt();
        nulls = nulls.zip(null_count).map(|(sum, more)| sum + more);
        if null_count == u64::try_from(group.num_rows()).ok() {
            continue;
        }
        match bounds(statistics, &leaf.data_type) {
            Some((min, max)) => {
                low = Some(low.map_or(min.clone(), |low| low.min(min)));
                high = Some(high.map_or(max.clone(), |high| high.max(max)));
            }
            None => bounded = false,
        }
    }
    let json =
        |value: Option<Value>| value.filter(|_| bounded).and_then(|value| json(&value, &leaf.data_type));
    Summary { min: json(low), max: json(high), nulls }
}

/// A bound that compares as the column's values do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i128),
    Text(String),
}

/// Bounds of a row group. None for floats (NaN has no place in them, and readers disagree on its
/// order), booleans and binaries (Delta has none).
fn bounds(statistics: &Statistics, data_type: &DataType) -> Option<(Value, Value)> {
    let number = |min: i128, max: i128| Some((Value::Number(min), Value::Number(max)));
    match (statistics, data_type) {
        (
            Statistics::Int32(s),
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Date32
            | DataType::Decimal128(..)
            | DataType::Decimal32(..)
            | DataType::Decimal64(..),
        ) => number((*s.min_opt()?).into(), (*s.max_opt()?).into()),
        (
            Statistics::Int64(s),
            DataType::Int64 | DataType::Timestamp(..) | DataType::Decimal128(..) | DataType::Decimal64(..),
        ) => number((*s.min_opt()?).into(), (*s.max_opt()?).into()),
        (Statistics::FixedLenByteArray(s), DataType::Decimal128(..)) => {
            number(big_endian(s.min_opt()?.data())?, big_endian(s.max_opt()?.data())?)
        }
        (Statistics::ByteArray(s), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
            let text = |bytes: &[u8]| {
                let text = std::str::from_utf8(bytes).ok()?;
                (text.len() <= LONGEST_TEXT).then(|| Value::Text(text.to_owned()))
            };
            Some((text(s.min_opt()?.data())?, text(s.max_opt()?.data())?))
        }
        _ => None,
    }
}

/// A two's complement number.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let mut all = if *bytes.first()? >= 0x80 { [0xff; 16] } else { [0; 16] };
    let start = all.len().checked_sub(bytes.len())?;
    all[start..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(all))
}

/// A bound as Delta's JSON writes it.
fn json(value: &Value, data_type: &DataType) -> Option<String> {
    let number = match value {
        Value::Text(text) => return Some(serde_json::Value::from(text.as_str()).to_string()),
        Value::Number(number) => *number,
    };
    match data_type {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            decimal(number, *scale)
        }
        DataType::Date32 => {
            let days = i64::try_from(number).ok()?;
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
            let date = match u64::try_from(days) {
                Ok(days) => epoch.checked_add_days(Days::new(days)),
                Err(_) => epoch.checked_sub_days(Days::new(days.unsigned_abs())),
            }?;
            (0..=9999).contains(&date.year()).then(|| format!("\"{date}\""))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let instant = DateTime::from_timestamp_micros(i64::try_from(number).ok()?)?;
            let zulu = if zone.is_some() { "Z" } else { "" };
            (0..=9999)
                .contains(&instant.year())
                .then(|| format!("\"{}{zulu}\"", instant.format("%Y-%m-%dT%H:%M:%S%.6f")))
        }
        DataType::Timestamp(..) => None,
        _ => Some(number.to_string()),
    }
}

/// A decimal with all its digits.
fn decimal(number: i128, scale: i8) -> Option<String> {
    let scale = usize::try_from(scale).ok()?;
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(decimal(-5, 2).unwrap(), "-0.05");
        assert_eq!(decimal(12_345_678_901_234_567_890, 4).unwrap(), "1234567890123456.7890");
        assert_eq!(decimal(7, 0).unwrap(), "7");
        assert_eq!(big_endian(&[0xff, 0xfe]).unwrap(), -2);
    }

    #[test]
    fn nested_values_are_grouped_under_their_parents() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (a, b, c) = (path("a"), path("b.x"), path("b.y"));
        let values = [(&a[..], "1".to_owned()), (&b[..], "2".to_owned()), (&c[..], "\"z\"".to_owned())];
        assert_eq!(object(&values), r#"{"a":1,"b":{"x":2,"y":"z"}}"#);
    }
}
