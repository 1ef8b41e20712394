//! The types a published table can hold, and its leaf columns as Parquet names them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::ArrowSchemaConverter;

use crate::error::{Error, Result};

/// The type that values of `data_type` are published as, every value surviving unchanged; or what
/// to do about a type that cannot be published. Nothing of a nested type's metadata survives.
pub(super) fn carried(data_type: &DataType) -> Result<DataType, &'static str> {
    use DataType as T;
    let list = |element: &FieldRef| Ok(T::List(named(element, "element", &carried(element.data_type())?)));
    match data_type {
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64 | T::Date32 => {
            Ok(data_type.clone())
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => Ok(T::Utf8),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Ok(T::Binary),
        T::Decimal32(precision, scale) | T::Decimal64(precision, scale) | T::Decimal128(precision, scale)
            if *scale >= 0 =>
        {
            Ok(T::Decimal128(*precision, *scale))
        }
        T::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, zone) => {
            Ok(T::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())))
        }
        T::Timestamp(TimeUnit::Nanosecond, _) => Err("cast it to TIMESTAMP(6) in the transform"),
        T::Dictionary(_, values) if !values.is_nested() => carried(values),
        T::List(element) | T::LargeList(element) => list(element),
        T::Struct(fields) if !fields.is_empty() => {
            let part = |f: &FieldRef| Ok(named(f, f.name(), &carried(f.data_type())?));
            Ok(T::Struct(fields.iter().map(part).collect::<Result<Fields, &'static str>>()?))
        }
        T::Map(entries, is_sorted) => map(entries, *is_sorted),
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Err("cast it to BIGINT in the transform"),
        T::Float16 => Err("cast it to REAL in the transform"),
        T::Null => Err("cast it to a type in the transform, or leave the column out"),
        _ => Err("cast it in the transform to text, a number, a date, a timestamp or binary"),
    }
}

fn map(entries: &FieldRef, is_sorted: bool) -> Result<DataType, &'static str> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => {
            let key = named(&fields[0], "key", &carried(fields[0].data_type())?);
            let value = named(&fields[1], "value", &carried(fields[1].data_type())?);
            let entries = Field::new("key_value", DataType::Struct(vec![key, value].into()), false);
            Ok(DataType::Map(Arc::new(entries), is_sorted))
        }
        _ => Err("its map type is malformed; build it again in the transform"),
    }
}

fn named(field: &Field, name: &str, data_type: &DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type.clone(), field.is_nullable()))
}

/// One leaf column.
pub(super) struct Leaf {
    /// The path that the Parquet writer uses.
    pub(super) path: String,
    /// The path as people write it: without the levels that Parquet adds for lists and maps.
    pub(super) name: String,
    /// Index of its top-level column.
    pub(super) column: usize,
    /// Its own type.
    pub(super) data_type: DataType,
    /// Whether it is a part of a nested column.
    pub(super) is_nested: bool,
}

/// The leaf columns of a schema of carried types, in Parquet's order. The paths are the Parquet
/// writer's own, so that the two can never disagree about which column a decision is for.
///
/// # Errors
/// `Failed` when Parquet cannot hold the schema.
pub(super) fn leaves(schema: &Schema) -> Result<Vec<Leaf>> {
    let parquet = ArrowSchemaConverter::new()
        .convert(schema)
        .map_err(|_| Error::failed("the schema cannot be written as Parquet"))?;
    let mut leaves = Vec::with_capacity(parquet.num_columns());
    for (column, field) in schema.fields().iter().enumerate() {
        walk(field.name(), field.data_type(), column, false, &mut leaves);
    }
    if leaves.len() != parquet.num_columns() {
        return Err(Error::failed("the schema's leaf columns are not those that Parquet would write"));
    }
    for (index, leaf) in leaves.iter_mut().enumerate() {
        leaf.path = parquet.column(index).path().string();
        if parquet.get_column_root_idx(index) != leaf.column {
            return Err(Error::failed("the schema's leaf columns are not in the order of Parquet"));
        }
    }
    Ok(leaves)
}

fn walk(name: &str, data_type: &DataType, column: usize, is_nested: bool, leaves: &mut Vec<Leaf>) {
    match data_type {
        DataType::Struct(fields) => {
            for field in fields {
                walk(&format!("{name}.{}", field.name()), field.data_type(), column, true, leaves);
            }
        }
        DataType::List(element) => walk(name, element.data_type(), column, true, leaves),
        DataType::Map(entries, _) => walk(name, entries.data_type(), column, true, leaves),
        _ => leaves.push(Leaf {
            path: String::new(),
            name: name.to_owned(),
            column,
            data_type: data_type.clone(),
            is_nested,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested() -> Schema {
        let text = |name: &str| Field::new(name, DataType::Utf8View, true);
        let address = DataType::Struct(vec![text("street"), text("city")].into());
        let entries =
            DataType::Struct(vec![Field::new("keys", DataType::Utf8, false), text("values")].into());
        Schema::new(vec![
            text("id"),
            Field::new("address", address.clone(), true),
            Field::new("homes", DataType::List(Arc::new(Field::new("item", address, true))), true),
            Field::new("notes", DataType::Map(Arc::new(Field::new("entries", entries, false)), false), true),
        ])
    }

    #[test]
    fn leaf_paths_are_those_that_parquet_writes() {
        let fields: Vec<_> =
            nested().fields().iter().map(|f| named(f, f.name(), &carried(f.data_type()).unwrap())).collect();
        let leaves = leaves(&Schema::new(fields)).unwrap();
        let seen: Vec<_> = leaves.iter().map(|leaf| (leaf.path.as_str(), leaf.name.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("id", "id"),
                ("address.street", "address.street"),
                ("address.city", "address.city"),
                ("homes.list.element.street", "homes.street"),
                ("homes.list.element.city", "homes.city"),
                ("notes.key_value.key", "notes.key"),
                ("notes.key_value.value", "notes.value"),
            ]
        );
    }

    #[test]
    fn what_delta_cannot_hold_has_a_remedy() {
        let zone = Some("Europe/Zurich".into());
        assert_eq!(
            carried(&DataType::Timestamp(TimeUnit::Second, zone)),
            Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
        );
        for refused in [
            DataType::UInt64,
            DataType::Null,
            DataType::Float16,
            DataType::Decimal256(50, 2),
            DataType::Decimal128(5, -2),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Struct(Fields::empty()),
            DataType::List(Arc::new(Field::new("item", DataType::UInt8, true))),
        ] {
            assert!(carried(&refused).is_err(), "{refused}");
        }
    }
}
