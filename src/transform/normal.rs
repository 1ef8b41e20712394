//! The types a published table can hold, decided once per column.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use futures::StreamExt;

use super::fault;
use crate::Batches;
use crate::error::{Error, Result};

/// The published schema of a planned one: same names and order, no metadata, types that Delta
/// holds exactly.
pub(super) fn schema(planned: &Schema) -> Result<SchemaRef> {
    let fields =
        planned.fields().iter().map(|field| published(field, field.name())).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Casts every batch to `schema`; columns that already fit are passed on untouched.
pub(super) fn batches(rows: Batches, schema: SchemaRef) -> Batches {
    rows.map(move |batch| fit(&batch?, &schema)).boxed()
}

fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| to(column, field));
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?).map_err(|_| {
        Error::data("a column declared NOT NULL holds NULL, or the rows do not have the planned columns")
            .help("read the stream's plan again with `sealift plan`")
    })
}

fn to(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(column.clone());
    }
    // `safe: false` makes what does not fit an error instead of a silent NULL.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    fault::cast(cast_with_options(column, field.data_type(), &options), field.name())
}

/// The field without metadata, its type replaced by the one it is published as.
fn published(field: &Field, path: &str) -> Result<Field> {
    Ok(Field::new(field.name(), published_type(field.data_type(), path)?, field.is_nullable()))
}

fn published_type(data_type: &DataType, path: &str) -> Result<DataType> {
    use DataType as T;
    let refuse = |remedy: &str| {
        Err(Error::held(format!(
            "column `{path}` has the type {data_type}, which a published table cannot hold exactly"
        ))
        .help(remedy.to_owned()))
    };
    Ok(match data_type {
        T::Utf8View | T::LargeUtf8 => T::Utf8,
        T::BinaryView | T::LargeBinary | T::FixedSizeBinary(_) => T::Binary,
        T::Dictionary(_, value) => published_type(value, path)?,
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Decimal32(p, s) | T::Decimal64(p, s) => T::Decimal128(*p, *s),
        T::Timestamp(TimeUnit::Nanosecond, _) => {
            return refuse("publish microseconds: arrow_cast(…, 'Timestamp(Microsecond, None)')");
        }
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Date64 => return refuse("cast it to a date or a timestamp in the transform"),
        T::Decimal256(..) => return refuse("cast it to a decimal of at most 38 digits in the transform"),
        T::Null => return refuse("give the NULL a type: CAST(NULL AS …)"),
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::FixedSizeList(item, _) => {
            T::List(Arc::new(published(item, &format!("{path}.list.{}", item.name()))?))
        }
        T::Struct(fields) => T::Struct(
            fields
                .iter()
                .map(|field| published(field, &format!("{path}.{}", field.name())))
                .collect::<Result<Fields>>()?,
        ),
        T::Map(..)
        | T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Float32
        | T::Float64
        | T::Utf8
        | T::Binary
        | T::Date32
        | T::Decimal128(..) => data_type.clone(),
        _ => return refuse("cast it to a supported type in the transform, for example to text"),
    })
}
