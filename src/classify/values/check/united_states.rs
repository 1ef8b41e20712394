//! Identity and tax numbers of the United States.

use super::checksum::number;

/// A social security number: area not 000, 666 or 9xx, group not 00, serial not 0000 (SSA, randomization rules of
/// 2011), and none of the numbers SSA has voided because they were printed in advertisements.
#[must_use]
pub fn is_ssn(value: &[u8]) -> bool {
    let Some((area, group, serial)) = parts(value) else { return false };
    !matches!(area, 0 | 666 | 900..)
        && group != 0
        && serial != 0
        && !matches!((area, group, serial), (78, 5, 1120) | (219, 9, 9999) | (457, 55, 5462))
        && !is_one_digit(value)
}

/// An individual taxpayer number: 9xx and a group of 50–65, 70–88, 90–92 or 94–99 (IRS, Internal Revenue Manual 3.21.263).
#[must_use]
pub fn is_itin(value: &[u8]) -> bool {
    parts(value)
        .is_some_and(|(area, group, _)| area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99))
}

/// An employer number `NN-NNNNNNN`: not a person's, but its campus prefixes tell it from an order number (IRS).
#[must_use]
pub fn is_ein(value: &[u8]) -> bool {
    value.len() == 9
        && !matches!(value.get(..2).map_or(0, number), 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97)
}

fn parts(value: &[u8]) -> Option<(u32, u32, u32)> {
    (value.len() == 9 && value.iter().all(u8::is_ascii_digit)).then(|| {
        (
            value.get(..3).map_or(0, number),
            value.get(3..5).map_or(0, number),
            value.get(5..).map_or(0, number),
        )
    })
}

/// One digit repeated: a placeholder.
#[must_use]
pub fn is_one_digit(value: &[u8]) -> bool {
    value.first().is_some_and(|first| value.iter().all(|b| b == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_administration() {
        assert!(is_ssn(b"536226823") && is_ssn(b"001010001"));
        for bad in ["000123456", "666123456", "900123456", "123004567", "123450000", "078051120", "219099999"]
        {
            assert!(!is_ssn(bad.as_bytes()), "{bad}");
        }
        assert!(is_itin(b"900701234") && is_itin(b"999991234"));
        assert!(!is_itin(b"900491234") && !is_itin(b"900931234") && !is_itin(b"899701234"));
        assert!(is_ein(b"123456789") && !is_ein(b"003456789"));
    }
}
