//! Buffers that grow value by value and keep their room from batch to batch, for the decoders of
//! wire protocols.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::ArrowPrimitiveType;

/// Values of varying length, end to end.
pub(super) struct Spans {
    /// The bytes of all values, those of an open one at the end.
    pub(super) bytes: Vec<u8>,
    ends: Vec<i32>,
}

/// More bytes in one batch than Arrow's offsets can address.
pub(super) struct TooLong;

impl Spans {
    /// Bytes of memory that the values take.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.len() + size_of::<i32>() * self.ends.len()
    }

    /// Room for `rows` values of `bytes` in all.
    pub(super) fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { bytes: Vec::with_capacity(bytes), ends }
    }

    /// Ends a value whose bytes have been appended.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), TooLong> {
        self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| TooLong)?);
        Ok(())
    }

    /// Appends a value.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), TooLong> {
        self.bytes.extend_from_slice(value);
        self.end()
    }

    /// Appends a value of no bytes, for NULL.
    pub(super) fn push_null(&mut self) {
        self.ends.push(self.ends.last().copied().unwrap_or(0));
    }

    /// The buffers, leaving room for as much again, and for texts a little longer: one byte too few
    /// costs a copy of them all.
    pub(super) fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let fresh = Self::with_capacity(self.ends.len() - 1, self.bytes.len() + self.bytes.len() / 8);
        let full = mem::replace(self, fresh);
        (OffsetBuffer::new(ScalarBuffer::from(full.ends)), Buffer::from_vec(full.bytes))
    }
}

/// The values as an array, leaving an empty vector of the same room.
pub(super) fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(renew(values).into(), nulls))
}

/// The values, leaving an empty vector of the same room.
pub(super) fn renew<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len();
    mem::replace(values, Vec::with_capacity(room))
}
