//! Bounds of a chunk's values as the file's statistics hold them.

use std::str;

use arrow::datatypes::DataType;

use super::number::{Number, Order};
use super::shape::{Kind, Shape};
use super::thrift::Thrift;

/// Texts are cut to this; a cut maximum is rounded up.
const TEXT_BYTES: usize = 64;

/// The smallest and the largest value, in plain encoding.
pub(super) struct Bounds {
    min: Vec<u8>,
    max: Vec<u8>,
    min_exact: bool,
    max_exact: bool,
    /// Whether the values compare as signed ones, so that older readers may have the bounds too.
    signed: bool,
}

impl Bounds {
    /// `None` for a long value that no shorter one is above.
    pub(super) fn of(min: Vec<u8>, max: Vec<u8>, shape: &Shape) -> Option<Self> {
        let cut = matches!(shape.kind, Kind::Text) || matches!(shape.data_type, DataType::FixedSizeBinary(_));
        let signed = !cut && shape.kind != Kind::Boolean;
        if !cut {
            return Some(Self { min, max, min_exact: true, max_exact: true, signed });
        }
        let text = matches!(shape.data_type, DataType::Utf8 | DataType::LargeUtf8);
        let shorter = (min.len() > TEXT_BYTES).then(|| cut_down(&min, text)).flatten();
        let (min, min_exact) = shorter.map_or((min, true), |min| (min, false));
        let (max, max_exact) =
            if max.len() > TEXT_BYTES { (cut_up(&max, text)?, false) } else { (max, true) };
        Some(Self { min, max, min_exact, max_exact, signed })
    }

    /// The statistics of a chunk.
    pub(super) fn write(bounds: Option<&Self>, nulls: usize, thrift: &mut Thrift) {
        if let Some(bounds) = bounds.filter(|bounds| bounds.signed) {
            thrift.binary(1, &bounds.max);
            thrift.binary(2, &bounds.min);
        }
        thrift.long(3, i64::try_from(nulls).unwrap_or(i64::MAX));
        if let Some(bounds) = bounds {
            thrift.binary(5, &bounds.max);
            thrift.binary(6, &bounds.min);
            thrift.bool(7, bounds.max_exact);
            thrift.bool(8, bounds.min_exact);
        }
    }
}

/// Bounds of numbers. Zero of a float has two signs: the minimum gets the negative, the maximum the
/// positive one, as the specification asks.
pub(super) fn numbers<T: Number>(min: T, max: T, kind: Kind) -> (Vec<u8>, Vec<u8>) {
    let (mut low, mut high) = (Vec::new(), Vec::new());
    T::append(&[min], &mut low);
    T::append(&[max], &mut high);
    if matches!(kind, Kind::Word(Order::Float) | Kind::Long(Order::Float)) {
        if min.float() == 0.0
            && let Some(sign) = low.last_mut()
        {
            *sign = 0x80;
        }
        if max.float() == 0.0
            && let Some(sign) = high.last_mut()
        {
            *sign = 0;
        }
    }
    (low, high)
}

fn cut_down(bytes: &[u8], text: bool) -> Option<Vec<u8>> {
    if text && let Ok(text) = str::from_utf8(bytes) {
        return Some(bytes[..text.floor_char_boundary(TEXT_BYTES)].to_vec());
    }
    Some(bytes[..TEXT_BYTES].to_vec())
}

/// A shorter text that is larger; none where all characters are the largest of their length.
fn cut_up(bytes: &[u8], text: bool) -> Option<Vec<u8>> {
    if text && let Ok(text) = str::from_utf8(bytes) {
        let cut = &bytes[..text.floor_char_boundary(TEXT_BYTES)];
        let cut = str::from_utf8(cut).ok()?;
        return cut.char_indices().rev().find_map(|(start, last)| {
            let next =
                char::from_u32(u32::from(last) + 1).filter(|next| next.len_utf8() == last.len_utf8())?;
            let mut larger = cut.as_bytes()[..start].to_vec();
            larger.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            Some(larger)
        });
    }
    let mut larger = bytes[..TEXT_BYTES].to_vec();
    for byte in larger.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(larger);
        }
    }
    None
}
