//! Account identifiers: IBAN, ABA routing number, BIC.

use super::checksum::{digits, mod97, number};
use super::place::is_country_code;

/// Country and length of its IBANs (SWIFT IBAN registry, ISO 13616).
const IBANS: [(&[u8; 2], usize); 89] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The length of IBANs of the country whose code a value begins with.
#[must_use]
pub fn iban_length(value: &[u8]) -> Option<usize> {
    let code: &[u8; 2] = value.first_chunk()?;
    let at = IBANS.binary_search_by(|(country, _)| (*country).cmp(code)).ok()?;
    IBANS.get(at).map(|(_, length)| *length)
}

/// Whether a value has an IBAN's form: two letters, two digits, 11 to 30 letters or digits.
#[must_use]
pub fn has_iban_form(value: &[u8]) -> bool {
    let [a, b, c, d, ..] = value else { return false };
    (15..=34).contains(&value.len())
        && a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && c.is_ascii_digit()
        && d.is_ascii_digit()
}

/// An IBAN: its country's length and a remainder of 1 by 97 once the first four characters are moved to the end.
#[must_use]
pub fn is_iban(value: &[u8]) -> bool {
    let Some((head, tail)) = value.split_at_checked(4) else { return false };
    has_iban_form(value)
        && iban_length(value) == Some(value.len())
        && mod97(tail.iter().chain(head)) == Some(1)
}

/// An ABA routing number: nine digits, a Federal Reserve prefix, weights 3-7-1 (Accredity, *ABA routing number policy*).
#[must_use]
pub fn is_aba(value: &[u8]) -> bool {
    let Some(d) = digits::<9>(value) else { return false };
    // 00 the government, 01–12 districts, 21–32 thrifts, 61–72 electronic, 80 traveller's cheques.
    let prefix = d[0] * 10 + d[1];
    let has_prefix = matches!(prefix, 0..=12 | 21..=32 | 61..=72 | 80);
    let sum = 3 * (d[0] + d[3] + d[6]) + 7 * (d[1] + d[4] + d[7]) + d[2] + d[5] + d[8];
    has_prefix && sum > 0 && sum % 10 == 0
}

/// A BIC (ISO 9362): four letters, an ISO country, two characters of place, optionally three of branch.
#[must_use]
pub fn is_bic(value: &[u8]) -> bool {
    let (Some(bank), Some(country), Some(place)) = (value.get(..4), value.get(4..6), value.get(6..8)) else {
        return false;
    };
    matches!(value.len(), 8 | 11)
        && bank.iter().all(u8::is_ascii_uppercase)
        && is_country_code(country)
        && place.iter().all(u8::is_ascii_alphanumeric)
        // The place never begins with 0 or 1 nor ends in the letter O.
        && place.first().is_some_and(|b| !matches!(b, b'0' | b'1'))
        && place.last() != Some(&b'O')
        && value.get(8..).is_none_or(|branch| branch.iter().all(u8::is_ascii_alphanumeric))
}

/// A sort code and account number of the United Kingdom, or a Canadian transit number with its account: form only.
#[must_use]
pub fn is_sort_code(value: &[u8]) -> bool {
    value.len() == 6 && number(value) >= 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_iban_registry_pass() {
        for iban in [
            "GB29NWBK60161331926819",
            "DE89370400440532013000",
            "FR1420041010050500013M02606",
            "CH9300762011623852957",
            "NL91ABNA0417164300",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "BR1800360305000010009795493C1",
            "PL61109010140000071219812874",
            "SE4550000000058398257466",
            "SA0380000000608010167519",
            "TR330006100519786457841326",
            "LC55HEMM000100010012001200023015",
        ] {
            assert!(is_iban(iban.as_bytes()), "{iban}");
        }
        assert!(!is_iban(b"GB29NWBK60161331926818"));
        assert!(!is_iban(b"GB29NWBK6016133192681"));
    }

    #[test]
    fn routing_numbers_of_the_federal_reserve_pass() {
        assert!(is_aba(b"111000025") && is_aba(b"021000021") && is_aba(b"011401533"));
        assert!(!is_aba(b"000000000") && !is_aba(b"111000026") && !is_aba(b"991000023"));
    }

    #[test]
    fn bics_name_a_country() {
        assert!(is_bic(b"DEUTDEFF") && is_bic(b"NEDSZAJJXXX") && is_bic(b"UBSWCHZH80A"));
        assert!(!is_bic(b"ABCDQQFF") && !is_bic(b"DEUTDE1F") && !is_bic(b"DEUTDEFFX"));
    }
}
