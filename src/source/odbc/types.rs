//! Which types are carried as what, and how they are asked of the driver.

use std::num::NonZeroUsize;

use arrow::datatypes::{DataType as Arrow, TimeUnit};
use arrow_odbc::odbc_api::DataType;
use arrow_odbc::odbc_api::buffers::BufferDesc;

use super::dbms::Dbms;
use crate::source::Carried;

/// Most digits that `Decimal128` holds.
const MAX_PRECISION: usize = 38;
/// Longer values are fetched one by one; buffers for many rows of them would be large.
const LONG_CHARS: usize = 4000;
const LONG_BYTES: usize = 8000;
/// Room for numbers, dates and the like, as text.
const SHORT_CHARS: usize = 200;
/// The longest `bit(n)`.
const BIT_BYTES: usize = 8;
/// Fractions of a second that a timestamp holds exactly.
const MICROSECOND_DIGITS: i16 = 6;
/// What the PostgreSQL driver says of a `numeric` without limits.
const POSTGRES_UNLIMITED: (usize, i16) = (28, 6);
/// The types of PostgreSQL that are text; the driver says of many more that they are.
const POSTGRES_TEXTS: &[&str] = &["text", "varchar", "bpchar", "name", "char"];

/// How a value is fetched and what it becomes. Made once per column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Bit,
    Int16,
    Int32,
    Int64,
    Real,
    Double,
    /// As text, to `Decimal128`.
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    Timestamp {
        utc: bool,
    },
    DateText,
    TimestampText {
        utc: bool,
    },
    /// `None`: of any length.
    Text {
        units: Option<usize>,
    },
    Binary {
        bytes: Option<usize>,
    },
    /// As text, for drivers that round or coerce on the way.
    RealText,
    DoubleText,
    Int64Text,
    /// `bit(1)` as its byte.
    BitBytes,
    /// Numbers and bytes that become text here, where a driver would round or its form is not fixed.
    RealAsText,
    DoubleAsText,
    BinaryAsText {
        bytes: Option<usize>,
    },
}

/// What is known of a column.
pub(super) struct Described<'a> {
    pub(super) data_type: DataType,
    pub(super) unsigned: bool,
    /// The type's name in the source, where the catalog was asked.
    pub(super) type_name: Option<&'a str>,
}

impl Wire {
    /// `None` for a column of which the driver would lose something whatever it is asked for.
    pub(super) fn of(dbms: Dbms, described: &Described<'_>) -> Option<Self> {
        let name = described.type_name.unwrap_or_default().to_ascii_lowercase();
        match dbms {
            Dbms::Oracle if name.contains("time zone") => return None,
            Dbms::Sqlite => return of_sqlite(described.data_type, &name),
            Dbms::Postgres if name == "money" => return Some(Self::Text { units: None }),
            _ => {}
        }
        // Oracle's driver calls NUMBER without a precision a double.
        let rounds = dbms == Dbms::Oracle && !name.starts_with("binary_");
        let by_text = dbms == Dbms::Postgres;
        Some(match described.data_type {
            DataType::Bit if dbms == Dbms::Mysql => Self::BitBytes,
            DataType::Bit => Self::Bit,
            DataType::TinyInt => Self::Int16,
            DataType::SmallInt if described.unsigned => Self::Int32,
            DataType::SmallInt => Self::Int16,
            DataType::Integer if described.unsigned => Self::Int64,
            DataType::Integer => Self::Int32,
            DataType::BigInt if described.unsigned => Self::Decimal { precision: 20, scale: 0 },
            DataType::BigInt => Self::Int64,
            DataType::Real | DataType::Float { .. } | DataType::Double if rounds => Self::short_text(),
            // A query may have `money` here, which the driver calls a float too.
            DataType::Real if by_text => Self::RealText,
            DataType::Real => Self::Real,
            DataType::Float { .. } | DataType::Double if by_text => Self::DoubleText,
            DataType::Float { .. } | DataType::Double => Self::Double,
            DataType::Numeric { precision, scale } | DataType::Decimal { precision, scale } => {
                let units = (dbms != Dbms::Postgres).then_some(SHORT_CHARS);
                decimal(dbms, precision, scale).unwrap_or(Self::Text { units })
            }
            DataType::Date if dbms.dates_are_texts() => Self::DateText,
            DataType::Date => Self::Date,
            DataType::Timestamp { precision } if (0..=MICROSECOND_DIGITS).contains(&precision) => {
                let utc = dbms == Dbms::Postgres && name == "timestamptz"
                    || dbms == Dbms::Mysql && name == "timestamp";
                if dbms.dates_are_texts() { Self::TimestampText { utc } } else { Self::Timestamp { utc } }
            }
            DataType::Char { length }
            | DataType::WChar { length }
            | DataType::Varchar { length }
            | DataType::WVarchar { length } => text(dbms, length),
            DataType::Binary { length } | DataType::Varbinary { length } => Self::Binary {
                bytes: length.map(NonZeroUsize::get).filter(|l| *l <= LONG_BYTES && dbms.keeps_lengths()),
            },
            DataType::LongVarbinary { .. } => Self::Binary { bytes: None },
            DataType::Time { .. } | DataType::Timestamp { .. } => Self::short_text(),
            DataType::Unknown
            | DataType::LongVarchar { .. }
            | DataType::WLongVarchar { .. }
            | DataType::Other { .. } => Self::Text { units: None },
        })
    }

