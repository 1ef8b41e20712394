//! `mask`: eight stars and the last characters. The number of stars is fixed, so that it does not
//! tell the value's length; a value of fewer than twice the kept characters is stars alone.

use arrow::array::{Array, ArrayRef, AsArray};

use super::text;
use crate::error::{Error, Result};
use crate::spec::action::Mask;

const STARS: &[u8] = b"********";

pub(super) struct Kernel {
    keep_last: usize,
}

impl Kernel {
    pub(super) fn new(mask: Mask) -> Self {
        Self { keep_last: mask.keep_last }
    }
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let column = column.as_string_opt::<i32>().ok_or_else(|| Error::failed("only text can be masked"))?;
        let mut out = text::Builder::new(column.len(), STARS.len() + self.keep_last.min(64));
        for value in column {
            if let Some(value) = value {
                out.values().extend_from_slice(STARS);
                out.values().extend_from_slice(kept(value, self.keep_last).as_bytes());
            }
            out.end()?;
        }
        out.finish(column.nulls())
    }
}

/// The characters at the end that stay.
#[expect(clippy::string_slice, reason = "the start is that of a character")]
fn kept(value: &str, keep_last: usize) -> &str {
    let Some(last) = keep_last.checked_sub(1) else { return "" };
    let mut from_end = value.char_indices().rev();
    let Some((start, _)) = from_end.nth(last) else { return "" };
    // As many again must come before.
    if from_end.nth(last).is_some() { &value[start..] } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_count_not_bytes_and_short_values_go_whole() {
        assert_eq!(kept("4111111111111111", 4), "1111");
        assert_eq!(kept("12345678", 4), "5678");
        assert_eq!(kept("1234567", 4), "");
        assert_eq!(kept("Zürichü日本", 2), "日本");
        assert_eq!(kept("éé", 1), "é");
        assert_eq!(kept("é", 1), "");
        assert_eq!(kept("", 1), "");
        assert_eq!(kept("abc", 0), "");
        assert_eq!(kept("abc", usize::MAX), "");
    }
}
