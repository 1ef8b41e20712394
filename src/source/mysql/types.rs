//! Which types are carried, as what, and how a column is asked for as text.

use arrow::datatypes::{DataType, TimeUnit};

use super::ident::quoted;
use super::wire::Definition;
use crate::source::{Carried, Column};

/// Most digits that `Decimal128` holds.
const MAX_PRECISION: u32 = 38;
/// Digits of an unsigned 64-bit integer.
const UNSIGNED_PRECISION: u8 = 20;
/// The character set of bytes that are no text.
const BINARY: u16 = 63;

const UNSIGNED: u16 = 1 << 5;

/// Type numbers of the protocol.
mod kind {
    pub(super) const DECIMAL: u8 = 0;
    pub(super) const TINY: u8 = 1;
    pub(super) const SHORT: u8 = 2;
    pub(super) const LONG: u8 = 3;
    pub(super) const FLOAT: u8 = 4;
    pub(super) const DOUBLE: u8 = 5;
    pub(super) const NULL: u8 = 6;
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const LONGLONG: u8 = 8;
    pub(super) const INT24: u8 = 9;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const YEAR: u8 = 13;
    pub(super) const NEWDATE: u8 = 14;
    pub(super) const VARCHAR: u8 = 15;
    pub(super) const BIT: u8 = 16;
    pub(super) const VECTOR: u8 = 242;
    pub(super) const JSON: u8 = 245;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const ENUM: u8 = 247;
    pub(super) const STRING: u8 = 254;
    pub(super) const GEOMETRY: u8 = 255;
}

/// How a column's values are laid out in a binary row, and what becomes of them. Made once per
/// column; decoding never looks at the type again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Int8,
    UInt8,
    Int16,
    UInt16,
    /// `mediumint` (either sign) and `int`: four bytes that fit a signed 32-bit integer.
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    DateTime,
    Timestamp,
    /// Hours to microseconds, to text with this many decimals.
    Time {
        decimals: u8,
    },
    Text,
    Bytes,
    /// `bit(1)`.
    Flag,
    /// `bit(n)`, to this many binary digits.
    Bits {
        width: u8,
    },
    /// To `SRID=…;` and the hexadecimal well-known binary.
    Geometry,
    /// A `float`, to the shortest text that reads back to it.
    FloatText,
    /// Bytes that have to be text.
    BytesText,
}

impl Layout {
    /// The layout of a result's column; `None` when values of it are not carried.
    pub(super) fn of(definition: &Definition) -> Option<Self> {
        let unsigned = definition.flags & UNSIGNED != 0;
        let either = |signed, other| if unsigned { other } else { signed };
        Some(match definition.kind {
            kind::TINY => either(Self::Int8, Self::UInt8),
            kind::SHORT => either(Self::Int16, Self::UInt16),
            kind::YEAR => Self::Int16,
            kind::INT24 => Self::Int32,
            kind::LONG => either(Self::Int32, Self::UInt32),
            kind::LONGLONG => either(Self::Int64, Self::UInt64),
            kind::FLOAT => Self::Float,
            kind::DOUBLE => Self::Double,
            kind::DECIMAL | kind::NEWDECIMAL => decimal(definition),
            kind::DATE | kind::NEWDATE => Self::Date,
            kind::DATETIME => Self::DateTime,
            kind::TIMESTAMP => Self::Timestamp,
            kind::TIME => Self::Time { decimals: definition.decimals.min(6) },
            kind::BIT if definition.length == 1 => Self::Flag,
            kind::BIT => Self::Bits { width: u8::try_from(definition.length).ok().filter(|w| *w <= 64)? },
            kind::NULL | kind::JSON => Self::Text,
            kind::GEOMETRY => Self::Geometry,
            kind::VECTOR => Self::Bytes,
            kind::VARCHAR | kind::ENUM..=kind::STRING if definition.charset == BINARY => Self::Bytes,
            kind::VARCHAR | kind::ENUM..=kind::STRING => Self::Text,
            _ => return None,
        })
    }

