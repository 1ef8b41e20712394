//! Rows of a result set to batches: many at once into buffers of a bounded size, or, where a value
//! may be of any length, one by one.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow_odbc::odbc_api::buffers::{AnyColumnBufferSlice, BufferDesc, ColumnarDynBuffer, Indicator};
use arrow_odbc::odbc_api::{Bit, Cursor, CursorRow, Nullable, sys};

use super::column::{ColumnBuilder, Fault, Value};
use super::error::Subject;
use super::link::Link;
use super::long;
use super::types::Wire;
use crate::error::{Error, Result};
use crate::source::{BATCH_BYTES, BATCH_ROWS, Column};

/// Takes a batch; says whether there is need for more.
pub(super) type Sink<'a> = dyn FnMut(RecordBatch) -> ControlFlow<()> + 'a;

/// What becomes of the columns of a result set. Made once per read.
#[derive(Clone)]
pub(super) struct Plan {
    schema: SchemaRef,
    columns: Vec<(String, Wire)>,
}

impl Plan {
    /// # Errors
    /// `Failed` when a column is refused.
    pub(super) fn new(columns: &[Column], wires: &[Wire]) -> Result<Self> {
        let field = |c: &Column| {
            c.field().ok_or_else(|| Error::failed(format!("column `{}` cannot be read", c.name)))
        };
        let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
        let columns = columns.iter().zip(wires).map(|(c, wire)| (c.name.clone(), *wire)).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), columns })
    }

    /// Buffers for many rows; `None` when a value may be of any length.
    fn buffers(&self) -> Option<(usize, Vec<BufferDesc>)> {
        let mut buffers = self.columns.iter().map(|(_, wire)| wire.buffer()).collect::<Option<Vec<_>>>()?;
        // Without a column the rows are still counted.
        if buffers.is_empty() {
            buffers.push(Wire::Int32.buffer()?);
        }
        let row_bytes: usize = buffers.iter().map(BufferDesc::bytes_per_row).sum();
        Some(((BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS), buffers))
    }

    fn batch(&self) -> Batch<'_> {
        let builders = self.columns.iter().map(|(name, wire)| ColumnBuilder::new(name, *wire)).collect();
        Batch { plan: self, builders, rows: 0, bytes: 0 }
    }
}

/// Runs a `SELECT` and gives its rows.
///
/// # Errors
/// As the database says; `Data` for a value that is not carried.
pub(super) fn select(
    link: &Link,
    sql: &str,
    subject: &Subject,
    plan: &Plan,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let cursor = link.select(sql, subject)?;
    match plan.buffers() {
        Some((rows, buffers)) => many(link, cursor, rows, buffers, subject, plan, sink),
        None => one_by_one(link, cursor, subject, plan, sink),
    }
}

