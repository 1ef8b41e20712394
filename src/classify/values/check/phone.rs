//! Telephone numbers: ITU-T E.164 and the North American plan.

/// Whether digits begin with a country calling code in use (ITU-T E.164 assigned codes).
#[must_use]
pub fn has_calling_code(digits: &[u8]) -> bool {
    match digits {
        [b'1' | b'7', ..] => true,
        [b'2', b'0' | b'7', ..] => true,
        [b'2', b'1', c, ..] => matches!(c, b'1'..=b'3' | b'6' | b'8'),
        [b'2', b'2' | b'3' | b'4' | b'6', ..] => true,
        [b'2', b'5', c, ..] => *c != b'9',
        [b'2', b'9', c, ..] => matches!(c, b'0' | b'1' | b'7'..=b'9'),
        [b'3', b'0' | b'1' | b'2' | b'3' | b'4' | b'6' | b'9', ..] => true,
        [b'3', b'5' | b'7', _, ..] => true,
        [b'3', b'8', c, ..] => matches!(c, b'0'..=b'3' | b'5'..=b'7' | b'9'),
        [b'4', b'2', c, ..] => matches!(c, b'0' | b'1' | b'3'),
        [b'4', ..] => true,
        [b'5', b'0' | b'9', _, ..] => true,
        [b'5', ..] => true,
        [b'6', b'0'..=b'6', ..] => true,
        [b'6', b'7', c, ..] => !matches!(c, b'1'),
        [b'6', b'8', c, ..] => *c != b'4',
        [b'6', b'9', c, ..] => matches!(c, b'0'..=b'2'),
        [b'8', b'1' | b'2' | b'4' | b'6', ..] => true,
        [b'8', b'5', c, ..] => matches!(c, b'0' | b'2' | b'3' | b'5' | b'6'),
        [b'8', b'8', c, ..] => matches!(c, b'0' | b'6'),
        [b'9', b'0'..=b'5' | b'8', ..] => true,
        [b'9', b'6', c, ..] => !matches!(c, b'9'),
        [b'9', b'7', c, ..] => matches!(c, b'0'..=b'7'),
        [b'9', b'9', c, ..] => matches!(c, b'2'..=b'6' | b'8'),
        _ => false,
    }
}

/// International digits after `+`: a calling code in use and 8 to 15 digits in all; the plan of +1 is checked.
#[must_use]
pub fn is_international(digits: &[u8]) -> bool {
    match digits {
        [b'1', rest @ ..] => is_nanp(rest),
        // +44 (0)20 …: the national 0 is often left in.
        _ => (8..=15).contains(&digits.len()) && has_calling_code(digits),
    }
}

/// Ten digits of the North American Numbering Plan: area and exchange begin with 2–9, neither is N11, and the area's
/// second digit is not 9 (NANPA).
#[must_use]
pub fn is_nanp(digits: &[u8]) -> bool {
    let Ok(d) = <&[u8; 10]>::try_from(digits) else { return false };
    d.iter().all(u8::is_ascii_digit)
        && d[0] >= b'2'
        && d[1] != b'9'
        && &d[1..3] != b"11"
        && d[3] >= b'2'
        && &d[4..6] != b"11"
}

/// National digits beginning with a trunk 0 (most of Europe, Asia and Australia): 0, then not another 0, 9 to 12 digits.
#[must_use]
pub fn is_trunk(digits: &[u8]) -> bool {
    matches!(digits, [b'0', b'1'..=b'9', ..]) && (9..=12).contains(&digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        assert!(is_international(b"442079460958") && is_international(b"12025550143")); // Ofcom's and NANPA's fiction
        assert!(
            !is_international(b"11025550143")
                && !is_international(b"2101234567")
                && !is_international(b"4420")
        );
        assert!(is_nanp(b"2025550143") && !is_nanp(b"1025550143") && !is_nanp(b"2029110143"));
        assert!(is_trunk(b"02079460958") && !is_trunk(b"00441234567"));
    }
}
