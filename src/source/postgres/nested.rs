//! Arrays and composite values: columns within a column.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Field, FieldRef, Fields};

use super::column::ColumnBuilder;
use super::fault::{Fault, Unfit, malformed};
use super::types::Part;
use crate::error::Error;

/// Rows that a column within a column has room for at first: there may be many such columns.
const FIRST_ROWS: usize = 16;
/// The server cannot make an array of more dimensions.
const MAX_DIMENSIONS: i32 = 6;

/// The values of an array or composite column so far.
pub(super) enum Nested {
    List { element: Inner, field: FieldRef, ends: Vec<i32>, count: i32 },
    Struct { members: Vec<Inner>, fields: Fields, rows: usize },
}

/// A column within a column.
pub(super) struct Inner {
    oid: u32,
    column: ColumnBuilder,
}

impl Inner {
    fn new(name: &str, part: &Part, rows: usize) -> Self {
        let column = ColumnBuilder::new(name, true, &part.wire, rows.min(FIRST_ROWS));
        Self { oid: part.oid, column }
    }

    /// Takes the value at the front of `rest`, which is cut off.
    fn append(&mut self, rest: &mut &[u8]) -> Result<(), Fault> {
        let length = int(rest)?;
        if length == -1 {
            self.column.append_null();
            return Ok(());
        }
        let length = usize::try_from(length).map_err(|_| Fault::Malformed)?;
        let (value, after) = rest.split_at_checked(length).ok_or(Fault::Malformed)?;
        *rest = after;
        self.column.append(value)
    }
}

impl Nested {
    /// An empty column of arrays. Its name, and those of all columns in it, is that of the whole:
    /// messages are about that.
    pub(super) fn list(name: &str, element: &Part, rows: usize) -> Self {
        let field = Field::new("element", element.wire.arrow(), true);
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self::List { element: Inner::new(name, element, rows), field: Arc::new(field), ends, count: 0 }
    }

    /// An empty column of composite values.
    pub(super) fn fields(name: &str, members: &[(String, Part)], rows: usize) -> Self {
        let field = |(name, part): &(String, Part)| Field::new(name, part.wire.arrow(), true);
        Self::Struct {
            fields: members.iter().map(field).collect(),
            members: members.iter().map(|(_, part)| Inner::new(name, part, rows)).collect(),
            rows: 0,
        }
    }

    /// Bytes that one row takes here at the least.
    pub(super) fn width_bytes(&self) -> usize {
        match self {
            Self::List { .. } => 4,
            Self::Struct { members, .. } => members.iter().map(|m| m.column.width_bytes()).sum(),
        }
    }

    /// Bytes that are held so far.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::List { element, ends, .. } => 4 * ends.len() + element.column.size_bytes(),
            Self::Struct { members, .. } => members.iter().map(|m| m.column.size_bytes()).sum(),
        }
    }

    /// Takes one value.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        match self {
            Self::List { element, ends, count, .. } => {
                let elements = elements(&mut rest, element.oid)?;
                for _ in 0..elements {
                    element.append(&mut rest)?;
                }
                *count = count.checked_add(elements).ok_or(Fault::Size)?;
                ends.push(*count);
            }
            Self::Struct { members, rows, .. } => {
                if usize::try_from(int(&mut rest)?) != Ok(members.len()) {
                    return Err(Fault::Altered);
                }
                for member in members {
                    if u32::from_be_bytes(chunk(&mut rest)?) != member.oid {
                        return Err(Fault::Altered);
                    }
                    member.append(&mut rest)?;
                }
                *rows += 1;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }

    /// Takes a NULL.
    pub(super) fn append_null(&mut self) {
        match self {
            Self::List { ends, count, .. } => ends.push(*count),
            Self::Struct { members, rows, .. } => {
                members.iter_mut().for_each(|member| member.column.append_null());
                *rows += 1;
            }
        }
    }

    /// The values so far; the builder starts anew.
    ///
    /// # Errors
    /// As [`ColumnBuilder::take`].
    pub(super) fn take(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, Error> {
        let unfit = |_| malformed("nested values do not make an array");
        Ok(match self {
            Self::List { element, field, ends, count } => {
                let mut fresh = Vec::with_capacity(ends.len());
                fresh.push(0);
                *count = 0;
                let offsets = OffsetBuffer::new(ScalarBuffer::from(mem::replace(ends, fresh)));
                let values = element.column.take()?;
                Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, nulls).map_err(unfit)?)
            }
            Self::Struct { members, fields, rows } => {
                let arrays = members.iter_mut().map(|m| m.column.take()).collect::<Result<Vec<_>, _>>()?;
                let length = mem::take(rows);
                let array = StructArray::try_new_with_length(fields.clone(), arrays, nulls, length);
                Arc::new(array.map_err(unfit)?)
            }
        })
    }
}

/// Reads the head of an array; gives how many elements follow. Where a plain list cannot say what
/// the array says, it is not one.
fn elements(rest: &mut &[u8], oid: u32) -> Result<i32, Fault> {
    let dimensions = int(rest)?;
    let has_nulls = int(rest)?;
    if !matches!(has_nulls, 0 | 1) {
        return Err(Fault::Malformed);
    }
    if u32::from_be_bytes(chunk(rest)?) != oid {
        return Err(Fault::Altered);
    }
    match dimensions {
        0 => Ok(0),
        1 => {
            let (count, first) = (int(rest)?, int(rest)?);
            if count < 0 {
                return Err(Fault::Malformed);
            }
            if first != 1 {
                return Err(Fault::Value(Unfit::FirstIndex));
            }
            Ok(count)
        }
        2..=MAX_DIMENSIONS => Err(Fault::Value(Unfit::Dimensions)),
        _ => Err(Fault::Malformed),
    }
}

fn int(rest: &mut &[u8]) -> Result<i32, Fault> {
    chunk(rest).map(i32::from_be_bytes)
}

fn chunk<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (chunk, after) = rest.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
    *rest = after;
    Ok(*chunk)
}
