//! `generalize`: numbers to the lower bound of their bucket, dates and timestamps to the beginning of a period,
//! texts to their first characters, IP addresses to their network. The type is kept. Where a lower bound is below
//! what the type holds, it is the lowest value of the type.

use std::net::IpAddr;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use super::{calendar, text};
use crate::error::{Error, Result};
use crate::spec::action::{Generalize, Period};

/// Stands for the rest of a text, and for a text that cannot be made coarser: it is never published.
const STAR: u8 = b'*';

pub(super) struct Kernel(Generalize);

impl Kernel {
    pub(super) const fn new(how: Generalize) -> Self {
        Self(how)
    }
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        match self.0 {
            Generalize::Width(width) => buckets(column, width.get()),
            Generalize::To(period) => periods(column, period),
            Generalize::Prefix(kept) => texts(column, |value, out| prefix(value, kept.get() as usize, out)),
            Generalize::Network { ipv4, ipv6 } => {
                texts(column, |value, out| match network(value, ipv4, ipv6) {
                    Some(network) => out.extend_from_slice(network.as_bytes()),
                    None => out.push(STAR),
                })
            }
        }
    }
}

fn unfit(column: &ArrayRef) -> Error {
    Error::failed(format!("{} cannot be made coarser in this way", column.data_type()))
}

fn buckets(column: &ArrayRef, width: u32) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Int8 => integers::<Int8Type>(column, width),
        DataType::Int16 => integers::<Int16Type>(column, width),
        DataType::Int32 => integers::<Int32Type>(column, width),
        DataType::Int64 => integers::<Int64Type>(column, width),
        DataType::Float32 => {
            // As a 64-bit number: not every width is a 32-bit one.
            #[expect(clippy::cast_possible_truncation, reason = "the nearest 32-bit number is meant")]
            let lower = |value: f32| floor(value.into(), width) as f32;
            each::<Float32Type>(column, lower)
        }
        DataType::Float64 => each::<Float64Type>(column, |value| floor(value, width)),
        DataType::Decimal128(precision, scale) => {
            let unit = u32::try_from(*scale).ok().and_then(|scale| 10_i128.checked_pow(scale));
            let width = unit.and_then(|unit| unit.checked_mul(width.into())).unwrap_or(i128::MAX);
            let lowest = 10_i128.checked_pow(u32::from(*precision)).map_or(i128::MIN, |end| 1 - end);
            each::<Decimal128Type>(column, |value| {
                value.div_euclid(width).checked_mul(width).unwrap_or(lowest).max(lowest)
            })
        }
        _ => return Err(unfit(column)),
    })
}

fn floor(value: f64, width: u32) -> f64 {
    (value / f64::from(width)).floor() * f64::from(width)
}

fn integers<T: ArrowPrimitiveType>(column: &ArrayRef, width: u32) -> ArrayRef
where
    T::Native: Into<i64> + TryFrom<i64>,
{
    let width = i64::from(width);
    each::<T>(column, |value| {
        let lower = Into::<i64>::into(value).div_euclid(width).checked_mul(width);
        lower.and_then(|lower| lower.try_into().ok()).unwrap_or(T::Native::MIN_TOTAL_ORDER)
    })
}

/// Every value by `change`, in the column's own type.
fn each<T: ArrowPrimitiveType>(column: &ArrayRef, change: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    let changed: PrimitiveArray<T> = column.as_primitive::<T>().unary(change);
    std::sync::Arc::new(changed.with_data_type(column.data_type().clone()))
}

fn periods(column: &ArrayRef, period: Period) -> Result<ArrayRef> {
    const DAY: i64 = 86_400_000_000;
    Ok(match column.data_type() {
        DataType::Date32 => each::<Date32Type>(column, |days| {
            i32::try_from(beginning(days.into(), period)).unwrap_or(i32::MIN)
        }),
        DataType::Timestamp(TimeUnit::Microsecond, _) => each::<TimestampMicrosecondType>(column, |micros| {
            beginning(micros.div_euclid(DAY), period).checked_mul(DAY).unwrap_or(i64::MIN)
        }),
        _ => return Err(unfit(column)),
    })
}

/// The first day of the period that a day lies in, both in days since 1970-01-01.
fn beginning(days: i64, period: Period) -> i64 {
    let (year, month, _) = calendar::civil(days);
    match period {
        Period::Day => days,
        Period::Month => calendar::first_of(year, month),
        Period::Quarter => calendar::first_of(year, (month - 1) / 3 * 3 + 1),
        Period::Year => calendar::first_of(year, 1),
    }
}

fn texts(column: &ArrayRef, mut write: impl FnMut(&str, &mut Vec<u8>)) -> Result<ArrayRef> {
    let values = column.as_string_opt::<i32>().ok_or_else(|| unfit(column))?;
    let mut out = text::Builder::new(values.len(), 16);
    for value in values {
        if let Some(value) = value {
            write(value, out.values());
        }
        out.end()?;
    }
    out.finish(column.nulls())
}

fn prefix(value: &str, kept: usize, out: &mut Vec<u8>) {
    let cut = value.char_indices().nth(kept).and_then(|(end, _)| value.get(..end));
    out.extend_from_slice(cut.unwrap_or_default().as_bytes());
    out.push(STAR);
}

