//! `scrub`: in free text, each passage that detectors find is replaced by what it is, and by a token of it where
//! that is asked (`[EMAIL t1:…]`); the rest stays.

use arrow::array::{Array, ArrayRef, AsArray};

use super::text;
use super::tokenize::Tokens;
use crate::classify::find;
use crate::error::{Error, Result};

pub(super) struct Kernel {
    tokens: Option<Tokens>,
}

impl Kernel {
    pub(super) const fn labels() -> Self {
        Self { tokens: None }
    }

    pub(super) const fn tokens(tokens: Tokens) -> Self {
        Self { tokens: Some(tokens) }
    }

    fn scrubbed(&mut self, value: &str, out: &mut Vec<u8>) -> Result<()> {
        let mut from = 0;
        let between = |from: usize, to: usize| value.get(from..to).unwrap_or_default().as_bytes();
        for span in find(value) {
            out.extend_from_slice(between(from, span.range.start));
            let label = span.placeholder();
            match (&mut self.tokens, label.strip_suffix(']')) {
                (Some(tokens), Some(open)) => {
                    out.extend_from_slice(open.as_bytes());
                    out.push(b' ');
                    tokens.append(between(span.range.start, span.range.end), out)?;
                    out.push(b']');
                }
                _ => out.extend_from_slice(label.as_bytes()),
            }
            from = span.range.end;
        }
        out.extend_from_slice(between(from, value.len()));
        Ok(())
    }
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let column =
            column.as_string_opt::<i32>().ok_or_else(|| Error::failed("only text can be scrubbed"))?;
        let length = column.value_data().len() / column.len().max(1);
        let mut out = text::Builder::new(column.len(), length);
        for value in column {
            if let Some(value) = value {
                self.scrubbed(value, out.values())?;
            }
            out.end()?;
        }
        out.finish(column.nulls())
    }
}
