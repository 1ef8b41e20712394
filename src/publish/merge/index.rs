//! The keys of incoming rows, a part of them at a time.

/// A part of all keys, by their digests: part `number` of `parts`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) parts: u64,
}

impl Part {
    /// All parts, so many that each holds about `most` of `keys`.
    pub(super) fn all(keys: u64, most: u64) -> impl Iterator<Item = Self> {
        let parts = keys.div_ceil(most.max(1)).max(1);
        (0..parts).map(move |number| Self { number, parts })
    }

    pub(super) const fn holds(self, digest: u128) -> bool {
        // The upper half of the digest, scaled to the number of parts.
        ((digest >> 64) * self.parts as u128) >> 64 == self.number as u128
    }

    /// About how many of `keys` are in it.
    pub(super) fn expected(self, keys: u64) -> usize {
        let share = keys / self.parts;
        usize::try_from(share + share / 16 + 64).unwrap_or(usize::MAX)
    }
}

/// An incoming row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Digest of its key.
    pub(super) key: u128,
    /// Digest of all its columns, where they were compared.
    pub(super) content: u64,
    /// Which of the incoming files it is in.
    pub(super) file: u32,
    /// Where in it.
    pub(super) row: u32,
}

/// Incoming rows by key.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
    /// How many rows have the key of another one.
    pub(super) doubled: u64,
}

impl Index {
    /// Bytes of one key.
    pub(super) const KEY_BYTES: u64 = size_of::<Entry>() as u64;

    pub(super) fn of(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable_by_key(|entry| entry.key);
        let rows = entries.len();
        entries.dedup_by_key(|entry| entry.key);
        let doubled = (rows - entries.len()) as u64;
        Self { entries, doubled }
    }

    pub(super) fn find(&self, key: u128) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get(at)
    }

    pub(super) fn find_mut(&mut self, key: u128) -> Option<&mut Entry> {
        let at = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_is_in_exactly_one_part() {
        let parts: Vec<Part> = Part::all(10, 3).collect();
        assert_eq!(parts.len(), 4);
        for digest in [0, 1, u128::MAX, u128::MAX / 2, u128::MAX / 4 * 3, 1 << 126] {
            assert_eq!(parts.iter().filter(|part| part.holds(digest)).count(), 1, "{digest}");
        }
        assert_eq!(Part::all(0, 0).count(), 1);
    }

    #[test]
    fn rows_of_one_key_are_counted() {
        let entry = |key, row| Entry { key, content: 0, file: 0, row };
        let index = Index::of(vec![entry(5, 0), entry(1, 1), entry(5, 2), entry(5, 3)]);
        assert_eq!(index.doubled, 2);
        assert_eq!(index.find(1).map(|entry| entry.row), Some(1));
        assert!(index.find(2).is_none());
    }
}
