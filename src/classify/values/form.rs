//! One pass over a value: which classes of characters it has, how many, and the value without its separators.

/// Digits.
pub(crate) const DIGIT: u16 = 1;
/// Upper-case ASCII letters.
pub(crate) const UPPER: u16 = 2;
/// Lower-case ASCII letters.
pub(crate) const LOWER: u16 = 4;
/// Spaces.
pub(crate) const SPACE: u16 = 8;
/// Hyphens.
pub(crate) const DASH: u16 = 16;
/// Points.
pub(crate) const DOT: u16 = 32;
/// Slashes.
pub(crate) const SLASH: u16 = 64;
/// Plus signs.
pub(crate) const PLUS: u16 = 128;
/// Parentheses.
pub(crate) const PAREN: u16 = 256;
/// Commas.
pub(crate) const COMMA: u16 = 512;
/// Apostrophes.
pub(crate) const APOSTROPHE: u16 = 1024;
/// At signs.
pub(crate) const AT: u16 = 2048;
/// Colons.
pub(crate) const COLON: u16 = 4096;
/// Underscores.
pub(crate) const UNDERSCORE: u16 = 8192;
/// Bytes outside ASCII.
pub(crate) const HIGH: u16 = 16384;
/// Everything else.
pub(crate) const OTHER: u16 = 32768;

/// ASCII and other letters.
pub(crate) const LETTER: u16 = UPPER | LOWER | HIGH;

/// Longest value that is also kept without separators.
const COMPACT: usize = 40;

static CLASSES: [u16; 256] = classes();

const fn classes() -> [u16; 256] {
    let mut table = [OTHER; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' => LOWER,
            b' ' => SPACE,
            b'-' => DASH,
            b'.' => DOT,
            b'/' => SLASH,
            b'+' => PLUS,
            b'(' | b')' => PAREN,
            b',' => COMMA,
            b'\'' => APOSTROPHE,
            b'@' => AT,
            b':' => COLON,
            b'_' => UNDERSCORE,
            128.. => HIGH,
            _ => OTHER,
        };
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// The class of a byte.
#[inline]
pub(crate) fn class(byte: u8) -> u16 {
    CLASSES[byte as usize]
}

/// What one pass over a value found.
pub(crate) struct Form<'a> {
    /// The value, trimmed.
    pub(crate) text: &'a [u8],
    /// Classes of its bytes.
    pub(crate) mask: u16,
    /// How many digits it has.
    pub(crate) digits: usize,
    /// How many bytes of letters.
    pub(crate) letters: usize,
    /// How many spaces.
    pub(crate) spaces: usize,
    /// Characters.
    pub(crate) characters: usize,
    /// Lengths of its groups of digits, a nibble each from the highest used one down; 0 if there are more than seven
    /// groups, a group of more than 15, or anything but digits and single separators.
    pub(crate) groups: u32,
    compact: [u8; COMPACT],
    compact_len: usize,
}

impl<'a> Form<'a> {
    /// Looks at a value once.
    #[inline]
    pub(crate) fn of(text: &'a [u8]) -> Self {
        let mut form = Form {
            text,
            mask: 0,
            digits: 0,
            letters: 0,
            spaces: 0,
            characters: 0,
            groups: 0,
            compact: [0; COMPACT],
            compact_len: 0,
        };
        if text.len() > COMPACT {
            form.count();
        } else {
            form.count_and_compact();
        }
        form
    }

    fn count(&mut self) {
        for &byte in self.text {
            let class = class(byte);
            self.mask |= class;
            self.digits += usize::from(class == DIGIT);
            self.letters += usize::from(class & LETTER != 0);
            self.spaces += usize::from(class == SPACE);
            self.characters += usize::from(byte & 0xc0 != 0x80);
        }
    }

    fn count_and_compact(&mut self) {
        let mut at = 0;
        let mut group = 0u32;
        let mut has_group = true;
        for &byte in self.text {
            let class = class(byte);
            self.mask |= class;
            self.characters += usize::from(byte & 0xc0 != 0x80);
            // The slot is written in any case and kept only for letters and digits.
            if let Some(slot) = self.compact.get_mut(at) {
                *slot = byte & if class == LOWER { !0x20 } else { !0 };
            }
            if class == DIGIT {
                self.digits += 1;
                at += 1;
                group += 1;
            } else if class & (UPPER | LOWER) != 0 {
                self.letters += 1;
                at += 1;
                has_group = false;
            } else {
                self.letters += usize::from(class == HIGH);
                self.spaces += usize::from(class == SPACE);
                if group > 0 {
                    has_group &= group < 16 && self.groups < 1 << 28;
                    self.groups = self.groups << 4 | group & 15;
                    group = 0;
                }
            }
        }
        if group > 0 {
            has_group &= group < 16 && self.groups < 1 << 28;
            self.groups = self.groups << 4 | group & 15;
        }
        if !has_group {
            self.groups = 0;
        }
        self.compact_len = at;
    }

    /// Letters in upper case and digits, without separators; empty if the value is long.
    #[inline]
    pub(crate) fn compact(&self) -> &[u8] {
        self.compact.get(..self.compact_len).unwrap_or(&[])
    }

    /// Whether it has any of these classes.
    #[inline]
    pub(crate) fn has(&self, classes: u16) -> bool {
        self.mask & classes != 0
    }

    /// The only separator, if there is exactly one kind.
    pub(crate) fn separator(&self) -> Option<u8> {
        match self.mask & !(DIGIT | UPPER | LOWER) {
            SPACE => Some(b' '),
            DASH => Some(b'-'),
            DOT => Some(b'.'),
            SLASH => Some(b'/'),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_sees_it_all() {
        let form = Form::of(b"536-22-6823");
        assert_eq!(
            (form.mask, form.digits, form.groups, form.separator()),
            (DIGIT | DASH, 9, 0x324, Some(b'-'))
        );
        assert_eq!(form.compact(), b"536226823");
        let form = Form::of("Zoë d'Or".as_bytes());
        assert_eq!((form.characters, form.letters, form.spaces), (8, 7, 1));
        assert!(form.has(HIGH | APOSTROPHE) && form.groups == 0);
        assert_eq!(Form::of(b"de89 3704").compact(), b"DE893704");
        let long = [b'1'; 100];
        assert!(Form::of(&long).compact().is_empty() && Form::of(&long).digits == 100);
        assert_eq!(Form::of(b"1 2 3 4 5 6 7 8 9").groups, 0);
    }
}
