//! Dictionaries: distinct values in the order of their appearance, found by open addressing.

#![expect(
    clippy::cast_possible_truncation,
    reason = "a dictionary is bounded far below 2^32, and hashes are cut"
)]

use std::hash::BuildHasher as _;

use arrow::array::OffsetSizeTrait;

use super::number::Number;

/// A dictionary is not added to when it is this large. It may end larger by what one step brings.
pub(super) const LIMIT_BYTES: usize = 1 << 20;

/// A search that passes this many places is taken as a sign of values made to collide.
const LONGEST_SEARCH: usize = 96;

/// Places of an empty dictionary, a power of two.
const PLACES: usize = 256;

const NONE: u32 = u32::MAX;

/// Drawn once a process, so that no one can prepare values that collide.
fn seed() -> u64 {
    static SEED: std::sync::LazyLock<u64> =
        std::sync::LazyLock::new(|| std::hash::RandomState::new().hash_one(0));
    *SEED
}

/// Numbers that lie within so many of each other are found by their distance, without a search.
const SPAN: u64 = 1 << 16;

/// Distinct numbers.
pub(super) struct Numbers<T> {
    /// Numbers and their indices.
    table: Vec<(T, u32)>,
    bits: u32,
    entries: Vec<T>,
    /// Indices by the distance from `least`; empty until numbers are known to lie close together.
    near: Vec<u32>,
    least: T,
    seed: u64,
    strained: bool,
}

impl<T: Number> Numbers<T> {
    pub(super) fn new() -> Self {
        Self {
            table: Vec::new(),
            bits: 0,
            entries: Vec::new(),
            near: Vec::new(),
            least: T::ZERO,
            seed: seed(),
            strained: false,
        }
    }

    /// The indices of numbers; new ones are added.
    pub(super) fn index(&mut self, numbers: &[T], indices: &mut Vec<u32>) {
        if self.table.is_empty() {
            self.resize(PLACES);
        }
        if self.near.is_empty() {
            indices.extend(numbers.iter().map(|&number| self.search(number)));
            return;
        }
        indices.extend(numbers.iter().map(|&number| {
            let distance = number.minus(self.least).unsigned();
            let near = usize::try_from(distance).ok().and_then(|distance| self.near.get(distance));
            match near {
                Some(&index) if index != NONE => index,
                _ => self.search(number),
            }
        }));
    }

    fn search(&mut self, number: T) -> u32 {
        let mut place = number.place(self.seed, self.bits);
        loop {
            let (known, index) = self.table[place];
            if index == NONE {
                return self.add(number, place);
            }
            if known == number {
                return index;
            }
            place = (place + 1) & (self.table.len() - 1);
        }
    }

    /// Looks whether the numbers so far lie close together, and so may those to come.
    pub(super) fn settle(&mut self) {
        let bounds = (self.entries.iter().min(), self.entries.iter().max());
        let (Some(&least), Some(&most)) = bounds else { return };
        // Doubled, since some smaller and some larger ones will come.
        let span = most.minus(least).unsigned().saturating_add(2).saturating_mul(2);
        if span > SPAN {
            return;
        }
        self.least = least.minus(T::small((span / 4) as u16));
        self.near.resize(span as usize, NONE);
        for (index, number) in self.entries.iter().enumerate() {
            if let Some(place) = self.near.get_mut(number.minus(self.least).unsigned() as usize) {
                *place = index as u32;
            }
        }
    }

    #[cold]
    fn add(&mut self, number: T, place: usize) -> u32 {
        let index = self.entries.len() as u32;
        self.table[place] = (number, index);
        self.entries.push(number);
        let distance = usize::try_from(number.minus(self.least).unsigned()).unwrap_or(usize::MAX);
        if let Some(place) = self.near.get_mut(distance) {
            *place = index;
        }
        let home = number.place(self.seed, self.bits);
        self.strained |= (place.wrapping_sub(home) & (self.table.len() - 1)) > LONGEST_SEARCH;
        if self.entries.len() * 2 > self.table.len() {
            self.resize(self.table.len() * 2);
        }
        index
    }

    fn resize(&mut self, places: usize) {
        self.bits = places.ilog2();
        self.table.clear();
        self.table.resize(places, (T::ZERO, NONE));
        for (index, &number) in self.entries.iter().enumerate() {
            let mut place = number.place(self.seed, self.bits);
            while self.table[place].1 != NONE {
                place = (place + 1) & (places - 1);
            }
            self.table[place] = (number, index as u32);
        }
    }

