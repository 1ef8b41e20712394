//! Payment card numbers (ISO/IEC 7812): issuer prefixes with the lengths each issuer uses, then Luhn.

use super::checksum::{luhn, number};

/// First and last prefix, prefix digits, lengths as a bit per length.
type Range = (u32, u32, usize, u32);

const fn lengths(from: u32, to: u32) -> u32 {
    let mut bits = 0;
    let mut n = from;
    while n <= to {
        bits |= 1 << n;
        n += 1;
    }
    bits
}

/// Ranges as the schemes publish them.
const ISSUERS: [Range; 18] = [
    (4, 4, 1, lengths(13, 13) | lengths(16, 16) | lengths(19, 19)), // Visa
    (51, 55, 2, lengths(16, 16)),                                   // Mastercard
    (2221, 2720, 4, lengths(16, 16)),                               // Mastercard, 2-series
    (34, 34, 2, lengths(15, 15)),                                   // American Express
    (37, 37, 2, lengths(15, 15)),
    (300, 305, 3, lengths(14, 19)), // Diners Club
    (36, 36, 2, lengths(14, 19)),
    (38, 39, 2, lengths(14, 19)),
    (6011, 6011, 4, lengths(16, 19)), // Discover
    (644, 649, 3, lengths(16, 19)),
    (65, 65, 2, lengths(16, 19)),
    (3528, 3589, 4, lengths(16, 19)), // JCB
    (1800, 1800, 4, lengths(15, 15)), // JCB, older
    (2131, 2131, 4, lengths(15, 15)),
    (62, 62, 2, lengths(16, 19)),     // UnionPay
    (5018, 5020, 4, lengths(12, 19)), // Maestro
    (5038, 5038, 4, lengths(12, 19)),
    (6304, 6304, 4, lengths(12, 19)),
];

/// Whether an issuer uses this prefix with this length.
#[must_use]
pub fn has_issuer(digits: &[u8]) -> bool {
    let bit = 1u32.checked_shl(u32::try_from(digits.len()).unwrap_or(0)).unwrap_or(0);
    let prefix = digits.get(..4).map_or(0, number);
    ISSUERS.iter().any(|&(from, to, width, lengths)| {
        let head = match width {
            1 => prefix / 1000,
            2 => prefix / 100,
            3 => prefix / 10,
            _ => prefix,
        };
        lengths & bit != 0 && (from..=to).contains(&head)
    })
}

/// A card number of 12 to 19 digits.
#[must_use]
pub fn is_card(digits: &[u8]) -> bool {
    (12..=19).contains(&digits.len()) && has_issuer(digits) && luhn(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_numbers_of_the_schemes_pass() {
        // Published test numbers (PayPal, Stripe and Adyen developer pages).
        for number in [
            "4111111111111111",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "6304000000000000",
        ] {
            assert!(is_card(number.as_bytes()), "{number}");
        }
    }

    #[test]
    fn luhn_alone_is_not_enough() {
        assert!(luhn(b"9999999999999995"));
        assert!(!is_card(b"9999999999999995"));
        assert!(!is_card(b"4111111111111112"));
        assert!(!is_card(b"41111111111111"));
    }
}