/// The network of an address, which may have a prefix length of its own (`192.0.2.7/25`).
fn network(value: &str, ipv4: u8, ipv6: u8) -> Option<String> {
    let value = value.trim();
    let (address, own) = match value.split_once('/') {
        Some((address, length)) => (address, length.parse().ok()?),
        None => (value, u8::MAX),
    };
    Some(match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => {
            let kept = own.min(ipv4);
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(kept.into())).unwrap_or(0);
            format!("{}/{kept}", std::net::Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let kept = own.min(ipv6);
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(kept.into())).unwrap_or(0);
            format!("{}/{kept}", std::net::Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, Int8Array, StringArray, TimestampMicrosecondArray,
    };
    use proptest::prelude::*;

    use super::super::Kernel as _;
    use super::*;

    fn width(width: u32) -> Kernel {
        Kernel::new(Generalize::Width(NonZeroU32::new(width).unwrap()))
    }

    fn applied(mut kernel: Kernel, array: impl Array + 'static) -> ArrayRef {
        let array: ArrayRef = Arc::new(array);
        let out = kernel.apply(&array).unwrap();
        assert_eq!((out.data_type(), out.nulls()), (array.data_type(), array.nulls()));
        out
    }

    fn strings(how: Generalize, values: &[&str]) -> Vec<String> {
        let out = applied(Kernel::new(how), StringArray::from(values.to_vec()));
        out.as_string::<i32>().iter().map(|value| value.unwrap().to_owned()).collect()
    }

    #[test]
    fn numbers_become_the_lower_bound_of_their_bucket() {
        let small = applied(width(10), Int8Array::from(vec![Some(37), None, Some(-1), Some(-128)]));
        assert_eq!(*small, Int8Array::from(vec![Some(30), None, Some(-10), Some(-128)]));
        let money =
            |values: Vec<i128>| Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap();
        let lowest = 1 - 10_i128.pow(38);
        let out = applied(width(100), money(vec![12_345, -1, 99, lowest]));
        assert_eq!(*out, money(vec![10_000, -10_000, 0, lowest]));
        let floats = applied(width(5), Float64Array::from(vec![7.5, -0.1, f64::INFINITY, f64::NAN]));
        let floats = floats.as_primitive::<Float64Type>();
        assert_eq!(floats.values()[..3], [5.0, -5.0, f64::INFINITY]);
        assert!(floats.value(3).is_nan());
    }

    #[test]
    fn texts_keep_their_beginning_and_never_all() {
        let prefix = Generalize::Prefix(NonZeroU32::new(3).unwrap());
        assert_eq!(
            strings(prefix, &["80331", "SW1A 1AA", "803", "8", "", "Zoë-1"]),
            ["803*", "SW1*", "*", "*", "*", "Zoë*"]
        );
    }

    #[test]
    fn addresses_become_networks_and_what_is_none_a_star() {
        let networks = Generalize::Network { ipv4: 24, ipv6: 48 };
        let values = [
            "192.0.2.77",
            "192.0.2.77/32",
            "10.1.2.3/8",
            "2001:db8:1:2::9",
            "::ffff:192.0.2.9",
            "0.0.0.0/0",
            "anna@example.org",
            "192.0.2",
            "192.0.2.1/x",
            "",
        ];
        assert_eq!(
            strings(networks, &values),
            [
                "192.0.2.0/24",
                "192.0.2.0/24",
                "10.0.0.0/8",
                "2001:db8:1::/48",
                "192.0.2.0/24",
                "0.0.0.0/0",
                "*",
                "*",
                "*",
                "*",
            ]
        );
    }

    #[test]
    fn a_type_that_it_is_not_for_is_an_error() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        assert!(width(10).apply(&text).is_err());
        assert!(Kernel::new(Generalize::To(Period::Year)).apply(&text).is_err());
        let number: ArrayRef = Arc::new(Int8Array::from(vec![1]));
        assert!(Kernel::new(Generalize::Network { ipv4: 24, ipv6: 48 }).apply(&number).is_err());
    }

    proptest! {
        #[test]
        fn dates_begin_their_period_as_a_calendar_says(days in -800_000_i32..3_000_000) {
            use chrono::{Datelike, NaiveDate};
            let date = chrono::DateTime::UNIX_EPOCH.date_naive() + chrono::Duration::days(days.into());
            let of = |year, month| {
                let first = NaiveDate::from_ymd_opt(year, month, 1).unwrap();
                i32::try_from((first - chrono::DateTime::UNIX_EPOCH.date_naive()).num_days()).unwrap()
            };
            let expected = [
                (Period::Day, days),
                (Period::Month, of(date.year(), date.month())),
                (Period::Quarter, of(date.year(), (date.month() - 1) / 3 * 3 + 1)),
                (Period::Year, of(date.year(), 1)),
            ];
            for (period, first) in expected {
                let how = Generalize::To(period);
                let out = applied(Kernel::new(how), Date32Array::from(vec![days]));
                prop_assert_eq!(out.as_primitive::<Date32Type>().value(0), first);
                let late = i64::from(days) * 86_400_000_000 + 86_399_999_999;
                let stamps = TimestampMicrosecondArray::from(vec![late]).with_timezone("UTC");
                let out = applied(Kernel::new(how), stamps);
                let begun = i64::from(first) * 86_400_000_000;
                prop_assert_eq!(out.as_primitive::<TimestampMicrosecondType>().value(0), begun);
            }
        }

        #[test]
        fn every_number_lies_in_its_bucket(value: i64, wide in 2_u32..1_000_000_000) {
            let out = applied(width(wide), arrow::array::Int64Array::from(vec![value]));
            let lower = out.as_primitive::<Int64Type>().value(0);
            prop_assert!(lower <= value && i128::from(value) - i128::from(lower) < i128::from(wide));
            prop_assert!(lower == i64::MIN || lower % i64::from(wide) == 0);
        }
    }
}
