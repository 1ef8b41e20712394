//! The numbers that columns are made of: four or eight bytes.

#![expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "bits are taken for what they are; the highest of a product index a table"
)]

use std::fmt::Debug;

use arrow::array::types::Decimal128Type;
use arrow::array::{Array, PrimitiveArray};
use arrow::buffer::NullBuffer;

use super::Fault;

/// How the bits of a column's numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Signed,
    /// IEEE 754; NaN has no place.
    Float,
}

/// A number, or the bits of a float.
pub(super) trait Number: Copy + Ord + Debug + Send + 'static {
    const ZERO: Self;
    const LARGEST: Self;
    fn minus(self, other: Self) -> Self;
    fn small(number: u16) -> Self;
    fn signed(self) -> i64;
    fn unsigned(self) -> u64;
    /// The float of these bits.
    fn float(self) -> f64;
    fn append(numbers: &[Self], out: &mut Vec<u8>);

    /// A place in a table of 2^`bits`.
    fn place(self, seed: u64, bits: u32) -> usize {
        ((self.unsigned() ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    }
}

macro_rules! number {
    ($number:ty, $unsigned:ty, $float:ty) => {
        impl Number for $number {
            const ZERO: Self = 0;
            const LARGEST: Self = Self::MAX;

            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn small(number: u16) -> Self {
                number.into()
            }

            fn signed(self) -> i64 {
                self.into()
            }

            fn unsigned(self) -> u64 {
                (self as $unsigned).into()
            }

            fn float(self) -> f64 {
                <$float>::from_bits(self as $unsigned).into()
            }

            fn append(numbers: &[Self], out: &mut Vec<u8>) {
                let start = out.len();
                out.resize(start + size_of_val(numbers), 0);
                let (places, _) = out[start..].as_chunks_mut();
                for (place, number) in places.iter_mut().zip(numbers) {
                    *place = number.to_le_bytes();
                }
            }
        }
    };
}

number!(i32, u32, f32);
number!(i64, u64, f64);

/// Widens bounds so that they hold these numbers.
pub(super) fn widen<T: Number>(bounds: &mut Option<(T, T)>, numbers: &[T], order: Order) {
    match order {
        Order::Signed => {
            let least = numbers.iter().fold(T::LARGEST, |least, &number| least.min(number));
            let Some(&first) = numbers.first() else { return };
            let most = numbers.iter().fold(first, |most, &number| most.max(number));
            let (min, max) = bounds.unwrap_or((least, most));
            *bounds = Some((min.min(least), max.max(most)));
        }
        Order::Float => {
            for &number in numbers.iter().filter(|number| !number.float().is_nan()) {
                let (min, max) = bounds.get_or_insert((number, number));
                if number.float() < min.float() {
                    *min = number;
                }
                if number.float() > max.float() {
                    *max = number;
                }
            }
        }
    }
}

/// The values that are not NULL, in the column's own type.
#[inline]
pub(super) fn gather<S: Copy, T: Number>(
    values: &[S],
    nulls: Option<&NullBuffer>,
    convert: impl Fn(S) -> T + Copy,
    out: &mut Vec<T>,
) {
    out.clear();
    match nulls {
        None => out.extend(values.iter().map(|&value| convert(value))),
        Some(nulls) => {
            for (from, to) in nulls.valid_slices() {
                out.extend(values[from..to].iter().map(|&value| convert(value)));
            }
        }
    }
}

/// A decimal that fits, as its precision was checked.
#[expect(clippy::cast_possible_truncation, reason = "the precision bounds it")]
pub(super) const fn low_long(decimal: i128) -> i64 {
    decimal as i64
}

/// A decimal that fits, as its precision was checked.
#[expect(clippy::cast_possible_truncation, reason = "the precision bounds it")]
pub(super) const fn low_word(decimal: i64) -> i32 {
    decimal as i32
}

/// Makes sure that decimals have no more digits than their type says: files of other writers may
/// hold such, and a narrower number would be another one.
pub(super) fn check_digits(decimals: &PrimitiveArray<Decimal128Type>, precision: u8) -> Result<(), Fault> {
    let beyond = 10_i128.pow(u32::from(precision.min(38)));
    let fit = |decimals: &[i128]| decimals.iter().fold(true, |fit, v| fit & (-beyond < *v) & (*v < beyond));
    let all_fit = match decimals.nulls() {
        None => fit(decimals.values()),
        Some(nulls) => nulls.valid_slices().all(|(from, to)| fit(&decimals.values()[from..to])),
    };
    if all_fit { Ok(()) } else { Err(Fault("a decimal has more digits than its type")) }
}
