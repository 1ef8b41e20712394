//! How the memory of a run (`memory_limit_mb`) is shared among what holds it.

/// What code, runtime, connections and documents take, whatever the rows are.
const FIXED_BYTES: u64 = 128_000_000;

/// What the write of a quarantine holds: one part of an upload that is filled and one on its way.
const QUARANTINE_BYTES: u64 = 16 << 20;

/// The shares of one run, which together are its limit. Nothing of one is lent to another: each part
/// runs at the same time as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Batches read ahead of the stages after the source: a quarter.
    pub source_bytes: u64,
    /// What the spec's SQL sorts and groups: three eighths.
    pub transform_bytes: u64,
    /// Open row groups and parts on their way to the store: the rest.
    pub encode_bytes: u64,
}

impl Memory {
    /// The shares of a limit.
    #[must_use]
    pub fn of(limit_bytes: u64) -> Self {
        let free = limit_bytes.saturating_sub(FIXED_BYTES);
        let (source_bytes, transform_bytes) = (free / 4, free / 8 * 3);
        Self { source_bytes, transform_bytes, encode_bytes: free - source_bytes - transform_bytes }
    }

    /// `transform_bytes` as the spec's SQL and the keys of published rows share it.
    #[must_use]
    pub const fn beside_keys(&self) -> (u64, u64) {
        (self.transform_bytes / 2, self.transform_bytes / 2)
    }

    /// What the keys of a merge may take, which are compared when nothing is read from the source any more.
    #[must_use]
    pub const fn keys_bytes(&self) -> u64 {
        self.source_bytes
    }

    /// `encode_bytes` as two writes share it that run side by side: a stream's own and its quarantine's.
    #[must_use]
    pub const fn beside_quarantine(&self) -> (u64, u64) {
        (self.encode_bytes.saturating_sub(QUARANTINE_BYTES), QUARANTINE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_fit_into_the_limit_and_none_is_nothing() {
        for limit in [256_000_000, 1_024_000_000, 16_000_000_000_000] {
            let memory = Memory::of(limit);
            let Memory { source_bytes, transform_bytes, encode_bytes } = memory;
            let (own, quarantine) = memory.beside_quarantine();
            assert!(own + quarantine == encode_bytes && own >= quarantine);
            assert_eq!(FIXED_BYTES + source_bytes + transform_bytes + encode_bytes, limit);
            assert!(
                source_bytes >= 16_000_000 && transform_bytes >= 24_000_000 && encode_bytes >= 24_000_000
            );
        }
    }
}
