//! Properties of the set of values that no single value shows.

/// Names whose ends are compared: enough to tell few nouns from many families, few enough for the marks.
const NAMES: u32 = 200;

/// Counts over the values of one sample.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    /// Years of dates, by fives from 1900 to 2029.
    fives: [u32; 26],
    /// Dates outside of these years.
    elsewhere: u32,
    /// A mark for each first and each last word of names, by hash, and how many names.
    firsts: [u64; 4],
    lasts: [u64; 4],
    names: u32,
    /// Names with a known given name.
    given: u32,
    /// A bit for each letter that ICD-10 codes began with, codes by length, and how many codes.
    chapters: u32,
    categories: [u64; 41],
    lengths: [u32; 9],
    codes: u32,
}

impl Default for Set {
    fn default() -> Self {
        Self {
            fives: [0; 26],
            elsewhere: 0,
            firsts: [0; 4],
            lasts: [0; 4],
            names: 0,
            given: 0,
            chapters: 0,
            categories: [0; 41],
            lengths: [0; 9],
            codes: 0,
        }
    }
}

impl Set {
    /// A date's year.
    pub(crate) fn count_year(&mut self, year: u32) {
        match self.fives.get_mut((year.wrapping_sub(1900) / 5) as usize) {
            Some(count) => *count += 1,
            None => self.elsewhere += 1,
        }
    }

    /// First and last word of what passed as a person's name, and whether a given name or a title is in it.
    pub(crate) fn count_name(&mut self, first: &[u8], last: &[u8], has_given: bool) {
        if self.names < NAMES {
            self.names += 1;
            self.given += u32::from(has_given);
            mark(&mut self.firsts, first);
            mark(&mut self.lasts, last);
        }
    }

    /// An ICD-10 code.
    pub(crate) fn count_code(&mut self, code: &[u8]) {
        self.codes += 1;
        if let [letter @ b'A'..=b'Z', tens @ b'0'..=b'9', ones, ..] = code {
            self.chapters |= 1 << (letter - b'A');
            let ones = if ones.is_ascii_digit() { ones - b'0' } else { 0 };
            let category =
                usize::from(letter - b'A') * 100 + usize::from(tens - b'0') * 10 + usize::from(ones);
            if let Some(slot) = self.categories.get_mut(category / 64) {
                *slot |= 1 << (category % 64);
            }
        }
        if let Some(count) = self.lengths.get_mut(code.len()) {
            *count += 1;
        }
    }

    /// How dates lie: `Some(true)` as the births of people do, over decades and none of the last years in bulk;
    /// `Some(false)` as events do, within few years; `None` where there are too few to tell.
    pub(crate) fn are_births(&self) -> Option<bool> {
        let all = self.fives.iter().sum::<u32>() + self.elsewhere;
        if all < 20 {
            return None;
        }
        let (early, late) = (self.year_at(all, 10), self.year_at(all, 90));
        let are_few_elsewhere = self.elsewhere * 50 < all;
        if late.saturating_sub(early) >= 20 && early >= 1915 && late <= 2015 && are_few_elsewhere {
            return Some(true);
        }
        (late.saturating_sub(early) <= 15 && late >= 2010).then_some(false)
    }

    /// The year that this percentage of the dates come before.
    fn year_at(&self, all: u32, percent: u32) -> u32 {
        let mut seen = 0;
        for (year, count) in (1900..).step_by(5).zip(self.fives) {
            seen += count;
            if seen * 100 >= all * percent {
                return year;
            }
        }
        2030
    }

    /// Whether names share few first or last words, as products do (`Emma Mirror`, `Jackson Mirror`) and families do not.
    pub(crate) fn are_made_of_nouns(&self) -> bool {
        let distinct = count_marks(&self.firsts).min(count_marks(&self.lasts));
        // Among many names even families come again.
        if self.names < 60 {
            self.names >= 12 && distinct * 5 < self.names * 2
        } else {
            distinct * 4 < self.names
        }
    }

    /// Whether next to no name has a given name, as places and clubs do (`Riverside Hall`).
    pub(crate) fn lack_given_names(&self) -> bool {
        self.names >= 2 && self.given * 6 < self.names
    }

    /// Whether ICD-10 codes are many, of several chapters and lengths: grid cells and part numbers are of one length.
    pub(crate) fn are_codes_of_chapters(&self) -> bool {
        let lengths = self.lengths.iter().filter(|count| **count * 12 >= self.codes).count();
        let letters = self.chapters.count_ones();
        self.codes >= 12 && letters >= 7 && lengths >= 2 || letters >= 14 && self.categories() >= 30
    }

    /// How many categories ICD-10 codes are of.
    pub(crate) fn categories(&self) -> u32 {
        self.categories.iter().map(|m| m.count_ones()).sum()
    }
}

fn mark(marks: &mut [u64; 4], word: &[u8]) {
    let hash = word.iter().fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(*b | 0x20)).wrapping_mul(0x0100_0193));
    let bit = (hash ^ hash >> 15) & 0xff;
    if let Some(slot) = marks.get_mut((bit >> 6) as usize) {
        *slot |= 1 << (bit & 63);
    }
}

fn count_marks(marks: &[u64; 4]) -> u32 {
    marks.iter().map(|m| m.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::Set;

    #[test]
    fn births_lie_over_decades() {
        let years = |from: u32, to: u32| {
            let mut set = Set::default();
            (from..=to).for_each(|year| set.count_year(year));
            set.are_births()
        };
        assert_eq!(years(1930, 2005), Some(true));
        assert_eq!(years(2000, 2025), None);
        assert_eq!(years(1700, 2000), None);
        assert_eq!(years(1990, 1995), None);
        let mut events = Set::default();
        (0..40).for_each(|n| events.count_year(2016 + n % 8));
        assert_eq!(events.are_births(), Some(false));
    }

    #[test]
    fn products_share_their_nouns() {
        let (mut people, mut products) = (Set::default(), Set::default());
        for n in 0..60 {
            people.count_name(format!("First{}", n % 40).as_bytes(), format!("Family{n}").as_bytes(), true);
            products.count_name(
                format!("First{}", n % 40).as_bytes(),
                format!("Noun{}", n % 6).as_bytes(),
                true,
            );
        }
        assert!(!people.are_made_of_nouns() && products.are_made_of_nouns());
    }

    #[test]
    fn codes_of_one_length_are_cells() {
        let (mut cells, mut codes) = (Set::default(), Set::default());
        for n in 0..60u8 {
            cells.count_code(&[b'A' + n % 12, b'1', b'0' + n % 10]);
            codes.count_code(if n % 2 == 0 { b"A10".as_slice() } else { b"B100" });
            codes.count_code(&[b'A' + n % 12, b'1', b'0', b'9']);
        }
        assert!(!cells.are_codes_of_chapters() && codes.are_codes_of_chapters());
    }
}
