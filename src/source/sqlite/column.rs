//! Cells to Arrow arrays, and the refusal of cells of another storage class.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions,
    StringBuilder,
};
use arrow::datatypes::{Schema, SchemaRef};
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::types::Class;
use crate::error::{Error, Result};
use crate::source::{BATCH_BYTES, BATCH_ROWS, Column};

/// Integers up to here are doubles too, without loss.
const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// A cell by its storage class.
enum Cell<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// Why a cell is not carried.
enum Fault {
    Class(&'static str),
    NotText,
    NotBoolean,
    Inexact,
}

enum Builder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Real(Float64Builder),
    Text(StringBuilder),
    Blob(BinaryBuilder),
    Any(StringBuilder),
}

/// Rows on their way into a batch.
pub(super) struct Batch {
    schema: SchemaRef,
    columns: Vec<(String, Builder)>,
    rows: usize,
    bytes: usize,
    /// Text in the making.
    text: String,
}

impl Batch {
    /// # Errors
    /// `Failed` when a column is refused.
    pub(super) fn new(columns: &[Column], classes: &[Class]) -> Result<Self> {
        let field = |c: &Column| {
            c.field().ok_or_else(|| Error::failed(format!("column `{}` cannot be read", c.name)))
        };
        let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
        let builders = columns.iter().zip(classes).map(|(c, class)| (c.name.clone(), Builder::new(*class)));
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            columns: builders.collect(),
            rows: 0,
            bytes: 0,
            text: String::new(),
        })
    }

    /// Takes a row; gives the batch that was full before it.
    ///
    /// # Errors
    /// `Data` for a cell that its column does not carry, naming the column and never the value.
    pub(super) fn push(&mut self, row: &SqliteRow) -> Result<Option<RecordBatch>> {
        let bytes = self.row_bytes(row);
        let full = if self.rows >= BATCH_ROWS || self.rows > 0 && self.bytes + bytes > BATCH_BYTES {
            self.take()?
        } else {
            None
        };
        for (index, (name, builder)) in self.columns.iter_mut().enumerate() {
            let value = row.try_get_raw(index).map_err(|_| not_as_asked())?;
            let cell = Cell::of(value)?;
            builder.append(&cell, &mut self.text).map_err(|fault| fault.in_column(name))?;
        }
        self.rows += 1;
        self.bytes += bytes;
        Ok(full)
    }

    /// The rows since the last batch; `None` when there are none.
    ///
    /// # Errors
    /// `Data` for a NULL in a column that is declared to hold none.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(|(_, builder)| builder.finish()).collect();
        for (field, array) in self.schema.fields().iter().zip(&arrays) {
            if !field.is_nullable() && array.null_count() > 0 {
                return Err(Error::data(format!(
                    "column `{}` is declared NOT NULL and holds NULL",
                    field.name()
                )));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.bytes = 0;
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        batch.map(Some).map_err(|_| not_as_asked())
    }

    /// About the bytes a row takes in Arrow.
    fn row_bytes(&self, row: &SqliteRow) -> usize {
        let cell_bytes = |index: usize| match row.try_get_raw(index).map(Cell::of) {
            Ok(Ok(Cell::Blob(bytes))) => bytes.len() * 2,
            Ok(Ok(Cell::Text(bytes))) => bytes.len(),
            _ => 0,
        };
        let variable =
            |builder: &Builder| matches!(builder, Builder::Text(_) | Builder::Blob(_) | Builder::Any(_));
        let columns = self.columns.iter().enumerate();
        let long: usize = columns.filter(|(_, (_, b))| variable(b)).map(|(index, _)| cell_bytes(index)).sum();
        long + 8 * self.columns.len()
    }
}

#[cold]
fn not_as_asked() -> Error {
    Error::failed("SQLite gives other columns than were asked for")
}

impl<'a> Cell<'a> {
    fn of(value: SqliteValueRef<'a>) -> Result<Self> {
        if value.is_null() {
            return Ok(Self::Null);
        }
        let cell = match value.type_info().name() {
            "INTEGER" => Decode::<Sqlite>::decode(value).map(Self::Integer),
            "REAL" => Decode::<Sqlite>::decode(value).map(Self::Real),
            "TEXT" => Decode::<Sqlite>::decode(value).map(Self::Text),
            _ => Decode::<Sqlite>::decode(value).map(Self::Blob),
        };
        cell.map_err(|_| not_as_asked())
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a real number",
            Self::Text(_) => "text",
            Self::Blob(_) => "a blob",
        }
    }
}