    /// Distinct numbers, in the order of their indices.
    pub(super) fn entries(&self) -> &[T] {
        &self.entries
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.entries.as_slice())
    }

    /// Whether it should not be added to.
    pub(super) fn is_full(&self) -> bool {
        self.strained || self.bytes() >= LIMIT_BYTES
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.table.capacity() * size_of::<(T, u32)>()
            + self.entries.capacity() * size_of::<T>()
            + self.near.capacity() * size_of::<u32>()
    }

    /// Forgets everything; the memory is kept.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.near.clear();
        self.strained = false;
        self.table.fill((T::ZERO, NONE));
    }
}

/// Distinct strings of bytes.
pub(super) struct Texts {
    /// Tags of texts and their indices.
    table: Vec<(u64, u32)>,
    bits: u32,
    bytes: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<u32>,
    seed: u64,
    strained: bool,
}

/// A tag with this highest byte stands for a text of eight bytes and more; other tags are the text.
const LONG: u64 = 0xff << 56;

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            table: Vec::new(),
            bits: 0,
            bytes: Vec::new(),
            ends: Vec::new(),
            seed: seed(),
            strained: false,
        }
    }

    fn place(&self, tag: u64) -> usize {
        ((tag ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - self.bits)) as usize
    }

    /// The indices of the texts between these offsets; new ones are added.
    pub(super) fn index<O: OffsetSizeTrait>(&mut self, offsets: &[O], data: &[u8], indices: &mut Vec<u32>) {
        if self.table.is_empty() {
            self.resize(PLACES);
        }
        indices.extend(offsets.windows(2).map(|ends| {
            let (start, end) = (ends[0].as_usize(), ends[1].as_usize());
            let tag = tag(data, start, end, self.seed);
            let mut place = self.place(tag);
            loop {
                let (known, index) = self.table[place];
                if index == NONE {
                    break self.add(&data[start..end], tag, place);
                }
                if known == tag && (tag < LONG || self.entry(index) == &data[start..end]) {
                    break index;
                }
                place = (place + 1) & (self.table.len() - 1);
            }
        }));
    }

    #[cold]
    fn add(&mut self, text: &[u8], tag: u64, place: usize) -> u32 {
        let index = self.ends.len() as u32;
        self.table[place] = (tag, index);
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        self.strained |= (place.wrapping_sub(self.place(tag)) & (self.table.len() - 1)) > LONGEST_SEARCH;
        if self.ends.len() * 2 > self.table.len() {
            self.resize(self.table.len() * 2);
        }
        index
    }

    fn resize(&mut self, places: usize) {
        self.bits = places.ilog2();
        let old = std::mem::replace(&mut self.table, vec![(0, NONE); places]);
        for (tag, index) in old.into_iter().filter(|(_, index)| *index != NONE) {
            let mut place = self.place(tag);
            while self.table[place].1 != NONE {
                place = (place + 1) & (places - 1);
            }
            self.table[place] = (tag, index);
        }
    }

    fn entry(&self, index: u32) -> &[u8] {
        let index = index as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// Distinct texts, in the order of their indices.
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|index| self.entry(index))
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 4
    }

    /// Whether it should not be added to.
    pub(super) fn is_full(&self) -> bool {
        self.strained || self.bytes() >= LIMIT_BYTES
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.table.capacity() * size_of::<(u64, u32)>() + self.bytes.capacity() + self.ends.capacity() * 4
    }

    /// Forgets everything; the memory is kept.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.strained = false;
        self.table.fill((0, NONE));
    }
}

/// Up to seven bytes are their own tag, with their number on top; a longer text has a hash.
#[inline]
fn tag(data: &[u8], start: usize, end: usize, seed: u64) -> u64 {
    let length = end - start;
    if length > 7 {
        return hash(&data[start..end], seed) | LONG;
    }
    // Eight bytes are read at once, and those that are not the text's cut off.
    let word = data[start..].first_chunk().map_or_else(
        || data[start..end].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        |bytes| u64::from_le_bytes(*bytes) & ((1 << (length * 8)) - 1),
    );
    (length as u64) << 56 | word
}

/// A hash of eight bytes and more.
#[inline]
fn hash(text: &[u8], seed: u64) -> u64 {
    let mix = |a: u64, b: u64| {
        let product = u128::from(a ^ 0xa076_1d64_78bd_642f) * u128::from(b ^ seed ^ 0xe703_7ed1_a0b4_28db);
        product as u64 ^ (product >> 64) as u64
    };
    let mut all = text.len() as u64;
    let (pairs, _) = text.as_chunks::<16>();
    for pair in pairs {
        let both = u128::from_le_bytes(*pair);
        all = mix(both as u64 ^ all, (both >> 64) as u64);
    }
    // What is left, together with bytes that were seen before.
    let last = text.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let middle = text[text.len().saturating_sub(16)..].first_chunk();
    let middle = middle.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    mix(middle ^ all, last)
}