fn many(
    link: &Link,
    cursor: impl Cursor,
    rows: usize,
    buffers: Vec<BufferDesc>,
    subject: &Subject,
    plan: &Plan,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let fault = |e| link.fault(&e, subject);
    let buffer = ColumnarDynBuffer::try_from_descs(rows, buffers).map_err(fault)?;
    let mut cursor = cursor.bind_buffer(buffer).map_err(fault)?;
    let mut batch = plan.batch();
    // A value that does not fit is an error and is not cut.
    while let Some(fetched) = cursor.fetch_with_truncation_check(true).map_err(fault)? {
        let rows = fetched.num_rows();
        for (index, builder) in batch.builders.iter_mut().enumerate() {
            append_all(builder, fetched.column(index), rows)?;
        }
        batch.rows = rows;
        if let Some(batch) = batch.take()?
            && sink(batch).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// Appends a column of fetched rows.
fn append_all(builder: &mut ColumnBuilder, column: AnyColumnBufferSlice<'_>, rows: usize) -> Result<()> {
    fn fixed<'a, T: Copy + 'a>(
        builder: &mut ColumnBuilder,
        values: Option<impl Iterator<Item = Option<&'a T>>>,
        rows: usize,
        of: impl Fn(T) -> Value<'static>,
    ) -> Result<(), Fault> {
        let values = values.ok_or(Fault::Odd)?;
        values.take(rows).try_for_each(|value| builder.append(value.map_or(Value::Null, |v| of(*v))))
    }
    let appended = match builder.wire() {
        Wire::Bit => fixed(builder, column.as_nullable_slice::<Bit>(), rows, |bit| Value::Bit(bit.0)),
        Wire::Int16 => fixed(builder, column.as_nullable_slice(), rows, Value::Int16),
        Wire::Int32 => fixed(builder, column.as_nullable_slice(), rows, Value::Int32),
        Wire::Int64 => fixed(builder, column.as_nullable_slice(), rows, Value::Int64),
        Wire::Real | Wire::RealAsText => fixed(builder, column.as_nullable_slice(), rows, Value::Real),
        Wire::Double | Wire::DoubleAsText => fixed(builder, column.as_nullable_slice(), rows, Value::Double),
        Wire::Date => fixed(builder, column.as_nullable_slice::<sys::Date>(), rows, Value::Date),
        Wire::Timestamp { .. } => {
            fixed(builder, column.as_nullable_slice::<sys::Timestamp>(), rows, Value::Timestamp)
        }
        Wire::Decimal { .. }
        | Wire::DateText
        | Wire::TimestampText { .. }
        | Wire::Text { .. }
        | Wire::RealText
        | Wire::DoubleText
        | Wire::Int64Text => {
            let texts = column.as_wide_text().ok_or(Fault::Odd);
            texts.and_then(|texts| {
                (0..rows).try_for_each(|row| builder.append(texts.get(row).map_or(Value::Null, Value::Wide)))
            })
        }
        Wire::Binary { .. } | Wire::BinaryAsText { .. } | Wire::BitBytes => {
            let values = column.as_binary().ok_or(Fault::Odd);
            values.and_then(|values| {
                (0..rows)
                    .try_for_each(|row| builder.append(values.get(row).map_or(Value::Null, Value::Bytes)))
            })
        }
    };
    appended.map_err(|fault| fault.in_column(&builder.name))
}

fn one_by_one(
    link: &Link,
    mut cursor: impl Cursor,
    subject: &Subject,
    plan: &Plan,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut batch = plan.batch();
    let mut cells = Cells::default();
    while let Some(mut row) = cursor.next_row().map_err(|e| link.fault(&e, subject))? {
        for (index, (_, wire)) in plan.columns.iter().enumerate() {
            let column =
                u16::try_from(index + 1).map_err(|_| Error::failed("a table has too many columns"))?;
            let value = cells.fetch(&mut row, column, *wire).map_err(|fault| fault.told(link, subject))?;
            // A large row begins a batch of its own; what comes before it in its row moves with it.
            batch.bytes += match value {
                Value::Wide(units) => units.len(),
                Value::Bytes(bytes) => bytes.len(),
                _ => 8,
            };
            let builder = &mut batch.builders[index];
            builder.append(value).map_err(|fault| fault.in_column(&builder.name))?;
        }
        batch.rows += 1;
        if batch.rows >= BATCH_ROWS || batch.bytes >= BATCH_BYTES / 4 {
            let Some(full) = batch.take()? else { continue };
            if sink(full).is_break() {
                return Ok(());
            }
        }
    }
    if let Some(last) = batch.take()? {
        // It was the last; whether there is need for more means nothing.
        let _ = sink(last);
    }
    Ok(())
}

/// Room for the values of a row.
#[derive(Default)]
struct Cells {
    wide: Vec<u16>,
    bytes: Vec<u8>,
}

impl Cells {
    fn fetch(&mut self, row: &mut CursorRow<'_>, column: u16, wire: Wire) -> Result<Value<'_>, long::Fault> {
        Ok(match wire {
            Wire::Bit => fixed::<Bit>(row, column, |bit| Value::Bit(bit.0))?,
            Wire::Int16 => fixed(row, column, Value::Int16)?,
            Wire::Int32 => fixed(row, column, Value::Int32)?,
            Wire::Int64 => fixed(row, column, Value::Int64)?,
            Wire::Real | Wire::RealAsText => fixed(row, column, Value::Real)?,
            Wire::Double | Wire::DoubleAsText => fixed(row, column, Value::Double)?,
            Wire::Date => fixed(row, column, Value::Date)?,
            Wire::Timestamp { .. } => fixed(row, column, Value::Timestamp)?,
            Wire::Decimal { .. }
            | Wire::DateText
            | Wire::TimestampText { .. }
            | Wire::Text { .. }
            | Wire::RealText
            | Wire::DoubleText
            | Wire::Int64Text => match long::wide(row, column, &mut self.wide)? {
                Indicator::Null => Value::Null,
                _ => Value::Wide(&self.wide),
            },
            Wire::Binary { .. } | Wire::BinaryAsText { .. } | Wire::BitBytes => {
                match long::binary(row, column, &mut self.bytes)? {
                    Indicator::Null => Value::Null,
                    _ => Value::Bytes(&self.bytes),
                }
            }
        })
    }
}

fn fixed<T>(
    row: &mut CursorRow<'_>,
    column: u16,
    of: impl Fn(T) -> Value<'static>,
) -> Result<Value<'static>, long::Fault>
where
    T: arrow_odbc::odbc_api::Pod + Default,
{
    let mut cell = Nullable::<T>::null();
    row.get_data(column, &mut cell).map_err(long::Fault::Driver)?;
    Ok(cell.into_opt().map_or(Value::Null, of))
}

/// Rows on their way into a batch.
struct Batch<'a> {
    plan: &'a Plan,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

impl Batch<'_> {
    /// The rows since the last batch; `None` when there are none.
    fn take(&mut self) -> Result<Option<RecordBatch>> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows == 0 {
            return Ok(None);
        }
        let arrays: Vec<_> = self.builders.iter_mut().map(ColumnBuilder::take).collect();
        for (field, array) in self.plan.schema.fields().iter().zip(&arrays) {
            if !field.is_nullable() && array.null_count() > 0 {
                let name = field.name();
                return Err(Error::data(format!("column `{name}` is described as NOT NULL and holds NULL")));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.plan.schema), arrays, &options)
            .map(Some)
            .map_err(|_| Error::failed("the ODBC driver gives other columns than were asked for"))
    }
}
