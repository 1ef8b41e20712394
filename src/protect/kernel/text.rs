//! Building text arrays without a detour over `String`s.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::error::{Error, Result};

/// A text array in the making: values are written straight into its buffer.
pub(super) struct Builder {
    values: Vec<u8>,
    offsets: Vec<i32>,
}

impl Builder {
    pub(super) fn new(rows: usize, value_bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { values: Vec::with_capacity(rows.saturating_mul(value_bytes)), offsets }
    }

    /// The buffer: append one value's bytes, then call [`Builder::end`].
    pub(super) fn values(&mut self) -> &mut Vec<u8> {
        &mut self.values
    }

    /// Ends the value that was appended (none: empty, as under a NULL).
    ///
    /// # Errors
    /// `Data` when the array passes 2 GiB.
    pub(super) fn end(&mut self) -> Result<()> {
        let end = i32::try_from(self.values.len())
            .map_err(|_| Error::data("one batch of a column is larger than 2 GiB"))?;
        self.offsets.push(end);
        Ok(())
    }

    /// The array.
    ///
    /// # Errors
    /// `Failed` when what was written is not UTF-8 or does not fit `nulls`.
    pub(super) fn finish(self, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let array = StringArray::try_new(offsets, Buffer::from_vec(self.values), nulls.cloned())
            .map_err(|_| Error::failed("a protected column came out malformed"))?;
        Ok(Arc::new(array))
    }
}
