//! `scrub`: in free text, each passage that detectors find is replaced by what it is; the rest stays.

use arrow::array::{Array, ArrayRef, AsArray};

use super::text;
use crate::classify::find;
use crate::error::{Error, Result};

pub(super) struct Kernel;

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let column =
            column.as_string_opt::<i32>().ok_or_else(|| Error::failed("only text can be scrubbed"))?;
        let length = column.value_data().len() / column.len().max(1);
        let mut out = text::Builder::new(column.len(), length);
        for value in column {
            if let Some(value) = value {
                scrubbed(value, out.values());
            }
            out.end()?;
        }
        out.finish(column.nulls())
    }
}

fn scrubbed(value: &str, out: &mut Vec<u8>) {
    let mut from = 0;
    for span in find(value) {
        out.extend_from_slice(value.get(from..span.range.start).unwrap_or_default().as_bytes());
        out.extend_from_slice(span.placeholder().as_bytes());
        from = span.range.end;
    }
    out.extend_from_slice(value.get(from..).unwrap_or_default().as_bytes());
}
