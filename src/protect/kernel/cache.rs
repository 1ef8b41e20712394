//! Pseudonyms of values that come again and again: a small table in front of the cipher, which rests where values
//! hardly repeat.

use zeroize::Zeroize;

use crate::error::Result;

/// Places of the table, a power of two.
const SLOTS: usize = 1 << 10;
/// Longest value that is kept.
const VALUE_BYTES: usize = 64;
/// Looks after which it is judged by its hits.
const TRIAL: u32 = 4_096;
/// It pays from this share of hits on: one in so many.
const WORTH_ONE_IN: u32 = 4;
/// Values that pass by before it is tried again.
const REST: u32 = 1 << 18;

/// Results by value, each value in one place. No `Debug`, and wiped at its end: it holds values, and keys.
pub(super) struct Cache {
    slots: Vec<Slot>,
    looks: u32,
    hits: u32,
    /// Values that still pass by.
    rests: u32,
}

#[derive(Default)]
struct Slot {
    value: Vec<u8>,
    result: Vec<u8>,
}

impl Cache {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), looks: 0, hits: 0, rests: 0 }
    }

    /// Appends what `make` appends for the value: the same bytes for the same value.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn append(
        &mut self,
        value: &[u8],
        out: &mut Vec<u8>,
        make: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        if self.rests > 0 {
            self.rests -= 1;
            return make(out);
        }
        if value.len() > VALUE_BYTES {
            return make(out);
        }
        self.judge();
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Slot::default);
        }
        let Some(slot) = self.slots.get_mut(place(value)) else { return make(out) };
        if slot.value == value && !slot.result.is_empty() {
            self.hits += 1;
            out.extend_from_slice(&slot.result);
            return Ok(());
        }
        let start = out.len();
        make(out)?;
        slot.value.zeroize();
        slot.value.extend_from_slice(value);
        slot.result.zeroize();
        slot.result.extend_from_slice(out.get(start..).unwrap_or_default());
        Ok(())
    }

    fn judge(&mut self) {
        self.looks += 1;
        if self.looks == TRIAL {
            if self.hits < TRIAL / WORTH_ONE_IN {
                self.rests = REST;
            }
            (self.looks, self.hits) = (0, 0);
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            slot.value.zeroize();
            slot.result.zeroize();
        }
    }
}

/// Where a value belongs. Nothing but speed hangs on it.
fn place(value: &[u8]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = value.chunks(8).fold(value.len() as u64, |mixed, part| {
        let mut word = [0; 8];
        word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        (mixed ^ u64::from_le_bytes(word)).wrapping_mul(MIX).rotate_left(29)
    });
    usize::try_from(mixed.wrapping_mul(MIX) >> (64 - SLOTS.ilog2())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the cache gives for each value, and how often it had to be made.
    fn of(cache: &mut Cache, values: impl Iterator<Item = String>) -> (Vec<String>, u32) {
        let (mut results, mut made) = (Vec::new(), 0);
        for value in values {
            let mut out = b"before".to_vec();
            let make = |out: &mut Vec<u8>| {
                made += 1;
                out.extend_from_slice(format!("<{value}>").as_bytes());
                Ok(())
            };
            cache.append(value.as_bytes(), &mut out, make).unwrap();
            results.push(String::from_utf8(out).unwrap());
        }
        (results, made)
    }

    #[test]
    fn few_values_are_made_once_and_many_pass_by() {
        let few = || (0..20_000).map(|row| format!("value {}", row % 7));
        let (results, made) = of(&mut Cache::new(), few());
        assert!(results.iter().zip(few()).all(|(result, value)| *result == format!("before<{value}>")));
        assert_eq!(made, 7);
        let many = || (0..200_000).map(|row| format!("value {row}"));
        let mut cache = Cache::new();
        let (results, made) = of(&mut cache, many());
        assert!(results.iter().zip(many()).all(|(result, value)| *result == format!("before<{value}>")));
        assert_eq!(made, 200_000);
        assert!(cache.rests > 0);
    }

    #[test]
    fn what_failed_is_not_kept() {
        let mut cache = Cache::new();
        let failed = cache.append(b"x", &mut Vec::new(), |_| Err(crate::error::Error::failed("no")));
        assert!(failed.is_err());
        let mut out = Vec::new();
        cache
            .append(b"x", &mut out, |out| {
                out.push(1);
                Ok(())
            })
            .unwrap();
        assert_eq!(out, [1]);
        let long = "x".repeat(VALUE_BYTES + 1);
        assert_eq!(of(&mut cache, std::iter::repeat_n(long, 3)).1, 3);
    }
}
