//! `date_shift`: dates and timestamps moved by a secret number of whole days, from 1 to `max_days` in either
//! direction. Each subject has a shift of its own, so that intervals between its dates stay.
//!
//! ```text
//! n       first 8 bytes, big-endian, of HMAC-SHA-256(key, 1 | canonical bytes of the subject)
//!                                    or HMAC-SHA-256(key, 0 | leaf path) without `by`, or where it is NULL
//! shift   r - max_days for r = n mod 2 max_days, and one day more from 0 on
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::canonical;
use crate::error::{Error, Result};
use crate::keys::DatasetKey;
use crate::spec::action::DateShift;

const DAY: i64 = 86_400_000_000;

pub(super) struct Kernel {
    /// Keyed once; cloned for each subject.
    keyed: Hmac<Sha256>,
    max_days: u32,
    /// Days, for rows without a subject.
    of_column: i32,
    path: String,
}

impl Kernel {
    /// # Errors
    /// `Failed` when the key is not made for shifts.
    pub(super) fn new(key: &DatasetKey, shift: &DateShift, path: &str) -> Result<Self> {
        let secret = key.secret().expose();
        if secret.len() != 32 {
            return Err(Error::failed(format!("the key {} is not 32 bytes long", key.id())));
        }
        let keyed = Hmac::<Sha256>::new_from_slice(secret)
            .map_err(|_| Error::failed(format!("the key {} cannot be used", key.id())))?;
        let max_days = shift.max_days.get();
        let of_column = days(&keyed, 0, path.as_bytes(), max_days);
        Ok(Self { keyed, max_days, of_column, path: path.to_owned() })
    }

    /// Days by subject, one for each row.
    fn shifts(&self, subjects: &ArrayRef) -> Result<Vec<i32>> {
        let mut shifts = Vec::with_capacity(subjects.len());
        // Rows of one subject often follow each other.
        let (mut last, mut of_last) = (Vec::new(), None);
        canonical::each(subjects, |subject| {
            shifts.push(match (subject, of_last) {
                (None, _) => self.of_column,
                (Some(subject), Some(shift)) if subject == last => shift,
                (Some(subject), _) => {
                    let shift = days(&self.keyed, 1, subject, self.max_days);
                    last.clear();
                    last.extend_from_slice(subject);
                    of_last = Some(shift);
                    shift
                }
            });
            Ok(())
        })?;
        Ok(shifts)
    }

    fn moved(&self, column: &ArrayRef, shifts: impl Iterator<Item = i32>) -> Result<ArrayRef> {
        let by_days = |value: i32, shift: i32| value.checked_add(shift);
        let by_micros = |value: i64, shift: i32| value.checked_add(i64::from(shift) * DAY);
        match column.data_type() {
            DataType::Date32 => self.each::<Date32Type>(column, shifts, by_days),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.each::<TimestampMicrosecondType>(column, shifts, by_micros)
            }
            other => Err(Error::failed(format!("{other} cannot be moved by days"))),
        }
    }

    fn each<T: ArrowPrimitiveType>(
        &self,
        column: &ArrayRef,
        shifts: impl Iterator<Item = i32>,
        add: impl Fn(T::Native, i32) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let beyond = || {
            let what = format!("column `{}` holds a date at the end of what its type can hold", self.path);
            Error::data(format!("{what}, so that it cannot be moved"))
                .help("leave such dates out in `transform`, or ask for `encrypt`")
        };
        let moved = column
            .as_primitive::<T>()
            .iter()
            .zip(shifts)
            .map(|(value, shift)| value.map(|value| add(value, shift).ok_or_else(beyond)).transpose());
        let moved: PrimitiveArray<T> = moved.collect::<Result<_>>()?;
        Ok(Arc::new(moved.with_data_type(column.data_type().clone())))
    }
}

impl super::Kernel for Kernel {
    fn apply(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        self.moved(column, std::iter::repeat_n(self.of_column, column.len()))
    }

    fn apply_by(&mut self, column: &ArrayRef, subjects: &ArrayRef) -> Result<ArrayRef> {
        if subjects.len() != column.len() {
            return Err(Error::failed("there are not as many subjects as dates"));
        }
        self.moved(column, self.shifts(subjects)?.into_iter())
    }
}

