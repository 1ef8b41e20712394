//! Records into Arrow batches: one builder a column, chosen once.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::plain;
use super::records::{Field, Rows};
use crate::error::{Error, Result};
use crate::source::convert::arrow_type;
use crate::source::{BATCH_BYTES, BATCH_ROWS, value};
use crate::spec::pipeline::ColumnType;

/// Room in a new column before the first batch shows how much is needed.
const FIRST_ROWS: usize = 1024;

/// One column to read: where it stands in the record and what it becomes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) column_type: ColumnType,
}

enum Builder {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal { builder: Decimal128Builder, precision: u8, scale: usize },
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampTz(TimestampMicrosecondBuilder),
}

/// Builds batches of the target columns.
pub(super) struct Decoder {
    targets: Vec<Target>,
    builders: Vec<Builder>,
    /// Where the texts stand in the record.
    texts: Vec<usize>,
    schema: SchemaRef,
    null: String,
    /// Bytes a row takes beside its texts.
    fixed_bytes: usize,
    rows: usize,
    bytes: usize,
}

impl Decoder {
    /// A decoder to the targets, in their order; `null` is the unquoted text that stands for NULL.
    pub(super) fn new(targets: Vec<Target>, null: &str) -> Self {
        let fields: Vec<ArrowField> = targets
            .iter()
            .map(|target| ArrowField::new(&target.name, arrow_type(target.column_type), true))
            .collect();
        let fixed_bytes = fields.iter().map(|field| field.data_type().primitive_width().unwrap_or(4)).sum();
        Self {
            builders: targets
                .iter()
                .map(|target| Builder::new(target.column_type, FIRST_ROWS, FIRST_ROWS * 8))
                .collect(),
            texts: targets
                .iter()
                .filter(|target| target.column_type == ColumnType::Text)
                .map(|target| target.index)
                .collect(),
            targets,
            schema: Arc::new(Schema::new(fields)),
            null: null.to_owned(),
            fixed_bytes,
            rows: 0,
            bytes: 0,
        }
    }

    /// Appends rows, and gives those before them as batches where there is no room beside them. False
    /// when `give` answers that nobody wants more.
    ///
    /// # Errors
    /// `Data` naming line, column and the type expected.
    pub(super) fn push(
        &mut self,
        rows: &Rows<'_>,
        mut give: impl FnMut(RecordBatch) -> bool,
    ) -> Result<bool> {
        let mut from = 0;
        while from < rows.len() {
            let count = self.room(rows, from);
            if count == 0 {
                if !self.finish()?.is_none_or(&mut give) {
                    return Ok(false);
                }
                continue;
            }
            self.append(rows, from..from + count)?;
            from += count;
        }
        Ok(true)
    }

    /// How many rows from `from` on there is room for; an empty batch takes any row.
    fn room(&self, rows: &Rows<'_>, from: usize) -> usize {
        let most = (rows.len() - from).min(BATCH_ROWS - self.rows);
        if self.bytes + most * self.fixed_bytes + rows.bytes() <= BATCH_BYTES {
            return most;
        }
        let mut bytes = self.bytes;
        let fits = (from..from + most).take_while(|row| {
            bytes += self.fixed_bytes + rows.row_bytes(*row, &self.texts);
            bytes <= BATCH_BYTES
        });
        fits.count().max(usize::from(self.rows == 0))
    }

    fn append(&mut self, rows: &Rows<'_>, range: Range<usize>) -> Result<()> {
        let (mut end, mut misfit) = (range.end, None);
        for (target, builder) in self.targets.iter().zip(&mut self.builders) {
            // Only rows before one that does not fit can have the first fault.
            let text_bytes = builder.text_bytes();
            let fitting = builder.append(rows, target.index, range.start..end, &self.null);
            self.bytes += builder.text_bytes() - text_bytes;
            if range.start + fitting < end {
                end = range.start + fitting;
                misfit = Some(target);
            }
        }
        if let Some(Target { index, name, column_type }) = misfit {
            let what = format!("column `{name}` holds a text that is not of type {column_type}");
            return Err(rows
                .fault_at(end, *index, what)
                .help("correct the file, or declare the column's type in the stream's schema"));
        }
        self.rows += range.len();
        self.bytes += range.len() * self.fixed_bytes;
        Ok(())
    }