    /// The same column, asked for as the source's own text.
    pub(super) fn as_text(self, dbms: Dbms) -> Self {
        match self {
            _ if dbms == Dbms::Postgres => Self::Text { units: None },
            Self::Text { .. } => self,
            Self::BitBytes => Self::BinaryAsText { bytes: Some(BIT_BYTES) },
            Self::Binary { bytes } => Self::BinaryAsText { bytes },
            // Drivers write fewer digits than a number has.
            Self::Real => Self::RealAsText,
            Self::Double => Self::DoubleAsText,
            _ => Self::short_text(),
        }
    }

    /// Whether the database itself is to turn the column into text, where the driver would change a
    /// value on its way: years before 1, infinities.
    pub(super) fn is_cast(self, dbms: Dbms, asked: &Carried) -> bool {
        let changes =
            matches!(self, Self::DateText | Self::TimestampText { .. } | Self::RealText | Self::DoubleText);
        dbms == Dbms::Postgres && (changes || *asked == Carried::AsText)
    }

    fn short_text() -> Self {
        Self::Text { units: Some(SHORT_CHARS) }
    }

    /// The Arrow type the values become.
    pub(super) fn arrow(self) -> Arrow {
        let zone = |utc: bool| utc.then(|| "UTC".into());
        match self {
            Self::Bit | Self::BitBytes => Arrow::Boolean,
            Self::Int16 => Arrow::Int16,
            Self::Int32 => Arrow::Int32,
            Self::Int64 | Self::Int64Text => Arrow::Int64,
            Self::Real | Self::RealText => Arrow::Float32,
            Self::Double | Self::DoubleText => Arrow::Float64,
            Self::Decimal { precision, scale } => Arrow::Decimal128(precision, scale),
            Self::Date | Self::DateText => Arrow::Date32,
            Self::Timestamp { utc } | Self::TimestampText { utc } => {
                Arrow::Timestamp(TimeUnit::Microsecond, zone(utc))
            }
            Self::Text { .. } | Self::RealAsText | Self::DoubleAsText | Self::BinaryAsText { .. } => {
                Arrow::Utf8
            }
            Self::Binary { .. } => Arrow::Binary,
        }
    }

