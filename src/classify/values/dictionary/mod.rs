//! Small dictionaries: given and family names, cities, countries, words for streets, genders and titles.
//!
//! One open-addressing table of word hashes carries a bit per list; a lookup folds case and accents while it hashes,
//! so it needs no copy of the word.
use std::sync::OnceLock;

/// A given name.
pub const FIRST: u8 = 1;
/// A family name.
pub const LAST: u8 = 2;
/// A city.
pub const CITY: u8 = 4;
/// A country.
pub const COUNTRY: u8 = 8;
/// A word for a kind of street.
pub const STREET: u8 = 16;
/// A form of address.
pub const TITLE: u8 = 32;
/// A word for a gender.
pub const GENDER: u8 = 64;
/// An ordinary word of business data.
pub const COMMON: u8 = 128;

const LISTS: [(u8, &str); 8] = [
    (FIRST, include_str!("first_names.txt")),
    (LAST, include_str!("last_names.txt")),
    (CITY, include_str!("cities.txt")),
    (COUNTRY, include_str!("countries.txt")),
    (STREET, include_str!("streets.txt")),
    (TITLE, include_str!("titles.txt")),
    (GENDER, include_str!("genders.txt")),
    (COMMON, include_str!("common_words.txt")),
];

/// Slots: a power of two, at least twice the words.
const SLOTS: usize = 1 << 15;

/// Hash in the upper 56 bits, lists in the lowest 8; 0 is an empty slot.
struct Table(Vec<u64>);

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table(vec![0; SLOTS]);
        for (list, text) in LISTS {
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                for word in line.split_ascii_whitespace() {
                    table.insert(hash(word.as_bytes()), list);
                }
            }
        }
        table
    })
}

impl Table {
    fn insert(&mut self, hash: u64, list: u8) {
        let mut at = (hash >> 40) as usize % SLOTS;
        while let Some(slot) = self.0.get_mut(at) {
            if *slot == 0 || *slot & !0xff == hash {
                *slot = hash | (*slot & 0xff) | u64::from(list);
                return;
            }
            at = (at + 1) % SLOTS;
        }
    }

    fn get(&self, hash: u64) -> u8 {
        let mut at = (hash >> 40) as usize % SLOTS;
        while let Some(slot) = self.0.get(at) {
            if *slot == 0 {
                return 0;
            }
            if *slot & !0xff == hash {
                return (*slot & 0xff) as u8;
            }
            at = (at + 1) % SLOTS;
        }
        0
    }
}

/// The lists a word is on, whatever its case and accents. A space, hyphen or underscore joins words of one entry.
#[must_use]
pub fn lists(word: &[u8]) -> u8 {
    table().get(hash(word))
}

/// FNV-1a over the folded word, its lowest byte cleared for the lists.
fn hash(word: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut bytes = word.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'A'..=b'Z' => mix(byte | 0x20),
            b'\'' | b'.' => {}
            b' ' | b'-' => mix(b'_'),
            0xc3..=0xc8 => match bytes.next() {
                Some(&second) => fold(byte, second, &mut mix),
                None => mix(byte),
            },
            0xcc => {
                bytes.next(); // a combining accent
            }
            _ => mix(byte),
        }
    }
    hash ^= hash >> 29;
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !0xff | 0x100
}

/// Writes the Latin letter beneath an accent (Latin-1, Latin Extended-A, the Romanian commas), other letters as they are.
fn fold(lead: u8, second: u8, mix: &mut impl FnMut(u8)) {
    /// U+00C0 to U+00FF; `.` stands for letters that keep two bytes or become two letters.
    const LATIN_1: &[u8; 64] = b"aaaaaa.ceeeeiiiidnooooo.ouuuuy..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y";
    /// U+0100 to U+017F.
    const EXTENDED: &[u8; 128] = b"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkkklllllllllln\
nnnnnnnnoooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
    let code = (usize::from(lead & 0x1f) << 6) | usize::from(second & 0x3f);
    let folded = match code {
        0xdf => {
            mix(b's');
            b's'
        }
        0xc6 | 0xe6 => {
            mix(b'a');
            b'e'
        }
        0xde | 0xfe => {
            mix(b't');
            b'h'
        }
        0x152 | 0x153 => {
            mix(b'o');
            b'e'
        }
        0xc0..=0xff => LATIN_1.get(code - 0xc0).copied().unwrap_or(b'.'),
        0x100..=0x17f => EXTENDED.get(code - 0x100).copied().unwrap_or(b'.'),
        0x218 | 0x219 => b's',
        0x21a | 0x21b => b't',
        _ => b'.',
    };
    if folded == b'.' {
        mix(lead);
        mix(second);
    } else {
        mix(folded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_and_case_fold_away() {
        for (a, b) in [
            ("MÜLLER", "muller"),
            ("Łukasz", "lukasz"),
            ("Şahin", "sahin"),
            ("Weiß", "weiss"),
            ("Ångström", "angstrom"),
            ("Žižka", "zizka"),
            ("İzmir", "izmir"),
            ("O'Brien", "obrien"),
            ("NÚÑEZ", "nunez"),
            ("Zając", "zajac"),
            ("ț", "t"),
            ("Ősz", "osz"),
            ("Dvořák", "dvorak"),
            ("Ğ", "g"),
            ("ŷ", "y"),
            ("ſ", "s"),
        ] {
            assert_eq!(hash(a.as_bytes()), hash(b.as_bytes()), "{a}");
        }
        assert_ne!(hash("Мария".as_bytes()), hash("Марио".as_bytes()));
    }

    #[test]
    fn lists_know_their_words() {
        assert_ne!(lists(b"Jennifer") & FIRST, 0);
        assert_ne!(lists("KOWALSKI".as_bytes()) & LAST, 0);
        assert_ne!(lists(b"New York") & CITY, 0);
        assert_ne!(lists(b"united kingdom") & COUNTRY, 0);
        assert_ne!(lists("Straße".as_bytes()) & STREET, 0);
        assert_eq!(lists(b"xqzzt"), 0);
    }

    #[test]
    fn table_stays_half_empty() {
        assert!(table().0.iter().filter(|slot| **slot != 0).count() < SLOTS / 2);
        assert!(LISTS.iter().map(|(_, text)| text.len()).sum::<usize>() < 80 << 10);
    }
}