fn days(keyed: &Hmac<Sha256>, what: u8, of: &[u8], max_days: u32) -> i32 {
    let digest = keyed.clone().chain_update([what]).chain_update(of).finalize().into_bytes();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // At most 2 times 3,650.
    let place = i32::try_from(number % (2 * u64::from(max_days))).unwrap_or_default();
    let shift = place - i32::try_from(max_days).unwrap_or_default();
    if shift < 0 { shift } else { shift + 1 }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use arrow::array::{Date32Array, StringArray, TimestampMicrosecondArray};

    use super::super::Kernel as _;
    use super::*;

    fn kernel(byte: u8, max_days: u32, path: &str) -> Kernel {
        let key = DatasetKey::for_tests("sealift:crm.visits#shift@1", &[byte; 32]);
        let max_days = NonZeroU32::new(max_days).unwrap();
        Kernel::new(&key, &DateShift { max_days, by: None, join_domain: None }, path).unwrap()
    }

    fn dates(days: &[Option<i32>]) -> ArrayRef {
        Arc::new(Date32Array::from(days.to_vec()))
    }

    fn values(array: &ArrayRef) -> Vec<Option<i32>> {
        array.as_primitive::<Date32Type>().iter().collect()
    }

    #[test]
    fn a_column_moves_as_one_and_null_stays() {
        let moved = values(&kernel(1, 30, "born").apply(&dates(&[Some(100), None, Some(160)])).unwrap());
        let shift = moved[0].unwrap() - 100;
        assert!(shift != 0 && shift.abs() <= 30);
        assert_eq!((moved[1], moved[2]), (None, Some(160 + shift)));
        let other = values(&kernel(2, 3650, "born").apply(&dates(&[Some(100)])).unwrap());
        let path = values(&kernel(2, 3650, "died").apply(&dates(&[Some(100)])).unwrap());
        assert_ne!(other, path, "each column has a shift of its own");
        // HMAC-SHA-256 of a zero byte and `born` under 32 bytes of 1, by Python's `hmac`.
        assert_eq!(shift, 20);
    }

    #[test]
    fn intervals_of_a_subject_stay_in_every_column() {
        let subjects: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("a"), None]));
        let came = dates(&[Some(0), Some(0), Some(500), Some(7)]);
        let moved = values(&kernel(1, 3650, "came").apply_by(&came, &subjects).unwrap());
        let (a, b) = (moved[0].unwrap(), moved[1].unwrap());
        assert_ne!(a, b);
        assert_eq!(moved[2], Some(500 + a));
        assert_eq!(moved[3], values(&kernel(1, 3650, "came").apply(&dates(&[Some(7)])).unwrap())[0]);
        let late = 86_399_999_999;
        let left: ArrayRef = Arc::new(
            TimestampMicrosecondArray::from(vec![Some(late), None, Some(-1), None]).with_timezone("UTC"),
        );
        let stamps = kernel(1, 3650, "left").apply_by(&left, &subjects).unwrap();
        assert_eq!(stamps.data_type(), left.data_type());
        let stamps = stamps.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(stamps.value(0), late + i64::from(a) * DAY);
        assert!(stamps.is_null(1));
        assert_eq!(stamps.value(2), -1 + i64::from(a) * DAY);
    }

    #[test]
    fn shifts_fill_the_range_and_leave_zero_out() {
        let kernel = kernel(3, 2, "x");
        let mut seen = std::collections::BTreeMap::new();
        for subject in 0..4_000_u32 {
            *seen.entry(days(&kernel.keyed, 1, &subject.to_be_bytes(), 2)).or_insert(0) += 1;
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [-2, -1, 1, 2]);
        assert!(seen.values().all(|count| (850..1150).contains(count)), "{seen:?}");
    }

    #[test]
    fn a_date_that_cannot_be_moved_fails_without_being_shown() {
        let ends = dates(&[Some(i32::MAX), Some(i32::MIN)]);
        let error = kernel(1, 30, "born").apply(&ends).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Data);
        assert!(!error.to_string().contains("21474"), "{error}");
    }
}