    /// How the plan shows such a column.
    pub(super) fn carried(self, dbms: Dbms, described: &Described<'_>) -> Carried {
        let called_text = matches!(
            described.data_type,
            DataType::Char { .. }
                | DataType::WChar { .. }
                | DataType::Varchar { .. }
                | DataType::WVarchar { .. }
                | DataType::LongVarchar { .. }
                | DataType::WLongVarchar { .. }
        );
        let is_text = called_text
            && (dbms != Dbms::Postgres || described.type_name.is_none_or(|n| POSTGRES_TEXTS.contains(&n)));
        match self {
            Self::Text { .. } if !is_text => Carried::AsText,
            _ => Carried::Exact(self.arrow()),
        }
    }

    /// The buffer for many rows; `None` when the values may be of any length.
    pub(super) fn buffer(self) -> Option<BufferDesc> {
        let nullable = true;
        Some(match self {
            Self::Bit => BufferDesc::Bit { nullable },
            Self::Int16 => BufferDesc::I16 { nullable },
            Self::Int32 => BufferDesc::I32 { nullable },
            Self::Int64 => BufferDesc::I64 { nullable },
            Self::Real | Self::RealAsText => BufferDesc::F32 { nullable },
            Self::Double | Self::DoubleAsText => BufferDesc::F64 { nullable },
            Self::Date => BufferDesc::Date { nullable },
            Self::Timestamp { .. } => BufferDesc::Timestamp { nullable },
            Self::Decimal { .. }
            | Self::DateText
            | Self::TimestampText { .. }
            | Self::RealText
            | Self::DoubleText
            | Self::Int64Text => BufferDesc::WText { max_str_len: SHORT_CHARS },
            Self::BitBytes => BufferDesc::Binary { max_bytes: BIT_BYTES },
            Self::Text { units } => BufferDesc::WText { max_str_len: units? },
            Self::Binary { bytes } | Self::BinaryAsText { bytes } => BufferDesc::Binary { max_bytes: bytes? },
        })
    }
}

/// SQLite's driver coerces cells to the declared type without a word and writes reals with 15 digits,
/// so only what comes as its text is taken, and only where the declared type allows no reals.
fn of_sqlite(data_type: DataType, name: &str) -> Option<Wire> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["int"]) {
        return Some(Wire::Int64Text);
    }
    if has(&["char", "text", "clob"]) {
        return Some(Wire::Text { units: None });
    }
    let bytes = matches!(
        data_type,
        DataType::Binary { .. } | DataType::Varbinary { .. } | DataType::LongVarbinary { .. }
    );
    (bytes && has(&["blob"])).then_some(Wire::Binary { bytes: None })
}

fn text(dbms: Dbms, length: Option<NonZeroUsize>) -> Wire {
    let chars = length.map(NonZeroUsize::get).filter(|l| *l <= LONG_CHARS && dbms.keeps_lengths());
    // A character may take two units of UTF-16.
    Wire::Text { units: chars.map(|chars| chars * 2) }
}

fn decimal(dbms: Dbms, precision: usize, scale: i16) -> Option<Wire> {
    if dbms == Dbms::Postgres && (precision, scale) == POSTGRES_UNLIMITED {
        return None;
    }
    let fits = (1..=MAX_PRECISION).contains(&precision)
        && usize::try_from(scale).is_ok_and(|scale| scale <= precision);
    let precision = u8::try_from(precision).ok().filter(|_| fits)?;
    Some(Wire::Decimal { precision, scale: i8::try_from(scale).ok()? })
}

