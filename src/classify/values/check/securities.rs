//! Identifiers of securities and of legal entities.

use super::checksum::{luhn_sum, mod97};
use super::place::is_country_code;

/// The number a character stands for: 0–9, then A = 10 … Z = 35.
fn rank(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        b'*' => Some(36),
        b'@' => Some(37),
        b'#' => Some(38),
        _ => None,
    }
}

/// A CUSIP (ANSI X9.6): nine characters, the last a "modulus 10 double add double" check digit.
#[must_use]
pub fn is_cusip(value: &[u8]) -> bool {
    let Some((&last, body)) = value.split_last() else { return false };
    if body.len() != 8 || !last.is_ascii_digit() || !body.first().is_some_and(u8::is_ascii_alphanumeric) {
        return false;
    }
    let mut sum = 0;
    for (at, &byte) in body.iter().enumerate() {
        let Some(rank) = rank(byte) else { return false };
        let rank = if at % 2 == 1 { rank * 2 } else { rank };
        sum += rank / 10 + rank % 10;
    }
    (10 - sum % 10) % 10 == u32::from(last - b'0')
}

/// An ISIN (ISO 6166): country or agency prefix, nine characters, Luhn over the letters written as numbers.
#[must_use]
pub fn is_isin(value: &[u8]) -> bool {
    let (Some(country), Some(last)) = (value.get(..2), value.last()) else { return false };
    if value.len() != 12
        || !last.is_ascii_digit()
        || !(is_country_code(country) || country == b"XS" || country == b"EU")
    {
        return false;
    }
    let mut spread = [0u8; 24];
    let mut used = 0;
    for &byte in value {
        let Some(rank) = rank(byte).filter(|r| *r < 36) else { return false };
        for digit in [rank / 10, rank % 10].into_iter().skip(usize::from(rank < 10)) {
            if let (Some(slot), Ok(digit)) = (spread.get_mut(used), u8::try_from(digit)) {
                *slot = b'0' + digit;
                used += 1;
            }
        }
    }
    spread.get(..used).and_then(luhn_sum).is_some_and(|sum| sum % 10 == 0)
}

/// An LEI (ISO 17442): 18 letters or digits and two check digits, remainder 1 by 97.
#[must_use]
pub fn is_lei(value: &[u8]) -> bool {
    value.len() == 20
        && value.get(18..).is_some_and(|check| check.iter().all(u8::is_ascii_digit))
        && mod97(value) == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_identifiers_pass() {
        assert!(is_cusip(b"037833100")); // Apple, as CUSIP Global Services prints it
        assert!(is_cusip(b"17275R102") && is_cusip(b"38259P508"));
        assert!(!is_cusip(b"037833101") && !is_cusip(b"03783310"));
        assert!(is_isin(b"US0378331005") && is_isin(b"GB0002634946") && is_isin(b"AU0000XVGZA3"));
        assert!(!is_isin(b"US0378331006") && !is_isin(b"QQ0378331005"));
        assert!(is_lei(b"5493001KJTIIGC8Y1R12") && is_lei(b"213800WSGIIZCXF1P572")); // GLEIF's registry
        assert!(!is_lei(b"5493001KJTIIGC8Y1R13"));
    }
}
