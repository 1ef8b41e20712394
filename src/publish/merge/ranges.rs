//! Integers as a bounded number of ranges.

use arrow::array::{Array, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

/// Most ranges that are kept: beyond, those are joined that lie nearest to each other.
const MOST: usize = 4_096;

/// Where some integers are: in one of these ranges, which hold others as well.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// Low and high; sorted and apart once [`Ranges::settle`] has run.
    ranges: Vec<(i64, i64)>,
}

impl Ranges {
    /// Adds the values of an integer column.
    pub(super) fn extend(&mut self, column: &dyn Array) {
        let Ok(column) = cast(column, &DataType::Int64) else { return };
        for value in column.as_primitive::<Int64Type>().iter().flatten() {
            match self.ranges.last_mut() {
                // Keys often come in order.
                Some((low, high)) if *low <= value && value <= high.saturating_add(1) => {
                    *high = value.max(*high);
                }
                _ => self.ranges.push((value, value)),
            }
        }
        if self.ranges.len() > 4 * MOST {
            self.settle();
        }
    }

    /// Sorts, and joins what touches and what is too much.
    pub(super) fn settle(&mut self) {
        self.ranges.sort_unstable();
        self.join(1);
        if self.ranges.len() > MOST {
            let mut gaps: Vec<u64> =
                self.ranges.windows(2).map(|pair| pair[1].0.abs_diff(pair[0].1)).collect();
            let joined = self.ranges.len() - MOST;
            let (_, widest, _) = gaps.select_nth_unstable(joined - 1);
            let widest = *widest;
            self.join(widest);
        }
    }

    /// Joins neighbours that are no further apart than this.
    fn join(&mut self, apart: u64) {
        self.ranges.dedup_by(|next, last| {
            let is_near = next.0 <= last.1 || next.0.abs_diff(last.1) <= apart;
            if is_near {
                last.1 = last.1.max(next.1);
            }
            is_near
        });
    }

    /// Whether one of the settled ranges reaches into this one.
    pub(super) fn meet(&self, low: i64, high: i64) -> bool {
        let first = self.ranges.partition_point(|range| range.1 < low);
        self.ranges.get(first).is_some_and(|range| range.0 <= high)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn few_integers_are_told_apart_and_many_are_all_covered() {
        let mut few = Ranges::default();
        few.extend(&Int64Array::from(vec![
            Some(7),
            None,
            Some(1_000),
            Some(8),
            Some(i64::MAX),
            Some(i64::MIN),
        ]));
        few.settle();
        assert!(few.meet(0, 7) && few.meet(8, 8) && few.meet(900, 2_000) && few.meet(i64::MAX - 1, i64::MAX));
        assert!(!few.meet(9, 999) && !few.meet(1_001, i64::MAX - 1));

        let mut many = Ranges::default();
        let scattered = |n: i64| (n * 7_919) % 1_000_003 * 1_000;
        for start in 0..30 {
            many.extend(&Int64Array::from_iter_values((start * 1_000..start * 1_000 + 1_000).map(scattered)));
        }
        many.extend(&Int64Array::from(vec![5_000_000_000]));
        many.settle();
        assert!(many.ranges.len() <= MOST);
        assert!((0..30_000).map(scattered).all(|value| many.meet(value, value)));
        assert!(!many.meet(2_000_000_000, 4_000_000_000), "the widest gaps stay");
    }
}