/// The type as ODBC names it, for a column of a query.
pub(super) fn name(data_type: DataType) -> String {
    let of_length = |name: &str, length: Option<NonZeroUsize>| match length {
        Some(length) => format!("{name}({length})"),
        None => name.to_owned(),
    };
    match data_type {
        DataType::Bit => "bit".to_owned(),
        DataType::TinyInt => "tinyint".to_owned(),
        DataType::SmallInt => "smallint".to_owned(),
        DataType::Integer => "integer".to_owned(),
        DataType::BigInt => "bigint".to_owned(),
        DataType::Real => "real".to_owned(),
        DataType::Float { .. } => "float".to_owned(),
        DataType::Double => "double".to_owned(),
        DataType::Numeric { precision, scale } => format!("numeric({precision},{scale})"),
        DataType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        DataType::Date => "date".to_owned(),
        DataType::Time { .. } => "time".to_owned(),
        DataType::Timestamp { precision } => format!("timestamp({precision})"),
        DataType::Char { length } => of_length("char", length),
        DataType::WChar { length } => of_length("nchar", length),
        DataType::Varchar { length } => of_length("varchar", length),
        DataType::WVarchar { length } => of_length("nvarchar", length),
        DataType::LongVarchar { .. } | DataType::WLongVarchar { .. } => "long varchar".to_owned(),
        DataType::Binary { length } => of_length("binary", length),
        DataType::Varbinary { length } => of_length("varbinary", length),
        DataType::LongVarbinary { .. } => "long varbinary".to_owned(),
        DataType::Other { data_type, .. } => format!("type {}", data_type.0),
        DataType::Unknown => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(dbms: Dbms, data_type: DataType, unsigned: bool, type_name: &str) -> Option<Wire> {
        Wire::of(dbms, &Described { data_type, unsigned, type_name: Some(type_name) })
    }

    #[test]
    fn unsigned_integers_are_widened() {
        let of = |data_type| wire(Dbms::Mysql, data_type, true, "").unwrap();
        assert_eq!(of(DataType::TinyInt), Wire::Int16);
        assert_eq!(of(DataType::SmallInt), Wire::Int32);
        assert_eq!(of(DataType::Integer), Wire::Int64);
        assert_eq!(of(DataType::BigInt), Wire::Decimal { precision: 20, scale: 0 });
    }

    #[test]
    fn decimals_beyond_38_digits_and_numbers_without_limits_are_text() {
        let number =
            |dbms, precision, scale| wire(dbms, DataType::Numeric { precision, scale }, false, "").unwrap();
        assert_eq!(number(Dbms::Oracle, 38, 10), Wire::Decimal { precision: 38, scale: 10 });
        for (dbms, precision, scale) in
            [(Dbms::Mysql, 65, 30), (Dbms::Oracle, 38, -2), (Dbms::Postgres, 28, 6), (Dbms::Oracle, 0, -127)]
        {
            assert!(matches!(number(dbms, precision, scale), Wire::Text { .. }), "{dbms:?}");
        }
    }

    #[test]
    fn trap_oracle_numbers_are_not_rounded_to_doubles() {
        let double = DataType::Double;
        assert!(matches!(wire(Dbms::Oracle, double, false, "NUMBER"), Some(Wire::Text { .. })));
        assert_eq!(wire(Dbms::Oracle, double, false, "BINARY_DOUBLE"), Some(Wire::Double));
        assert_eq!(
            wire(Dbms::Oracle, DataType::Timestamp { precision: 6 }, false, "TIMESTAMP(6) WITH TIME ZONE"),
            None
        );
    }

    #[test]
    fn trap_timestamps_finer_than_microseconds_are_text() {
        for (precision, exact) in [(0, true), (6, true), (7, false), (9, false), (12, false)] {
            let wire = wire(Dbms::SqlServer, DataType::Timestamp { precision }, false, "datetime2").unwrap();
            assert_eq!(wire == Wire::Timestamp { utc: false }, exact, "{precision}");
        }
    }

    #[test]
    fn long_and_unbounded_columns_have_no_buffer_to_be_cut_to() {
        let varchar = |length| DataType::Varchar { length: NonZeroUsize::new(length) };
        for length in [0, 4001, 1 << 30] {
            assert!(wire(Dbms::Mysql, varchar(length), false, "").unwrap().buffer().is_none(), "{length}");
        }
        assert!(wire(Dbms::Mysql, varchar(4000), false, "").unwrap().buffer().is_some());
        // Drivers that describe lengths which do not hold.
        assert!(wire(Dbms::Postgres, varchar(10), false, "").unwrap().buffer().is_none());
        assert!(wire(Dbms::Sqlite, varchar(10), false, "varchar(10)").unwrap().buffer().is_none());
    }
}