    /// Whether the values are whole numbers that fit 64 bits with a sign.
    pub(super) fn is_whole(self) -> bool {
        use arrow::datatypes::DataType::{Int8, Int16, Int32, Int64};
        matches!(self.arrow(), Int8 | Int16 | Int32 | Int64)
    }

    /// The Arrow type the values become.
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Int8 => DataType::Int8,
            Self::UInt8 | Self::Int16 => DataType::Int16,
            Self::UInt16 | Self::Int32 => DataType::Int32,
            Self::UInt32 | Self::Int64 => DataType::Int64,
            Self::UInt64 => DataType::Decimal128(UNSIGNED_PRECISION, 0),
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => {
                DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(0))
            }
            Self::Date => DataType::Date32,
            Self::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Flag => DataType::Boolean,
            Self::Bytes => DataType::Binary,
            Self::Time { .. }
            | Self::Text
            | Self::Bits { .. }
            | Self::Geometry
            | Self::FloatText
            | Self::BytesText => DataType::Utf8,
        }
    }

    /// How the plan shows it. `source_type` tells the texts from what only reads like one.
    pub(super) fn carried(self, source_type: &str) -> Carried {
        match self {
            Self::Text if is_string(source_type) => Carried::Exact(DataType::Utf8),
            _ if self.arrow() == DataType::Utf8 => Carried::AsText,
            _ => Carried::Exact(self.arrow()),
        }
    }

    /// The same column asked for as text: what to select, and its layout then.
    fn as_text(self, column: &str) -> Option<(String, Self)> {
        Some(match self {
            Self::Int8
            | Self::UInt8
            | Self::Int16
            | Self::UInt16
            | Self::Int32
            | Self::UInt32
            | Self::Int64
            | Self::UInt64
            | Self::Double
            | Self::Decimal { .. }
            | Self::Date
            | Self::DateTime => (format!("CAST({column} AS CHAR) AS {column}"), Self::Text),
            // The session's zone is UTC; the text says so, or it would name no instant.
            Self::Timestamp => (format!("CONCAT(CAST({column} AS CHAR), '+00:00') AS {column}"), Self::Text),
            Self::Flag => (column.to_owned(), Self::Bits { width: 1 }),
            // The server's own text of a float is rounded to six digits.
            Self::Float => (column.to_owned(), Self::FloatText),
            Self::Bytes => (column.to_owned(), Self::BytesText),
            Self::Time { .. } | Self::Text | Self::Bits { .. } | Self::Geometry => (column.to_owned(), self),
            Self::FloatText | Self::BytesText => return None,
        })
    }
}

/// What to select for a column, and the layout of what comes; `None` when the column is not what it
/// was described as.
pub(super) fn asked(column: &Column, now: &Definition) -> Option<(String, Layout)> {
    let (name, layout) = (quoted(&column.name), Layout::of(now)?);
    if column.carried == layout.carried(&column.source_type) {
        return Some((name, layout));
    }
    (column.carried == Carried::AsText).then(|| layout.as_text(&name)).flatten()
}

fn is_string(source_type: &str) -> bool {
    let word: String = source_type.chars().take_while(char::is_ascii_alphabetic).collect();
    ["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "null"]
        .contains(&word.to_ascii_lowercase().as_str())
}

/// Digits before and after the point, from the width of the server's text: it counts a sign where
/// there may be one, and a point where there are decimals.
fn digits(definition: &Definition) -> (u32, u32) {
    let scale = u32::from(definition.decimals);
    let sign = u32::from(definition.flags & UNSIGNED == 0);
    (definition.length.saturating_sub(sign + u32::from(scale > 0)), scale)
}

fn decimal(definition: &Definition) -> Layout {
    let (precision, scale) = digits(definition);
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..), Ok(scale)) if u32::from(precision) <= MAX_PRECISION && scale <= precision => {
            Layout::Decimal { precision, scale }
        }
        _ => Layout::Text,
    }
}

