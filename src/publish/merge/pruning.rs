//! Which live files may hold a key at all, by what the log tells of them.

use arrow::datatypes::DataType;
use serde_json::Value;

use crate::publish::Table;
use crate::publish::table::LiveFile;

/// What a file holds in the columns of a key, as far as it is known, in the key's order.
type Extent = Vec<Option<Span>>;

/// The least and the greatest value of a column in a file.
#[derive(Debug, PartialEq)]
enum Span {
    Integers(i64, i64),
    Texts(String, String),
    /// The one value of a folder.
    Folder(Option<String>),
}

impl Span {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integers(low, high), Self::Integers(from, to)) => low <= to && from <= high,
            (Self::Texts(low, high), Self::Texts(from, to)) => low <= to && from <= high,
            (Self::Folder(one), Self::Folder(other)) => one == other,
            _ => true,
        }
    }
}

/// Indices of the files of `live` that may hold a key which is in a file of `incoming`.
pub(super) fn candidates(live: &Table, incoming: &Table, key: &[String]) -> Vec<usize> {
    let incoming: Vec<Extent> = incoming.files.iter().map(|file| of(incoming, file, key)).collect();
    let meets = |file: &LiveFile| {
        let file = of(live, file, key);
        incoming.iter().any(|other| overlap(&file, other))
    };
    live.files.iter().enumerate().filter(|(_, file)| meets(file)).map(|(index, _)| index).collect()
}

fn overlap(one: &Extent, other: &Extent) -> bool {
    one.iter().zip(other).all(|pair| match pair {
        (Some(one), Some(other)) => one.meets(other),
        _ => true,
    })
}

fn of(table: &Table, file: &LiveFile, key: &[String]) -> Extent {
    let stats = file.stats.as_ref().and_then(|stats| serde_json::from_str(stats).ok()).unwrap_or(Value::Null);
    key.iter().map(|column| span(table, file, &stats, column)).collect()
}

/// Decimals and instants are left out: the log has them in more than one spelling.
fn span(table: &Table, file: &LiveFile, stats: &Value, column: &str) -> Option<Span> {
    if let Some((_, value)) = file.partition.iter().find(|(name, _)| name == column) {
        return Some(Span::Folder(value.clone()));
    }
    let (low, high) = (&stats["minValues"][column], &stats["maxValues"][column]);
    match table.schema.field_with_name(column).ok()?.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            Some(Span::Integers(low.as_i64()?, high.as_i64()?))
        }
        DataType::Utf8 | DataType::Date32 => {
            Some(Span::Texts(low.as_str()?.to_owned(), high.as_str()?.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_cannot_be_compared_meet() {
        let integers = Span::Integers(5, 9);
        assert!(integers.meets(&Span::Integers(9, 12)) && !integers.meets(&Span::Integers(10, 12)));
        assert!(integers.meets(&Span::Texts("a".into(), "b".into())));
        assert!(!Span::Folder(None).meets(&Span::Folder(Some("CH".into()))));
        let (apart, unknown) = (vec![Some(integers), None], vec![None, Some(Span::Folder(None))]);
        assert!(overlap(&apart, &unknown));
        assert!(!overlap(&apart, &vec![Some(Span::Integers(0, 4)), None]));
    }
}
