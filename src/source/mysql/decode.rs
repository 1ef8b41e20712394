//! Binary rows to Arrow batches. Values are decoded where they lie in the packet.

use std::sync::Arc;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::column::{ColumnBuilder, malformed};
use super::packet::Fields;
use super::types::Layout;
use crate::error::{Error, Result};
use crate::source::{BATCH_BYTES, BATCH_ROWS, Column};

/// Room in a new column before the first batch shows how much is needed.
const FIRST_ROWS: usize = 1024;
/// The first bits of a row's NULL mask belong to nobody.
const MASK_OFFSET: usize = 2;

/// Turns rows into batches.
pub(super) struct Decoder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    /// Columns of the result; more than ours where a row stands for nothing but itself.
    width: usize,
    rows: usize,
    batch_bytes: usize,
    /// Bytes that a row takes at the least, whatever is in it.
    least_row_bytes: usize,
    growth: usize,
}

impl Decoder {
    /// A decoder for columns of these layouts, in this order, out of results `width` columns wide.
    ///
    /// # Errors
    /// `Failed` when a column is one that is refused.
    pub(super) fn new(columns: &[Column], layouts: &[Layout], width: usize) -> Result<Self> {
        let fields = columns
            .iter()
            .map(|c| c.field().ok_or_else(|| Error::failed(format!("column `{}` cannot be read", c.name))))
            .collect::<Result<Vec<_>>>()?;
        let columns: Vec<_> = columns
            .iter()
            .zip(layouts)
            .map(|(c, layout)| ColumnBuilder::new(&c.name, c.nullable, *layout, FIRST_ROWS))
            .collect();
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            least_row_bytes: columns.iter().map(ColumnBuilder::width_bytes).sum(),
            growth: columns.iter().map(ColumnBuilder::growth).max().unwrap_or(1),
            columns,
            width,
            rows: 0,
            batch_bytes: 0,
        })
    }

    /// Whether this row has to wait for the next batch: [`Decoder::take`] the batch first.
    #[inline]
    pub(super) fn is_full(&self, payload: &[u8]) -> bool {
        self.rows >= BATCH_ROWS || (self.rows > 0 && self.batch_bytes + self.row_bytes(payload) > BATCH_BYTES)
    }

    #[inline]
    fn row_bytes(&self, payload: &[u8]) -> usize {
        self.least_row_bytes + payload.len() * self.growth
    }

    /// Decodes one row.
    ///
    /// # Errors
    /// `Data` for a value that is not carried; `Failed` for bytes that are no row.
    #[inline]
    pub(super) fn row(&mut self, payload: &[u8]) -> Result<()> {
        let mut fields = Fields(payload);
        let (Some(0), Some(mask)) = (fields.byte(), fields.take((self.width + MASK_OFFSET).div_ceil(8)))
        else {
            return Err(malformed("it has no mask of NULLs"));
        };
        for (index, column) in self.columns.iter_mut().enumerate() {
            let bit = index + MASK_OFFSET;
            if mask[bit / 8] & (1 << (bit % 8)) != 0 {
                column.append_null();
            } else if let Err(fault) = column.append(&mut fields) {
                return Err(fault.in_column(column.name()));
            }
        }
        if self.columns.len() == self.width && !fields.0.is_empty() {
            return Err(malformed("it is longer than its columns"));
        }
        self.batch_bytes += self.row_bytes(payload);
        self.rows += 1;
        Ok(())
    }

    /// The rows since the last batch; `None` when there are none.
    ///
    /// # Errors
    /// As the columns'.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays = self.columns.iter_mut().map(ColumnBuilder::take).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|_| Error::failed("columns of a batch do not fit together"))?;
        (self.rows, self.batch_bytes) = (0, 0);
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Int64Type};

    use super::*;
    use crate::error::Kind;
    use crate::source::Carried;

    fn column(name: &str, data_type: DataType, nullable: bool) -> Column {
        Column { name: name.into(), source_type: String::new(), nullable, carried: Carried::Exact(data_type) }
    }

    fn decoder(nullable: bool) -> Decoder {
        let columns = [column("a", DataType::Int64, nullable), column("b", DataType::Utf8, true)];
        Decoder::new(&columns, &[Layout::Int64, Layout::Text], 2).unwrap()
    }

    /// `00`, the mask, then what is not NULL.
    fn row(mask: u8, rest: &[u8]) -> Vec<u8> {
        [&[0, mask << 2][..], rest].concat()
    }

    #[test]
    fn null_is_not_the_empty_text() {
        let mut decoder = decoder(true);
        decoder.row(&row(0b10, &[7, 0, 0, 0, 0, 0, 0, 0])).unwrap();
        decoder.row(&row(0b01, &[0])).unwrap();
        let batch = decoder.take().unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 7);
        assert!(batch.column(0).is_null(1) && batch.column(1).is_null(0));
        assert_eq!(batch.column(1).as_string::<i32>().value(1), "");
        assert!(decoder.take().unwrap().is_none());
    }

    #[test]
    fn rows_that_are_none_are_refused() {
        for bytes in [&[][..], &[0], &[1, 0], &row(0b10, &[7]), &row(0b11, &[7]), &row(0b01, &[200, 1])] {
            assert_eq!(decoder(true).row(bytes).unwrap_err().kind(), Kind::Failed, "{bytes:?}");
        }
    }

    #[test]
    fn null_where_none_was_promised_is_an_error() {
        let mut decoder = decoder(false);
        decoder.row(&row(0b11, &[])).unwrap();
        assert_eq!(decoder.take().unwrap_err().kind(), Kind::Data);
    }

    #[test]
    fn batches_are_bounded_in_rows_and_bytes() {
        let mut small = decoder(true);
        let null = row(0b11, &[]);
        for _ in 0..BATCH_ROWS {
            assert!(!small.is_full(&null));
            small.row(&null).unwrap();
        }
        assert!(small.is_full(&null));
        let text = vec![b'x'; 10 << 20];
        let length = text.len().to_le_bytes();
        let long = row(0b01, &[&[0xfe][..], &length, &text].concat());
        let mut large = decoder(true);
        assert!(!large.is_full(&long), "a first row is never too long");
        large.row(&long).unwrap();
        assert!(large.is_full(&long));
    }

    #[test]
    fn a_row_without_columns_is_counted() {
        let mut decoder = Decoder::new(&[], &[], 1).unwrap();
        decoder.row(&row(0b1, &[])).unwrap();
        assert_eq!(decoder.take().unwrap().unwrap().num_rows(), 1);
    }
}
