//! Values as the server says them and as Arrow holds them, in one form that can be compared.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{sort_to_indices, take};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use tokio_postgres::Client;

use super::column;

/// What the text of a value depends on besides the value, as Sealift sets it.
pub(super) const FORMS: &str = "SET TIME ZONE 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'";

/// A comparable value: dates and instants are counted, floats are bits, bytes are hex, all other
/// scalars are text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<Value>),
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// SQL for the comparable form of a value that is carried as this type.
pub(super) fn expression(value: &str, arrow: &DataType, pg_type: &str) -> String {
    match arrow {
        DataType::Boolean => format!("({value})::text"),
        DataType::Decimal128(..) if pg_type == "money" => format!("({value})::numeric::text"),
        DataType::Date32 => format!("(({value}) - '1970-01-01'::date)::text"),
        DataType::Timestamp(..) => {
            format!("(trunc(extract(epoch FROM ({value})) * 1000000))::int8::text")
        }
        DataType::Float32 => format!("encode(float4send({value}), 'hex')"),
        DataType::Float64 => format!("encode(float8send({value}), 'hex')"),
        DataType::Binary => format!("encode({value}, 'hex')"),
        _ => text_expression(value, pg_type),
    }
}

/// SQL for the text that the server writes for a value.
pub(super) fn text_expression(value: &str, pg_type: &str) -> String {
    match pg_type {
        "bool" => format!("({value})::text"),
        "money" => format!("({value})::numeric::text"),
        "_money" => format!("({value})::numeric[]::text"),
        // The output function, which a cast may go round: char(n), inet.
        _ => {
            format!("CASE WHEN ({value}) IS NOT DISTINCT FROM NULL THEN NULL ELSE format('%s', {value}) END")
        }
    }
}

/// What an expression gives for each row of `t`, in order.
pub(super) async fn server(client: &Client, expression: &str) -> Vec<Value> {
    client.batch_execute(FORMS).await.unwrap();
    let sql = format!("SELECT {expression} FROM t ORDER BY n");
    let rows = client.query(&sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    rows.iter().map(|row| row.get::<_, Option<String>>(0).into()).collect()
}

/// The same for the elements of an array column.
pub(super) async fn server_elements(client: &Client, column: &str, element: &str) -> Vec<Value> {
    client.batch_execute(FORMS).await.unwrap();
    let sql = format!(
        "SELECT CASE WHEN {column} IS NOT NULL THEN coalesce((SELECT array_agg({element} ORDER BY o) \
         FROM (SELECT {column}[i], i FROM generate_subscripts({column}, 1) AS i) u(e, o)), '{{}}') END \
         FROM t ORDER BY n"
    );
    let rows = client.query(&sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let list = |elements: Vec<Option<String>>| Value::List(elements.into_iter().map(Value::from).collect());
    rows.iter().map(|row| row.get::<_, Option<_>>(0).map_or(Value::Null, list)).collect()
}

/// One column over all batches, by ascending `n`, the first column.
pub(super) fn in_order(batches: &[RecordBatch], index: usize) -> ArrayRef {
    let order = sort_to_indices(&column(batches, 0), None, None).unwrap();
    take(&column(batches, index), &order, None).unwrap()
}

/// The values of an Arrow column.
pub(super) fn arrow(array: &ArrayRef) -> Vec<Value> {
    (0..array.len()).map(|row| value(array, row)).collect()
}

fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    Value::Text(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => format!("{:08x}", array.as_primitive::<Float32Type>().value(row).to_bits()),
        DataType::Float64 => format!("{:016x}", array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Binary => hex::encode(array.as_binary::<i32>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::List(_) => return Value::List(arrow(&array.as_list::<i32>().value(row))),
        DataType::Struct(_) => {
            return Value::List(array.as_struct().columns().iter().map(|c| value(c, row)).collect());
        }
        other => panic!("{other} is not expected"),
    })
}
