//! What the columns of a file are: decided once per write.

use std::sync::atomic::AtomicBool;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{self, ConvertedType, LogicalType, Type as Physical};
use parquet::schema::types::Type;

use super::number;
use super::texts;
use super::thrift::Thrift;

/// One leaf, which is also one column of the batches.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) nullable: bool,
    /// Whether bounds and NULL counts may be seen.
    pub(super) open: bool,
    pub(super) kind: Kind,
    /// Physical type, as the specification numbers it.
    pub(super) physical: i32,
    /// A dictionary has outgrown its bound: later chunks of the write do without.
    pub(super) no_dictionary: AtomicBool,
    /// The leaf's schema element, in Thrift.
    pub(super) element: Vec<u8>,
}

/// How a column's values are encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    /// Four bytes.
    Word(number::Order),
    /// Eight bytes.
    Long(number::Order),
    Text,
    /// Values of that many bytes.
    Fixed(usize, texts::Order),
}

impl Shape {
    /// The leaves of a schema, where this encoder takes all of them.
    pub(super) fn all(schema: &Schema, open: &dyn Fn(&str) -> bool) -> Option<Vec<Self>> {
        let parquet = ArrowSchemaConverter::new().convert(schema).ok()?;
        let fields = parquet.root_schema().get_fields();
        schema.fields().iter().zip(fields).map(|(field, leaf)| Self::of(field, leaf, open)).collect()
    }

    fn of(field: &Field, leaf: &Type, open: &dyn Fn(&str) -> bool) -> Option<Self> {
        let data_type = match field.data_type() {
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            // Read as one run of bytes.
            DataType::Utf8View => DataType::LargeUtf8,
            DataType::BinaryView => DataType::LargeBinary,
            other => other.clone(),
        };
        let Type::PrimitiveType { physical_type, type_length, .. } = leaf else { return None };
        let length = usize::try_from(*type_length).unwrap_or_default();
        let kind = kind(&data_type, *physical_type, length)?;
        Some(Self {
            name: field.name().clone(),
            data_type,
            nullable: field.is_nullable(),
            open: open(field.name()),
            kind,
            physical: *physical_type as i32,
            no_dictionary: AtomicBool::new(false),
            element: element(leaf)?,
        })
    }
}

/// The encoding of a type, of those that Delta knows.
fn kind(data_type: &DataType, physical: Physical, length: usize) -> Option<Kind> {
    use number::Order;
    let kind = match (data_type, physical) {
        (DataType::Boolean, Physical::BOOLEAN) => Kind::Boolean,
        (
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Date32
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..),
            Physical::INT32,
        ) => Kind::Word(Order::Signed),
        (
            DataType::Int64
            | DataType::Timestamp(TimeUnit::Microsecond, _)
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..),
            Physical::INT64,
        ) => Kind::Long(Order::Signed),
        (DataType::Float32, Physical::FLOAT) => Kind::Word(Order::Float),
        (DataType::Float64, Physical::DOUBLE) => Kind::Long(Order::Float),
        (
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary,
            Physical::BYTE_ARRAY,
        ) => Kind::Text,
        (DataType::Decimal128(..), Physical::FIXED_LEN_BYTE_ARRAY) if (1..=16).contains(&length) => {
            Kind::Fixed(length, texts::Order::Signed)
        }
        (DataType::FixedSizeBinary(_), Physical::FIXED_LEN_BYTE_ARRAY) if length > 0 => {
            Kind::Fixed(length, texts::Order::Bytes)
        }
        _ => return None,
    };
    Some(kind)
}

/// A leaf's schema element; none for a logical type that no column here has.
fn element(leaf: &Type) -> Option<Vec<u8>> {
    let Type::PrimitiveType { basic_info, physical_type, type_length, scale, precision } = leaf else {
        return None;
    };
    let mut thrift = Thrift::default();
    thrift.int(1, *physical_type as i32);
    if *type_length >= 0 {
        thrift.int(2, *type_length);
    }
    thrift.int(3, i32::from(basic_info.repetition() == basic::Repetition::OPTIONAL));
    thrift.binary(4, basic_info.name().as_bytes());
    if let Some(converted) = converted(basic_info.converted_type())? {
        thrift.int(6, converted);
    }
    for (id, number) in [(7, *scale), (8, *precision)] {
        if number >= 0 {
            thrift.int(id, number);
        }
    }
    if basic_info.has_id() {
        thrift.int(9, basic_info.id());
    }
    if let Some(logical_type) = basic_info.logical_type_ref() {
        thrift.begin(10);
        logical(logical_type, &mut thrift)?;
        thrift.end();
    }
    Some(thrift.finish())
}

/// The older form of a logical type, as the specification numbers it.
fn converted(converted: ConvertedType) -> Option<Option<i32>> {
    Some(Some(match converted {
        ConvertedType::NONE => return Some(None),
        ConvertedType::UTF8 => 0,
        ConvertedType::DECIMAL => 5,
        ConvertedType::DATE => 6,
        ConvertedType::TIMESTAMP_MICROS => 10,
        ConvertedType::INT_8 => 15,
        ConvertedType::INT_16 => 16,
        _ => return None,
    }))
}

fn logical(logical: &LogicalType, thrift: &mut Thrift) -> Option<()> {
    match logical {
        LogicalType::String => thrift.unit(1),
        LogicalType::Decimal(decimal) => {
            thrift.begin(5);
            thrift.int(1, decimal.scale);
            thrift.int(2, decimal.precision);
            thrift.end();
        }
        LogicalType::Date => thrift.unit(6),
        LogicalType::Timestamp(timestamp) => {
            if timestamp.unit != basic::TimeUnit::MICROS {
                return None;
            }
            thrift.begin(8);
            thrift.bool(1, timestamp.is_adjusted_to_u_t_c);
            thrift.begin(2);
            thrift.unit(2);
            thrift.end();
            thrift.end();
        }
        LogicalType::Integer(integer) => {
            thrift.begin(10);
            thrift.byte(1, u8::try_from(integer.bit_width).ok()?);
            thrift.bool(2, integer.is_signed);
            thrift.end();
        }
        _ => return None,
    }
    Some(())
}
