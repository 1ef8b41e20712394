//! Check digits that several identifiers share.

/// The digits of a value of exactly `N` ASCII digits.
#[must_use]
pub fn digits<const N: usize>(value: &[u8]) -> Option<[u32; N]> {
    let bytes: &[u8; N] = value.try_into().ok()?;
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        if !from.is_ascii_digit() {
            return None;
        }
        *to = u32::from(from - b'0');
    }
    Some(out)
}

/// The number that a few ASCII digits write, 0 if a byte is no digit.
#[must_use]
pub fn number(value: &[u8]) -> u32 {
    value
        .iter()
        .take(9)
        .try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
        .unwrap_or(0)
}

/// Sum of digit times weight.
#[must_use]
pub fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(d, w)| d * w).sum()
}

/// Luhn (ISO/IEC 7812-1 annex B): every second digit from the right doubled, digit sums, total divisible by 10.
#[must_use]
pub fn luhn(value: &[u8]) -> bool {
    luhn_sum(value).is_some_and(|sum| sum % 10 == 0)
}

/// The Luhn sum of a value of digits.
#[must_use]
pub fn luhn_sum(value: &[u8]) -> Option<u32> {
    const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let mut sum = 0;
    let mut double = false;
    for byte in value.iter().rev() {
        let digit = usize::from(byte.wrapping_sub(b'0'));
        let twice = *DOUBLED.get(digit)?;
        sum += if double { twice } else { u32::from(byte - b'0') };
        double = !double;
    }
    (!value.is_empty()).then_some(sum)
}

/// ISO/IEC 7064 MOD 97-10 over digits and upper-case letters (A = 10 … Z = 35): the remainder.
#[must_use]
pub fn mod97<'a>(value: impl IntoIterator<Item = &'a u8>) -> Option<u32> {
    value.into_iter().try_fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    })
}

/// ISO/IEC 7064 MOD 11,10 (the last digit checks the others).
#[must_use]
pub fn mod11_10(value: &[u8]) -> bool {
    let Some((last, body)) = value.split_last() else { return false };
    let mut product = 10;
    for byte in body {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        let sum = (digit + product) % 10;
        product = (if sum == 0 { 10 } else { sum }) * 2 % 11;
    }
    (11 - product) % 10 == u32::from(last.wrapping_sub(b'0'))
}

/// Remainder by 11 of digits weighted 1, 2, 3 … from the right (ISBN-10's rule, X as a last digit of 10).
#[must_use]
pub fn mod11(value: &[u8]) -> bool {
    let mut sum = 0u32;
    for (byte, weight) in value.iter().rev().zip(1u32..) {
        let digit = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            b'X' | b'x' if weight == 1 => 10,
            _ => return false,
        };
        sum = (sum + digit * (weight % 11)) % 11;
    }
    !value.is_empty() && sum == 0
}

/// Verhoeff's dihedral check (J. Verhoeff, *Error Detecting Decimal Codes*, 1969).
#[must_use]
pub fn verhoeff(value: &[u8]) -> bool {
    const PERMUTE: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let mut check = 0u8;
    for (byte, row) in value.iter().rev().zip(PERMUTE.iter().cycle()) {
        let Some(&digit) = row.get(usize::from(byte.wrapping_sub(b'0'))) else { return false };
        check = dihedral(check, digit);
    }
    !value.is_empty() && check == 0
}

/// The product of two elements of the dihedral group of order 10 (0–4 turn, 5–9 turn and flip).
fn dihedral(a: u8, b: u8) -> u8 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// Whether month and day can be a date of some year.
#[must_use]
pub fn is_month_day(month: u32, day: u32) -> bool {
    let longest = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    (1..=longest).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_check() {
        assert!(luhn(b"79927398713")); // the usual worked example of the algorithm
        assert!(!luhn(b"79927398710"));
        assert!(!luhn(b"7992739871x"));
        assert!(verhoeff(b"2363")); // worked example: 236 has check digit 3
        assert!(!verhoeff(b"2364"));
        assert!(verhoeff(b"123451")); // worked example: 12345 has check digit 1
        assert!(mod11(b"0306406152")); // ISBN-10 example of the ISBN manual
        assert!(mod11(b"080442957X"));
        assert!(mod11_10(b"86095742719")); // Steuer-ID example of the Federal Central Tax Office
        assert_eq!(mod97(b"3214282912345698765432161182"), Some(1)); // ISO 13616 example
    }

    #[test]
    fn no_digit_is_no_check() {
        assert!(!luhn(b"") && !verhoeff(b"") && !mod11(b"") && !mod11_10(b""));
    }
}