impl Builder {
    fn new(class: Class) -> Self {
        match class {
            Class::Boolean => Self::Boolean(BooleanBuilder::new()),
            Class::Integer => Self::Integer(Int64Builder::new()),
            Class::Real => Self::Real(Float64Builder::new()),
            Class::Text => Self::Text(StringBuilder::new()),
            Class::Blob => Self::Blob(BinaryBuilder::new()),
            Class::Any => Self::Any(StringBuilder::new()),
        }
    }

    #[inline]
    fn append(&mut self, cell: &Cell<'_>, text: &mut String) -> Result<(), Fault> {
        match (self, cell) {
            (Self::Integer(builder), Cell::Integer(value)) => builder.append_value(*value),
            (Self::Integer(builder), Cell::Null) => builder.append_null(),
            (Self::Real(builder), Cell::Real(value)) => builder.append_value(*value),
            (Self::Real(builder), Cell::Integer(value)) => builder.append_value(in_double(*value)?),
            (Self::Real(builder), Cell::Null) => builder.append_null(),
            // Also a file in UTF-16 gives UTF-8 here.
            (Self::Text(builder) | Self::Any(builder), Cell::Text(bytes)) => {
                builder.append_value(std::str::from_utf8(bytes).map_err(|_| Fault::NotText)?);
            }
            (Self::Text(builder) | Self::Any(builder), Cell::Null) => builder.append_null(),
            (Self::Blob(builder), Cell::Blob(bytes)) => builder.append_value(bytes),
            (Self::Blob(builder), Cell::Null) => builder.append_null(),
            (Self::Boolean(builder), Cell::Integer(value @ 0..=1)) => builder.append_value(*value == 1),
            (Self::Boolean(_), Cell::Integer(_)) => return Err(Fault::NotBoolean),
            (Self::Boolean(builder), Cell::Null) => builder.append_null(),
            (Self::Any(builder), cell) => {
                text.clear();
                write_text(cell, text);
                builder.append_value(&text);
            }
            (_, cell) => return Err(Fault::Class(cell.class())),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Real(builder) => Arc::new(builder.finish()),
            Self::Text(builder) | Self::Any(builder) => Arc::new(builder.finish()),
            Self::Blob(builder) => Arc::new(builder.finish()),
        }
    }
}

/// SQLite keeps whole numbers of REAL columns as integers; beyond 2^53 one may not be a double.
fn in_double(value: i64) -> Result<f64, Fault> {
    #[expect(clippy::cast_precision_loss, reason = "checked")]
    if value.unsigned_abs() <= EXACT_IN_DOUBLE { Ok(value as f64) } else { Err(Fault::Inexact) }
}

/// The text of a cell that is not text: what `CAST(… AS TEXT)` gives, but for real numbers, of which
/// SQLite writes 15 digits only, the shortest text that reads back to the same number, and for blobs
/// lower-case hexadecimal digits.
fn write_text(cell: &Cell<'_>, text: &mut String) {
    let _ = match cell {
        Cell::Integer(value) => write!(text, "{value}"),
        Cell::Real(value) if value.is_infinite() => {
            write!(text, "{}Infinity", if *value < 0.0 { "-" } else { "" })
        }
        Cell::Real(value) => write!(text, "{value:?}"),
        Cell::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
        Cell::Text(_) | Cell::Null => Ok(()),
    };
}

impl Fault {
    #[cold]
    fn in_column(self, name: &str) -> Error {
        let as_text =
            || format!("write `columns: {{{name}: {{as: text}}}}` to carry every value as its text");
        let holds = |what: &str| Error::data(format!("column `{name}` holds {what}"));
        match self {
            Self::Class(class) => {
                holds(&format!("{class}, which is not of the column's declared type")).help(as_text())
            }
            Self::NotBoolean => holds("a number other than 0 and 1, and is declared boolean").help(as_text()),
            Self::Inexact => holds("an integer that no real number equals").help(as_text()),
            Self::NotText => holds("text that is not valid in the file's encoding")
                .help("mend the value, or read the column as a blob with a query: `CAST(… AS BLOB)`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cell: &Cell<'_>) -> String {
        let mut text = String::new();
        write_text(cell, &mut text);
        text
    }

    #[test]
    fn the_text_of_a_real_reads_back_to_the_same_bits() {
        for value in [0.1, -0.0, 1e300, 5e-324, f64::MAX, 1.0 / 3.0, 100.0, 123_456_789.123_456_79] {
            assert_eq!(text(&Cell::Real(value)).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(text(&Cell::Real(f64::NEG_INFINITY)), "-Infinity");
    }

    #[test]
    fn an_integer_that_no_double_equals_is_refused() {
        assert!(in_double(1 << 53).is_ok());
        assert!(in_double((1 << 53) + 1).is_err());
        assert!(in_double(i64::MIN).is_err());
    }
}