    /// The rows not yet answered; `None` when there are none.
    ///
    /// # Errors
    /// `Failed` when Arrow refuses what was built, which would be a fault of this code.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let builders = self.targets.iter().zip(&mut self.builders);
        let arrays =
            builders.map(|(target, builder)| builder.renew(target.column_type, self.rows).finish()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map(Some)
            .map_err(|_| Error::failed("decoded columns do not form a batch"))
    }
}

impl Builder {
    /// An empty one with room for `rows`, and for texts of `bytes` in all.
    fn new(column_type: ColumnType, rows: usize, bytes: usize) -> Self {
        let micros = || TimestampMicrosecondBuilder::with_capacity(rows);
        match column_type {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            ColumnType::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            ColumnType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            ColumnType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            ColumnType::Decimal(precision, scale) => Self::Decimal {
                builder: Decimal128Builder::with_capacity(rows)
                    .with_data_type(DataType::Decimal128(precision, scale)),
                precision,
                scale: usize::try_from(scale).unwrap_or_default(),
            },
            ColumnType::Text => Self::Text(StringBuilder::with_capacity(rows, bytes)),
            ColumnType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            ColumnType::Timestamp => Self::Timestamp(micros()),
            ColumnType::TimestampTz => Self::TimestampTz(micros().with_timezone("UTC")),
        }
    }

    /// What was built, leaving an empty one with room for as much again, and for texts a little
    /// longer: Arrow's own `finish` leaves no room, and every batch would grow from nothing.
    fn renew(&mut self, column_type: ColumnType, rows: usize) -> Self {
        let bytes = self.text_bytes();
        mem::replace(self, Self::new(column_type, rows, bytes + bytes / 8))
    }

    /// Bytes of the texts it holds.
    fn text_bytes(&self) -> usize {
        match self {
            Self::Text(builder) => builder.values_slice().len(),
            _ => 0,
        }
    }

    /// Appends one column's values of the rows; answers how many fit before the first that is not of
    /// the builder's type.
    fn append(&mut self, rows: &Rows<'_>, index: usize, range: Range<usize>, null: &str) -> usize {
        /// Parses and appends, NULL where the field is NULL.
        macro_rules! append {
            ($builder:expr, $parse:expr) => {{
                for (row, field) in rows.column(index, range.clone()).enumerate() {
                    if field.is_null(null) {
                        $builder.append_null();
                        continue;
                    }
                    match $parse(&field) {
                        Some(value) => $builder.append_value(value),
                        None => return row,
                    }
                }
            }};
        }
        let int64 = |field: &Field<'_>| plain::int64(field).or_else(|| value::int64(field.text()));
        match self {
            Self::Boolean(builder) => append!(builder, |field: &Field<'_>| value::boolean(field.text())),
            Self::Int32(builder) => {
                append!(builder, |field| int64(field).and_then(|value| i32::try_from(value).ok()));
            }
            Self::Int64(builder) => append!(builder, int64),
            Self::Float64(builder) => append!(builder, |field: &Field<'_>| value::float64(field.text())),
            Self::Decimal { builder, precision, scale } => {
                append!(builder, |field: &Field<'_>| {
                    plain::decimal(field, *precision, *scale)
                        .or_else(|| value::decimal(field.text(), *precision, *scale))
                });
            }
            Self::Text(builder) => {
                for (text, quoted) in rows.texts(index, range.clone()) {
                    if !quoted && text == null {
                        builder.append_null();
                    } else {
                        builder.append_value(text);
                    }
                }
            }
            Self::Date(builder) => {
                append!(builder, |field: &Field<'_>| plain::date(field)
                    .or_else(|| value::date(field.text())));
            }
            Self::Timestamp(builder) => append!(builder, |field: &Field<'_>| value::timestamp(field.text())),
            Self::TimestampTz(builder) => {
                append!(builder, |field: &Field<'_>| value::timestamptz(field.text()));
            }
        }
        range.len()
    }

    fn finish(mut self) -> ArrayRef {
        match &mut self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal { builder, .. } => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) | Self::TimestampTz(builder) => Arc::new(builder.finish()),
        }
    }
}