/// A query's column type in the words of SQL.
pub(super) fn type_name(definition: &Definition) -> String {
    let unsigned = if definition.flags & UNSIGNED != 0 { " unsigned" } else { "" };
    let text = definition.charset != BINARY;
    let fraction = match definition.decimals {
        decimals @ 1..=6 => format!("({decimals})"),
        _ => String::new(),
    };
    let word = match definition.kind {
        kind::TINY => return format!("tinyint{unsigned}"),
        kind::SHORT => return format!("smallint{unsigned}"),
        kind::INT24 => return format!("mediumint{unsigned}"),
        kind::LONG => return format!("int{unsigned}"),
        kind::LONGLONG => return format!("bigint{unsigned}"),
        kind::FLOAT => return format!("float{unsigned}"),
        kind::DOUBLE => return format!("double{unsigned}"),
        kind::DECIMAL | kind::NEWDECIMAL => {
            let (precision, scale) = digits(definition);
            return format!("decimal({precision},{scale}){unsigned}");
        }
        kind::BIT => return format!("bit({})", definition.length),
        kind::DATETIME => return format!("datetime{fraction}"),
        kind::TIMESTAMP => return format!("timestamp{fraction}"),
        kind::TIME => return format!("time{fraction}"),
        kind::DATE | kind::NEWDATE => "date",
        kind::YEAR => "year",
        kind::NULL => "null",
        kind::JSON => "json",
        kind::VECTOR => "vector",
        kind::GEOMETRY => "geometry",
        249..=252 if text => "text",
        249..=252 => "blob",
        kind::VARCHAR | kind::ENUM..=kind::STRING if text => "varchar",
        kind::VARCHAR | kind::ENUM..=kind::STRING => "varbinary",
        _ => "unknown",
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: u8, flags: u16, length: u32, decimals: u8) -> Definition {
        Definition { name: "c".into(), kind, flags, charset: BINARY, length, decimals }
    }

    #[test]
    fn trap_unsigned_is_widened_and_never_wraps() {
        for (kind, data_type) in [
            (kind::TINY, DataType::Int16),
            (kind::SHORT, DataType::Int32),
            (kind::INT24, DataType::Int32),
            (kind::LONG, DataType::Int64),
            (kind::LONGLONG, DataType::Decimal128(20, 0)),
        ] {
            let layout = Layout::of(&definition(kind, UNSIGNED, 1, 0)).unwrap();
            assert_eq!(layout.arrow(), data_type, "{kind}");
        }
    }

    #[test]
    fn decimals_are_carried_to_38_digits_and_as_text_beyond() {
        for (length, unsigned, scale, layout) in [
            (17, 0, 2, Layout::Decimal { precision: 15, scale: 2 }),
            (16, UNSIGNED, 2, Layout::Decimal { precision: 15, scale: 2 }),
            (39, 0, 0, Layout::Decimal { precision: 38, scale: 0 }),
            (40, 0, 38, Layout::Decimal { precision: 38, scale: 38 }),
            (40, 0, 0, Layout::Text),
            (67, 0, 30, Layout::Text),
        ] {
            assert_eq!(Layout::of(&definition(kind::NEWDECIMAL, unsigned, length, scale)), Some(layout));
        }
    }

    #[test]
    fn a_type_that_is_not_known_is_not_carried() {
        assert_eq!(Layout::of(&definition(200, 0, 1, 0)), None);
    }

    #[test]
    fn only_the_binary_character_set_makes_bytes() {
        let blob = definition(252, 0, 9, 0);
        assert_eq!(Layout::of(&blob), Some(Layout::Bytes));
        assert_eq!(Layout::of(&Definition { charset: 45, ..blob }), Some(Layout::Text));
    }
}
