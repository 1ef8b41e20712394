//! Sets of rows of one file: one bit per row, up to the last one that is in it.

/// Row numbers, from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    words: Vec<u64>,
    count: u64,
}

impl Rows {
    pub(super) fn insert(&mut self, row: u32) {
        let (word, bit) = place(row);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if self.words[word] & bit == 0 {
            self.words[word] |= bit;
            self.count += 1;
        }
    }

    pub(super) fn remove(&mut self, row: u32) {
        let (word, bit) = place(row);
        if self.contains(row) {
            self.words[word] &= !bit;
            self.count -= 1;
        }
    }

    pub(super) fn contains(&self, row: u32) -> bool {
        let (word, bit) = place(row);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

const fn place(row: u32) -> (usize, u64) {
    ((row / 64) as usize, 1 << (row % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_go_and_are_counted_once() {
        let mut rows = Rows::default();
        assert!(rows.is_empty() && !rows.contains(70));
        rows.remove(70);
        for row in [0, 63, 64, 70, 70] {
            rows.insert(row);
        }
        rows.remove(63);
        rows.remove(63);
        let found: Vec<u32> = (0..200).filter(|&row| rows.contains(row)).collect();
        assert_eq!((found, rows.count()), (vec![0, 64, 70], 3));
    }
}
